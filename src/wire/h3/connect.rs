//! Extended CONNECT (RFC 9220): tunnels and sessions on a connection of HTTP/3, beside ordinary requests.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use quinn::{SendStream, VarInt};

use crate::trial::{Dialect, Dialects, ServerFact};
use crate::wire::early::TOO_EARLY;
use crate::wire::h3::codec::capsules::{CapsuleError, Capsules, close_frame};
use crate::wire::h3::codec::message;
use crate::wire::h3::codec::qpack::{self, FieldSectionError};
use crate::wire::h3::codec::section::ConnectProtocol;
use crate::wire::h3::frames::{
    DATA, DataReader, FrameError, H3_MESSAGE_ERROR, H3_NO_ERROR, H3_REQUEST_REJECTED, put_head,
};
use crate::wire::h3::sessions::{SessionQueues, Sessions, prefixes};
use crate::wire::h3::stream_start::Connect;
use crate::wire::h3::tunnel::{H3Tunnel, give_up};
use crate::wire::quic::session::{Ended, SessionDriver};
use crate::wire::{Connection, Exchange, HANDSHAKE_TIMEOUT, Handler, OpenRequest, ResponseBody, Session, date};

/// How long the peer may take to acknowledge a session's end, and a session's user to notice it.
const PARTING: Duration = Duration::from_secs(2);
/// How clients say that they speak drafts up to 06 of WebTransport, and how they want to be answered
/// (draft-ietf-webtrans-http3-02 section 3.3).
pub(in crate::wire) const DRAFT_ASKED: (&str, &str) = ("sec-webtransport-http3-draft02", "1");
const DRAFT_ANSWER: (&str, &str) = ("sec-webtransport-http3-draft", "draft02");

/// What requests on one connection share.
#[derive(Clone)]
pub(in crate::wire) struct ConnectContext<H> {
    pub(in crate::wire) handler: H,
    pub(in crate::wire) connection: Arc<Connection>,
    pub(in crate::wire) quic: quinn::Connection,
    pub(in crate::wire) sessions: Arc<Sessions>,
    /// The dialects of WebTransport that the settings here name.
    pub(in crate::wire) offered: Dialects,
}

/// Answers an extended CONNECT, and does what it opens until that ends.
pub(in crate::wire) async fn serve<H: Handler>(connect: Connect, shared: ConnectContext<H>) {
    let Connect { mut send, recv, protocol, section } = connect;
    let (id, quic, sessions) = (VarInt::from(send.id()), shared.quic.clone(), Arc::clone(&shared.sessions));
    let early = recv.is_0rtt();
    // However this ends: nothing waits any longer for what this stream opens.
    let mut place = FilteredStream { sessions: &sessions, id, counted: false };
    let mut reader = DataReader::new(recv);
    let asked = Asked { section: &section, protocol };
    let answered = if early { Ok((false, TOO_EARLY.response())) } else { asked.answer(&shared, &mut place).await };
    let (draft, response) = match answered {
        Ok(answered) => answered,
        Err(FieldSectionError::TooLong) => (false, refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)),
        Err(FieldSectionError::Stream(code)) => return give_up(&mut send, &mut reader, code),
        Err(FieldSectionError::Connection(code)) => return quic.close(code, b"a header that can't be read"),
    };
    let (mut head, body) = response.into_parts();
    date::put(&mut head.headers);
    if draft && head.status.is_success() {
        head.headers.insert(DRAFT_ANSWER.0, HeaderValue::from_static(DRAFT_ANSWER.1));
    }
    let body = match accepted(protocol, head.status, body) {
        Accepted::Tunnel(run) => {
            if send.write_all(&qpack::response_frame(&head)).await.is_ok() {
                run(Box::new(H3Tunnel::new(quic, send, reader, ()))).await;
            }
            return;
        }
        Accepted::Session(run) => {
            if send.write_all(&qpack::response_frame(&head)).await.is_err() {
                return;
            }
            let (session, driver) = Session::new(quic.clone(), prefixes(id));
            let driving = drive(SessionStreams { quic, send, reader }, id, driver, &sessions);
            let (mut user, mut driving) = (std::pin::pin!(run(session)), std::pin::pin!(driving));
            tokio::select! {
                () = &mut user => driving.await,
                () = &mut driving => {
                    if tokio::time::timeout(PARTING, user).await.is_err() {
                        tracing::debug!("a session's user did not notice its end");
                    }
                }
            }
            return;
        }
        Accepted::Not(body) => body,
    };
    if let Err(error) = respond(&mut send, &head, body).await {
        tracing::debug!(%error, "a refusal broke off");
    }
    reader.stop(H3_NO_ERROR);
}

