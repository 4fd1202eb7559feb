//! How TCP and QUIC are set up here, and what is found of that on a live connection.

use std::any::Any;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce, SndBuf, SndBufForce, TcpCongestion, TcpNoDelay};
use nix::sys::socket::{GetSockOpt, getsockopt, setsockopt};
use nix::{getsockopt_impl, sockopt_impl};
use quinn::congestion::{Bbr, BbrConfig, ControllerFactory, Cubic, CubicConfig, NewReno, NewRenoConfig};
use quinn::{MtuDiscoveryConfig, TransportConfig, VarInt};

use crate::trial::settings::{Congestion, StackSettings};
use crate::trial::stack::{QuicStack, TcpStack, Versions};
use crate::units::{Size, Span};

/// Ten segments (RFC 6928 section 2) of what an Ethernet frame has room for beside the headers of IP and TCP and its
/// timestamps (RFC 7323), in bytes.
const INITIAL_WINDOW: u64 = 10 * 1448;
/// What a connection keeps that was sent and isn't acknowledged yet, in bytes, where both are to be alike: what Linux
/// lets TCP's grow to (tcp(7), `tcp_wmem`).
const SEND_BUFFER: u64 = 4 << 20;
/// The longest datagram that is looked for, in bytes of UDP payload: an Ethernet frame's, over IPv6.
const LONGEST_DATAGRAM: u16 = 1452;
/// How long quinn lets itself wait with an acknowledgement: what it tells its peers is what they expect of one that says
/// nothing (RFC 9000 section 18.2), and can't be set.
const ACK_DELAY: Duration = Duration::from_millis(25);

sockopt_impl!(
    /// What TCP says of a connection (tcp(7)).
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    libc::tcp_info
);

/// Chooses a socket's congestion control: of one that listens, that of all that it accepts. Which ones an ordinary user
/// may choose is the system's to say (`net.ipv4.tcp_allowed_congestion_control`); what came of it is found on connections.
pub(super) fn choose_congestion(socket: &impl AsFd, stack: StackSettings) {
    let Some(congestion) = stack.congestion() else { return };
    if let Err(error) = setsockopt(socket, TcpCongestion, &OsString::from(congestion.name())) {
        tracing::warn!(%error, congestion = congestion.name(), "TCP keeps its congestion control");
    }
}

/// What is found of TCP's on this socket, whose connection has just begun.
pub(super) fn tcp(socket: &impl AsFd) -> TcpStack {
    let info = found(socket, TcpInfo);
    let congestion = found(socket, TcpCongestion).and_then(|name| name.into_string().ok());
    let congestion = congestion.map(|name| name.trim_end_matches('\0').to_owned());
    // One that no rate was asked of says the greatest that there is.
    let told_to = info.is_some_and(|info| info.tcpi_max_pacing_rate != u64::MAX);
    let paced = congestion.as_deref().map(|name| name == Congestion::Bbr.name() || told_to);
    TcpStack {
        implementation: kernel(),
        congestion,
        initial_window: info.map(|info| info.tcpi_snd_cwnd),
        mss: info.map(|info| info.tcpi_snd_mss),
        mtu: info.map(|info| info.tcpi_pmtu),
        nodelay: found(socket, TcpNoDelay),
        slow_start_after_idle: slow_start_after_idle(),
        paced,
        send_buffer: found(socket, SndBuf).map(size),
        send_buffer_most: third(of_kernel("tcp_wmem")),
        receive_buffer: found(socket, RcvBuf).map(size),
        receive_buffer_most: third(of_kernel("tcp_rmem")),
    }
}

/// What TCP does by itself in the network that this thread is in, and so for whoever asks nothing else of it.
pub fn of_network() -> TcpStack {
    TcpStack {
        implementation: kernel(),
        congestion: of_kernel("tcp_congestion_control").map(|name| name.trim().to_owned()),
        slow_start_after_idle: slow_start_after_idle(),
        send_buffer_most: third(of_kernel("tcp_wmem")),
        receive_buffer_most: third(of_kernel("tcp_rmem")),
        ..TcpStack::default()
    }
}

fn slow_start_after_idle() -> Option<bool> {
    of_kernel("tcp_slow_start_after_idle").map(|value| value.trim() != "0")
}

