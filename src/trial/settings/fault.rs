//! What goes wrong on purpose: `[[fault]]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Span;

/// Something that goes wrong on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    /// When, after `go`.
    pub at: Span,
    pub kind: FaultKind,
    /// How long, for a fault that lasts; 1 s where nothing is said.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
}

/// How long a fault lasts that says nothing of it.
const LASTS: Span = Span::from_secs(1);

impl Fault {
    /// How long it lasts; nothing where it is over at once.
    pub fn length(&self) -> Span {
        if self.kind.row().lasts { self.lasts.unwrap_or(LASTS) } else { Span::default() }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The server's process is ended with SIGKILL; of several the first one's, which publishes.
    KillServer,
    /// The process of the last of several servers is ended with SIGKILL, which publishes nothing.
    KillLastServer,
    /// The same, and a new one is started at the same ports after `for`: another epoch, an empty log. It goes on with
    /// the schedule; what was due meanwhile is never published.
    RestartServer,
    /// The client's process (a browser's whole group) is ended with SIGKILL.
    KillClient,
    /// The server ends every subscription that is open.
    CloseStreams,
    /// The same, and for as long as `for` answers those who come with 503 (RFC 9110 section 15.6.4).
    Refuse,
    /// The same with 204, which tells a reader not to come back (WHATWG HTML section 9.2.3).
    NoContent,
    /// No packet that is sent passes, either way, for as long as `for`. What is under way arrives.
    Blackout,
    /// No datagram of UDP that is sent passes, either way, for as long as `for`, as behind a firewall that lets TCP alone
    /// pass: the same as `link.block = "udp"`, but from here on.
    BlockUdp,
    /// The NAT at the client's end forgets, and says nothing: what comes from outside is dropped, and the client's next
    /// packet of each flow gets another port there (RFC 9000 section 9, "NAT rebinding"). A segment of TCP does so too,
    /// and the server's kernel, which knows no connection from that port, answers with RST (RFC 9293 section 3.10.7.1).
    NatRebind,
    /// It forgets and lets only new connections begin: a segment of TCP from either side that belongs to one it has
    /// forgotten is answered with RST, as cloud NAT gateways do and home routers whose own kernel gets it. Datagrams of
    /// UDP have no such answer: those from outside are dropped, and the client's next gets another port.
    NatReset,
    /// The client's device gets another address and loses the one that it has.
    InterfaceChange,
    /// Something on the path forges RST to both ends of every TCP connection that is there, at its next packet. QUIC has
    /// no packet that somebody in between could forge to that end (RFC 9000 section 10.3: a stateless reset takes a
    /// secret), so that nothing happens to it.
    Reset,
    /// What stands between is told to read its configuration again, as its own documentation says, though nothing in it
    /// has changed but a name. Streams stay where they are for as long as `between.drain` says. It is over when the
    /// program that tells it has ended.
    ProxyReload,
    /// The process that stands between is asked to end (SIGTERM), ended with SIGKILL where it is there half a second
    /// later, and after `for` another one is started at the same port. It is over when that one answers.
    ProxyRestart,
    /// The node of NATS that leads the log of the first feed is ended with SIGKILL, and after `for` started again with the
    /// store that it had. It is over when that one answers.
    KillLeader,
    /// The same with all of its nodes: nothing can be published meanwhile.
    BrokerAway,
}

/// What a fault is: a row for each kind.
#[derive(Debug)]
pub struct FaultRow {
    /// Its name in files and journals: `close-streams`.
    pub name: &'static str,
    /// What is done.
    pub act: FaultAct,
    /// Whether it goes on for a while.
    pub lasts: bool,
    /// Whether it means readers to end and not to come back: what they don't get from then on isn't lost.
    pub ends_readers: bool,
    /// Why some of what a trial may expect can't be, where it is so; when it is so follows from what is done.
    pub forbids: &'static str,
}

/// What is done in a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultAct {
    /// A server's process is killed. `restart`: another one is started when the fault is over.
    KillServer {
        which: KilledServer,
        /// Whether there is another afterwards.
        restart: bool,
    },
    /// The client's is.
    KillClient,
    /// The server ends every subscription that is open, and while the fault lasts answers those who come with this
    /// status.
    EndStreams {
        /// `None`: it lets them in.
        answer: Option<u16>,
    },
    /// Something happens on the link, which such a trial has whether its file says so or not.
    OnLink(LinkFault),
    /// Something happens to what stands between.
    ToIntermediary(IntermediaryFault),
    /// Something happens to what servers share their feeds through.
    ToBroker(BrokerFault),
}

