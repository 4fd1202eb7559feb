//! HTTP/3's frames on a stream that is no longer `h3`'s: HEADERS and DATA (RFC 9114 section 7).

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h3::error::Code;
use quinn::{ReadError, RecvStream, VarInt};

use crate::wire::MAX_HEADER_BYTES;
use crate::wire::quic::session::put_varint;

/// A code as QUIC has it.
#[expect(clippy::cast_possible_truncation, reason = "the codes of HTTP/3 and QPACK are below 1024")]
const fn code(code: Code) -> VarInt {
    VarInt::from_u32(code.value() as u32)
}

/// Why a stream or a connection ends (RFC 9114 section 8.1).
pub(in crate::wire) const H3_NO_ERROR: VarInt = code(Code::H3_NO_ERROR);
pub(in crate::wire) const H3_STREAM_CREATION_ERROR: VarInt = code(Code::H3_STREAM_CREATION_ERROR);
pub(in crate::wire) const H3_CLOSED_CRITICAL_STREAM: VarInt = code(Code::H3_CLOSED_CRITICAL_STREAM);
pub(in crate::wire) const H3_FRAME_UNEXPECTED: VarInt = code(Code::H3_FRAME_UNEXPECTED);
pub(in crate::wire) const H3_FRAME_ERROR: VarInt = code(Code::H3_FRAME_ERROR);
pub(in crate::wire) const H3_EXCESSIVE_LOAD: VarInt = code(Code::H3_EXCESSIVE_LOAD);
pub(in crate::wire) const H3_ID_ERROR: VarInt = code(Code::H3_ID_ERROR);
pub(in crate::wire) const H3_SETTINGS_ERROR: VarInt = code(Code::H3_SETTINGS_ERROR);
pub(in crate::wire) const H3_MISSING_SETTINGS: VarInt = code(Code::H3_MISSING_SETTINGS);
pub(in crate::wire) const H3_REQUEST_REJECTED: VarInt = code(Code::H3_REQUEST_REJECTED);
pub(in crate::wire) const H3_REQUEST_CANCELLED: VarInt = code(Code::H3_REQUEST_CANCELLED);
pub(in crate::wire) const H3_REQUEST_INCOMPLETE: VarInt = code(Code::H3_REQUEST_INCOMPLETE);
pub(in crate::wire) const H3_MESSAGE_ERROR: VarInt = code(Code::H3_MESSAGE_ERROR);
/// A field section that can't be read, and instructions that must not be (RFC 9204 section 6).
pub(in crate::wire) const QPACK_DECOMPRESSION_FAILED: VarInt = code(Code::QPACK_DECOMPRESSION_FAILED);
pub(in crate::wire) const QPACK_ENCODER_STREAM_ERROR: VarInt = code(Code::QPACK_ENCODER_STREAM_ERROR);
pub(in crate::wire) const QPACK_DECODER_STREAM_ERROR: VarInt = code(Code::QPACK_DECODER_STREAM_ERROR);

/// Types of unidirectional streams (RFC 9114 section 6.2, RFC 9204 section 4.2).
pub(in crate::wire) const CONTROL: u64 = 0x0;
pub(in crate::wire) const PUSH: u64 = 0x1;
pub(in crate::wire) const QPACK_ENCODER: u64 = 0x2;
pub(in crate::wire) const QPACK_DECODER: u64 = 0x3;

/// Types of frames (RFC 9114 section 7.2).
pub(in crate::wire) const DATA: u64 = 0x0;
pub(in crate::wire) const HEADERS: u64 = 0x1;
pub(in crate::wire) const CANCEL_PUSH: u64 = 0x3;
pub(in crate::wire) const SETTINGS: u64 = 0x4;
pub(in crate::wire) const GOAWAY: u64 = 0x7;
pub(in crate::wire) const MAX_PUSH_ID: u64 = 0xd;

/// How much is read from a stream at once, in bytes.
const CHUNK_BYTES: usize = 4096;

