//! How a client comes back whose subscription ended: `[reconnect]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Heartbeat;
use super::server::HEARTBEATS;
use crate::units::Span;

/// The least and the most that a client may wait, jitter aside: less would be a flood, and one without end none.
const DELAYS: [Span; 2] = [Span::from_millis(1), Span::from_secs(3600)];

/// How the native client and the scripts of pages come back. An `EventSource` comes back by itself, in its own way.
///
/// Try n (from 0) since the subscription was last open waits for `delay` × `factor`ⁿ, at most `most`, less what
/// `jitter` takes away; it goes on after the last id that it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Reconnect {
    /// How often in a row it tries; 0: it doesn't come back.
    #[schemars(range(min = 0, max = 1000))]
    pub tries: u32,
    /// How long it waits before the first try. What the server says with SSE's `retry` takes its place.
    #[schemars(extend("x-least" = DELAYS[0], "x-most" = DELAYS[1]))]
    pub delay: Span,
    /// How much longer each further wait is.
    #[schemars(range(min = 1, max = 100))]
    pub factor: u32,
    /// How long it waits at most.
    #[schemars(extend("x-least" = DELAYS[0], "x-most" = DELAYS[1]))]
    pub most: Span,
    /// What is drawn of each wait.
    pub jitter: Jitter,
    /// How often the native client asks a silent server whether it is still there: on QUIC by a PING (RFC 9000 section
    /// 10.1.2), on TCP by the kernel's keep-alive (RFC 9293 section 3.8.4), in whole seconds and no more than three times
    /// in a row. A server that was started anew resets a QUIC connection that it doesn't know (RFC 9000 section 10.3), and
    /// one of TCP as soon as its old process is gone. Without asking, a client that only listens waits for the idle timeout
    /// on QUIC, and on TCP for ever where the network is what has gone.
    #[schemars(extend("x-least" = HEARTBEATS[0], "x-most" = HEARTBEATS[1]))]
    pub ping: Heartbeat,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            tries: 0,
            delay: Span::from_secs(1),
            factor: 2,
            most: Span::from_secs(30),
            jitter: Jitter::Full,
            ping: Heartbeat::Off,
        }
    }
}

/// What is drawn of each wait, so that not all come back at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Jitter {
    /// Nothing: it is as long as it is.
    None,
    /// All: evenly from nothing to the whole wait.
    Full,
    /// Half: evenly from half the wait to the whole.
    Equal,
}