/// Which server is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KilledServer {
    /// The one that publishes.
    First,
    /// The last of several.
    Last,
}

impl KilledServer {
    /// Its number, where there are so many.
    pub const fn of(self, servers: u32) -> u32 {
        match self {
            Self::First => 0,
            Self::Last => servers.saturating_sub(1),
        }
    }
}

/// What happens to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerFault {
    /// The node that leads the log of the first feed is killed, and started again when the fault is over.
    Leader,
    /// All nodes are.
    All,
}

/// What happens to an intermediary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntermediaryFault {
    /// It reads its configuration again.
    Reload,
    /// It ends, and another one is started.
    Restart,
}

/// What happens on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkFault {
    /// No packet passes.
    Blackout,
    /// No datagram of UDP does.
    BlockUdp,
    /// A NAT forgets in silence.
    NatRebind,
    /// A NAT forgets and says so to TCP.
    NatReset,
    /// The client is elsewhere.
    InterfaceChange,
    /// TCP's connections are ended from outside.
    Reset,
}

const KILL_SERVER: FaultRow = FaultRow {
    name: "kill-server",
    act: FaultAct::KillServer { which: KilledServer::First, restart: false },
    lasts: false,
    ends_readers: false,
    forbids: "a server that is killed before the census can't publish it",
};
const KILL_LAST_SERVER: FaultRow = FaultRow {
    name: "kill-last-server",
    act: FaultAct::KillServer { which: KilledServer::Last, restart: false },
    lasts: false,
    ends_readers: false,
    forbids: "",
};
const RESTART_SERVER: FaultRow = FaultRow {
    name: "restart-server",
    act: FaultAct::KillServer { which: KilledServer::First, restart: true },
    lasts: true,
    ends_readers: false,
    forbids: "a server that is killed loses what was on its way, and one that is not back at the census can't publish it",
};
const KILL_CLIENT: FaultRow = FaultRow {
    name: "kill-client",
    act: FaultAct::KillClient,
    lasts: false,
    ends_readers: false,
    forbids: "a client that is killed takes what it received with it",
};
const CLOSE_STREAMS: FaultRow = FaultRow {
    name: "close-streams",
    act: FaultAct::EndStreams { answer: None },
    lasts: false,
    ends_readers: false,
    forbids: "",
};
const REFUSE: FaultRow = FaultRow {
    name: "refuse",
    act: FaultAct::EndStreams { answer: Some(503) },
    lasts: true,
    ends_readers: false,
    forbids: "",
};
const NO_CONTENT: FaultRow = FaultRow {
    name: "no-content",
    act: FaultAct::EndStreams { answer: Some(204) },
    lasts: true,
    ends_readers: true,
    forbids: "",
};
const BLACKOUT: FaultRow = FaultRow {
    name: "blackout",
    act: FaultAct::OnLink(LinkFault::Blackout),
    lasts: true,
    ends_readers: false,
    forbids: "",
};
const BLOCK_UDP: FaultRow = FaultRow {
    name: "block-udp",
    act: FaultAct::OnLink(LinkFault::BlockUdp),
    lasts: true,
    ends_readers: false,
    forbids: "",
};
const NAT_REBIND: FaultRow = FaultRow {
    name: "nat-rebind",
    act: FaultAct::OnLink(LinkFault::NatRebind),
    lasts: false,
    ends_readers: false,
    forbids: "",
};
const NAT_RESET: FaultRow = FaultRow {
    name: "nat-reset",
    act: FaultAct::OnLink(LinkFault::NatReset),
    lasts: false,
    ends_readers: false,
    forbids: "",
};
const INTERFACE_CHANGE: FaultRow = FaultRow {
    name: "interface-change",
    act: FaultAct::OnLink(LinkFault::InterfaceChange),
    lasts: false,
    ends_readers: false,
    forbids: "",
};
const RESET: FaultRow =
    FaultRow { name: "reset", act: FaultAct::OnLink(LinkFault::Reset), lasts: false, ends_readers: false, forbids: "" };
