//! Everything that can be set for a trial. Each field is one setting; its place in these structs is its
//! dotted name (`workload.events.rate`), and every one of them can be a factor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Protocol;
use crate::units::{Rate, Settable, Size, Span};

/// The settings of one trial, with all defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settings {
    /// Who subscribes: a client's name.
    #[serde(default = "native")]
    pub client: String,
    /// What is subscribed over.
    #[serde(default = "sse_on_h2")]
    pub protocol: Protocol,
    /// How long one trial may take beyond its own timeline before it ends `timed-out`.
    #[serde(default = "thirty_seconds")]
    pub timeout: Span,
    /// Who subscribes to what, when, and what is published.
    #[serde(default)]
    pub workload: Workload,
    /// The server under test.
    #[serde(default)]
    pub server: Server,
    /// What a trial must keep to, or else end `failed`.
    #[serde(default)]
    pub expect: Expect,
    /// What goes wrong on purpose, in the order of the file.
    #[serde(default)]
    pub fault: Vec<Fault>,
    /// What else the client does, in the order of the file: `[[beside]]`.
    #[serde(default)]
    pub beside: Vec<Beside>,
    /// One table per transport, keyed by its name; typed and checked in that transport's file. A key here
    /// that names no transport is an unknown setting, which the plan refuses.
    #[serde(flatten)]
    pub transports: BTreeMap<String, serde_json::Value>,
}

fn native() -> String {
    "native".to_owned()
}

fn sse_on_h2() -> Protocol {
    Protocol::new("sse", super::Alpn::H2)
}

fn thirty_seconds() -> Span {
    Span::from_secs(30)
}

/// Who subscribes to what and when, and what is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Workload {
    /// All subscriptions of the trial, dealt round over pages, hosts, ports and feeds.
    pub subscribers: u32,
    /// Pages of one browser.
    pub pages: u32,
    /// Host names of the server: 1 is `localhost`, more are `a.localhost`, `b.localhost` and so on.
    pub hosts: u32,
    /// Ports that the server listens on for each ALPN.
    pub ports: u32,
    /// Feeds that the events are published to, each to all of them.
    pub feeds: u32,
    /// Whether the native client's subscriptions share one connection per host and port (HTTP/1.1 can't).
    pub connections: Connections,
    /// When the first subscription is asked for.
    pub open: Opening,
    /// Whether each subscription has an address of its own.
    pub urls: Urls,
    /// Which host comes first, where there are several.
    pub host_order: HostOrder,
    /// Whether a browser's page is in front.
    pub visibility: Visibility,
    /// How long the opening is spread over; 0 is a burst.
    pub ramp: Span,
    /// From the end of the ramp to the first event.
    pub settle: Span,
    /// From the end of the ramp to the census.
    pub hold: Span,
    /// From the census to the end.
    pub drain: Span,
    /// Whether a browser sends credentials: one mode for every request of a trial, or both.
    pub credentials: Credentials,
    /// What is published.
    pub events: Events,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            subscribers: 1,
            pages: 1,
            hosts: 1,
            ports: 1,
            feeds: 1,
            connections: Connections::Shared,
            open: Opening::Burst,
            urls: Urls::Distinct,
            host_order: HostOrder::Forward,
            visibility: Visibility::Visible,
            ramp: Span::default(),
            settle: Span::default(),
            hold: Span::from_secs(3),
            drain: Span::from_millis(500),
            credentials: Credentials::Omit,
            events: Events::default(),
        }
    }
}

impl Workload {
    /// T, the census, in nanoseconds after `go`.
    pub fn census_nanos(&self) -> u64 {
        self.ramp.nanos() + self.hold.nanos()
    }
}

/// Whether subscriptions of the native client share connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connections {
    /// One connection per host and port, as browsers do on HTTP/2 and HTTP/3.
    Shared,
    /// One connection per subscription.
    Separate,
}

/// The credentials mode of every request in a trial (WHATWG Fetch, "credentials mode").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    /// `credentials: "omit"`, an `EventSource` without `withCredentials`.
    Omit,
    /// `credentials: "include"`, `withCredentials: true`.
    Include,
    /// Omit for subscriptions with an even number, include for odd ones; the probe omits.
    Both,
}

/// When the first subscription is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opening {
    /// At `go`, on connections that don't exist yet.
    Burst,
    /// Once a request to each host and port was answered, before `go`: by then the connection's SETTINGS or
    /// transport parameters have arrived. On HTTP/3 that request uses up one of the streams that they allow.
    AfterSettings,
}

/// Whether each subscription has an address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Urls {
    /// Each says its number: `&sub=0`.
    Distinct,
    /// All of one feed, host and port are the same; the server can't tell them apart.
    Identical,
}

