//! How it behaves: a guest, who reads, asks slowly and little, says who it is, and goes when it is told to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, ORIGIN, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rustls::RootCertStore;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Who asks, as every request says.
pub const NAME: &str =
    concat!("transport-lab/", env!("CARGO_PKG_VERSION"), " (diagnose; only reads what it was pointed at)");
/// The time between two requests at least: ten a second.
const BETWEEN: Duration = Duration::from_millis(100);
/// How many requests one diagnosis makes at most, beside the streams that were asked for.
const MAX_REQUESTS: u32 = 24;
/// On how many protocols streams are opened at once.
const PROTOCOLS: u32 = 3;
/// A text this short would be found, and hidden, all over the place.
const LEAST_HIDDEN: usize = 4;

/// A header field or a cookie that a person gave: it is sent, and shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Given(String);

impl From<String> for Given {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given(…)")
    }
}

/// Why something that was given can't be sent. What it was is in none of these.
#[derive(Debug, thiserror::Error)]
pub enum GivenError {
    #[error("a header field is written 'Name: value', and one after -H isn't")]
    Form,
    #[error("`{0}` can't be given with -H: the diagnosis says it itself")]
    Own(HeaderName),
    #[error("give the origin of a page with --origin, as its CORS is then looked at too")]
    Origin,
    #[error("the value of `{0}` has characters that no header field may have")]
    Value(HeaderName),
}

/// What is the protocol's, or says who asks or what is asked for.
static OWN: [HeaderName; 13] = [
    ACCEPT,
    ACCEPT_ENCODING,
    CONNECTION,
    CONTENT_LENGTH,
    HOST,
    HeaderName::from_static("last-event-id"),
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    USER_AGENT,
];

/// Why nothing more is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// RFC 6585 section 4.
    #[error("it answered 429 Too Many Requests, so nothing more was asked")]
    TooMany,
    #[error("all the requests that one diagnosis makes were made")]
    Spent,
}

/// The guest: what it brings, and what it has asked so far.
#[derive(Debug)]
pub(super) struct Guest {
    headers: HeaderMap,
    hidden: Vec<String>,
    pub(super) roots: Arc<RootCertStore>,
    /// Whether it goes on under a certificate that isn't valid.
    pub(super) insecure: bool,
    /// When the next request may be made.
    next: Mutex<Instant>,
    budget: u32,
    requests: AtomicU32,
    connections: AtomicU32,
    turned_away: AtomicBool,
}

impl Guest {
    pub(super) fn new(
        given: (&[Given], &[Given]),
        origin: Option<&str>,
        (roots, insecure): (RootCertStore, bool),
        streams: u32,
    ) -> Result<Self, GivenError> {
        let (headers, hidden) = fields(given, origin)?;
        Ok(Self {
            headers,
            hidden,
            roots: Arc::new(roots),
            insecure,
            next: Mutex::new(Instant::now()),
            budget: MAX_REQUESTS + PROTOCOLS * streams,
            requests: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            turned_away: AtomicBool::new(false),
        })
    }

    /// Waits for its turn to make a request.
    pub(super) async fn turn(&self) -> Result<(), Stop> {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        if self.turned_away.load(Ordering::Acquire) {
            return Err(Stop::TooMany);
        }
        if self.requests.fetch_add(1, Ordering::AcqRel) >= self.budget {
            self.requests.fetch_sub(1, Ordering::AcqRel);
            return Err(Stop::Spent);
        }
        *next = Instant::now() + BETWEEN;
        Ok(())
    }

    pub(super) fn connects(&self) {
        self.connections.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes note of how it was answered: after a 429 it asks no more.
    pub(super) fn answered(&self, status: StatusCode) {
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.turned_away.store(true, Ordering::Release);
        }
    }

    /// Whether it was asked to go.
    pub(super) fn is_turned_away(&self) -> bool {
        self.turned_away.load(Ordering::Acquire)
    }

    /// What every request has.
    pub(super) fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    /// How many requests it made on how many connections.
    pub(super) fn made(&self) -> (u32, u32) {
        (self.requests.load(Ordering::Acquire), self.connections.load(Ordering::Acquire))
    }

    /// The most requests that it makes in a second.
    pub(super) fn rate() -> u32 {
        u32::try_from(Duration::from_secs(1).as_millis() / BETWEEN.as_millis()).unwrap_or(1)
    }

    /// A text without what was given, should a server say it back.
    pub(super) fn hide(&self, text: &str) -> String {
        self.hidden.iter().fold(text.to_owned(), |text, given| text.replace(given, "…"))
    }
}

