//! Servers and proxies that many have: how each gives itself away, and the line to change there.

use http::header::{SERVER, VIA};
use http::response::Parts;
use http::{HeaderName, StatusCode};

use super::dial::field;

/// Where frameworks say who they are.
const POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");

/// One of them.
#[derive(Debug)]
pub(super) struct Known {
    /// What `Server`, `Via` or `X-Powered-By` has of it, in small letters; none: it doesn't say.
    names: &'static [&'static str],
    /// The field that it adds to what it has from others, if it does.
    adds: Option<HeaderName>,
    /// Whether it keeps back the beginning of what it passes on, unless it is told not to.
    pub(super) holds_back: bool,
    /// What it answers by itself to a request for a WebSocket, unless it is told to pass that on.
    refuses_upgrade: Option<StatusCode>,
    lines: Remedies,
}

/// What to change, by what is wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remedies {
    /// Events are gathered.
    pub(super) gathered: Option<&'static str>,
    /// They are gathered by a compressor.
    pub(super) compressed: Option<&'static str>,
    /// Answers end.
    pub(super) ended: Option<&'static str>,
    /// What is quiet is cut.
    pub(super) cut: Option<&'static str>,
    /// There is no HTTP/2.
    pub(super) http2: Option<&'static str>,
    pub(super) few_streams: Option<&'static str>,
    pub(super) goaway: Option<&'static str>,
    /// `Upgrade` isn't passed on.
    pub(super) upgrade: Option<&'static str>,
    /// An extended CONNECT is refused.
    pub(super) connect: Option<&'static str>,
}

const NONE: Remedies = Remedies {
    gathered: None,
    compressed: None,
    ended: None,
    cut: None,
    http2: None,
    few_streams: None,
    goaway: None,
    upgrade: None,
    connect: None,
};

const PLAIN: Known = Known { names: &[], adds: None, holds_back: false, refuses_upgrade: None, lines: NONE };

/// All of them.
static ALL: [Known; 6] = [
    Known {
        names: &["nginx", "openresty", "tengine"],
        holds_back: true,
        lines: Remedies {
            gathered: Some(
                "nginx: `proxy_buffering off;` in the location of the stream, or the application answers with \
                 `X-Accel-Buffering: no`",
            ),
            compressed: Some(
                "nginx: take the stream's type out of `gzip_types` and `brotli_types`, or `gzip off;` in its location",
            ),
            ended: Some("nginx: `proxy_read_timeout 1h;` in the location of the stream"),
            cut: Some("nginx: `proxy_read_timeout 1h;` in the location of the stream"),
            http2: Some("nginx: `http2 on;` in the server, with TLS"),
            few_streams: Some("nginx: `http2_max_concurrent_streams 128;`"),
            goaway: Some("nginx: a greater `keepalive_requests` and `keepalive_time`"),
            upgrade: Some(
                "nginx: `proxy_http_version 1.1;`, `proxy_set_header Upgrade $http_upgrade;` and `proxy_set_header \
                 Connection \"upgrade\";` in the location",
            ),
            ..NONE
        },
        ..PLAIN
    },
    Known {
        lines: Remedies {
            ended: Some("HAProxy: a longer `timeout server` and `timeout client`"),
            cut: Some("HAProxy: a longer `timeout server` and `timeout client`, for a WebSocket `timeout tunnel`"),
            ..NONE
        },
        ..PLAIN
    },
    Known {
        names: &["envoy"],
        adds: Some(HeaderName::from_static("x-envoy-upstream-service-time")),
        refuses_upgrade: Some(StatusCode::FORBIDDEN),
        lines: Remedies {
            ended: Some(
                "Envoy: `timeout: 0s` in the route of the stream; after 15 s it ends each answer, however much comes of it",
            ),
            cut: Some("Envoy: `stream_idle_timeout: 0s`, and `timeout: 0s` in the route of the stream"),
            goaway: Some("Envoy: a greater `max_connection_duration` and `max_requests_per_connection`"),
            upgrade: Some("Envoy: `upgrade_configs: [{ upgrade_type: websocket }]` in its HTTP connection manager"),
            // https://github.com/envoyproxy/envoy/issues/8547
            connect: Some(
                "Envoy: without `allow_connect` and `allow_extended_connect` browsers open it on HTTP/1.1; from any other \
                 version it makes an opening without Sec-WebSocket-Key of it, which servers on HTTP/1.1 refuse",
            ),
            ..NONE
        },
        ..PLAIN
    },
    Known {
        names: &["caddy"],
        lines: Remedies { gathered: Some("Caddy: `flush_interval -1` in the stream's reverse_proxy"), ..NONE },
        ..PLAIN
    },
    Known {
        names: &["apache"],
        lines: Remedies { gathered: Some("Apache: `flushpackets=on` in the ProxyPass of the stream"), ..NONE },
        ..PLAIN
    },
    Known {
        names: &["express"],
        lines: Remedies {
            compressed: Some(
                "Express: `res.flush()` after each event, or `Cache-Control: no-transform`, which its `compression` heeds",
            ),
            ..NONE
        },
        ..PLAIN
    },
];

