//! The supervisor of a browser: `transport-lab child browser`.
//!
//! Enters: one line of JSON, a [`LaunchSpec`], lines for commands that are to be run beside the browser, and then the end
//! of the input. Leaves: one line for the browser's start, one for each command's end, one for the browser's. What must
//! never happen: a process or a profile that is still there after the input has ended, be the browser hung, crashed or
//! split into daemons, and the lab killed with -9.
//!
//! - A child's subreaper (prctl(2)) inherits every orphan among its descendants, so whatever leaves the
//!   browser's process group is still found below the supervisor.
//! - If the supervisor itself is killed with -9, the kernel kills the browser (`setpriv --pdeathsig`, where there is
//!   one), whose other processes end with it; what is left is swept when the next supervisor starts.

mod display;
mod launch;
mod process;
mod process_tree;
mod profile;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::process::Child;

use crate::client::LaunchSpec;
use crate::text::chain;
use display::{Display, DisplayError};
pub use process::{BrowserError, BrowserProcess, SupervisorMessage};
pub use process_tree::{TreeUsage, tree_usage};
use profile::Profile;
pub use profile::owned_folder;

/// How long the process tree has between SIGTERM and SIGKILL. Its profile is thrown away, so it has nothing to save.
const GRACE: Duration = Duration::from_millis(500);
/// How long the end of the process tree is waited for; only a process that the kernel can't end takes longer. With the
/// display's and the profile's it stays below what [`BrowserProcess::end`] waits.
const GIVE_UP: Duration = Duration::from_secs(3);
/// How often the process tree is looked at while it ends.
const LOOK: Duration = Duration::from_millis(5);

/// What the supervisor says on its standard output, a line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Said {
    /// The browser runs, as this process and the leader of this process group.
    Pid(i32),
    /// A command that was asked for has ended; why it failed, if it did.
    Ran(Option<String>),
    /// The browser ended by itself: `exit 0`, `signal 9`.
    Exited(String),
    /// The browser could not be started.
    Error(String),
}

