//! One end of a trial while it runs: its process, and the contract with it.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::said::{Budget, ContractError, ReadLine, line, of_client, of_server};
use crate::browser::{BrowserProcess, SupervisorMessage, describe};
use crate::control::PageCarrier;
use crate::link::Namespace;
use crate::trial::{Down, Fact, ServerFact, Up};

/// Lines that wait to be taken; the child's writing thread waits while it is full.
const WAITING: usize = 4096;
/// How much of what it prints is kept, in bytes.
const MAX_LOG: u64 = 16 * 1024 * 1024;
/// How long a process may take to exit once its input is closed, before it is killed.
const EXIT: Duration = Duration::from_secs(2);

/// How long after its page a browser may go.
const AFTER_PAGE: Duration = Duration::from_millis(500);

/// One end of a trial.
#[derive(Debug)]
pub(super) struct Participant {
    carrier: Carrier,
    life: Lifetime,
    /// Writes what a program prints.
    log: Option<JoinHandle<()>>,
    gone: bool,
}

/// Where its lines go and come from.
#[derive(Debug)]
enum Carrier {
    Stdio {
        down: Option<mpsc::Sender<Down>>,
        up: mpsc::Receiver<Result<Up<Fact>, ContractError>>,
    },
    Page(PageCarrier),
    /// A task of this process, which serves.
    Within {
        down: mpsc::Sender<Down>,
        up: mpsc::Receiver<Up<ServerFact>>,
    },
    /// What stands between both ends, or behind servers, knows of no trial.
    Nowhere,
}

/// What is alive.
#[derive(Debug)]
enum Lifetime {
    Process(Child),
    Browser(BrowserProcess),
    /// Nothing that the lab started: a visitor's browser, a server that goes on after the trial.
    Visitor,
}

/// What comes from an end of the trial.
#[derive(Debug)]
pub(super) enum ParticipantMessage {
    /// A line.
    Said(Up<Fact>),
    /// What it said can't be used; nothing more is read of it.
    Garbled(ContractError),
    /// It ended by itself: `exit 0`, `signal 9`. Said once.
    Exited(String),
    /// A command beside it has ended; why it failed, if it did.
    Ran(Option<String>),
}

impl Participant {
    /// Starts a server of the lab's own, which speaks the contract on its standard input and output; what it prints on
    /// its standard error goes to `log`. `environment` is what it finds there besides.
    pub(super) fn server(
        argv: &[String],
        log: File,
        place: Place<'_>,
        environment: Environment,
    ) -> std::io::Result<Self> {
        Self::of_the_lab(argv, log, place, environment, of_server)
    }

