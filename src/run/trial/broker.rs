//! What a trial's servers share their feeds through: nodes of NATS, there before the first server and gone after the last.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::super::RunError;
use super::super::lab::BrokerPlace;
use super::ends::End;
use super::start::{LISTEN, log};
use super::{EarlyEnd, TrialRunner, Which, failed};
use crate::broker::node::{BrokerNode, NodeCluster, NodeCommand};
use crate::broker::{Broker, BrokerError, BrokerPassword};
use crate::browser::BrowserProcess;
use crate::client::{Found, LaunchSpec};
use crate::experiment::assign;
use crate::participant::Participant;
use crate::text::chain;
use crate::trial::Unsupported;
use crate::trial::contract::BrokerOptions;
use crate::trial::fact::Outcome;
use crate::trial::settings::BrokerFault;

/// How long after nobody was there a node that starts is asked again.
const LOOK: Duration = Duration::from_millis(20);
/// How long nodes may take until they have found each other and keep logs.
const AGREE: Duration = Duration::from_secs(20);
/// How often nodes are started, where one ends before they agree.
const STARTS: u32 = 3;
/// The folder in the trial's own that nodes keep their stores in, for as long as the trial takes.
const FOLDER: &str = "broker";
/// The name of the cluster that they make.
const CLUSTER: &str = "transport-lab";

/// The broker of a trial.
#[derive(Debug)]
pub(super) struct TrialBroker {
    program: Found,
    nodes: Vec<BrokerNode>,
    folder: PathBuf,
    /// Where it is for servers that aren't all on this loopback.
    place: Option<BrokerPlace>,
    /// What servers are told of it.
    pub(super) options: BrokerOptions,
    /// The lab's own connection to it, once it is there: it asks who leads.
    connection: Option<Broker>,
}

impl TrialBroker {
    /// Ends the lab's own connection, which would tell of its end.
    pub(super) fn let_go(&mut self) {
        self.connection = None;
    }
}

