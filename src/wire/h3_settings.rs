//! Settings that `h3` has no word for, put into those that it sends.

use bytes::{Bytes, BytesMut};
use quinn::VarInt;

use super::h3_frames::{put_head, varint};
use super::session::put_varint;

/// The type of a control stream, and of the frame that it begins with (RFC 9114 sections 6.2.1 and 7.2.4).
const CONTROL: u8 = 0;
const SETTINGS: u8 = 4;
/// `SETTINGS_ENABLE_WEBTRANSPORT` of draft-ietf-webtrans-http3-02, which browsers of today speak; `h3` gives it to
/// servers alone.
pub(super) const ENABLE_WEBTRANSPORT: u64 = 0x2b60_3742;
/// `SETTINGS_WEBTRANSPORT_MAX_SESSIONS` of later drafts (draft-ietf-webtrans-http3-07 section 8.2).
pub(super) const WEBTRANSPORT_MAX_SESSIONS: u64 = 0xc671_706a;

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
    let mut bytes = BytesMut::from(&[CONTROL][..]);
    put_head(&mut bytes, SETTINGS.into(), payload.len());
    bytes.extend_from_slice(&payload);
    bytes.freeze()
}

fn payload(beginning: &[u8]) -> Option<&[u8]> {
    let frame = beginning.strip_prefix(&[CONTROL, SETTINGS])?;
    let (_, length) = varint(frame)?;
    frame.get(length..)
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
