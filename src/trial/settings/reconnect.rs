//! How a client comes back whose subscription ended: `[reconnect]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Heartbeat;
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
    /// How often the native client asks a silent QUIC connection whether the server is still there (PING, RFC 9000
    /// section 10.1.2). A server that was started anew resets it (section 10.3); without asking, a client that only
    /// listens waits for its idle timeout. TCP needs no asking: the kernel of a dead server says so.
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
