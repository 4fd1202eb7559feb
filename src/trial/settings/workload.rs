//! Who subscribes to what and when, and what is published: `[workload]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::events::{EventCount, Events};
use crate::units::{Size, Span};

/// The least and the most that a server may be let send ahead: what HTTP/2 begins with (RFC 9113 section 6.9.2), and
/// what a client would keep of a server that is never read.
const WINDOWS: [Size; 2] = [Size::from_bytes(65_535), Size::from_bytes(256 << 20)];
/// Who subscribes to what and when, and what is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Workload {
    /// All subscriptions of the trial, dealt round over pages, hosts, ports and feeds.
    #[schemars(range(min = 1, max = 20_000))]
    pub subscribers: u32,
    /// Agents on other machines (`run --agents`) that the subscriptions are dealt over, each with a client of its own; 0:
    /// one client here.
    #[schemars(range(min = 0, max = 64))]
    pub agents: u32,
    /// Pages of one browser.
    #[schemars(range(min = 1, max = 16))]
    pub pages: u32,
    /// Where they come from.
    pub page: PageOrigin,
    /// Host names of the server: 1 is `localhost`, more are `a.localhost`, `b.localhost` and so on.
    #[schemars(range(min = 1, max = 4))]
    pub hosts: u32,
    /// Ports that the server listens on for each ALPN.
    #[schemars(range(min = 1, max = 16))]
    pub ports: u32,
    /// Feeds that the events are published to, each to all of them.
    #[schemars(range(min = 1, max = 16))]
    pub feeds: u32,
    /// Whether the native client's subscriptions share one connection per host and port (HTTP/1.1 can't).
    pub connections: Connections,
    /// When the first subscription is asked for.
    pub open: Opening,
    /// What client and server have of each other before the first subscription is asked for.
    pub prepare: Prepare,
    /// Whether each subscription has an address of its own.
    pub urls: Urls,
    /// Which host comes first, where there are several.
    pub host_order: HostOrder,
    /// Whether a browser's page is in front.
    pub visibility: Visibility,
    /// Whether a plain GET is sent at mid-hold, to see if it gets through. Over HTTP/1.1 it takes a connection of its
    /// own, whose handshake would count where bytes and connections are what is measured.
    pub probe: bool,
    /// How long the opening is spread over; 0 is a burst.
    pub ramp: Span,
    /// From the end of the ramp to the first event.
    pub settle: Span,
    /// From the end of the ramp to the census.
    pub hold: Span,
    /// From the census to the end.
    pub drain: Span,
    /// Who publishes the events.
    pub direction: Direction,
    /// Further streams that open before the subscriptions and whose data one end never reads: no neighbour may notice.
    /// They are not among `subscribers`, and the counts of the trial leave them out.
    #[schemars(range(min = 0, max = 1000))]
    pub stuck: u32,
    /// Which connections they are on.
    pub stuck_on: StuckOn,
    /// Whose data is left unread.
    pub stuck_direction: StuckDirection,
    /// What a server may send ahead to the native client on one stream: `SETTINGS_INITIAL_WINDOW_SIZE` on HTTP/2
    /// (RFC 9113 section 6.5.2), `initial_max_stream_data` on QUIC (RFC 9000 section 18.2). Browsers have their own.
    #[schemars(extend("x-least" = WINDOWS[0], "x-most" = WINDOWS[1]))]
    pub stream_window: Size,
    /// The same on one connection: the `WINDOW_UPDATE` of stream 0 on HTTP/2 (RFC 9113 section 6.9.2), `initial_max_data`
    /// on QUIC.
    #[schemars(extend("x-least" = WINDOWS[0], "x-most" = WINDOWS[1]))]
    pub connection_window: Size,
    /// Whether a page's requests carry credentials: one mode for all of a trial, or two.
    pub credentials: Credentials,
    /// What is published.
    pub events: Events,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            subscribers: 1,
            agents: 0,
            pages: 1,
            page: PageOrigin::Apart,
            hosts: 1,
            ports: 1,
            feeds: 1,
            connections: Connections::Shared,
            open: Opening::Burst,
            prepare: Prepare::None,
            urls: Urls::Distinct,
            host_order: HostOrder::Forward,
            visibility: Visibility::Visible,
            probe: true,
            ramp: Span::default(),
            settle: Span::default(),
            hold: Span::from_secs(3),
            drain: Span::from_millis(500),
            direction: Direction::Down,
            stuck: 0,
            stuck_on: StuckOn::Own,
            stuck_direction: StuckDirection::Down,
            stream_window: Size::from_bytes(256 * 1024),
            connection_window: Size::from_bytes(16 * 1024 * 1024),
            credentials: Credentials::SameOrigin,
            events: Events::default(),
        }
    }
}

