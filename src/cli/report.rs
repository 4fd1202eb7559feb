//! `report`: rebuilds every derived file of a run from its journal, and the page of all runs.

use std::io::Write;

use super::{CliError, Exit, ReportArgs, run, write_file};
use crate::report::{CSV, Look};
use crate::run::results;
use crate::run::{locate, write_index};
use crate::text::visible;

pub(super) fn report(args: &ReportArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let mut page = None;
    if let Some(wanted) = &args.run {
        let folder = locate(&args.out, wanted)?;
        let results = results::derive(&folder)?;
        if let Some(path) = &args.csv {
            write_file(path, &(CSV.write)(&[results.contents()], Look::PLAIN)?)?;
        }
        run::print(&results, args.csv.as_deref(), out)?;
        page = Some(results.report());
    }
    if args.index {
        let index = write_index(&args.out)?;
        writeln!(out, "Runs: {}", visible(&index.display().to_string()))?;
        page = page.or(Some(index));
    }
    if let Some(page) = page.filter(|_| args.open) {
        open::that_detached(&page).map_err(|source| CliError::Open { path: page, source })?;
    }
    Ok(Exit::Good)
}
