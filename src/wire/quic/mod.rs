//! Sessions on raw QUIC (ALPN `transport-lab`), server side, and what both ends do alike.
//!
//! A connection is one session. Its first stream is the client's, in both directions, and begins with one line that
//! says what for: `/feeds/news/quic?mode=stream`. The answer on that stream is one line of JSON: `{"status": 200}`, or
//! `{"status": 404, "error": "…"}` and the end of the connection, whose code is the status. The first stream stays open
//! for as long as the session does. Its end ends the session, and so does that of the connection, whose code and reason
//! are the session's.

pub(in crate::wire) mod endpoint;
pub(in crate::wire) mod qlog;
pub mod reset;
pub mod session;

use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use quinn::crypto::rustls::HandshakeData;
use quinn::{ConnectionError, RecvStream, SendStream, TransportConfig, VarInt};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::trial::fact::Handshake;
use crate::trial::{Alpn, ServerFact};
use crate::wire::early::MaybeReplay;
use crate::wire::quic::endpoint::{AcceptedConnection, QuicListener, QuicOptions, accept, bind};
use crate::wire::quic::session::{Ended, MAX_REASON_BYTES, Prefixes, SessionDriver};
use crate::wire::stack::QuicSetup;
use crate::wire::{
    Bound, Connection, Exchange, HANDSHAKE_TIMEOUT, Handler, OpenRequest, Session, Sink, WireError, refusal, token,
};

/// What is kept of a connection's datagrams that wait to be sent, and that wait to be read, in bytes each.
const DATAGRAM_BYTES: usize = 64 * 1024;
/// Unidirectional streams that a client may have open.
const UNI_STREAMS: u32 = 64;
/// How long the first line may be, and its answer, in bytes.
pub(in crate::wire) const MAX_LINE_BYTES: usize = 2048;
/// How long a client that is refused may take to say that it has the answer.
const FAREWELL: Duration = Duration::from_secs(2);
/// A session that nobody gave a code has ended well.
const NO_ERROR: u32 = 0;
/// The session has as many streams waiting as it takes: what a stream is refused with.
const TOO_MANY: VarInt = VarInt::from_u32(429);

/// The answer to the first line, but for its line feed.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::wire) struct FirstLineAnswer {
    /// As in HTTP; 200 is a session.
    pub(in crate::wire) status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) error: Option<String>,
}

/// An endpoint on this socket, listening.
pub fn endpoint(socket: UdpSocket, options: &QuicOptions) -> Result<QuicListener, WireError> {
    bind(socket, options, Alpn::Quic, transport)
}

/// The limits of each connection.
fn transport(options: &QuicOptions, setup: QuicSetup) -> TransportConfig {
    let mut transport = setup.transport();
    transport
        .max_concurrent_bidi_streams(options.max_concurrent_streams.into())
        .max_concurrent_uni_streams(UNI_STREAMS.into())
        .datagram_receive_buffer_size(Some(DATAGRAM_BYTES))
        .datagram_send_buffer_size(DATAGRAM_BYTES);
    transport
}

/// Serves connections until it is dropped, which closes them all.
pub async fn serve<H: Handler>(listener: QuicListener, handler: H, sink: Sink<ServerFact>) {
    let bounds = Arc::new(["session-streams", "session-datagrams"].map(Bound::new));
    // Its end is the session's, which its user is told by the code: nothing more is to be said before.
    let (_never, stop) = watch::channel(false);
    let facts = sink.clone();
    let serve = move |accepted| connection(accepted, handler.clone(), facts.clone(), Arc::clone(&bounds));
    accept(listener, &sink, stop, serve).await;
}

