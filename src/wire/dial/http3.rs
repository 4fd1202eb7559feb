//! HTTP/3 on QUIC, client side.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h3::ConnectionState;
use h3::client::{RequestStream, SendRequest};
use http::response::Parts;
use quinn::{Endpoint, SendStream, VarInt};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::trial::{Dialect, Dialects, Stack};
use crate::wire::dial::target::{Target, Use};
use crate::wire::h3::adapter::{BidiStream, Opener, QuicAdapter};
use crate::wire::h3::codec::qpack;
use crate::wire::h3::connect::{DRAFT_ASKED, SessionStreams, drive};
use crate::wire::h3::frames::{DataReader, H3_NO_ERROR, H3_REQUEST_CANCELLED, read_headers};
use crate::wire::h3::sessions::{Sessions, prefixes};
use crate::wire::h3::stream_start::StreamRouter;
use crate::wire::h3::tunnel::H3Tunnel;
use crate::wire::quic::endpoint::{self, Connected};
use crate::wire::{HANDSHAKE_TIMEOUT, MAX_HEADER_BYTES, Session, Tunnel, WireError};

/// What the `:protocol` of WebTransport is from draft 15 on.
const LATER_NAME: &str = "webtransport-h3";
/// Streams of the server's own at once, of either kind, on a connection that many may be on: each of a thousand sessions
/// has one, and some an event on each.
const SERVER_STREAMS: u32 = 2048;
/// The same on a connection of one subscription. `quinn` has an entry for each from the beginning, which are most of what
/// a thousand connections cost.
const SERVER_STREAMS_OF_ONE: u32 = 256;
/// How long a server is told that a connection ends (RFC 9000 section 10.2).
const FAREWELL: Duration = Duration::from_secs(1);
/// What waits of datagrams to be read, and to be sent, in bytes; beyond it the oldest are dropped.
const DATAGRAM_BUFFER: usize = 256 * 1024;

/// A connection that speaks HTTP/3; clones share it, and the last one closes it.
#[derive(Clone)]
pub(crate) struct H3Connection {
    sender: SendRequest<Opener, Bytes>,
    owner: Arc<Owner>,
}

impl std::fmt::Debug for H3Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("H3Connection").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// What a server's settings say.
#[derive(Debug, Clone, Copy)]
struct Offer {
    extended_connect: bool,
    webtransport: bool,
}

#[derive(Debug)]
struct Owner {
    quic: quinn::Connection,
    driver: AbortHandle,
    sessions: Arc<Sessions>,
    /// What the server offers, once it has said so.
    offer: watch::Receiver<Option<Offer>>,
    /// Kept, since its task is what sends and receives.
    endpoint: Endpoint,
}

impl Drop for Owner {
    fn drop(&mut self) {
        // H3_NO_ERROR (RFC 9114 section 8.1): the server needn't wait for its idle timeout to know.
        self.quic.close(H3_NO_ERROR, b"");
        self.driver.abort();
    }
}

impl H3Connection {
    pub(in crate::wire) async fn connect(
        target: &Target,
        tls: Arc<rustls::ClientConfig>,
        usage: Use,
    ) -> Result<(Self, Stack), WireError> {
        let streams = if usage.shared { SERVER_STREAMS } else { SERVER_STREAMS_OF_ONE };
        let setup = usage.quic();
        let mut transport = setup.transport();
        transport
            .max_concurrent_uni_streams(streams.into())
            .max_concurrent_bidi_streams(streams.into())
            .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
            .datagram_send_buffer_size(DATAGRAM_BUFFER);
        let Connected { quic, stack, endpoint } = endpoint::connect(target, tls, usage.early, setup, transport).await?;
        Ok((Self::on(target, quic, endpoint).await?, stack))
    }

