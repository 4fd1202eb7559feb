//! The link between server and client: a path of two hosts' length that delays, loses and counts packets on purpose.
//!
//! Each end has a network namespace with a TUN device in it, and one thread carries IP packets from either device to the
//! other. Impairments are pure: a packet and the time in, a treatment out.
//!
//! Enters: the conditions of both ways, a seed. Leaves: a place to start each end in, what was carried, and where that is
//! wanted the packets, and a capture of them. What must never happen here: a packet that is treated and not counted, an
//! impairment that reads a clock, or a device or a namespace that outlives this process. Namespaces have no names: they go
//! with the last that is in them or holds them.

mod capture;
mod carried;
mod conditions;
mod echo;
mod flow;
mod forwarder;
mod impairment;
mod middlebox;
mod namespace;
mod packet;
mod pipeline;
mod recording;
mod routes;

use std::io::PipeWriter;
use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::thread::JoinHandle;

pub use capture::{Capture, write_capture};
pub use carried::{Carried, LinkReport, Snapshot};
pub use conditions::Conditions;
pub use flow::{FlowTransport, PacketOutside, RecordedFlow};
pub use impairment::names;
pub use middlebox::{Disturbance, MappingLifetimes};
pub use namespace::{Namespace, gain_rights};
pub use pipeline::{Fate, Pipeline, Wait};
pub use recording::{RecordedPacket, Recording};

use forwarder::{Forwarder, Wish};

/// The longest packet that the link's devices take, in bytes, IP header included: Ethernet's (RFC 894).
pub const MTU: u16 = 1500;
/// Where the server is. The block is kept for measuring networks (RFC 2544 section C.2.2), so nobody lives there.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// Where the client is at first.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// Where it is, in turn, as it goes elsewhere.
const CLIENTS: [Ipv4Addr; 4] =
    [CLIENT, Ipv4Addr::new(198, 18, 0, 3), Ipv4Addr::new(198, 18, 0, 4), Ipv4Addr::new(198, 18, 0, 5)];
/// Who says that a packet was too long.
const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 6);
/// All of them and nobody else: the block's broadcast and network addresses aside.
const PREFIX: u8 = 29;

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    Up = 0,
    /// From the server to the client.
    Down = 1,
}

impl Way {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Up, Self::Down];

    /// The word of files and tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }

    /// The same for those who see it first.
    const fn describe(self) -> &'static str {
        match self {
            Self::Up => "from the client to the server",
            Self::Down => "from the server to the client",
        }
    }
}

/// Why there is no link, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// This user may not make what a link is made of.
    #[error(
        "a link takes network namespaces and a TUN device in each, and this user may not {operation}: run as root (sudo \
         transport-lab run …), or where users may have namespaces of their own let this one use /dev/net/tun; or leave \
         [link] out"
    )]
    NotPermitted {
        /// What was tried.
        operation: &'static str,
        source: std::io::Error,
    },
    #[error("could not {operation}")]
    Netlink {
        /// What was tried.
        operation: &'static str,
        source: rtnetlink::Error,
    },
    #[error("could not {operation}")]
    Io {
        /// What was tried.
        operation: &'static str,
        source: std::io::Error,
    },
    /// The kernel handed over what no wire would carry in one piece: counting it as one would be wrong.
    #[error("a packet of {bytes} bytes came to the link, whose MTU is {MTU}: offload is on")]
    TooLong { bytes: usize },
    /// A bug of the lab's own.
    #[error("the thread that carries packets panicked")]
    Panicked,
}

impl LinkError {
    /// An error of the system's, told apart by whether rights are missing.
    fn of(operation: &'static str, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::PermissionDenied => Self::NotPermitted { operation, source },
            _ => Self::Io { operation, source },
        }
    }
}

/// A port of loopback that is the client's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnPort {
    pub over: FlowTransport,
    pub port: u16,
}

