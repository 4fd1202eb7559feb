//! The data routes.

mod error;

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use error::Error;

use super::feeds::Feeds;
use super::pages::Pages;
use super::{Options, bulk};
use crate::admission::{Admission, Token, allow, allow_preflight, only_with_cors, only_with_trial_token};
use crate::feed::{After, EventId, Feed};
use crate::transport::coding::{ContentCoding, MAX_COMPRESSED};
use crate::transport::{
    Configuration, Configured, Opens, PendingSubscription, PublishError, Published, Publishing, Query, Reply,
    StreamOptions, SubscriptionRequest, Transport,
};
use crate::trial::rig::Rig;
use crate::trial::settings::{BufferingHint, Compression};
use crate::trial::{Alpn, ServerFact};
use crate::wire::exchange::BodyError;
use crate::wire::{Bound, Exchange, Handler, Request, ResponseBody, Sink, SubscriptionRecord, json_response};

/// How many subscriptions a server holds at most; more are answered 503 and counted.
pub const MAX_SUBSCRIPTIONS: usize = 50_000;

/// What says to an `<img>` what a 204 says to a fetch: type and content.
const PING_SVG: (&str, &str) = ("image/svg+xml", r#"<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>"#);
/// The same for an `<iframe>`. It tells the page around it that it is there, as a frame's `load` comes for the
/// browser's own page about an error too.
const PING_HTML: (&str, &str) =
    ("text/html; charset=utf-8", "<!doctype html><title>Here</title><script>parent.postMessage('here', '*')</script>");

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const EMBEDDER_POLICY: HeaderName = HeaderName::from_static("cross-origin-embedder-policy");

/// What the routes share.
#[derive(Debug)]
pub(super) struct Routes {
    pub(super) admission: Admission,
    pub(super) feeds: Feeds,
    /// What other machines have to show to read and publish, where that alone is kept from them.
    pub(super) feed_token: OnceLock<Token>,
    pages: Option<Pages>,
    transports: Arc<Configuration>,
    hint: BufferingHint,
    compression: Compression,
    rig: Option<Rig>,
    sink: Sink<ServerFact>,
    requests: AtomicU64,
    refused: Bound,
    /// The status that all who subscribe are answered with instead of a feed; 0: none.
    pub(super) turned_away: AtomicU16,
    /// Whether what is posted as `stuck` is left unread.
    pub(super) leaves_unread: AtomicBool,
    subscriptions: Arc<Semaphore>,
    compressors: Arc<Semaphore>,
    uncompressed: Bound,
}

impl Routes {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            admission: Admission::new(&options.hosts, &options.origins, options.token.clone()),
            feeds: Feeds::new(options.settings.log as usize),
            feed_token: OnceLock::new(),
            pages: options.control.as_deref().map(Pages::new),
            transports: Arc::clone(&options.transports),
            hint: options.settings.buffering_hint,
            compression: options.settings.compression,
            rig: options.rig,
            sink: options.sink.clone(),
            requests: AtomicU64::new(0),
            refused: Bound::new("subscriptions"),
            turned_away: AtomicU16::new(0),
            leaves_unread: AtomicBool::new(false),
            subscriptions: Arc::new(Semaphore::new(MAX_SUBSCRIPTIONS)),
            compressors: Arc::new(Semaphore::new(MAX_COMPRESSED)),
            uncompressed: Bound::new("compressed-streams"),
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Lets an exchange in, and begins to answer it; gives back its origin, where it has one that is let in.
    fn begin(self: &Arc<Self>, exchange: Exchange) -> (Option<HeaderValue>, Reply) {
        let head = exchange.head();
        let (origin, reply) =
            match self.admission.admit(exchange.connection().peer, head.version, &head.uri, &head.headers) {
                Ok(origin) => (origin, self.dispatch(exchange)),
                Err(refusal) => (None, Err(Error::refused(&refusal))),
            };
        (origin, reply.unwrap_or_else(|error| error.response().into()))
    }

    fn dispatch(self: &Arc<Self>, mut exchange: Exchange) -> Result<Reply, Error> {
        let uri = exchange.take_uri();
        if exchange.head().method == Method::OPTIONS {
            let mut response = no_content();
            allow_preflight(response.headers_mut());
            return Ok(response.into());
        }
        let path = uri.path();
        let query = || Query::read(uri.query().unwrap_or_default());
        let mut parts = path.strip_prefix('/').unwrap_or(path).split('/');
        if let Some(token) = self.feed_token.get()
            && parts.clone().next() == Some("feeds")
        {
            only_with_trial_token(token, exchange.connection().peer, &uri)
                .map_err(|refusal| Error::refused(&refusal))?;
        }
        match (parts.next(), parts.next(), parts.next(), parts.next(), exchange) {
            (Some("ping"), None, None, None, Exchange::Request(request)) => {
                only(&request.head.method, GET)?;
                Ok(embeddable(no_content()).into())
            }
            (Some(name @ ("ping.svg" | "ping.html")), None, None, None, Exchange::Request(request)) => {
                only(&request.head.method, GET)?;
                let (kind, content) = if name == "ping.svg" { PING_SVG } else { PING_HTML };
                let mut response = Response::new(ResponseBody::whole(content.to_owned()));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
                Ok(embeddable(response).into())
            }
            (Some("bulk"), None, None, None, Exchange::Request(request)) => {
                only(&request.head.method, GET)?;
                let asked = query()?.get("bytes").and_then(|text| text.parse().ok());
                let bytes = asked.filter(|bytes| *bytes <= bulk::MOST).ok_or_else(Error::no_length)?;
                Ok(embeddable(bulk::response(bytes)).into())
            }
            (Some("feeds"), Some(feed), None, None, Exchange::Request(request)) => {
                only(&request.head.method, POST)?;
                only_with_cors(&request.head.headers).map_err(|refusal| Error::refused(&refusal))?;
                self.publish(feed, &query()?, &request)
            }
            (Some("feeds"), Some(feed), Some(name), None, exchange) => {
                let transport = self.transports.find(name).ok_or_else(|| Error::no_transport(name))?;
                self.subscribe(feed, transport, &uri, exchange)
            }
            (.., Exchange::Request(request)) => self.page(path, &request.head.method),
            _ => Err(Error::no_route()),
        }
    }

    /// A page, where this server has some.
    fn page(&self, path: &str, method: &Method) -> Result<Reply, Error> {
        let page = self.pages.as_ref().and_then(|pages| pages.at(path)).ok_or_else(Error::no_route)?;
        only(method, GET)?;
        Ok(page.into())
    }

    fn publish(&self, feed: &str, query: &Query<'_>, request: &Request) -> Result<Reply, Error> {
        let feed = self.feed(feed)?;
        let body = match &request.body {
            Ok(body) => body,
            Err(BodyError::TooLong) => return Err(PublishError::TooLong.into()),
            Err(error @ BodyError::CutShort) => return Err(Error::new(StatusCode::BAD_REQUEST, error.to_string())),
        };
        let name = query.get("name").unwrap_or("message");
        let publishing = self.publishing(feed, number(query, "trial"));
        let created = |id: EventId| json_response(StatusCode::CREATED, &json!({"id": id.to_string()}));
        match publishing.publish(name, body, query.get("id"))? {
            Published::Done(id) => Ok(created(id).into()),
            under_way @ Published::UnderWay(_) => Ok(Reply::Later(Box::pin(async move {
                match under_way.taken().await {
                    Ok(id) => {
                        publishing.see(id).await;
                        created(id)
                    }
                    Err(error) => Error::from(error).response(),
                }
            }))),
        }
    }

    fn publishing(&self, feed: Arc<Feed>, tag: Option<u32>) -> Publishing {
        Publishing { feed, sink: self.sink.clone(), tag }
    }

    /// Lets a reader in, at once where its feed is this server's alone.
    fn subscribe(
        self: &Arc<Self>,
        feed: &str,
        (row, transport): (&'static Transport, &dyn Configured),
        uri: &http::Uri,
        exchange: Exchange,
    ) -> Result<Reply, Error> {
        fits(row, &exchange)?;
        only_with_cors(&exchange.head().headers).map_err(|refusal| Error::refused(&refusal))?;
        if let Some(turned_away) = self.turned_away() {
            return turned_away.map(Reply::Now);
        }
        let query = Query::read(uri.query().unwrap_or_default())?;
        let feed = self.feed(feed)?;
        let after =
            After::parse(query.get("after")).map_err(|error| Error::new(StatusCode::BAD_REQUEST, error.to_string()))?;
        let after = transport.begins(&exchange.head().headers, after);
        let Some(settling) = feed.shared().and_then(|log| log.settle(after)) else {
            return self.attach(feed, after, row, &query, exchange);
        };
        let (routes, uri) = (Arc::clone(self), uri.clone());
        Ok(Reply::Later(Box::pin(async move {
            let attached = async {
                let after = settling.await?;
                routes.attach(feed, after, row, &Query::read(uri.query().unwrap_or_default())?, exchange)
            };
            match attached.await {
                Ok(Reply::Now(response)) => response,
                Ok(Reply::Later(response)) => response.await,
                Err(error) => error.response(),
            }
        })))
    }

    fn attach(
        &self,
        feed: Arc<Feed>,
        after: After,
        row: &'static Transport,
        query: &Query<'_>,
        exchange: Exchange,
    ) -> Result<Reply, Error> {
        let (_, transport) = self.transports.find(row.name).ok_or_else(|| Error::no_transport(row.name))?;
        let (tag, sub) = (number(query, "trial"), number(query, "sub"));
        let record = SubscriptionRecord {
            connection: Arc::clone(exchange.connection()),
            http: (exchange.connection().alpn != Alpn::Quic).then_some(exchange.head().version),
            feed: Arc::clone(feed.name()),
            tag,
            sub,
            silent: self.rig == Some(Rig::Miscount) && sub.is_some_and(|sub| sub % 3 == 2),
            stuck: query.get("stuck").is_some(),
            asks_only: exchange.head().method == Method::HEAD,
            permit: self.permit()?,
        };
        let publishing = self.publishing(Arc::clone(&feed), tag);
        let pending = PendingSubscription { feed, record, rig: self.rig };
        let stream = self.stream_options(row, &exchange.head().headers);
        Ok(transport.serve(SubscriptionRequest { exchange, after, query, pending, stream, publishing }))
    }

    /// What an answer is, where it goes on. It stays uncompressed where there are as many compressed ones as there may be.
    fn stream_options(&self, row: &Transport, asked: &HeaderMap) -> StreamOptions {
        let coding = self.compression.coding().filter(|_| row.goes_on()).and_then(ContentCoding::find);
        let compressor = coding.filter(|coding| coding.is_accepted(asked)).and_then(|coding| {
            let permit = Arc::clone(&self.compressors).try_acquire_owned();
            let permit = permit.inspect_err(|_| self.uncompressed.reached(&self.sink)).ok()?;
            Some(coding.compressor(permit))
        });
        StreamOptions { hint: self.hint, varies: coding.is_some(), compressor }
    }

    /// What a reader is answered with while the server turns all away: a fault that was asked for.
    fn turned_away(&self) -> Option<Result<Response<ResponseBody>, Error>> {
        match StatusCode::from_u16(self.turned_away.load(Ordering::Acquire)).ok()? {
            StatusCode::NO_CONTENT => Some(Ok(no_content())),
            status => Some(Err(Error::new(status, "no subscription is let in at the moment"))),
        }
    }

    fn feed(&self, name: &str) -> Result<Arc<Feed>, Error> {
        if !Feeds::is_name(name) {
            return Err(Error::new(StatusCode::BAD_REQUEST, "a feed's name is 1 to 64 of a-z 0-9 -"));
        }
        self.feeds.get(name).ok_or_else(|| {
            Error::new(StatusCode::SERVICE_UNAVAILABLE, format!("there are {} feeds already", super::MAX_FEEDS))
        })
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(permit) = Arc::clone(&self.subscriptions).try_acquire_owned() {
            return Ok(permit);
        }
        self.refused.reached(&self.sink);
        Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, format!("there are {MAX_SUBSCRIPTIONS} subscriptions already")))
    }
}

