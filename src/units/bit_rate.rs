//! Bit rates.

use std::fmt;
use std::str::FromStr;

use super::{UnitError, split};

/// How fast bits go: `"10 Mbit/s"`. Whole bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BitRate(u64);

impl BitRate {
    /// So many bits a second.
    pub const fn per_second(bits: u64) -> Self {
        Self(bits)
    }

    /// Bits per second.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl FromStr for BitRate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::new(text, "a bit rate", "\"10 Mbit/s\" (bit/s, kbit/s, Mbit/s, Gbit/s)");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let scale = match unit {
            "bit/s" => 1.0,
            "kbit/s" => 1e3,
            "Mbit/s" => 1e6,
            "Gbit/s" => 1e9,
            _ => return Err(wrong()),
        };
        // Rounded: 2.3 Mbit/s must be 2300 kbit/s, whatever the fraction comes to.
        let bits = (number * scale).round();
        if bits > 1e15 {
            return Err(wrong());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1e15 was checked above")]
        Ok(Self(bits as u64))
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scale, unit) = match self.0 {
            n if n > 0 && n % 1_000_000_000 == 0 => (1_000_000_000, "Gbit/s"),
            n if n > 0 && n % 1_000_000 == 0 => (1_000_000, "Mbit/s"),
            n if n > 0 && n % 1_000 == 0 => (1_000, "kbit/s"),
            _ => (1, "bit/s"),
        };
        write!(f, "{} {unit}", self.0 / scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_rate_prints_as_it_is_best_written() {
        for text in ["10 Mbit/s", "1 Gbit/s", "64 kbit/s", "1500 bit/s"] {
            assert_eq!(text.parse::<BitRate>().unwrap().to_string(), text);
        }
        assert_eq!("2.3 Mbit/s".parse::<BitRate>().unwrap().to_string(), "2300 kbit/s");
        assert!("10 MB/s".parse::<BitRate>().unwrap_err().to_string().contains("\"10 Mbit/s\""));
    }
}
