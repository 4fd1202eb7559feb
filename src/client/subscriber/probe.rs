//! Plain requests beside the subscriptions.

use std::sync::Arc;

use tokio::sync::watch;

use crate::text::chain;
use crate::trial::ClientFact;
use crate::trial::clock::sleep_until;
use crate::trial::settings::{Beside, BesideKind};
use crate::wire::dial::Target;
use crate::wire::{Pool, Sink, WireError};

/// A plain GET at its time, on the connection that subscriptions to that host and port share, if they do.
pub(super) struct Probe {
    pub(super) target: Target,
    /// In nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) at: u64,
    pub(super) what: ProbeKind,
}

/// Whose request it is.
#[derive(Clone, Copy)]
pub(super) enum ProbeKind {
    /// That of mid-hold.
    Probe { trial: u32 },
    /// Another actor's, by its place in `beside`.
    Beside { trial: u32, actor: u32, download: Option<Download> },
}

/// What a download asks for.
#[derive(Clone, Copy)]
pub(super) struct Download {
    bytes: u64,
    urgency: Option<u32>,
}

impl Download {
    /// What this actor downloads, if it does; the native client makes a plain request for what a page can do beyond that.
    pub(super) fn of(beside: &Beside) -> Option<Self> {
        let of = Self { bytes: beside.bytes.bytes(), urgency: beside.urgency.value() };
        (beside.kind == BesideKind::Download).then_some(of)
    }
}

impl ProbeKind {
    fn path(self) -> String {
        match self {
            Self::Probe { trial } => format!("/ping?trial={trial}&probe=0"),
            Self::Beside { trial, actor, download: None } => format!("/ping?trial={trial}&beside={actor}"),
            Self::Beside { trial, actor, download: Some(Download { bytes, .. }) } => {
                format!("/bulk?bytes={bytes}&trial={trial}&beside={actor}")
            }
        }
    }

    /// Its `priority` field (RFC 9218 section 5), where it has one.
    fn priority(self) -> Option<String> {
        match self {
            Self::Beside { download: Some(Download { urgency: Some(urgency), .. }), .. } => {
                Some(format!("u={urgency}"))
            }
            _ => None,
        }
    }

    fn sent(self) -> ClientFact {
        match self {
            Self::Probe { .. } => ClientFact::ProbeSent,
            Self::Beside { actor, .. } => ClientFact::BesideSent { actor },
        }
    }

    /// `None`: the journal has no word for a probe that failed, which is not the same as one that waits.
    fn answered(self, answer: Result<u16, WireError>) -> Option<ClientFact> {
        match (self, answer) {
            (Self::Probe { .. }, Ok(status)) => Some(ClientFact::ProbeAnswered { status }),
            (Self::Probe { .. }, Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the probe failed");
                None
            }
            (Self::Beside { actor, .. }, answer) => {
                let how = answer.map_or_else(|error| chain(&error), |status| status.to_string());
                Some(ClientFact::BesideAnswered { actor, how })
            }
        }
    }
}

/// Asks, and takes all of the answer.
async fn ask(what: ProbeKind, connections: &Pool, target: &Target) -> Result<u16, WireError> {
    let priority = what.priority();
    let fields: Vec<_> = priority.iter().map(|priority| ("priority", priority.as_str())).collect();
    let mut response = connections.connect(target).await?.get(&what.path(), &fields).await?;
    while let Some(chunk) = response.chunk().await {
        chunk?;
    }
    Ok(response.status.as_u16())
}

pub(super) async fn run(
    errand: Probe,
    connections: Arc<Pool>,
    sink: Sink<ClientFact>,
    mut stop: watch::Receiver<bool>,
) {
    let Probe { target, at, what } = errand;
    let asking = async {
        sleep_until(at).await;
        sink.record(what.sent());
        if let Some(fact) = what.answered(ask(what, &connections, &target).await) {
            sink.record(fact);
        }
    };
    tokio::select! {
        () = asking => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
