//! The commands: what a person types, parsed and handed on.
//!
//! Enters: arguments. Leaves: a call into the other rooms, its answer on standard output, and an exit status.
//! What must never happen here: measuring, or an error that isn't handed to `main`.

mod agent;
mod args;
mod certs;
mod check;
mod compare;
mod complete;
mod diagnose;
mod elsewhere;
mod explain;
mod expose;
mod list;
mod listing;
pub mod log;
mod nats;
mod new;
mod places;
mod renewal;
mod report;
mod run;
mod serve;
mod signals;

use std::io::{self, Write};
use std::path::Path;

use clap::{ColorChoice, CommandFactory, FromArgMatches};
use tokio::runtime::{Builder, Runtime};

pub use agent::{AgentArgs, AgentsArgs};
pub use args::{
    CertsArgs, ChangeArgs, CheckArgs, ChildArgs, ChildRole, Cli, Command, CompareArgs, ReportArgs, ServeArgs,
};
pub use diagnose::DiagnoseArgs;
pub use elsewhere::ElsewhereArgs;
pub use explain::ExplainArgs;
pub use listing::{ListArgs, Listing};
pub use nats::NatsArgs;
pub use new::NewArgs;
pub use run::RunArgs;

use crate::agent::{AgentError, AgentStartError, SessionEnd};
use crate::broker::BrokerError;
use crate::browser;
use crate::certs::CertsError;
use crate::client::subscriber::{self, SubscriberError};
use crate::control::ControlError;
use crate::diagnose::DiagnoseError;
use crate::experiment::ExperimentError;
use crate::feed::LogError;
use crate::report::ReportError;
use crate::run::RunError;
use crate::server::child::{self, ChildError};
use crate::text::chain;
use crate::trial::journal::JournalError;
use crate::wire::{WireError, descriptors};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// All trials completed or were unsupported.
    Good = 0,
    /// A claim was refuted, under `--strict`; a diagnosis found something.
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

impl Cli {
    /// What this process was asked to do. Ends it where it was asked for help, or for nothing that there is.
    pub fn of_process() -> Self {
        let mut command = Self::command();
        // clap colours what it says on a machine that builds (`CI`), even where the terminal can't.
        if std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb") {
            command = command.color(ColorChoice::Never);
        }
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
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
    #[error("could not start the runtime")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Certs(#[from] CertsError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the ports from {base} to {} are needed; free them, or choose others with --port", base + 5)]
    Ports {
        /// The first of them.
        base: u16,
        /// Which one can't be had.
        source: WireError,
    },
    #[error(transparent)]
    Diagnose(#[from] DiagnoseError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Two names of one run, or of a run and its copy.
    #[error(
        "`{first}` and `{second}` are the same run, so that nothing can have changed; `latest` is the one that began last, now {latest}"
    )]
    SameRun {
        /// The one that was named.
        first: String,
        second: String,
        /// What `latest` means at the moment.
        latest: String,
    },
    /// Nothing of what was to be listed has such a name.
    #[error(
        "nothing there begins with `{wanted}`; {}",
        if near.is_empty() { "leave it out to see all".to_owned() } else { format!("there is {}", near.join(", ")) }
    )]
    NothingListed {
        wanted: String,
        /// Names that have it in them.
        near: Vec<String>,
    },
    #[error("there is no folder {}: make it first; what a command does says its `--help`", .0.display())]
    NoManualFolder(std::path::PathBuf),
    /// A new file would be in another's place.
    #[error("{} is there already; choose another name, or remove it first", .0.display())]
    Exists(std::path::PathBuf),
    /// A page or a table that was asked for.
    #[error("could not write {}", path.display())]
    Page { path: std::path::PathBuf, source: io::Error },
    /// A page that was to be looked at.
    #[error("could not open {}: open it in a browser by hand", path.display())]
    Open { path: std::path::PathBuf, source: io::Error },
    #[error(transparent)]
    AgentStart(#[from] AgentStartError),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Session(#[from] SessionEnd),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// A feed that is to be there from the beginning.
    #[error("the feed `{feed}` can't be had")]
    Feed { feed: String, source: LogError },
    #[error(transparent)]
    Server(#[from] ChildError),
    #[error(transparent)]
    Subscriber(#[from] SubscriberError),
}

impl CliError {
    /// What a person is told: a line for each thing that is wrong.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Experiments(errors) => errors.iter().map(|error| chain(error)).collect(),
            error => vec![chain(error)],
        }
    }

    /// The exit status that this error means.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Experiments(_)
            | Self::NothingListed { .. }
            | Self::NoManualFolder(_)
            | Self::Exists(_)
            | Self::SameRun { .. }
            | Self::Run(
                RunError::NoRun { .. }
                | RunError::Damaged { .. }
                | RunError::Bounds { .. }
                | RunError::Life(_)
                | RunError::Journal(JournalError::Line { .. } | JournalError::Version { .. }),
            ) => Exit::Usage,
            Self::Broker(error) if error.is_usage() => Exit::Usage,
            Self::Diagnose(error) if error.is_usage() => Exit::Usage,
            // A reader that has seen enough, such as `head`, is nobody's failure.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Good,
            _ => Exit::Lab,
        }
    }
}