async fn connection<H: Handler>(
    AcceptedConnection { quic, confirmed }: AcceptedConnection,
    handler: H,
    sink: Sink<ServerFact>,
    bounds: Arc<[Bound; 2]>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let handshake = quic.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let Some(handshake) = handshake.filter(|data| data.protocol.as_deref() == Some(Alpn::Quic.wire())) else {
        return Err("an ALPN other than transport-lab".into());
    };
    let connection =
        Connection::begin(quic.remote_address().ip(), Alpn::Quic, None, MaybeReplay::default(), sink.clone());
    let first = async {
        let (send, mut recv) = quic.accept_bi().await?;
        Ok::<_, ConnectionError>((read_line(&mut recv).await, send, recv))
    };
    let Ok(first) = timeout(HANDSHAKE_TIMEOUT, first).await else {
        quic.close(VarInt::from_u32(408), b"no first line in time");
        return Err("no first line in time".into());
    };
    let (line, mut send, recv) = first?;
    if recv.is_0rtt() {
        connection.knew(Handshake::Early);
    }
    connection.asked();
    // RFC 6066 section 3: an address is no name to ask for; what was asked then is the address itself.
    let host = handshake.server_name.or_else(|| quic.local_ip().map(host_of)).unwrap_or_default();
    let response = match line.and_then(|line| head(&host, &line)) {
        Ok(head) => {
            let protocol = token::QUIC.to_owned();
            handler.answer(Exchange::Session(OpenRequest { head, protocol, connection: Arc::clone(&connection) })).await
        }
        Err(error) => refusal(http::StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let (parts, body) = response.into_parts();
    match body.into_session() {
        Ok(run) if parts.status == http::StatusCode::OK => {
            write_line(&mut send, &FirstLineAnswer { status: 200, error: None }).await?;
            let (session, driver) = Session::new(quic.clone(), Prefixes::default());
            let confirmed = AcceptedConnection::confirmed(confirmed);
            let mut driving = std::pin::pin!(drive(quic, (send, recv), driver, confirmed, |what| {
                Bound::reached_of(&*bounds, what, &sink);
            }));
            tokio::select! {
                () = run(session) => driving.await,
                () = &mut driving => {}
            }
        }
        Ok(_) => refuse(&quic, send, http::StatusCode::INTERNAL_SERVER_ERROR, None).await?,
        Err(body) => {
            let said = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let said: Option<Said> = serde_json::from_slice(&said).ok();
            refuse(&quic, send, parts.status, said.map(|said| said.error)).await?;
        }
    }
    Ok(())
}

/// What a response says that refuses.
#[derive(Deserialize)]
struct Said {
    error: String,
}

/// Answers with the status, and closes once the client has it: to close sooner would take back what was written.
async fn refuse(
    quic: &quinn::Connection,
    mut send: SendStream,
    status: http::StatusCode,
    error: Option<String>,
) -> Result<(), quinn::WriteError> {
    let reason = error.clone().unwrap_or_else(|| status.to_string());
    write_line(&mut send, &FirstLineAnswer { status: status.as_u16(), error }).await?;
    let _ = send.finish();
    let _ = timeout(FAREWELL, send.stopped()).await;
    quic.close(VarInt::from(status.as_u16()), cut(&reason).as_bytes());
    Ok(())
}

/// Why a first line says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::wire) enum LineError {
    #[error("the first line is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    #[error("the first line did not arrive whole")]
    CutShort,
    #[error("the first line is a path and query, such as /feeds/news/quic?mode=stream")]
    NoPath,
}

fn host_of(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// The request that the first line stands for.
fn head(host: &str, line: &[u8]) -> Result<http::request::Parts, LineError> {
    let path = http::uri::PathAndQuery::try_from(line).map_err(|_| LineError::NoPath)?;
    if !line.starts_with(b"/") {
        return Err(LineError::NoPath);
    }
    let uri = http::Uri::builder().scheme("https").authority(host).path_and_query(path);
    let uri = uri.build().map_err(|_| LineError::NoPath)?;
    // The host of TLS is what `:authority` would be: no `Host` is to be there, as HTTP/1.1 would have it.
    let request = http::Request::get(uri).version(http::Version::HTTP_3).body(()).map_err(|_| LineError::NoPath)?;
    Ok(request.into_parts().0)
}

/// Reads one line, without its line feed. What comes after it is nobody's.
pub(in crate::wire) async fn read_line(stream: &mut RecvStream) -> Result<Bytes, LineError> {
    let mut line = BytesMut::new();
    loop {
        let room = MAX_LINE_BYTES + 1 - line.len();
        let chunk = stream.read_chunk(room, true).await.map_err(|_| LineError::CutShort)?;
        line.extend_from_slice(&chunk.ok_or(LineError::CutShort)?.bytes);
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            return Ok(line.freeze());
        }
        if line.len() > MAX_LINE_BYTES {
            return Err(LineError::TooLong);
        }
    }
}

async fn write_line(stream: &mut SendStream, answer: &FirstLineAnswer) -> Result<(), quinn::WriteError> {
    let mut line = serde_json::to_vec(answer).unwrap_or_default();
    line.push(b'\n');
    stream.write_all(&line).await
}

/// Feeds a session that is its whole connection, until it has ended. `first` is its first stream; `refused` is told
/// what the session's user was too slow to take. What a session brings is taken once the handshake is `confirmed`: to
/// read is safe to be asked twice, and to publish isn't (RFC 8470).
pub(in crate::wire) async fn drive(
    quic: quinn::Connection,
    first: (SendStream, RecvStream),
    driver: SessionDriver,
    confirmed: impl Future<Output = ()>,
    refused: impl Fn(&'static str),
) {
    let SessionDriver { uni, bi, datagrams, mut ending, ended } = driver;
    let (_ours, mut theirs) = first;
    let (mut confirmed, mut is_confirmed) = (std::pin::pin!(confirmed), false);
    let how = loop {
        tokio::select! {
            // What came before the end is still the session's: the end is looked for last.
            biased;
            wished = ending.wait_for(Option::is_some) => {
                // Its users may also all be gone.
                break wished.ok().and_then(|wished| wished.clone()).unwrap_or_default();
            }
            () = &mut confirmed, if !is_confirmed => is_confirmed = true,
            Ok(stream) = quic.accept_uni(), if is_confirmed => {
                if let Err(error) = uni.try_send(stream) {
                    refused("session-streams");
                    let _ = error.into_inner().stop(TOO_MANY);
                }
            }
            Ok(streams) = quic.accept_bi(), if is_confirmed => {
                if let Err(error) = bi.try_send(streams) {
                    refused("session-streams");
                    let (mut send, mut recv) = error.into_inner();
                    let _ = send.reset(TOO_MANY);
                    let _ = recv.stop(TOO_MANY);
                }
            }
            Ok(datagram) = quic.read_datagram(), if is_confirmed => {
                if datagrams.try_send(datagram).is_err() {
                    refused("session-datagrams");
                }
            }
            read = theirs.read_chunk(MAX_LINE_BYTES, true) => match read {
                Ok(Some(_)) => {}
                Ok(None) => break by_peer("the peer ended the session's first stream"),
                Err(quinn::ReadError::ConnectionLost(error)) => break how(error),
                Err(_) => break by_peer("the peer broke the session's first stream off"),
            },
            error = quic.closed() => break how(error),
        }
    };
    quic.close(VarInt::from_u32(how.code), cut(&how.reason).as_bytes());
    ended.send_replace(Some(how));
}

fn by_peer(reason: &str) -> Ended {
    Ended { code: NO_ERROR, reason: reason.to_owned() }
}

/// How a session ended whose connection ended so.
fn how(error: ConnectionError) -> Ended {
    match error {
        ConnectionError::ApplicationClosed(close) => Ended {
            code: u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX),
            reason: cut(&String::from_utf8_lossy(&close.reason)).to_owned(),
        },
        error => by_peer(&error.to_string()),
    }
}

/// As much of a reason as a session's end carries.
fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_is_a_path_at_the_host_that_tls_named() {
        let head = head("localhost", b"/feeds/news/quic?mode=stream").unwrap();
        assert_eq!(head.uri, "https://localhost/feeds/news/quic?mode=stream");
        for wrong in [&b""[..], b"feeds/news", b"/a b", b"https://example.com/", b"/\xff\x00", b"*"] {
            assert!(super::head("localhost", wrong).is_err(), "{wrong:?}");
        }
        assert!(super::head("", b"/feeds/news/quic").is_err(), "nobody was asked for");
    }

    #[test]
    fn a_reason_is_cut_between_letters() {
        let long = "é".repeat(MAX_REASON_BYTES);
        assert_eq!(cut(&long).len(), MAX_REASON_BYTES);
        assert_eq!(cut(&format!("x{long}")).len(), MAX_REASON_BYTES - 1);
        assert_eq!(cut("short"), "short");
    }
}
