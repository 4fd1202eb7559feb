//! The commands: what a person types, parsed and handed on.
//!
//! Enters: arguments. Leaves: a call into the other rooms, its answer on standard output, and an exit status.
//! What must never happen here: measuring, or an error that isn't handed to `main`.

mod args;
mod check;
mod list;

use std::io::{self, Write};

pub use args::{
    CertsArgs, ChangeArgs, CheckArgs, ChildArgs, ChildRole, Cli, Command, ListArgs, Listing, ReportArgs, RunArgs,
    ServeArgs,
};

use crate::experiment::ExperimentError;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All trials completed or were unsupported.
    Good = 0,
    /// A claim was refuted, under `--strict`.
    Refuted = 1,
    /// Bad usage, or a bad file.
    Usage = 2,
    /// Some trial failed or timed out.
    Failed = 3,
    /// The lab itself couldn't: a port, the disk, certificates.
    Lab = 4,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Experiments that can't be run, each in a line of its own.
    #[error("{}", .0.iter().map(|error| chain(error)).collect::<Vec<_>>().join("\n"))]
    Experiments(Vec<ExperimentError>),
    /// Standard output was closed or is full.
    #[error("could not write to standard output")]
    Output(#[from] io::Error),
    /// A child can't run without its runtime.
    #[error("could not start the runtime")]
    Runtime(#[source] io::Error),
    /// A command that this build doesn't have yet.
    #[error("`{0}` is not part of this build")]
    NotWired(&'static str),
}

impl CliError {
    /// The exit status that this error means.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Experiments(_) => Exit::Usage,
            // A reader that has seen enough, such as `head`, is nobody's failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Good,
            Self::Output(_) | Self::Runtime(_) | Self::NotWired(_) => Exit::Lab,
        }
    }
}

/// Does what was asked; answers go to `out`.
pub fn run(cli: &Cli, out: &mut dyn Write) -> Result<Exit, CliError> {
    match &cli.command {
        Command::List(args) => list::list(args, out),
        Command::Check(args) => check::check(args, out),
        // INTEGRATE: one arm for each command that needs the rest of the lab.
        Command::Run(_) => Err(CliError::NotWired("run")),
        Command::Serve(_) => Err(CliError::NotWired("serve")),
        Command::Certs(_) => Err(CliError::NotWired("certs")),
        Command::Report(_) => Err(CliError::NotWired("report")),
        Command::Child(ChildArgs { role: ChildRole::Browser }) => {
            // One thread: the kernel kills the browser when the thread that started it ends.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let status = runtime.map_err(CliError::Runtime)?.block_on(crate::experiment::cage::run_child());
            Ok(if status == 0 { Exit::Good } else { Exit::Lab })
        }
        Command::Child(_) => Err(CliError::NotWired("child")),
    }
}

/// An error and all that caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
