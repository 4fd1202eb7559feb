//! Credentials of NATS, from a file.

use std::path::Path;

use async_nats::ConnectOptions;
use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;

use super::error::BrokerError;
use crate::trial::contract::BrokerPassword;

/// Whom a trial's own nodes let in, with the trial's password.
pub(super) const USER: &str = "transport-lab";

/// 256 bits.
const BYTES: usize = 32;

impl BrokerPassword {
    /// Draws one; `None` when the system has no randomness to give.
    pub fn draw() -> Option<Self> {
        let bytes: [u8; BYTES] = ring::rand::generate(&SystemRandom::new()).ok()?.expose();
        Some(Self(BASE64URL_NOPAD.encode(&bytes)))
    }
}

/// How long such a file may be: a token and a key take two kilobytes.
const MOST: u64 = 64 * 1024;

/// The same options with what this file holds: a `.creds` file, the seed of an NKey, or `USER:PASSWORD`.
pub(super) fn with_credentials(options: ConnectOptions, path: &Path) -> Result<ConnectOptions, BrokerError> {
    let unreadable = |source| BrokerError::File { path: path.to_owned(), source };
    let wrong = || BrokerError::Credentials(path.to_owned());
    if std::fs::metadata(path).map_err(unreadable)?.len() > MOST {
        return Err(wrong());
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    if text.contains("-----BEGIN NATS USER JWT-----") {
        // Its error would show what can't be read.
        return options.credentials(&text).map_err(|_| wrong());
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match (lines.next(), lines.next()) {
        (Some(line), None) => match line.split_once(':') {
            Some((user, password)) if !user.is_empty() => {
                Ok(options.user_and_password(user.to_owned(), password.to_owned()))
            }
            None if is_seed(line) => Ok(options.nkey(line.to_owned())),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

/// Whether this is the seed of a user's NKey: base32 that begins with SU.
fn is_seed(text: &str) -> bool {
    text.len() == 58 && text.starts_with("SU") && text.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::contract::BrokerOptions;

    #[test]
    fn a_printed_password_says_nothing_and_another_trial_has_another() {
        let password = BrokerPassword::draw().unwrap();
        let BrokerPassword(text) = password.clone();
        assert!(text.len() >= 43, "256 bits are 43 letters of base64");
        let options = BrokerOptions { password: Some(password.clone()), ..BrokerOptions::at(["nats://a:4222"]) };
        assert!(!format!("{options:?} {options:#?} {}", options.addresses()).contains(&text));
        assert_ne!(BrokerPassword::draw(), Some(password));
    }
}
