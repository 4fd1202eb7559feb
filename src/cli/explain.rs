//! `explain`: one event's life.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::{CliError, Exit, complete, places, run, write_file};
use crate::report;
use crate::run::locate;
use crate::run::results::{self, title};
use crate::stats::explain::LifeRequest;
use crate::text::visible;

/// `explain`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  transport-lab explain latest --trial 3
                                        the event that took longest in trial 3
  transport-lab explain latest --trial 3 --event k3f9x2-18 --sub 0 --html life.html")]
pub struct ExplainArgs {
    /// A run's folder, its name below --out, or `latest`.
    #[arg(value_name = "RUN|latest", add = ArgValueCandidates::new(complete::runs))]
    pub run: String,
    /// The trial's number; a run of one trial needs none.
    #[arg(long, value_name = "N")]
    pub trial: Option<u32>,
    /// The event's id, as the journal has it. Without one: the event that took longest.
    #[arg(long, value_name = "ID")]
    pub event: Option<String>,
    /// The subscription's number. Without one: that which had it last.
    #[arg(long, value_name = "K")]
    pub sub: Option<u32>,
    /// Where the results are.
    #[arg(long, value_name = "DIR", env = places::RESULTS, default_value_os_t = places::results())]
    pub out: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Write it as a page with a picture, too.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Does it. The run is not written to.
pub(super) fn explain(args: &ExplainArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let folder = locate(&args.out, &args.run)?;
    let request = LifeRequest { trial: args.trial, event: args.event.clone(), sub: args.sub };
    let life = results::explain(&folder, &request)?;
    if let Some(path) = &args.html {
        write_file(path, &report::life_html(&life, &title)?)?;
    }
    if args.json {
        write!(out, "{}", report::json(&life)?)?;
        return Ok(Exit::Good);
    }
    write!(out, "{}", report::life_terminal(&life, &title, run::look()))?;
    if let Some(path) = &args.html {
        writeln!(out, "\nPage: {}", visible(&path.display().to_string()))?;
    }
    Ok(Exit::Good)
}
