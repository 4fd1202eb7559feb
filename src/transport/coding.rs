//! Content codings (RFC 9110 section 8.4.1) of responses that go on: each piece is compressed as what follows all before
//! it, and flushed, so that a reader can decode all of it at once.
//!
//! What a compressor writes for an event depends on everything that it wrote to that reader before. So events are encoded
//! once for all readers, but compressed for each, and each compressed stream keeps what a compressor needs: 320 kB
//! (gzip) or 730 kB (br), measured at its own allocations. How many there are at a time is bounded ([`MAX_COMPRESSED`]).

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use compression_codecs::brotli::params::EncoderParams;
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::{BrotliDecoder, BrotliEncoder, DecodeV2, EncodeV2, GzipDecoder, GzipEncoder};
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use tokio::sync::OwnedSemaphorePermit;

/// How many streams a server compresses at a time: 365 MB of compressors at most.
pub const MAX_COMPRESSED: usize = 500;
/// What a client asks for that can decode all of [`ALL`].
pub(super) const ACCEPTED: &str = "gzip, br";
/// How much a compressor writes at once, in bytes.
const BLOCK: usize = 4096;
/// How much is decompressed at once, in bytes: a few bytes can stand for very many.
const DECODED: usize = 16 * 1024;

/// A content coding: a constant row of [`ALL`].
pub struct ContentCoding {
    /// Its name in `Content-Encoding`.
    pub name: &'static str,
    encoder: fn() -> Box<dyn EncodeV2 + Send>,
    decoder: fn() -> Box<dyn DecodeV2 + Send>,
}

/// Every coding.
pub static ALL: &[&ContentCoding] = &[
    // Level 6 is every gzip's default; on events of some hundred bytes 9 saves one byte in a hundred more.
    &ContentCoding {
        name: "gzip",
        encoder: || Box::new(GzipEncoder::new(Level::Precise(6).into())),
        decoder: || Box::new(GzipDecoder::new()),
    },
    // Quality 4 is the least whose compressor looks for the best match; 5 takes twice to forty times the memory, by the
    // window. 64 KiB are some hundred events.
    &ContentCoding {
        name: "br",
        encoder: || Box::new(BrotliEncoder::new(EncoderParams::default().quality(Level::Precise(4)).window_size(16))),
        decoder: || Box::new(BrotliDecoder::new()),
    },
];

impl fmt::Debug for ContentCoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ContentCoding").field(&self.name).finish()
    }
}

impl ContentCoding {
    /// The coding of this name. Names are case-insensitive.
    pub fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|coding| coding.name.eq_ignore_ascii_case(name))
    }

    /// Whether who asks so takes it (RFC 9110 section 12.5.3). Who says nothing may take anything, by the letter of it, but
    /// nobody who can't decode says so.
    pub fn is_accepted(&self, asked: &HeaderMap) -> bool {
        let lists = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
        let mut any = false;
        for member in lists.flat_map(|list| list.split(',')) {
            let (name, weight) = member.split_once(';').unwrap_or((member, ""));
            let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f64>);
            let wanted = weight.is_ok_and(|weight| weight > 0.0);
            if name.trim().eq_ignore_ascii_case(self.name) {
                return wanted;
            }
            any |= wanted && name.trim() == "*";
        }
        any
    }

    /// Compresses one stream.
    pub fn compressor(&'static self, permit: OwnedSemaphorePermit) -> Compressor {
        Compressor { coding: self, encoder: (self.encoder)(), _permit: permit }
    }

    /// Decompresses one stream.
    pub fn decompressor(&'static self) -> Decompressor {
        Decompressor { coding: self, decoder: (self.decoder)(), input: Bytes::new(), more: false, ended: false }
    }
}

/// Compresses one stream.
pub struct Compressor {
    coding: &'static ContentCoding,
    encoder: Box<dyn EncodeV2 + Send>,
    /// One of as many as the server has.
    _permit: OwnedSemaphorePermit,
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("coding", &self.coding).finish_non_exhaustive()
    }
}

impl Compressor {
    /// By which coding.
    pub fn coding(&self) -> &'static ContentCoding {
        self.coding
    }

    /// What is to be sent of this piece now: all of it. `None`: what ends the stream.
    pub fn compress(&mut self, piece: Option<&[u8]>) -> std::io::Result<Bytes> {
        let mut input = PartialBuffer::new(piece.unwrap_or_default());
        let mut written = BytesMut::new();
        let mut block = [0; BLOCK];
        loop {
            let mut output = WriteBuffer::new_initialized(&mut block);
            let done = if !input.unwritten().is_empty() {
                self.encoder.encode(&mut input, &mut output)?;
                false
            } else if piece.is_some() {
                self.encoder.flush(&mut output)?
            } else {
                self.encoder.finish(&mut output)?
            };
            written.extend_from_slice(output.written());
            if done {
                return Ok(written.freeze());
            }
        }
    }
}

/// Decompresses one stream, some of it at a time.
pub struct Decompressor {
    coding: &'static ContentCoding,
    decoder: Box<dyn DecodeV2 + Send>,
    input: Bytes,
    /// Whether what was read says more than there was room for.
    more: bool,
    ended: bool,
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("coding", &self.coding).finish_non_exhaustive()
    }
}

