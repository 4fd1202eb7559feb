//! `compare`: what changed between two runs.

use std::io::Write;

use super::{CliError, CompareArgs, Exit, run, write_file};
use crate::report;
use crate::run::locate;
use crate::run::results::{self, Results, title};
use crate::stats::compare::{Side, compare as changes};
use crate::text::visible;
use crate::trial::kept;

/// Does it. Neither run is written to.
pub(super) fn compare(args: &CompareArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let folders = [locate(&args.out, &args.first)?, locate(&args.out, &args.second)?];
    if folders[0].canonicalize().is_ok_and(|first| folders[1].canonicalize().is_ok_and(|second| first == second)) {
        return Err(same_run(args));
    }
    let [first, second] = [results::load(&folders[0])?, results::load(&folders[1])?];
    let names = [&first, &second].map(Results::name);
    let [a, b] = [(&first, &names[0]), (&second, &names[1])].map(|(results, name)| Side {
        name,
        plan: &results.plan,
        summary: &results.summary,
    });
    let comparison = changes([a, b], report::Machine::differences([&first.machine, &second.machine]));
    let started = [&first, &second].map(|run| run.machine.started.as_deref());
    if comparison.is_none() && started[0] == started[1] && started[0].is_some_and(kept::is_exact) {
        return Err(same_run(args));
    }
    if let Some(path) = &args.html {
        let page = report::compare_html(&comparison, &title)?;
        write_file(path, &page)?;
    }
    if args.json {
        write!(out, "{}", report::json(&comparison)?)?;
        return Ok(Exit::Good);
    }
    write!(out, "{}", report::compare_terminal(&comparison, &title, run::look()))?;
    if let Some(path) = &args.html {
        writeln!(out, "\nPage: {}", visible(&path.display().to_string()))?;
    }
    Ok(Exit::Good)
}

fn same_run(args: &CompareArgs) -> CliError {
    let latest = locate(&args.out, "latest").map_or_else(|_| "nothing".to_owned(), |run| run.display().to_string());
    CliError::SameRun { first: args.first.clone(), second: args.second.clone(), latest }
}
