//! The data routes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures_util::StreamExt;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::json;

use super::admission::{Admission, allow, allow_preflight};
use super::feeds::Feeds;
use super::{Options, publish_now, rigged};
use crate::feed::{After, MAX_EVENT_BYTES};
use crate::transport::{self, Reading, Transport};
use crate::trial::Fact;
use crate::trial::clock::monotonic_nanos;
use crate::trial::rig::Rig;
use crate::wire::exchange::BodyError;
use crate::wire::{Attaching, Exchange, Handler, Request, ResponseBody, Sink};

/// How many subscriptions a server holds at most; more are answered 503 and counted.
pub const MAX_SUBSCRIPTIONS: usize = 50_000;

/// What says to an `<img>` what a 204 says to a fetch: type and content.
const PING_SVG: (&str, &str) = ("image/svg+xml", r#"<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>"#);
/// The same for an `<iframe>`. It tells the page around it that it is there, as a frame's `load` comes for the
/// browser's own page about an error too.
const PING_HTML: (&str, &str) =
    ("text/html; charset=utf-8", "<!doctype html><title>Here</title><script>parent.postMessage('here', '*')</script>");

/// What the routes share.
#[derive(Debug)]
pub(super) struct Routes {
    pub(super) admission: Admission,
    pub(super) feeds: Feeds,
    tables: BTreeMap<String, serde_json::Value>,
    rig: Option<Rig>,
    sink: Sink,
    requests: AtomicU64,
    refused: AtomicU64,
    subscriptions: Arc<AtomicUsize>,
}

impl Routes {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            admission: Admission::new(&options.hosts, &options.origins, options.token.clone()),
            feeds: Feeds::new(options.settings.log as usize),
            tables: options.tables.clone(),
            rig: options.rig,
            sink: options.sink.clone(),
            requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            subscriptions: Arc::default(),
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn dispatch(&self, request: &Request) -> Result<Response<ResponseBody>, Error> {
        let path = request.head.uri.path();
        let method = &request.head.method;
        if method == Method::OPTIONS {
            let mut response = Response::new(ResponseBody::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            allow_preflight(response.headers_mut());
            return Ok(response);
        }
        let mut parts = path.strip_prefix('/').unwrap_or(path).split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("ping"), None, None, None) => {
                only(method, &Method::GET)?;
                let mut response = Response::new(ResponseBody::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                Ok(response)
            }
            (Some(name @ ("ping.svg" | "ping.html")), None, None, None) => {
                only(method, &Method::GET)?;
                let (kind, content) = if name == "ping.svg" { PING_SVG } else { PING_HTML };
                let mut response = Response::new(ResponseBody::whole(content.to_owned()));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
                Ok(response)
            }
            (Some("feeds"), Some(feed), None, None) => {
                only(method, &Method::POST)?;
                self.publish(feed, request)
            }
            (Some("feeds"), Some(feed), Some(name), None) => {
                let transport = transport::find(name).ok_or_else(|| Error::no_transport(name))?;
                only(method, &Method::GET)?;
                self.subscribe(feed, transport, request)
            }
            _ => Err(Error::new(StatusCode::NOT_FOUND, "no such route; see /feeds/{feed}/{transport} and /ping")),
        }
    }

    fn publish(&self, feed: &str, request: &Request) -> Result<Response<ResponseBody>, Error> {
        let feed = self.feed(feed)?;
        let query = query(request)?;
        let name = query.get("name").map_or("message", |name| name.as_ref());
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name == "gap" || !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
            let message =
                "an event's name is 1 to 64 of A-Z a-z 0-9 - _ . and not \"gap\", which the server says itself";
            return Err(Error::new(StatusCode::BAD_REQUEST, message));
        }
        let too_long =
            || Error::new(StatusCode::PAYLOAD_TOO_LARGE, format!("an event holds at most {MAX_EVENT_BYTES} bytes"));
        let body = match &request.body {
            Ok(body) if body.len() > MAX_EVENT_BYTES => return Err(too_long()),
            Ok(body) => body,
            Err(BodyError::TooLong) => return Err(too_long()),
            Err(error @ BodyError::CutShort) => return Err(Error::new(StatusCode::BAD_REQUEST, error.to_string())),
        };
        let data = std::str::from_utf8(body)
            .map_err(|_| Error::new(StatusCode::BAD_REQUEST, "an event's data must be UTF-8"))?;
        let id = publish_now(&feed, name, data.to_owned());
        Ok(json_response(StatusCode::CREATED, &json!({"id": id.to_string()})))
    }

    fn subscribe(&self, feed: &str, transport: &Transport, request: &Request) -> Result<Response<ResponseBody>, Error> {
        let feed = self.feed(feed)?;
        let query = query(request)?;
        let number = |name: &str| query.get(name).and_then(|text| text.parse::<u32>().ok());
        let after = After::parse(query.get("after").map(AsRef::as_ref))
            .map_err(|error| Error::new(StatusCode::BAD_REQUEST, error.to_string()))?;
        let place = self.place()?;
        let (tag, sub) = (number("trial"), number("sub"));
        let attaching = Attaching {
            connection: Arc::clone(&request.connection),
            feed: feed.name().to_owned(),
            tag,
            sub,
            silent: self.rig == Some(Rig::Miscount) && sub.is_some_and(|sub| sub % 3 == 2),
        };
        let empty = json!({});
        let table = self.tables.get(transport.name).unwrap_or(&empty);
        let response = (transport.serve)(Reading { head: &request.head, feed: &feed, after, table, attaching });
        let rig = self.rig;
        Ok(response.map(|body| {
            body.map_chunks(|chunks| {
                rigged::chunks(chunks, rig).map(move |chunk| {
                    // The place is the subscription's as long as its stream lives.
                    let _ = &place;
                    chunk
                })
            })
        }))
    }

    fn feed(&self, name: &str) -> Result<Arc<crate::feed::Feed>, Error> {
        if !Feeds::is_name(name) {
            return Err(Error::new(StatusCode::BAD_REQUEST, "a feed's name is 1 to 64 of a-z 0-9 -"));
        }
        self.feeds.get(name).ok_or_else(|| {
            Error::new(StatusCode::SERVICE_UNAVAILABLE, format!("there are {} feeds already", super::MAX_FEEDS))
        })
    }

    fn place(&self) -> Result<Place, Error> {
        let place = Place(Arc::clone(&self.subscriptions));
        if self.subscriptions.fetch_add(1, Ordering::Relaxed) < MAX_SUBSCRIPTIONS {
            return Ok(place);
        }
        let times = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        self.sink.saw(Fact::BoundReached { t: monotonic_nanos(), bound: "subscriptions".to_owned(), times });
        Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, format!("there are {MAX_SUBSCRIPTIONS} subscriptions already")))
    }
}

