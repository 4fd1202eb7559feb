//! Settings that `h3` has no word for, put into those that it sends.

use bytes::{Bytes, BytesMut};
use quinn::VarInt;

use super::h3_frames::{H3_FRAME_ERROR, H3_SETTINGS_ERROR, SETTINGS, put_head, varint};
use super::session::put_varint;

/// `SETTINGS_ENABLE_CONNECT_PROTOCOL` (RFC 9220 section 3) and `SETTINGS_H3_DATAGRAM` (RFC 9297 section 2.1.1).
const ENABLE_CONNECT_PROTOCOL: u64 = 0x8;
const H3_DATAGRAM: u64 = 0x33;
/// `SETTINGS_ENABLE_WEBTRANSPORT` of draft-ietf-webtrans-http3-02, which browsers of today speak; `h3` gives it to
/// servers alone.
pub(super) const ENABLE_WEBTRANSPORT: u64 = 0x2b60_3742;
/// `SETTINGS_WEBTRANSPORT_MAX_SESSIONS` of later drafts (draft-ietf-webtrans-http3-07 section 8.2).
pub(super) const WEBTRANSPORT_MAX_SESSIONS: u64 = 0xc671_706a;

/// What a control stream begins with: its type, and that of the frame (RFC 9114 sections 6.2.1 and 7.2.4).
const BEGINNING: [u8; 2] = [0, 4];

/// Settings by id.
pub(super) type Settings = &'static [(u64, u64)];

/// The beginning of a control stream with these settings in place of those of the same ids.
pub(super) fn add(settings: Settings, beginning: Bytes) -> Bytes {
    let Some(mut theirs) = payload(&beginning) else { return beginning };
    let mut payload = BytesMut::new();
    while let Some((id, first)) = varint(theirs)
        && let Some((value, second)) = varint(&theirs[first..])
    {
        theirs = &theirs[first + second..];
        if settings.iter().all(|(ours, _)| *ours != id) {
            put(&mut payload, id, value);
        }
    }
    for (id, value) in settings {
        put(&mut payload, *id, *value);
    }
    let mut bytes = BytesMut::from(&[BEGINNING[0]][..]);
    put_head(&mut bytes, SETTINGS, payload.len());
    bytes.extend_from_slice(&payload);
    bytes.freeze()
}

fn payload(beginning: &[u8]) -> Option<&[u8]> {
    let frame = beginning.strip_prefix(&BEGINNING)?;
    let (_, length) = varint(frame)?;
    frame.get(length..)
}

/// Looks at the payload of a peer's SETTINGS; the code to close the connection with. What the ids themselves may be,
/// `h3` looks at.
pub(super) fn check(payload: &[u8]) -> Result<(), VarInt> {
    let mut rest = payload;
    while !rest.is_empty() {
        let (id, first) = varint(rest).ok_or(H3_FRAME_ERROR)?;
        let (value, second) = varint(&rest[first..]).ok_or(H3_FRAME_ERROR)?;
        if matches!(id, ENABLE_CONNECT_PROTOCOL | H3_DATAGRAM) && value > 1 {
            return Err(H3_SETTINGS_ERROR);
        }
        rest = &rest[first + second..];
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
    fn a_setting_of_the_same_id_is_replaced_and_the_others_stay() {
        // SETTINGS_MAX_FIELD_SECTION_SIZE = 5, and draft 02's switched off.
        let beginning = Bytes::from_static(&[0, 4, 7, 6, 5, 0xab, 0x60, 0x37, 0x42, 0]);
        let wanted = [0, 4, 7, 6, 5, 0xab, 0x60, 0x37, 0x42, 1];
        assert_eq!(add(&[(ENABLE_WEBTRANSPORT, 1)], beginning)[..], wanted);
        let other = Bytes::from_static(&[2]);
        assert_eq!(add(&[(ENABLE_WEBTRANSPORT, 1)], other.clone()), other, "that of QPACK's encoder");
    }
}
