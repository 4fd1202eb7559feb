//! One end of a trial at an agent: started by the code that starts it at the lab, and passed on word by word.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::machine::AgentRig;
use super::message::{AgentSaid, EndStart};
use crate::browser::owned_folder;
use crate::certs::{OwnKey, base64};
use crate::client::{self, Found, LaunchContext};
use crate::control::{Control, ControlConfig};
use crate::participant::{ClientStart, Participant, ParticipantMessage, launch};
use crate::text::chain;
use crate::trial::ledger::Ledger;
use crate::trial::{Alpn, ClientFact, Down, Fact, Observation, Role, Unsupported, Up};
use crate::wire::listen::loopback;
use crate::wire::tls;

/// How much of what an end printed is passed on, in bytes from its end.
const LOG_TAIL: u64 = 64 * 1024;
/// How long an end may take to say what it kept back, where nobody gives orders any more.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What all ends of a session at an agent share.
#[derive(Debug)]
pub(super) struct EndKit {
    pub(super) allow_exec: bool,
    pub(super) rig: Option<AgentRig>,
    pub(super) key: OwnKey,
    /// This program, which plays the children.
    pub(super) program: PathBuf,
}

/// What is asked of an end.
#[derive(Debug)]
pub(super) enum EndOrder {
    Say(Down),
    Kill,
    Finish,
}

/// Why an end could not be started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    #[error("no folder for it")]
    Folder(#[source] io::Error),
    #[error(transparent)]
    Launch(#[from] crate::participant::LaunchFailure),
}

/// Why the agent has no origin of its own.
#[derive(Debug, thiserror::Error)]
pub(super) enum OwnOriginError {
    #[error("the certificate for it can't be read")]
    Certificate,
    #[error(transparent)]
    Wire(#[from] crate::wire::WireError),
    #[error(transparent)]
    Control(#[from] crate::control::ControlError),
}

/// Runs one from its start to its end. Once nobody can give orders any more, it is told to stop, says what it kept back,
/// and is ended.
pub(super) async fn run(
    start: EndStart,
    kit: Arc<EndKit>,
    control: Arc<Control>,
    mut orders: mpsc::Receiver<EndOrder>,
    out: mpsc::Sender<AgentSaid>,
) {
    let (end, trial) = (start.end, start.message.trial);
    let begun = match owned_folder().map_err(StartError::Folder) {
        Ok(folder) => begin(start, &kit, &control, &folder).await.map(|running| (running, folder)),
        Err(error) => Err(error),
    };
    let ((mut participant, version), folder) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            let reason = chain(&error);
            let _ = out
                .send(match error {
                    StartError::Unsupported(_) => AgentSaid::Unsupported { end, reason },
                    _ => AgentSaid::NotStarted { end, reason },
                })
                .await;
            return;
        }
    };
    let (pid, page) = (participant.pid(), participant.is_page());
    let _ = out.send(AgentSaid::Started { end, trial, pid, version, page }).await;
    let mut voice = Voice { end, out, withholds: kit.rig == Some(AgentRig::MissingFact) };
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(EndOrder::Say(line)) => participant.order(line).await,
                Some(EndOrder::Kill) => participant.kill(),
                Some(EndOrder::Finish) => break,
                None => {
                    let _ = timeout(LAST_WORDS, voice.last_words(&mut participant)).await;
                    break;
                }
            },
            heard = participant.hear() => {
                voice.pass(heard).await;
            }
        }
    }
    let status = participant.finish().await;
    let log = tail(&log_path(folder.path())).unwrap_or_default();
    // Whoever reads that it has ended finds nothing of it.
    drop(folder);
    let _ = voice.out.send(AgentSaid::Ended { end, status, log }).await;
}

/// Passes on what an end says.
struct Voice {
    end: u32,
    out: mpsc::Sender<AgentSaid>,
    /// Whether the next fact stays here.
    withholds: bool,
}

