//! `run`: experiments, one after another, with progress on standard error and the answer on standard output.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use console::Term;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

use super::{ChangeArgs, CliError, ElsewhereArgs, Exit, complete, places, signals, wanted, write_file};
use crate::client;
use crate::experiment::{Experiment, ExperimentError, Overrides, plan};
use crate::link;
use crate::report::{self, Look};
use crate::run::results::Results;
use crate::run::{NOT_ALLOWED, RunError};
use crate::run::{Progress, Ran, RunOptions, run as run_plan};
use crate::stats::Verdict;
use crate::text::visible;
use crate::trial::fact::Outcome;
use crate::trial::rig::Rig;
use crate::trial::{Plan, PlannedTrial};

/// `run`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  transport-lab run
  transport-lab run six-vs-hundred --client chromium,firefox --repeats 10
  transport-lab run --set server.max-concurrent-streams=10,100,unset --set protocol=sse/h2
  transport-lab run --set workload.hold=5s --open
  transport-lab run --client exec:clients/aioquic_client.py --allow-exec --set protocol=sse/h3
  transport-lab run --csv numbers.csv
  transport-lab run --json --strict > summary.json
  transport-lab run --agent ssh:eu-1=chromium --agent ssh:us-2=firefox --bind 192.0.2.7
  transport-lab run six-vs-hundred --server-agent ssh:eu-1=192.0.2.9
  sudo transport-lab run setup-cost --client native --capture      for Wireshark")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a person types, and none excludes another")]
pub struct RunArgs {
    /// Names (see `list experiments`) or paths of experiment files.
    #[arg(value_name = "EXPERIMENT", default_value = "six-vs-hundred", add = ArgValueCandidates::new(complete::experiments))]
    pub experiments: Vec<String>,
    /// Where the results go, a new folder for each run.
    #[arg(long, value_name = "DIR", env = places::RESULTS, default_value_os_t = places::results())]
    pub out: PathBuf,
    /// Where the lab's certificates are.
    #[arg(long, value_name = "DIR", env = places::CERTS, default_value_os_t = places::certs())]
    pub certs: PathBuf,
    /// Exit with 1 when a claim is refuted.
    #[arg(long)]
    pub strict: bool,
    /// Print the summary alone, as JSON.
    #[arg(long)]
    pub json: bool,
    /// Write every number of every trial to a table for spreadsheets, R and pandas, too.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Leave out the two short trials that tell what differences are noise here.
    #[arg(long)]
    pub no_calibration: bool,
    /// Write what each link carried to a file that Wireshark opens decrypted, and what QUIC did as qlog beside it. The
    /// times of such a run decide no claim.
    #[arg(long)]
    pub capture: bool,
    /// Open the report in a browser when it is done.
    #[arg(long)]
    pub open: bool,
    /// Allow clients that are programs of your own (`exec:PATH`): they run with all your rights.
    #[arg(long)]
    pub allow_exec: bool,
    /// Make one end lie, to see that the lab notices.
    #[arg(long, value_name = "WORD", value_enum)]
    pub rig: Option<Rig>,
    /// What changes the experiments.
    #[command(flatten)]
    pub change: ChangeArgs,
    /// Where else it runs.
    #[command(flatten)]
    pub elsewhere: ElsewhereArgs,
}

/// The narrowest table that is worth printing, and the width where there is no terminal.
const WIDTHS: (u16, u16) = (60, 100);

/// Reads the experiments that were asked for. Before any thread is started, as only then rights can be gained for a link.
pub(super) fn load(args: &RunArgs) -> Result<Vec<Experiment>, CliError> {
    let overrides = Overrides::from(&args.change);
    let (mut experiments, mut errors) = (Vec::new(), Vec::new());
    for name in &args.experiments {
        let loaded = Experiment::load(name, &overrides).and_then(|experiment| {
            match args.elsewhere.overrides(&experiment, overrides.clone()) {
                changed if changed == overrides => Ok(experiment),
                changed => Experiment::load(name, &changed),
            }
        });
        match loaded {
            Ok(experiment) => experiments.push(experiment),
            Err(wrong) => errors.extend(wrong),
        }
    }
    errors.extend(args.elsewhere.wrong());
    // Programs at agents are allowed, and looked for, there.
    if args.elsewhere.parts().is_empty() {
        errors.extend(experiments.iter().flat_map(|experiment| programs(experiment, args.allow_exec)));
    }
    if args.capture {
        errors.extend(experiments.iter().filter_map(without_link));
    }
    if !errors.is_empty() {
        return Err(CliError::Experiments(errors));
    }
    if experiments.iter().flat_map(|experiment| &experiment.combinations).any(|settings| settings.link.is_some()) {
        link::gain_rights();
    }
    Ok(experiments)
}