    /// The same on a connection of QUIC that is there already, whose endpoint is kept with it.
    pub(crate) async fn on(target: &Target, quic: quinn::Connection, endpoint: Endpoint) -> Result<Self, WireError> {
        let sessions = Sessions::of_client();
        let router = StreamRouter::of_client(quic.clone(), Arc::clone(&sessions));
        let mut builder = h3::client::builder();
        builder.max_field_section_size(u64::from(MAX_HEADER_BYTES)).enable_datagram(true).enable_extended_connect(true);
        let built = builder.build::<_, _, Bytes>(QuicAdapter::new(router, Dialects::ALL)).await;
        let (mut driver, sender) = built.map_err(|error| target.failed(error))?;
        let (offering, offer) = watch::channel(None);
        let (datagrams, datagrams_of) = (Arc::clone(&sessions), quic.clone());
        let driver = tokio::spawn(async move {
            let driving = std::future::poll_fn(|cx| {
                let ended = driver.poll_close(cx);
                if offering.borrow().is_none()
                    && let Cow::Borrowed(settings) = driver.settings()
                {
                    let extended_connect = settings.enable_extended_connect();
                    let webtransport = extended_connect && settings.enable_datagram();
                    let _ = offering.send(Some(Offer { extended_connect, webtransport }));
                }
                ended
            });
            let error = tokio::join!(driving, datagrams.read_datagrams(&datagrams_of)).0;
            tracing::debug!(%error, "an HTTP/3 connection ended");
        });
        let owner = Owner { quic, driver: driver.abort_handle(), sessions, offer, endpoint };
        Ok(Self { sender, owner: Arc::new(owner) })
    }

    /// Ends it, and waits until the server can have been told.
    pub(crate) async fn close(&self) {
        self.owner.quic.close(H3_NO_ERROR, b"");
        let _ = tokio::time::timeout(FAREWELL, self.owner.endpoint.wait_idle()).await;
    }

    /// Whether it can carry another request.
    pub(in crate::wire) fn is_alive(&self) -> bool {
        self.owner.quic.close_reason().is_none()
    }

    /// All that the server's SETTINGS say, as ids and values (RFC 9114 section 7.2.4), once they have come.
    pub(crate) async fn settings(&self) -> Vec<(u64, u64)> {
        tokio::time::timeout(HANDSHAKE_TIMEOUT, self.owner.sessions.settings()).await.unwrap_or_default()
    }

    /// The dialects of WebTransport that they name.
    pub(crate) async fn dialects(&self) -> Dialects {
        self.offered().await
    }

    /// The stream that the server's GOAWAY names, if there was one.
    pub(crate) fn leaving(&self) -> Option<u64> {
        self.owner.sessions.leaving()
    }

    /// Sends a request; waits for a stream's credit first, then for the response's header.
    pub(crate) async fn request(
        &mut self,
        request: http::Request<()>,
        body: Bytes,
    ) -> Result<(http::response::Parts, H3Response), h3::error::StreamError> {
        let mut stream = self.sender.send_request(request).await?;
        if !body.is_empty() {
            stream.send_data(body).await?;
        }
        stream.finish().await?;
        let (head, ()) = stream.recv_response().await?.into_parts();
        Ok((head, H3Response(stream)))
    }

    /// Asks for a tunnel (RFC 9220); none: refused.
    pub(crate) async fn tunnel(
        self,
        target: &Target,
        request: http::Request<()>,
        protocol: &str,
    ) -> Result<(Parts, Option<Tunnel>), WireError> {
        let (head, asking) = self.ask(target, &request, protocol, |offer| offer.extended_connect).await?;
        let Asking { mut send, mut reader, .. } = asking;
        if !head.status.is_success() {
            let _ = send.finish();
            reader.stop(H3_REQUEST_CANCELLED);
            return Ok((head, None));
        }
        let tunnel = H3Tunnel::new(self.owner.quic.clone(), send, reader, self);
        Ok((head, Some(Box::new(tunnel))))
    }

