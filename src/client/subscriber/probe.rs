//! Plain requests beside the subscriptions.

use std::sync::Arc;

use tokio::sync::watch;

use crate::text::chain;
use crate::trial::ClientFact;
use crate::trial::clock::sleep_until;
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
    Beside { trial: u32, actor: u32 },
}

impl ProbeKind {
    fn path(self) -> String {
        match self {
            Self::Probe { trial } => format!("/ping?trial={trial}&probe=0"),
            Self::Beside { trial, actor } => format!("/ping?trial={trial}&beside={actor}"),
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
        let answer = match connections.connect(&target).await {
            Ok(connection) => connection.get(&what.path(), &[]).await,
            Err(error) => Err(error),
        };
        if let Some(fact) = what.answered(answer.map(|response| response.status.as_u16())) {
            sink.record(fact);
        }
    };
    tokio::select! {
        () = asking => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
