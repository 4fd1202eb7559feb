//! What it costs to deliver an event to thousands of TLS subscribers: the server's CPU time per delivery, its memory
//! per subscriber, and how late the events are; next to nginx with nchan, where that speaks the same, or with `--shared`
//! next to itself with the logs of its feeds in NATS JetStream.
//!
//! `cargo bench --bench delivery [-- --subscribers 5000 --events 20 --rate 4 --pause 100 --rounds 3 --shared sse/h1 …]`
//!
//! Enters: the rows of `transport::ALL`, so that a new transport joins by itself. Leaves: a Markdown table. Server, load
//! and publisher are three processes; the servers take turns, under the same certificate, before the same load, each
//! with one thread on a processor of its own. What
//! must never happen here: a load that costs one server more than the other, or a number without the count of
//! deliveries it stands on.

mod broker;
mod lab;
mod load;
mod measure;
mod nchan;
mod process;
mod protocols;
mod stamp;
mod table;

use transport_lab::wire::descriptors;

use measure::Measured;
use protocols::{Case, Subject};

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Extent {
    /// Subscriptions at once.
    subscribers: usize,
    /// Events to each.
    events: usize,
    /// Events per second.
    rate: f64,
    /// How long a long poller waits with its next request, in milliseconds, as one does who is far away. Where they ask
    /// at once, five thousand of them on one processor fall behind, and how late events are is the load's own doing.
    pause: u64,
    /// How often each is measured where there is something to compare it with; the rest is measured once.
    rounds: usize,
    /// Whether the lab is held against itself on NATS JetStream, and not against nchan.
    shared: bool,
    /// Protocols to measure (`sse/h1`); all when empty.
    only: Vec<String>,
}

impl Default for Extent {
    fn default() -> Self {
        Self { subscribers: 5000, events: 20, rate: 4.0, pause: 100, rounds: 3, shared: false, only: Vec::new() }
    }
}

impl Extent {
    /// Who the lab is held against.
    fn other(&self) -> Subject {
        if self.shared { Subject::Shared } else { Subject::Nchan }
    }

    fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut extent = Self::default();
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let text = arguments.next().unwrap_or_default();
                let least = if argument == "--pause" { 0.0 } else { f64::MIN_POSITIVE };
                text.parse::<f64>()
                    .ok()
                    .filter(|n| *n >= least)
                    .ok_or(format!("{argument} takes a number, not `{text}`"))
            };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be 0 or above")]
            match argument.as_str() {
                "--subscribers" => extent.subscribers = number()? as usize,
                "--events" => extent.events = number()? as usize,
                "--pause" => extent.pause = number()? as u64,
                "--rate" => extent.rate = number()?,
                "--rounds" => extent.rounds = number()? as usize,
                "--shared" => extent.shared = true,
                // What `cargo bench` itself passes on.
                "--bench" => {}
                other if other.starts_with("--") => return Err(format!("no such option: {other}")),
                _ => extent.only.push(argument),
            }
        }
        Ok(extent)
    }
}

fn main() {
    descriptors::raise_descriptors();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        // Test runners ask what there is to choose from: nothing.
        Some("--list") => return,
        Some(load::ROLE) => return load::run(),
        _ => {}
    }
    let extent = Extent::read(arguments.into_iter()).unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(2);
    });
    let cases: Vec<_> = protocols::all()
        .into_iter()
        .filter(|case| extent.only.is_empty() || extent.only.contains(&case.protocol.to_string()))
        .collect();
    process::stay_on(process::Processor::Last);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (measured, whole) = runtime.block_on(all(&extent, &cases));
    table::print(&extent, &cases, &measured);
    if !whole {
        eprintln!("some deliveries are missing, or came out of order");
        std::process::exit(1);
    }
}

/// All rounds of all cases: the servers take turns within each. Whether every delivery was received, in order.
async fn all(extent: &Extent, cases: &[Case]) -> (Vec<Measured>, bool) {
    let mut measured = Vec::new();
    let mut whole = true;
    for case in cases {
        let rounds = if extent.other() != Subject::Nchan || case.rival.is_some() { extent.rounds } else { 1 };
        for round in 0..rounds {
            for subject in case.subjects(extent.other()) {
                let (who, each) = (subject.title(), case.per_connection);
                eprint!("{}, {each} on a connection, at {who} ({} of {rounds}) … ", case.protocol, round + 1);
                match measure::measure(extent, case, subject).await {
                    Ok(one) => {
                        eprintln!("{one}");
                        whole &= one.is_whole(extent);
                        measured.push(one);
                    }
                    Err(reason) => {
                        eprintln!("{reason}");
                        whole = false;
                    }
                }
            }
        }
    }
    (measured, whole)
}
