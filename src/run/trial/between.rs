//! What stands between a trial's ends: found, started once the server listens, and waited for until it listens too.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::Instant;

use super::start::{LISTEN, log};
use super::{EarlyEnd, TrialRunner, Which, failed};
use crate::browser::{BrowserError, BrowserProcess, TreeUsage, tree_usage};
use crate::client::Found;
use crate::experiment::assign;
use crate::intermediary::{self, Intermediary, Site};
use crate::link::{FlowTransport, Namespace, OwnPort};
use crate::participant::{Network, Participant, spawn};
use crate::text::chain;
use crate::trial::LabFact;
use crate::trial::fact::{Outcome, UsageAt};
use crate::trial::settings::{BetweenPlace, FaultKind, IntermediaryConfig, IntermediaryFault};
use crate::wire::listen;

/// How long after nobody was there an intermediary that starts is asked again.
const LOOK: Duration = Duration::from_millis(5);
/// How long after it was asked and said nothing.
const AGAIN: Duration = Duration::from_secs(1);
/// How much of its last words is told, in bytes.
const LAST_WORDS: usize = 500;
/// The name of its log in the trial's folder.
const LOG: &str = "intermediary.log";

/// What is to stand between: its row, the program, and what it is told to do.
#[derive(Debug, Clone)]
pub(super) struct FoundIntermediary {
    row: &'static Intermediary,
    program: Found,
    configuration: String,
}

