//! TCP, and TLS on it with one ALPN.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{AlertDescription, ProtocolVersion};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::error::{CONNECT_TIMEOUT, DialError};
use crate::diagnose::aim::Aim;
use crate::diagnose::guest::Guest;
use crate::diagnose::tls::{SeenCertificate, SeenTls, config, fault_in_words};
use crate::trial::Alpn;
use crate::wire::Tunnel;

pub(super) async fn connect(aim: &Aim) -> Result<(TcpStream, SocketAddr), DialError> {
    let (host, port) = (aim.host(), aim.port());
    let slow = || DialError::Slow { peer: aim.authority() };
    let found = timeout(CONNECT_TIMEOUT, lookup_host((host.as_str(), port))).await;
    let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let found = found.map_err(|source| DialError::Resolve { host: host.clone(), source })?;
    let mut last = None;
    for address in found {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                // What is small and urgent isn't to wait for more (RFC 1122 section 4.2.3.4).
                let _ = tcp.set_nodelay(true);
                return Ok((tcp, address));
            }
            Ok(Err(source)) => last = Some(DialError::Connect { peer: address.to_string(), source }),
            Err(_) => last = Some(slow()),
        }
    }
    Err(last.unwrap_or(DialError::NoAddress(host)))
}

pub(super) async fn secure(
    tcp: TcpStream,
    aim: &Aim,
    guest: &Guest,
    alpn: Alpn,
) -> Result<(Tunnel, SeenTls), DialError> {
    let peer = || aim.authority();
    let (config, fault) = config(guest, alpn)?;
    let name = aim.server_name().ok_or_else(|| DialError::Name(aim.host()))?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    let connected = timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| DialError::Slow { peer: peer() })?;
    let stream = match connected {
        Ok(stream) => stream,
        Err(source) => {
            let inner = source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            if matches!(inner, Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol))) {
                return Err(DialError::Alpn { peer: peer(), alpn });
            }
            return Err(match fault_in_words(&fault) {
                Some(fault) => DialError::Certificate { peer: peer(), fault },
                None => DialError::Tls { peer: peer(), source },
            });
        }
    };
    let session = stream.get_ref().1;
    match session.alpn_protocol() {
        Some(chosen) if chosen == alpn.wire() => {}
        // RFC 9112 needs no ALPN.
        None if alpn == Alpn::H1 => {}
        _ => return Err(DialError::Alpn { peer: peer(), alpn }),
    }
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
        other => format!("{other:?}"),
    };
    let chain = session.peer_certificates().unwrap_or_default().iter().filter_map(SeenCertificate::read).collect();
    let seen = SeenTls { version, chain, fault: fault_in_words(&fault) };
    Ok((Box::new(stream), seen))
}
