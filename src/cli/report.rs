//! `report`: rebuilds every derived file of a run from its journal.

use std::io::Write;

use super::{CliError, Exit, ReportArgs, run, write_file};
use crate::report::{CSV, Look};
use crate::run::locate;
use crate::run::results;

pub(super) fn report(args: &ReportArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let folder = locate(&args.out, &args.run)?;
    let results = results::derive(&folder)?;
    if let Some(path) = &args.csv {
        write_file(path, &(CSV.write)(&[results.contents()], Look::PLAIN)?)?;
    }
    run::print(&results, args.csv.as_deref(), out)?;
    Ok(Exit::Good)
}
