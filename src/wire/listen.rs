//! Sockets to listen on: the same port on several addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use tokio::net::TcpListener;

use crate::wire::WireError;

/// How often a free port is looked for that all addresses have.
const TRIES: usize = 50;

/// The loopback addresses that this machine has. Browsers try `localhost` on IPv6 first, so both are wanted.
pub fn loopback() -> Vec<IpAddr> {
    let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    both.into_iter().filter(|ip| UdpSocket::bind((*ip, 0)).is_ok()).collect()
}

/// Listens on TCP at this port of all addresses; port 0 finds one that is free on all of them.
pub async fn tcp(addresses: &[IpAddr], port: u16) -> Result<(Vec<TcpListener>, u16), WireError> {
    let mut last = None;
    for _ in 0..if port == 0 { TRIES } else { 1 } {
        let mut listeners = Vec::new();
        let mut chosen = port;
        let mut failed = false;
        for ip in addresses {
            let address = SocketAddr::new(*ip, chosen);
            match TcpListener::bind(address).await.and_then(|l| Ok((l.local_addr()?.port(), l))) {
                Ok((bound, listener)) => {
                    chosen = bound;
                    listeners.push(listener);
                }
                Err(source) => {
                    last = Some(WireError::Listen { address, source });
                    failed = true;
                    break;
                }
            }
        }
        if !failed {
            return Ok((listeners, chosen));
        }
    }
    Err(last.unwrap_or_else(no_address))
}

/// The same for UDP.
pub fn udp(addresses: &[IpAddr], port: u16) -> Result<(Vec<UdpSocket>, u16), WireError> {
    let mut last = None;
    for _ in 0..if port == 0 { TRIES } else { 1 } {
        let mut chosen = port;
        let mut bind = |ip: &IpAddr| {
            let address = SocketAddr::new(*ip, chosen);
            let bound = UdpSocket::bind(address).and_then(|socket| Ok((socket.local_addr()?.port(), socket)));
            bound
                .map(|(port, socket)| (chosen = port, socket).1)
                .map_err(|source| WireError::Listen { address, source })
        };
        match addresses.iter().map(&mut bind).collect::<Result<Vec<_>, _>>() {
            Ok(sockets) => return Ok((sockets, chosen)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(no_address))
}

/// Both at the same port; port 0 finds one that is free for either on all addresses.
pub async fn both(addresses: &[IpAddr], port: u16) -> Result<(Vec<TcpListener>, Vec<UdpSocket>, u16), WireError> {
    let mut last = None;
    for _ in 0..if port == 0 { TRIES } else { 1 } {
        let (listeners, chosen) = tcp(addresses, port).await?;
        match udp(addresses, chosen) {
            Ok((sockets, _)) => return Ok((listeners, sockets, chosen)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(no_address))
}

fn no_address() -> WireError {
    let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "no address was given");
    WireError::Listen { address: SocketAddr::from(([127, 0, 0, 1], 0)), source }
}
