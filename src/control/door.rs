//! Who is let in, and the headers that every answer leaves with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answer::Refusal;

/// On every answer. Isolation gives pages the finest `performance.now()` (WHATWG HTML, "cross-origin isolation").
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Which hosts are served and which origins let in.
#[derive(Debug)]
pub(super) struct Door {
    hosts: Vec<String>,
    origins: Vec<String>,
    port: u16,
}

impl Door {
    pub(super) fn new(hosts: Vec<String>, origins: Vec<String>, port: u16) -> Self {
        let lower = |texts: Vec<String>| texts.into_iter().map(|text| text.to_ascii_lowercase()).collect();
        Self { hosts: lower(hosts), origins: lower(origins), port }
    }

    /// Every name that the request gives must be served. A page of another site that rebinds its own name to a
    /// loopback address still sends that name.
    fn check_host(&self, request: &Request) -> Result<(), Refusal> {
        let mut names = 0;
        let header = request.headers().get_all(header::HOST).iter().map(HeaderValue::as_bytes);
        let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
        for name in header.chain(authority) {
            names += 1;
            let served = plain(name).is_some_and(|name| self.serves(name.host()));
            if !served {
                return Err(Refusal::misdirected("this host name is not served here"));
            }
        }
        // RFC 9112 section 3.2: a request without Host is answered with 400.
        if names == 0 { Err(Refusal::bad("a request must name its host")) } else { Ok(()) }
    }

    fn serves(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        let named = host == "localhost" || host.ends_with(".localhost");
        let loopback = bare.parse::<IpAddr>().is_ok_and(|ip| ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST);
        named || loopback || self.hosts.iter().any(|served| *served == host || served == bare)
    }

    /// The origin that was let in, or `None` where there is none to check.
    fn check_origin(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Refusal> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(None) };
        let admitted = origins.next().is_none() && origin.to_str().is_ok_and(|origin| self.admits(origin));
        if admitted { Ok(Some(origin.clone())) } else { Err(Refusal::forbidden("this origin is not let in")) }
    }

    fn admits(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let own = origin
            .strip_prefix("https://")
            .and_then(|rest| plain(rest.as_bytes()))
            .is_some_and(|own| own.port_u16().unwrap_or(443) == self.port && self.serves(own.host()));
        own || self.origins.contains(&origin)
    }
}

/// Host and port; `None` for anything else, a user name before the host included.
fn plain(text: &[u8]) -> Option<Authority> {
    Authority::try_from(text).ok().filter(|_| !text.contains(&b'@'))
}

/// Checks host and origin, and dresses the answer.
pub(super) async fn admit(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let checked = door.check_host(&request).and_then(|()| door.check_origin(request.headers()));
    let (mut response, origin) = match checked {
        Ok(origin) => (next.run(request).await, origin),
        Err(refusal) => (refusal.into_response(), None),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Door {
        Door::new(vec!["lab.example".into()], vec!["https://friend.example".into()], 8440)
    }

    #[test]
    fn only_served_names_are_served() {
        for host in ["localhost", "A.localhost", "127.0.0.1", "[::1]", "::1", "lab.example"] {
            assert!(door().serves(host), "{host}");
        }
        for host in ["example.org", "localhost.example.org", "notlocalhost", "127.0.0.2", "", "[::2]", "x.lab.example"]
        {
            assert!(!door().serves(host), "{host}");
        }
    }

    #[test]
    fn an_origin_is_its_own_or_an_allowed_one() {
        let own =
            ["https://127.0.0.1:8440", "https://localhost:8440", "https://[::1]:8440", "https://lab.example:8440"];
        for origin in own.into_iter().chain(["https://friend.example"]) {
            assert!(door().admits(origin), "{origin}");
        }
        for origin in [
            "null",
            "http://127.0.0.1:8440",
            "https://127.0.0.1:8441",
            "https://127.0.0.1",
            "https://evil.example:8440",
            "https://friend.example:1",
            "https://friend.example.evil",
            "https://evil@127.0.0.1:8440",
            "https://127.0.0.1:8440/",
        ] {
            assert!(!door().admits(origin), "{origin}");
        }
    }
}
