//! The server's end of a session: events as they are published, each mode in its way.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use http::StatusCode;
use quinn::SendStream;

use super::publish::receive;
use super::{Mode, SessionSettings};
use crate::feed::{CursorItem, Gap};
use crate::text::chain;
use crate::transport::{FeedReader, Reply, SubscriptionRequest, json};
use crate::trial::ServerFact;
use crate::wire::quic::session::SessionError;
use crate::wire::{Bound, ResponseBody, Session, Sink, refusal};

/// How many streams of one session may be open at once: a reader that doesn't acknowledge them gets no more, and
/// where they are left open on purpose the oldest is ended.
const MAX_OPEN: usize = 1024;
/// How long a reader may take to acknowledge what it was sent before its session is closed.
const LINGER: Duration = Duration::from_secs(1);
/// What a line says that isn't there for an event.
const HEARTBEAT: Bytes = Bytes::from_static(b"\n");

pub(in crate::transport) fn serve(reading: SubscriptionRequest<'_>, table: SessionSettings) -> Reply {
    let SessionSettings { mode, finish, .. } = table;
    let mode = match reading.query.get("mode") {
        None => mode,
        Some(word) => match Mode::find(word) {
            Some(mode) => mode,
            None => return unknown(word).into(),
        },
    };
    let reader = reading.pending.after(reading.after);
    let publishing = reading.publishing;
    http::Response::new(ResponseBody::session(move |session| async move {
        let writing = Writing { session: &session, reader, sink: &publishing.sink };
        let write = async {
            match mode {
                Mode::Stream => writing.stream().await,
                Mode::Streams => writing.streams(finish).await,
                Mode::Datagrams => writing.datagrams().await,
            }
        };
        tokio::select! {
            written = write => {
                match written {
                    Ok(()) => session.close(0, "the feed ended its readers").await,
                    Err(error) => session.close(0, &chain(&error)).await,
                }
            }
            () = receive(&session, &publishing) => {}
        }
    }))
    .into()
}

fn unknown(word: &str) -> http::Response<ResponseBody> {
    let words = Mode::ALL.map(Mode::word).join(", ");
    let word: String = word.chars().take(64).collect();
    refusal(StatusCode::BAD_REQUEST, &format!("no mode `{word}`; there are {words}"))
}

/// Why nothing more is written.
#[derive(Debug, thiserror::Error)]
enum SessionWriteError {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("the reader stopped its stream")]
    Stopped(#[from] quinn::WriteError),
}

/// What is written to whom.
struct Writing<'a> {
    session: &'a Session,
    reader: FeedReader,
    sink: &'a Sink<ServerFact>,
}

impl Writing<'_> {
    async fn stream(mut self) -> Result<(), SessionWriteError> {
        let mut stream = self.session.open_uni().await?;
        loop {
            let line = match self.reader.next().await {
                CursorItem::Event(event) => json::line(&event),
                CursorItem::Gap(gap) => json::gap_line(gap),
                CursorItem::Beat => HEARTBEAT,
                CursorItem::End => break,
            };
            stream.write_chunk(line).await?;
        }
        let _ = stream.finish();
        let _ = tokio::time::timeout(LINGER, stream.stopped()).await;
        Ok(())
    }

    async fn streams(mut self, finish: bool) -> Result<(), SessionWriteError> {
        // Every stream until all of it is acknowledged, or the reader has stopped it; and those that aren't ended.
        let mut sent = FuturesUnordered::new();
        let mut open: VecDeque<SendStream> = VecDeque::new();
        loop {
            let next = tokio::select! {
                biased;
                // What is let go of here gives the reader its credit back.
                Some(id) = sent.next(), if !sent.is_empty() => {
                    open.retain(|stream| stream.id() != id);
                    continue;
                }
                next = self.reader.next(), if sent.len() < MAX_OPEN => next,
            };
            let object = match next {
                CursorItem::Event(event) => json::object(&event),
                CursorItem::Gap(gap) => json::gap_object(gap),
                // QUIC's own keep-alive says as much.
                CursorItem::Beat => continue,
                CursorItem::End => break,
            };
            let opening = self.session.open_uni();
            let mut opening = std::pin::pin!(opening);
            let mut stream = loop {
                // Until there is credit, which the reader may give for what it stops.
                tokio::select! {
                    opened = &mut opening => break opened?,
                    Some(id) = sent.next(), if !sent.is_empty() => open.retain(|stream| stream.id() != id),
                }
            };
            match stream.write_chunk(object).await {
                // This event the reader doesn't want; there may be others that it does.
                Ok(()) | Err(quinn::WriteError::Stopped(_)) => {}
                Err(error) => return Err(error.into()),
            }
            let id = stream.id();
            sent.push(stream.stopped().map(move |_| id));
            if finish {
                let _ = stream.finish();
                continue;
            }
            open.push_back(stream);
            if sent.len() >= MAX_OPEN
                && let Some(mut oldest) = open.pop_front()
            {
                static BOUND: Bound = Bound::new("open-streams");
                BOUND.reached(self.sink);
                let _ = oldest.finish();
            }
        }
        for mut stream in open {
            let _ = stream.finish();
        }
        let _ = tokio::time::timeout(LINGER, async { while sent.next().await.is_some() {} }).await;
        Ok(())
    }

    async fn datagrams(mut self) -> Result<(), SessionWriteError> {
        loop {
            let object = match self.reader.next().await {
                CursorItem::Event(event) => json::object(&event),
                CursorItem::Gap(gap) => json::gap_object(gap),
                CursorItem::Beat => continue,
                CursorItem::End => return Ok(()),
            };
            match self.session.send_datagram_in_turn(&object).await {
                Ok(()) => {}
                Err(SessionError::TooLong { .. }) => {
                    static BOUND: Bound = Bound::new("datagram-size");
                    BOUND.reached(self.sink);
                    let gap = Gap { missed: Some(1), first: None };
                    self.session.send_datagram_in_turn(&json::gap_object(gap)).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