impl Decompressor {
    /// Of which coding.
    pub fn coding(&self) -> &'static ContentCoding {
        self.coding
    }

    /// Takes what came next. What came before was decompressed to its end.
    pub fn take(&mut self, input: Bytes) {
        self.input = input;
    }

    /// The next bytes of what was taken; `None`: that was all.
    pub fn decompress(&mut self) -> std::io::Result<Option<Bytes>> {
        if self.ended || self.input.is_empty() && !self.more {
            return Ok(None);
        }
        let mut block = vec![0; DECODED];
        let mut output = WriteBuffer::new_initialized(&mut block);
        if self.input.is_empty() {
            self.decoder.flush(&mut output)?;
        } else {
            let mut input = PartialBuffer::new(&self.input[..]);
            self.ended = self.decoder.decode(&mut input, &mut output)?;
            let read = input.written_len();
            self.input.advance(read);
        }
        self.more = output.has_no_spare_space();
        let written = output.written_len();
        block.truncate(written);
        // What begins a stream says nothing yet.
        if block.is_empty() && !self.ended && !self.input.is_empty() {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        Ok((!block.is_empty()).then(|| block.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::feed::payload;

    fn compressor(coding: &'static ContentCoding) -> Compressor {
        coding.compressor(Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
    }

    /// What a reader knows once it has these bytes.
    fn known(decompressor: &mut Decompressor, bytes: Bytes) -> Vec<u8> {
        decompressor.take(bytes);
        let mut known = Vec::new();
        while let Some(bytes) = decompressor.decompress().unwrap() {
            assert!(bytes.len() <= DECODED);
            known.extend_from_slice(&bytes);
        }
        known
    }

    #[test]
    fn each_event_can_be_read_before_the_next_and_takes_less_than_half() {
        for coding in ALL {
            let (mut compressor, mut decompressor) = (compressor(coding), coding.decompressor());
            let (mut plain, mut compressed) = (0, 0);
            for seq in 1..=300 {
                // Of some kilobytes now and then, and of one whose end falls on the end of a block.
                let size = [200, 200, 200, DECODED as u64][usize::from(seq % 100 == 0) * 3];
                let event = payload::json(1, seq, size);
                let sent = compressor.compress(Some(event.as_bytes())).unwrap();
                (plain, compressed) = (plain + event.len(), compressed + sent.len());
                assert_eq!(known(&mut decompressor, sent), event.as_bytes(), "{} {seq}", coding.name);
            }
            assert!(compressed * 2 < plain, "{}: {compressed} of {plain}", coding.name);
            let end = compressor.compress(None).unwrap();
            assert!(known(&mut decompressor, end).is_empty() && decompressor.ended, "{}", coding.name);
        }
    }

    #[test]
    fn a_stream_reads_back_however_it_is_cut_and_however_far_it_expands() {
        for coding in ALL {
            let text = [payload::json(1, 1, 3_000), "x".repeat(300_000), payload::text(1, 2, 3_000)].concat();
            let mut compressor = compressor(coding);
            let mut sent = compressor.compress(Some(text.as_bytes())).unwrap().to_vec();
            sent.extend(compressor.compress(None).unwrap());
            for step in [1, 7, 1000, sent.len()] {
                let mut decompressor = coding.decompressor();
                let read = sent.chunks(step).flat_map(|cut| known(&mut decompressor, Bytes::copy_from_slice(cut)));
                assert!(read.eq(text.bytes()), "{} {step}", coding.name);
            }
        }
    }

    #[test]
    fn what_is_no_such_coding_is_an_error() {
        for coding in ALL {
            let mut decompressor = coding.decompressor();
            decompressor
                .take(Bytes::from_static(b"\xff\xffdata: this is no coding at all, whatever it says of itself\n\n"));
            let read = (0..100).find_map(|_| decompressor.decompress().err());
            assert!(read.is_some(), "{}", coding.name);
        }
    }

    #[test]
    fn a_client_asks_for_every_coding() {
        let names: Vec<_> = ALL.iter().map(|coding| coding.name).collect();
        assert_eq!(names.join(", "), ACCEPTED);
    }

    #[test]
    fn a_coding_is_used_where_it_is_asked_for() {
        let accepts = |coding: &str, fields: &[&'static str]| {
            let fields = fields.iter().map(|value| (ACCEPT_ENCODING, http::HeaderValue::from_static(value)));
            ContentCoding::find(coding).unwrap().is_accepted(&fields.collect())
        };
        for asked in ["gzip", "br, GZIP", "deflate,gzip;q=0.1", "*", "br;q=0, *"] {
            assert!(accepts("gzip", &[asked]), "{asked}");
        }
        for asked in ["", "br", "gzip;q=0", "gzip; q=0.0, *", "x-gzip", "*;q=0", "gzip;q=much"] {
            assert!(!accepts("gzip", &[asked]), "{asked}");
        }
        assert!(!accepts("gzip", &[]) && accepts("br", &["gzip", "br"]));
    }
}
