//! A diagnosis of anybody's stream: an address to findings.
//!
//! Enters: an address, and what a guest brings. Leaves: what the server speaks, what it says, how it behaves, and what of
//! that loses or delays events, with evidence and the line to change. What must never happen here: something published;
//! a header or a cookie that was given, shown; more asked of a server than was said, or anything after a 429.
//!
//! `examine` asks, one thing after another, and writes down what it saw (`visit`); what that means is said by the
//! checks (`check::ALL`), which ask nobody.

mod aim;
mod check;
mod dial;
mod error;
mod examine;
mod fact;
mod guest;
mod kind;
mod known;
mod page;
mod reading;
mod said;
mod session;
mod slow;
mod socket;
mod stamp;
mod terminal;
mod tls;
mod visit;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

pub use aim::{Aim, AimError};
pub use check::{Finding, Severity};
pub use dial::{AskError, DialError, SeenHttp3, SeenSettings, SeenTransport};
pub use error::DiagnoseError;
pub use fact::Seen;
pub use guest::{Given, GivenError, NAME, Stop};
pub use page::html;
pub use terminal::terminal;
pub use tls::{CaError, SeenCertificate, SeenTls};
pub use visit::{Resumed, SeenQuiet, SeenReturn, SeenStreams, StreamKind};

use crate::admission::Origin;
use crate::text::chain;
use examine::{Extent, examine};
use guest::Guest;
use visit::{Visit, millis};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The address.
    pub url: String,
    pub headers: Vec<Given>,
    pub cookies: Vec<Given>,
    /// The origin of a page that is to read it.
    pub origin: Option<String>,
    /// A file with a CA to trust beside the platform's.
    pub ca: Option<PathBuf>,
    /// Whether it goes on under a certificate that isn't valid.
    pub insecure: bool,
    /// How long the stream is listened to.
    pub listen: Duration,
    /// How many streams are opened at once.
    pub streams: u32,
    /// How long it is waited for a quiet stream to be cut.
    pub quiet: Option<Duration>,
    /// How long all of it may take.
    pub limit: Duration,
}

/// Why it ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutShort {
    Interrupted,
    /// It took as long as it may.
    Limit,
    /// The server asked for less (429).
    TooMany,
    /// All requests were made that one diagnosis makes.
    Spent,
}

/// How it behaved as a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Conduct {
    pub requests: u32,
    pub connections: u32,
    /// Requests in a second at most.
    pub rate: u32,
    pub user_agent: &'static str,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Diagnosis {
    /// The address, its query left out.
    pub url: String,
    pub kind: Option<StreamKind>,
    /// Milliseconds.
    pub took: u64,
    pub cut_short: Option<CutShort>,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// What was seen, whether or not anything is wrong with it.
    pub seen: Vec<Seen>,
    pub left_out: Vec<String>,
    pub tls: Option<SeenTls>,
    /// What it says on HTTP/2 of its connections, and on HTTP/3.
    pub settings: Option<SeenSettings>,
    pub http3: Option<SeenHttp3>,
    /// On each ALPN.
    pub resumed: Vec<SeenReturn>,
    pub streams: Vec<SeenStreams>,
    pub quiet: Vec<SeenQuiet>,
    pub conduct: Conduct,
}

impl Diagnosis {
    /// Whether something loses or delays events.
    pub fn is_ill(&self) -> bool {
        self.findings.iter().any(|finding| finding.told.severity != Severity::Advice)
    }
}

/// Makes one. An interrupt, and the end of the time that it may take, end it with what is known by then.
pub async fn diagnose(wanted: &Wanted, mut interrupt: watch::Receiver<bool>) -> Result<Diagnosis, DiagnoseError> {
    let aim = Aim::parse(&wanted.url)?;
    let origin = wanted.origin.as_deref().map(Origin::parse).transpose()?.map(|origin| origin.to_string());
    let trust = (tls::roots(wanted.ca.as_deref())?, wanted.insecure);
    let guest = Guest::new((&wanted.headers, &wanted.cookies), origin.as_deref(), trust, wanted.streams)?;
    let extent = Extent { listen: wanted.listen, streams: wanted.streams, quiet: wanted.quiet };
    let begun = Instant::now();
    let mut visit = Visit::new(aim, origin);
    let cut_short = tokio::select! {
        // An interrupt whose sender is gone can't come any more.
        Ok(_) = interrupt.wait_for(|interrupted| *interrupted) => Some(CutShort::Interrupted),
        () = sleep(wanted.limit) => Some(CutShort::Limit),
        examined = examine(&mut visit, &guest, extent) => match examined {
            Ok(()) => None,
            // What is known by then is worth telling.
            Err(DiagnoseError::Stopped(stop) | DiagnoseError::Ask(AskError::Stopped(stop)))
                if !visit.readings.is_empty() || !visit.sockets.is_empty() =>
            {
                Some(if stop == Stop::TooMany { CutShort::TooMany } else { CutShort::Spent })
            }
            // Then it is known what it says, and what it does beyond that is left out.
            Err(error) if !visit.readings.is_empty() && visit.kind.is_some() => {
                visit.left_out.push(format!("what comes after that: {}", guest.hide(&chain(&error))));
                None
            }
            Err(error) => return Err(error),
        },
    };
    let cut_short = cut_short.or(guest.is_turned_away().then_some(CutShort::TooMany));
    Ok(told(visit, &guest, cut_short, begun.elapsed()))
}

fn told(visit: Visit, guest: &Guest, cut_short: Option<CutShort>, took: Duration) -> Diagnosis {
    let mut findings = check::all(&visit);
    for finding in &mut findings {
        finding.hide(&|text| guest.hide(text));
    }
    let mut seen = fact::all(&visit);
    for seen in &mut seen {
        seen.says = guest.hide(&seen.says);
    }
    let hidden = |text: &mut String| *text = guest.hide(text);
    let (mut streams, mut quiet, mut resumed) = (visit.streams, visit.quiet, visit.resumed);
    streams.iter_mut().filter_map(|streams| streams.refused.as_mut()).for_each(hidden);
    quiet.iter_mut().filter_map(|quiet| quiet.cut.as_mut()).for_each(|(_, how)| hidden(how));
    for seen in &mut resumed {
        if let Resumed::Again { id } = &mut seen.resumed {
            hidden(id);
        }
    }
    let (requests, connections) = guest.made();
    Diagnosis {
        url: guest.hide(&visit.aim.shown()),
        kind: visit.kind,
        took: millis(took),
        cut_short,
        findings,
        seen,
        left_out: visit.left_out,
        tls: visit.tls,
        settings: visit.settings,
        http3: visit.http3,
        resumed,
        streams,
        quiet,
        conduct: Conduct { requests, connections, rate: Guest::rate(), user_agent: NAME },
    }
}
