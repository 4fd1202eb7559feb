//! The frames of a peer's stream before `h3` sees them: it lets pass what it must not, and keeps all of a frame in
//! memory until it is whole, however long it says that it is.
//!
//! What goes on to `h3` is DATA as it comes, and frames of other types that it knows once they are whole and right.
//! What means nothing is left out.

use bytes::{Bytes, BytesMut};
use quinn::VarInt;

use crate::wire::MAX_HEADER_BYTES;
use crate::wire::h3::codec::section::{self, SectionError};
use crate::wire::h3::codec::settings;
use crate::wire::h3::frames::BI;
use crate::wire::h3::frames::{
    CANCEL_PUSH, DATA, GOAWAY, H3_EXCESSIVE_LOAD, H3_FRAME_ERROR, H3_FRAME_UNEXPECTED, H3_ID_ERROR,
    H3_MISSING_SETTINGS, HEADERS, MAX_PUSH_ID, SETTINGS, is_known, put_head, varint,
};

/// How long a frame may be that is looked at as a whole, in bytes.
const MAX_WHOLE_BYTES: u64 = MAX_HEADER_BYTES as u64;
/// How long an integer is at most, in bytes (RFC 9000 section 16).
const MAX_VARINT_BYTES: u64 = 8;

/// What a peer must not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::wire) enum FilterError {
    #[error("a malformed message: code {0}")]
    Stream(VarInt),
    #[error("frames that must not be: code {0}")]
    Connection(VarInt),
}

impl From<SectionError> for FilterError {
    fn from(wrong: SectionError) -> Self {
        match wrong {
            SectionError::Message(code) => Self::Stream(code),
            SectionError::Section(code) => Self::Connection(code),
        }
    }
}

const fn connection<T>(code: VarInt) -> Result<T, FilterError> {
    Err(FilterError::Connection(code))
}

/// Which stream it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum FilteredStream {
    /// A client's control stream.
    ControlOfClient,
    /// A server's.
    ControlOfServer,
    /// A request's, behind its header.
    Request,
}

/// Lets through what `h3` may see.
#[derive(Debug)]
pub(in crate::wire) struct Filter {
    place: FilteredStream,
    state: State,
    /// What was read of a frame that is looked at as a whole.
    front: BytesMut,
    /// SETTINGS have come; trailers have.
    begun: bool,
    /// The last `MAX_PUSH_ID`.
    max_push_id: Option<u64>,
    /// What the peer's settings say, until somebody takes them.
    settings: Option<Bytes>,
    /// What its GOAWAY names, likewise.
    goaway: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Head,
    /// So many bytes more go on as they come.
    Pass(u64),
    Skip(u64),
    /// A payload of this type and length is kept until it is whole.
    Keep(u64, usize),
}

impl Filter {
    /// At the beginning of a frame, or where so many bytes of one are yet to come that goes on as it comes.
    pub(in crate::wire) fn new(place: FilteredStream, left: u64) -> Self {
        let state = State::Pass(left);
        Self { place, state, front: BytesMut::new(), begun: false, max_push_id: None, settings: None, goaway: None }
    }

    /// What has come goes in; what may go on comes out, which may be nothing yet.
    pub(in crate::wire) fn pass(&mut self, chunk: Bytes) -> Result<Bytes, FilterError> {
        if let State::Pass(left) = self.state
            && chunk.len() as u64 <= left
            && self.front.is_empty()
        {
            self.state = State::Pass(left - chunk.len() as u64);
            return Ok(chunk);
        }
        self.front.extend_from_slice(&chunk);
        let mut out = BytesMut::new();
        loop {
            match self.state {
                State::Pass(0) | State::Skip(0) => self.state = State::Head,
                State::Pass(left) | State::Skip(left) => {
                    if self.front.is_empty() {
                        break;
                    }
                    // At most as long as what is there.
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(self.front.len());
                    let piece = self.front.split_to(length);
                    let left = left - length as u64;
                    if matches!(self.state, State::Pass(_)) {
                        out.extend_from_slice(&piece);
                        self.state = State::Pass(left);
                    } else {
                        self.state = State::Skip(left);
                    }
                }
                State::Keep(kind, length) => {
                    if self.front.len() < length {
                        break;
                    }
                    let payload = self.front.split_to(length).freeze();
                    self.state = State::Head;
                    if self.whole(kind, &payload)? {
                        put_head(&mut out, kind, payload.len());
                        out.extend_from_slice(&payload);
                    }
                }
                State::Head => {
                    let Some((kind, first)) = varint(&self.front) else { break };
                    self.admit(kind)?;
                    let Some((length, second)) = varint(&self.front[first..]) else { break };
                    self.state = Self::begin(kind, length)?;
                    let head = self.front.split_to(first + second);
                    if matches!(self.state, State::Pass(_)) {
                        out.extend_from_slice(&head);
                    }
                }
            }
        }
        if self.front.is_empty() {
            // An idle stream holds no memory for what once came.
            self.front = BytesMut::new();
        }
        Ok(out.freeze())
    }