enum Accepted {
    Tunnel(crate::wire::exchange::OnTunnel),
    Session(crate::wire::exchange::OnSession),
    Not(ResponseBody),
}

fn accepted(protocol: ConnectProtocol, status: StatusCode, body: ResponseBody) -> Accepted {
    match protocol {
        ConnectProtocol::WebSocket if status.is_success() => {
            body.into_tunnel().map_or_else(Accepted::Not, Accepted::Tunnel)
        }
        protocol if protocol.is_session() && status.is_success() => {
            body.into_session().map_or_else(Accepted::Not, Accepted::Session)
        }
        _ => Accepted::Not(body),
    }
}

/// What a connection keeps of a request while it lasts.
struct FilteredStream<'a> {
    sessions: &'a Sessions,
    id: VarInt,
    /// Whether it counts as a session.
    counted: bool,
}

impl FilteredStream<'_> {
    fn count(&mut self) -> bool {
        self.counted = self.sessions.count();
        self.counted
    }
}

impl Drop for FilteredStream<'_> {
    fn drop(&mut self) {
        self.sessions.ends(self.id.into_inner());
        if self.counted {
            self.sessions.discount();
        }
    }
}

struct Asked<'a> {
    section: &'a Bytes,
    protocol: ConnectProtocol,
}

impl Asked<'_> {
    /// What the handler says to it, and whether the client wants to be told which draft is spoken.
    async fn answer<H: Handler>(
        self,
        shared: &ConnectContext<H>,
        place: &mut FilteredStream<'_>,
    ) -> Result<(bool, http::Response<ResponseBody>), FieldSectionError> {
        let head = qpack::request(self.section).await?;
        // RFC 8441 section 4: a CONNECT with `:scheme` and `:path`.
        let extended = head.method == Method::CONNECT && head.uri.scheme().is_some();
        if !extended || message::check(&head).is_err() {
            return Err(FieldSectionError::Stream(H3_MESSAGE_ERROR));
        }
        shared.connection.asked();
        let draft = head.headers.get(DRAFT_ASKED.0).is_some_and(|value| value == DRAFT_ASKED.1);
        if self.protocol.is_session() {
            // The drafts' section 3.1: before that a server can't know what a client wants to speak.
            let sent = tokio::time::timeout(HANDSHAKE_TIMEOUT, shared.sessions.peer()).await.unwrap_or_default();
            self.tell(shared, sent, draft);
        }
        let opening = || OpenRequest {
            head,
            protocol: self.protocol.name().to_owned(),
            connection: Arc::clone(&shared.connection),
        };
        let exchange = match self.protocol {
            ConnectProtocol::WebSocket => Exchange::Tunnel(opening()),
            ConnectProtocol::WebTransport | ConnectProtocol::WebTransportH3 if place.count() => {
                Exchange::Session(opening())
            }
            ConnectProtocol::WebTransport | ConnectProtocol::WebTransportH3 => {
                return Err(FieldSectionError::Stream(H3_REQUEST_REJECTED));
            }
            // RFC 9220 section 3.
            ConnectProtocol::Other => return Ok((false, refusal(StatusCode::NOT_IMPLEMENTED))),
        };
        Ok((draft && self.protocol.is_session(), shared.handler.answer(exchange).await))
    }
}

impl Asked<'_> {
    /// Tells which dialect a session is asked for in. The request itself says so by its `:protocol` from draft 15 on and
    /// by a field up to draft 06; else the newest is meant that both ends' settings name.
    fn tell<H>(&self, shared: &ConnectContext<H>, sent: Dialects, draft: bool) {
        let taken = match self.protocol {
            ConnectProtocol::WebTransportH3 => Some(Dialect::Draft15),
            _ if draft => Some(Dialect::Draft02),
            _ => sent.and(shared.offered).newest(),
        };
        shared.connection.record(ServerFact::WebtransportDialect {
            conn: shared.connection.id,
            offered: shared.offered,
            sent,
            token: self.protocol.token().to_owned(),
            draft: draft.then(|| DRAFT_ANSWER.1.to_owned()),
            taken,
        });
    }
}

fn refusal(status: StatusCode) -> http::Response<ResponseBody> {
    let mut response = http::Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    response
}