/// Runs them.
pub(super) async fn run(args: &RunArgs, experiments: Vec<Experiment>, out: &mut dyn Write) -> Result<Exit, CliError> {
    let interrupt = signals::interrupt();
    let (mut exit, mut kept, mut summaries) = (Exit::Good, Vec::new(), Vec::new());
    let several = experiments.len() > 1;
    if let Some(path) = &args.csv {
        // Where it can't be written is better known before than after; what is there stays until there is something new.
        let opened = File::options().append(true).create(true).open(path);
        opened.map_err(|source| CliError::Page { path: path.clone(), source })?;
    }
    for experiment in experiments {
        let plan = plan::plan(&experiment).map_err(RunError::from)?;
        let mut bar = Bar::new(&plan, interrupt.clone());
        let options = RunOptions {
            out: args.out.clone(),
            certs: args.certs.clone(),
            broker: args.elsewhere.broker().await?,
            agents: args.elsewhere.parts(),
            server_agents: args.elsewhere.server_parts(),
            bind: args.elsewhere.bind.clone(),
            hosts: args.elsewhere.hosts(),
            rig: args.rig,
            allow_exec: args.allow_exec,
            calibration: !args.no_calibration,
            capture: args.capture,
            interrupt: interrupt.clone(),
        };
        let ran = Box::pin(run_plan(&plan, &experiment.text, options, &mut bar)).await;
        bar.finish();
        let Ran { results, interrupted } = ran?;
        if let Some(path) = &args.csv {
            let all = kept.iter().chain([&results]).map(Results::contents).collect::<Vec<_>>();
            write_file(path, &(report::CSV.write)(&all, Look::PLAIN)?)?;
        }
        let printed = if args.json {
            let json = (report::JSON.write)(&[results.contents()], Look::PLAIN)?;
            write!(out, "{json}").map_err(CliError::from)
        } else {
            print(&results, args.csv.as_deref(), out)
        };
        wanted(printed)?;
        if args.capture && !args.json {
            wanted(tell_captures(&results, out))?;
        }
        if args.open
            && let Err(error) = open::that_detached(results.report())
        {
            bar.notice(&format!("could not open the report: {error}"));
        }
        if interrupted {
            return Ok(Exit::Interrupted);
        }
        exit = exit.max(judged(&results, args.strict));
        if several && !args.json {
            summaries.push(results.summary.clone());
        }
        if args.csv.is_some() {
            kept.push(results);
        }
    }
    if !summaries.is_empty() {
        wanted(write!(out, "\n{}", report::overview(&summaries, look())).map_err(CliError::from))?;
    }
    Ok(exit)
}

/// Prints a run's table, and where its report and the table for spreadsheets are.
pub(super) fn print(results: &Results, csv: Option<&Path>, out: &mut dyn Write) -> Result<(), CliError> {
    write!(out, "{}", (report::TERMINAL.write)(&[results.contents()], look())?)?;
    if results.cut_short {
        writeln!(out, "\nThe journal ends in the middle of a line: the lab was killed, or the disk was full.")?;
    }
    writeln!(out, "\nReport: {}", visible(&results.report().display().to_string()))?;
    if let Some(path) = csv {
        writeln!(out, "Table: {}", visible(&path.display().to_string()))?;
    }
    Ok(())
}

/// Says where captures are, and what to beware of.
fn tell_captures(results: &Results, out: &mut dyn Write) -> Result<(), CliError> {
    let files = results.folder.join("trials").join("*").join("trial.pcapng").display().to_string();
    Ok(writeln!(out, "Captures: {}, with the secrets that decrypt them", visible(&files))?)
}

/// What standard output can show.
pub(super) fn look() -> Look {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
    let width = said.or_else(|| Term::stdout().size_checked().map(|(_, columns)| columns));
    let width = width.map_or(WIDTHS.1, |columns: u16| columns.max(WIDTHS.0));
    Look { width, colour: console::colors_enabled() && std::io::stdout().is_terminal() }
}

/// What is wrong with the programs that an experiment would run: not allowed, or not there.
fn programs(experiment: &Experiment, allowed: bool) -> Vec<ExperimentError> {
    let clients: BTreeSet<&str> = experiment.combinations.iter().map(|settings| settings.client.as_str()).collect();
    let wrong = |client: &str| {
        let path = client::exec::path(client)?;
        let says = if allowed { client::exec::locate(path).err()?.to_string() } else { NOT_ALLOWED.to_owned() };
        Some(ExperimentError::Invalid { place: format!("client {client}"), says, span: None })
    };
    clients.into_iter().filter_map(wrong).collect()
}

