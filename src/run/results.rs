//! A run's folder: what is written before, while and after the trials run, and how it is found again.

use std::io::Write;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::macros::format_description;

use super::lab::make;
use super::{RunError, calibrate};
use crate::client;
use crate::experiment::assign::{self, AskedServer};
use crate::experiment::{plan, validate};
use crate::report::{self, Contents, Look, Machine};
use crate::stats::explain::{EventLife, LifeRequest};
use crate::stats::{self, Calibration, Summary, TrialLanes};
use crate::trial::journal::{self, Readback};
use crate::trial::kept::{self, MACHINE, PLAN};
use crate::trial::{JournalLine, Plan, PlannedTrial, SubscriptionPlan};

/// The journal's name in the folder.
pub(super) const JOURNAL: &str = "observations.jsonl";
/// The summary's.
pub(super) const SUMMARY: &str = "summary.json";
const CALIBRATION: &str = "calibration.json";

/// What a run came to.
#[derive(Debug)]
pub struct Results {
    /// Its folder.
    pub folder: PathBuf,
    /// What was planned.
    pub plan: Plan,
    /// What was found.
    pub summary: Summary,
    /// What it was measured on.
    pub machine: Machine,
    /// Which stream was on which connection; where only the summary was wanted, none.
    pub lanes: Vec<TrialLanes>,
    /// What the machine could tell; likewise.
    pub calibration: Option<Calibration>,
    /// Whether the journal's last line was cut short: the lab was killed, or the disk was full.
    pub cut_short: bool,
}

impl Results {
    pub fn report(&self) -> PathBuf {
        self.folder.join(report::HTML.file.unwrap_or_default())
    }

    /// What is shown of it.
    pub fn contents(&self) -> Contents<'_> {
        let Self { plan, summary, lanes, machine, calibration, .. } = self;
        Contents { plan, summary, lanes, machine, calibration: calibration.as_ref(), title: &title }
    }

    /// The folder's name.
    pub fn name(&self) -> String {
        self.folder.file_name().map_or_else(|| self.folder.display().to_string(), |name| name.to_string_lossy().into())
    }
}