    /// Asks for a session (draft-ietf-webtrans-http3); none: refused.
    pub(crate) async fn session(
        self,
        target: &Target,
        mut request: http::Request<()>,
        protocol: &str,
    ) -> Result<(Parts, Option<Session>), WireError> {
        let offered = self.offered().await;
        // The oldest has most sessions on a connection and says so itself; else the newest, as servers take it.
        let old = offered.contains(Dialect::Draft02);
        if old {
            request.headers_mut().insert(DRAFT_ASKED.0, http::HeaderValue::from_static(DRAFT_ASKED.1));
        }
        let protocol = match offered.newest() {
            Some(Dialect::Draft15) if !old => LATER_NAME,
            _ => protocol,
        };
        let takes = |offer: &Offer| offer.webtransport && offered != Dialects::default();
        let (head, asking) = self.ask(target, &request, protocol, takes).await?;
        let Asking { mut send, mut reader, waiting } = asking;
        if !head.status.is_success() {
            let _ = send.finish();
            reader.stop(H3_REQUEST_CANCELLED);
            return Ok((head, None));
        }
        let (quic, id) = (self.owner.quic.clone(), waiting.id);
        let (session, driver) = Session::new(quic.clone(), prefixes(id));
        // It lasts as long as the session does, and keeps its connection meanwhile: `h3` closes one whose last
        // sender of requests is dropped.
        tokio::spawn(async move {
            drive(SessionStreams { quic, send, reader }, id, driver, &self.owner.sessions).await;
            drop((waiting, self));
        });
        Ok((head, Some(session)))
    }

    /// The dialects of WebTransport that the server's settings name, once they have come.
    async fn offered(&self) -> Dialects {
        tokio::time::timeout(HANDSHAKE_TIMEOUT, self.owner.sessions.peer()).await.unwrap_or_default()
    }

    /// Sends an extended CONNECT once the server has said that it takes some (RFC 8441 section 3), and waits for the
    /// response's header.
    async fn ask(
        &self,
        target: &Target,
        request: &http::Request<()>,
        protocol: &str,
        offered: impl Fn(&Offer) -> bool,
    ) -> Result<(Parts, Asking), WireError> {
        let mut offer = self.owner.offer.clone();
        let settings = tokio::time::timeout(HANDSHAKE_TIMEOUT, offer.wait_for(Option::is_some)).await;
        let settings = settings.ok().and_then(Result::ok).and_then(|offer| *offer);
        if !settings.as_ref().is_some_and(offered) {
            return Err(target.broke(format!("it does not offer {protocol} on HTTP/3")));
        }
        let (mut send, mut recv) = self.owner.quic.open_bi().await.map_err(|error| target.broke(error))?;
        // What belongs to the session may come before the answer that opens it.
        let waiting = Waiting { sessions: Arc::clone(&self.owner.sessions), id: VarInt::from(send.id()) };
        self.owner.sessions.begins(waiting.id.into_inner());
        let frame = qpack::connect_frame(request.uri(), protocol, request.headers());
        send.write_all(&frame).await.map_err(|error| target.broke(error))?;
        loop {
            let section = read_headers(&mut recv).await.map_err(|fault| target.broke(std::io::Error::from(fault)))?;
            let head = qpack::response(&section).await;
            let head = head.map_err(|error| target.broke(format!("its answer can't be read: {error:?}")))?;
            // Those before the final one say nothing (RFC 9110 section 15.2).
            if !head.status.is_informational() {
                return Ok((head, Asking { send, reader: DataReader::new(recv), waiting }));
            }
        }
    }
}

/// An extended CONNECT that was answered.
struct Asking {
    send: SendStream,
    reader: DataReader,
    waiting: Waiting,
}

/// A session's id, which is forgotten with it.
struct Waiting {
    sessions: Arc<Sessions>,
    id: VarInt,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.sessions.ends(self.id.into_inner());
    }
}

pub(crate) struct H3Response(RequestStream<BidiStream, Bytes>);

impl std::fmt::Debug for H3Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("H3Response")
    }
}

impl H3Response {
    pub(crate) async fn chunk(&mut self) -> Option<Result<Bytes, h3::error::StreamError>> {
        match self.0.recv_data().await {
            Ok(Some(mut data)) => {
                let length = data.remaining();
                Some(Ok(data.copy_to_bytes(length)))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