/// A link that is up. Dropping it ends it.
#[derive(Debug)]
pub struct Link {
    /// Where the server is to be started.
    pub server: Namespace,
    /// Where the client is.
    pub client: Namespace,
    /// How often the client went elsewhere.
    moves: usize,
    wishes: mpsc::Sender<Wish>,
    /// Closed, it tells the thread to end.
    stop: Option<PipeWriter>,
    carrying: Option<JoinHandle<Result<LinkReport, LinkError>>>,
}

impl Link {
    /// Brings a link up whose ways have these conditions. What is drawn is drawn from the seed, which is below 2^53.
    ///
    /// Loopback (127.0.0.1, and so `localhost`) is the server's at both ends: what the client asks of it goes over the link.
    /// Browsers let no other address have that name. But at the ports `own`, five at most, it is the client's own, unimpaired.
    pub fn start(up: &Conditions, down: &Conditions, seed: u64, own: &[OwnPort]) -> Result<Self, LinkError> {
        Self::bring_up(up, down, seed, own, false)
    }

    /// The same, which also keeps the packets and gives them back with its report.
    pub fn start_recorded(up: &Conditions, down: &Conditions, seed: u64, own: &[OwnPort]) -> Result<Self, LinkError> {
        Self::bring_up(up, down, seed, own, true)
    }

    fn bring_up(
        up: &Conditions,
        down: &Conditions,
        seed: u64,
        own: &[OwnPort],
        record: bool,
    ) -> Result<Self, LinkError> {
        let (server, of_server) = Namespace::with_device(SERVER, |_| async { Ok(()) })?;
        let (client, of_client) = Namespace::with_device(CLIENT, |device| routes::loopback_over(device, own))?;
        let (ended, stop) = std::io::pipe().map_err(|source| LinkError::of("open a pipe", source))?;
        let (wishes, wanted) = mpsc::channel();
        let pipelines = [Pipeline::new(up, Way::Up, seed), Pipeline::new(down, Way::Down, seed)];
        let forwarder = Forwarder::new([of_client, of_server], pipelines, ended, wanted, record);
        let carrying = std::thread::Builder::new()
            .name("link".to_owned())
            .spawn(move || forwarder.run())
            .map_err(|source| LinkError::of("start a thread", source))?;
        Ok(Self { server, client, moves: 0, wishes, stop: Some(stop), carrying: Some(carrying) })
    }

    /// Notes what was carried until then, in nanoseconds of `CLOCK_MONOTONIC`, which must not have passed yet.
    pub fn mark(&self, at: u64) {
        // A thread that is gone says why when it is waited for.
        let _ = self.wishes.send(Wish::Mark(at));
    }

    /// Has something happen, from the next packet on.
    pub fn disturb(&self, disturbance: Disturbance) {
        // The same.
        let _ = self.wishes.send(Wish::Disturb(disturbance));
    }

    /// Puts a NAT at the client's end, from the next packet on, that forgets mappings which nothing passes by.
    pub fn place_nat(&self, lifetimes: MappingLifetimes) {
        // The same.
        let _ = self.wishes.send(Wish::Nat(lifetimes));
    }

    /// Takes the client's address from it and gives it another one, the next of a few. What is under way to the old one
    /// finds nobody.
    pub fn move_client(&mut self) -> Result<(), LinkError> {
        let at = |moves: usize| CLIENTS[moves % CLIENTS.len()];
        let (from, to) = (at(self.moves), at(self.moves + 1));
        self.client.change_address(from, to)?;
        self.moves += 1;
        Ok(())
    }

    /// Whether packets are no longer carried.
    pub fn has_ended(&self) -> bool {
        self.carrying.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Takes the link down and says what it carried, or why it ended early.
    pub fn finish(mut self) -> Result<LinkReport, LinkError> {
        self.stop = None;
        match self.carrying.take().map(JoinHandle::join) {
            Some(Ok(report)) => report,
            Some(Err(_)) | None => Err(LinkError::Panicked),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(carrying) = self.carrying.take() {
            // Whoever drops it wants no report.
            let _ = carrying.join();
        }
    }
}
