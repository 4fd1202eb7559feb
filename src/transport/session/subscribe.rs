//! The native client's end of a session.

use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use quinn::RecvStream;
use tokio::sync::mpsc;

use super::{Mode, Publish, SessionSettings};
use crate::transport::lines::Lines;
use crate::transport::{ClientSubscription, EndReason, Receipts, ServerMessage, with_query};
use crate::wire::Session;
use crate::wire::quic::session::SessionError;

/// How long an event may be on its way here, in bytes: the longest there is, were each of its letters escaped.
const MAX_JSON_BYTES: usize = 8 * 1024 * 1024;
/// How much is read from a stream at once, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;
/// How many streams are read at once; further ones wait.
const MAX_READING: usize = 1024;
/// How long a server that ended its stream may take to say how the session ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// Reads until the session ends, and sends what is to be published meanwhile.
pub(in crate::transport) async fn subscribe(
    token: &str,
    subscribing: ClientSubscription<'_>,
    table: SessionSettings,
) -> EndReason {
    let ClientSubscription { pool, target, path, receipts, outgoing, .. } = subscribing;
    let SessionSettings { mode, publish, .. } = table;
    let mut path = with_query(path, "mode", mode.word());
    if let Some(last) = receipts.last() {
        path = with_query(&path, "after", last);
    }
    let asked = match pool.connect(target).await {
        Ok(connection) => connection.session(&path, token, &[]).await,
        Err(error) => return error.into(),
    };
    let session = match asked {
        Ok((_, Some(session))) => session,
        Ok((head, None)) => return EndReason::answered(head.status),
        Err(error) => return error.into(),
    };
    receipts.opened();
    let read = async {
        match mode {
            Mode::Stream => stream(&session, receipts).await,
            Mode::Streams => streams(&session, receipts).await,
            Mode::Datagrams => datagrams(&session, receipts).await,
        }
    };
    let broke = tokio::select! {
        broke = read => broke,
        never = send(&session, publish, outgoing) => match never {},
    };
    match broke {
        Some(reason) => reason,
        None => match tokio::time::timeout(FAREWELL, session.ended()).await {
            Ok(ended) => format!("the session ended: {ended}").into(),
            Err(_) => EndReason::stream_ended(),
        },
    }
}

/// What can never be.
enum Never {}

/// Sends each event in its turn. What can't be sent is lost, as the session is.
async fn send(session: &Session, publish: Publish, outgoing: Option<mpsc::Receiver<String>>) -> Never {
    if let Some(mut outgoing) = outgoing {
        while let Some(data) = outgoing.recv().await {
            let sent = match publish {
                Publish::Datagram => session.send_datagram_in_turn(data.as_bytes()).await,
                Publish::Stream => send_stream(session, &data).await,
            };
            if let Err(error) = sent {
                tracing::debug!(%error, "an event was not sent");
            }
        }
    }
    std::future::pending().await
}

async fn send_stream(session: &Session, data: &str) -> Result<(), SessionError> {
    let mut stream = session.open_uni().await?;
    // Fails with the session, or where the server stops the stream, which is its answer.
    if stream.write_all(data.as_bytes()).await.is_ok() {
        let _ = stream.finish();
    }
    Ok(())
}

/// Why reading ended; `None`: with the session.
type Broke = Option<EndReason>;

async fn stream(session: &Session, receipts: &mut Receipts) -> Broke {
    let mut stream = session.accept_uni().await.ok()?;
    let mut lines = Lines::default();
    // What has come is read before the session's end is looked at: a connection that is lost still has it.
    while let Ok(Some(chunk)) = stream.read_chunk(CHUNK_BYTES, true).await {
        let mut wrong = None;
        // An empty line is a sign of life, and passed over.
        let pushed = lines.push(&chunk.bytes, |line| wrong = wrong.take().or(note(line, receipts).err()));
        if let Some(reason) = wrong.or(pushed.err().map(|error| EndReason::failure(&error))) {
            return Some(reason);
        }
    }
    None
}

async fn streams(session: &Session, receipts: &mut Receipts) -> Broke {
    let mut reading = FuturesUnordered::new();
    let mut ended = false;
    loop {
        tokio::select! {
            Some(read) = reading.next(), if !reading.is_empty() => match read {
                // It may stay open behind its event; dropped, it would be stopped.
                Ok(Some((told, stream))) => {
                    ServerMessage::note(told, receipts);
                    reading.push(one(stream, false));
                }
                Ok(None) => {}
                Err(reason) => return Some(reason),
            },
            accepted = session.accept_uni(), if !ended && reading.len() < MAX_READING => match accepted {
                Ok(stream) => reading.push(one(stream, true)),
                Err(_) => ended = true,
            },
            else => return None,
        }
    }
}

/// Reads a stream's one event, as soon as all of it is there; or else until the stream's end.
async fn one(mut stream: RecvStream, event: bool) -> Result<Option<(ServerMessage, RecvStream)>, EndReason> {
    let mut object = BytesMut::new();
    while let Ok(Some(chunk)) = stream.read_chunk(CHUNK_BYTES, true).await {
        if !event {
            continue;
        }
        object.extend_from_slice(&chunk.bytes);
        if object.len() > MAX_JSON_BYTES {
            return Err(format!("the server sent an event of more than {MAX_JSON_BYTES} bytes").into());
        }
        // The stream's end may come later, or not at all.
        if object.ends_with(b"}")
            && let Ok(told) = ServerMessage::read(&object)
        {
            return Ok(Some((told, stream)));
        }
    }
    Ok(None)
}

async fn datagrams(session: &Session, receipts: &mut Receipts) -> Broke {
    loop {
        let datagram = session.datagram().await.ok()?;
        if let Err(reason) = note(&datagram, receipts) {
            return Some(reason);
        }
    }
}

fn note(json: &[u8], receipts: &mut Receipts) -> Result<(), EndReason> {
    let told = ServerMessage::read(json).map_err(|error| format!("the server sent what is no event: {error}"))?;
    told.note(receipts);
    Ok(())
}