/// What is wrong with an experiment of which nothing could be captured.
fn without_link(experiment: &Experiment) -> Option<ExperimentError> {
    experiment.combinations.iter().find(|settings| settings.link.is_none())?;
    let says = "`--capture` writes what a link carries, and this has trials without one: add a table [link], be it empty, \
                or `--set link.delay=0ms`";
    Some(ExperimentError::Invalid { place: experiment.name.clone(), says: says.to_owned(), span: None })
}

fn judged(results: &Results, strict: bool) -> Exit {
    let summary = &results.summary;
    let broken = |outcome| matches!(outcome, Outcome::Failed | Outcome::TimedOut);
    if summary.trials.iter().any(|trial| broken(trial.outcome)) {
        return Exit::Failed;
    }
    if strict && summary.claims.iter().any(|claim| claim.verdict == Verdict::Refuted) {
        return Exit::Refuted;
    }
    Exit::Good
}

/// Progress: a bar with the time left on a terminal, a line per trial elsewhere.
struct Bar {
    shown: ProgressBar,
    experiment: String,
    of: usize,
    done: usize,
    /// How the last trial ended.
    last: Option<Outcome>,
    begun: Instant,
    /// What all trials are expected to take, by the plan.
    expected: Duration,
    interrupt: watch::Receiver<bool>,
}

impl Bar {
    fn new(plan: &Plan, interrupt: watch::Receiver<bool>) -> Self {
        let bar = ProgressBar::new(plan.trials.len() as u64);
        let style = "{spinner} {prefix} {bar:18} {pos}/{len} {elapsed}  {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_prefix(visible(&plan.experiment).into_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        let expected = plan::expected_time(plan).duration();
        let mut this = Self {
            shown: bar,
            experiment: plan.experiment.clone(),
            of: plan.trials.len(),
            done: 0,
            begun: Instant::now(),
            expected,
            last: None,
            interrupt,
        };
        let trials = if this.of == 1 { "trial" } else { "trials" };
        this.notice(&format!(
            "{}: {} {trials}, about {} s. Ctrl-C ends early and reports what was finished.",
            plan.experiment,
            this.of,
            expected.as_secs().max(1)
        ));
        this
    }

    /// What is left: the plan's guess at first, what trials really took later on.
    fn left(&self) -> Duration {
        let spent = self.begun.elapsed();
        let done = self.done as f64 / self.of.max(1) as f64;
        let by_plan = self.expected.saturating_sub(spent);
        if self.done == 0 {
            return by_plan;
        }
        let by_pace = spent.mul_f64((1.0 - done) / done);
        by_plan.mul_f64(1.0 - done) + by_pace.mul_f64(done)
    }

    fn finish(&self) {
        self.shown.finish_and_clear();
    }
}

impl Progress for Bar {
    fn notice(&mut self, text: &str) {
        let text = visible(text);
        if self.shown.is_hidden() {
            // Nothing is left to do when standard error is closed.
            let _ = writeln!(std::io::stderr(), "{text}");
        } else {
            self.shown.println(&text);
        }
    }

    fn begin(&mut self, planned: &PlannedTrial) {
        let last = self.last.map(|outcome| format!(", the last {}", outcome.word())).unwrap_or_default();
        self.shown.set_message(format!("{}  (about {} left{last})", visible(&name(planned)), clock(self.left())));
    }

    fn end(&mut self, planned: &PlannedTrial, outcome: Outcome, reason: Option<&str>) {
        self.done += 1;
        self.last = Some(outcome);
        self.shown.inc(1);
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        if self.shown.is_hidden() {
            let (done, of, name) = (self.done, self.of, name(planned));
            let [spent, left] = [self.begun.elapsed(), self.left()].map(clock);
            let times = if done < of { format!("  ({spent}, about {left} left)") } else { format!("  ({spent})") };
            self.notice(&format!("{} [{done}/{of}] {name}: {}{reason}{times}", self.experiment, outcome.word()));
        } else if outcome != Outcome::Completed && !*self.interrupt.borrow() {
            self.notice(&format!("{}: {}{reason}", name(planned), outcome.word()));
        }
    }
}

/// `9 s`, `12 min 5 s`.
fn clock(time: Duration) -> String {
    match (time.as_secs() / 60, time.as_secs() % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

/// The trial as a person reads it: its client and protocol, then what else varies.
fn name(planned: &PlannedTrial) -> String {
    let settings = &planned.settings;
    let mut text = format!("{} {}", settings.client, settings.protocol);
    for (factor, level) in &planned.levels {
        if !matches!(factor.as_str(), "client" | "protocol") && !level.is_null() {
            let level = level.as_str().map_or_else(|| level.to_string(), str::to_owned);
            text = format!("{text} {factor}={level}");
        }
    }
    if planned.repeat > 0 { format!("{text} (repeat {})", planned.repeat + 1) } else { text }
}
