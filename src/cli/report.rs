//! `report`: rebuilds every derived file of a run from its journal, and the page of all runs.

use std::io::Write;
use std::path::Path;

use super::{CliError, Exit, ReportArgs, run, write_file};
use crate::broker::Broker;
use crate::report::{CSV, Look};
use crate::run::results;
use crate::run::{locate, take_in, write_index};
use crate::text::visible;

/// What agents said of this run after its lab was killed.
async fn take(args: &ReportArgs, folder: &Path) -> Result<Option<usize>, CliError> {
    let broker = Broker::connect(args.nats.at(&args.join, 1)).await?;
    Ok(take_in(folder, broker).await?)
}

pub(super) fn report(args: &ReportArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let mut page = None;
    if let Some(wanted) = &args.run {
        let folder = locate(&args.out, wanted)?;
        if !args.join.is_empty() {
            let taken = super::threads()?.block_on(take(args, &folder))?;
            let taken = taken.map_or("NATS has nothing more of this run".to_owned(), |n| {
                format!("{n} facts that agents saw were taken in")
            });
            writeln!(out, "{taken}\n")?;
        }
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
