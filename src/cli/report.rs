//! `report`: rebuilds every derived file of a run from its journal.

use std::io::Write;
use std::slice;

use super::{CliError, Exit, ReportArgs, run, write_file};
use crate::experiment::results;
use crate::experiment::run::locate;
use crate::report::csv;

/// Does it.
pub(super) fn report(args: &ReportArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let folder = locate(&args.out, &args.run)?;
    let results = results::derive(&folder)?;
    if let Some(path) = &args.csv {
        write_file(path, &csv(slice::from_ref(&results.summary))?)?;
    }
    run::print(&results, out)?;
    Ok(Exit::Good)
}