    /// Whether the stream may end here.
    pub(in crate::wire) fn end(&self) -> Result<(), FilterError> {
        let between = matches!(self.state, State::Head | State::Pass(0) | State::Skip(0));
        // RFC 9114 section 7.1: a frame that is cut short.
        if between && self.front.is_empty() { Ok(()) } else { connection(H3_FRAME_ERROR) }
    }

    /// The payload of the peer's SETTINGS, once, when they have come.
    pub(in crate::wire) fn take_settings(&mut self) -> Option<Bytes> {
        self.settings.take()
    }

    /// What the peer's GOAWAY names, once, when one has come.
    pub(in crate::wire) fn take_goaway(&mut self) -> Option<u64> {
        self.goaway.take()
    }

    /// Whether a frame of this type may come here and now.
    fn admit(&self, kind: u64) -> Result<(), FilterError> {
        let request = self.place == FilteredStream::Request;
        match kind {
            // RFC 9114 section 6.2.1: whatever else comes first.
            kind if !request && !self.begun && kind != SETTINGS => connection(H3_MISSING_SETTINGS),
            // draft-ietf-webtrans-http3 section 4.3: anywhere but at the beginning of a stream.
            BI => connection(H3_FRAME_ERROR),
            // RFC 9114 section 4.1: trailers are the last.
            DATA | HEADERS if request && !self.begun => Ok(()),
            SETTINGS if !request && !self.begun => Ok(()),
            CANCEL_PUSH | GOAWAY if !request => Ok(()),
            MAX_PUSH_ID if self.place == FilteredStream::ControlOfClient => Ok(()),
            kind if is_known(kind) => connection(H3_FRAME_UNEXPECTED),
            _ => Ok(()),
        }
    }

    /// What is done with a frame.
    fn begin(kind: u64, length: u64) -> Result<State, FilterError> {
        match kind {
            DATA => Ok(State::Pass(length)),
            HEADERS if length > MAX_WHOLE_BYTES => Err(FilterError::Stream(H3_EXCESSIVE_LOAD)),
            SETTINGS if length > MAX_WHOLE_BYTES => connection(H3_EXCESSIVE_LOAD),
            // RFC 9114 section 7.1: their payload is one integer.
            CANCEL_PUSH | GOAWAY | MAX_PUSH_ID if length > MAX_VARINT_BYTES => connection(H3_FRAME_ERROR),
            HEADERS | SETTINGS | CANCEL_PUSH | GOAWAY | MAX_PUSH_ID => {
                usize::try_from(length).map(|length| State::Keep(kind, length)).or(connection(H3_FRAME_ERROR))
            }
            _ => Ok(State::Skip(length)),
        }
    }

    /// Looks at a frame that is whole; whether it goes on.
    fn whole(&mut self, kind: u64, payload: &Bytes) -> Result<bool, FilterError> {
        match kind {
            HEADERS => {
                self.begun = true;
                section::trailers(payload)?;
                return Ok(true);
            }
            SETTINGS => {
                self.begun = true;
                settings::check(payload).map_err(FilterError::Connection)?;
                self.settings = Some(payload.clone());
                return Ok(true);
            }
            _ => {}
        }
        let Some((id, _)) = varint(payload).filter(|(_, length)| *length == payload.len()) else {
            return connection(H3_FRAME_ERROR);
        };
        match kind {
            // RFC 9114 section 7.2.3: nothing is pushed here, so there is no such id.
            CANCEL_PUSH => connection(H3_ID_ERROR),
            MAX_PUSH_ID => {
                // Section 7.2.7: it doesn't shrink. And nobody here wants to know how far it grew.
                let shrunk = self.max_push_id.replace(id).is_some_and(|before| id < before);
                if shrunk { connection(H3_ID_ERROR) } else { Ok(false) }
            }
            // Section 5.2: a server names a request's stream.
            GOAWAY if self.place == FilteredStream::ControlOfServer && !id.is_multiple_of(4) => connection(H3_ID_ERROR),
            _ => {
                self.goaway = Some(id);
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests;
