//! Whom it is pointed at.

use std::net::IpAddr;

use rustls::pki_types::ServerName;
use url::{Host, Url};

use crate::text::visible;

/// Why a text is no address that can be diagnosed.
#[derive(Debug, thiserror::Error)]
pub enum AimError {
    #[error("that is no address; write it like https://app.example/events or wss://app.example/live")]
    NoUrl(#[from] url::ParseError),
    #[error("an address begins with https://, http://, wss:// or ws://, and this one with `{0}:`")]
    Scheme(String),
    /// It would stand in the history of shells and in lists of processes.
    #[error("an address has no user and password here; give them with -H 'Authorization: …'")]
    Credentials,
    #[error("that address names no host")]
    NoHost,
}

/// A server's address and what is asked for there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aim(Url);

impl Aim {
    /// Reads an address. A fragment is none of a server's business, and left out.
    pub fn parse(text: &str) -> Result<Self, AimError> {
        let mut url = Url::parse(text)?;
        if !matches!(url.scheme(), "https" | "http" | "wss" | "ws") {
            return Err(AimError::Scheme(visible(url.scheme()).into_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AimError::Credentials);
        }
        if url.host().is_none() {
            return Err(AimError::NoHost);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    /// Where a redirect leads; `None`: nowhere that could be diagnosed.
    pub(super) fn redirected(&self, location: &str) -> Option<Self> {
        Self::parse(self.0.join(location).ok()?.as_str()).ok()
    }

    /// Whether TLS comes first.
    pub(super) fn is_secure(&self) -> bool {
        matches!(self.0.scheme(), "https" | "wss")
    }

    /// Whether a WebSocket is asked for.
    pub(super) fn is_socket(&self) -> bool {
        matches!(self.0.scheme(), "wss" | "ws")
    }

    /// The host as a resolver takes it: an IPv6 address without its brackets.
    pub(super) fn host(&self) -> String {
        match self.0.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(443)
    }

    /// `HOST` or `HOST:PORT`, as `Host` and `:authority` have it.
    pub(super) fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The request's target.
    pub(super) fn path(&self) -> String {
        self.0.query().map_or_else(|| self.0.path().to_owned(), |query| format!("{}?{query}", self.0.path()))
    }

    /// The whole of it as HTTP/2 asks for it.
    pub(super) fn uri(&self) -> String {
        let scheme = if self.is_secure() { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.path())
    }

    /// What TLS asks for; a name that none can be for has no certificate either.
    pub(super) fn server_name(&self) -> Option<ServerName<'static>> {
        let host = self.host();
        match host.parse::<IpAddr>() {
            Ok(address) => Some(ServerName::from(address)),
            Err(_) => ServerName::try_from(host).ok(),
        }
    }

    /// As it is shown: a query may hold what lets its owner in, so it is only said that there is one.
    pub(super) fn shown(&self) -> String {
        let query = if self.0.query().is_some() { "?…" } else { "" };
        visible(&format!("{}://{}{}{query}", self.0.scheme(), self.authority(), self.0.path())).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_shown_without_what_may_be_secret() {
        let aim = Aim::parse("https://APP.example/events?token=s3cret#top").unwrap();
        assert_eq!((aim.host().as_str(), aim.port()), ("app.example", 443));
        assert_eq!(aim.uri(), "https://app.example/events?token=s3cret");
        assert_eq!(aim.shown(), "https://app.example/events?…");
        let aim = Aim::parse("ws://[::1]:8080").unwrap();
        assert_eq!((aim.host().as_str(), aim.port(), aim.authority().as_str()), ("::1", 8080, "[::1]:8080"));
        assert!(aim.is_socket() && !aim.is_secure());
        assert_eq!(aim.redirected("/other").unwrap().shown(), "ws://[::1]:8080/other");
    }

    #[test]
    fn what_is_no_address_is_refused_with_one_that_is() {
        for (text, says) in [
            ("app.example/events", "like https://"),
            ("localhost:8445/feeds", "begins with https://"),
            ("ftp://app.example", "with `ftp:`"),
            ("https://", "no address"),
            ("https://me:secret@app.example", "-H 'Authorization"),
        ] {
            let error = Aim::parse(text).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
