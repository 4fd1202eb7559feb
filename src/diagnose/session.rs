//! A WebTransport session that is read for a while. Nothing is sent on it but its end.

use std::time::Duration;

use bytes::Bytes;
use quinn::RecvStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::said::SaidEvent;
use super::stamp::stamp;
use super::visit::SeenSocket;
use crate::text::visible;
use crate::trial::Alpn;
use crate::wire::Session;

/// How many messages are read, and how long one is, in bytes.
const MAX_MESSAGES: usize = 20_000;
const MAX_MESSAGE: usize = 64 * 1024;
/// How many of a server's streams are read; what it opens beyond is refused.
const MAX_STREAMS: usize = 1000;
/// How many messages wait to be looked at.
const WAITING: usize = 64;
/// How long the end may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads it for so long: each datagram, and what comes at once on a stream, is a message.
pub(super) async fn read(session: Session, window: Duration) -> SeenSocket {
    let begun = Instant::now();
    let mut seen = SeenSocket::on(Alpn::H3);
    let (sends, mut messages) = mpsc::channel(WAITING);
    let (mut streams, mut last) = (JoinSet::new(), Duration::ZERO);
    while seen.said.events.len() < MAX_MESSAGES {
        let next = async {
            tokio::select! {
                Ok(stream) = session.accept_uni(), if streams.len() < MAX_STREAMS => Next::Stream(stream),
                Ok((_, stream)) = session.accept_bi(), if streams.len() < MAX_STREAMS => Next::Stream(stream),
                Ok(datagram) = session.datagram() => Next::Message(datagram),
                Some(message) = messages.recv() => Next::Message(message),
                Some(_) = streams.join_next(), if !streams.is_empty() => Next::StreamEnded,
                ended = session.ended() => Next::Ended(format!("with {ended}")),
            }
        };
        let Ok(next) = timeout_at(begun + window, next).await else { break };
        let at = begun.elapsed();
        match next {
            Next::Stream(stream) => {
                streams.spawn(pass_on(stream, sends.clone()));
                continue;
            }
            Next::StreamEnded => continue,
            Next::Message(data) => {
                let stamp = stamp(&String::from_utf8_lossy(&data));
                seen.said.events.push(SaidEvent { at, id: String::new(), stamp });
            }
            Next::Ended(how) => {
                seen.closed = Some(visible(&how).into_owned());
                seen.ended = Some((at, last));
                break;
            }
        }
        last = at;
    }
    if seen.ended.is_none() {
        // A server that doesn't take it notices by the connection's end.
        let _ = timeout(CLOSE_TIMEOUT, session.close(0, "")).await;
    }
    seen
}

enum Next {
    Stream(RecvStream),
    StreamEnded,
    Message(Bytes),
    Ended(String),
}

async fn pass_on(mut stream: RecvStream, to: mpsc::Sender<Bytes>) {
    while let Ok(Some(chunk)) = stream.read_chunk(MAX_MESSAGE, true).await {
        if to.send(chunk.bytes).await.is_err() {
            return;
        }
    }
}