fn found<O: GetSockOpt>(socket: &impl AsFd, option: O) -> Option<O::Val> {
    getsockopt(socket, option).ok()
}

fn size(bytes: usize) -> Size {
    Size::from_bytes(bytes as u64)
}

/// A setting of TCP's in the network that this thread is in.
fn of_kernel(name: &str) -> Option<String> {
    std::fs::read_to_string(Path::new("/proc/sys/net/ipv4").join(name)).ok()
}

/// The most of `least first most`.
fn third(text: Option<String>) -> Option<Size> {
    text?.split_whitespace().nth(2)?.parse().ok().map(Size::from_bytes)
}

/// `Linux 6.1.0`.
fn kernel() -> Option<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    Some(format!("Linux {}", release.trim()))
}

/// What is set of QUIC's connections and can't be read from one afterwards.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuicSetup {
    /// After how long a silence the peer is asked.
    pub(super) keep_alive: Option<Duration>,
    /// What is kept that was sent and isn't acknowledged yet, in bytes, unless the profile has its own.
    pub(super) send_window: u64,
    /// What the peer may send ahead on one stream, and on all together, in bytes.
    pub(super) stream_window: u32,
    pub(super) receive_window: u32,
    /// As the trial wants it.
    pub(super) stack: StackSettings,
}

impl QuicSetup {
    /// How connections are to be; streams and datagrams are whose connections they are to say.
    pub(super) fn transport(self) -> TransportConfig {
        let mut transport = TransportConfig::default();
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(LONGEST_DATAGRAM);
        transport
            .max_idle_timeout(self.stack.idle_timeout.duration().try_into().ok())
            .keep_alive_interval(self.keep_alive)
            .send_window(self.send_window())
            .stream_receive_window(self.stream_window.into())
            .receive_window(VarInt::from_u32(self.receive_window))
            .mtu_discovery_config(Some(discovery));
        if let Some(congestion) = self.stack.congestion() {
            transport.congestion_controller_factory(factory(congestion, self.stack.is_parity()));
        }
        transport
    }

    fn send_window(self) -> u64 {
        if self.stack.is_parity() { SEND_BUFFER } else { self.send_window }
    }

    /// Makes room in a UDP socket for so many bytes that are received and not read yet; where both are to be alike, for as
    /// much as TCP's has. The kernel gives what it allows everybody (`net.core.rmem_max`), or to who may administer the
    /// network all of it (`SO_RCVBUFFORCE`), and doubles what it is asked for (socket(7)).
    pub(super) fn make_room(self, socket: &impl AsFd, receive: usize) {
        let alike = usize::try_from(SEND_BUFFER / 2).unwrap_or(usize::MAX);
        let receive = if self.stack.is_parity() { alike } else { receive };
        let received = setsockopt(socket, RcvBufForce, &receive).or_else(|_| setsockopt(socket, RcvBuf, &receive));
        let sent = if self.stack.is_parity() {
            setsockopt(socket, SndBufForce, &alike).or_else(|_| setsockopt(socket, SndBuf, &alike))
        } else {
            Ok(())
        };
        if let Err(error) = received.and(sent) {
            tracing::debug!(%error, "a UDP socket keeps its buffers");
        }
    }

    /// What is found of QUIC's on a connection that has just begun, on a socket with these buffers.
    pub(super) fn found(self, connection: &quinn::Connection, buffers: UdpBuffers) -> QuicStack {
        let controller = connection.congestion_state();
        let initial_window = controller.initial_window();
        let congestion = congestion_of(&*controller.into_any()).map(|congestion| congestion.name().to_owned());
        let mtu = connection.stats().path.current_mtu;
        QuicStack {
            implementation: version("quinn").map(|version| format!("quinn {version}")),
            congestion,
            initial_window: Some(Size::from_bytes(initial_window)),
            mtu: Some(mtu.into()),
            mtu_looked_for: Some(LONGEST_DATAGRAM.into()),
            ack_delay: Some(span(ACK_DELAY)),
            // It does so always.
            paced: Some(true),
            idle_timeout: Some(self.stack.idle_timeout),
            keep_alive: self.keep_alive.map(span),
            send_window: Some(Size::from_bytes(self.send_window())),
            receive_window: Some(Size::from_bytes(self.receive_window.into())),
            send_buffer: buffers.send,
            receive_buffer: buffers.receive,
        }
    }
}

