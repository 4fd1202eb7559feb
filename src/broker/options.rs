//! Where NATS is, as a person writes it.

use url::Url;

use super::error::BrokerError;
use crate::trial::contract::BrokerOptions;

/// What a lab's things in NATS are called by where nothing else is said.
pub const DEFAULT_PREFIX: &str = "transport-lab";

/// The port of NATS where an address has none.
const PORT: u16 = 4222;

/// How long a prefix may be: with a feed's name behind it it names a stream, which is a folder at a node.
const PREFIX_BYTES: usize = 32;

impl BrokerOptions {
    /// NATS at these addresses, without credentials, under the default prefix.
    pub fn at(urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let urls = urls.into_iter().map(Into::into).collect();
        Self { urls, credentials: None, password: None, ca: None, prefix: DEFAULT_PREFIX.to_owned(), replicas: 1 }
    }

    /// Its addresses where a person reads them: `nats://a:4222, nats://b:4222`.
    pub fn addresses(&self) -> String {
        self.urls.iter().map(|url| without_password(url)).collect::<Vec<_>>().join(", ")
    }
}

/// An address of NATS as it is used from here on.
///
/// # Errors
/// It is none, or has a password in it, which everybody who lists processes would see.
pub fn check_url(text: &str) -> Result<String, BrokerError> {
    let wrong = |why: &'static str| BrokerError::Url { url: without_password(text), why };
    let whole = if text.contains("://") { text.to_owned() } else { format!("nats://{text}") };
    let mut url = Url::parse(&whole).map_err(|_| wrong("it can't be read"))?;
    if !matches!(url.scheme(), "nats" | "tls") {
        return Err(wrong("it begins with nats:// or tls://"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("it names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BrokerError::Password(without_password(text)));
    }
    if url.port().is_none() {
        url.set_port(Some(PORT)).map_err(|()| wrong("it can't have a port"))?;
    }
    Ok(url.to_string().trim_end_matches('/').to_owned())
}

/// A prefix as it is used from here on.
///
/// # Errors
/// It can't be part of a stream's name and a subject.
pub fn check_prefix(text: &str) -> Result<String, BrokerError> {
    let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if (1..=PREFIX_BYTES).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(BrokerError::Prefix(text.chars().take(64).collect()))
    }
}

/// An address without what stands before its `@`.
fn without_password(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, host)) => format!("{}://{host}", before.split_once("://").map_or("nats", |(scheme, _)| scheme)),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, url) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
            ("tls://nats.example", "tls://nats.example:4222"),
            ("nats.example:4333", "nats://nats.example:4333"),
            ("nats://[::1]:4222/", "nats://[::1]:4222"),
        ] {
            assert_eq!(check_url(text).unwrap(), url);
        }
        for text in ["", "http://a", "nats://", "nats://:4222", "ws://a", "nats://a:70000"] {
            assert!(check_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        for text in ["nats://me:secret@a:4222", "me:secret@a", "nats://secret@a"] {
            let said = check_url(text).unwrap_err().to_string();
            assert!(!said.contains("secret") || said.contains("USER:PASSWORD"), "{said}");
            assert!(!said.contains("me:secret") && said.contains("--nats-creds"), "{said}");
        }
        let options = BrokerOptions::at(["nats://me:secret@a:4222", "tls://b:4222"]);
        assert_eq!(options.addresses(), "nats://a:4222, tls://b:4222");
    }

    #[test]
    fn a_prefix_is_what_a_stream_and_a_subject_can_be_called() {
        assert_eq!(check_prefix("lab-2").unwrap(), "lab-2");
        for text in ["", "a.b", "a_b", "A", "a b", "*", &"x".repeat(33)] {
            assert!(check_prefix(text).is_err(), "{text}");
        }
    }
}
