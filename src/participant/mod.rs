//! One end of a trial while it runs: what is alive of it, and the contract with it.
//!
//! Enters: a client's command and the trial's message; orders. Leaves: what the end says, and how it ended. What must never
//! happen here: a process that is left behind, or an end that says what only another can know.

mod elsewhere;
mod launch;
mod process;
mod said;

use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use self::elsewhere::{Remote, RemoteOrder};
pub use self::launch::{ClientStart, LaunchFailure, launch, launch_server};
use self::process::EXIT;
pub use self::process::{Environment, Network, Place, spawn};
pub use self::said::{ContractError, quoted};
use crate::browser::{BrowserProcess, SupervisorMessage, describe};
use crate::control::PageCarrier;
use crate::trial::{Down, Fact, ServerFact, Up};

/// How long after its page a browser may go: at once, unless the machine is busy.
const AFTER_PAGE: Duration = Duration::from_secs(2);

/// One end of a trial.
#[derive(Debug)]
pub struct Participant {
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
    /// Whoever speaks with another machine.
    Elsewhere {
        orders: mpsc::Sender<RemoteOrder>,
        heard: mpsc::Receiver<ParticipantMessage>,
        is_page: bool,
    },
    /// What stands between both ends, or behind servers, knows of no trial.
    Nowhere,
}

/// What is alive.
#[derive(Debug)]
enum Lifetime {
    Process(Child),
    Browser(BrowserProcess),
    /// Another machine's, of that number there.
    Elsewhere(u32),
    /// Nothing that the lab started: a visitor's browser, a server that goes on after the trial.
    Visitor,
}

/// What comes from an end of the trial.
#[derive(Debug)]
pub enum ParticipantMessage {
    /// A line.
    Said(Up<Fact>),
    /// What it said can't be used; nothing more is read of it.
    Garbled(ContractError),
    /// It ended by itself: `exit 0`, `signal 9`. Said once.
    Exited(String),
    /// A command beside it has ended; why it failed, if it did.
    Ran(Option<String>),
    /// It is on another machine, and nothing more is heard of it: why, as the rest of a sentence about it.
    Lost(String),
}

impl Participant {
    /// A browser under its supervisor, whose pages speak the contract over the control origin.
    pub fn browser(carrier: PageCarrier, browser: BrowserProcess) -> Self {
        Self { carrier: Carrier::Page(carrier), life: Lifetime::Browser(browser), log: None, gone: false }
    }

    /// An intermediary or a broker under the same supervisor, which says nothing.
    pub fn silent(process: BrowserProcess) -> Self {
        Self { carrier: Carrier::Nowhere, life: Lifetime::Browser(process), log: None, gone: false }
    }

    /// A visitor's browser, whose page speaks the contract over the control origin.
    pub fn visitor(carrier: PageCarrier) -> Self {
        Self { carrier: Carrier::Page(carrier), life: Lifetime::Visitor, log: None, gone: false }
    }

    /// A task of this process that serves and speaks the contract.
    pub fn within(down: mpsc::Sender<Down>, up: mpsc::Receiver<Up<ServerFact>>) -> Self {
        Self { carrier: Carrier::Within { down, up }, life: Lifetime::Visitor, log: None, gone: false }
    }

    /// An end on another machine.
    pub fn elsewhere(Remote { pid, is_page, orders, heard }: Remote) -> Self {
        let carrier = Carrier::Elsewhere { orders, heard, is_page };
        Self { carrier, life: Lifetime::Elsewhere(pid), log: None, gone: false }
    }

    /// Whether pages speak for it, which have clocks of their own.
    pub fn is_page(&self) -> bool {
        matches!(self.carrier, Carrier::Page(_) | Carrier::Elsewhere { is_page: true, .. })
    }