/// Why a browser could not be started under its supervisor.
#[derive(Debug, thiserror::Error)]
enum LaunchError {
    #[error("can't adopt a browser's orphans: {0}")]
    Subreaper(nix::Error),
    #[error("the supervisor's line can't be read: {0}")]
    Line(String),
    #[error("can't make the profile")]
    Profile(#[source] std::io::Error),
    #[error("`{0}` would be written outside the profile")]
    Outside(String),
    #[error("`{command}` failed: {why}")]
    Command { command: String, why: String },
    #[error("no display")]
    Display(#[from] DisplayError),
    #[error("`{program}` does not start")]
    Start { program: String, source: std::io::Error },
}

/// Ends what supervisors that were killed left behind, and removes folders of processes that were.
pub async fn sweep() {
    profile::sweep(display::sweep).await;
}

/// The supervisor's whole life, on this process's standard input and output. Gives the exit status: 0 when the browser
/// was started, 1 when it wasn't.
///
/// It must be the process's only task, awaited on its main thread: every descendant of this process is ended, and
/// the browser is killed when the thread that started it ends.
pub async fn run_child() -> u8 {
    let mut input = launch::ParentInput::listen();
    live(&mut input, &mut tokio::io::stdout()).await
}

async fn live(input: &mut launch::ParentInput, output: &mut (impl AsyncWrite + Unpin)) -> u8 {
    let mut tree = ProcessTree::default();
    let started = match input.line().await {
        // All that needs ending is below this process or in `tree`: a start may be broken off anywhere.
        Ok(Some(line)) => tokio::select! {
            started = tree.start(&line) => started.map(Some),
            () = input.ended() => Ok(None),
        },
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    let status = match started {
        Ok(Some(pid)) => {
            say(output, &Said::Pid(pid)).await;
            loop {
                let line = tokio::select! {
                    exited = tree.exited() => {
                        say(output, &Said::Exited(exited)).await;
                        break;
                    }
                    line = input.line() => line,
                };
                let Ok(Some(line)) = line else { break };
                let ran = tokio::select! {
                    ran = tree.run(&line) => ran,
                    () = input.ended() => break,
                };
                say(output, &Said::Ran(ran.err().map(|error| chain(&error)))).await;
            }
            0
        }
        Ok(None) => 0,
        Err(error) => {
            say(output, &Said::Error(chain(&error))).await;
            1
        }
    };
    tree.end().await;
    status
}

/// Writes a line. Nobody may be there to read it any more, and that is as good.
async fn say(output: &mut (impl AsyncWrite + Unpin), said: &Said) {
    if let Ok(mut line) = serde_json::to_vec(said) {
        line.push(b'\n');
        let _ = output.write_all(&line).await;
        let _ = output.flush().await;
    }
}

/// All that has to be ended and removed.
#[derive(Debug, Default)]
struct ProcessTree {
    profile: Option<Profile>,
    display: Option<Display>,
    browser: Option<Child>,
    /// What the browser has, and what is run beside it.
    environment: BTreeMap<String, String>,
}

impl ProcessTree {
    /// Starts the browser that a line describes, and gives its process id.
    async fn start(&mut self, line: &str) -> Result<i32, LaunchError> {
        nix::sys::prctl::set_child_subreaper(true).map_err(LaunchError::Subreaper)?;
        let spec: LaunchSpec = serde_json::from_str(line).map_err(|error| LaunchError::Line(error.to_string()))?;
        sweep().await;
        let profile = self.profile.insert(Profile::make().map_err(LaunchError::Profile)?);
        profile.fill(&spec.files)?;
        let mut environment = profile.environment(&spec.env);
        for command in &spec.before {
            launch::run(profile, command, &environment).await?;
        }
        if spec.display {
            let display = self.display.insert(Display::start(profile).await?);
            environment.extend(display.environment());
        }
        let argv: Vec<String> = spec.argv.iter().map(|word| profile.fill_in(word)).collect();
        let log = || std::io::stderr().as_fd().try_clone_to_owned().map_or(Stdio::null(), Stdio::from);
        let browser = launch::command(&argv, &environment)
            .and_then(|mut command| command.stdout(log()).stderr(log()).spawn())
            .map_err(|source| LaunchError::Start { program: argv.first().cloned().unwrap_or_default(), source })?;
        // Not polled yet, so it has its id even if it has ended.
        let id = pid(browser.id()).map_or(0, Pid::as_raw);
        self.browser = Some(browser);
        self.environment = environment;
        Ok(id)
    }

    /// Runs the command that a line describes beside the browser, and waits for its end.
    async fn run(&self, line: &str) -> Result<(), LaunchError> {
        let Some(profile) = &self.profile else { return Ok(()) };
        let command: Vec<String> = serde_json::from_str(line).map_err(|error| LaunchError::Line(error.to_string()))?;
        launch::run(profile, &command, &self.environment).await
    }

    /// Waits for the browser's end.
    async fn exited(&mut self) -> String {
        match &mut self.browser {
            Some(browser) => browser.wait().await.map_or_else(|error| error.to_string(), describe),
            None => std::future::pending().await,
        }
    }

    /// Ends every process below this one, the display last, and removes the profile.
    async fn end(mut self) {
        let display = self.display.as_ref().map(Display::pid);
        let begun = Instant::now();
        let mut asked = false;
        loop {
            // A browser that has ended is the runtime's to reap; the orphans it left are reaped in `below_us`.
            let ours = self.browser.as_mut().and_then(|browser| {
                let _ = browser.try_wait();
                browser.id()
            });
            let left = process_tree::below_us(display, ours);
            if left.is_empty() || begun.elapsed() > GIVE_UP {
                break;
            }
            let signal = match begun.elapsed() > GRACE {
                true => Some(Signal::SIGKILL),
                false if !asked => Some(Signal::SIGTERM),
                false => None,
            };
            for pid in left.iter().filter(|_| signal.is_some()) {
                let _ = nix::sys::signal::kill(*pid, signal);
            }
            asked = true;
            tokio::time::sleep(LOOK).await;
        }
        if let Some(display) = self.display.take() {
            display.end().await;
        }
        if let Some(profile) = self.profile.take() {
            profile.remove().await;
        }
    }
}

/// `exit 0` or `signal 9`.
pub(crate) fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// A process id of the kernel's out of one of the runtime's.
fn pid(id: Option<u32>) -> Option<Pid> {
    id.and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw)
}
