//! The end of a trial: what its ends kept back, their end, and what the machine had left.

use std::time::Duration;

use super::super::RunError;
use super::{EarlyEnd, TrialRunner, Which};
use crate::trial::{Down, LabFact};

/// How long all ends may be silent that have not yet said all that they kept back: of tens of millions of receipts they
/// speak for minutes.
const LAST_WORDS: Duration = Duration::from_secs(10);

impl TrialRunner<'_> {
    /// Tells some ends to stop, all at once, and takes what they say until each has said `done`.
    pub(super) async fn last_words(&mut self, of: fn(Which) -> bool) -> Result<(), EarlyEnd> {
        let some = self.ends.some(of);
        for which in &some {
            self.order(*which, Down::Stop).await;
        }
        for which in some {
            loop {
                let end = self.ends.of(which);
                if end.done || end.killed {
                    break;
                }
                let until = self.within(LAST_WORDS);
                let (from, said) = self.next(until, &format!("the {which} did not say what it saw in time")).await?;
                self.take(from, said).await?;
            }
        }
        Ok(())
    }

    /// Ends all ends, whatever state they are in, those first that came last, and notes how they ended.
    pub(super) async fn end(&mut self) -> Result<(), RunError> {
        if let Some(broker) = &mut self.broker {
            broker.let_go();
        }
        let all: Vec<Which> = self.ends.iter().rev().map(|end| end.which).collect();
        for which in all {
            self.finish(which).await?;
        }
        self.intermediary_ended().await?;
        self.forget_broker()
    }

    /// Ends one of them.
    pub(super) async fn finish(&mut self, which: Which) -> Result<(), RunError> {
        if let Some(participant) = self.ends.of(which).participant.take()
            && let Some(status) = participant.finish().await
        {
            self.note(LabFact::Exited { role: which.to_string(), status })?;
        }
        Ok(())
    }

    /// Notes what the machine had left, and how late the recorder was.
    pub(super) fn spare(&mut self) -> Result<(), RunError> {
        let (idle, udp_dropped) = (self.watch.idle(), self.link_udp_dropped.or_else(|| self.watch.udp_dropped()));
        self.note(LabFact::Machine { idle, udp_dropped })?;
        let late = std::mem::take(&mut self.late);
        self.note(LabFact::Recorded { late })
    }
}