    /// Its process; a browser's main one; 0 where the lab started none.
    pub fn pid(&self) -> u32 {
        match &self.life {
            Lifetime::Process(child) => child.id().unwrap_or(0),
            Lifetime::Browser(browser) => browser.pid().as_raw().unsigned_abs(),
            Lifetime::Elsewhere(pid) => *pid,
            Lifetime::Visitor => 0,
        }
    }

    /// Sends it a line; one that is gone doesn't mind.
    pub async fn order(&self, order: Down) {
        match &self.carrier {
            Carrier::Stdio { down: Some(down), .. } | Carrier::Within { down, .. } => drop(down.send(order).await),
            Carrier::Stdio { down: None, .. } | Carrier::Nowhere => {}
            Carrier::Page(page) => drop(page.down.send(order).await),
            Carrier::Elsewhere { orders, .. } => drop(orders.send(RemoteOrder::Say(order)).await),
        }
    }

    /// What it says next; waits for it. Cancelling loses nothing.
    pub async fn hear(&mut self) -> ParticipantMessage {
        let Self { carrier, life, gone, .. } = self;
        let said = async {
            match carrier {
                Carrier::Stdio { up, .. } => {
                    up.recv().await.map(|said| said.map_or_else(ParticipantMessage::Garbled, ParticipantMessage::Said))
                }
                Carrier::Within { up, .. } => up.recv().await.map(|said| ParticipantMessage::Said(said.of_any())),
                Carrier::Page(page) => page.up.recv().await.map(|said| ParticipantMessage::Said(said.of_any())),
                Carrier::Elsewhere { heard, .. } => heard.recv().await,
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
            Lifetime::Browser(_) | Lifetime::Elsewhere(_) | Lifetime::Visitor => {
                if let Some(heard) = said.await {
                    *gone |= matches!(heard, ParticipantMessage::Exited(_));
                    return heard;
                }
            }
        }
        std::future::pending().await
    }

    /// Has a command run beside it, where it is under a supervisor. [`Participant::hear`] says when that has ended.
    pub async fn run(&mut self, command: &[String]) -> std::io::Result<()> {
        match &mut self.life {
            Lifetime::Browser(browser) => browser.run(command).await,
            Lifetime::Process(_) | Lifetime::Elsewhere(_) | Lifetime::Visitor => {
                Err(std::io::ErrorKind::Unsupported.into())
            }
        }
    }

    /// Ends it with SIGKILL, a browser's whole process group with it.
    pub fn kill(&mut self) {
        if let Carrier::Elsewhere { orders, .. } = &self.carrier {
            // Its queue has room: an end is told a handful of things in all.
            let _ = orders.try_send(RemoteOrder::Kill);
            return;
        }
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap_or(0));
        if pid.as_raw() > 1
            && let Err(error) = killpg(pid, Signal::SIGKILL)
        {
            tracing::warn!(%pid, %error, "could not be killed");
        }
    }

    /// How a browser ended by itself, if it has or is about to. Its pages go away first, and that says less.
    pub async fn browser_exited(&mut self) -> Option<String> {
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
    pub async fn finish(self) -> Option<String> {
        let Self { carrier, life, log, gone } = self;
        let how = match life {
            Lifetime::Visitor => "let go".to_owned(),
            Lifetime::Elsewhere(_) => {
                let Carrier::Elsewhere { orders, heard, .. } = carrier else { return None };
                // What it still says is for nobody.
                drop(heard);
                let (answer, ended) = oneshot::channel();
                // Whoever speaks with the other machine answers in time, be that machine gone.
                let _ = orders.send(RemoteOrder::Finish(answer)).await;
                return ended.await.ok().flatten();
            }
            Lifetime::Browser(browser) => {
                browser.end().await;
                "ended".to_owned()
            }
            Lifetime::Process(mut child) => {
                drop(carrier);
                process::exit(&mut child).await
            }
        };
        if let Some(log) = log {
            let _ = timeout(EXIT, log).await;
        }
        (!gone).then_some(how)
    }
}