impl TrialRunner<'_> {
    /// The intermediary on this machine, where there is to be one, and a port for it: the server has to know which origin
    /// clients will take it for.
    pub(super) async fn find_intermediary(&mut self) -> Result<Option<FoundIntermediary>, EarlyEnd> {
        let between = &self.planned.settings.between;
        let Some(row) = intermediary::find(&between.intermediary) else { return Ok(None) };
        let program = self.lab.find_intermediary(row)?;
        let configuration = match &between.config {
            IntermediaryConfig::Own(path) => match std::fs::read_to_string(path) {
                Ok(text) => text,
                Err(error) => return failed(format!("`between.config`: {} can't be read: {error}", path.display())),
            },
            own => row.template.text(own, between.compression).unwrap_or_default(),
        };
        self.intermediary_port = Some(self.free_port().await?);
        Ok(Some(FoundIntermediary { row, program, configuration }))
    }

    /// The origins that a page has whose server the intermediary is.
    pub(super) fn intermediary_origins(&self) -> Vec<String> {
        let hosts = assign::hosts(&self.planned.settings.workload);
        let of = |port: u16| hosts.iter().map(move |host| format!("https://{host}:{port}"));
        self.intermediary_port.into_iter().flat_map(of).collect()
    }

    /// A port that nobody listens at. None of the programs can be told to find one.
    async fn free_port(&self) -> Result<u16, EarlyEnd> {
        let addresses = &self.lab.addresses;
        let port = if self.planned.settings.protocol.alpn.over_quic() {
            listen::udp(addresses, 0).map(|(_, port)| port)
        } else {
            listen::tcp(addresses, 0).await.map(|(_, port)| port)
        };
        port.or_else(|error| failed(format!("there is no port for an intermediary: {}", chain(&error))))
    }

    /// Starts it before the server that listens there, and waits until it answers; gives back where clients find it.
    pub(super) async fn start_intermediary(
        &mut self,
        between: FoundIntermediary,
        origin: &[u16],
        folder: &Path,
    ) -> Result<Vec<u16>, EarlyEnd> {
        let FoundIntermediary { row, program, configuration } = between.clone();
        let Some(port) = self.intermediary_port else { return failed("an intermediary without a port") };
        let settings = &self.planned.settings;
        let addresses = self.addresses();
        let certs = &self.lab.certs;
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let [certificate, key] = certs.leaf_paths().map(|path| absolute(&path));
        let site = Site {
            alpn: settings.protocol.alpn,
            addresses: &addresses,
            port,
            origin: origin.first().copied().unwrap_or(0),
            origin_alpn: settings.between.origin,
            compression: settings.between.compression,
            certificate,
            key,
            ca: absolute(certs.ca_path()),
            root: nix::unistd::geteuid().is_root(),
            drain: settings.between.drain.span(),
        };
        let spec = row.launch(&program, &site, &configuration);
        for (name, text) in &spec.files {
            keep(folder, name, text)?;
        }
        let place = self.intermediary_place().map(|namespace| namespace as &dyn Network);
        let started =
            BrowserProcess::start_by(&self.lab.program, &spec, log(folder, LOG)?, |command| spawn(command, place));
        let process = match started.await {
            Ok(process) => process,
            // Its own words on its configuration are among them.
            Err(BrowserError::Browser(why)) => return failed(format!("{} does not start: {why}", row.title)),
            Err(error) => return failed(format!("{} does not start: {}", row.title, chain(&error))),
        };
        self.note(LabFact::Between {
            intermediary: row.name.to_owned(),
            version: program.version.clone(),
            config: settings.between.config.clone(),
            compression: settings.between.compression,
            changes: row.template.changes(&settings.between.config, settings.between.compression),
        })?;
        self.started(Which::Intermediary, Participant::silent(process), Some(program.version))?;
        self.between = Some(between);
        match self.answers(&addresses, port).await {
            // Whatever it had to say of its end is in its log.
            Err(EarlyEnd::Ended(Outcome::Failed, why)) if self.ends.of(Which::Intermediary).gone => {
                let said = std::fs::read(folder.join(LOG)).unwrap_or_default();
                let said = String::from_utf8_lossy(&said[said.len().saturating_sub(LAST_WORDS)..]).trim().to_owned();
                failed(format!("{why}; {} said: {said}", row.title))
            }
            answers => answers.map(|()| vec![port]),
        }
    }

    /// Where it is: on a link, at one end of it.
    fn intermediary_place(&self) -> Option<&Namespace> {
        let link = self.link.as_ref()?;
        Some(match self.planned.settings.between.place {
            BetweenPlace::BehindLink => &link.server,
            BetweenPlace::BeforeLink => &link.client,
        })
    }

    /// Its port, where it is at the client's end of a link.
    pub(super) fn port_before_link(&self) -> Option<OwnPort> {
        let port = self.intermediary_port?;
        let settings = &self.planned.settings;
        let over = if settings.protocol.alpn.over_quic() { FlowTransport::Udp } else { FlowTransport::Tcp };
        (settings.between.place == BetweenPlace::BeforeLink).then_some(OwnPort { over, port })
    }

    /// Notes what all processes have used so far of those that can't say it themselves.
    pub(super) async fn note_silent_usage(&mut self, at: UsageAt) -> Result<(), super::RunError> {
        let fact = |which: Which, TreeUsage { cpu, resident }| match which {
            Which::Intermediary => Some(LabFact::BetweenUsage { at, cpu, resident }),
            Which::Broker(node) => Some(LabFact::BrokerUsage { at, node, cpu, resident }),
            // They say it themselves.
            Which::Server(_) | Which::Client(_) => None,
        };
        let silent = self.ends.iter().filter(|end| matches!(end.which, Which::Intermediary | Which::Broker(_)));
        let pids: Vec<_> = silent.filter_map(|end| Some((end.which, end.participant.as_ref()?.pid()))).collect();
        for (which, pid) in pids {
            let root = Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
            // The kernel walks through all its memory.
            let used = tokio::task::spawn_blocking(move || tree_usage(root)).await.unwrap_or(None);
            if let Some(fact) = used.and_then(|used| fact(which, used)) {
                self.note(fact)?;
            }
        }
        Ok(())
    }

    /// Has something happen to it.
    pub(super) async fn begin_on_intermediary(&mut self, fault: IntermediaryFault) -> Result<(), EarlyEnd> {
        let Some(between) = &self.between else {
            return failed("nothing stands between that anything could happen to");
        };
        match fault {
            IntermediaryFault::Reload => {
                let command = between.row.reload(&between.program);
                let Some(intermediary) = &mut self.ends.of(Which::Intermediary).participant else { return Ok(()) };
                let ran = intermediary.run(&command).await;
                ran.or_else(|error| failed(format!("{} can't be told to reload: {error}", between.row.title)))
            }
            IntermediaryFault::Restart => {
                // Both ends are heard meanwhile.
                let intermediary = self.ends.of(Which::Intermediary).participant.take();
                self.ending = intermediary.map(|intermediary| tokio::spawn(intermediary.finish()));
                Ok(())
            }
        }
    }

    /// It was told to read its configuration again; where that failed, why.
    pub(super) fn reloaded(&mut self, why: Option<String>) -> Result<(), EarlyEnd> {
        match why {
            None => self.fault_ended(FaultKind::ProxyReload),
            Some(why) => {
                let title = self.between.as_ref().map_or("the intermediary", |between| between.row.title);
                failed(format!("{title} does not reload: {why}"))
            }
        }
    }

    /// Starts another one where the one was that has been ended.
    pub(super) async fn restart_intermediary(&mut self) -> Result<(), EarlyEnd> {
        self.intermediary_ended().await?;
        let Some(between) = self.between.take() else { return Ok(()) };
        let server = self.ends.get(Which::Server(0));
        let origin = server.and_then(|server| server.ports.get(&self.planned.settings.origin_alpn()));
        let origin = origin.cloned().unwrap_or_default();
        let folder = self.lab.trial_folder(self.planned.trial)?;
        self.ends.of(Which::Intermediary).gone = false;
        self.start_intermediary(between, &origin, &folder).await?;
        Ok(())
    }

    /// Waits for the end of the one that is being ended, and notes it.
    pub(super) async fn intermediary_ended(&mut self) -> Result<(), super::RunError> {
        let Some(ending) = self.ending.take() else { return Ok(()) };
        let status = ending.await.unwrap_or_else(|error| Some(error.to_string()));
        match status {
            Some(status) => self.note(LabFact::Exited { role: Which::Intermediary.to_string(), status }),
            None => Ok(()),
        }
    }

    /// Waits until it answers at all addresses. That the kernel takes connections says nothing: who is to serve them may
    /// not have begun.
    async fn answers(&mut self, addresses: &[IpAddr], port: u16) -> Result<(), EarlyEnd> {
        let until = self.within(LISTEN);
        let over_quic = self.planned.settings.protocol.alpn.over_quic();
        for address in addresses.iter().map(|address| SocketAddr::new(*address, port)) {
            loop {
                let asked = Asked::at(address, over_quic, self.intermediary_place());
                let answer = async {
                    let answered = match asked {
                        Ok(asked) => tokio::time::timeout(AGAIN, asked.answer()).await.unwrap_or(false),
                        Err(_) => false,
                    };
                    if !answered {
                        tokio::time::sleep(LOOK).await;
                    }
                    answered
                };
                let heard = tokio::select! {
                    answered = answer => if answered { break } else { None },
                    heard = self.hear() => Some(heard),
                };
                if let Some(heard) = heard
                    && let (which, Some(said)) = self.sort(heard)?
                {
                    self.take(which, said).await?;
                }
                if Instant::now() > until {
                    let late = "the intermediary did not answer in time".to_owned();
                    return Err(EarlyEnd::Ended(Outcome::TimedOut, late));
                }
            }
        }
        Ok(())
    }
}

