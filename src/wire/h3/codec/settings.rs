//! What SETTINGS say of WebTransport, which `h3` has few words for; and values in them that it doesn't look at.

use bytes::{Bytes, BytesMut};
use quinn::VarInt;

use crate::trial::{Dialect, Dialects};
use crate::wire::h3::frames::{H3_FRAME_ERROR, H3_SETTINGS_ERROR, SETTINGS, put_head, varint};
use crate::wire::quic::session::put_varint;

/// `SETTINGS_ENABLE_CONNECT_PROTOCOL` (RFC 9220 section 3) and `SETTINGS_H3_DATAGRAM` (RFC 9297 section 2.1.1).
const ENABLE_CONNECT_PROTOCOL: u64 = 0x8;
const H3_DATAGRAM: u64 = 0x33;
/// How many sessions a connection carries at once; more are refused (draft-ietf-webtrans-http3 section 5.2).
pub(in crate::wire) const MAX_SESSIONS: usize = 1000;

/// What says that WebTransport is spoken, by dialect: `SETTINGS_ENABLE_WEBTRANSPORT` (draft-ietf-webtrans-http3-02
/// section 3.1), `SETTINGS_WEBTRANSPORT_MAX_SESSIONS` (07, section 8.2), `SETTINGS_WT_MAX_SESSIONS` (13) and
/// `SETTINGS_WT_ENABLED` (15).
///
/// With 13 and 14 one session is promised: more would need flow control of sessions, by capsules that nobody here
/// writes. And from 15 on a client may not ask for a second one on a connection without it.
///
/// Deviation: further sessions on a connection are taken all the same, in every dialect.
const WEBTRANSPORT: [(Dialect, u64, u64); 4] = [
    (Dialect::Draft02, 0x2b60_3742, 1),
    (Dialect::Draft07, 0xc671_706a, MAX_SESSIONS as u64),
    (Dialect::Draft13, 0x14e9_cd29, 1),
    (Dialect::Draft15, 0x2c7c_f000, 1),
];
/// How many sessions draft 02 to 06 promise, and draft 02's datagrams, which `h3` has words for: they go with it.
const MAX_SESSIONS_OF_DRAFT_02: u64 = 0x2b60_3743;

/// What a control stream begins with: its type, and that of the frame (RFC 9114 sections 6.2.1 and 7.2.4).
const BEGINNING: [u8; 2] = [0, 4];

/// The beginning of a control stream with these dialects of WebTransport in place of what it says of it.
pub(in crate::wire) fn offer(dialects: Dialects, beginning: Bytes) -> Bytes {
    let Some(theirs) = payload(&beginning) else { return beginning };
    let mut payload = BytesMut::new();
    for (id, value) in Pairs(theirs).flatten() {
        let known = WEBTRANSPORT.iter().any(|(_, setting, _)| *setting == id);
        if !known && id != MAX_SESSIONS_OF_DRAFT_02 {
            put(&mut payload, id, value);
        }
    }
    for (_, id, value) in WEBTRANSPORT.into_iter().filter(|(dialect, ..)| dialects.contains(*dialect)) {
        put(&mut payload, id, value);
    }
    let mut bytes = BytesMut::from(&[BEGINNING[0]][..]);
    put_head(&mut bytes, SETTINGS, payload.len());
    bytes.extend_from_slice(&payload);
    bytes.freeze()
}

/// The dialects that a peer's SETTINGS name, whose payload was looked at.
pub(in crate::wire) fn dialects(payload: &[u8]) -> Dialects {
    let named = |(id, value): (u64, u64)| WEBTRANSPORT.into_iter().find(|(_, known, _)| *known == id && value > 0);
    Pairs(payload).flatten().filter_map(named).map(|(dialect, ..)| dialect).collect()
}

/// All that a peer's SETTINGS say, as ids and values.
pub(in crate::wire) fn pairs(payload: &[u8]) -> Vec<(u64, u64)> {
    Pairs(payload).flatten().collect()
}

/// Ids and values of a payload, as far as they can be read.
struct Pairs<'a>(&'a [u8]);

impl Iterator for Pairs<'_> {
    type Item = Result<(u64, u64), VarInt>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.0);
        if rest.is_empty() {
            return None;
        }
        let pair = varint(rest).and_then(|(id, first)| {
            let (value, second) = varint(&rest[first..])?;
            self.0 = &rest[first + second..];
            Some((id, value))
        });
        Some(pair.ok_or(H3_FRAME_ERROR))
    }
}

fn payload(beginning: &[u8]) -> Option<&[u8]> {
    let frame = beginning.strip_prefix(&BEGINNING)?;
    let (_, length) = varint(frame)?;
    frame.get(length..)
}

/// Looks at the payload of a peer's SETTINGS; the code to close the connection with. What the ids themselves may be,
/// `h3` looks at.
pub(in crate::wire) fn check(payload: &[u8]) -> Result<(), VarInt> {
    for pair in Pairs(payload) {
        let (id, value) = pair?;
        if matches!(id, ENABLE_CONNECT_PROTOCOL | H3_DATAGRAM) && value > 1 {
            return Err(H3_SETTINGS_ERROR);
        }
    }
    Ok(())
}

fn put(payload: &mut BytesMut, id: u64, value: u64) {
    for value in [id, value] {
        put_varint(payload, VarInt::from_u64(value).unwrap_or(VarInt::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialects_that_are_offered_stand_in_place_of_what_was_said_and_the_rest_stays() {
        // SETTINGS_MAX_FIELD_SECTION_SIZE = 5, and draft 02's switched off.
        let beginning = Bytes::from_static(&[0, 4, 7, 6, 5, 0xab, 0x60, 0x37, 0x42, 0]);
        for dialects in [Dialects::ALL, Dialects::default(), [Dialect::Draft02, Dialect::Draft15].into_iter().collect()]
        {
            let said = offer(dialects, beginning.clone());
            let payload = payload(&said).unwrap();
            assert_eq!(payload[..2], [6, 5]);
            assert_eq!(super::dialects(payload), dialects);
            assert_eq!(check(payload), Ok(()));
            assert_eq!(Pairs(payload).count(), 1 + dialects.iter().count(), "nothing else, nor twice");
        }
        let draft_02 = offer([Dialect::Draft02].into_iter().collect(), beginning);
        assert_eq!(draft_02[..], [0, 4, 7, 6, 5, 0xab, 0x60, 0x37, 0x42, 1]);
        let other = Bytes::from_static(&[2]);
        assert_eq!(offer(Dialects::ALL, other.clone()), other, "that of QPACK's encoder");
    }
}
