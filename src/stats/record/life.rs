//! What became of subscriptions and of what clients sent, where one end alone can't say it.

use super::Record;
use crate::trial::ServerFact;
use crate::trial::settings::{Direction, FaultKind};

/// What a subscription does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::stats) enum Step {
    /// It is asked for.
    Requested,
    /// It opens.
    Opened,
    /// It ends, or fails to open.
    Closed,
}

impl Record<'_> {
    /// What was attached to a server that was killed ended with it, though it could not say so.
    pub(super) fn bury(&mut self) {
        for attachment in self.attachments.iter_mut().filter(|attachment| attachment.until.is_none()) {
            let its = |(_, server): &&(u64, u32)| u64::from(*server) == ServerFact::server_of(attachment.conn);
            let died = self.server_killed.iter().filter(its).map(|(died, _)| *died);
            attachment.until = died.filter(|&died| died > attachment.t).min();
        }
    }

    /// Says of each event that a client published who that was, and when it was due: the server knows neither, only
    /// the number in the event's data, which is one more.
    pub(super) fn join(&mut self) {
        if self.direction == Direction::Down {
            return;
        }
        for (id, publication) in &mut self.published {
            if self.census.values().any(|census| census.id == *id) {
                continue;
            }
            let sent = publication.event.checked_sub(1).and_then(|event| Some((event, self.sent.get(&event)?)));
            if let Some((event, sent)) = sent {
                (publication.event, publication.scheduled, publication.by) = (event, sent.scheduled, Some(sent.sub));
            }
        }
    }

    /// When a subscription was ended on purpose, by a fault that means readers not to come back, if its client has done
    /// so: when the fault began, or, of one that opened while it went on, when it closed. `None`: it is a reader to the
    /// end, away or not.
    pub(in crate::stats) fn ended_on_purpose(&self, sub: u32) -> Option<u64> {
        let (closed, opened) = (self.closed_for_good(sub)?, self.last_opened(sub)?);
        let told = self.faults_begun.iter().filter(|(_, kind)| kind.row().ends_readers).map(|(begun, _)| *begun);
        let told = told.filter(|begun| {
            let over = self.faults_ended.iter().copied().filter(|over| over > begun).min();
            over.is_none_or(|over| opened <= over)
        });
        told.max().map(|begun| if opened <= begun { begun } else { closed })
    }

    /// Whether a subscription was cut while it was open, and hasn't opened since: its client says that it ended, or a
    /// fault cut it and nobody told the client.
    pub(in crate::stats) fn cut_for_good(&self, sub: u32) -> bool {
        let Some(opened) = self.last_opened(sub) else { return false };
        let cut = |(begun, kind): &(u64, FaultKind)| !kind.kills_client() && *begun >= opened;
        self.closed_for_good(sub).is_some() || self.faults_begun.iter().any(cut)
    }

    /// Whether the client was killed on purpose, and with it what it had not told yet.
    pub(in crate::stats) fn client_killed(&self) -> bool {
        self.faults_begun.iter().any(|(_, kind)| kind.kills_client())
    }

    fn last_opened(&self, sub: u32) -> Option<u64> {
        let steps = self.steps.get(&sub)?;
        steps.iter().rev().find(|(_, step)| *step == Step::Opened).map(|(t, _)| *t)
    }

    /// When a subscription ended that hasn't opened since; `None` while it is open.
    fn closed_for_good(&self, sub: u32) -> Option<u64> {
        let mut ended = None;
        for &(t, step) in self.steps.get(&sub).into_iter().flatten() {
            match step {
                Step::Requested => {}
                Step::Opened => ended = None,
                // One that fails to come back ended when it was last open.
                Step::Closed => ended = ended.or(Some(t)),
            }
        }
        ended
    }
}
