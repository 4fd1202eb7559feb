//! Hosts, ports and origins, read as strictly as they are written: what one reader of a text takes for a host another
//! may take for a user's name.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The port of an `https` address that names none (RFC 9110 section 4.2.2).
const HTTPS_PORT: u16 = 443;
const HTTP_PORT: u16 = 80;
/// How long a name may be, and what is between two of its dots (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// A host and, if it is named, a port: the value of `Host` and of `:authority` (RFC 9110 section 7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    /// In lower case, an IPv6 address in its brackets and its shortest form.
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Authority {
    /// Reads one; `None`: it isn't one. A user's name is none of it (RFC 9110 section 4.2.4, RFC 9113 section 8.3.1).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (host, port) = if let Some((address, after)) = bracketed {
            (format!("[{}]", address.parse::<Ipv6Addr>().ok()?), after)
        } else {
            let end = text.find(':').unwrap_or(text.len());
            (name(&text[..end])?, &text[end..])
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            // RFC 3986 section 3.2.3: a colon may be all there is of a port.
            Some("") => None,
            // `u16::from_str` would take "+443".
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// Whether both name the same place to whoever speaks `https`.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.host == other.host && self.port.unwrap_or(HTTPS_PORT) == other.port.unwrap_or(HTTPS_PORT)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A name as DNS has them, or an IPv4 address, in lower case. RFC 3986 has more, which no name of a server has.
fn name(text: &str) -> Option<String> {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // The dot at the end is DNS's root.
    let labels = text.strip_suffix('.').unwrap_or(text);
    (labels.len() <= MAX_NAME && labels.split('.').all(is_label)).then(|| text.to_ascii_lowercase())
}

/// Where a page comes from, as browsers write it (RFC 6454 section 6.2): scheme and host in lower case, the port only
/// where it isn't the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// Why a text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    #[error("write an origin, such as https://app.example:3000: scheme, host and port, and nothing after")]
    Form,
    /// It names a host that no browser writes so.
    #[error("browsers write the host `{0}` in another way: a name that isn't ASCII as xn--…, an address as 192.0.2.7")]
    Host(String),
}

impl Origin {
    /// Reads one, and brings it into the form that browsers send.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let (scheme, rest) = text.split_once("://").ok_or(OriginError::Form)?;
        let own_port = match &*scheme.to_ascii_lowercase() {
            "https" => HTTPS_PORT,
            "http" => HTTP_PORT,
            _ => return Err(OriginError::Form),
        };
        if rest
            .contains(|c: char| matches!(c, '/' | '?' | '#' | '@' | '*' | '\\') || c.is_whitespace() || c.is_control())
        {
            return Err(OriginError::Form);
        }
        let host = rest.split_once(':').map_or(rest, |(host, _)| host);
        if !host.is_ascii() || is_odd_address(host) {
            return Err(OriginError::Host(host.to_owned()));
        }
        let Authority { host, port } = Authority::parse(rest).ok_or(OriginError::Form)?;
        let scheme = scheme.to_ascii_lowercase();
        Ok(match port.filter(|port| *port != own_port) {
            Some(port) => Self(format!("{scheme}://{host}:{port}")),
            None => Self(format!("{scheme}://{host}")),
        })
    }

    /// As browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port of one that is `https`.
    pub(super) fn https_authority(&self) -> Option<(String, u16)> {
        let Authority { host, port } = Authority::parse(self.0.strip_prefix("https://")?)?;
        Some((host, port.unwrap_or(HTTPS_PORT)))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether browsers take a name for an IPv4 address in a form of its own, such as `127.1` (WHATWG URL, "ends in a
/// number"): they send the address.
fn is_odd_address(host: &str) -> bool {
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    let is_decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let digits = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_hexadecimal = digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    (is_decimal || is_hexadecimal) && host.parse::<Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        let read = |text: &str| Authority::parse(text).map(|Authority { host, port }| (host, port));
        for (text, host, port) in [
            ("localhost", "localhost", None),
            ("LocalHost:8441", "localhost", Some(8441)),
            ("localhost:", "localhost", None),
            ("localhost:00443", "localhost", Some(443)),
            ("a_b.xn--bcher-kva.example.", "a_b.xn--bcher-kva.example.", None),
            ("127.0.0.1:0", "127.0.0.1", Some(0)),
            ("[::1]:9", "[::1]", Some(9)),
            ("[0:0::0:1]", "[::1]", None),
        ] {
            assert_eq!(read(text), Some((host.to_owned(), port)), "{text}");
        }
        let long = "a".repeat(64);
        for text in [
            "",
            ":",
            ":80",
            ".",
            "a..localhost",
            ".localhost",
            "localhost..",
            "evil.example@localhost",
            "user:pass@localhost",
            "localhost:abc",
            "localhost:99999999",
            "localhost:+443",
            "localhost:-1",
            "localhost:80:80",
            "localhost:80 ",
            " localhost",
            "local host",
            "localhost/",
            "localhost?",
            "localhost#",
            "localhost,example.com",
            "b\u{fc}cher.localhost",
            "a%2elocalhost",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]80",
            "[localhost]",
            "[::1%25eth0]",
            &long,
            &format!("{long}.localhost"),
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn an_origin_is_brought_into_the_form_that_browsers_send() {
        for (text, form) in [
            ("https://app.example:3000", "https://app.example:3000"),
            ("HTTPS://APP.example:3000", "https://app.example:3000"),
            ("https://app.example:443", "https://app.example"),
            ("https://app.example:", "https://app.example"),
            ("https://app.example:0443", "https://app.example"),
            ("http://app.example:80", "http://app.example"),
            ("http://app.example:443", "http://app.example:443"),
            ("https://[2001:DB8:0::7]:8443", "https://[2001:db8::7]:8443"),
            ("https://192.0.2.7", "https://192.0.2.7"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().as_str(), form, "{text}");
        }
        for text in [
            "",
            "*",
            "null",
            "app.example",
            "app.example:3000",
            "https://",
            "https://*",
            "https://*.example",
            "ftp://a",
            "https:/a",
            "https://a/",
            "https://a/b",
            "https://a?x",
            "https://a#x",
            "https://u@a",
            "https://a:b",
            "https://a:99999",
            "https://a b",
            "https://a..b",
            "https://a:3000/",
            "https://https://a",
            "file://",
        ] {
            assert_eq!(Origin::parse(text), Err(OriginError::Form), "{text}");
        }
        for text in ["https://b\u{fc}cher.example", "https://127.1:3000", "https://2130706433", "https://0x7f.0.0.0x1"]
        {
            assert!(matches!(Origin::parse(text), Err(OriginError::Host(_))), "{text}");
        }
    }
}
