//! What the native client's side of a transport tells of its subscription.

use std::time::Duration;

use super::EndReason;
use crate::feed::{EventId, payload};
use crate::trial::ClientFact;
use crate::trial::clock::monotonic_nanos;
use crate::trial::fact::EventIds;
use crate::wire::Sink;

/// One subscription's receipts: lifecycle facts are told at once, receipts are kept until the trial is over, so
/// that telling them costs nothing while it is timed.
#[derive(Debug)]
pub struct Receipts {
    sub: u32,
    sink: Sink<ClientFact>,
    ids: EventIds,
    times: Vec<u64>,
    wrong: Vec<String>,
    last: Option<String>,
    retry: Option<Duration>,
    finished: bool,
    opens: u32,
    of_clients: bool,
    content: Option<ReadContent>,
}

/// What came of responses that go on, over all of a subscription.
#[derive(Debug)]
struct ReadContent {
    coding: Option<&'static str>,
    bytes: u64,
}

impl Receipts {
    /// Of this subscription; facts go to `sink`.
    pub fn new(sub: u32, sink: Sink<ClientFact>) -> Self {
        Self {
            sub,
            sink,
            ids: EventIds::default(),
            times: Vec::new(),
            wrong: Vec::new(),
            last: None,
            retry: None,
            finished: false,
            opens: 0,
            of_clients: false,
            content: None,
        }
    }

    /// The same where clients publish: what they send carries their own number, and nobody knows beforehand which id
    /// it will have.
    #[must_use]
    pub fn of_clients(self) -> Self {
        Self { of_clients: true, ..self }
    }

    /// The subscription was asked for.
    pub fn requested(&self) {
        self.sink.record(ClientFact::Requested { sub: self.sub });
    }

    /// The server's answer has begun.
    pub fn opened(&mut self) {
        self.opens += 1;
        self.sink.record(ClientFact::Opened { sub: self.sub });
    }

    /// How often it has begun.
    pub fn opens(&self) -> u32 {
        self.opens
    }

    /// An event came.
    pub fn received(&mut self, id: &str, data: &str) {
        self.times.push(monotonic_nanos());
        let is_content = |id: EventId, data: &str| {
            payload::is_right(id.seq, data) || self.of_clients && payload::number(data).is_some()
        };
        let right = |id| is_content(id, data) || payload::from_text(data).is_some_and(|data| is_content(id, &data));
        if !id.parse::<EventId>().is_ok_and(right) {
            self.wrong.push(id.to_owned());
        }
        self.ids.push(id);
        self.last = Some(id.to_owned());
    }

    /// Some of a response that goes on came, in this content coding.
    pub fn content(&mut self, coding: Option<&'static str>, bytes: usize) {
        let content = self.content.get_or_insert(ReadContent { coding, bytes: 0 });
        content.coding = coding;
        content.bytes += bytes as u64;
    }

    /// The server said where the reader is, without an event.
    pub fn is_at(&mut self, id: String) {
        self.last = Some(id);
    }

    /// After which event to go on, if the server has said so yet.
    pub fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// The server said how long to wait before coming back.
    pub fn retry(&mut self, delay: Duration) {
        self.retry = Some(delay);
    }

    /// How long to wait before coming back, if the server has said so.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.retry
    }

    /// The server said not to come back, or nobody who keeps to the standard would.
    pub fn finished(&mut self) {
        self.finished = true;
    }

    /// Whether not to come back.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The server said that events are gone.
    pub fn gap(&self, missed: Option<u64>, first: Option<String>) {
        self.sink.record(ClientFact::Gap { sub: self.sub, missed, first });
    }

    /// The subscription ended, or failed to begin.
    pub fn closed(&self, reason: &EndReason) {
        self.sink.record(ClientFact::Closed { sub: self.sub, reason: reason.to_string() });
    }

    /// Tells what was kept back.
    pub fn tell(self) {
        if let Some(ReadContent { coding, bytes }) = self.content {
            let coding = coding.map(str::to_owned);
            self.sink.record(ClientFact::Content { sub: self.sub, coding, bytes });
        }
        if !self.ids.is_empty() {
            self.sink.record(ClientFact::Received {
                times: self.times,
                sub: self.sub,
                ids: self.ids,
                wrong: self.wrong,
            });
        }
    }
}
