//! Who is let in: by `Host`, against DNS rebinding, by `Origin`, against other people's pages, and from other machines
//! by a token.
//!
//! A server that other machines can reach has a token. Whoever isn't on this machine shows it with every request, as
//! `token` in the query (an `EventSource` can set no header, and sends cookies to another port only where it is told
//! to) or in a cookie, which the control origin sets on the first visit.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, COOKIE, HOST, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};

use super::Token;

/// The cookie that holds the token. The prefix makes browsers keep it to this host and to TLS (RFC 6265bis section
/// 4.1.3.2).
pub const TOKEN_COOKIE: &str = "__Host-transport-lab";

/// Why a request isn't let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its host isn't one of ours: 421 (RFC 9110 section 15.5.20).
    #[error("this server is not `{0}`; ask it under a name that it is served under, such as localhost")]
    Host(String),
    /// Its origin isn't let in: 403.
    #[error("the origin `{0}` is not let in; `serve --allow-origin` lets one in")]
    Origin(String),
    /// It comes from another machine and shows no token, or a wrong one: 403.
    #[error("from another machine, show the token that `serve --expose` printed")]
    Token,
}

impl Refusal {
    /// The status that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin(_) | Self::Token => StatusCode::FORBIDDEN,
        }
    }
}

/// Whether a host name is one of loopback's: `localhost` and names under it, 127.0.0.0/8, `::1`.
pub fn is_local(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The names a server goes by, and the origins that it lets in.
#[derive(Debug)]
pub struct Admission {
    hosts: Vec<String>,
    origins: ArcSwap<Vec<String>>,
    ports: ArcSwap<Vec<u16>>,
    token: Option<Arc<Token>>,
}

impl Admission {
    /// Served under these names and those of loopback; these origins are let in beside the server's own.
    /// Other machines have to show the token, where there is one.
    pub fn new(hosts: &[String], origins: &[String], token: Option<Arc<Token>>) -> Self {
        Self {
            hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            origins: ArcSwap::from_pointee(origins.to_vec()),
            ports: ArcSwap::default(),
            token,
        }
    }

    /// `https://` a served name at this port is an origin of the server's own.
    pub fn add_port(&self, port: u16) {
        self.ports.rcu(|ports| ports.iter().copied().chain([port]).collect::<Vec<_>>());
    }

    /// This origin is let in as well.
    pub fn add_origin(&self, origin: &str) {
        self.origins.rcu(|origins| origins.iter().cloned().chain([origin.to_owned()]).collect::<Vec<_>>());
    }

    /// Checks the token, `Host` (or `:authority`) and `Origin`; gives back the origin, when there is one.
    pub fn admit(&self, peer: IpAddr, uri: &Uri, headers: &HeaderMap) -> Result<Option<HeaderValue>, Refusal> {
        // An IPv4 peer of an IPv6 socket is ::ffff:127.0.0.1.
        if !peer.to_canonical().is_loopback() && !self.token.as_ref().is_none_or(|token| shows(token, uri, headers)) {
            return Err(Refusal::Token);
        }
        let mut hosts = headers.get_all(HOST).iter();
        let authority = match (uri.authority(), hosts.next(), hosts.next()) {
            // Whoever stands between may believe the other one (RFC 9112 section 3.2).
            (_, _, Some(_)) => return Err(Refusal::Host("two hosts".to_owned())),
            (Some(authority), ..) => authority.as_str(),
            (None, host, None) => host.and_then(|host| host.to_str().ok()).unwrap_or(""),
        };
        let host = authority.parse::<http::uri::Authority>().map(|a| a.host().to_owned()).unwrap_or_default();
        if !self.is_served(&host) {
            return Err(Refusal::Host(authority.to_owned()));
        }
        let Some(origin) = headers.get(ORIGIN) else { return Ok(None) };
        let text = origin.to_str().unwrap_or("");
        if self.is_own(text) || self.origins.load().iter().any(|allowed| allowed == text) {
            // Its own copy: a clone would hold the buffer of the whole request for as long as the answer takes.
            return Ok(HeaderValue::from_str(text).ok());
        }
        Err(Refusal::Origin(String::from_utf8_lossy(origin.as_bytes()).into_owned()))
    }

    /// The token, where the query shows it.
    pub fn shown_in_query(&self, uri: &Uri) -> Option<&str> {
        self.token.as_deref().filter(|token| query_shows(token, uri)).map(Token::text)
    }

    fn is_served(&self, host: &str) -> bool {
        is_local(host) || self.hosts.iter().any(|served| served.eq_ignore_ascii_case(host))
    }

    fn is_own(&self, origin: &str) -> bool {
        let Ok(uri) = origin.parse::<Uri>() else { return false };
        let (Some(host), Some(port)) = (uri.host(), uri.port_u16()) else { return false };
        // Written anew, since `Uri` takes more than an origin has: a user, a path, a query.
        origin == format!("https://{host}:{port}") && self.is_served(host) && self.ports.load().contains(&port)
    }
}

/// Whether a request shows the token, in its query or in a cookie.
fn shows(token: &Token, uri: &Uri, headers: &HeaderMap) -> bool {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    query_shows(token, uri) || pairs.any(|(name, value)| name == TOKEN_COOKIE && token.is(value))
}

fn query_shows(token: &Token, uri: &Uri) -> bool {
    let query = form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
    query.into_iter().any(|(name, value)| name == "token" && token.is(&value))
}

/// Lets a page of this origin read the answer (WHATWG Fetch, "CORS protocol"): the exact origin, never `*`.
pub(super) fn allow(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    headers.insert("timing-allow-origin", origin.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
}

/// The fields that a page may send, beside those that need no preflight (WHATWG Fetch, "CORS-safelisted").
const ALLOWED_FIELDS: &str = "content-type, last-event-id, cache-control, if-none-match";

/// Answers a preflight.
pub(super) fn allow_preflight(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_FIELDS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(host: &str, origin: Option<&str>) -> Result<Option<HeaderValue>, Refusal> {
        let admission = Admission::new(&["lab.example".to_owned()], &["https://127.0.0.1:8440".to_owned()], None);
        admission.add_port(8442);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        admission.admit(IpAddr::from([127, 0, 0, 1]), &Uri::from_static("/ping"), &headers)
    }

    #[test]
    fn only_served_names_are_let_in() {
        for host in ["localhost:8442", "a.localhost", "127.0.0.1:8442", "127.9.9.9", "[::1]:8442", "LAB.example:1"] {
            assert_eq!(admit(host, None), Ok(None), "{host}");
        }
        for host in
            ["example.com", "localhost.example.com:8442", "127.0.0.1.nip.io", "evil@localhost.x", "10.0.0.1", ""]
        {
            assert!(matches!(admit(host, None), Err(Refusal::Host(_))), "{host}");
        }
    }

    #[test]
    fn only_the_labs_own_pages_are_let_in() {
        for origin in
            ["https://localhost:8442", "https://127.0.0.1:8442", "https://[::1]:8442", "https://127.0.0.1:8440"]
        {
            assert!(admit("localhost", Some(origin)).is_ok(), "{origin}");
        }
        let foreign = [
            "null",
            "https://example.com",
            "http://localhost:8442",
            "https://localhost:9999",
            "https://localhost:8442/",
            "https://localhost:8442/x",
            "https://localhost:8442?x",
            "https://evil@localhost:8442",
            "https://localhost",
            "",
        ];
        for origin in foreign {
            assert!(matches!(admit("localhost", Some(origin)), Err(Refusal::Origin(_))), "{origin}");
        }
    }

    #[test]
    fn another_machine_shows_the_token_in_the_query_or_a_cookie() {
        let token = Arc::new(Token::draw().unwrap());
        let guarded = Admission::new(&[], &[], Some(Arc::clone(&token)));
        let from = |peer: &str, query: &str, cookie: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "localhost".parse().unwrap());
            headers.insert(COOKIE, cookie.parse().unwrap());
            guarded.admit(peer.parse().unwrap(), &format!("/ping?{query}").parse().unwrap(), &headers)
        };
        let (query, cookie) = (format!("sub=1&token={}", token.text()), format!("{TOKEN_COOKIE}={}", token.text()));
        for peer in ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::7"] {
            assert_eq!(from(peer, &query, ""), Ok(None), "{peer}");
            assert_eq!(from(peer, "", &format!("a=b; {cookie}")), Ok(None), "{peer}");
            for (query, cookie) in [("", ""), ("token=", "x=y"), ("token=wrong", "__Host-transport-lab=wrong")] {
                assert_eq!(from(peer, query, cookie), Err(Refusal::Token), "{peer} {query} {cookie}");
            }
        }
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(from(peer, "", ""), Ok(None), "{peer} is this machine");
        }
    }
}
