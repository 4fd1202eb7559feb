//! The load: a process of its own that holds all subscriptions and notes when each event reached each of them.
//!
//! One thread, so that on two processors the server has one to itself. The specification is the first line of its
//! input; `finished` and then, after the second line, the report are its output.

mod readers;
mod tally;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};

use serde::{Deserialize, Serialize};
use transport_lab::trial::Protocol;
use transport_lab::wire::descriptors;

pub(crate) use tally::Report;

use super::Extent;
use super::measure::PATIENCE;
use super::protocols::{Case, Reader, Subject};

/// The argument that makes this program the load.
pub(crate) const ROLE: &str = "load";

/// What to read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    protocol: Protocol,
    reader: Reader,
    port: u16,
    ca: PathBuf,
    /// What to ask for.
    path: String,
    subscribers: usize,
    per_connection: usize,
    /// How long a long poller waits with its next request, in milliseconds.
    pause: u64,
    /// Receipts after which it has finished.
    receipts: usize,
}

impl Spec {
    pub(crate) fn new(extent: &Extent, case: &Case, subject: Subject, port: u16, ca: &Path) -> Self {
        let path = match subject {
            Subject::Lab | Subject::Shared => format!("/feeds/f0/{}", case.protocol.transport),
            Subject::Nchan => "/subscribe".to_owned(),
        };
        Self {
            protocol: case.protocol.clone(),
            reader: case.reader,
            port,
            ca: ca.to_owned(),
            path,
            subscribers: extent.subscribers,
            per_connection: case.per_connection,
            pause: extent.pause,
            receipts: extent.subscribers * extent.events,
        }
    }
}

/// What it says.
#[derive(Debug, Serialize, Deserialize)]
enum Said {
    /// All native readers are open.
    Opened,
    /// All receipts are there; native readers keep theirs to themselves.
    Finished,
    Report(Report),
}

/// The load, as its parent sees it. Dropping it ends it.
pub(crate) struct Load {
    child: Child,
    stdin: ChildStdin,
    said: Receiver<Said>,
    opened: bool,
    finished: bool,
}

impl Load {
    pub(crate) fn start(spec: &Spec) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .arg(ROLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the load doesn't start: {error}"))?;
        let mut stdin = child.stdin.take().expect("its input");
        say(&mut stdin, spec)?;
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let Ok(one) = serde_json::from_str(&line) else { continue };
                let _ = sender.send(one);
            }
        });
        Ok(Self { child, stdin, said, opened: false, finished: false })
    }

    /// Whether all native readers are open.
    pub(crate) fn has_opened(&mut self) -> bool {
        self.listen();
        self.opened
    }

    /// Whether all receipts are there.
    pub(crate) fn has_finished(&mut self) -> bool {
        self.listen();
        self.finished
    }

    fn listen(&mut self) {
        while let Ok(said) = self.said.try_recv() {
            self.opened |= matches!(said, Said::Opened);
            self.finished |= matches!(said, Said::Finished);
        }
    }

    /// Whether the process is gone.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Why some subscriptions are missing.
    pub(crate) fn last_words(&mut self) -> String {
        self.report(&BTreeMap::new()).map_or_else(|error| error, |report| report.closed.join("; "))
    }

    /// Stops it. `published` says when each event was published, by its id, for readers that know only ids.
    pub(crate) fn report(&mut self, published: &BTreeMap<String, u64>) -> Result<Report, String> {
        say(&mut self.stdin, published)?;
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(Said::Report(report)) => return Ok(report),
                Ok(Said::Opened | Said::Finished) => {}
                Err(error) => return Err(format!("the load said nothing: {error}")),
            }
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(to: &mut impl Write, what: &impl Serialize) -> Result<(), String> {
    let line = serde_json::to_string(what).map_err(|error| error.to_string())?;
    writeln!(to, "{line}").and_then(|()| to.flush()).map_err(|error| format!("the load doesn't listen: {error}"))
}

/// The load itself.
pub(crate) fn run() {
    descriptors::raise_descriptors();
    let line = || std::io::stdin().lines().next().and_then(Result::ok).unwrap_or_default();
    let spec: Spec = serde_json::from_str(&line()).expect("a specification");
    let (stop, stopped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // The end of the input is a stop too: the parent is gone.
        let _ = stop.send(serde_json::from_str(&line()).unwrap_or_default());
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let report = runtime.block_on(async {
        let tally = tally::Tally::new(
            (spec.subscribers, Box::new(|| drop(say(&mut std::io::stdout(), &Said::Opened)))),
            (spec.receipts, Box::new(|| drop(say(&mut std::io::stdout(), &Said::Finished)))),
        );
        let readers = readers::start(&spec, &tally);
        let published: BTreeMap<String, u64> = stopped.await.unwrap_or_default();
        readers.stop().await;
        tally.report(&published)
    });
    let _ = say(&mut std::io::stdout(), &Said::Report(report));
    // Thousands of connections needn't be taken down one by one.
    std::process::exit(0);
}
