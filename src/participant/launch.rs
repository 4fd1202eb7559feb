//! The start of a trial's end, a server or whichever client, on the machine that this process runs on.

use std::fs::File;
use std::path::Path;

use super::{Environment, Participant, Place, spawn};
use crate::browser::{BrowserError, BrowserProcess};
use crate::client::{Client, Found, Launch, LaunchContext};
use crate::control::{Control, ControlError};
use crate::trial::rig::Rig;
use crate::trial::{Down, TrialMessage};

/// What a client is started by, beside what its row says.
#[derive(Clone, Copy)]
pub struct ClientStart<'a> {
    /// This program, which plays the children.
    pub program: &'a Path,
    /// Where pages come from and report.
    pub control: &'a Control,
    /// Where its processes are to be.
    pub place: Place<'a>,
    /// How the client lies, if it does.
    pub rig: Option<Rig>,
}

/// Why a client did not start.
#[derive(Debug, thiserror::Error)]
pub enum LaunchFailure {
    #[error("the client could not be started")]
    Process(#[from] std::io::Error),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// A row whose command is a browser's at one time and a process's at another.
    #[error("a browser that is also a process")]
    Both,
}

/// Starts the client's process, with the page that is its own if it needs one, and tells it the trial. What it prints goes
/// to `log`; `environment` is what it finds there besides.
pub async fn launch(
    row: &Client,
    found: &Found,
    context: &mut LaunchContext<'_>,
    message: Box<TrialMessage>,
    start: ClientStart<'_>,
    (log, environment): (File, Environment),
) -> Result<Participant, LaunchFailure> {
    let place = start.place;
    // A process needs no page; its command is the same for any address.
    let client = match (row.command)(found, context) {
        Launch::Process(mut argv) => {
            if start.rig == Some(Rig::Capped) {
                argv.extend(["--rig".to_owned(), Rig::Capped.word()]);
            }
            Participant::client(&argv, log, place, environment)?
        }
        Launch::Program(argv) => Participant::program(&argv, log, place, environment)?,
        Launch::Browser(_) => {
            let carrier = start.control.open(*message, context.settings.workload.pages)?;
            context.url.clone_from(&carrier.url);
            let Launch::Browser(mut spec) = (row.command)(found, context) else { return Err(LaunchFailure::Both) };
            // It finds nothing else of this process's environment.
            spec.env.extend(environment.into_iter().map(|(name, path)| (name.to_owned(), path.display().to_string())));
            let browser = BrowserProcess::start_by(start.program, &spec, log, |command| spawn(command, place)).await?;
            return Ok(Participant::browser(carrier, browser));
        }
    };
    client.order(Down::Trial(message)).await;
    Ok(client)
}

/// Starts a server of the lab's own, and tells it the trial. What it prints goes to `log`; `environment` is what it finds
/// there besides.
pub async fn launch_server(
    program: &Path,
    message: Box<TrialMessage>,
    (place, rig): (Place<'_>, Option<Rig>),
    (log, environment): (File, Environment),
) -> std::io::Result<Participant> {
    let mut argv = vec![program.to_string_lossy().into_owned(), "child".into(), "server".into()];
    // Those are others' lies.
    if let Some(rig) = rig.filter(|rig| !matches!(rig, Rig::Capped | Rig::SlowLink)) {
        argv.extend(["--rig".to_owned(), rig.word()]);
    }
    let server = Participant::server(&argv, log, place, environment)?;
    server.order(Down::Trial(message)).await;
    Ok(server)
}