/// A QUIC variable-length integer at the beginning of `bytes` and its length; `None`: there are not enough of them.
pub(in crate::wire) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = 1 << (first >> 6);
    let rest = bytes.get(1..length)?;
    Some((rest.iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte)), length))
}

/// What a frame begins with: its type and its payload's length, in bytes.
pub(in crate::wire) fn put_head(out: &mut BytesMut, kind: u64, length: usize) {
    for value in [kind, length as u64] {
        put_varint(out, VarInt::from_u64(value).unwrap_or(VarInt::MAX));
    }
}

/// Whether HTTP/3 knows this type of frame, or keeps it free of use (RFC 9114 section 7.2.8). On a stream of
/// extended CONNECT only DATA may come (section 4.4); what is unknown is skipped (section 9).
pub(in crate::wire) fn is_known(kind: u64) -> bool {
    kind <= 0x9 || kind == 0xd
}

/// What a session's own streams begin with, by kind; its id comes next (draft-ietf-webtrans-http3 section 4).
pub(in crate::wire) const UNI: u64 = 0x54;
pub(in crate::wire) const BI: u64 = 0x41;

/// Why what came on a stream can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum FrameError {
    /// The frames are wrong: the whole connection ends, with this code.
    DataFrames(VarInt),
    /// The peer reset the stream, with this code.
    Reset(VarInt),
    /// The connection is gone.
    Gone,
}

impl From<FrameError> for io::Error {
    fn from(fault: FrameError) -> Self {
        match fault {
            FrameError::DataFrames(code) => {
                Self::new(io::ErrorKind::InvalidData, format!("malformed frames: code {code}"))
            }
            FrameError::Reset(code) => Self::new(io::ErrorKind::ConnectionReset, format!("reset with code {code}")),
            FrameError::Gone => Self::new(io::ErrorKind::NotConnected, "the connection is gone"),
        }
    }
}

impl From<ReadError> for FrameError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => Self::Reset(code),
            _ => Self::Gone,
        }
    }
}

/// Finds the DATA in what comes on a stream of extended CONNECT.
#[derive(Debug, Default)]
pub(in crate::wire) struct DataFrames(State);

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Data(u64),
    Skip(u64),
}

impl DataFrames {
    /// Takes the next piece of data off the front; `None`: more has to come first.
    pub(in crate::wire) fn next(&mut self, front: &mut BytesMut) -> Result<Option<BytesMut>, FrameError> {
        loop {
            match self.0 {
                State::Data(left) | State::Skip(left) if left > 0 => {
                    if front.is_empty() {
                        return Ok(None);
                    }
                    // At most as long as what is there.
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(front.len());
                    let piece = front.split_to(length);
                    let left = left - length as u64;
                    if matches!(self.0, State::Data(_)) {
                        self.0 = State::Data(left);
                        return Ok(Some(piece));
                    }
                    self.0 = State::Skip(left);
                }
                _ => {
                    self.0 = State::Head;
                    let Some((kind, first)) = varint(front) else { return Ok(None) };
                    match kind {
                        // draft-ietf-webtrans-http3 section 4.3: anywhere but at the beginning of a stream.
                        BI => return Err(FrameError::DataFrames(H3_FRAME_ERROR)),
                        DATA => {}
                        known if is_known(known) => return Err(FrameError::DataFrames(H3_FRAME_UNEXPECTED)),
                        _ => {}
                    }
                    let Some((length, second)) = varint(&front[first..]) else { return Ok(None) };
                    self.0 = if kind == DATA { State::Data(length) } else { State::Skip(length) };
                    drop(front.split_to(first + second));
                }
            }
        }
    }

    /// Whether a stream may end here.
    pub(in crate::wire) fn is_between(&self, front: &BytesMut) -> bool {
        front.is_empty() && matches!(self.0, State::Head | State::Data(0) | State::Skip(0))
    }
}

/// The data that comes on a stream of extended CONNECT.
#[derive(Debug)]
pub(in crate::wire) struct DataReader {
    recv: RecvStream,
    front: BytesMut,
    frames: DataFrames,
}