/// What a UDP socket keeps.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UdpBuffers {
    send: Option<Size>,
    receive: Option<Size>,
}

impl UdpBuffers {
    /// Those of this one.
    pub(super) fn of(socket: &impl AsFd) -> Self {
        Self { send: found(socket, SndBuf).map(size), receive: found(socket, RcvBuf).map(size) }
    }
}

fn span(duration: Duration) -> Span {
    Span::from_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// quinn's own initial window is ten of the shortest datagrams that any path carries; `alike`: as many bytes as TCP's.
fn factory(congestion: Congestion, alike: bool) -> Arc<dyn ControllerFactory + Send + Sync> {
    match congestion {
        Congestion::Cubic => {
            let mut config = CubicConfig::default();
            if alike {
                config.initial_window(INITIAL_WINDOW);
            }
            Arc::new(config)
        }
        Congestion::Bbr => {
            let mut config = BbrConfig::default();
            if alike {
                config.initial_window(INITIAL_WINDOW);
            }
            Arc::new(config)
        }
        Congestion::Reno => {
            let mut config = NewRenoConfig::default();
            if alike {
                config.initial_window(INITIAL_WINDOW);
            }
            Arc::new(config)
        }
    }
}

fn congestion_of(controller: &dyn Any) -> Option<Congestion> {
    let known = [
        (controller.is::<Cubic>(), Congestion::Cubic),
        (controller.is::<Bbr>(), Congestion::Bbr),
        (controller.is::<NewReno>(), Congestion::Reno),
    ];
    known.into_iter().find_map(|(is, congestion)| is.then_some(congestion))
}

/// The libraries that speak, and the versions that this program was built with.
static LIBRARIES: LazyLock<Versions> = LazyLock::new(|| {
    let lock: toml::Table = include_str!("../../Cargo.lock").parse().unwrap_or_default();
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let version = |package: &toml::Value| {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
        Some((text("name")?, text("version")?)).filter(|(name, _)| SPEAKING.contains(&name.as_str()))
    };
    packages.filter_map(version).collect()
});

/// Whatever of the libraries has a say in what is sent when.
const SPEAKING: [&str; 6] = ["h2", "h3", "hyper", "quinn", "quinn-proto", "rustls"];

fn version(library: &str) -> Option<&'static str> {
    LIBRARIES.get(library).map(String::as_str)
}

/// The versions of what speaks here: the kernel's and the libraries'.
pub fn versions() -> Versions {
    let kernel = kernel().and_then(|kernel| kernel.strip_prefix("Linux ").map(str::to_owned));
    let kernel = kernel.map(|release| ("linux".to_owned(), release));
    LIBRARIES.clone().into_iter().chain(kernel).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::trial::settings::{CongestionChoice, StackProfile};

    #[test]
    fn every_library_that_speaks_has_a_version() {
        let versions = versions();
        for library in SPEAKING.into_iter().chain(["linux"]) {
            assert!(versions.get(library).is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit())));
        }
    }

    #[test]
    fn a_socket_says_what_it_has_and_not_what_was_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Every Linux has this one, and lets everybody choose it (tcp(7)).
        let reno = StackSettings {
            profile: StackProfile::AsShipped,
            congestion: CongestionChoice::Reno,
            ..StackSettings::default()
        };
        choose_congestion(&listener, reno);
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(tcp(&server).congestion.as_deref(), Some("reno"), "it is the listener's");
        assert_eq!(tcp(&server).nodelay, Some(false));
        server.set_nodelay(true).unwrap();
        let found = tcp(&server);
        assert_eq!((found.nodelay, found.paced), (Some(true), Some(false)));
        assert_eq!(found.initial_window, Some(10), "RFC 6928");
        assert!(found.mss.unwrap() < found.mtu.unwrap(), "{found:?}");
        assert!(found.send_buffer.unwrap() <= found.send_buffer_most.unwrap(), "{found:?}");
        let theirs = of_kernel("tcp_congestion_control").unwrap();
        assert_eq!(tcp(&client).congestion.as_deref(), Some(theirs.trim()), "nobody has asked anything of it");
    }
}
