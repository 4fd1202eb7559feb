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
use http::{HeaderMap, HeaderValue, StatusCode, Uri, Version};

use super::Token;
use super::authority::{Authority, Origin};
use crate::wire::malformed::RequestError;

/// The cookie that holds the token. The prefix makes browsers keep it to this host and to TLS (RFC 6265bis section
/// 4.1.3.2).
pub const TOKEN_COOKIE: &str = "__Host-transport-lab";

/// Why a request isn't let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It doesn't say whom it asks, or says it in a way that others may read otherwise: 400 (RFC 9112 section 3.2).
    #[error("{0}")]
    NoHost(&'static str),
    #[error(transparent)]
    Malformed(#[from] RequestError),
    /// Its host isn't one of ours: 421 (RFC 9110 section 15.5.20).
    #[error("this server is not `{0}`; ask it under a name that it is served under, such as localhost")]
    Host(String),
    #[error("the origin `{0}` is not let in; `serve --allow-origin` lets one in")]
    Origin(String),
    /// It names two origins: 403, as each may be let in and the other not.
    #[error("a request comes from one origin (RFC 6454 section 7.3)")]
    Origins,
    /// A page that isn't let in has the browser load it without saying whose page it is: 403.
    #[error("a page of another origin asks for this in a way that doesn't name it, such as an image; use CORS")]
    Embedded,
    /// It comes from another machine and shows no token, or a wrong one: 403.
    #[error("from another machine, show the token that `serve --expose` printed")]
    Token,
    /// The same where a trial's server can be reached, whose feeds are its own clients'.
    #[error("from another machine, only the trial's own clients read and publish here: they were told a token")]
    TrialToken,
}

impl Refusal {
    /// The status that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::NoHost(_) => StatusCode::BAD_REQUEST,
            Self::Malformed(refused) => refused.status(),
            Self::Origin(_) | Self::Origins | Self::Embedded | Self::Token | Self::TrialToken => StatusCode::FORBIDDEN,
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
            origins: ArcSwap::from_pointee(origins.iter().filter_map(|origin| as_sent(origin)).collect()),
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
        let Some(origin) = as_sent(origin) else { return };
        self.origins.rcu(|origins| origins.iter().chain([&origin]).cloned().collect::<Vec<_>>());
    }

    /// Checks the token, `Host` (or `:authority`) and `Origin`; gives back the origin, when there is one.
    pub fn admit(
        &self,
        peer: IpAddr,
        version: Version,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Option<HeaderValue>, Refusal> {
        if !self.token.as_ref().is_none_or(|token| is_of_this_machine(peer) || shows(token, uri, headers)) {
            return Err(Refusal::Token);
        }
        let asked = asked(version, uri, headers)?;
        if !self.is_served(&asked.host) {
            return Err(Refusal::Host(asked.to_string()));
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(None) };
        if origins.next().is_some() {
            return Err(Refusal::Origins);
        }
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

    fn is_own(&self, text: &str) -> bool {
        // In the one form that browsers send: a user, a path or a port that goes without saying is none of it.
        let Some(origin) = Origin::parse(text).ok().filter(|origin| origin.as_str() == text) else { return false };
        let own = origin.https_authority();
        own.is_some_and(|(host, port)| self.is_served(&host) && self.ports.load().contains(&port))
    }
}

/// An origin in the form that browsers send.
fn as_sent(origin: &str) -> Option<String> {
    match Origin::parse(origin) {
        Ok(origin) => Some(origin.as_str().to_owned()),
        Err(error) => {
            tracing::warn!(origin, %error, "not an origin");
            None
        }
    }
}

/// Whom a request asks.
///
/// Deviation: HTTP/1.0 needs no `Host`; here it does, as who is asked is what keeps other people's names out.
fn asked(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<Authority, Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let host =
        match (hosts.next(), hosts.next()) {
            // Whoever stands between may believe the other one (RFC 9112 section 3.2).
            (_, Some(_)) => return Err(Refusal::NoHost("`Host` is there twice (RFC 9112 section 3.2)")),
            (Some(host), None) => {
                let host = host.to_str().ok().and_then(Authority::parse);
                Some(host.ok_or(Refusal::NoHost(
                    "`Host` is a name or an address, and perhaps a port (RFC 9110 section 7.2)",
                ))?)
            }
            (None, None) => None,
        };
    let target = uri.authority().map(|authority| {
        let authority = Authority::parse(authority.as_str());
        authority
            .ok_or(Refusal::NoHost("the target names no host and port, or more than that (RFC 9110 section 4.2.4)"))
    });
    match (target.transpose()?, host) {
        (Some(target), Some(host)) if version > Version::HTTP_11 && !target.is_same(&host) => {
            Err(Refusal::NoHost("`Host` and `:authority` contradict each other (RFC 9113 section 8.3.1)"))
        }
        // RFC 9112 section 3.2.2: what an absolute target says wins, but `Host` has to be there.
        (Some(target), Some(_)) => Ok(target),
        (Some(target), None) if version != Version::HTTP_11 => Ok(target),
        (None, Some(host)) => Ok(host),
        (_, None) => Err(Refusal::NoHost("`Host` is missing (RFC 9112 section 3.2)")),
    }
}

/// Refuses what another origin's page has the browser load without CORS, such as an image or a frame: the browser names
/// no `Origin` then, but says where the page is from (W3C Fetch Metadata). Whoever follows a link reads for themselves.
pub fn only_with_cors(headers: &HeaderMap) -> Result<(), Refusal> {
    let says = |name: &str, word: &str| headers.get(name).is_some_and(|value| value == word);
    let from_elsewhere = says("sec-fetch-site", "cross-site") || says("sec-fetch-site", "same-site");
    let is_visit = says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document");
    if from_elsewhere && !is_visit && !headers.contains_key(ORIGIN) { Err(Refusal::Embedded) } else { Ok(()) }
}

/// An IPv4 peer of an IPv6 socket is `::ffff:127.0.0.1`.
pub(super) fn is_of_this_machine(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

/// Whether a request shows the token, in its query or in a cookie.
fn shows(token: &Token, uri: &Uri, headers: &HeaderMap) -> bool {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    query_shows(token, uri) || pairs.any(|(name, value)| name == TOKEN_COOKIE && token.is(value))
}

pub(super) fn query_shows(token: &Token, uri: &Uri) -> bool {
    let query = form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
    query.into_iter().any(|(name, value)| name == "token" && token.is(&value))
}

/// Lets a page of this origin read the answer (WHATWG Fetch, "CORS protocol"): the exact origin, never `*`.
pub(crate) fn allow(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    headers.insert("timing-allow-origin", origin.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
}

/// The fields that a page may send, beside those that need no preflight (WHATWG Fetch, "CORS-safelisted").
const ALLOWED_FIELDS: &str = "content-type, last-event-id, cache-control, if-none-match";

/// Answers a preflight.
pub(crate) fn allow_preflight(headers: &mut HeaderMap) {
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
        admission.admit(IpAddr::from([127, 0, 0, 1]), Version::HTTP_11, &Uri::from_static("/ping"), &headers)
    }

    /// Whether a request of this version, target and `Host` fields is let in; the status that refuses it.
    fn asking(version: Version, target: &str, hosts: &[&str]) -> u16 {
        let admission = Admission::new(&[], &[], None);
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().unwrap());
        }
        let admitted = admission.admit(IpAddr::from([127, 0, 0, 1]), version, &target.parse().unwrap(), &headers);
        admitted.map_or_else(|refusal| refusal.status().as_u16(), |_| 200)
    }

    #[test]
    fn a_request_says_once_whom_it_asks() {
        let (h1, h2, h3) = (Version::HTTP_11, Version::HTTP_2, Version::HTTP_3);
        for (version, target, hosts, expected) in [
            (h1, "/ping", &["localhost"][..], 200),
            (h1, "/ping", &[], 400),
            (h1, "/ping", &[""], 400),
            (h1, "/ping", &["localhost", "localhost"], 400),
            (h1, "https://localhost/ping", &["localhost"], 200),
            (h1, "https://localhost/ping", &["example.com"], 200),
            (h1, "https://example.com/ping", &["localhost"], 421),
            (h1, "https://localhost/ping", &[], 400),
            (h1, "https://localhost/ping", &["local host"], 400),
            (h1, "https://evil@localhost/ping", &["localhost"], 400),
            (Version::HTTP_10, "/ping", &[], 400),
            (Version::HTTP_10, "https://localhost/ping", &[], 200),
            (h2, "https://localhost:8442/ping", &[], 200),
            (h2, "https://localhost:8442/ping", &["localhost:8442"], 200),
            (h2, "https://localhost/ping", &["LOCALHOST:443"], 200),
            (h2, "https://localhost:8442/ping", &["localhost"], 400),
            (h3, "https://localhost:8442/ping", &["127.0.0.1:8442"], 400),
            (h2, "https://localhost/ping", &["localhost", "localhost"], 400),
            (h2, "https://evil@localhost/ping", &[], 400),
            (h3, "https://evil@localhost/ping", &[], 400),
            (h2, "/ping", &["localhost"], 200),
            (h2, "/ping", &[], 400),
            (h3, "https://example.com/ping", &[], 421),
        ] {
            assert_eq!(asking(version, target, hosts), expected, "{version:?} {target} {hosts:?}");
        }
    }

    #[test]
    fn what_a_page_embeds_from_elsewhere_is_told_from_what_it_asks_for_and_from_visits() {
        let fetched = |site: &str, mode: &str, dest: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert("sec-fetch-site", site.parse().unwrap());
            headers.insert("sec-fetch-mode", mode.parse().unwrap());
            headers.insert("sec-fetch-dest", dest.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            only_with_cors(&headers).is_ok()
        };
        for site in ["cross-site", "same-site"] {
            assert!(!fetched(site, "no-cors", "image", None), "{site}");
            assert!(!fetched(site, "no-cors", "empty", None), "{site}");
            assert!(!fetched(site, "navigate", "iframe", None), "{site}");
            assert!(fetched(site, "navigate", "document", None), "{site}: a link that somebody follows");
            assert!(fetched(site, "cors", "empty", Some("https://a")), "{site}: that is for who is let in");
        }
        assert!(fetched("same-origin", "no-cors", "image", None));
        assert!(fetched("none", "navigate", "document", None));
        assert!(only_with_cors(&HeaderMap::new()).is_ok(), "no browser, or an old one");
    }

    #[test]
    fn only_served_names_are_let_in() {
        for host in ["localhost:8442", "a.localhost", "127.0.0.1:8442", "127.9.9.9", "[::1]:8442", "LAB.example:1"] {
            assert_eq!(admit(host, None), Ok(None), "{host}");
        }
        for host in ["example.com", "localhost.example.com:8442", "127.0.0.1.nip.io", "localhost.", "10.0.0.1"] {
            assert!(matches!(admit(host, None), Err(Refusal::Host(_))), "{host}");
        }
        for host in
            ["", "evil@localhost.x", "evil.example@localhost", "localhost:abc", "localhost:99999999", "a..localhost"]
        {
            assert!(matches!(admit(host, None), Err(Refusal::NoHost(_))), "{host}");
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
            let uri = format!("/ping?{query}").parse().unwrap();
            guarded.admit(peer.parse().unwrap(), Version::HTTP_11, &uri, &headers)
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
