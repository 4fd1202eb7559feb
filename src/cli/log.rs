//! What goes wrong on the way, in lines on standard error.
//!
//! `TRANSPORT_LAB_LOG=debug` says more; a trial's processes write theirs into the trial's folder. Some warnings, also
//! of the crates beneath, are about what a peer has sent, who can send it again and again: so each place in the code
//! writes a bounded number of lines. Whoever asks for `debug` or `trace` gets all of those.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::text::Log;

/// How many lines of `info` and above one place in the code writes.
pub const LINES: u32 = 100;

/// Begins to write lines.
pub fn start() {
    let filter = EnvFilter::try_from_env("TRANSPORT_LAB_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    // Not as a filter of the layer that writes: `tracing-subscriber` 0.3 has an assertion that fails where such a one
    // looks at events.
    let lines = fmt::layer().with_writer(|| Log(io::stderr()));
    tracing_subscriber::registry().with(filter).with(Bounded::default()).with(lines).init();
}

/// Lets [`LINES`] of each place through.
#[derive(Default)]
struct Bounded {
    written: Mutex<HashMap<Identifier, u32>>,
}

impl Bounded {
    /// Counts a line of this place.
    fn count(&self, place: Identifier) -> u32 {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = written.entry(place).or_default();
        *lines = lines.saturating_add(1);
        *lines
    }
}

impl<S: Subscriber> Layer<S> for Bounded {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let of = event.metadata();
        if *of.level() > Level::INFO {
            return true;
        }
        let lines = self.count(of.callsite());
        if lines == LINES + 1 {
            let place = (of.target(), of.line().unwrap_or_default());
            // Nothing is left to do when standard error is closed.
            let _ = writeln!(io::stderr(), "{LINES} lines came from {}:{}; no more are written", place.0, place.1);
        }
        lines <= LINES
    }
}
