//! Credentials of NATS, from a file.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use async_nats::{Auth, AuthError, ConnectOptions};
use data_encoding::BASE64URL_NOPAD;
use nkeys::{KeyPair, KeyPairType};
use ring::rand::SystemRandom;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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

/// What a file of credentials holds. It is shown nowhere.
enum Credentials {
    /// A token that an account has signed, and the key of whom it is for.
    User {
        jwt: String,
        key: KeyPair,
    },
    /// An NKey that the server knows.
    Key(KeyPair),
    Password {
        user: String,
        password: String,
    },
}

/// The options of a connection that shows what this file holds: a `.creds` file, the seed of an `NKey`, or
/// `USER:PASSWORD`. The file is read again whenever the connection is made anew, so that a token may be renewed.
pub(super) fn shown_from(path: &Path) -> Result<ConnectOptions, BrokerError> {
    Credentials::read(path)?;
    warn_of_others(path);
    let path = path.to_owned();
    Ok(ConnectOptions::with_auth_callback(move |nonce| {
        let auth = Credentials::read(&path).map_err(AuthError::new).and_then(|credentials| credentials.answer(&nonce));
        async { auth }
    }))
}

/// Since when the token in this file has no longer been valid, if it is one and has not.
pub(super) fn expired(path: &Path, now: OffsetDateTime) -> Option<String> {
    let Ok(Credentials::User { jwt, .. }) = Credentials::read(path) else { return None };
    let end = expiry(&jwt)?;
    if end > now { None } else { end.format(&Rfc3339).ok() }
}

impl Credentials {
    fn read(path: &Path) -> Result<Self, BrokerError> {
        let unreadable = |source| BrokerError::File { path: path.to_owned(), source };
        let wrong = || BrokerError::Credentials(path.to_owned());
        if std::fs::metadata(path).map_err(unreadable)?.len() > MOST {
            return Err(wrong());
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::of(&text).ok_or_else(wrong)
    }

    fn of(text: &str) -> Option<Self> {
        if let Some(jwt) = decorated(text, "NATS USER JWT") {
            let key = key(decorated(text, "USER NKEY SEED")?)?;
            return Some(Self::User { jwt: jwt.to_owned(), key });
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        match (lines.next(), lines.next()) {
            (Some(line), None) => match line.split_once(':') {
                Some((user, password)) if !user.is_empty() => {
                    Some(Self::Password { user: user.to_owned(), password: password.to_owned() })
                }
                None => key(line).map(Self::Key),
                _ => None,
            },
            _ => None,
        }
    }

    /// What is shown to a node that has asked for this to be signed.
    fn answer(self, nonce: &[u8]) -> Result<Auth, AuthError> {
        let mut auth = Auth::new();
        match self {
            Self::User { jwt, key } => {
                auth.signature = Some(key.sign(nonce).map_err(AuthError::new)?);
                auth.jwt = Some(jwt);
            }
            Self::Key(key) => {
                auth.signature = Some(key.sign(nonce).map_err(AuthError::new)?);
                auth.nkey = Some(key.public_key());
            }
            Self::Password { user, password } => {
                auth.username = Some(user);
                auth.password = Some(password);
            }
        }
        Ok(auth)
    }
}

/// The line between the two that `nsc` writes around it.
fn decorated<'a>(text: &'a str, what: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != format!("-----BEGIN {what}-----"));
    lines.nth(1).filter(|line| !line.is_empty() && !line.starts_with('-'))
}

/// The key of this seed, if it is a user's.
fn key(seed: &str) -> Option<KeyPair> {
    KeyPair::from_seed(seed).ok().filter(|key| key.key_pair_type() == KeyPairType::User)
}

/// Until when a token is valid, if it says so.
fn expiry(jwt: &str) -> Option<OffsetDateTime> {
    #[derive(Deserialize)]
    struct Claims {
        exp: Option<i64>,
    }
    let claims = BASE64URL_NOPAD.decode(jwt.split('.').nth(1)?.as_bytes()).ok()?;
    let Claims { exp } = serde_json::from_slice(&claims).ok()?;
    // Zero is what some write for none.
    OffsetDateTime::from_unix_timestamp(exp.filter(|exp| *exp > 0)?).ok()
}

/// A file that isn't the lab's is left as it is.
fn warn_of_others(path: &Path) {
    let mode = std::fs::metadata(path).map_or(0, |file| file.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        let (file, mode) = (path.display(), format!("{mode:03o}"));
        tracing::warn!(%file, mode, "credentials of NATS are open to other users: `chmod 600` closes the file");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::contract::BrokerOptions;

    fn creds(jwt: &str, seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n************ IMPORTANT ************\n\
             -----BEGIN USER NKEY SEED-----\r\n{seed}\r\n------END USER NKEY SEED------\n"
        )
    }

    #[test]
    fn only_what_a_user_shows_is_taken_for_credentials() {
        let [user, account] = [KeyPair::new_user(), KeyPair::new_account()].map(|key| key.seed().unwrap());
        assert!(
            matches!(Credentials::of(&creds("a.b.c", &user)), Some(Credentials::User { jwt, .. }) if jwt == "a.b.c")
        );
        assert!(matches!(Credentials::of(&format!("# mine\n{user}\n")), Some(Credentials::Key(_))));
        assert!(matches!(Credentials::of("me:a:b"), Some(Credentials::Password { password, .. }) if password == "a:b"));
        let token = "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n";
        for none in ["", "me", ":x", &account, &user[1..], &creds("a.b.c", &account), &creds("", &user), token] {
            assert!(Credentials::of(none).is_none(), "{none}");
        }
    }

    #[test]
    fn a_token_says_until_when_it_is_valid() {
        let token = |claims: &str| format!("x.{}.y", BASE64URL_NOPAD.encode(claims.as_bytes()));
        let until = expiry(&token(r#"{"exp": 1700000000, "sub": "U"}"#)).unwrap();
        assert_eq!(until.format(&Rfc3339).unwrap(), "2023-11-14T22:13:20Z");
        for none in [token("{}"), token(r#"{"exp": 0}"#), token("no"), "x".to_owned(), "x.!.y".to_owned()] {
            assert_eq!(expiry(&none), None, "{none}");
        }
    }

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
