//! What carried the trials, as tables: one for TCP and one for QUIC, a row for each that differs.

use super::Title;
use super::table::plain;
use crate::stats::Summary;
use crate::stats::versions::named;
use crate::trial::Plan;

/// A table of stacks that are on the same.
#[derive(Debug)]
pub(super) struct StackTable {
    /// `TCP` or `QUIC`.
    pub(super) over: &'static str,
    pub(super) heads: Vec<&'static str>,
    pub(super) rows: Vec<StackRow>,
}

/// One end's.
#[derive(Debug, PartialEq)]
pub(super) struct StackRow {
    /// `server`, or the client's name and version.
    pub(super) whose: String,
    pub(super) profile: &'static str,
    pub(super) values: Vec<String>,
    /// The protocols that it carried.
    pub(super) protocols: Vec<String>,
}

/// The tables of a run.
pub(super) fn stack_tables(plan: &Plan, summary: &Summary, title: Title<'_>) -> Vec<StackTable> {
    let mut tables: Vec<StackTable> = Vec::new();
    for trial in &summary.trials {
        let planned = plan.trials.iter().find(|planned| planned.trial == trial.trial);
        let (Some(stack), Some(planned)) = (&trial.stack, planned) else { continue };
        let protocol = trial.levels.get("protocol").map(plain).unwrap_or_default();
        for (end, stack) in stack.ends() {
            let whose = match end {
                "client" => named(&planned.settings.client, trial.client_version.as_deref(), title),
                end => end.to_owned(),
            };
            let (heads, values): (Vec<_>, Vec<_>) = stack.lines().into_iter().unzip();
            let at = tables.iter().position(|table| table.over == stack.over()).unwrap_or_else(|| {
                tables.push(StackTable { over: stack.over(), heads, rows: Vec::new() });
                tables.len() - 1
            });
            let (rows, profile) = (&mut tables[at].rows, planned.settings.stack.profile.word());
            let same = |row: &&mut StackRow| row.whose == whose && row.profile == profile && row.values == values;
            match rows.iter_mut().find(same) {
                Some(row) if row.protocols.contains(&protocol) => {}
                Some(row) => row.protocols.push(protocol.clone()),
                None => rows.push(StackRow { whose, profile, values, protocols: vec![protocol.clone()] }),
            }
        }
    }
    tables
}

/// `h2 0.4.20, hyper 1.12.0`: what speaks at the server.
pub(super) fn versions(summary: &Summary) -> Option<String> {
    let stack =
        summary.trials.iter().find_map(|trial| trial.stack.as_ref().filter(|stack| !stack.versions.is_empty()))?;
    let versions = stack.versions.iter().map(|(name, version)| format!("{name} {version}"));
    Some(versions.collect::<Vec<_>>().join(", "))
}
