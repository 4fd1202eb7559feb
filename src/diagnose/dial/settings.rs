//! What a server says of its connections, whoever asks: SETTINGS, transport parameters, and that it goes.

use std::time::Duration;

use bytes::Buf;
use quinn::VarInt;
use quinn_proto::coding::Codec;
use serde::Serialize;

use crate::trial::{Dialect, Dialects};

/// What a client may send ahead on a new connection of HTTP/2, and on each of its streams (RFC 9113 section 6.9.2).
const FIRST_WINDOW: u32 = 65_535;

/// A server's SETTINGS on HTTP/2 (RFC 9113 section 6.5.2, RFC 8441 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SeenSettings {
    /// The streams that a client may have open at once; `None`: as many as it likes.
    pub max_concurrent_streams: Option<u64>,
    /// Whether a WebSocket may be opened on it.
    pub extended_connect: bool,
    /// What a client may send ahead on a stream, and on all of them together, in bytes.
    pub stream_window: u32,
    pub connection_window: u64,
    /// How long a request's header may be, in bytes, if it says so.
    pub max_header: Option<u32>,
}

impl Default for SeenSettings {
    fn default() -> Self {
        Self {
            max_concurrent_streams: None,
            extended_connect: false,
            stream_window: FIRST_WINDOW,
            connection_window: FIRST_WINDOW.into(),
            max_header: None,
        }
    }
}

impl SeenSettings {
    pub(super) fn take(&mut self, id: u32, value: u32) {
        match id {
            0x3 => self.max_concurrent_streams = Some(value.into()),
            0x4 => self.stream_window = value,
            0x6 => self.max_header = Some(value),
            0x8 => self.extended_connect = value == 1,
            _ => {}
        }
    }
}

/// What a server says on HTTP/3: its SETTINGS (RFC 9114 section 7.2.4.1, RFC 9220, RFC 9297), and QUIC's parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SeenHttp3 {
    /// Whether a WebSocket may be opened on it.
    pub extended_connect: bool,
    pub datagrams: bool,
    /// The dialects of WebTransport that it speaks.
    pub webtransport: Vec<Dialect>,
    /// How long a request's header may be, in bytes, if it says so.
    pub max_header: Option<u64>,
    /// `None`: they could not be read.
    pub transport: Option<SeenTransport>,
}

impl SeenHttp3 {
    pub(super) fn new(settings: &[(u64, u64)], webtransport: Dialects, transport: Option<SeenTransport>) -> Self {
        let value = |id: u64| settings.iter().find(|(other, _)| *other == id).map(|(_, value)| *value);
        Self {
            extended_connect: value(0x8) == Some(1),
            datagrams: value(0x33) == Some(1),
            webtransport: webtransport.iter().collect(),
            max_header: value(0x6),
            transport,
        }
    }
}

/// A server's QUIC transport parameters (RFC 9000 section 18.2, RFC 9221 section 3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SeenTransport {
    /// The streams that a client may open to begin with: those of requests, and one-way ones.
    pub streams: u64,
    pub one_way_streams: u64,
    /// What a client may send ahead on a stream of its own, and on all together, in bytes.
    pub stream_window: u64,
    pub connection_window: u64,
    /// After how long a silence it forgets the connection, in milliseconds; `None`: it doesn't by itself.
    pub idle_timeout: Option<u64>,
    /// The longest datagram that it takes, in bytes; `None`: none.
    pub max_datagram: Option<u64>,
}

impl SeenTransport {
    /// Reads them as they are written: ids, lengths and values. `None`: they are written otherwise.
    pub(super) fn read(mut bytes: &[u8]) -> Option<Self> {
        let number = |bytes: &mut &[u8]| VarInt::decode(bytes).ok().map(VarInt::into_inner);
        let mut seen = Self::default();
        while !bytes.is_empty() {
            let id = number(&mut bytes)?;
            let length = usize::try_from(number(&mut bytes)?).ok()?;
            let mut value = bytes.get(..length)?;
            bytes.advance(length);
            let place = match id {
                0x01 => {
                    seen.idle_timeout = Some(number(&mut value)?).filter(|after| *after > 0);
                    continue;
                }
                0x20 => {
                    seen.max_datagram = Some(number(&mut value)?).filter(|longest| *longest > 0);
                    continue;
                }
                0x04 => &mut seen.connection_window,
                // Of the streams that the other one opens, which from a server's place are a client's.
                0x06 => &mut seen.stream_window,
                0x08 => &mut seen.streams,
                0x09 => &mut seen.one_way_streams,
                _ => continue,
            };
            *place = number(&mut value)?;
        }
        Some(seen)
    }
}

/// That a server takes no more requests on a connection (RFC 9113 section 6.8, RFC 9114 section 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::diagnose) struct Goaway {
    /// When, counted from the connection's beginning; it isn't known on HTTP/3.
    pub(in crate::diagnose) at: Option<Duration>,
    /// The last stream that it answers; on HTTP/3 the first that it doesn't.
    pub(in crate::diagnose) last: u64,
    /// Why, on HTTP/2; 0: nothing is wrong.
    pub(in crate::diagnose) code: u32,
    /// What else it says.
    pub(in crate::diagnose) said: String,
}

impl Goaway {
    /// The code's name (RFC 9113 section 7).
    pub(in crate::diagnose) fn name(&self) -> String {
        h2::Reason::from(self.code).description().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transport_parameters_are_read_and_what_is_unknown_is_passed_over() {
        // Idle after 30 s; an unknown one; 100 and 3 streams; 64 KiB on a stream; datagrams.
        let bytes = [
            1, 4, 0x80, 0, 0x75, 0x30, 0x7f, 0xff, 3, 1, 2, 3, 8, 2, 0x40, 100, 9, 1, 3, 6, 4, 0x80, 1, 0, 0, 0x20, 2,
            0x44, 0xb0,
        ];
        let seen = SeenTransport::read(&bytes).unwrap();
        assert_eq!((seen.idle_timeout, seen.streams, seen.one_way_streams), (Some(30_000), 100, 3));
        assert_eq!((seen.stream_window, seen.max_datagram, seen.connection_window), (65_536, Some(1200), 0));
        assert_eq!(SeenTransport::read(&bytes[..3]), None, "cut short");
        assert_eq!(SeenTransport::read(&[]), Some(SeenTransport::default()));
    }

    #[test]
    fn settings_of_http_3_are_read_by_their_ids() {
        let seen = SeenHttp3::new(&[(6, 16_384), (8, 1), (0x33, 0)], Dialects::default(), None);
        assert_eq!((seen.extended_connect, seen.datagrams, seen.max_header), (true, false, Some(16_384)));
    }
}
