//! The end of a trial: what its ends kept back, their end, and what the machine had left.

use std::time::Duration;

use super::super::RunError;
use super::{EarlyEnd, TrialRunner, Which};
use crate::trial::{Down, LabFact};

/// How long an end may take to say what it kept back.
const LAST_WORDS: Duration = Duration::from_secs(10);

impl TrialRunner<'_> {
    /// Tells an end to stop, and takes what it says until `done`.
    pub(super) async fn last_words(&mut self, which: Which) -> Result<(), EarlyEnd> {
        self.order(which, Down::Stop).await;
        let until = self.within(LAST_WORDS);
        while !self.done[which as usize] && !self.killed[which as usize] {
            let late = match which {
                Which::Server => "the server did not say what it saw in time",
                Which::Client | Which::Intermediary => "the client did not say what it saw in time",
            };
            let (from, said) = self.next(until, late).await?;
            self.take(from, said).await?;
        }
        Ok(())
    }

    /// Ends both ends and what stands between, whatever state they are in, and notes how they ended.
    pub(super) async fn end(&mut self) -> Result<(), RunError> {
        for which in [Which::Client, Which::Intermediary, Which::Server] {
            self.finish(which).await?;
        }
        self.intermediary_ended().await
    }

    /// Ends one of them.
    pub(super) async fn finish(&mut self, which: Which) -> Result<(), RunError> {
        let end = match which {
            Which::Server => self.server.take(),
            Which::Client => self.client.take(),
            Which::Intermediary => self.intermediary.take(),
        };
        if let Some(end) = end
            && let Some(status) = end.finish().await
        {
            self.note(LabFact::Exited { role: which.word().to_owned(), status })?;
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