impl Handler for Arc<Routes> {
    async fn answer(&self, exchange: Exchange) -> Response<ResponseBody> {
        let Exchange::Request(request) = exchange;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (origin, answer) =
            match self.admission.admit(request.connection.peer, &request.head.uri, &request.head.headers) {
                Ok(origin) => (origin, self.dispatch(&request)),
                Err(refusal) => (None, Err(Error::new(refusal.status(), refusal.to_string()))),
            };
        let mut response = answer.unwrap_or_else(Error::response);
        let headers = response.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        // For pages that are cross-origin isolated and load it without CORS, such as an image, or in a frame (WHATWG
        // HTML, "cross-origin embedder policies": what is embedded must have one as well).
        headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
        headers.insert("cross-origin-embedder-policy", HeaderValue::from_static("require-corp"));
        allow(headers, origin);
        response
    }
}

/// A subscription's place among [`MAX_SUBSCRIPTIONS`].
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer that says what was wrong.
#[derive(Debug)]
struct Error {
    status: StatusCode,
    message: Cow<'static, str>,
    allow: Option<Method>,
}

impl Error {
    fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), allow: None }
    }

    fn no_transport(name: &str) -> Self {
        let names: Vec<_> = transport::ALL.iter().map(|transport| transport.name).collect();
        let name: String = name.chars().take(64).collect();
        Self::new(StatusCode::NOT_FOUND, format!("no transport `{name}`; there are {}", names.join(", ")))
    }

    fn response(self) -> Response<ResponseBody> {
        let mut response = json_response(self.status, &json!({"error": self.message}));
        if let Some(method) = self.allow.and_then(|method| method.as_str().parse().ok()) {
            response.headers_mut().insert(ALLOW, method);
        }
        response
    }
}

fn only(method: &Method, allowed: &Method) -> Result<(), Error> {
    if method == allowed {
        return Ok(());
    }
    let message = format!("this route takes {allowed}");
    Err(Error { allow: Some(allowed.clone()), ..Error::new(StatusCode::METHOD_NOT_ALLOWED, message) })
}

fn query(request: &Request) -> Result<HashMap<Cow<'_, str>, Cow<'_, str>>, Error> {
    let text = request.head.uri.query().unwrap_or("");
    let mut query = HashMap::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        if query.insert(name, value).is_some() {
            return Err(Error::new(StatusCode::BAD_REQUEST, "the query names something twice"));
        }
    }
    Ok(query)
}

fn json_response(status: StatusCode, value: &serde_json::Value) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
