//! The words of the command line.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;

use super::agent::{AgentArgs, AgentsArgs};
use super::diagnose::DiagnoseArgs;
use super::explain::ExplainArgs;
use super::listing::ListArgs;
use super::nats::NatsArgs;
use super::new::NewArgs;
use super::run::RunArgs;
use super::{complete, places};
use crate::admission::{Origin, OriginError};
use crate::experiment::Overrides;
use crate::trial::rig::Rig;
use crate::units::Settable;

/// Seeds stay below 2^53, so that JavaScript keeps them exactly.
const SEEDS: std::ops::Range<u64> = 0..1 << 53;

const EXAMPLES: &str = "\
Examples:
  transport-lab run                     how many streams does each browser hold open?
  transport-lab run --client firefox --repeats 5
  transport-lab run my.toml --set workload.subscribers=10,100
  transport-lab list clients            which browsers are here?
  transport-lab check experiments/*.toml
  transport-lab serve                   every protocol, for your own clients

Exit status:
    0  all trials completed or were unsupported
    1  a claim was refuted, under --strict, or a diagnosis found something
    2  bad usage or a bad file
    3  some trial failed or timed out
    4  the lab itself couldn't: a port, the disk, certificates
  130  interrupted";

/// A laboratory for web transports: real servers, real browsers, honest numbers.
///
/// It serves feeds of events over every transport that it knows and every HTTP version, lets native clients and
/// real browsers subscribe, and reports what was measured next to what is commonly claimed.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "transport-lab", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run experiments, and report what was measured next to what is claimed.
    Run(RunArgs),
    /// Serve every protocol on fixed ports, for a person's own clients and browsers.
    Serve(ServeArgs),
    /// Take part in trials of a lab on another machine.
    Agent(AgentArgs),
    /// List the agents that there are, and what each has.
    Agents(AgentsArgs),
    /// Find out what would lose or delay events at anybody's address.
    Diagnose(DiagnoseArgs),
    /// Make or renew the lab's certificates, and print their fingerprints.
    Certs(CertsArgs),
    /// List what there is: experiments, transports, clients, intermediaries, metrics, settings, and what a run's files say.
    List(ListArgs),
    /// Write an experiment file to start from.
    New(NewArgs),
    /// Check experiments without running them: every trial is planned, none is started.
    Check(CheckArgs),
    /// Rebuild every derived file of a run from its journal.
    Report(ReportArgs),
    /// Say what changed between two runs.
    Compare(CompareArgs),
    /// Tell one event's life: when it was due, what became of it on the way, and when it was received.
    Explain(ExplainArgs),
    /// Print the manual page, or write those of all commands to a folder.
    #[command(after_help = "\
Examples:
  transport-lab man | man -l -
  transport-lab man ~/.local/share/man/man1")]
    Man {
        /// The folder; it must exist.
        dir: Option<PathBuf>,
    },
    /// One end of a trial. The lab starts these itself.
    #[command(hide = true)]
    Child(ChildArgs),
}

/// What changes an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
#[command(next_help_heading = "Changing the experiment")]
pub struct ChangeArgs {
    /// Use these clients instead of the experiment's: native, chromium, firefox, webkit, browsers (all of them), exec:PATH.
    #[arg(long, value_name = "NAME", value_delimiter = ',', add = ArgValueCandidates::new(complete::clients))]
    pub client: Vec<String>,
    /// Replace the setting or factor of that name; several levels make it a factor. May be given several times.
    #[arg(long, value_name = "SETTING=LEVEL[,LEVEL…]", add = ArgValueCandidates::new(complete::settings))]
    pub set: Vec<String>,
    /// How often each combination of levels is run, 1 to 1000.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=1000))]
    pub repeats: Option<u32>,
    /// The seed of everything that is drawn.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(SEEDS))]
    pub seed: Option<u64>,
    /// Use the wider factors of the experiment's `[full]` table.
    #[arg(long)]
    pub full: bool,
}

impl From<&ChangeArgs> for Overrides {
    fn from(args: &ChangeArgs) -> Self {
        let ChangeArgs { client, set, repeats, seed, full } = args.clone();
        Self { clients: client, set, repeats, seed, full }
    }
}

/// `serve`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  transport-lab serve
  transport-lab serve --port 9000 --max-concurrent-streams 10
  transport-lab serve --allow-origin https://app.example:3000
  transport-lab serve --expose --host lab.example      for a phone in the same network
  transport-lab serve --feeds nats://10.0.0.7:4222     one of several servers with the same feeds
  curl --cacert certs/ca.pem 'https://localhost:8441/feeds/news/sse'
  curl --cacert certs/ca.pem --data 'hello' https://localhost:8441/feeds/news")]
pub struct ServeArgs {
    /// The first of six ports.
    #[arg(long, value_name = "PORT", default_value_t = 8440,
          value_parser = clap::value_parser!(u16).range(1..=65_530))]
    pub port: u16,
    /// The streams that one HTTP/2 or HTTP/3 connection may hold open, or `unset` (HTTP/2 only).
    #[arg(long, value_name = "N|unset", default_value = "100", value_parser = settable)]
    pub max_concurrent_streams: Settable<u32>,
    /// Where the lab's certificates are.
    #[arg(long, value_name = "DIR", env = places::CERTS, default_value_os_t = places::certs())]
    pub certs: PathBuf,
    /// Let pages of this origin read and write; may be given several times.
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub allow_origin: Vec<String>,
    /// Where measurements from the lab page are kept, a new folder for each.
    #[arg(long, value_name = "DIR", env = places::RESULTS, default_value_os_t = places::results())]
    pub out: PathBuf,
    /// Let other machines in, by a URL with a token that is printed, as a QR code too.
    #[arg(long)]
    pub expose: bool,
    /// A name or address of this machine for other machines; may be given several times. Without one: all its
    /// addresses.
    #[arg(long, value_name = "NAME", requires = "expose")]
    pub host: Vec<String>,
    /// Keep the logs of feeds in NATS JetStream, so that all servers that do so have the same feeds, and a reader that was
    /// cut off at one goes on at another. Addresses of its nodes, `nats://HOST:4222` or `tls://HOST:4222`, without a password.
    /// Without it, feeds are kept in memory. When NATS is away nothing can be published (503); readers stay.
    #[arg(long, value_name = "URL", value_delimiter = ',', help_heading = "NATS")]
    pub feeds: Vec<String>,
    /// How many nodes of NATS keep each log: 1, or 3 of a cluster.
    #[arg(long, value_name = "N", default_value = "1", help_heading = "NATS", requires = "feeds",
          value_parser = super::nats::replicas)]
    pub replicas: usize,
    /// What surrounds the addresses.
    #[command(flatten)]
    pub nats: NatsArgs,
}

/// `certs`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  transport-lab certs
  transport-lab certs --host lab.test --host 192.168.1.10")]
pub struct CertsArgs {
    /// Where the certificates are.
    #[arg(long, value_name = "DIR", env = places::CERTS, default_value_os_t = places::certs())]
    pub certs: PathBuf,
    /// A further host or address that the certificate is for; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
}

/// `check`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  transport-lab check experiments/*.toml
  transport-lab check six-vs-hundred --set workload.subscribers=10,100")]
pub struct CheckArgs {
    /// Names (see `list experiments`) or paths of experiment files.
    #[arg(value_name = "FILE", required = true, add = ArgValueCandidates::new(complete::experiments))]
    pub files: Vec<String>,
    /// What changes the experiments.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `report`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  transport-lab report latest
  transport-lab report latest --csv numbers.csv
  transport-lab report latest --open
  transport-lab report --index --open   all runs, with their verdicts
  transport-lab report latest --join nats://nats.example:4222
                                        after its lab was killed: what agents saw
  transport-lab report results/20260131T120000Z-six-vs-hundred")]
pub struct ReportArgs {
    /// A run's folder, its name below --out, or `latest`.
    #[arg(value_name = "RUN|latest", required_unless_present = "index", add = ArgValueCandidates::new(complete::runs))]
    pub run: Option<String>,
    /// Where the results are.
    #[arg(long, value_name = "DIR", env = places::RESULTS, default_value_os_t = places::results())]
    pub out: PathBuf,
    /// Take in what agents said of the run after its lab was killed, from the stream that NATS has kept of it:
    /// `nats://HOST:4222` or `tls://HOST:4222`, several separated by commas.
    #[arg(long, value_name = "URL", value_delimiter = ',', requires = "run")]
    pub join: Vec<String>,
    /// What surrounds that.
    #[command(flatten)]
    pub nats: NatsArgs,
    /// Write every number of every trial to a table for spreadsheets, R and pandas, too.
    #[arg(long, value_name = "FILE", requires = "run")]
    pub csv: Option<PathBuf>,
    /// Write a page of all runs below --out, with their verdicts and what changed since the run before.
    #[arg(long)]
    pub index: bool,
    /// Open the report, or the page of all runs, in a browser.
    #[arg(long)]
    pub open: bool,
}

/// `compare`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  transport-lab compare 20260131T120000Z-six-vs-hundred latest
  transport-lab compare results/before results/after --html changes.html
  transport-lab compare before after --json > changes.json")]
pub struct CompareArgs {
    /// A run's folder, its name below --out, or `latest`.
    #[arg(value_name = "RUN|latest", add = ArgValueCandidates::new(complete::runs))]
    pub first: String,
    /// The run to hold against it.
    #[arg(value_name = "RUN|latest", add = ArgValueCandidates::new(complete::runs))]
    pub second: String,
    /// Where the results are.
    #[arg(long, value_name = "DIR", env = places::RESULTS, default_value_os_t = places::results())]
    pub out: PathBuf,
    /// Print the comparison as JSON.
    #[arg(long)]
    pub json: bool,
    /// Write the comparison as a page, too.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// `child`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct ChildArgs {
    /// Which end.
    #[arg(value_enum)]
    pub role: ChildRole,
    /// How it lies, if it does.
    #[arg(long, value_name = "WORD", value_enum)]
    pub rig: Option<Rig>,
}

/// What a child process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChildRole {
    /// The server under test.
    Server,
    /// The native client.
    Native,
    /// A browser's supervisor.
    Browser,
}

/// Neither a number nor the word for none.
#[derive(Debug, thiserror::Error)]
#[error("write a whole number, or `unset`")]
struct NotSettable;

fn settable(text: &str) -> Result<Settable<u32>, NotSettable> {
    match text {
        "unset" => Ok(Settable::Unset),
        _ => text.parse().map(Settable::Set).map_err(|_| NotSettable),
    }
}

/// An origin, in the form that browsers send (RFC 6454 section 6.2).
fn origin(text: &str) -> Result<String, OriginError> {
    Origin::parse(text).map(|origin| origin.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command, clap::Error> {
        Cli::try_parse_from([&["transport-lab"], arguments].concat()).map(|cli| cli.command)
    }

    #[track_caller]
    fn refused(arguments: &[&str]) -> String {
        let error = parsed(arguments).unwrap_err();
        assert_eq!(error.exit_code(), 2, "bad usage");
        error.to_string()
    }

    #[test]
    fn the_words_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_alone_is_six_vs_hundred() {
        let Command::Run(args) = parsed(&["run"]).unwrap() else { panic!("not run") };
        assert_eq!(args.experiments, ["six-vs-hundred"]);
        assert_eq!((args.out, args.certs), ("results".into(), "certs".into()));
        assert_eq!(Overrides::from(&args.change), Overrides::default());
    }

    #[test]
    fn what_changes_an_experiment_arrives_as_it_was_written() {
        let arguments = ["run", "a", "b.toml", "--client", "native,firefox", "--client", "webkit", "--set", "x=1,2"];
        let Command::Run(args) =
            parsed(&[&arguments[..], &["--repeats", "3", "--rig", "wrong-alpn"]].concat()).unwrap()
        else {
            panic!("not run")
        };
        assert_eq!((args.experiments.len(), args.rig), (2, Some(Rig::WrongAlpn)));
        let changes = Overrides::from(&args.change);
        assert_eq!(changes.clients, ["native", "firefox", "webkit"]);
        assert_eq!(changes.set, ["x=1,2"], "levels are split where their types are known");
        assert_eq!(changes.repeats, Some(3));
    }

    #[test]
    fn a_wrong_word_is_refused_with_the_right_ones() {
        assert!(refused(&["rum"]).contains("'run'"), "the nearest command");
        assert!(refused(&["run", "--clinet", "a"]).contains("'--client'"));
        assert!(refused(&["run", "--repeats", "0"]).contains("1..=1000"));
        assert!(refused(&["run", "--seed", "9007199254740992"]).contains("9007199254740992 is not in"));
        assert!(refused(&["run", "--rig", "lie"]).contains("[possible values: drop, repeat, reorder, corrupt,"));
        assert!(refused(&["serve", "--port", "65531"]).contains("65531 is not in 1..=65530"));
        assert!(refused(&["serve", "--max-concurrent-streams", "many"]).contains("a whole number, or `unset`"));
        assert!(refused(&["serve", "--allow-origin", "*"]).contains("write an origin"));
        assert!(refused(&["serve", "--allow-origin", "https://a/b"]).contains("write an origin"));
        assert!(refused(&["serve", "--allow-origin", "https://app.example?x"]).contains("write an origin"));
        assert!(refused(&["list", "things"]).contains(
            "[possible values: experiments, transports, clients, intermediaries, metrics, presets, settings, facts, \
             summary, schema]"
        ));
        assert!(refused(&["check"]).contains("<FILE>..."));
        assert!(refused(&["compare", "latest"]).contains("<RUN|latest>"));
        assert!(refused(&["report"]).contains("<RUN|latest>"));
    }

    #[test]
    fn every_command_that_a_person_types_has_help_with_examples() {
        let mut cli = Cli::command();
        cli.build();
        assert!(cli.render_long_help().to_string().contains("Exit status:"));
        for command in cli.get_subcommands_mut() {
            if !command.is_hide_set() && command.get_name() != "help" {
                let help = command.render_help().to_string();
                assert!(help.contains(&format!("Examples:\n  transport-lab {}", command.get_name())), "{help}");
            }
        }
        assert!(!cli.render_help().to_string().contains("child"), "what only the lab types is hidden");
    }
}