/// Keeps what it was told to do in the trial's folder.
fn keep(folder: &Path, name: &str, text: &str) -> Result<(), super::RunError> {
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(|source| super::RunError::Folder { operation: "write", path, source })
}

/// Somebody who was asked what nobody asks, to see whether there is an answer.
#[derive(Debug)]
enum Asked {
    /// Plain HTTP, where TLS is spoken: it is refused in one way or another.
    Tcp(TcpStream),
    /// A version of QUIC that there isn't: it is answered with those that there are (RFC 9000 section 6.1).
    Udp(UdpSocket),
}

impl Asked {
    /// Asks at this address, from a place in its network.
    fn at(address: SocketAddr, over_quic: bool, place: Option<&Namespace>) -> std::io::Result<Self> {
        let ask = move || {
            if over_quic { udp(address).map(Socket::Udp) } else { tcp(address).map(Socket::Tcp) }
        };
        let socket = match place {
            Some(namespace) => namespace.within(ask).unwrap_or_else(|error| Err(std::io::Error::other(error))),
            None => ask(),
        };
        Ok(match socket? {
            Socket::Tcp(socket) => Self::Tcp(TcpStream::from_std(socket)?),
            Socket::Udp(socket) => Self::Udp(UdpSocket::from_std(socket)?),
        })
    }

    /// Waits for any answer, be it an end.
    async fn answer(self) -> bool {
        let mut byte = [0];
        match self {
            Self::Tcp(mut socket) => {
                let _ = socket.read(&mut byte).await;
                true
            }
            // An error says that nobody is there.
            Self::Udp(socket) => socket.recv(&mut byte).await.is_ok(),
        }
    }
}

/// A socket that has asked already.
enum Socket {
    Tcp(std::net::TcpStream),
    Udp(std::net::UdpSocket),
}

fn tcp(address: SocketAddr) -> std::io::Result<std::net::TcpStream> {
    let mut socket = std::net::TcpStream::connect(address)?;
    socket.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn udp(address: SocketAddr) -> std::io::Result<std::net::UdpSocket> {
    let from = if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = std::net::UdpSocket::bind(from)?;
    socket.connect(address)?;
    // A long header (RFC 8999 section 5.1) of a version that is kept for this (RFC 9000 section 15), with two connection
    // ids, in a datagram as long as a first one must be (section 14.1).
    let mut packet = vec![0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 7, 6, 5, 4, 3, 2, 1];
    packet.resize(1200, 0);
    socket.send(&packet)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
