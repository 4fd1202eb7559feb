//! The processes of a trial's ends: started where they are to run, spoken to, and ended.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::said::{Budget, ReadLine, line, of_client, of_server};
use super::{Carrier, Lifetime, Participant};
use crate::browser::describe;
use crate::trial::Down;

/// Lines that wait to be taken; the child's writing thread waits while it is full.
const WAITING: usize = 4096;
/// How much of what it prints is kept, in bytes.
const MAX_LOG: u64 = 16 * 1024 * 1024;
/// How long a process may take to exit once its input is closed, before it is killed.
pub(super) const EXIT: Duration = Duration::from_secs(2);

/// A network that processes can be started in, other than this process's own.
pub trait Network: Sync {
    /// Starts it there.
    fn start(&self, command: &mut Command) -> std::io::Result<Child>;
}

/// Where a process is started: in another network, or where the lab is.
pub type Place<'a> = Option<&'a dyn Network>;

/// Variables of a process, beside those that the lab has.
pub type Environment = Vec<(&'static str, PathBuf)>;

impl Participant {
    /// Starts a server of the lab's own, which speaks the contract on its standard input and output; what it prints on
    /// its standard error goes to `log`. `environment` is what it finds there besides.
    pub fn server(argv: &[String], log: File, place: Place<'_>, environment: Environment) -> std::io::Result<Self> {
        Self::of_the_lab(argv, log, place, environment, of_server)
    }

    /// The same with a client of the lab's own.
    pub fn client(argv: &[String], log: File, place: Place<'_>, environment: Environment) -> std::io::Result<Self> {
        Self::of_the_lab(argv, log, place, environment, of_client)
    }

    fn of_the_lab(
        argv: &[String],
        log: File,
        place: Place<'_>,
        environment: Environment,
        read: ReadLine,
    ) -> std::io::Result<Self> {
        let command = command(argv, environment)?;
        Self::start(command, log.into(), place, Budget::UNBOUNDED, read)
    }

    /// The same with a client that isn't the lab's: what it may say and print has an end.
    pub fn program(argv: &[String], log: File, place: Place<'_>, environment: Environment) -> std::io::Result<Self> {
        let command = command(argv, environment)?;
        let mut end = Self::start(command, Stdio::piped(), place, Budget::OF_PROGRAM, of_client)?;
        if let Lifetime::Process(child) = &mut end.life {
            end.log = child.stderr.take().map(|printed| tokio::spawn(keep(printed, log)));
        }
        Ok(end)
    }

    fn start(
        mut command: Command,
        log: Stdio,
        place: Place<'_>,
        mut budget: Budget,
        read: ReadLine,
    ) -> std::io::Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // A Ctrl-C is the lab's to handle: it ends its children in its own order.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = spawn(&mut command, place)?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::Error::other("its input or output is missing"));
        };
        let (down, mut orders) = mpsc::channel::<Down>(16);
        tokio::spawn(async move {
            // Dropping stdin at the end is what tells the child to stop.
            while let Some(order) = orders.recv().await {
                let Ok(mut line) = serde_json::to_vec(&order) else { continue };
                line.push(b'\n');
                if stdin.write_all(&line).await.is_err() {
                    return;
                }
            }
        });
        let (lines, up) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let mut reader = BufReader::new(stdout);
            while let Some(said) = line(&mut reader, &mut budget, read).await {
                let garbled = said.is_err();
                if lines.send(said).await.is_err() || garbled {
                    return;
                }
            }
        });
        Ok(Self {
            carrier: Carrier::Stdio { down: Some(down), up },
            life: Lifetime::Process(child),
            log: None,
            gone: false,
        })
    }
}

/// Waits for a process's end, its input being closed, and says how it ended.
pub(super) async fn exit(child: &mut Child) -> String {
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    if let Ok(status) = timeout(EXIT, child.wait()).await {
        end_group(group);
        return status.map_or_else(|error| error.to_string(), describe);
    }
    let _ = child.start_kill();
    let how = child.wait().await.map_or_else(|error| error.to_string(), describe);
    end_group(group);
    format!("{how}, as it did not exit within {} s", EXIT.as_secs())
}

fn command(argv: &[String], environment: Environment) -> std::io::Result<Command> {
    let (program, arguments) = argv.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).envs(environment);
    Ok(command)
}

/// Starts a process there.
pub fn spawn(command: &mut Command, place: Place<'_>) -> std::io::Result<Child> {
    match place {
        Some(network) => network.start(command),
        None => command.spawn(),
    }
}

/// Writes what a program prints to a file, as far as there is room, and reads the rest for nobody.
async fn keep(mut printed: ChildStderr, log: File) {
    let mut log = tokio::fs::File::from_std(log);
    let kept = tokio::io::copy(&mut (&mut printed).take(MAX_LOG), &mut log).await;
    let _ = log.flush().await;
    if kept.is_ok_and(|kept| kept == MAX_LOG) {
        let _ = tokio::io::copy(&mut printed, &mut tokio::io::sink()).await;
    }
}

/// Ends whatever a process left running in its group.
fn end_group(group: Option<Pid>) {
    if let Some(group) = group {
        let _ = killpg(group, Signal::SIGKILL);
    }
}