impl DataReader {
    pub(in crate::wire) fn new(recv: RecvStream) -> Self {
        Self { recv, front: BytesMut::new(), frames: DataFrames::default() }
    }

    /// The next piece; `None`: the peer has ended its side.
    pub(in crate::wire) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<BytesMut>, FrameError>> {
        loop {
            if let Some(data) = self.frames.next(&mut self.front)? {
                return Poll::Ready(Ok(Some(data)));
            }
            let mut chunk = [0; CHUNK_BYTES];
            let length = ready!(self.recv.poll_read(cx, &mut chunk)).map_err(FrameError::from)?;
            if length == 0 {
                let whole = self.frames.is_between(&self.front);
                // RFC 9114 section 7.1: a frame that is cut short.
                return Poll::Ready(if whole { Ok(None) } else { Err(FrameError::DataFrames(H3_FRAME_ERROR)) });
            }
            self.front.extend_from_slice(&chunk[..length]);
        }
    }

    /// The same, to be waited for.
    pub(in crate::wire) async fn data(&mut self) -> Result<Option<BytesMut>, FrameError> {
        std::future::poll_fn(|cx| self.poll_data(cx)).await
    }

    /// Takes no more.
    pub(in crate::wire) fn stop(&mut self, code: VarInt) {
        // One that has ended needs none.
        let _ = self.recv.stop(code);
    }
}

/// The beginning of a stream or of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) struct Head {
    /// The stream's or frame's type.
    pub(in crate::wire) kind: u64,
    /// The frame's length, or of WebTransport the session's id.
    pub(in crate::wire) value: u64,
}

/// Reads one variable-length integer and no byte more, since what follows may be somebody else's; adds it to `read`.
/// `None`: the stream ended before or within.
pub(in crate::wire) async fn read_varint(
    recv: &mut RecvStream,
    read: &mut BytesMut,
) -> Result<Option<u64>, FrameError> {
    let start = read.len();
    let mut wanted = 1;
    loop {
        let mut bytes = [0; 8];
        let missing = wanted - (read.len() - start);
        match recv.read(&mut bytes[..missing]).await? {
            Some(length) => read.extend_from_slice(&bytes[..length]),
            None => return Ok(None),
        }
        if let Some((value, _)) = varint(&read[start..]) {
            return Ok(Some(value));
        }
        wanted = 1 << (read[start] >> 6);
    }
}

/// Reads a frame's head likewise.
pub(in crate::wire) async fn read_head(recv: &mut RecvStream, read: &mut BytesMut) -> Result<Option<Head>, FrameError> {
    let Some(kind) = read_varint(recv, read).await? else { return Ok(None) };
    Ok(read_varint(recv, read).await?.map(|value| Head { kind, value }))
}

