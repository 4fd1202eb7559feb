//! Streams that must not end while their connection lasts, beside the peer's control stream, which `h3` watches: those
//! of QPACK, which `h3` doesn't read, and this end's own.

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, select_all};
use quinn::{RecvStream, SendStream, VarInt};

use crate::wire::h3::frames::{
    H3_CLOSED_CRITICAL_STREAM, QPACK_DECODER, QPACK_DECODER_STREAM_ERROR, QPACK_ENCODER, QPACK_ENCODER_STREAM_ERROR,
};

/// `Set Dynamic Table Capacity` to 0 (RFC 9204 section 4.3.1), which is all that may be said to a decoder that keeps
/// no table.
const NO_TABLE: u8 = 0x20;
/// How many bytes an integer may have behind its prefix: QPACK's are of 62 bits (RFC 9204 section 4.1.1).
const MAX_MORE_BYTES: u8 = 9;

/// Reads instructions of the peer's QPACK encoder or decoder for as long as the connection lasts.
pub(in crate::wire) async fn read(quic: quinn::Connection, mut recv: RecvStream, kind: u64) {
    let (mut instructions, mut bytes) = (Instructions { kind, more: None }, [0; 64]);
    loop {
        let code = match recv.read(&mut bytes).await {
            Ok(Some(length)) => match bytes[..length].iter().try_for_each(|byte| instructions.next(*byte)) {
                Ok(()) => continue,
                Err(code) => code,
            },
            Ok(None) | Err(quinn::ReadError::Reset(_)) => H3_CLOSED_CRITICAL_STREAM,
            Err(_) => return,
        };
        return quic.close(code, b"on a stream of QPACK");
    }
}

/// What a stream of QPACK says.
#[derive(Debug)]
struct Instructions {
    kind: u64,
    /// How many bytes of an integer have come, where one goes on.
    more: Option<u8>,
}

impl Instructions {
    fn next(&mut self, byte: u8) -> Result<(), VarInt> {
        if self.kind == QPACK_ENCODER {
            return if byte == NO_TABLE { Ok(()) } else { Err(QPACK_ENCODER_STREAM_ERROR) };
        }
        debug_assert_eq!(self.kind, QPACK_DECODER);
        self.more = match self.more {
            Some(MAX_MORE_BYTES) => return Err(QPACK_DECODER_STREAM_ERROR),
            Some(more) => (byte & 0x80 != 0).then_some(more + 1),
            // `Stream Cancellation` (RFC 9204 section 4.4.2). The others are about entries of a table, and what is
            // written here refers to none.
            None if byte & 0xc0 == 0x40 => (byte & 0x3f == 0x3f).then_some(0),
            None => return Err(QPACK_DECODER_STREAM_ERROR),
        };
        Ok(())
    }
}

/// Watches this end's own: who wants no more of them gets no more at all (RFC 9114 section 6.2.1).
#[derive(Default)]
pub(in crate::wire) struct Own {
    stopped: Vec<BoxFuture<'static, bool>>,
    /// All are watched; what else is opened isn't critical.
    complete: bool,
}

/// Ends when one of them is stopped, or the connection ends.
pub(in crate::wire) type Watching = BoxFuture<'static, ()>;

impl Own {
    /// Control, and two of QPACK.
    const COUNT: usize = 3;

    /// A stream was opened; what watches them, once all are there.
    pub(in crate::wire) fn opened(&mut self, quic: &quinn::Connection, send: &SendStream) -> Option<Watching> {
        if self.complete {
            return None;
        }
        let stopped = send.stopped();
        self.stopped.push(async move { matches!(stopped.await, Ok(Some(_))) }.boxed());
        if self.stopped.len() < Self::COUNT {
            return None;
        }
        self.complete = true;
        let (any, quic) = (select_all(std::mem::take(&mut self.stopped)), quic.clone());
        let watching = async move {
            if any.await.0 {
                quic.close(H3_CLOSED_CRITICAL_STREAM, b"a critical stream was stopped");
            }
        };
        Some(watching.boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(kind: u64, bytes: &[u8]) -> Result<(), VarInt> {
        let mut instructions = Instructions { kind, more: None };
        bytes.iter().try_for_each(|byte| instructions.next(*byte))
    }

    #[test]
    fn only_what_needs_no_table_may_be_said() {
        assert_eq!(says(QPACK_ENCODER, &[0x20, 0x20]), Ok(()));
        // A capacity of 1, an insertion with a name of the static table, one without, a duplicate.
        for wrong in [&[0x21][..], &[0xc0, 0], &[0x41, b'a', 0], &[0x00]] {
            assert_eq!(says(QPACK_ENCODER, wrong), Err(QPACK_ENCODER_STREAM_ERROR), "{wrong:x?}");
        }
        // Streams 4, 63, 64 and 2^62 - 1 are cancelled.
        let longest = [0x7f, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f];
        for right in [&[0x44][..], &[0x7f, 0, 0x7f, 1], &longest] {
            assert_eq!(says(QPACK_DECODER, right), Ok(()), "{right:x?}");
        }
        // A section is acknowledged, entries are, and an integer has no end.
        for wrong in [&[0x80][..], &[0x01], &[0x00], &[&[0x7f][..], &[0xff; 10]].concat()] {
            assert_eq!(says(QPACK_DECODER, wrong), Err(QPACK_DECODER_STREAM_ERROR), "{wrong:x?}");
        }
    }
}
