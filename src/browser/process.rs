//! The runner's end of a supervisor.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::{Said, describe};
use crate::client::LaunchSpec;

/// How long a start may take in all: every command before it is bounded, and so is the display.
const START: Duration = Duration::from_secs(60);
/// How long the supervisor may take to clean up before its group is killed.
const END: Duration = Duration::from_secs(5);

/// Why there is no browser under its supervisor.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// The supervisor's own process could not be started or spoken to.
    #[error("the browser's supervisor does not start")]
    LaunchSpec(#[from] io::Error),
    /// The supervisor says why it could not start the browser.
    #[error("the browser does not start: {0}")]
    Browser(String),
    /// Nothing was heard of the supervisor in time.
    #[error("the browser's supervisor said nothing for {} s", START.as_secs())]
    Silent,
}

/// What comes from a browser's supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SupervisorMessage {
    /// The browser has ended: `exit 0`, `signal 9`.
    Exited(String),
    /// A command beside it has; why it failed, if it did.
    Ran(Option<String>),
}

/// A browser under its supervisor, as the runner holds it. Dropping it closes the supervisor's input, and with that ends the
/// browser; [`BrowserProcess::end`] also waits until nothing is left.
#[derive(Debug)]
pub struct BrowserProcess {
    child: Child,
    /// Held open for as long as the browser is wanted.
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    browser: Pid,
    exited: Option<String>,
}

impl BrowserProcess {
    /// Starts a supervisor: `program` is this program, which runs it as `child browser`. What the supervisor and the browser
    /// print goes to `log`. Returns once the browser's process runs, at most 60 s later.
    pub async fn start(program: &Path, spec: &LaunchSpec, log: File) -> Result<Self, BrowserError> {
        Self::start_by(program, spec, log, Command::spawn).await
    }

    /// The same, but the supervisor's process is started by `spawn`, in whichever network that is.
    pub async fn start_by(
        program: &Path,
        spec: &LaunchSpec,
        log: File,
        spawn: impl FnOnce(&mut Command) -> io::Result<Child>,
    ) -> Result<Self, BrowserError> {
        let mut command = Command::new(program);
        command
            .args(["child", "browser"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // A Ctrl-C is the lab's to handle: it ends the supervisors in its own order.
            .process_group(0);
        let mut child = spawn(&mut command)?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("its input or output is missing").into());
        };
        let mut line = serde_json::to_vec(spec).map_err(io::Error::from)?;
        line.push(b'\n');
        let mut output = BufReader::new(output).lines();
        let heard = timeout(START, async {
            input.write_all(&line).await?;
            hear(&mut output, &mut child).await
        });
        match heard.await.map_err(|_| BrowserError::Silent)?? {
            Said::Pid(pid) => Ok(Self { child, input, output, browser: Pid::from_raw(pid), exited: None }),
            Said::Ran(_) => Err(BrowserError::Browser("something ran before it".to_owned())),
            Said::Error(why) | Said::Exited(why) => {
                // Its profile is gone before the next trial starts.
                let _ = timeout(END, child.wait()).await;
                Err(BrowserError::Browser(why))
            }
        }
    }

    /// The browser's process, which leads a process group of the same number.
    pub fn pid(&self) -> Pid {
        self.browser
    }

    /// Waits for the browser's end: `exit 0`, `signal 9`. May be dropped and asked again.
    pub async fn exited(&mut self) -> String {
        loop {
            if let SupervisorMessage::Exited(how) = self.hear().await {
                return how;
            }
        }
    }

    /// Waits for what comes next of it: the end of a command, or its own. May be dropped and asked again.
    pub async fn hear(&mut self) -> SupervisorMessage {
        if let Some(exited) = &self.exited {
            return SupervisorMessage::Exited(exited.clone());
        }
        let exited = match hear(&mut self.output, &mut self.child).await {
            Ok(Said::Ran(why)) => return SupervisorMessage::Ran(why),
            Ok(Said::Exited(how)) => how,
            Ok(Said::Error(why)) => why,
            Ok(Said::Pid(_)) => "started twice".to_owned(),
            Err(error) => error.to_string(),
        };
        SupervisorMessage::Exited(self.exited.insert(exited).clone())
    }

    /// Has the supervisor run a command beside the browser, in its profile and with its environment; `{profile}` in its
    /// words is filled in. [`BrowserProcess::hear`] says when it has ended.
    ///
    /// # Errors
    /// The supervisor has ended.
    pub async fn run(&mut self, command: &[String]) -> io::Result<()> {
        let mut line = serde_json::to_vec(command).map_err(io::Error::from)?;
        line.push(b'\n');
        self.input.write_all(&line).await
    }

    /// Ends the browser and waits until its processes and its profile are gone; after 5 s, kills what is known.
    pub async fn end(self) {
        let Self { mut child, input, browser, output: _output, .. } = self;
        drop(input);
        if timeout(END, child.wait()).await.is_err() {
            tracing::warn!(%browser, "the browser's supervisor did not end by itself");
            let _ = killpg(browser, Signal::SIGKILL);
            if let Some(supervisor) = super::pid(child.id()) {
                let _ = killpg(supervisor, Signal::SIGKILL);
            }
            let _ = child.wait().await;
        }
    }
}

/// The supervisor's next line; if it ended without one, how.
async fn hear(output: &mut Lines<BufReader<ChildStdout>>, child: &mut Child) -> io::Result<Said> {
    match output.next_line().await? {
        Some(line) => serde_json::from_str(&line).map_err(io::Error::from),
        None => Ok(Said::Error(format!("its supervisor ended: {}", describe(child.wait().await?)))),
    }
}
