//! What became of subscriptions and of what clients sent, where one end alone can't say it.

use super::Record;
use crate::trial::settings::Direction;

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
            attachment.until = self.server_killed.iter().copied().filter(|&died| died > attachment.t).min();
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

    /// When a subscription ended for good; `None` while it is open.
    ///
    /// That is what its client says, unless the server ended it before; and where that was because of a fault, it is
    /// when the fault began: what was published from then on may have found nobody to read it.
    pub(in crate::stats) fn ended(&self, sub: u32) -> Option<u64> {
        let ended = self.closed_for_good(sub)?;
        let Some(last) = self.attachments.iter().rfind(|attachment| attachment.sub == Some(sub)) else {
            return Some(ended);
        };
        let ended = ended.min(last.until.unwrap_or(u64::MAX));
        let faults = self.faults_begun.iter().copied().filter(|begun| (last.t..=ended).contains(begun));
        Some(faults.max().unwrap_or(ended))
    }

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