/// Does what was asked; answers go to `out`.
pub fn run(cli: &Cli, out: &mut dyn Write) -> Result<Exit, CliError> {
    match &cli.command {
        Command::List(args) => list::list(args, out),
        Command::New(args) => new::new(args, out),
        Command::Check(args) => check::check(args, out),
        Command::Run(args) => {
            let experiments = run::load(args)?;
            threads()?.block_on(run::run(args, experiments, out))
        }
        Command::Serve(args) => threads()?.block_on(serve::serve(args, out)),
        Command::Diagnose(args) => {
            let runtime = threads()?;
            let exit = runtime.block_on(diagnose::diagnose(args, out));
            // A name that is still being resolved is waited for by nobody.
            end(runtime);
            exit
        }
        Command::Agent(args) => {
            let runtime = threads()?;
            let exit = runtime.block_on(agent::agent(args, out));
            end(runtime);
            exit
        }
        Command::Agents(args) => threads()?.block_on(agent::agents(args, out)),
        Command::Certs(args) => certs::certs(args, out),
        Command::Report(args) => report::report(args, out),
        Command::Compare(args) => compare::compare(args, out),
        Command::Explain(args) => explain::explain(args, out),
        Command::Man { dir } => manual(dir.as_deref(), out),
        Command::Child(args) => child_of_the_lab(*args),
    }
}

/// Prints the page of the program itself, or writes one for it and for each command.
fn manual(folder: Option<&Path>, out: &mut dyn Write) -> Result<Exit, CliError> {
    match folder {
        None => clap_mangen::Man::new(Cli::command()).render(out)?,
        Some(folder) if !folder.is_dir() => return Err(CliError::NoManualFolder(folder.to_owned())),
        Some(folder) => clap_mangen::generate_to(Cli::command(), folder)
            .map_err(|source| CliError::Page { path: folder.to_owned(), source })?,
    }
    Ok(Exit::Good)
}

/// How many tasks in a row run before the runtime looks at sockets and timers again: when thousands of readers are told
/// of an event, what they ask for next waits until most have been told.
const EVENT_INTERVAL: u32 = 1024;

/// Writes what was asked for to a file.
fn write_file(path: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text).map_err(|source| CliError::Page { path: path.to_owned(), source })
}

fn threads() -> Result<Runtime, CliError> {
    Builder::new_multi_thread().enable_all().event_interval(EVENT_INTERVAL).build().map_err(CliError::Runtime)
}

fn child_of_the_lab(args: ChildArgs) -> Result<Exit, CliError> {
    match args.role {
        ChildRole::Server => {
            descriptors::raise_descriptors();
            let runtime = threads()?;
            let ran = runtime.block_on(child::run(args.rig));
            end(runtime);
            ran?;
        }
        ChildRole::Native => {
            descriptors::raise_descriptors();
            let runtime = threads()?;
            let ran = runtime.block_on(subscriber::run(args.rig));
            end(runtime);
            ran?;
        }
        ChildRole::Browser => {
            // The browser ends with the thread that started it, which must be this one.
            let runtime = Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
            let status = runtime.block_on(browser::run_child());
            end(runtime);
            return Ok(if status == 0 { Exit::Good } else { Exit::Lab });
        }
    }
    Ok(Exit::Good)
}

/// Ends a runtime: a thread that still reads standard input, or resolves a name, would keep it from exiting.
fn end(runtime: Runtime) {
    runtime.shutdown_background();
}

/// A reader that has seen enough, such as `head`, takes nothing from what was done: that goes on, and its status counts.
pub fn wanted(written: Result<(), CliError>) -> Result<(), CliError> {
    match written {
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
