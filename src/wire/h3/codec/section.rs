//! The lines of a field section (QPACK, RFC 9204 section 4.5), before `h3` decodes them.
//!
//! `h3` keeps the last of several pseudo-header fields and forgets where they stood, lets a response's stand in a
//! request and any in trailers. Names tell, which needs no table but the static one. And the `:protocol` is taken out
//! here, since `h3` refuses one that it doesn't know.

use bytes::{Bytes, BytesMut};
use quinn::VarInt;

use crate::wire::h3::frames::{H3_MESSAGE_ERROR, QPACK_DECOMPRESSION_FAILED};
use crate::wire::token;

/// Pseudo-header fields of requests (RFC 9114 section 4.3.1; RFC 8441 section 4), plain and in Huffman's code
/// (RFC 7541 appendix B).
const PSEUDO: [(Name, [&[u8]; 2]); 5] = [
    (Name::Method, [b":method", b"\xb9\x49\x53\x39\xe4"]),
    (Name::Scheme, [b":scheme", b"\xb8\x82\x4e\x5a\x4b"]),
    (Name::Authority, [b":authority", b"\xb8\x3b\x53\x39\xec\x32\x7d\x7f"]),
    (Name::Path, [b":path", b"\xb9\x58\xd3\x3f"]),
    (Name::ConnectProtocol, [b":protocol", b"\xb9\x5d\x87\x49\xc8\x7a\x3f"]),
];
/// Values of `:protocol` that are served here, plain and likewise.
const WEBSOCKET: [&[u8]; 2] = [token::WEBSOCKET.as_bytes(), b"\xf0\x58\xd0\x72\x75\x2a\x7f"];
const WEBTRANSPORT: [&[u8]; 2] = [token::WEBTRANSPORT.as_bytes(), b"\xf0\x58\xd3\x60\xea\x45\x67\xb1\x3f"];
/// The name of later drafts of WebTransport.
const WEBTRANSPORT_H3: [&[u8]; 2] = [b"webtransport-h3", b"\xf0\x58\xd3\x60\xea\x45\x67\xb1\x2b\x4e\xcf"];

/// What an extended CONNECT wants to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum ConnectProtocol {
    WebSocket,
    WebTransport,
    /// WebTransport by the name of later drafts.
    WebTransportH3,
    Other,
}

impl ConnectProtocol {
    /// Its name in an exchange.
    pub(in crate::wire) fn name(self) -> &'static str {
        match self {
            Self::WebSocket => token::WEBSOCKET,
            Self::WebTransport | Self::WebTransportH3 => token::WEBTRANSPORT,
            Self::Other => "",
        }
    }

    /// Its name on the wire; empty where it isn't known.
    pub(in crate::wire) fn token(self) -> &'static str {
        if self == Self::WebTransportH3 { "webtransport-h3" } else { self.name() }
    }

    /// Whether it opens a session.
    pub(in crate::wire) fn is_session(self) -> bool {
        matches!(self, Self::WebTransport | Self::WebTransportH3)
    }

    fn of(value: Text<'_>) -> Self {
        let known =
            [(Self::WebSocket, WEBSOCKET), (Self::WebTransport, WEBTRANSPORT), (Self::WebTransportH3, WEBTRANSPORT_H3)];
        known.into_iter().find(|(_, name)| value.is(*name)).map_or(Self::Other, |(protocol, _)| protocol)
    }
}

/// What a request's header is.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::wire) enum Header {
    /// It has no `:protocol`.
    Plain,
    /// An extended CONNECT: what it wants to speak, and the section without its `:protocol`.
    Extended(ConnectProtocol, Bytes),
}

/// Why a section is no request's header, or no trailers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum SectionError {
    /// The message is malformed: its stream ends with this code.
    Message(VarInt),
    /// The section can't be read: the connection ends with this code.
    Section(VarInt),
}

const MALFORMED: SectionError = SectionError::Message(H3_MESSAGE_ERROR);
const UNREADABLE: SectionError = SectionError::Section(QPACK_DECOMPRESSION_FAILED);

/// Looks at a request's header.
pub(in crate::wire) fn header(section: &[u8]) -> Result<Header, SectionError> {
    let mut lines = Lines::begin(section).ok_or(UNREADABLE)?;
    let (mut pseudo, mut seen, mut protocol) = (true, 0_u8, None);
    while lines.at < section.len() {
        let start = lines.at;
        let (name, value) = lines.line().ok_or(UNREADABLE)?;
        let bit = match name {
            Name::Field => {
                pseudo = false;
                continue;
            }
            // RFC 9114 section 4.3: none but a request's, before all others, and each once.
            Name::Status | Name::Unknown => return Err(MALFORMED),
            name => 1 << name as u8,
        };
        if !pseudo || seen & bit != 0 {
            return Err(MALFORMED);
        }
        seen |= bit;
        if name == Name::ConnectProtocol {
            protocol = Some((value.map_or(ConnectProtocol::Other, ConnectProtocol::of), start, lines.at));
        }
    }
    let Some((protocol, start, end)) = protocol else { return Ok(Header::Plain) };
    let mut rest = BytesMut::with_capacity(section.len());
    rest.extend_from_slice(&section[..start]);
    rest.extend_from_slice(&section[end..]);
    Ok(Header::Extended(protocol, rest.freeze()))
}