impl Handler for Arc<Routes> {
    fn answer(&self, exchange: Exchange) -> impl Future<Output = Response<ResponseBody>> + Send + use<> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (origin, reply) = self.begin(exchange);
        async {
            let response = match reply {
                Reply::Now(response) => response,
                Reply::Later(response) => response.await,
            };
            dressed(response, origin)
        }
    }

    fn leaves_unread(&self, target: &http::Uri) -> bool {
        let stuck = |query: &str| Query::read(query).is_ok_and(|query| query.get("stuck").is_some());
        self.leaves_unread.load(Ordering::Relaxed) && target.query().is_some_and(stuck)
    }
}

/// With the fields that every answer has.
fn dressed(mut response: Response<ResponseBody>, origin: Option<HeaderValue>) -> Response<ResponseBody> {
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    allow(headers, origin);
    response
}

/// For pages that are cross-origin isolated and load it without CORS, such as an image, or in a frame (WHATWG HTML,
/// "cross-origin embedder policies": what is embedded must have one as well). Whoever reads a feed does it with CORS.
fn embeddable(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    response.headers_mut().insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    response.headers_mut().insert(EMBEDDER_POLICY, HeaderValue::from_static("require-corp"));
    response
}

/// What a route takes, as its `Allow` field says it. HEAD is answered wherever GET is (RFC 9110 section 9.1).
const GET: &str = "GET, HEAD";
const POST: &str = "POST";