/// Picks what is to be changed for one thing.
pub(super) type Remedy = fn(&Remedies) -> Option<&'static str>;

impl Known {
    fn is_at(&self, head: &Parts) -> bool {
        let said = [&SERVER, &VIA, &POWERED_BY].map(|name| field(head, name).unwrap_or_default().to_ascii_lowercase());
        self.has_passed_on(head) || self.names.iter().any(|name| said.iter().any(|said| said.contains(name)))
    }

    /// Whether it has this answer from others.
    fn has_passed_on(&self, head: &Parts) -> bool {
        self.adds.as_ref().is_some_and(|added| head.headers.contains_key(added))
    }
}

/// Those who have had to do with an answer.
pub(super) fn at(head: &Parts) -> impl Iterator<Item = &'static Known> {
    ALL.iter().filter(move |known| known.is_at(head))
}

/// Whether one of them refuses by this answer what it isn't told to pass on.
pub(super) fn refuses_upgrade(head: &Parts) -> bool {
    at(head).any(|known| known.refuses_upgrade == Some(head.status) && !known.has_passed_on(head))
}

/// What to change: with the one who answers, or what else it is (`own`), and with whom it may be.
pub(super) fn change(head: Option<&Parts>, own: &str, line: Remedy) -> String {
    if let Some(line) = head.and_then(|head| at(head).find_map(|known| line(&known.lines))) {
        return line.to_owned();
    }
    let with: Vec<&str> = ALL.iter().filter_map(|known| line(&known.lines)).collect();
    if with.is_empty() { own.to_owned() } else { format!("{own} ({})", with.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, name: &str, value: &str) -> Parts {
        http::Response::builder().status(status).header(name, value).body(()).unwrap().into_parts().0
    }

    #[test]
    fn who_says_who_it_is_gets_its_own_line_and_others_all_of_them() {
        let gathered = |head: Option<&Parts>| change(head, "flush", |lines| lines.gathered);
        assert!(gathered(Some(&head(200, "server", "nginx/1.22.1"))).starts_with("nginx: `proxy_buffering off;`"));
        assert!(gathered(Some(&head(200, "via", "1.1 Caddy"))).starts_with("Caddy: "));
        // Who it is says nothing of what is wrong.
        let unknown = gathered(Some(&head(200, "x-powered-by", "Express")));
        assert_eq!(unknown, gathered(None));
        assert!(unknown.starts_with("flush (nginx: ") && unknown.contains("; Apache: "), "{unknown}");
    }

    #[test]
    fn a_refusal_of_its_own_is_told_from_one_that_was_passed_on() {
        let own = head(403, "server", "envoy");
        assert!(refuses_upgrade(&own));
        let mut passed_on = own;
        passed_on.headers.insert("x-envoy-upstream-service-time", http::HeaderValue::from_static("3"));
        assert!(!refuses_upgrade(&passed_on) && at(&passed_on).count() == 1);
        assert!(!refuses_upgrade(&head(403, "server", "nginx")));
    }
}
