//! The data of a trial's events: text that its reader can check without knowing it beforehand.
//!
//! `HHHHHHHH SEQ FILLER`: eight hexadecimal digits of FNV-1a (32 bits) over all that follows the first space,
//! the sequence number that also ends the event's id, and printable filler. The trial page checks the
//! same (`src/page/receipts.js`).

use std::fmt::Write;

use data_encoding::BASE64;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// The shortest data that has place for the check of any event of a trial.
pub const MIN_BYTES: u64 = 16;

/// The data of the event with this sequence number, `size` bytes long (at least what the check needs).
pub fn text(seed: u64, seq: u64, size: u64) -> String {
    let mut rest = format!("{seq} ");
    let wanted = usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(9);
    let mut random = SmallRng::seed_from_u64(seed ^ seq.rotate_left(32));
    while rest.len() < wanted {
        rest.push(char::from(random.random_range(b'!'..=b'~')));
    }
    format!("{:08x} {rest}", fnv1a(rest.as_bytes()))
}

/// The same with filler that compresses as an application's JSON does.
pub fn json(seed: u64, seq: u64, size: u64) -> String {
    let mut rest = format!("{seq} ");
    let wanted = usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(9);
    let mut random = SmallRng::seed_from_u64(seed ^ seq.rotate_left(32));
    let head = rest.len();
    while rest.len() < wanted {
        let symbol = SYMBOLS[random.random_range(0..SYMBOLS.len())];
        let [price, bid, ask] = std::array::from_fn(|_| f64::from(random.random_range(10_000..30_000)) / 100.0);
        let (volume, buyer) = (random.random_range(1..10_000), random.random_range(1..1_000));
        let _ = write!(
            rest,
            r#"{{"symbol":"{symbol}","price":{price:.2},"volume":{volume},"bid":{bid:.2},"ask":{ask:.2},"buyer":"user{buyer}@example.com"}},"#
        );
    }
    rest.truncate(wanted.max(head));
    format!("{:08x} {rest}", fnv1a(rest.as_bytes()))
}

/// What `symbol` is one of.
const SYMBOLS: [&str; 4] = ["ALFA", "BRVO", "CHRL", "DLTA"];

/// Whether data is what was published under this sequence number.
pub fn is_right(seq: u64, data: &str) -> bool {
    let Some((hash, rest)) = data.split_once(' ') else { return false };
    let Some((number, _)) = rest.split_once(' ') else { return false };
    number.parse() == Ok(seq) && u32::from_str_radix(hash, 16) == Ok(fnv1a(rest.as_bytes()))
}

/// The data that this text carries, if it carries some that was bytes: it is their base64.
pub fn from_text(text: &str) -> Option<String> {
    String::from_utf8(BASE64.decode(text.as_bytes()).ok()?).ok()
}

/// The number that data carries, where it is what was sent under that number.
pub fn number(data: &str) -> Option<u32> {
    let (hash, rest) = data.split_once(' ')?;
    let (number, _) = rest.split_once(' ')?;
    (u32::from_str_radix(hash, 16) == Ok(fnv1a(rest.as_bytes()))).then(|| number.parse().ok()).flatten()
}

/// FNV-1a with 32 bits: not against forgery, but one line in any client's language.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_has_the_size_asked_for_and_proves_itself() {
        for size in [16, 100, 4096] {
            for data in [text(1, 18, size), json(1, 18, size)] {
                assert_eq!(data.len() as u64, size);
                assert!(is_right(18, &data) && data.is_ascii(), "{data}");
            }
        }
    }

    #[test]
    fn a_changed_byte_or_anothers_number_is_wrong() {
        let data = text(1, 18, 100);
        assert!(!is_right(19, &data));
        assert!(!is_right(18, &data.replacen(&data[50..51], "\u{7f}", 1)));
        assert!(!is_right(18, &data[..99]));
        assert!(!is_right(18, ""));
        // RFC draft-eastlake-fnv, appendix C: the 32-bit FNV-1a of "foobar".
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }
}