const PROXY_RELOAD: FaultRow = FaultRow {
    name: "proxy-reload",
    act: FaultAct::ToIntermediary(IntermediaryFault::Reload),
    lasts: false,
    ends_readers: false,
    forbids: "",
};
const PROXY_RESTART: FaultRow = FaultRow {
    name: "proxy-restart",
    act: FaultAct::ToIntermediary(IntermediaryFault::Restart),
    lasts: true,
    ends_readers: false,
    forbids: "",
};
const KILL_LEADER: FaultRow = FaultRow {
    name: "kill-leader",
    act: FaultAct::ToBroker(BrokerFault::Leader),
    lasts: true,
    ends_readers: false,
    forbids: "",
};
const BROKER_AWAY: FaultRow = FaultRow {
    name: "broker-away",
    act: FaultAct::ToBroker(BrokerFault::All),
    lasts: true,
    ends_readers: false,
    forbids: "a census that can't be published can't be counted",
};

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::KillServer,
        Self::KillLastServer,
        Self::RestartServer,
        Self::KillClient,
        Self::CloseStreams,
        Self::Refuse,
        Self::NoContent,
        Self::Blackout,
        Self::BlockUdp,
        Self::NatRebind,
        Self::NatReset,
        Self::InterfaceChange,
        Self::Reset,
        Self::ProxyReload,
        Self::ProxyRestart,
        Self::KillLeader,
        Self::BrokerAway,
    ];

    /// The kind of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.row().name == name)
    }

    pub const fn row(self) -> &'static FaultRow {
        match self {
            Self::KillServer => &KILL_SERVER,
            Self::KillLastServer => &KILL_LAST_SERVER,
            Self::RestartServer => &RESTART_SERVER,
            Self::KillClient => &KILL_CLIENT,
            Self::CloseStreams => &CLOSE_STREAMS,
            Self::Refuse => &REFUSE,
            Self::NoContent => &NO_CONTENT,
            Self::Blackout => &BLACKOUT,
            Self::BlockUdp => &BLOCK_UDP,
            Self::NatRebind => &NAT_REBIND,
            Self::NatReset => &NAT_RESET,
            Self::InterfaceChange => &INTERFACE_CHANGE,
            Self::Reset => &RESET,
            Self::ProxyReload => &PROXY_RELOAD,
            Self::ProxyRestart => &PROXY_RESTART,
            Self::KillLeader => &KILL_LEADER,
            Self::BrokerAway => &BROKER_AWAY,
        }
    }

    /// Whether it happens on a link.
    pub const fn needs_link(self) -> bool {
        matches!(self.row().act, FaultAct::OnLink(_))
    }

    /// Whether it happens to what stands between.
    pub const fn needs_intermediary(self) -> bool {
        matches!(self.row().act, FaultAct::ToIntermediary(_))
    }

    /// Whether it happens to what servers share their feeds through.
    pub const fn needs_broker(self) -> bool {
        matches!(self.row().act, FaultAct::ToBroker(_))
    }

    /// Which server's process ends by it.
    pub const fn killed_server(self) -> Option<KilledServer> {
        match self.row().act {
            FaultAct::KillServer { which, .. } => Some(which),
            _ => None,
        }
    }

    /// Whether the process of the server that publishes ends by it.
    pub const fn kills_server(self) -> bool {
        matches!(self.killed_server(), Some(KilledServer::First))
    }

    /// Whether the client's does.
    pub const fn kills_client(self) -> bool {
        matches!(self.row().act, FaultAct::KillClient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_goes_by_its_rows_name_in_files_too() {
        for kind in FaultKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.row().name);
            assert_eq!(FaultKind::find(kind.row().name), Some(kind));
        }
    }
}