impl Voice {
    /// Passes this on; whether it was the last.
    async fn pass(&mut self, heard: ParticipantMessage) -> bool {
        let end = self.end;
        let said = match heard {
            ParticipantMessage::Said(line) => match of_client(line) {
                Some(Up::Saw(_)) if std::mem::take(&mut self.withholds) => return false,
                Some(line) => AgentSaid::Said { end, line },
                None => return false,
            },
            ParticipantMessage::Garbled(error) => AgentSaid::Garbled { end, how: error.to_string() },
            ParticipantMessage::Exited(status) => AgentSaid::Exited { end, status },
            // No command is run beside a client, and nothing here is on yet another machine.
            ParticipantMessage::Ran(_) | ParticipantMessage::Lost(_) => return false,
        };
        let last =
            !matches!(&said, AgentSaid::Said { line, .. } if !matches!(line, Up::Done { .. } | Up::Failed { .. }));
        let _ = self.out.send(said).await;
        last
    }

    async fn last_words(&mut self, participant: &mut Participant) {
        participant.order(Down::Stop).await;
        loop {
            let heard = participant.hear().await;
            if self.pass(heard).await {
                return;
            }
        }
    }
}

/// A line that is a client's: it was read as one, or came from a page.
fn of_client(line: Up<Fact>) -> Option<Up<ClientFact>> {
    Some(match line {
        Up::Saw(Observation { t, fact: Fact::Client(fact) }) => Up::Saw(Observation { t, fact }),
        Up::Saw(_) | Up::Listening { .. } => return None,
        Up::Ready { version } => Up::Ready { version },
        Up::Unsupported { reason } => Up::Unsupported { reason },
        Up::Failed { reason } => Up::Failed { reason },
        Up::Done { sent } => Up::Done { sent },
    })
}

/// Starts it; gives back the version of its client as well, empty where only the client itself knows.
async fn begin(
    start: EndStart,
    kit: &EndKit,
    control: &Control,
    folder: &TempDir,
) -> Result<(Participant, String), StartError> {
    let EndStart { client, mut message, ca, ports, trusted, rig, .. } = start;
    let row = client::find(&client).ok_or_else(|| Unsupported::from(format!("no client `{client}`")))?;
    (row.supports)(&message.settings)?;
    let found = find(&client, row, kit.allow_exec).await?;
    let Role::Client(role) = &mut message.role else {
        return Err(Unsupported::from("an agent runs a client's part").into());
    };
    let ca_path = folder.path().join("ca.pem");
    write(&ca_path, &ca).map_err(StartError::Folder)?;
    role.ca.clone_from(&ca_path);
    let (settings, hosts) = (message.settings.clone(), role.hosts.clone());
    let mut context = LaunchContext {
        url: String::new(),
        settings: &settings,
        hosts: &hosts,
        ports: &ports,
        ca: ca_path,
        spki_sha256: [base64(&kit.key.spki_sha256()), trusted].join(","),
        address: loopback().into_iter().max().unwrap_or(Ipv4Addr::LOCALHOST.into()),
        root: nix::unistd::geteuid().is_root(),
    };
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(log_path(folder.path()));
    let log = log.map_err(StartError::Folder)?;
    let with = ClientStart { program: &kit.program, control, place: None, rig };
    let participant = launch(row, &found, &mut context, message, with, (log, Vec::new())).await?;
    Ok((participant, found.version))
}

async fn find(name: &str, row: &'static client::Client, allow_exec: bool) -> Result<Found, Unsupported> {
    match client::exec::path(name) {
        Some(path) if allow_exec => client::exec::locate(path),
        Some(_) => Err("its owner lets no programs be run there: `transport-lab agent --allow-exec` does".into()),
        // Asking a browser for its version takes a while.
        None => {
            let found = tokio::task::spawn_blocking(move || (row.find)()).await;
            found.unwrap_or_else(|_| Err("looking for it broke".into()))
        }
    }
}

/// The agent's own origin, which its pages come from: on its loopback, as the lab's is.
pub(super) async fn control(own: &str, kit: &EndKit) -> Result<Control, OwnOriginError> {
    let der = BASE64.decode(own.as_bytes()).map_err(|_| OwnOriginError::Certificate)?;
    let tls = tls::server(vec![CertificateDer::from(der)], kit.key.key(), &[Alpn::H2, Alpn::H1])?;
    let config = ControlConfig {
        addresses: loopback(),
        port: 0,
        tls: Arc::new(tls),
        hosts: Vec::new(),
        origins: Vec::new(),
        ledger: watch::Sender::new(Ledger::default()).subscribe(),
        serving: None,
    };
    Ok(Control::start(config).await?)
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("client.log")
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

/// The end of a file.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