/// Looks at a request's trailers: they have no pseudo-header fields (RFC 9114 section 4.3).
pub(in crate::wire) fn trailers(section: &[u8]) -> Result<(), SectionError> {
    let mut lines = Lines::begin(section).ok_or(UNREADABLE)?;
    while lines.at < section.len() {
        if lines.line().ok_or(UNREADABLE)?.0 != Name::Field {
            return Err(MALFORMED);
        }
    }
    Ok(())
}

/// A string literal: whether it is in Huffman's code, and its bytes.
#[derive(Debug, Clone, Copy)]
struct Text<'a>(bool, &'a [u8]);

impl Text<'_> {
    fn is(&self, [plain, coded]: [&[u8]; 2]) -> bool {
        self.1 == if self.0 { coded } else { plain }
    }
}

/// The name of a field line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Method,
    Scheme,
    Authority,
    Path,
    ConnectProtocol,
    /// A response's.
    Status,
    /// Begins with a colon, and is none of these.
    Unknown,
    Field,
}

impl Name {
    /// An entry's of the static table (RFC 9204 appendix A).
    fn of_entry(index: usize) -> Self {
        match index {
            0 => Self::Authority,
            1 => Self::Path,
            15..=21 => Self::Method,
            22 | 23 => Self::Scheme,
            24..=28 | 63..=71 => Self::Status,
            _ => Self::Field,
        }
    }

    fn of(name: Text<'_>) -> Self {
        // A colon, and the seven bits that it is in Huffman's code.
        let colon = name.1.first().is_some_and(|first| if name.0 { first >> 1 == 0x5c } else { *first == b':' });
        if !colon {
            return Self::Field;
        }
        PSEUDO.into_iter().find(|(_, known)| name.is(*known)).map_or(Self::Unknown, |(known, _)| known)
    }
}

/// Walks over field line representations (RFC 9204 section 4.5).
struct Lines<'a> {
    section: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn begin(section: &'a [u8]) -> Option<Self> {
        let mut lines = Self { section, at: 0 };
        // RFC 9204 section 4.5.1: what the section needs of the dynamic table, which is empty here.
        lines.number(8)?;
        lines.number(7)?;
        Some(lines)
    }

    /// The next line, and its value where that is a literal; `None`: it can't be read.
    fn line(&mut self) -> Option<(Name, Option<Text<'a>>)> {
        let first = *self.section.get(self.at)?;
        if first & 0x80 != 0 {
            let index = self.number(6)?;
            // Without the bit it is the dynamic table's, which is empty: `h3` says so.
            return Some((if first & 0x40 != 0 { Name::of_entry(index) } else { Name::Field }, None));
        }
        if first & 0x40 != 0 {
            let index = self.number(4)?;
            let name = if first & 0x10 != 0 { Name::of_entry(index) } else { Name::Field };
            return Some((name, Some(self.text(7)?)));
        }
        if first & 0x20 != 0 {
            let name = self.text(3)?;
            return Some((Name::of(name), Some(self.text(7)?)));
        }
        // References past the base: to the dynamic table.
        self.number(if first & 0x10 != 0 { 4 } else { 3 })?;
        if first & 0x10 == 0 {
            self.text(7)?;
        }
        Some((Name::Field, None))
    }

    /// A string literal whose length has a prefix of so many bits.
    fn text(&mut self, bits: u8) -> Option<Text<'a>> {
        let coded = *self.section.get(self.at)? & 1 << bits != 0;
        let length = self.number(bits)?;
        let bytes = self.section.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(Text(coded, bytes))
    }

    /// An integer with a prefix of so many bits (RFC 7541 section 5.1).
    fn number(&mut self, bits: u8) -> Option<usize> {
        let most = usize::MAX >> (usize::BITS - u32::from(bits));
        let mut value = usize::from(*self.section.get(self.at)?) & most;
        self.at += 1;
        if value < most {
            return Some(value);
        }
        // Nothing here is longer than a frame may be: three more bytes say all there is to say.
        for shift in [0, 7, 14, 21] {
            let byte = *self.section.get(self.at)?;
            self.at += 1;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
