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

/// Every address of this machine, for `bind`. An IPv6 socket takes IPv4 as well, unless the system was told otherwise
/// (`net.ipv6.bindv6only`, ip(7)); then, or without IPv6, IPv4 has a socket of its own.
pub fn everywhere() -> Vec<IpAddr> {
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let bound = UdpSocket::bind((v6, 0)).ok();
    let port = bound.as_ref().and_then(|socket| Some(socket.local_addr().ok()?.port()));
    match port {
        None => vec![v4],
        // Free for IPv4 while IPv6 has it: the two are apart.
        Some(port) if UdpSocket::bind((v4, port)).is_ok() => vec![v4, v6],
        Some(_) => vec![v6],
    }
}

/// Where other machines reach this one by that name or address (a URL's, IPv6 in brackets): at the address itself where it is
/// one of this machine's, and everywhere where it is a name, or somebody's who passes on to this machine.
pub fn reached_by(host: &str) -> Vec<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let own = bare.parse().ok().filter(|address: &IpAddr| UdpSocket::bind((*address, 0)).is_ok());
    own.map_or_else(everywhere, |address| vec![address])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_bound_once_for_ipv4() {
        let sockets: Vec<_> = everywhere()
            .into_iter()
            .scan(0, |port, ip| {
                let socket = UdpSocket::bind((ip, *port)).unwrap();
                *port = socket.local_addr().unwrap().port();
                Some(socket)
            })
            .collect();
        let port = sockets[0].local_addr().unwrap().port();
        assert!(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_err(), "IPv4 is listened on");
    }

    #[test]
    fn an_address_of_this_machine_is_listened_at_alone() {
        assert_eq!(reached_by("127.0.0.2"), ["127.0.0.2".parse::<IpAddr>().unwrap()]);
        // RFC 5737: nobody's.
        assert_eq!(reached_by("192.0.2.7"), everywhere());
        assert_eq!(reached_by("lab.example"), everywhere());
    }
}
