//! What a shell completes to: the names that there are at that moment.
//!
//! `source <(COMPLETE=bash transport-lab)` in a shell's start-up file (zsh, fish, elvish, powershell likewise).

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap_complete::engine::CompletionCandidate;

use super::places;
use crate::client;
use crate::experiment::builtin;
use crate::experiment::schema::list_settings;
use crate::trial::kept::{self, KeptRun};

/// Experiments that can be run by name from here.
pub(super) fn experiments() -> Vec<CompletionCandidate> {
    let listed = builtin::list().into_iter();
    listed.map(|listed| CompletionCandidate::new(listed.name).help(Some(listed.question.into()))).collect()
}

/// Who can subscribe.
pub(super) fn clients() -> Vec<CompletionCandidate> {
    let clients = client::ALL.iter().map(|row| CompletionCandidate::new(row.name).help(Some(row.title.into())));
    clients.chain([CompletionCandidate::new(client::BROWSERS).help(Some("all of them".into()))]).collect()
}

/// Settings, up to where their levels begin.
pub(super) fn settings() -> Vec<CompletionCandidate> {
    let settings = list_settings("").into_iter().filter(|setting| !setting.name.contains("[]"));
    settings
        .map(|setting| CompletionCandidate::new(format!("{}=", setting.name)).help(Some(setting.kind.into())))
        .collect()
}

/// Runs that are kept where results are, unless `--out` says otherwise.
pub(super) fn runs() -> Vec<CompletionCandidate> {
    let out = std::env::var_os(places::RESULTS).map_or_else(places::results, PathBuf::from);
    let name = |run: KeptRun| run.folder.file_name().map(OsStr::to_owned);
    let runs = kept::runs(&out).into_iter().filter_map(name);
    [OsString::from("latest")].into_iter().chain(runs).map(CompletionCandidate::new).collect()
}
