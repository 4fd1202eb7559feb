//! One end of a trial at an agent: started by the code that starts it at the lab, and passed on word by word.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use rustls::pki_types::CertificateDer;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::begin::{EndKit, StartError, begin, log_path};
use super::machine::AgentRig;
use super::message::{AgentSaid, EndPart, EndStart};
use crate::browser::owned_folder;
use crate::control::{Control, ControlConfig};
use crate::participant::{Participant, ParticipantMessage};
use crate::text::chain;
use crate::trial::ledger::Ledger;
use crate::trial::{Alpn, Down, Fact, Observation, Up};
use crate::wire::listen::loopback;
use crate::wire::tls;

/// How much of what an end printed is passed on, in bytes from its end.
const LOG_TAIL: u64 = 64 * 1024;
/// How long an end may be silent that has not yet said all that it kept back, where nobody gives orders any more.
const SILENCE: Duration = Duration::from_secs(10);
/// How long it may take for all of it.
const LAST_WORDS: Duration = Duration::from_secs(600);

/// What is asked of an end.
#[derive(Debug)]
pub(super) enum EndOrder {
    Say(Down),
    Kill,
    Finish,
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
    let server = match start.part {
        EndPart::Server { place, .. } => Some(place),
        EndPart::Client { .. } => None,
    };
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
    let _ = out.send(AgentSaid::Started { end, trial, pid, version, page, server }).await;
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
                voice.pass(told(heard, &mut participant).await).await;
            }
        }
    }
    let status = participant.finish().await;
    let log = tail(&log_path(folder.path())).unwrap_or_default();
    // Whoever reads that it has ended finds nothing of it.
    drop(folder);
    let _ = voice.out.send(AgentSaid::Ended { end, status, log }).await;
}

/// Of a browser whose page went away: how it ended, where it has, as that says more.
async fn told(heard: ParticipantMessage, participant: &mut Participant) -> ParticipantMessage {
    match heard {
        ParticipantMessage::Said(Up::Failed { reason }) => match participant.browser_exited().await {
            Some(status) => ParticipantMessage::Exited(status),
            None => ParticipantMessage::Said(Up::Failed { reason }),
        },
        heard => heard,
    }
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
            ParticipantMessage::Said(line) => match passed(end, line) {
                Some(AgentSaid::Said { line: Up::Saw(_), .. } | AgentSaid::Served { line: Up::Saw(_), .. })
                    if std::mem::take(&mut self.withholds) =>
                {
                    return false;
                }
                Some(said) => said,
                None => return false,
            },
            ParticipantMessage::Garbled(error) => AgentSaid::Garbled { end, how: error.to_string() },
            ParticipantMessage::Exited(status) => AgentSaid::Exited { end, status },
            // No command is run beside an end, and nothing here is on yet another machine.
            ParticipantMessage::Ran(_) | ParticipantMessage::Lost(_) => return false,
        };
        let last = match &said {
            AgentSaid::Said { line, .. } => matches!(line, Up::Done { .. } | Up::Failed { .. }),
            AgentSaid::Served { .. } => false,
            _ => true,
        };
        let _ = self.out.send(said).await;
        last
    }

    async fn last_words(&mut self, participant: &mut Participant) {
        participant.order(Down::Stop).await;
        while let Ok(heard) = timeout(SILENCE, participant.hear()).await {
            if self.pass(heard).await {
                return;
            }
        }
    }
}

/// A line as an agent passes it on: it was read as that end's own, or came from a page.
fn passed(end: u32, line: Up<Fact>) -> Option<AgentSaid> {
    let line = match line {
        Up::Saw(Observation { t, fact: Fact::Server(fact) }) => {
            return Some(AgentSaid::Served { end, line: Up::Saw(Observation { t, fact }) });
        }
        Up::Listening { ports, versions } => {
            return Some(AgentSaid::Served { end, line: Up::Listening { ports, versions } });
        }
        Up::Saw(Observation { t, fact: Fact::Client(fact) }) => Up::Saw(Observation { t, fact }),
        Up::Saw(_) => return None,
        Up::Ready { version } => Up::Ready { version },
        Up::Unsupported { reason } => Up::Unsupported { reason },
        Up::Failed { reason } => Up::Failed { reason },
        Up::Done { sent } => Up::Done { sent },
    };
    Some(AgentSaid::Said { end, line })
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

/// The end of a file.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