/// Makes the folder `<UTC>-<experiment>`, with a number behind it when another run took that name, and writes
/// what is known beforehand.
pub(super) fn create(out: &Path, plan: &Plan, text: &str, machine: &Machine) -> Result<PathBuf, RunError> {
    make(out)?;
    let stamp = format_description!("[year][month][day]T[hour][minute][second]Z");
    let now = OffsetDateTime::now_utc().format(stamp).unwrap_or_default();
    let name = format!("{now}-{}", plan.experiment);
    let folder = (1..=1000).find_map(|n| {
        let path = out.join(if n == 1 { name.clone() } else { format!("{name}-{n}") });
        match std::fs::create_dir(&path) {
            Ok(()) => Some(Ok(path)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => None,
            Err(source) => Some(Err(RunError::Folder { operation: "create", path, source })),
        }
    });
    let folder = folder.unwrap_or_else(|| {
        let source = std::io::ErrorKind::AlreadyExists.into();
        Err(RunError::Folder { operation: "create", path: out.join(&name), source })
    })?;
    write(&folder.join("experiment.toml"), text.as_bytes())?;
    write(&folder.join(PLAN), &json(plan))?;
    write(&folder.join(MACHINE), &json(machine))?;
    Ok(folder)
}

/// Computes everything that derives from plan, machine and journal, and writes it in every format that a run is kept in.
pub fn derive(folder: &Path) -> Result<Results, RunError> {
    let (mut results, journal) = compute(folder)?;
    results.lanes = stats::lanes(&results.plan, &journal, &asked);
    let calibration = calibration(folder, &results.plan, &results.machine, &journal)?;
    write(&folder.join(CALIBRATION), &json(&calibration))?;
    results.calibration = Some(calibration);
    for (file, format) in report::FORMATS.iter().filter_map(|format| Some((format.file?, format))) {
        write(&folder.join(file), (format.write)(&[results.contents()], Look::PLAIN)?.as_bytes())?;
    }
    Ok(results)
}

/// Computes the summary of a run, and leaves its folder as it is.
pub fn load(folder: &Path) -> Result<Results, RunError> {
    compute(folder).map(|(results, _)| results)
}

/// Tells one event's life, and leaves the run's folder as it is.
pub fn explain(folder: &Path, request: &LifeRequest) -> Result<EventLife, RunError> {
    Ok(stats::explain::explain(&planned(folder)?, &journal::read(&folder.join(JOURNAL))?.lines, request)?)
}

fn planned(folder: &Path) -> Result<Plan, RunError> {
    let mut plan: Plan = read(&folder.join(PLAN))?;
    plan::bring_up_to_date(&mut plan);
    validate::check_plan(&plan).map_err(|source| RunError::Bounds { path: folder.join(PLAN), source })?;
    Ok(plan)
}

fn compute(folder: &Path) -> Result<(Results, Vec<JournalLine>), RunError> {
    let plan = planned(folder)?;
    let machine: Machine = read(&folder.join(MACHINE))?;
    let Readback { lines, cut_short } = journal::read(&folder.join(JOURNAL))?;
    let summary = stats::summarise(&plan, &lines);
    // `.` has no name; the folder that it is has one.
    let folder =
        folder.canonicalize().ok().filter(|_| folder.file_name().is_none()).unwrap_or_else(|| folder.to_owned());
    let (lanes, calibration) = (Vec::new(), None);
    Ok((Results { folder, plan, summary, machine, lanes, calibration, cut_short }, lines))
}

/// What was found out about the machine so far; of the run, these are the observations.
pub(super) fn calibration(
    folder: &Path,
    plan: &Plan,
    machine: &Machine,
    journal: &[JournalLine],
) -> Result<Calibration, RunError> {
    let path = folder.join(calibrate::JOURNAL);
    // A run may have left it out.
    let calibrated = if path.is_file() { journal::read(&path)?.lines } else { Vec::new() };
    Ok(stats::calibrate(machine.idle, &calibrate::twins(plan), &calibrated, plan, journal))
}

/// What a trial's subscriptions asked for. Which number a port had is not known any more; which of them it was is.
fn asked(planned: &PlannedTrial) -> Vec<SubscriptionPlan> {
    let each = u16::try_from(planned.settings.workload.ports.max(1)).unwrap_or(u16::MAX);
    let servers = u16::try_from(planned.settings.servers()).unwrap_or(1);
    let hosts = assign::hosts(&planned.settings.workload);
    let ports = |server: u16| (1..=each).map(|port| server.saturating_mul(each).saturating_add(port)).collect();
    let server = |server: u16| AskedServer { hosts: hosts.clone(), ports: ports(server) };
    let servers: Vec<_> = (0..servers).map(server).collect();
    assign::assign(&planned.settings, planned.trial, planned.seed, 1, &servers)
}

/// How a client is called where a person reads it.
pub fn title(name: &str) -> String {
    client::title(name)
}

/// `latest` (the run in `out` that began last), a folder, or a folder's name within `out`.
pub(super) fn locate(out: &Path, run: &str) -> Result<PathBuf, RunError> {
    if run == "latest" {
        let newest = kept::runs(out).into_iter().next();
        return newest
            .map(|run| run.folder)
            .ok_or_else(|| RunError::NoRun { wanted: run.to_owned(), out: out.to_owned() });
    }
    [PathBuf::from(run), out.join(run)]
        .into_iter()
        .find(|path| path.join(PLAN).is_file())
        .ok_or_else(|| RunError::NoRun { wanted: run.to_owned(), out: out.to_owned() })
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, RunError> {
    let text =
        std::fs::read(path).map_err(|source| RunError::Folder { operation: "read", path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| RunError::Damaged { path: path.to_owned(), source })
}

/// Writes a file whole or not at all: beside it first, then in its place.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let failed = |source| RunError::Folder { operation: "write", path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".writing-").tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    // Results are for anyone who may read the folder, unlike what a temporary file usually is.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}
