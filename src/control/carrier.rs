//! A trial on its way to pages and back. To the runner it is like a child's standard input and output: one
//! `ready`, facts on the lab's clock, one `done`, however many pages there are.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{mpsc, watch};

use super::answer::ErrorResponse;
use super::page_clock::PageClock;
use super::view::LiveView;
use super::{ControlError, origin};
use crate::admission::Token;
use crate::trial::settings::PageOrigin;
use crate::trial::{ClientFact, Down, Role, TrialMessage, Up};

/// How many trials are open at most at once.
const TRIALS: usize = 64;
/// How many pages a trial has at most.
const PAGES: u32 = 64;
/// Lines that wait for the runner to take them; a page's post waits while it is full.
const WAITING: usize = 4096;

/// The runner's end of a trial in pages. Dropping it closes the trial: pages see the end of their stream, and
/// what they send from then on is refused with 404.
pub struct PageCarrier {
    /// Where the first page is, its token included: not for logs.
    pub url: String,
    /// Lines to all pages. Dropping it is `stop`, as the end of a child's standard input is.
    pub down: mpsc::Sender<Down>,
    /// Lines from the pages, made one.
    pub up: mpsc::Receiver<Up<ClientFact>>,
    /// What is shown of the trial to who has its token.
    pub view: watch::Sender<LiveView>,
    /// Becomes true when a person wants everything closed.
    pub closing: watch::Receiver<bool>,
    /// Closes the trial.
    #[expect(dead_code, reason = "held for its drop")]
    closes: Closes,
}

impl fmt::Debug for PageCarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageCarrier").finish_non_exhaustive()
    }
}

/// Closes a trial when dropped.
struct Closes {
    trials: Arc<Trials>,
    trial: u32,
}

impl Drop for Closes {
    fn drop(&mut self) {
        if let Some(trial) = self.trials.lock().remove(&self.trial) {
            trial.orders.send_modify(|orders| orders.closed = true);
        }
    }
}

/// The trials that are open.
#[derive(Debug)]
pub(super) struct Trials {
    port: u16,
    open: Mutex<HashMap<u32, Arc<OpenTrial>>>,
}

/// What the runner has ordered so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Orders {
    /// `go`, at this instant of `CLOCK_MONOTONIC`.
    pub(super) go: Option<u64>,
    /// `stop`.
    pub(super) stop: bool,
    /// The runner has left.
    pub(super) closed: bool,
    /// A bit for each actor of `[[beside]]` whose page in another tab is there.
    pub(super) arrived: u32,
}

/// One trial, seen from its pages.
#[derive(Debug)]
pub(super) struct OpenTrial {
    pub(super) token: Token,
    pub(super) message: TrialMessage,
    /// The origin under test, where pages of this trial are of it: they report here as guests.
    guest: Option<String>,
    /// One per page, indexed by its number.
    pub(super) pages: Vec<Page>,
    pub(super) orders: watch::Sender<Orders>,
    /// What the runner shows of it.
    pub(super) view: watch::Receiver<LiveView>,
    /// A person wants everything closed.
    pub(super) closing: watch::Sender<bool>,
    up: mpsc::Sender<Up<ClientFact>>,
    ends: Mutex<Ends>,
}

/// One page of a trial.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Set by its `clock` fact, once.
    pub(super) clock: OnceLock<PageClock>,
    /// Held while a post is taken, so that posts never mix.
    pub(super) posts: tokio::sync::Mutex<Posts>,
    /// Whether its stream was opened, which happens once.
    pub(super) opened: std::sync::atomic::AtomicBool,
    /// Whether it has said `done`.
    pub(super) done: std::sync::atomic::AtomicBool,
}

/// How far a page's posts have come.
#[derive(Debug, Default)]
pub(super) struct Posts {
    /// The number of the next.
    pub(super) next: u64,
    /// Whether it has said `ready`.
    pub(super) ready: bool,
}

/// How many pages have come how far.
#[derive(Debug, Default)]
struct Ends {
    ready: usize,
    done: usize,
    sent: u64,
}

impl Trials {
    pub(super) fn new(port: u16) -> Self {
        Self { port, open: Mutex::default() }
    }