impl TrialRunner<'_> {
    /// Finds NATS on this machine, where the trial takes it, and ports for its nodes.
    pub(super) fn find_broker(&mut self) -> Result<(), EarlyEnd> {
        let settings = &self.planned.settings;
        if !settings.shares_feeds() {
            return Ok(());
        }
        let program = self.lab.find_broker().map_err(|why| Unsupported::from(format!("nats-server: {why}")))?;
        let mut options = BrokerOptions::at([""; 0]);
        options.replicas = settings.broker.replicas as usize;
        options.password = BrokerPassword::draw();
        if options.password.is_none() {
            return failed("there is no password for NATS: the system gives no random bytes");
        }
        let place = if self.is_served_from_afar() { self.lab.broker_at.clone() } else { None };
        let folder = self.lab.trial_folder(self.planned.trial)?.join(FOLDER);
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        self.broker = Some(TrialBroker { program, nodes: Vec::new(), folder, place, options, connection: None });
        Ok(())
    }

    /// Starts all nodes, and waits until they keep logs.
    pub(super) async fn start_broker(&mut self, folder: &Path) -> Result<(), EarlyEnd> {
        for _ in 1..STARTS {
            match self.start_nodes(folder).await {
                // Somebody else was faster to take a port.
                Err(EarlyEnd::Ended(Outcome::Failed, why)) if self.ends.iter().any(|end| is_node(end) && end.gone) => {
                    tracing::warn!(why, "NATS is started once more, at other ports");
                    for which in self.ends.some(Which::is_broker) {
                        self.finish(which).await?;
                        self.ends.of(which).again();
                    }
                }
                started => return started,
            }
        }
        self.start_nodes(folder).await
    }

    async fn start_nodes(&mut self, folder: &Path) -> Result<(), EarlyEnd> {
        let Some(broker) = &mut self.broker else { return Ok(()) };
        let address = broker.place.as_ref().map_or(Ipv4Addr::LOCALHOST.into(), |place| place.address);
        let nodes = nodes(self.planned.settings.broker.nodes, address, broker.options.password.as_ref());
        broker.nodes = nodes.or_else(|error| failed(format!("there is no port for NATS at {address}: {error}")))?;
        let here: Vec<String> = broker.nodes.iter().map(BrokerNode::url).collect();
        broker.options.urls = match &broker.place {
            None => here.clone(),
            Some(place) => broker.nodes.iter().map(|node| format!("nats://{}:{}", place.host, node.port)).collect(),
        };
        let (options, all) = (BrokerOptions { urls: here, ..broker.options.clone() }, broker.nodes.len());
        for number in 0..all {
            self.start_node(number, folder).await?;
        }
        let until = self.within(AGREE);
        let agreed = self.meanwhile(until, "NATS did not answer in time", Box::pin(agreed(options, until))).await?;
        let connection = agreed.or_else(|error| failed(format!("NATS can't be used: {}", chain(&error))))?;
        if let Some(broker) = &mut self.broker {
            broker.connection = Some(connection);
        }
        Ok(())
    }

    async fn start_node(&mut self, number: usize, folder: &Path) -> Result<(), EarlyEnd> {
        let Some(broker) = &self.broker else { return Ok(()) };
        let Some(node) = broker.nodes.get(number) else { return Ok(()) };
        let version = broker.program.version.clone();
        let which = Which::Broker(u32::try_from(number).unwrap_or(0));
        // Its store is not in its supervisor's folder: one that is killed finds it again.
        let home = broker.folder.join(&node.name);
        let here = |text: &String| text.replace("{profile}", &home.to_string_lossy());
        let NodeCommand { argv, files } = node.command(&broker.program);
        let argv = argv.iter().map(here).collect();
        let written = std::fs::create_dir_all(&home)
            .and_then(|()| files.iter().try_for_each(|(name, text)| write(&home.join(name), &here(text))));
        if let Err(source) = written {
            return Err(RunError::Folder { operation: "write", path: home, source }.into());
        }
        let spec = LaunchSpec { argv, ..LaunchSpec::default() };
        match BrowserProcess::start(&self.lab.program, &spec, log(folder, &format!("{which}.log"))?).await {
            Ok(process) => self.started(which, Participant::silent(process), Some(version)),
            Err(error) => failed(format!("NATS does not start: {}", chain(&error))),
        }
    }

    /// Has something happen to it.
    pub(super) async fn begin_on_broker(&mut self, fault: BrokerFault) -> Result<(), EarlyEnd> {
        for number in self.struck(fault).await? {
            self.kill(Which::Broker(number));
        }
        Ok(())
    }

    /// The nodes that a fault is about.
    async fn struck(&mut self, fault: BrokerFault) -> Result<Vec<u32>, EarlyEnd> {
        let Some(broker) = &self.broker else {
            return failed("the servers share nothing that anything could happen to");
        };
        let all = (0..).zip(&broker.nodes);
        let leader = match (fault, &broker.connection) {
            (BrokerFault::All, _) | (_, None) => None,
            (BrokerFault::Leader, Some(connection)) => {
                let feed = assign::feeds(&self.planned.settings.workload).swap_remove(0);
                match connection.leader(&feed).await {
                    Ok(None) if broker.nodes.len() > 1 => {
                        return failed(format!("no node of NATS leads the log of {feed}"));
                    }
                    Ok(leader) => leader,
                    Err(error) => {
                        return failed(format!("nobody says which node leads the log of {feed}: {}", chain(&error)));
                    }
                }
            }
        };
        Ok(all
            .filter(|(_, node)| leader.as_ref().is_none_or(|leader| *leader == node.name))
            .map(|(at, _)| at)
            .collect())
    }

    /// Starts those nodes again that a fault has killed, each with its own store, and waits until they answer.
    pub(super) async fn restart_broker(&mut self) -> Result<(), EarlyEnd> {
        let folder = self.lab.trial_folder(self.planned.trial)?;
        let killed = self.ends.iter().filter(|end| is_node(end) && end.killed);
        let killed: Vec<Which> = killed.map(|end| end.which).collect();
        for which in &killed {
            self.bury(*which).await?;
            self.start_node(which.number() as usize, &folder).await?;
        }
        let until = self.within(LISTEN);
        for which in killed {
            let node = self.broker.as_ref().and_then(|broker| broker.nodes.get(which.number() as usize));
            let Some(at) = node.map(BrokerNode::here) else { continue };
            self.meanwhile(until, &format!("the {which} did not come back in time"), greets(at)).await?;
        }
        Ok(())
    }

    /// Removes what it kept, once all nodes are gone.
    pub(super) fn forget_broker(&mut self) -> Result<(), RunError> {
        let Some(TrialBroker { folder, .. }) = self.broker.take() else { return Ok(()) };
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(RunError::Folder { operation: "remove", path: folder, source: error })
            }
            _ => Ok(()),
        }
    }

    /// Waits for something, and hears the ends meanwhile.
    async fn meanwhile<T>(&mut self, until: Instant, late: &str, what: impl Future<Output = T>) -> Result<T, EarlyEnd> {
        let mut what = pin!(what);
        loop {
            let heard = tokio::select! {
                done = &mut what => return Ok(done),
                heard = self.hear() => heard,
                () = tokio::time::sleep_until(until) => {
                    return Err(EarlyEnd::Ended(Outcome::TimedOut, late.to_owned()));
                }
            };
            if let (which, Some(said)) = self.sort(heard)? {
                self.take(which, said).await?;
            }
        }
    }
}

