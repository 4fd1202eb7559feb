//! What comes on a connection before anybody reads it: how many bytes, and on HTTP/2 what the server says of the
//! connection itself, which libraries keep to themselves (RFC 9113 section 6).

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::settings::{Goaway, SeenSettings};
use crate::wire::Tunnel;

/// How long a frame's head is, in bytes.
const HEAD: usize = 9;
/// What is kept of the payload of one that is read, in bytes. SETTINGS of more don't come; GOAWAY's text may be long.
const MOST_KEPT: usize = 1024;

const SETTINGS: u8 = 0x4;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const ACK: u8 = 0x1;

/// What was overheard so far.
#[derive(Debug, Default)]
struct Heard {
    bytes: u64,
    /// Of HTTP/2 alone.
    frames: Option<Frames>,
}

/// Where its listener asks. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Overheard {
    begun: Instant,
    heard: Arc<Mutex<Heard>>,
}

impl Overheard {
    pub(super) fn new(is_http2: bool) -> Self {
        let heard = Heard { bytes: 0, frames: is_http2.then(Frames::default) };
        Self { begun: Instant::now(), heard: Arc::new(Mutex::new(heard)) }
    }

    /// How many bytes have come, TLS taken off.
    pub(super) fn bytes(&self) -> u64 {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// What the SETTINGS say that have come.
    pub(super) fn settings(&self) -> Option<SeenSettings> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).frames.as_ref()?.settings
    }

    pub(super) fn goaway(&self) -> Option<Goaway> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).frames.as_ref()?.goaway.clone()
    }

    fn takes(&self, bytes: &[u8]) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.bytes += bytes.len() as u64;
        if let Some(frames) = &mut heard.frames {
            frames.take(bytes, self.begun.elapsed());
        }
    }
}

/// A server's frames, of which three kinds are read.
#[derive(Debug, Default)]
struct Frames {
    /// The head, or the payload, of the frame under way, as far as it is kept.
    kept: Vec<u8>,
    /// Its type and flags, and how much is yet to come of its payload.
    payload: Option<(u8, u8, usize)>,
    settings: Option<SeenSettings>,
    goaway: Option<Goaway>,
}

impl Frames {
    fn take(&mut self, mut bytes: &[u8], at: Duration) {
        while !bytes.is_empty() {
            let Some((kind, flags, left)) = self.payload else {
                let (head, rest) = bytes.split_at((HEAD - self.kept.len()).min(bytes.len()));
                self.kept.extend_from_slice(head);
                bytes = rest;
                if self.kept.len() == HEAD {
                    let length = self.kept[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
                    // A stream's own windows are of no interest.
                    let of_all = self.kept[5..].iter().all(|byte| *byte == 0);
                    let kind = if of_all { self.kept[3] } else { 0 };
                    self.payload = Some((kind, self.kept[4], length));
                    self.kept.clear();
                    self.end_of(at);
                }
                continue;
            };
            let (part, rest) = bytes.split_at(left.min(bytes.len()));
            if matches!(kind, SETTINGS | GOAWAY | WINDOW_UPDATE) {
                let room = MOST_KEPT - self.kept.len();
                self.kept.extend_from_slice(&part[..room.min(part.len())]);
            }
            self.payload = Some((kind, flags, left - part.len()));
            bytes = rest;
            self.end_of(at);
        }
    }

    /// Reads the frame under way, if it is whole.
    fn end_of(&mut self, at: Duration) {
        let Some((kind, flags, 0)) = self.payload else { return };
        self.payload = None;
        let payload = std::mem::take(&mut self.kept);
        let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        match kind {
            SETTINGS if flags & ACK == 0 => {
                let settings = self.settings.get_or_insert_default();
                for pair in payload.chunks_exact(6) {
                    settings.take(number(&pair[..2]), number(&pair[2..]));
                }
            }
            WINDOW_UPDATE if payload.len() == 4 => {
                if let Some(settings) = &mut self.settings {
                    settings.connection_window += u64::from(number(&payload) & 0x7fff_ffff);
                }
            }
            GOAWAY if payload.len() >= 8 => {
                let said = String::from_utf8_lossy(&payload[8..]).into_owned();
                let at = Some(at);
                let goaway = Goaway { at, last: u64::from(number(&payload[..4])), code: number(&payload[4..8]), said };
                // The first says when it began; what follows says the rest (section 6.8).
                self.goaway.get_or_insert(goaway);
            }
            _ => {}
        }
    }
}

/// A stream that is overheard.
pub(super) struct OverheardStream {
    pub(super) inner: Tunnel,
    pub(super) overheard: Overheard,
}

impl AsyncRead for OverheardStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.overheard.takes(&buf.filled()[before..]);
        }
        read
    }
}

impl AsyncWrite for OverheardStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn what_a_server_says_of_a_connection_is_the_same_however_it_is_cut() {
        let settings = [0, 3, 0, 0, 0, 100, 0, 4, 0, 1, 0, 0, 0, 8, 0, 0, 0, 1];
        let bytes = [
            frame(SETTINGS, 0, 0, &settings),
            frame(WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]),
            frame(SETTINGS, ACK, 0, &[]),
            frame(0, 0, 1, &[7; 5000]),
            frame(WINDOW_UPDATE, 0, 1, &[0, 1, 0, 0]),
            frame(GOAWAY, 0, 0, b"\0\0\0\x05\0\0\0\x0bslow down"),
            frame(GOAWAY, 0, 0, b"\0\0\0\x01\0\0\0\0"),
        ]
        .concat();
        for size in [1, 2, 7, 100, bytes.len()] {
            let mut frames = Frames::default();
            for part in bytes.chunks(size) {
                frames.take(part, Duration::from_secs(3));
            }
            let settings = frames.settings.unwrap();
            assert_eq!((settings.max_concurrent_streams, settings.extended_connect), (Some(100), true));
            assert_eq!((settings.stream_window, settings.connection_window), (65_536, 65_535 + 65_536));
            let goaway = frames.goaway.unwrap();
            assert_eq!((goaway.last, goaway.code, goaway.said.as_str()), (5, 11, "slow down"), "in parts of {size}");
        }
    }

    #[test]
    fn what_is_no_http_2_is_no_settings() {
        let mut frames = Frames::default();
        frames.take(b"HTTP/1.1 400 Bad Request\r\n\r\n", Duration::ZERO);
        frames.take(&[0xff; 4096], Duration::ZERO);
        assert!(frames.settings.is_none() && frames.goaway.is_none());
    }
}