    pub(super) fn open(self: &Arc<Self>, message: TrialMessage, pages: u32) -> Result<PageCarrier, ControlError> {
        let trial = message.trial;
        if !matches!(message.role, Role::Client(_)) || !(1..=PAGES).contains(&pages) {
            return Err(ControlError::Pages { trial, pages, most: PAGES });
        }
        let token = Token::draw().ok_or(ControlError::Random)?;
        let guest = guest(&message);
        let apart = message.settings.workload.page == PageOrigin::Apart;
        let at = guest.clone().filter(|_| !apart).unwrap_or_else(|| origin(self.port));
        let url = format!("{at}/trials/{trial}/page?token={}&page=0", token.text());
        let (up, from_pages) = mpsc::channel(WAITING);
        let (down, to_pages) = mpsc::channel(16);
        let (view, shown) = watch::channel(LiveView::default());
        let (closing, asked_to_close) = watch::channel(false);
        let opened = Arc::new(OpenTrial {
            token,
            message,
            guest,
            pages: (0..pages).map(|_| Page::default()).collect(),
            orders: watch::Sender::default(),
            view: shown,
            closing,
            up,
            ends: Mutex::default(),
        });
        {
            let mut open = self.lock();
            if open.len() >= TRIALS {
                return Err(ControlError::Trials(TRIALS));
            }
            if open.contains_key(&trial) {
                return Err(ControlError::Open(trial));
            }
            open.insert(trial, opened.clone());
        }
        tokio::spawn(relay(to_pages, opened));
        let closes = Closes { trials: self.clone(), trial };
        Ok(PageCarrier { url, down, up: from_pages, view, closing: asked_to_close, closes })
    }

    /// The trial, to who shows its token.
    pub(super) fn enter(&self, trial: u32, token: &str) -> Result<Arc<OpenTrial>, ErrorResponse> {
        let open = self
            .lock()
            .get(&trial)
            .cloned()
            .ok_or_else(|| ErrorResponse::missing(format!("trial {trial} is not open")))?;
        if open.token.is(token) { Ok(open) } else { Err(ErrorResponse::forbidden("this is not the trial's token")) }
    }

    /// Whether a page of this origin may ask for this path: one of a trial's own pages, for what that trial's pages ask
    /// for. What it gets there depends on the token that it shows.
    pub(super) fn is_guest(&self, path: &str, origin: &str) -> bool {
        let trial = path.strip_prefix("/trials/").and_then(|rest| rest.split_once('/'));
        let Some((trial, "contract" | "clock" | "error" | "arrived")) = trial else { return false };
        let Ok(trial) = trial.parse() else { return false };
        self.lock().get(&trial).is_some_and(|open| open.guest.as_deref() == Some(origin))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<OpenTrial>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The origin that the first subscription goes to, where pages of a trial are of it.
fn guest(message: &TrialMessage) -> Option<String> {
    let Role::Client(client) = &message.role else { return None };
    let first = client.subscriptions.first().filter(|_| message.settings.has_pages_of_the_server())?;
    Some(format!("https://{}:{}", first.host, first.port))
}

/// Turns the runner's lines into orders, which every page's stream watches.
async fn relay(mut lines: mpsc::Receiver<Down>, trial: Arc<OpenTrial>) {
    while let Some(line) = lines.recv().await {
        match line {
            Down::Go { at } => trial.orders.send_modify(|orders| orders.go = Some(at)),
            Down::Stop => break,
            // The trial is told to each page as its stream begins; faults are the server's.
            Down::Trial(_) | Down::Inject { .. } | Down::Cease { .. } => {}
        }
    }
    trial.orders.send_modify(|orders| orders.stop = true);
}

impl OpenTrial {
    /// The trial as one page is told it: with its own subscriptions only.
    pub(super) fn for_page(&self, page: u32) -> Down {
        let mut message = self.message.clone();
        if let Role::Client(client) = &mut message.role {
            client.subscriptions.retain(|subscription| subscription.page == page);
            client.stuck.retain(|subscription| subscription.page == page);
        }
        Down::Trial(Box::new(message))
    }

    /// Passes a page's line on: the last page's `ready` and `done` stand for all.
    pub(super) async fn pass(&self, line: Up<ClientFact>) -> Result<(), ErrorResponse> {
        let line = match line {
            Up::Ready { version } => {
                let all = {
                    let mut ends = self.ends();
                    ends.ready += 1;
                    ends.ready == self.pages.len()
                };
                if !all {
                    return Ok(());
                }
                Up::Ready { version }
            }
            Up::Done { sent } => {
                let (all, sum) = {
                    let mut ends = self.ends();
                    ends.done += 1;
                    ends.sent = ends.sent.saturating_add(sent);
                    (ends.done == self.pages.len(), ends.sent)
                };
                if !all {
                    return Ok(());
                }
                Up::Done { sent: sum }
            }
            Up::Failed { reason } => Up::Failed { reason: self.token.redact(&reason) },
            Up::Unsupported { reason } => Up::Unsupported { reason: self.token.redact(&reason) },
            line @ (Up::Saw(_) | Up::Listening { .. }) => line,
        };
        self.up.send(line).await.map_err(|_| ErrorResponse::missing("the trial is over"))
    }

    /// Tells the runner that a page is gone, if it still listens and has room.
    pub(super) fn gone(&self, page: u32) {
        let _ = self.up.try_send(Up::Failed { reason: format!("page {page} went away before it was done") });
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