/// Connects once the nodes have found each other. What is wrong with them at the last moment is what is wrong.
async fn agreed(options: BrokerOptions, until: Instant) -> Result<Broker, BrokerError> {
    loop {
        let reached = async {
            let broker = Broker::connect(options.clone()).await?;
            broker.can_keep().await.map(|()| broker)
        };
        match reached.await {
            Err(_) if Instant::now() + 2 * LOOK < until => tokio::time::sleep(LOOK).await,
            reached => return reached,
        }
    }
}

/// Waits until a node says what it is, which it does first (`INFO`).
async fn greets(node: SocketAddr) {
    loop {
        let greeted = async {
            let mut socket = TcpStream::connect(node).await?;
            socket.read_u8().await
        };
        if greeted.await.is_ok() {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Writes a file that has a password in it: nobody but its owner reads it.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

fn is_node(end: &End) -> bool {
    end.which.is_broker()
}

/// So many nodes, each with ports of its own: for clients at this address, for other nodes on loopback.
fn nodes(count: u32, address: IpAddr, password: Option<&BrokerPassword>) -> std::io::Result<Vec<BrokerNode>> {
    let at = [vec![address; count as usize], vec![Ipv4Addr::LOCALHOST.into(); count as usize]].concat();
    let ports = free_ports(&at)?;
    let (clients, others) = ports.split_at(count as usize);
    let cluster = |port| NodeCluster { name: CLUSTER.to_owned(), port, ports: others.to_vec() };
    let node = |(number, (&port, &other)): (u32, (&u16, &u16))| BrokerNode {
        name: Which::Broker(number).to_string(),
        address,
        port,
        password: password.cloned(),
        cluster: (count > 1).then(|| cluster(other)),
        ..BrokerNode::default()
    };
    Ok((0..).zip(clients.iter().zip(others)).map(node).collect())
}

/// A port at each of these addresses that nobody listens at: a node has to know those of all before the first is started.
fn free_ports(at: &[IpAddr]) -> std::io::Result<Vec<u16>> {
    let bound = |address: &IpAddr| TcpListener::bind((*address, 0));
    let listeners = at.iter().map(bound).collect::<Result<Vec<_>, _>>()?;
    listeners.iter().map(|listener| listener.local_addr().map(|address| address.port())).collect()
}
