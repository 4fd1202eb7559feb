//! The time of publishing inside an event's data, which any reader finds without knowing the transport's framing.
//!
//! `~NNNNNNNNNNNNNNNNNNN~FILLER`: 19 digits of `CLOCK_MONOTONIC` in nanoseconds between tildes, which no transport
//! escapes and no framing contains.

/// How long the data of an event is, in bytes.
const DATA_BYTES: usize = 100;
/// The digits of a stamp.
const DIGITS: usize = 19;

/// An event's data.
pub(crate) fn data(nanos: u64) -> String {
    let mut data = format!("~{nanos:019}~");
    while data.len() < DATA_BYTES {
        data.push('x');
    }
    data
}

/// Finds stamps in a stream of bytes, however it is cut.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// The digits so far of a stamp that has begun.
    digits: Option<(usize, u64)>,
}

impl Scanner {
    /// Calls `found` with each stamp that ends in these bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut found: impl FnMut(u64)) {
        loop {
            let Some((count, value)) = self.digits else {
                let Some(begins) = bytes.iter().position(|byte| *byte == b'~') else { return };
                bytes = &bytes[begins + 1..];
                self.digits = Some((0, 0));
                continue;
            };
            let Some((byte, rest)) = bytes.split_first() else { return };
            bytes = rest;
            self.digits = match byte {
                b'0'..=b'9' => Some((count + 1, value * 10 + u64::from(byte - b'0'))),
                b'~' if count == DIGITS => {
                    found(value);
                    None
                }
                _ => None,
            };
        }
    }
}
