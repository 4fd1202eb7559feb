//! What happens around a start: the line that asks for it, the commands before it, the command itself.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::LaunchError;
use super::profile::Profile;
use crate::program;

/// The longest line that describes a launch, in bytes.
const LINE: u64 = 1 << 20;
/// How long one command may take.
const BEFORE: Duration = Duration::from_secs(20);
/// How much of a failed command's complaint is passed on, in bytes from its end.
const COMPLAINT: usize = 500;

/// This process's standard input: lines, and then its end. A signal to end is an end, too.
#[derive(Debug)]
pub(super) struct ParentInput {
    /// Its lines; closed at the end of the input.
    read: mpsc::Receiver<io::Result<String>>,
    signals: Vec<Signal>,
}

impl ParentInput {
    /// Listens from a thread of its own: a read that still waits must not keep the process from ending.
    pub(super) fn listen() -> Self {
        let (sender, read) = mpsc::channel(1);
        std::thread::spawn(move || {
            let mut stdin = io::stdin().lock();
            loop {
                let mut line = String::new();
                let read = stdin.by_ref().take(LINE).read_line(&mut line);
                let ended = matches!(read, Ok(0));
                let failed = read.is_err();
                if ended || sender.blocking_send(read.map(|_| line)).is_err() || failed {
                    break;
                }
            }
            let _ = io::copy(&mut stdin, &mut io::sink());
        });
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        Self { read, signals: kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect() }
    }

    /// The next line; `None` when there is none. May be dropped and asked again.
    pub(super) async fn line(&mut self) -> Result<Option<String>, LaunchError> {
        let line = tokio::select! {
            line = self.read.recv() => line,
            () = any(&mut self.signals) => None,
        };
        line.transpose().map_err(|error| LaunchError::Line(error.to_string()))
    }

    /// Waits for the end of the input, or for a signal to end.
    pub(super) async fn ended(&mut self) {
        tokio::select! {
            () = async { while self.read.recv().await.is_some() {} } => {}
            () = any(&mut self.signals) => {}
        }
    }
}

/// Waits for any of them; for ever if there are none.
async fn any(signals: &mut [Signal]) {
    if signals.is_empty() {
        std::future::pending::<()>().await;
    }
    let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    let _ = futures_util::future::select_all(waits).await;
}

/// Runs a command that ends by itself; it must succeed.
pub(super) async fn run(
    profile: &Profile,
    command: &[String],
    environment: &BTreeMap<String, String>,
) -> Result<(), LaunchError> {
    let argv: Vec<String> = command.iter().map(|word| profile.fill_in(word)).collect();
    let failed = |why: String| LaunchError::Command { command: argv.join(" "), why };
    let mut child = self::command(&argv, environment).map_err(|error| failed(error.to_string()))?;
    // Dropping it at the deadline kills it; what it may have started is ended with the rest of the process tree.
    let output = child.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).output();
    match timeout(BEFORE, output).await {
        Err(_) => Err(failed(format!("it did not end within {} s", BEFORE.as_secs()))),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let end = &output.stderr[output.stderr.len().saturating_sub(COMPLAINT)..];
            let complaint = String::from_utf8_lossy(end);
            Err(failed(format!("{}: {}", super::describe(output.status), complaint.trim())))
        }
    }
}

/// A command in a process group of its own, at home in the profile, with this environment and nothing to read, which
/// the kernel kills when the supervisor is killed.
pub(super) fn command(argv: &[String], environment: &BTreeMap<String, String>) -> io::Result<Command> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no such program");
    let (program, arguments) = argv.split_first().ok_or_else(missing)?;
    let program = if program.contains('/') {
        Some(PathBuf::from(program)).filter(|path| program::can_run(path))
    } else {
        program::on_path(&[program])
    };
    let program = std::path::absolute(program.ok_or_else(missing)?)?;
    // prctl(2), PR_SET_PDEATHSIG: it has to be set between fork and exec, which safe Rust can't do by itself.
    let mut command = match program::on_path(&["setpriv"]) {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.args(arguments).env_clear().envs(environment).process_group(0).stdin(Stdio::null());
    if let Some(home) = environment.get("HOME") {
        command.current_dir(home);
    }
    Ok(command)
}
