//! `diagnose`: what would lose or delay events at an address.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{CliError, Exit, run, signals, write_file};
use crate::diagnose::{CutShort, Diagnosis, Given, Wanted, diagnose as examine, html, terminal};
use crate::report::{self, ReportError};
use crate::text::visible;
use crate::units::{Span, UnitError};

/// How long it may take, beside the times and the streams that were asked for.
const LIMIT: Duration = Duration::from_secs(60);
/// How long each of many streams may take: ten are opened in a second, on HTTP/2 and on HTTP/3.
const PER_STREAM: Duration = Duration::from_millis(200);
/// What a length of time may be here.
const SPANS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// `diagnose`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  transport-lab diagnose https://app.example/events
  transport-lab diagnose wss://app.example/live --quiet 2min
  transport-lab diagnose https://app.example/events -H 'Authorization: Bearer …'
  transport-lab diagnose https://app.example/events --origin https://www.example --json
  transport-lab diagnose https://localhost:8445/feeds/news/sse --ca certs/ca.pem
  transport-lab diagnose https://app.example/events --html diagnosis.html

It is a guest: it only reads, makes 24 requests at most beside the streams of
--streams, ten in a second, says in User-Agent what it is, and stops at the first 429.
Each version of HTTP that the server speaks is looked at: HTTP/3 where Alt-Svc offers
it, or else where UDP answers at the address's own port.

Exit status:
    0  nothing was found that loses or delays events
    1  something was
    2  bad usage
    4  it can't be told: no connection, no stream, no time left
  130  interrupted")]
pub struct DiagnoseArgs {
    /// The stream's address: https://, http://, wss:// or ws://.
    #[arg(value_name = "URL")]
    pub url: String,
    /// Send this header field; it is shown nowhere. May be given several times.
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub header: Vec<Given>,
    /// Send this cookie; it is shown nowhere. May be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    pub cookie: Vec<Given>,
    /// Ask as a page of this origin does, and see whether it may read the answer (CORS).
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Option<String>,
    /// Trust this CA too (PEM).
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Go on where the certificate isn't valid, which is then found.
    #[arg(long)]
    pub insecure: bool,
    /// How long the stream is listened to.
    #[arg(long, value_name = "TIME", default_value = "6s", value_parser = length)]
    pub listen: Span,
    /// How many streams to open at once on each version of HTTP, six at most on HTTP/1.1 beside others; 0: none but
    /// those that are read.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub streams: u32,
    /// Wait so long for a stream on which nothing happens to be cut.
    #[arg(long, value_name = "TIME", value_parser = length)]
    pub quiet: Option<Span>,
    /// How long all of it may take [default: 60s, with --listen, --quiet and --streams beside].
    #[arg(long, value_name = "TIME", value_parser = length)]
    pub limit: Option<Span>,
    /// Print it as JSON.
    #[arg(long)]
    pub json: bool,
    /// Write it as a page, too.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Why a text is no length of time here.
#[derive(Debug, thiserror::Error)]
enum LengthError {
    #[error(transparent)]
    Unit(#[from] UnitError),
    #[error("it takes 1 s at least, and an hour at most")]
    Bounds,
}

fn length(text: &str) -> Result<Span, LengthError> {
    let span: Span = text.parse()?;
    if SPANS.contains(&span.duration()) { Ok(span) } else { Err(LengthError::Bounds) }
}

/// Makes it, and prints it.
pub(super) async fn diagnose(args: &DiagnoseArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let quiet = args.quiet.map(Span::duration);
    let usual = LIMIT + quiet.unwrap_or_default() + args.listen.duration() + PER_STREAM * args.streams;
    let wanted = Wanted {
        url: args.url.clone(),
        headers: args.header.clone(),
        cookies: args.cookie.clone(),
        origin: args.origin.clone(),
        ca: args.ca.clone(),
        insecure: args.insecure,
        listen: args.listen.duration(),
        streams: args.streams,
        quiet,
        limit: args.limit.map_or(usual, Span::duration),
    };
    let diagnosis = Box::pin(examine(&wanted, signals::interrupt())).await?;
    if let Some(path) = &args.html {
        write_file(path, &html(&diagnosis).map_err(ReportError::from)?)?;
    }
    if args.json {
        write!(out, "{}", report::json(&diagnosis)?)?;
    } else {
        let look = run::look();
        write!(out, "{}", terminal(&diagnosis, usize::from(look.width), look.colour))?;
        if let Some(path) = &args.html {
            writeln!(out, "\nPage: {}", visible(&path.display().to_string()))?;
        }
    }
    Ok(exit(&diagnosis))
}

/// What is found counts also where it was not all; that nothing is, only where it was.
fn exit(diagnosis: &Diagnosis) -> Exit {
    match diagnosis.cut_short {
        Some(CutShort::Interrupted) => Exit::Interrupted,
        _ if diagnosis.is_ill() => Exit::Refuted,
        Some(_) => Exit::Lab,
        None => Exit::Good,
    }
}