impl Workload {
    /// T, the census, in nanoseconds after `go`.
    pub fn census_nanos(&self) -> u64 {
        self.ramp.nanos() + self.hold.nanos()
    }

    /// The number of the client that a subscription is dealt to.
    pub fn client_of(&self, sub: u32) -> u32 {
        sub % self.agents.max(1)
    }

    /// How many events there are before the census.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the most that may be published")]
    pub fn event_count(&self) -> u32 {
        match self.events.count {
            EventCount::Exactly(count) => count,
            EventCount::Fill => {
                let time = self.hold.nanos().saturating_sub(self.settle.nanos()) as f64;
                (time / self.events.rate.interval_nanos()).min(f64::from(EventCount::MOST)) as u32
            }
        }
    }
}

/// Who publishes the events. The census is the server's in each case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    #[default]
    /// The server, each event to every feed.
    Down,
    /// The clients: event k is sent by subscription k modulo their number to its feed, when it is due. Everybody who
    /// reads that feed receives it.
    Up,
    /// The same, but latency counts only where an event was sent: a round trip, on one clock.
    Echo,
}

/// Which connections the stuck streams are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StuckOn {
    /// One each, which nothing else uses.
    Own,
    /// The one that the subscriptions share: what is unread there counts against what all of it may carry
    /// (RFC 9113 section 5.2.1, RFC 9000 section 4.1).
    Shared,
}

/// Whose data is left unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StuckDirection {
    /// The server's: a subscription that is opened and then not read.
    Down,
    /// The client's: a POST of a mebibyte whose content the server doesn't read, nor answers.
    Up,
}

/// Whether subscriptions of the native client share connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Connections {
    /// One connection per host and port, as browsers do on HTTP/2 and HTTP/3.
    Shared,
    /// One connection per subscription.
    Separate,
}

/// The credentials mode of every request in a trial (WHATWG Fetch, "credentials mode").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    /// `credentials: "omit"`. An `EventSource` can't, on a page of the origin that it subscribes at.
    Omit,
    /// What a request does that says nothing, an `EventSource` without `withCredentials` too: it has credentials if
    /// the page is of the origin that it goes to (`workload.page`).
    SameOrigin,
    /// `credentials: "include"`, `withCredentials: true`.
    Include,
    /// `omit` (of an `EventSource`: `same-origin`) for subscriptions with an even number and for the probe, `include`
    /// for odd ones.
    Both,
}

/// Where a trial's pages come from. It decides what they have in common with the streams: browsers keep connections
/// apart by the site of the page at the top and by whether a request has credentials (WHATWG Fetch, "connection pool").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PageOrigin {
    /// From the control origin: another site than the server under test, which has served nothing before `go`.
    Apart,
    /// From the first host and port under test, scripts and all, as a site's own page does. Requests for it are there
    /// before `go`: their connections are, and on HTTP/3 they have used credit (RFC 9000 section 4.6). How many there
    /// were is in the server's `usage` at `go`. Pages report to the control origin all the same.
    SameOrigin,
}

/// When the first subscription is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Opening {
    /// At `go`, on connections that don't exist yet.
    Burst,
    /// Once a request to each host and port was answered, before `go`: by then the connection's SETTINGS or
    /// transport parameters have arrived. On HTTP/3 that request uses up one of the streams that they allow.
    AfterSettings,
}

/// What client and server have of each other before the first subscription is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Prepare {
    /// Nothing.
    #[default]
    None,
    /// A ticket of an earlier connection, which has ended: the next resumes its session (RFC 8446 section 2.2).
    Ticket,
    /// The same, and a server that takes early data: what is asked for goes out with the first packet of TLS or QUIC
    /// (RFC 8446 section 2.3, RFC 9001 section 4.6), where it is safe to be said twice (RFC 8470).
    Early,
    /// A connection that has answered a request, as with `workload.open = "after-settings"`.
    Connection,
}

/// Whether each subscription has an address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Urls {
    /// Each says its number: `&sub=0`.
    Distinct,
    /// All of one feed, host and port are the same; the server can't tell them apart.
    Identical,
}

/// Which host comes first, where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostOrder {
    /// `a.localhost`, then `b.localhost`.
    Forward,
    /// The other way round.
    Reverse,
}

/// Whether a browser's page is in front (`document.visibilityState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// It is, and background throttling is switched off for further pages.
    Visible,
    /// Another tab covers it, from before `go`, and throttling is left as the browser has it.
    Hidden,
}
