//! Tunnels between our two ends.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transport_lab::wire::Tunnel;

use crate::echo::{Echo, soon};

async fn open(echo: &Echo) -> Tunnel {
    let (head, tunnel) = soon("a tunnel", echo.dial().await.tunnel("/t", "websocket", &[])).await.unwrap();
    assert_eq!((head.status.as_u16(), head.headers.get("sec-websocket-accept")), (200, None), "RFC 9220 section 3");
    tunnel.unwrap()
}

#[tokio::test]
async fn a_megabyte_comes_back_through_a_tunnel_and_ends_with_it() {
    let echo = Echo::start();
    let (mut read, mut write) = tokio::io::split(open(&echo).await);
    let sent: Vec<u8> = (0..1 << 20).map(|k: u32| k.to_le_bytes()[0] ^ k.to_le_bytes()[1]).collect();
    let writing = async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let (read, ()) = soon("all of it", async { tokio::join!(read.read_to_end(&mut received), writing) }).await;
    assert_eq!(read.unwrap(), sent.len());
    assert!(received == sent);
    echo.assert_well().await;
}

#[tokio::test]
async fn a_tunnel_that_its_client_drops_ends_at_the_server() {
    let echo = Echo::start();
    let dialled = echo.dial().await;
    let (_, tunnel) = dialled.try_clone().unwrap().tunnel("/t", "websocket", &[]).await.unwrap();
    echo.sees("the tunnel", |seen| seen.open == 1).await;
    drop(tunnel);
    echo.sees("its end", |seen| seen.open == 0).await;
    assert_eq!(dialled.get("/ping", &[]).await.unwrap().status, 204, "on the same connection");
}

#[tokio::test]
async fn tunnels_and_sessions_end_with_their_connection() {
    let echo = Echo::start();
    let tunnel = open(&echo).await;
    let (_, session) = echo.dial().await.session("/s", "webtransport", &[]).await.unwrap();
    echo.sees("both", |seen| seen.open == 2).await;
    drop((tunnel, session));
    echo.sees("their end", |seen| seen.open == 0 && seen.disconnected == 2 && seen.requests == 2).await;
}
