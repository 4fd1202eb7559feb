//! What an end of a trial says: lines of the contract, read and bounded.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use crate::trial::observation::Observable;
use crate::trial::{ClientFact, Fact, LabFact, ServerFact, Up};

/// How long a line may be, in bytes: the receipts of one subscription are one line.
const MAX_LINE: u64 = 64 * 1024 * 1024;
/// How many lines a program may say in a trial: it keeps its receipts together.
const MAX_LINES: u64 = 1 << 18;
/// How much it may say in a trial, in bytes.
const MAX_BYTES: u64 = 1 << 30;
/// How much of a line is shown that can't be used, in bytes.
const SHOWN: usize = 200;

/// Why what an end of the trial said can't be used, as the rest of a sentence about that end. Lines are quoted.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    #[error("said a line that is not of the trial contract ({why}): {line}")]
    Line { why: serde_json::Error, line: String },
    /// A client told what only another end can have seen.
    #[error("said a fact that is not a client's to say; see clients/README.md: {line}")]
    Fact { line: String },
    #[error("said more than {MAX_LINES} lines or {MAX_BYTES} bytes: keep receipts together")]
    TooMuch,
}

/// What a process may still say.
#[derive(Debug)]
pub(super) struct Budget {
    lines: u64,
    bytes: u64,
}

impl Budget {
    /// For what is the lab's own.
    pub(super) const UNBOUNDED: Self = Self { lines: u64::MAX, bytes: u64::MAX };
    /// For a program that isn't.
    pub(super) const OF_PROGRAM: Self = Self { lines: MAX_LINES, bytes: MAX_BYTES };
}

/// The next line; `None` at the end.
pub(super) async fn line(
    reader: &mut (impl AsyncBufRead + Unpin),
    budget: &mut Budget,
    read_line: ReadLine,
) -> Option<Result<Up<Fact>, ContractError>> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = (&mut *reader).take(MAX_LINE);
        let read = bounded.read_until(b'\n', &mut line).await.ok()?;
        if read == 0 {
            return None;
        }
        let left = budget.lines.checked_sub(1).zip(budget.bytes.checked_sub(read as u64));
        let Some((lines, bytes)) = left else {
            return Some(Err(ContractError::TooMuch));
        };
        *budget = Budget { lines, bytes };
        if !line.trim_ascii().is_empty() {
            return Some(read_line(&line));
        }
    }
}

/// Reads a line of one end.
pub(super) type ReadLine = fn(&[u8]) -> Result<Up<Fact>, ContractError>;

pub(super) fn of_server(line: &[u8]) -> Result<Up<Fact>, ContractError> {
    serde_json::from_slice::<Up<ServerFact>>(line).map(Up::of_any).map_err(|error| garbled(line, error))
}

pub(super) fn of_client(line: &[u8]) -> Result<Up<Fact>, ContractError> {
    match serde_json::from_slice::<Up<ClientFact>>(line) {
        Ok(said) => Ok(said.of_any()),
        Err(_) if is_said::<ServerFact>(line) || is_said::<LabFact>(line) => {
            Err(ContractError::Fact { line: quoted(line) })
        }
        Err(error) => Err(garbled(line, error)),
    }
}

fn is_said<F: Observable>(line: &[u8]) -> bool {
    serde_json::from_slice::<Up<F>>(line).is_ok()
}

fn garbled(line: &[u8], why: serde_json::Error) -> ContractError {
    ContractError::Line { why, line: quoted(line) }
}

/// The first bytes of a line, as many as are shown, in quotation marks, with what a terminal would obey escaped.
pub fn quoted(line: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(line.get(..SHOWN).unwrap_or(line)).trim_end())
}
