//! An end of a trial whose process is another machine's: who speaks with that machine is at the other end of two channels.

use tokio::sync::{mpsc, oneshot};

use super::ParticipantMessage;
use crate::trial::Down;

/// What is asked of an end elsewhere.
#[derive(Debug)]
pub enum RemoteOrder {
    /// A line of the contract.
    Say(Down),
    /// To be ended with SIGKILL.
    Kill,
    /// To be ended and cleaned up after; answered by how it ended, unless that was said already.
    Finish(oneshot::Sender<Option<String>>),
}

/// An end elsewhere, as the runner holds it.
#[derive(Debug)]
pub struct Remote {
    /// Its process there, by the number that it has there.
    pub pid: u32,
    /// Whether pages speak for it.
    pub is_page: bool,
    /// What is asked of it.
    pub orders: mpsc::Sender<RemoteOrder>,
    /// What it says. Closed: whoever speaks with it is gone.
    pub heard: mpsc::Receiver<ParticipantMessage>,
}
