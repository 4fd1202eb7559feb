//! A session over NATS: an agent joins, and any coordinator of the same prefix finds it by its name.
//!
//! Orders and the clock go as core messages, which nobody keeps: an order that is lost ends its session. What an agent
//! says of its ends goes over a JetStream stream of the run's own, so that a coordinator that is killed loses none of it.
//! Messages there are pieces of one stream of bytes, whose lines are the same as over standard input and output.
//!
//! | subject | |
//! |---|---|
//! | `PREFIX.agents` | asked of all agents: each says what it is |
//! | `PREFIX.agents.NAME.here` | asked before a second one takes the same name |
//! | `PREFIX.agents.NAME.open` | opens a session |
//! | `PREFIX.sessions.ID.orders`, `.clock` | orders to the agent; what its clock says |
//! | `PREFIX.runs.RUN.NAME.ID` | what the agent says, in the stream `PREFIX-run-RUN` |

mod join;
mod reach;
mod run_stream;

use std::ops::ControlFlow;

use async_nats::{Client, HeaderMap, Message};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWriteExt, DuplexStream};

pub use self::join::join;
pub use self::reach::list;
pub(super) use self::reach::reach;
pub use self::run_stream::{AgentWords, RunStream};
use super::lines::PipeError;

/// How much of the bytes is in one message; nodes take a mebibyte unless they are told otherwise.
const PIECE: usize = 256 * 1024;
/// The header with a message's number among those of its way, from 0.
const NUMBER: &str = "Lab-Number";
/// The header of the message that closes a way.
const LAST: &str = "Lab-Last";

/// What a coordinator asks to begin with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Opening {
    /// The session's id.
    session: String,
    /// The run's name, which its stream is called by.
    run: String,
}

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Opened {
    Yes,
    /// It takes part in another run.
    Busy {
        run: String,
    },
    /// It can't hear the coordinator.
    Deaf,
}

fn all_agents(prefix: &str) -> String {
    format!("{prefix}.agents")
}

fn here(prefix: &str, name: &str) -> String {
    format!("{prefix}.agents.{name}.here")
}

fn open(prefix: &str, name: &str) -> String {
    format!("{prefix}.agents.{name}.open")
}

fn orders(prefix: &str, session: &str) -> String {
    format!("{prefix}.sessions.{session}.orders")
}

fn clock(prefix: &str, session: &str) -> String {
    format!("{prefix}.sessions.{session}.clock")
}

/// The subject of what one agent says in one session of a run.
fn said(prefix: &str, run: &str, name: &str, session: &str) -> String {
    format!("{prefix}.runs.{run}.{name}.{session}")
}

/// How large a piece may be there, in bytes: where NATS takes less in one message, it takes headers besides.
fn piece_size(client: &Client) -> usize {
    PIECE.min(client.server_info().max_payload / 2).max(1)
}

/// Numbers the messages of one way.
#[derive(Debug, Default)]
struct Numbering(u64);

impl Numbering {
    /// The pieces of some bytes as messages, of so many bytes at most.
    fn pieces(&mut self, bytes: Vec<u8>, size: usize) -> Vec<(HeaderMap, Bytes)> {
        let bytes = Bytes::from(bytes);
        let count = bytes.len().div_ceil(size);
        (0..count).map(|i| (self.next(), bytes.slice(i * size..bytes.len().min((i + 1) * size)))).collect()
    }

    /// The headers of the next one.
    fn next(&mut self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(NUMBER, self.0.to_string());
        self.0 += 1;
        headers
    }

    /// Those of the last one.
    fn last(&mut self) -> HeaderMap {
        let mut headers = self.next();
        headers.insert(LAST, "1");
        headers
    }

    /// How many are missing before this one, which is the next of a way that is read; the rest that came twice: `None`.
    fn missing(&mut self, headers: Option<&HeaderMap>) -> Option<u64> {
        let number = headers.and_then(|headers| headers.get(NUMBER)?.as_str().parse::<u64>().ok())?;
        let missing = number.checked_sub(self.0)?;
        self.0 = number + 1;
        Some(missing)
    }
}

/// Puts the messages of a way together again, as the bytes that they were.
struct Pieces {
    numbering: Numbering,
    bytes: DuplexStream,
}

impl Pieces {
    fn new(bytes: DuplexStream) -> Self {
        Self { numbering: Numbering::default(), bytes }
    }

    /// Takes the next message. The way ends with its last one, where nobody reads it any more, or because some are missing.
    async fn take(&mut self, message: &Message) -> ControlFlow<Option<PipeError>> {
        let headers = message.headers.as_ref();
        match self.numbering.missing(headers) {
            None => return ControlFlow::Continue(()),
            Some(0) => {}
            Some(missing) => return ControlFlow::Break(Some(PipeError::Missing { missing })),
        }
        if is_last(headers) || self.bytes.write_all(&message.payload).await.is_err() {
            return ControlFlow::Break(None);
        }
        ControlFlow::Continue(())
    }
}

fn is_last(headers: Option<&HeaderMap>) -> bool {
    headers.is_some_and(|headers| headers.get(LAST).is_some())
}

/// What a run is called in a subject and in a stream's name.
fn token(run: &str) -> String {
    run.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' }).take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_cut_into_pieces_and_what_is_missing_or_twice_is_seen() {
        let mut numbering = Numbering::default();
        let pieces = numbering.pieces(vec![7; PIECE * 2 + 1], PIECE);
        assert_eq!(pieces.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>(), [PIECE, PIECE, 1]);
        let mut read = Numbering::default();
        let missing: Vec<_> = [0, 0, 2].into_iter().map(|i: usize| read.missing(Some(&pieces[i].0))).collect();
        assert_eq!(missing, [Some(0), None, Some(1)]);
        assert!(is_last(Some(&numbering.last())) && !is_last(Some(&pieces[0].0)));
        assert_eq!(token("2026-x y.z>*"), "2026-x-y-z--");
    }
}
