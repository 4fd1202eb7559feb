//! Shares.

use std::fmt;
use std::str::FromStr;

use super::{UnitError, plain, split};

/// A share of all: `"2%"`, `"0.5%"`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Percent(f64);

impl Percent {
    /// So many of a hundred.
    pub const fn of_hundred(percent: f64) -> Self {
        Self(percent)
    }

    /// The same of one: 0.02 for 2 %.
    pub fn share(self) -> f64 {
        self.0 / 100.0
    }
}

impl FromStr for Percent {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match split(text) {
            Some((number, "%")) => Ok(Self(number)),
            _ => Err(UnitError::new(text, "a share", "\"2%\" or \"0.5%\"")),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        plain(self.0, "%", f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_carries_its_sign() {
        assert_eq!("0.5 %".parse::<Percent>().unwrap().to_string(), "0.5%");
        assert!("2".parse::<Percent>().unwrap_err().to_string().contains("\"2%\""));
        assert!("-1%".parse::<Percent>().is_err());
    }
}