/// Which host comes first, where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostOrder {
    /// `a.localhost`, then `b.localhost`.
    Forward,
    /// The other way round.
    Reverse,
}

/// Whether a browser's page is in front (`document.visibilityState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// It is, and background throttling is switched off for further pages.
    Visible,
    /// Another tab covers it, from before `go`, and throttling is left as the browser has it.
    Hidden,
}

/// What is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Events {
    /// How many events before the census, to each feed.
    pub count: u32,
    /// How often.
    pub rate: Rate,
    /// How long the data of each is.
    pub size: Size,
    /// How they are spread.
    pub arrival: Arrival,
}

impl Default for Events {
    fn default() -> Self {
        Self { count: 3, rate: Rate::per_second(1.0), size: Size::from_bytes(100), arrival: Arrival::Periodic }
    }
}

/// How events are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// Event k at k ÷ rate.
    Periodic,
    /// A Poisson process, given its count: `count` independent uniform instants of the first count ÷ rate seconds.
    Poisson,
    /// Two at a time, 1 ms apart, at half the rate.
    Pairs,
    /// All at once.
    Burst,
}

/// The server under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Server {
    /// Streams that the server lets one connection hold open: `SETTINGS_MAX_CONCURRENT_STREAMS` on HTTP/2
    /// (RFC 9113 section 6.5.2; unset: the entry isn't sent), `initial_max_streams_bidi` on QUIC
    /// (RFC 9000 section 18.2, where leaving it out means 0, so it can't be unset).
    pub max_concurrent_streams: Settable<u32>,
    /// How often a silent subscription is written a sign of life.
    pub heartbeat: Heartbeat,
    /// How many events a feed's log holds.
    pub log: u32,
    /// Whether all hosts share one certificate, which lets HTTP/2 share a connection (RFC 9113 section 9.1.1).
    pub certificate: CertificateUse,
}

/// Whether all hosts share one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateUse {
    /// One, with all names.
    Shared,
    /// One each, with that name alone; TLS chooses by the name asked for (RFC 6066 section 3).
    PerHost,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            max_concurrent_streams: Settable::Set(100),
            heartbeat: Heartbeat::Every(Span::from_secs(15)),
            log: 1024,
            certificate: CertificateUse::Shared,
        }
    }
}

/// How often a silent subscription is written a sign of life: `"off"` or a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeat {
    /// Never.
    Off,
    /// After each such silence.
    Every(Span),
}

impl Serialize for Heartbeat {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Every(span) => span.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Heartbeat {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "off" => Ok(Self::Off),
            _ => match text.parse::<Span>() {
                Ok(span) if span.nanos() > 0 => Ok(Self::Every(span)),
                _ => Err(serde::de::Error::custom(format!("`{text}` is not a heartbeat; write \"off\" or \"15s\""))),
            },
        }
    }
}

/// What a trial must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Expect {
    /// How often each event may reach an open subscription.
    pub delivery: Delivery,
    /// Whether both ends must count the same open streams.
    pub counts: Counts,
}

impl Default for Expect {
    fn default() -> Self {
        Self { delivery: Delivery::ExactlyOnce, counts: Counts::Equal }
    }
}

/// How often each event may reach an open subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// None lost, none twice, none out of order.
    ExactlyOnce,
    /// None twice.
    AtMostOnce,
    /// Whatever happens is a metric.
    Observe,
}

/// Whether both ends must count the same open streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// `open-streams` equals `server-open-streams`.
    Equal,
    /// Whatever they are is a metric.
    Observe,
}

/// Something that goes wrong on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    /// When, after `go`.
    pub at: Span,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The server's process is ended with SIGKILL.
    KillServer,
    /// The client's process (a browser's whole group) is ended with SIGKILL.
    KillClient,
    /// The server ends every response that is open.
    CloseStreams,
}

/// Something else that the client does: one request to the server under test, to the first host and port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Beside {
    /// When, after `go`.
    pub at: Span,
    /// What.
    pub kind: BesideKind,
    /// The credentials mode of a fetch; the other kinds have none to choose.
    #[serde(default)]
    pub credentials: FetchCredentials,
}

/// What else the client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BesideKind {
    /// `fetch()`.
    Fetch,
    /// An `<img>`, of `/ping.svg`: a 204 would be an error to it.
    Image,
    /// A `WebSocket`; answered when the handshake is, be it refused.
    Websocket,
    /// A navigation in an `<iframe>`, to `/ping.html`: a 204 would leave the frame as it was.
    Navigation,
}

/// The credentials mode of a fetch (WHATWG Fetch).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FetchCredentials {
    /// Never.
    #[default]
    Omit,
    /// To the page's own origin only, which the server under test is not.
    SameOrigin,
    /// Always.
    Include,
}