fn fields(
    (headers, cookies): (&[Given], &[Given]),
    origin: Option<&str>,
) -> Result<(HeaderMap, Vec<String>), GivenError> {
    let (mut fields, mut hidden) = (HeaderMap::new(), Vec::new());
    fields.insert(USER_AGENT, HeaderValue::from_static(NAME));
    for Given(text) in headers {
        let (name, value) = text.split_once(':').ok_or(GivenError::Form)?;
        let name: HeaderName = name.trim().parse().map_err(|_| GivenError::Form)?;
        if name == ORIGIN {
            return Err(GivenError::Origin);
        }
        if OWN.contains(&name) {
            return Err(GivenError::Own(name));
        }
        hidden.extend(parts(value));
        fields.append(&name, secret(&name, value.trim())?);
    }
    if !cookies.is_empty() {
        let all: Vec<&str> = cookies.iter().map(|Given(text)| text.trim()).collect();
        hidden.extend(all.iter().flat_map(|text| parts(text)));
        // RFC 6265 section 5.4: one field has them all.
        fields.append(COOKIE, secret(&COOKIE, &all.join("; "))?);
    }
    if let Some(origin) = origin {
        fields.insert(ORIGIN, HeaderValue::try_from(origin).map_err(|_| GivenError::Value(ORIGIN))?);
    }
    hidden.retain(|part| part.len() >= LEAST_HIDDEN);
    // The longest first, so that none is left in parts.
    hidden.sort_by_key(|part| std::cmp::Reverse(part.len()));
    Ok((fields, hidden))
}

/// A value that no library shows when it shows a request.
fn secret(name: &HeaderName, value: &str) -> Result<HeaderValue, GivenError> {
    let mut value = HeaderValue::try_from(value).map_err(|_| GivenError::Value(name.clone()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A value and what it is made of: `Bearer abc` is also `abc`, and `a=b; c=d` also `b` and `d`.
fn parts(value: &str) -> impl Iterator<Item = String> {
    let value = value.trim();
    let words = value.split([' ', ';', ',']).flat_map(|word| {
        let named = word.split_once('=').map(|(_, value)| value);
        [Some(word), named].into_iter().flatten()
    });
    std::iter::once(value).chain(words).map(|part| part.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(headers: &[&str], cookies: &[&str]) -> Result<Guest, GivenError> {
        let given = |texts: &[&str]| texts.iter().map(|text| Given((*text).to_owned())).collect::<Vec<_>>();
        let (headers, cookies) = (given(headers), given(cookies));
        Guest::new((&headers, &cookies), Some("https://app.example"), (RootCertStore::empty(), false), 0)
    }

    #[test]
    fn what_was_given_is_sent_and_never_shown() {
        let guest = guest(&["Authorization: Bearer t0ken-1"], &["sid=abc123", "theme=dark"]).unwrap();
        let headers = guest.headers();
        assert_eq!(headers[http::header::AUTHORIZATION], "Bearer t0ken-1");
        assert_eq!(headers[COOKIE], "sid=abc123; theme=dark");
        assert_eq!(headers[ORIGIN], "https://app.example");
        let shown = format!("{headers:?} {:?}", Given("secret".to_owned()));
        let shown = shown + &guest.hide("you sent t0ken-1 and sid=abc123, or abc123");
        for secret in ["t0ken", "abc123", "dark", "secret"] {
            assert!(!shown.contains(secret), "{secret}: {shown}");
        }
    }

    #[test]
    fn what_the_protocol_says_or_cannot_be_sent_is_refused_without_its_value() {
        for (header, says) in [
            ("no colon s3cret", "'Name: value'"),
            ("User-Agent: s3cret", "`user-agent`"),
            ("Host: s3cret", "`host`"),
            ("Origin: https://s3cret", "--origin"),
            ("X-Key: s3cret\nX: y", "`x-key`"),
        ] {
            let error = guest(&[header], &[]).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(says) && !shown.contains("s3cret"), "{shown}");
        }
    }

    #[tokio::test]
    async fn after_a_429_and_after_its_last_request_it_asks_no_more() {
        let alone = guest(&[], &[]).unwrap();
        assert_eq!(alone.turn().await, Ok(()));
        alone.answered(StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(alone.turn().await, Err(Stop::TooMany));
        let mut spent = guest(&[], &[]).unwrap();
        spent.budget = 2;
        let begun = Instant::now();
        assert_eq!([spent.turn().await, spent.turn().await, spent.turn().await], [Ok(()), Ok(()), Err(Stop::Spent)]);
        assert!(begun.elapsed() >= BETWEEN, "two requests in a row");
        assert_eq!(spent.made(), (2, 0));
    }
}
