//! What a client sends in a session: each of its streams, and each of its datagrams, is one event.

use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use quinn::{RecvStream, SendStream};
use serde_json::json;

use crate::feed::{EventId, MAX_EVENT_BYTES};
use crate::text::chain;
use crate::transport::{PublishError, Published, Publishing};
use crate::wire::{BODY_TIMEOUT, Session};

/// How many of a client's streams are read at once; further ones wait.
const MAX_READING: usize = 32;
/// What a stream is stopped with whose event is too long. As in HTTP.
const TOO_LONG: u32 = 413;

/// Why an event was not published.
#[derive(Debug, thiserror::Error)]
enum SessionPublishError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("the event did not arrive whole in time")]
    CutShort,
}

/// Publishes what the client sends until the session ends.
pub(super) async fn receive(session: &Session, publishing: &Publishing) {
    let mut reading = FuturesUnordered::new();
    loop {
        let room = reading.len() < MAX_READING;
        tokio::select! {
            Some(()) = reading.next(), if !reading.is_empty() => {}
            accepted = session.accept_uni(), if room => match accepted {
                Ok(stream) => reading.push(Either::Left(one_way(session, stream, publishing))),
                Err(_) => return,
            },
            accepted = session.accept_bi(), if room => match accepted {
                Ok(streams) => reading.push(Either::Right(Either::Left(both_ways(session, streams, publishing)))),
                Err(_) => return,
            },
            datagram = session.datagram() => match datagram {
                Ok(data) => match publishing.publish("message", &data, None) {
                    Ok(Published::Done(_)) => {}
                    Ok(under_way) if room => reading.push(Either::Right(Either::Right(datagram_taken(under_way)))),
                    // As with any datagram, nobody is told.
                    Ok(_) => {}
                    Err(error) => tracing::debug!(%error, "a datagram was not published"),
                },
                Err(_) => return,
            },
        }
    }
}

async fn datagram_taken(publication: Published) {
    if let Err(error) = publication.taken().await {
        tracing::debug!(%error, "a datagram was not published");
    }
}

async fn one_way(session: &Session, mut stream: RecvStream, publishing: &Publishing) {
    if let Err(error) = whole(session, &mut stream, publishing).await {
        tracing::debug!(%error, "a stream was not published");
    }
}

async fn both_ways(session: &Session, (mut send, mut recv): (SendStream, RecvStream), publishing: &Publishing) {
    let answer = match whole(session, &mut recv, publishing).await {
        Ok(id) => json!({ "id": id.to_string() }),
        Err(error) => json!({ "error": chain(&error) }),
    };
    // Whoever doesn't want the answer needn't take it.
    if send.write_all(answer.to_string().as_bytes()).await.is_ok() {
        let _ = send.finish();
    }
}

/// Reads a stream to its end and publishes it.
async fn whole(
    session: &Session,
    stream: &mut RecvStream,
    publishing: &Publishing,
) -> Result<EventId, SessionPublishError> {
    let read =
        tokio::time::timeout(BODY_TIMEOUT, read_whole(stream)).await.map_err(|_| SessionPublishError::CutShort)?;
    if let Err(SessionPublishError::Publish(PublishError::TooLong)) = read {
        let _ = stream.stop(session.stream_code(TOO_LONG));
    }
    Ok(publishing.publish_and_see("message", &read?, None).await?)
}

/// Not `read_to_end`, which reads out of order: quinn-proto 0.11.19 gives out again what was sent twice and was read in
/// order before, such as a stream's beginning on HTTP/3, and then panics over the sum.
async fn read_whole(stream: &mut RecvStream) -> Result<BytesMut, SessionPublishError> {
    let mut data = BytesMut::new();
    loop {
        let room = MAX_EVENT_BYTES + 1 - data.len();
        match stream.read_chunk(room, true).await {
            Ok(Some(chunk)) => data.extend_from_slice(&chunk.bytes),
            Ok(None) => return Ok(data),
            Err(_) => return Err(SessionPublishError::CutShort),
        }
        if data.len() > MAX_EVENT_BYTES {
            return Err(PublishError::TooLong.into());
        }
    }
}
