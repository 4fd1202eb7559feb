//! `compare`: what changed between two runs.

use std::io::Write;

use super::{CliError, CompareArgs, Exit, run};
use crate::experiment::results::{self, Results, title};
use crate::experiment::run::locate;
use crate::report;
use crate::stats::compare::{Side, compare as changes};
use crate::text::visible;

/// Does it. Neither run is written to.
pub(super) fn compare(args: &CompareArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let load = |run: &str| Ok::<Results, CliError>(results::load(&locate(&args.out, run)?)?);
    let (first, second) = (load(&args.first)?, load(&args.second)?);
    let names = [&first, &second].map(Results::name);
    let [a, b] = [(&first, &names[0]), (&second, &names[1])].map(|(results, name)| Side {
        name,
        plan: &results.plan,
        summary: &results.summary,
    });
    let comparison = changes([a, b], report::Machine::differences([&first.machine, &second.machine]));
    if let Some(path) = &args.html {
        let page = report::compare_html(&comparison, &title)?;
        std::fs::write(path, page).map_err(|source| CliError::Page { path: path.clone(), source })?;
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
