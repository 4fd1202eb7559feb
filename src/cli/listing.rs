//! `list`, as it is typed.

use clap::{Args, ValueEnum};

/// `list`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  transport-lab list clients
  transport-lab list transports         which client speaks which protocol?
  transport-lab list settings           every setting in a line
  transport-lab list settings workload.con
                                        all there is to say of those that begin so
  transport-lab list experiments --json")]
pub struct ListArgs {
    /// Of what.
    #[arg(value_enum)]
    pub what: Listing,
    /// Only what begins with this; settings are shown with all that there is to say of them.
    #[arg(value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// As a table in Markdown.
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Listing {
    /// Experiments that can be run by name.
    Experiments,
    /// Ways in which a feed reaches a reader, what they ride on, and which client speaks which.
    Transports,
    /// Who can subscribe, with version and path, or why it can't be used here.
    Clients,
    /// What can stand between client and server, with version and path, or why it can't be used here, and what it speaks.
    Intermediaries,
    /// Numbers that a claim can be about.
    Metrics,
    /// Networks that somebody has measured (`link.preset`): what they set, and where the values come from.
    Presets,
    /// What can be set for a trial, or vary: with defaults, bounds, and who reads it.
    Settings,
    /// What the lines of a journal can say (`observations.jsonl`), who says it, and with which fields.
    Facts,
    /// The values of a `summary.json` by their paths.
    Summary,
    /// The JSON schema of experiment files, for editors.
    Schema,
}