async fn respond(
    send: &mut SendStream,
    head: &http::response::Parts,
    mut body: ResponseBody,
) -> Result<(), quinn::WriteError> {
    send.write_all(&qpack::response_frame(head)).await?;
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            let mut frame = BytesMut::new();
            put_head(&mut frame, DATA, data.len());
            send.write_all(&frame).await?;
            send.write_all(&data).await?;
        }
    }
    // It is open: nothing else has finished it.
    let _ = send.finish();
    Ok(())
}

/// The stream of a session.
pub(in crate::wire) struct SessionStreams {
    pub(in crate::wire) quic: quinn::Connection,
    pub(in crate::wire) send: SendStream,
    pub(in crate::wire) reader: DataReader,
}

/// Opens a session to all that is for it, and sees it end: by a capsule of either side, by the end of the stream, or
/// because nobody uses it any more.
///
/// Deviation: streams that the session's user holds are not reset here but end when it lets them go, which it does
/// when it sees the session end; so the peer may read their end before it reads of the session's.
pub(in crate::wire) async fn drive(streams: SessionStreams, id: VarInt, driver: SessionDriver, sessions: &Sessions) {
    let SessionStreams { quic, mut send, mut reader } = streams;
    let SessionDriver { uni, bi, datagrams, mut ending, ended } = driver;
    sessions.opens(id.into_inner(), SessionQueues { uni, bi, datagrams });
    let how = tokio::select! {
        how = peer_ends(&mut reader) => how,
        how = ending.wait_for(Option::is_some) => How::Ours(how.ok().and_then(|how| how.clone())),
    };
    sessions.ends(id.into_inner());
    let ours = matches!(how, How::Ours(_));
    let how = match how {
        How::Ours(Some(how)) => {
            // The stream may be gone meanwhile, and with it who would read it.
            let _ = send.write_all(&close_frame(&how)).await;
            how
        }
        How::Ours(None) => Ended::default(),
        How::Theirs(how) => {
            // Its user needn't wait for what only this stream is about.
            let _ = ended.send(Some(how.clone()));
            if tokio::time::timeout(PARTING, nothing_more(&mut reader)).await == Ok(false) {
                give_up(&mut send, &mut reader, H3_MESSAGE_ERROR);
            }
            how
        }
        How::CapsuleError => {
            give_up(&mut send, &mut reader, H3_MESSAGE_ERROR);
            Ended { code: 0, reason: "the peer sent a malformed capsule".to_owned() }
        }
        How::FrameError(fault) => {
            if let FrameError::DataFrames(code) = fault {
                quic.close(code, b"malformed frames");
            }
            Ended { code: 0, reason: std::io::Error::from(fault).to_string() }
        }
    };
    // One that is reset needs no end; nobody may be left to be told.
    let _ = send.finish();
    if !ours {
        let _ = ended.send(Some(how.clone()));
    }
    // Whoever closes the connection next must not outrun this.
    let _ = tokio::time::timeout(PARTING, send.stopped()).await;
    // Not before: it would come in front of the capsule, and browsers take it for the loss of the session.
    reader.stop(H3_NO_ERROR);
    if ours {
        let _ = ended.send(Some(how));
    }
}

/// How a session ends.
enum How {
    /// Its user said so, or let go of it.
    Ours(Option<Ended>),
    /// The peer said so, or ended the stream.
    Theirs(Ended),
    /// What the peer sent is no capsule.
    CapsuleError,
    FrameError(FrameError),
}

/// Whether the peer ends the stream without a word more, as it must behind the capsule that ends the session (the
/// draft's section 6).
async fn nothing_more(reader: &mut DataReader) -> bool {
    matches!(reader.data().await, Ok(None) | Err(FrameError::Reset(_) | FrameError::Gone))
}

/// Waits until the peer ends the session.
async fn peer_ends(reader: &mut DataReader) -> How {
    let mut capsules = Capsules::default();
    loop {
        match reader.data().await {
            Ok(Some(data)) => match capsules.push(&data) {
                Ok(Some(how)) if capsules.is_between() => return How::Theirs(how),
                // The draft's section 6: nothing comes behind it.
                Ok(Some(_)) | Err(CapsuleError) => return How::CapsuleError,
                Ok(None) => {}
            },
            // The draft's section 6: a stream that ends without a capsule is one with code 0 and no reason.
            Ok(None) if capsules.is_between() => return How::Theirs(Ended::default()),
            Ok(None) => return How::CapsuleError,
            Err(fault) => return How::FrameError(fault),
        }
    }
}
