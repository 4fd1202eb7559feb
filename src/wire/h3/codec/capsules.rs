//! Capsules (RFC 9297 section 3.2) on the stream of a WebTransport session.

use bytes::{Buf, BytesMut};
use quinn::VarInt;

use crate::wire::h3::frames::{DATA, put_head, varint};
use crate::wire::quic::session::{Ended, put_varint};

/// `CLOSE_WEBTRANSPORT_SESSION` (draft-ietf-webtrans-http3 section 6): a code of 32 bits, and at most 1024 bytes of
/// UTF-8. `DRAIN_WEBTRANSPORT_SESSION` (0x78ae) wishes for an end some time, which no transport here has a use for: it
/// is skipped like what is unknown.
const CLOSE: u64 = 0x2843;
const CODE_BYTES: usize = 4;
const MAX_REASON_BYTES: usize = 1024;

/// What comes is no capsule, or longer than such a one may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) struct CapsuleError;

/// Finds the capsule that matters in what comes on a session's stream.
#[derive(Debug, Default)]
pub(in crate::wire) struct Capsules {
    front: BytesMut,
    /// How much of a capsule that is skipped is still to come, in bytes.
    skip: u64,
}

impl Capsules {
    /// Takes what has come; gives back how the peer ended the session, if it has.
    pub(in crate::wire) fn push(&mut self, data: &[u8]) -> Result<Option<Ended>, CapsuleError> {
        self.front.extend_from_slice(data);
        loop {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.front.len());
            self.front.advance(skipped);
            self.skip -= skipped as u64;
            if self.skip > 0 {
                return Ok(None);
            }
            let Some((kind, first)) = varint(&self.front) else { return Ok(None) };
            let Some((length, second)) = varint(&self.front[first..]) else { return Ok(None) };
            if kind != CLOSE {
                self.front.advance(first + second);
                self.skip = length;
                continue;
            }
            let length = usize::try_from(length).map_err(|_| CapsuleError)?;
            if !(CODE_BYTES..=CODE_BYTES + MAX_REASON_BYTES).contains(&length) {
                return Err(CapsuleError);
            }
            let end = first + second + length;
            let Some(payload) = self.front.get(first + second..end) else { return Ok(None) };
            let (code, reason) = payload.split_at(CODE_BYTES);
            let code = code.iter().fold(0, |code, byte| code << 8 | u32::from(*byte));
            let reason = std::str::from_utf8(reason).map_err(|_| CapsuleError)?.to_owned();
            self.front.advance(end);
            return Ok(Some(Ended { code, reason }));
        }
    }

    /// Whether a stream may end here: all that has come was of whole capsules, the last one that ends the session or
    /// none.
    pub(in crate::wire) fn is_between(&self) -> bool {
        self.front.is_empty() && self.skip == 0
    }
}

/// The capsule that ends a session, in a DATA frame. A reason that is too long is cut.
pub(in crate::wire) fn close_frame(ended: &Ended) -> BytesMut {
    let most = (0..=MAX_REASON_BYTES).rev().find(|end| ended.reason.is_char_boundary(*end)).unwrap_or(0);
    let reason = &ended.reason[..most];
    let mut capsule = BytesMut::new();
    put_varint(&mut capsule, VarInt::from_u64(CLOSE).unwrap_or(VarInt::MAX));
    put_varint(&mut capsule, VarInt::from_u64((CODE_BYTES + reason.len()) as u64).unwrap_or(VarInt::MAX));
    capsule.extend_from_slice(&ended.code.to_be_bytes());
    capsule.extend_from_slice(reason.as_bytes());
    let mut frame = BytesMut::new();
    put_head(&mut frame, DATA, capsule.len());
    frame.extend_from_slice(&capsule);
    frame
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::wire::h3::frames::DataFrames;

    fn capsule(kind: u64, payload: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        put_head(&mut bytes, kind, payload.len());
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn what_one_end_says_the_other_reads_however_it_is_cut() {
        for seed in 0..500 {
            let mut random = SmallRng::seed_from_u64(seed);
            let letters = random.random_range(0..=512);
            let ended = Ended { code: random.random(), reason: "ö".repeat(letters) };
            let mut bytes = BytesMut::new();
            for _ in 0..random.random_range(0..4) {
                let kind = random.random_range(0..CLOSE);
                bytes.extend_from_slice(&capsule(kind, &vec![0x28; random.random_range(0..3000)]));
            }
            let mut frame = close_frame(&ended);
            bytes.extend_from_slice(&DataFrames::default().next(&mut frame).unwrap().unwrap());
            let (mut capsules, mut rest) = (Capsules::default(), &bytes[..]);
            loop {
                let (piece, others) = rest.split_at(random.random_range(1..=rest.len().min(1500)));
                rest = others;
                let read = capsules.push(piece).unwrap();
                assert!(capsules.front.len() < 1500 + 1028 + 16, "it keeps no more than the one that matters");
                if rest.is_empty() {
                    assert_eq!(read.as_ref(), Some(&ended), "seed {seed}");
                    break;
                }
                assert_eq!(read, None, "seed {seed}");
            }
        }
    }

    #[test]
    fn any_bytes_are_capsules_or_malformed() {
        for seed in 0..2000 {
            let mut random = SmallRng::seed_from_u64(seed);
            let mut bytes: Vec<u8> = (0..random.random_range(0..64)).map(|_| random.random()).collect();
            if random.random() {
                bytes.splice(0..0, [0x68, 0x43]);
            }
            let whole = Capsules::default().push(&bytes);
            let mut capsules = Capsules::default();
            let each = bytes.iter().map(|byte| capsules.push(&[*byte])).find(|read| *read != Ok(None));
            assert_eq!(whole, each.unwrap_or(Ok(None)), "seed {seed}");
        }
    }

    #[test]
    fn a_reason_is_text_of_at_most_1024_bytes() {
        for payload in [&b""[..], b"123", b"\0\0\0\0\xff", &[b'x'; 4 + 1025]] {
            assert_eq!(Capsules::default().push(&capsule(CLOSE, payload)), Err(CapsuleError));
        }
        let longest = Ended { code: 0, reason: "x".repeat(1024) };
        let read = Capsules::default().push(&capsule(CLOSE, &[&[0; 4][..], longest.reason.as_bytes()].concat()));
        assert_eq!(read, Ok(Some(longest)));
    }
}
