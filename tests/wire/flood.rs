//! First packets of clients that never go on, as those with a forged address do.

use std::collections::HashSet;
use std::net::UdpSocket;
use std::sync::Arc;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use transport_lab::trial::Alpn;
use transport_lab::wire::tls;

use crate::echo::{Echo, PATIENCE, soon};

/// How many first packets come; and how many of them may be answered with the beginning of a handshake.
const PACKETS: usize = 600;
const HANDSHAKES: usize = 256;

/// First packets of so many clients, from a client that dials nobody.
async fn first_packets(echo: &Echo, count: usize) -> Vec<Vec<u8>> {
    let nobody = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let crypto = tls::client(echo.certs.ca(), Alpn::H3).unwrap();
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto).unwrap()));
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let (mut packets, mut seen, mut bytes) = (Vec::new(), HashSet::new(), vec![0; 2000]);
    for _ in 0..count {
        let dialling = endpoint.connect_with(config.clone(), nobody.local_addr().unwrap(), "localhost").unwrap();
        // What earlier ones say in farewell is for the connection that their first packet named.
        loop {
            let length = soon("a packet", nobody.recv(&mut bytes)).await.unwrap();
            let id = bytes[6..6 + usize::from(bytes[5])].to_vec();
            if seen.insert(id) {
                packets.push(bytes[..length].to_vec());
                break;
            }
        }
        drop(dialling);
    }
    packets
}

/// Whether a packet is a Retry (RFC 9000 section 17.2.5).
fn is_retry(packet: &[u8]) -> bool {
    packet[0] & 0xf0 == 0xf0
}

#[tokio::test]
async fn clients_that_begin_and_never_go_on_are_asked_to_show_where_they_are() {
    let echo = Echo::start();
    let packets = first_packets(&echo, PACKETS).await;
    let server = ("127.0.0.1", echo.target.port);
    // Each from a socket of its own: an answer is that of its packet.
    let (begun, retried) = tokio::task::spawn_blocking(move || {
        let (mut begun, mut retried, mut bytes) = (0, 0, [0; 2000]);
        for packet in packets {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.send_to(&packet, server).unwrap();
            let length = socket.recv(&mut bytes).unwrap();
            if is_retry(&bytes[..length]) {
                assert!(length < packet.len(), "no more than came");
                retried += 1;
            } else {
                begun += 1;
            }
        }
        (begun, retried)
    })
    .await
    .unwrap();
    // Those whose time was up meanwhile made room for as many.
    assert!(begun >= HANDSHAKES && retried > 0 && begun + retried == PACKETS, "{begun} and {retried}");
    echo.sees("that it was told", |seen| seen.bounds.iter().any(|bound| bound == "quic-retry")).await;
    // Who does show it is let in.
    echo.assert_well().await;
}
