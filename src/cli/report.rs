//! `report`: rebuilds every derived file of a run from its journal.

use std::io::Write;

use super::{CliError, Exit, ReportArgs, run};
use crate::experiment::results;
use crate::experiment::run::locate;

/// Does it.
pub(super) fn report(args: &ReportArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let folder = locate(&args.out, &args.run)?;
    let results = results::derive(&folder)?;
    if let Some(path) = &args.csv {
        run::write_csv(path, &[&results.summary])?;
    }
    run::print(&results, out)?;
    Ok(Exit::Good)
}
