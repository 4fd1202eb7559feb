//! The start of a trial's end at an agent, by the code that starts it at the lab.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use super::machine::AgentRig;
use super::message::{EndPart, EndStart};
use super::reach::{Unreached, reaches};
use crate::certs::{OwnKey, base64};
use crate::client::{self, Found, LaunchContext};
use crate::control::Control;
use crate::participant::{ClientStart, Participant, launch, launch_server};
use crate::trial::contract::ServerRole;
use crate::trial::rig::Rig;
use crate::trial::{Role, TrialMessage, Unsupported};
use crate::wire::listen::{loopback, reached_by};

/// What all ends of a session at an agent share.
#[derive(Debug)]
pub(super) struct EndKit {
    pub(super) allow_exec: bool,
    pub(super) allow_servers: bool,
    pub(super) rig: Option<AgentRig>,
    pub(super) key: OwnKey,
    /// This program, which plays the children.
    pub(super) program: PathBuf,
}

/// Why an end could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    #[error("no folder for it")]
    Folder(#[source] io::Error),
    #[error(transparent)]
    Launch(#[from] crate::participant::LaunchFailure),
    #[error("the server could not be started")]
    Server(#[source] io::Error),
    #[error("the server has no certificate")]
    Certs(#[from] crate::certs::CertsError),
    #[error("a certificate that was sent for it can't be read")]
    Certificate,
    #[error("it is to play one end and was told of the other")]
    OtherEnd,
    #[error(transparent)]
    Unreached(#[from] Unreached),
}

/// What both kinds of ends are started with.
struct Start<'a> {
    message: Box<TrialMessage>,
    ca: String,
    rig: Option<Rig>,
    folder: &'a TempDir,
    log: File,
}

/// Starts it; gives back its version as well, empty where only the client itself knows.
pub(super) async fn begin(
    start: EndStart,
    kit: &EndKit,
    control: &Control,
    folder: &TempDir,
) -> Result<(Participant, String), StartError> {
    let EndStart { part, message, ca, rig, .. } = start;
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(log_path(folder.path()));
    let with = Start { message, ca, rig, folder, log: log.map_err(StartError::Folder)? };
    match part {
        EndPart::Client { name, trusted, servers } => {
            reaches(&servers).await?;
            client(with, kit, control, (&name, trusted)).await
        }
        EndPart::Server { host, certs, .. } => server(with, kit, host.as_deref(), &certs).await,
    }
}

async fn client(
    with: Start<'_>,
    kit: &EndKit,
    control: &Control,
    (name, trusted): (&str, String),
) -> Result<(Participant, String), StartError> {
    let Start { mut message, ca, rig, folder, log } = with;
    let row = client::find(name).ok_or_else(|| Unsupported::from(format!("no client `{name}`")))?;
    (row.supports)(&message.settings)?;
    let found = find(name, row, kit.allow_exec).await?;
    let Role::Client(role) = &mut message.role else { return Err(StartError::OtherEnd) };
    let ca_path = folder.path().join("ca.pem");
    write(&ca_path, &ca).map_err(StartError::Folder)?;
    role.ca.clone_from(&ca_path);
    let (settings, hosts, servers) = (message.settings.clone(), role.hosts.clone(), role.servers());
    let mut context = LaunchContext {
        url: String::new(),
        settings: &settings,
        hosts: &hosts,
        servers: &servers,
        ca: ca_path,
        spki_sha256: [base64(&kit.key.spki_sha256()), trusted].join(","),
        address: loopback().into_iter().max().unwrap_or(Ipv4Addr::LOCALHOST.into()),
        root: nix::unistd::geteuid().is_root(),
    };
    let with = ClientStart { program: &kit.program, control, place: None, rig };
    let participant = launch(row, &found, &mut context, message, with, (log, Vec::new())).await?;
    Ok((participant, found.version))
}

/// A server shows what the coordinator's CA vouched with for this agent's key, from a folder that goes with the end's.
async fn server(
    with: Start<'_>,
    kit: &EndKit,
    host: Option<&str>,
    certs: &[String],
) -> Result<(Participant, String), StartError> {
    let Start { mut message, ca, rig, folder, log } = with;
    let Role::Server(role) = &mut message.role else { return Err(StartError::OtherEnd) };
    role.bind = host.map_or_else(loopback, reached_by);
    if !kit.allow_servers && !role.bind.iter().all(IpAddr::is_loopback) {
        let why = "its owner lets no server listen beyond its loopback: `transport-lab agent --allow-servers` does";
        return Err(Unsupported::from(why).into());
    }
    forget_paths(role);
    let ders = certs.iter().map(|cert| BASE64.decode(cert.as_bytes()).map(CertificateDer::from));
    let ders: Vec<_> = ders.collect::<Result<_, _>>().map_err(|_| StartError::Certificate)?;
    role.certs = folder.path().join("certs");
    kit.key.fill(&role.certs, &ca, &ders)?;
    let server = launch_server(&kit.program, message, (None, rig), (log, Vec::new())).await;
    Ok((server.map_err(StartError::Server)?, env!("CARGO_PKG_VERSION").to_owned()))
}

/// Paths in what was told are another machine's: what is at them here is nobody's who gives orders.
fn forget_paths(role: &mut ServerRole) {
    role.certs = PathBuf::new();
    if let Some(broker) = &mut role.broker {
        (broker.credentials, broker.ca) = (None, None);
    }
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

/// Where what an end prints goes.
pub(super) fn log_path(folder: &Path) -> PathBuf {
    folder.join("end.log")
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_file_of_the_agents_is_shown_to_whoever_gives_orders() {
        let broker = json!({ "urls": ["nats://192.0.2.7:4222"], "credentials": "/etc/transport-lab/nats.creds",
            "ca": "/etc/ssl/x.pem", "password": "drawn", "prefix": "x", "replicas": 1 });
        let role = json!({ "certs": "/etc/transport-lab", "bind": [], "feeds": [], "broker": broker });
        let mut role: ServerRole = serde_json::from_value(role).unwrap();
        forget_paths(&mut role);
        let told = serde_json::to_string(&role).unwrap();
        assert!(!told.contains("/etc") && told.contains("drawn"), "{told}");
    }
}