/// Reads this many bytes more, and adds them to `read`. Whether the stream had so many.
pub(in crate::wire) async fn read_more(
    recv: &mut RecvStream,
    read: &mut BytesMut,
    length: usize,
) -> Result<bool, FrameError> {
    let end = read.len() + length;
    while read.len() < end {
        // In pieces: what a peer only says that it will send takes no memory.
        let start = read.len();
        read.resize(end.min(start + CHUNK_BYTES), 0);
        let got = recv.read(&mut read[start..]).await;
        read.truncate(start + got.as_ref().map_or(0, |got| got.unwrap_or(0)));
        if got?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads the next HEADERS frame's payload, skipping what is unknown.
pub(in crate::wire) async fn read_headers(recv: &mut RecvStream) -> Result<Bytes, FrameError> {
    let mut read = BytesMut::new();
    loop {
        read.clear();
        let Some(head) = read_head(recv, &mut read).await? else { return Err(FrameError::DataFrames(H3_FRAME_ERROR)) };
        if head.kind != HEADERS && is_known(head.kind) {
            return Err(FrameError::DataFrames(H3_FRAME_UNEXPECTED));
        }
        let length = usize::try_from(head.value).ok().filter(|length| *length <= MAX_HEADER_BYTES as usize);
        let length = length.ok_or(FrameError::DataFrames(H3_EXCESSIVE_LOAD))?;
        read.clear();
        if !read_more(recv, &mut read, length).await? {
            return Err(FrameError::DataFrames(H3_FRAME_ERROR));
        }
        if head.kind == HEADERS {
            return Ok(read.freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// All data that comes in these pieces, and whether the stream may end then.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<u8>, bool), FrameError> {
        let (mut frames, mut front, mut data) = (DataFrames::default(), BytesMut::new(), Vec::new());
        for piece in pieces {
            front.extend_from_slice(piece);
            while let Some(piece) = frames.next(&mut front)? {
                assert!(!piece.is_empty());
                data.extend_from_slice(&piece);
            }
        }
        Ok((data, frames.is_between(&front)))
    }

    /// The same bytes in pieces of random lengths.
    fn pieces<'a>(bytes: &'a [u8], random: &mut SmallRng) -> Vec<&'a [u8]> {
        let (mut pieces, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(random.random_range(1..=rest.len().min(9)));
            pieces.push(piece);
            rest = others;
        }
        pieces
    }

    #[test]
    fn data_is_the_same_however_it_is_cut_and_whatever_stands_between() {
        for seed in 0..500 {
            let mut random = SmallRng::seed_from_u64(seed);
            let (mut bytes, mut wanted) = (BytesMut::new(), Vec::new());
            for _ in 0..random.random_range(0..8) {
                let payload: Vec<u8> = (0..random.random_range(0..200)).map(|_| random.random()).collect();
                let kind = if random.random() { DATA } else { random.random_range(BI + 1..1 << 40) };
                put_head(&mut bytes, kind, payload.len());
                bytes.extend_from_slice(&payload);
                if kind == DATA {
                    wanted.extend(payload);
                }
            }
            assert_eq!(read(pieces(&bytes, &mut random)), Ok((wanted, true)), "seed {seed}");
            let cut = random.random_range(0..bytes.len().max(1));
            let (data, _) = read([&bytes[..cut.min(bytes.len())]]).unwrap();
            assert!(data.len() <= cut);
        }
    }

    #[test]
    fn any_bytes_are_data_or_a_fault_and_never_more_than_came() {
        for seed in 0..2000 {
            let mut random = SmallRng::seed_from_u64(seed);
            let bytes: Vec<u8> = (0..random.random_range(0..64)).map(|_| random.random()).collect();
            let whole = read([&bytes[..]]);
            assert_eq!(whole, read(pieces(&bytes, &mut random)), "seed {seed}");
            match whole {
                Ok((data, _)) => assert!(data.len() < bytes.len().max(1)),
                Err(FrameError::DataFrames(H3_FRAME_UNEXPECTED | H3_FRAME_ERROR)) => {}
                Err(fault) => panic!("{fault:?}"),
            }
        }
    }

    #[test]
    fn a_frame_that_http_3_knows_is_unexpected() {
        for kind in (1..=9).chain([0xd]) {
            assert_eq!(read([&[kind, 0][..]]), Err(FrameError::DataFrames(H3_FRAME_UNEXPECTED)), "{kind}");
        }
        assert_eq!(
            read([&[0x40, 0x41][..]]),
            Err(FrameError::DataFrames(H3_FRAME_ERROR)),
            "a stream of a session within one"
        );
    }

    #[test]
    fn an_integer_is_read_as_it_is_written() {
        // RFC 9000 appendix A.1.
        let samples: [(&[u8], u64); 4] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
        ];
        for (bytes, value) in samples {
            assert_eq!(varint(bytes), Some((value, bytes.len())));
            assert_eq!(varint(&bytes[..bytes.len() - 1]), None, "cut short");
            let mut written = BytesMut::new();
            put_varint(&mut written, VarInt::from_u64(value).unwrap());
            assert_eq!(written, bytes);
        }
        assert_eq!(varint(&[0x40, 0x25]), Some((37, 2)), "longer than needed");
    }
}
