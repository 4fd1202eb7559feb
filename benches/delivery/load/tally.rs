//! Receipts of all subscriptions together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use transport_lab::trial::ClientFact;
use transport_lab::trial::clock::monotonic_nanos;
use transport_lab::trial::fact::EventIds;

/// What the load found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Deliveries.
    pub(crate) received: usize,
    /// Deliveries of an event that was there already, or after a later one.
    pub(crate) disordered: usize,
    /// From publishing to receipt, in milliseconds; absent without a receipt.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Why subscriptions ended that should have gone on.
    pub(crate) closed: Vec<String>,
}

type Then = Box<dyn FnOnce() + Send>;

/// Counts receipts. The load has one thread, so that its lock is never waited for.
#[derive(Clone)]
pub(super) struct Tally(Arc<Mutex<State>>);

struct State {
    /// Receipts, and what to do once they are all there.
    finished: (usize, Option<Then>),
    /// Native readers that are yet to open, and what to do once they have.
    opened: (usize, Option<Then>),
    /// In nanoseconds.
    delays: Vec<u64>,
    /// Ids and times of what native readers received, one entry per subscription.
    native: Vec<(EventIds, Vec<u64>)>,
    disordered: usize,
    closed: Vec<String>,
}

impl Tally {
    /// Calls `opened` once that many native readers are open, and `finished` once that many receipts are there.
    pub(super) fn new((readers, opened): (usize, Then), (receipts, finished): (usize, Then)) -> Self {
        Self(Arc::new(Mutex::new(State {
            finished: (receipts, Some(finished)),
            opened: (readers, Some(opened)),
            delays: Vec::with_capacity(receipts),
            native: Vec::new(),
            disordered: 0,
            closed: Vec::new(),
        })))
    }

    /// A subscription received the event that was published at `stamp`, after the one of `last`.
    pub(super) fn received(&self, stamp: u64, last: &mut u64) {
        let delay = monotonic_nanos().saturating_sub(stamp);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.disordered += usize::from(stamp <= *last);
        *last = stamp;
        state.delays.push(delay);
        if state.delays.len() == state.finished.0
            && let Some(finished) = state.finished.1.take()
        {
            finished();
        }
    }

    /// A native reader told this.
    pub(super) fn told(&self, fact: ClientFact) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match fact {
            ClientFact::Received { times, ids, .. } => state.native.push((ids, times)),
            ClientFact::Closed { reason, .. } => state.closed.push(reason),
            ClientFact::Opened { .. } => {
                state.opened.0 -= 1;
                if state.opened.0 == 0
                    && let Some(opened) = state.opened.1.take()
                {
                    opened();
                }
            }
            _ => {}
        }
    }

    /// A subscription ended.
    pub(super) fn closed(&self, reason: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).closed.push(reason);
    }

    /// All of it. `published` gives the times of events that are known by their ids only.
    pub(super) fn report(&self, published: &BTreeMap<String, u64>) -> Report {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (ids, times) in std::mem::take(&mut state.native) {
            let mut last = 0;
            for (id, t) in ids.iter().zip(times) {
                // Others were published before the subscription was timed.
                let Some(stamp) = published.get(id) else { continue };
                state.disordered += usize::from(*stamp <= last);
                last = *stamp;
                state.delays.push(t.saturating_sub(*stamp));
            }
        }
        state.delays.sort_unstable();
        let at = |percent: usize| {
            let index = (state.delays.len() * percent / 100).min(state.delays.len().saturating_sub(1));
            state.delays.get(index).map(|nanos| *nanos as f64 / 1e6)
        };
        Report {
            received: state.delays.len(),
            disordered: state.disordered,
            p50: at(50),
            p99: at(99),
            closed: state.closed.iter().take(3).cloned().collect(),
        }
    }
}