    /// The same with a client of the lab's own.
    pub(super) fn client(
        argv: &[String],
        log: File,
        place: Place<'_>,
        environment: Environment,
    ) -> std::io::Result<Self> {
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
    pub(super) fn program(
        argv: &[String],
        log: File,
        place: Place<'_>,
        environment: Environment,
    ) -> std::io::Result<Self> {
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

    /// A browser under its supervisor, whose pages speak the contract over the control origin.
    pub(super) fn browser(carrier: PageCarrier, browser: BrowserProcess) -> Self {
        Self { carrier: Carrier::Page(carrier), life: Lifetime::Browser(browser), log: None, gone: false }
    }

    /// An intermediary or a broker under the same supervisor, which says nothing.
    pub(super) fn silent(process: BrowserProcess) -> Self {
        Self { carrier: Carrier::Nowhere, life: Lifetime::Browser(process), log: None, gone: false }
    }

    /// A visitor's browser, whose page speaks the contract over the control origin.
    pub(super) fn visitor(carrier: PageCarrier) -> Self {
        Self { carrier: Carrier::Page(carrier), life: Lifetime::Visitor, log: None, gone: false }
    }

    /// A task of this process that serves and speaks the contract.
    pub(super) fn within(down: mpsc::Sender<Down>, up: mpsc::Receiver<Up<ServerFact>>) -> Self {
        Self { carrier: Carrier::Within { down, up }, life: Lifetime::Visitor, log: None, gone: false }
    }

    /// Whether pages speak for it, which have clocks of their own.
    pub(super) fn is_page(&self) -> bool {
        matches!(self.carrier, Carrier::Page(_))
    }

    /// Its process; a browser's main one; 0 where the lab started none.
    pub(super) fn pid(&self) -> u32 {
        match &self.life {
            Lifetime::Process(child) => child.id().unwrap_or(0),
            Lifetime::Browser(browser) => browser.pid().as_raw().unsigned_abs(),
            Lifetime::Visitor => 0,
        }
    }

    /// Sends it a line; one that is gone doesn't mind.
    pub(super) async fn order(&self, order: Down) {
        match &self.carrier {
            Carrier::Stdio { down: Some(down), .. } | Carrier::Within { down, .. } => drop(down.send(order).await),
            Carrier::Stdio { down: None, .. } | Carrier::Nowhere => {}
            Carrier::Page(page) => drop(page.down.send(order).await),
        }
    }

    /// What it says next; waits for it. Cancelling loses nothing.
    pub(super) async fn hear(&mut self) -> ParticipantMessage {
        let Self { carrier, life, gone, .. } = self;
        let said = async {
            match carrier {
                Carrier::Stdio { up, .. } => {
                    up.recv().await.map(|said| said.map_or_else(ParticipantMessage::Garbled, ParticipantMessage::Said))
                }
                Carrier::Within { up, .. } => up.recv().await.map(|said| ParticipantMessage::Said(said.of_any())),
                Carrier::Page(page) => page.up.recv().await.map(|said| ParticipantMessage::Said(said.of_any())),
                Carrier::Nowhere => std::future::pending().await,
            }
        };
        match life {
            // A process has said all once its output is closed; only then does its end count.
            Lifetime::Process(child) => {
                if let Some(heard) = said.await {
                    return heard;
                }
                if !*gone {
                    let status = child.wait().await;
                    *gone = true;
                    return ParticipantMessage::Exited(status.map_or_else(|error| error.to_string(), describe));
                }
            }
            Lifetime::Browser(browser) if !*gone => {
                let heard = tokio::select! {
                    biased;
                    Some(heard) = said => return heard,
                    heard = browser.hear() => heard,
                };
                match heard {
                    SupervisorMessage::Ran(why) => return ParticipantMessage::Ran(why),
                    SupervisorMessage::Exited(exited) => {
                        *gone = true;
                        return ParticipantMessage::Exited(exited);
                    }
                }
            }
            Lifetime::Browser(_) | Lifetime::Visitor => {
                if let Some(heard) = said.await {
                    return heard;
                }
            }
        }
        std::future::pending().await
    }

    /// Has a command run beside it, where it is under a supervisor. [`Participant::hear`] says when that has ended.
    pub(super) async fn run(&mut self, command: &[String]) -> std::io::Result<()> {
        match &mut self.life {
            Lifetime::Browser(browser) => browser.run(command).await,
            Lifetime::Process(_) | Lifetime::Visitor => Err(std::io::ErrorKind::Unsupported.into()),
        }
    }

    /// Ends it with SIGKILL, a browser's whole process group with it.
    pub(super) fn kill(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap_or(0));
        if pid.as_raw() > 1
            && let Err(error) = killpg(pid, Signal::SIGKILL)
        {
            tracing::warn!(%pid, %error, "could not be killed");
        }
    }

    /// How a browser ended by itself, if it has or is about to. Its pages go away first, and that says less.
    pub(super) async fn browser_exited(&mut self) -> Option<String> {
        match &mut self.life {
            Lifetime::Browser(browser) if !self.gone => {
                let exited = timeout(AFTER_PAGE, browser.exited()).await.ok()?;
                self.gone = true;
                Some(exited)
            }
            _ => None,
        }
    }

    /// Waits for its end and cleans up: closes its input, and kills it when it doesn't exit in time. Says how it
    /// ended, unless [`Participant::hear`] has said so.
    pub(super) async fn finish(self) -> Option<String> {
        let Self { carrier, life, log, gone } = self;
        let how = match life {
            Lifetime::Visitor => "let go".to_owned(),
            Lifetime::Browser(browser) => {
                browser.end().await;
                "ended".to_owned()
            }
            Lifetime::Process(mut child) => {
                drop(carrier);
                Self::exit(&mut child).await
            }
        };
        if let Some(log) = log {
            let _ = timeout(EXIT, log).await;
        }
        (!gone).then_some(how)
    }

    async fn exit(child: &mut Child) -> String {
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
}

/// Where a process is started: in a network namespace, or where the lab is.
pub(super) type Place<'a> = Option<&'a Namespace>;

/// Variables of a process, beside those that the lab has.
pub(super) type Environment = Vec<(&'static str, PathBuf)>;

fn command(argv: &[String], environment: Environment) -> std::io::Result<Command> {
    let (program, arguments) = argv.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).envs(environment);
    Ok(command)
}

/// Starts a process there.
pub(super) fn spawn(command: &mut Command, place: Place<'_>) -> std::io::Result<Child> {
    let Some(namespace) = place else { return command.spawn() };
    let runtime = Handle::current();
    let started = namespace.within(|| {
        // The runtime hears of the child's end, on whichever thread it was started.
        let _entered = runtime.enter();
        command.spawn()
    });
    started.unwrap_or_else(|error| Err(std::io::Error::other(error)))
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
