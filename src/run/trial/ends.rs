//! The ends of a trial, and what the runner keeps of each.

use std::collections::BTreeMap;
use std::future::pending;

use futures_util::future::{FutureExt, select_all};

use super::facts::Possible;
use super::which::Which;
use crate::participant::{Participant, ParticipantMessage};
use crate::trial::Alpn;

/// One end.
#[derive(Debug)]
pub(super) struct End {
    pub(super) which: Which,
    /// It, while it is there.
    pub(super) participant: Option<Participant>,
    /// Facts that came from it.
    pub(super) came: u64,
    /// Whether it said `done`.
    pub(super) done: bool,
    /// Whether a fault has ended it.
    pub(super) killed: bool,
    /// Whether its process has ended by itself or by a fault, and its last line was taken.
    pub(super) gone: bool,
    /// How many were there before it in its place and were killed.
    pub(super) life: u32,
    /// The ports that it listens at.
    pub(super) ports: BTreeMap<Alpn, Vec<u16>>,
    /// What a client can have seen.
    pub(super) possible: Option<Possible>,
    /// The agent that runs it, where one does.
    pub(super) at: Option<String>,
}

impl End {
    fn new(which: Which) -> Self {
        Self {
            which,
            participant: None,
            came: 0,
            done: false,
            killed: false,
            gone: false,
            life: 0,
            ports: BTreeMap::new(),
            possible: None,
            at: None,
        }
    }

    /// Makes room for another one in the place of one that is gone.
    pub(super) fn again(&mut self) {
        (self.came, self.done, self.killed, self.gone) = (0, false, false, false);
        self.life += 1;
    }
}

/// All ends of a trial, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Ends {
    all: Vec<End>,
    /// How often they were listened to.
    turn: usize,
}

impl Ends {
    /// What is kept of this end, from now on.
    pub(super) fn of(&mut self, which: Which) -> &mut End {
        let place = self.all.iter().position(|end| end.which == which).unwrap_or_else(|| {
            self.all.push(End::new(which));
            self.all.len() - 1
        });
        &mut self.all[place]
    }

    /// What is kept of this end, where it was ever there.
    pub(super) fn get(&self, which: Which) -> Option<&End> {
        self.all.iter().find(|end| end.which == which)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &End> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut End> {
        self.all.iter_mut()
    }

    /// How it is called where a person reads it: `client-1 at eu-1`.
    pub(super) fn name(&self, which: Which) -> String {
        match self.get(which).and_then(|end| end.at.as_ref()) {
            Some(agent) => format!("{which} at {agent}"),
            None => which.to_string(),
        }
    }

    /// The servers and the clients that there were.
    pub(super) fn some(&self, is: fn(Which) -> bool) -> Vec<Which> {
        self.all.iter().map(|end| end.which).filter(|which| is(*which)).collect()
    }

    /// What any of them says next; waits for it. Cancelling loses nothing.
    pub(super) async fn hear(&mut self) -> (Which, ParticipantMessage) {
        let hearing = self.all.iter_mut().filter_map(|end| {
            let which = end.which;
            let participant = end.participant.as_mut()?;
            Some(async move { (which, participant.hear().await) }.boxed())
        });
        let mut hearing: Vec<_> = hearing.collect();
        if hearing.is_empty() {
            return pending().await;
        }
        // Each has its turn to be asked first: one that always has something to say must not silence the others.
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn % hearing.len();
        hearing.rotate_left(first);
        select_all(hearing).await.0
    }
}
