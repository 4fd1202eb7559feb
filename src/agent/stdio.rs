//! A session over the standard input and output of a process: the agent's own, or one that is started to reach it.

use std::io::Write;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::address::AgentAddress;
use super::lines::{Pipe, over, read, read_after_login};
use super::message::{AgentOrder, AgentSaid};
use super::{AgentError, Carriage};
use crate::browser::describe;

/// How much is kept of what the process prints, in bytes.
const COMPLAINT: usize = 2000;
/// How long it may take to end once its input is closed: an agent ends its clients first.
const END: Duration = Duration::from_secs(15);
/// The same of one that is lost: it has said nothing for so long, or is gone.
const LOST_END: Duration = Duration::from_secs(1);
/// How long after its output its end is waited for.
const STATUS: Duration = Duration::from_secs(2);

/// The agent's own standard input and output.
pub fn own() -> Pipe<AgentOrder, AgentSaid> {
    // Whatever a login has said, what follows begins a line. Who can't be told anything is noticed by the first message.
    let mut output = std::io::stdout();
    let _ = output.write_all(b"\n").and_then(|()| output.flush());
    over(read(tokio::io::stdin()), tokio::io::stdout())
}

/// The process that reaches an agent.
#[derive(Debug)]
pub(super) struct Starter {
    address: AgentAddress,
    child: Child,
    /// The end of what it printed, and who gathers that.
    printed: Arc<Mutex<String>>,
    gathering: JoinHandle<()>,
}

/// Starts what reaches the agent of this address.
pub(super) fn reach(address: &AgentAddress) -> Result<(Pipe<AgentSaid, AgentOrder>, Carriage), AgentError> {
    let shown = address.to_string();
    let failed = |source| AgentError::Start { address: shown.clone(), source };
    let Some(argv) = address.command() else { return Err(AgentError::NoBroker(shown)) };
    let mut command = Command::new(&argv[0]);
    command
        .args(&argv[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A Ctrl-C is the lab's to handle.
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    let (Some(input), Some(output), Some(mut error)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(failed(std::io::Error::other("its input or output is missing")));
    };
    let printed = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&printed);
    let gathering = tokio::spawn(async move {
        let mut bytes = vec![0; COMPLAINT];
        while let Ok(read @ 1..) = error.read(&mut bytes).await {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push_str(&String::from_utf8_lossy(&bytes[..read]));
            let over = kept.len().saturating_sub(COMPLAINT);
            let over = (over..=kept.len()).find(|at| kept.is_char_boundary(*at)).unwrap_or(0);
            kept.drain(..over);
        }
    });
    let starter = Some(Starter { address: address.clone(), child, printed, gathering });
    let carried = Carriage { address: shown, starter, tasks: JoinSet::new(), flushed: None };
    Ok((over(read_after_login(output), input), carried))
}

impl Starter {
    /// How it ended, where it has, what it printed last, and what to do, for a sentence.
    pub(super) async fn complaint(&mut self) -> String {
        let status = timeout(STATUS, self.child.wait()).await.ok().and_then(Result::ok);
        // What it printed last may be heard of later than its end; somebody else may still have that open.
        let _ = timeout(STATUS, &mut self.gathering).await;
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner).trim().to_owned();
        let lines: Vec<&str> = printed.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(3)..].join("; ");
        let advice = match (&self.address, status) {
            (AgentAddress::Ssh(address), Some(status)) => address.advice(status, &printed),
            _ => None,
        };
        let said = match status.map(describe) {
            Some(status) if last.is_empty() => format!(" ({status})"),
            Some(status) => format!(" ({status}: {last})"),
            None if last.is_empty() => String::new(),
            None => format!(" ({last})"),
        };
        advice.map_or(said.clone(), |advice| format!("{said}; {advice}"))
    }

    /// Waits for its end, its input being closed, and kills its group when it doesn't come.
    pub(super) async fn end(mut self, lost: bool) {
        let group = self.child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        if timeout(if lost { LOST_END } else { END }, self.child.wait()).await.is_err() {
            if let Some(group) = group {
                let _ = killpg(group, Signal::SIGKILL);
            }
            let _ = self.child.wait().await;
        }
    }
}