fn only(method: &Method, allowed: &'static str) -> Result<(), Error> {
    if allowed.split(", ").any(|allowed| method == allowed) {
        return Ok(());
    }
    Err(Error::other_method(allowed))
}

/// Whether a transport takes this kind of exchange, and if not, what to say.
fn fits(transport: &Transport, exchange: &Exchange) -> Result<(), Error> {
    let name = transport.name;
    let refused = |message: String| Err(Error::new(StatusCode::BAD_REQUEST, message));
    match (transport.opens, exchange) {
        (Opens::Request, Exchange::Request(request)) => only(&request.head.method, GET),
        (Opens::Tunnel(token), Exchange::Tunnel(opening)) | (Opens::Session(token), Exchange::Session(opening))
            if opening.protocol == token =>
        {
            Ok(())
        }
        (Opens::Request, Exchange::Tunnel(opening) | Exchange::Session(opening)) => {
            refused(format!("{name} takes a GET, not {}", opening.protocol))
        }
        (Opens::Tunnel(token), _) => refused(format!("{name} takes an Upgrade or an extended CONNECT to {token}")),
        (Opens::Session(_), _) => refused(format!("{name} takes a session of that name, on QUIC")),
    }
}

fn no_content() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn number(query: &Query<'_>, name: &str) -> Option<u32> {
    query.get(name).and_then(|text| text.parse().ok())
}
