//! QUIC's streams for the `h3` crate, at either end.
//!
//! `h3-quinn` keeps to itself when a client stops a stream. Without knowing, a response that has nothing to write
//! would stay open until its next event or heartbeat: its reader counted as there, its stream's credit not given back.
//! And what `h3` must not see is taken out before it does: see `stream_start`.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt, stream};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::{ConnectionError, VarInt, WriteError};

use crate::trial::Dialects;
use crate::wire::h3::codec::settings;
use crate::wire::h3::critical::Own;
use crate::wire::h3::recv::{RecvStream, connection_error, lost, stream_id};
use crate::wire::h3::stream_start::{self, BidiBegun, StreamRouter, UniBegun};

type Accepting<T> = Pin<Box<dyn Stream<Item = Result<T, ConnectionError>> + Send>>;
type Beginnings<T> = FuturesUnordered<Pin<Box<dyn Future<Output = Option<T>> + Send>>>;

/// A connection's streams as the peer opens them, those that are for `h3`. Others begin meanwhile: there are as many
/// as QUIC's limits allow the peer to open.
pub(in crate::wire) struct QuicAdapter {
    opener: Opener,
    router: StreamRouter,
    bidi: Accepting<(quinn::SendStream, quinn::RecvStream)>,
    bidi_beginning: Beginnings<BidiBegun>,
    uni: Accepting<quinn::RecvStream>,
    uni_beginning: Beginnings<UniBegun>,
    gone: StopWatcher,
    /// What the settings offer, until they are sent.
    dialects: Option<Dialects>,
    own: Own,
}

impl QuicAdapter {
    pub(in crate::wire) fn new(router: StreamRouter, dialects: Dialects) -> Self {
        let quic = router.quic.clone();
        let bidi = stream::unfold(quic.clone(), |quic| async { Some((quic.accept_bi().await, quic)) });
        let uni = stream::unfold(quic.clone(), |quic| async { Some((quic.accept_uni().await, quic)) });
        Self {
            opener: Opener::new(quic),
            router,
            bidi: Box::pin(bidi),
            bidi_beginning: FuturesUnordered::new(),
            uni: Box::pin(uni),
            uni_beginning: FuturesUnordered::new(),
            gone: StopWatcher::default(),
            dialects: Some(dialects),
            own: Own::default(),
        }
    }

    /// Tells of this connection's streams when their clients go.
    pub(in crate::wire) fn gone(&self) -> StopWatcher {
        self.gone.clone()
    }
}

/// Ends when the client has stopped the stream, or the connection has ended.
type Going = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One entry per open stream until it is asked for.
#[derive(Clone, Default)]
pub(in crate::wire) struct StopWatcher(Arc<Mutex<HashMap<StreamId, Opened>>>);

/// What is known of a stream that the peer has opened.
struct Opened {
    going: Going,
    /// Whether it came as early data.
    early: bool,
}

impl StopWatcher {
    /// What ends when this stream's client is gone, and whether it came as early data.
    pub(in crate::wire) fn of(&self, stream: StreamId) -> (Going, bool) {
        // A stream is asked for once, while it is open: there is an entry.
        let none = || Opened { going: Box::pin(std::future::pending()), early: false };
        let Opened { going, early } = self.forget(stream).unwrap_or_else(none);
        (going, early)
    }

    fn expect(&self, stream: StreamId, opened: Opened) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(stream, opened);
    }

    fn forget(&self, stream: StreamId) -> Option<Opened> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream)
    }
}

impl quic::Connection<Bytes> for QuicAdapter {
    type RecvStream = RecvStream;
    type OpenStreams = Opener;

    fn poll_accept_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<RecvStream, ConnectionErrorIncoming>> {
        while let Poll::Ready(Some(accepted)) = self.uni.poll_next_unpin(cx) {
            let recv = accepted.map_err(connection_error)?;
            self.uni_beginning.push(Box::pin(stream_start::uni(self.router.clone(), recv)));
        }
        while let Poll::Ready(Some(begun)) = self.uni_beginning.poll_next_unpin(cx) {
            let Some((front, recv, guard)) = begun else { continue };
            return Poll::Ready(Ok(RecvStream::new(front, recv, guard)));
        }
        Poll::Pending
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream, ConnectionErrorIncoming>> {
        while let Poll::Ready(Some(accepted)) = self.bidi.poll_next_unpin(cx) {
            let (send, recv) = accepted.map_err(connection_error)?;
            self.bidi_beginning.push(Box::pin(stream_start::bidi(self.router.clone(), send, recv)));
        }
        while let Poll::Ready(Some(begun)) = self.bidi_beginning.poll_next_unpin(cx) {
            let Some((send, front, recv, guard)) = begun else { continue };
            let (stopped, id) = (send.stopped(), stream_id(send.id()));
            let going = Box::pin(async move { drop(stopped.await) });
            self.gone.expect(id, Opened { going, early: recv.is_0rtt() });
            let (send, recv) = (SendStream::new(send), RecvStream::new(front, recv, guard));
            return Poll::Ready(Ok(BidiStream { send, recv, gone: self.gone.clone() }));
        }
        Poll::Pending
    }

    fn opener(&self) -> Opener {
        self.opener.clone()
    }
}

impl quic::OpenStreams<Bytes> for QuicAdapter {
    type BidiStream = BidiStream;
    type SendStream = SendStream;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(cx)
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        let opened = ready!(self.opener.poll_open_send(cx));
        if let Ok(stream) = &opened
            && let Some(watching) = self.own.opened(&self.router.quic, &stream.send)
        {
            self.uni_beginning.push(Box::pin(async {
                watching.await;
                None
            }));
        }
        // The first is the control stream.
        let control = self.dialects.take().map(|dialects| {
            let beginning = Bytes::new();
            Box::new(Control { dialects: Some(dialects), beginning })
        });
        if let (Ok(stream), Some(_)) = (&opened, &control) {
            // What it says at the end comes before what is left of responses.
            let _ = stream.send.set_priority(1);
        }
        Poll::Ready(opened.map(|stream| SendStream { control, ..stream }))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.opener.close(code, reason);
    }
}

type OpenRequest<T> = Option<Pin<Box<dyn Future<Output = Result<T, ConnectionError>> + Send + Sync>>>;

/// Opens this end's own streams.
pub(in crate::wire) struct Opener {
    quic: quinn::Connection,
    bidi: OpenRequest<(quinn::SendStream, quinn::RecvStream)>,
    uni: OpenRequest<quinn::SendStream>,
}

impl Opener {
    fn new(quic: quinn::Connection) -> Self {
        Self { quic, bidi: None, uni: None }
    }
}

impl Clone for Opener {
    fn clone(&self) -> Self {
        Self::new(self.quic.clone())
    }
}

impl quic::OpenStreams<Bytes> for Opener {
    type BidiStream = BidiStream;
    type SendStream = SendStream;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        let quic = &self.quic;
        let opening = self.bidi.get_or_insert_with(|| {
            let quic = quic.clone();
            Box::pin(async move { quic.open_bi().await })
        });
        let opened = ready!(opening.as_mut().poll(cx));
        self.bidi = None;
        let (send, recv) = opened.map_err(lost)?;
        let (send, recv) = (SendStream::new(send), RecvStream::new(Bytes::new(), recv, None));
        Poll::Ready(Ok(BidiStream { send, recv, gone: StopWatcher::default() }))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        let quic = &self.quic;
        let opening = self.uni.get_or_insert_with(|| {
            let quic = quic.clone();
            Box::pin(async move { quic.open_uni().await })
        });
        let opened = ready!(opening.as_mut().poll(cx));
        self.uni = None;
        Poll::Ready(opened.map(SendStream::new).map_err(lost))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.quic.close(VarInt::from_u64(code.value()).unwrap_or(VarInt::MAX), reason);
    }
}

/// What this end writes.
pub(in crate::wire) struct SendStream {
    send: quinn::SendStream,
    /// What was handed over and isn't written yet.
    writing: Option<WriteBuf<Bytes>>,
    /// Of a control stream; requests, of which there are many, have none.
    control: Option<Box<Control>>,
}

/// What a control stream begins with.
struct Control {
    /// Until something is handed over.
    dialects: Option<Dialects>,
    /// What isn't written yet of it.
    beginning: Bytes,
}

impl SendStream {
    fn new(send: quinn::SendStream) -> Self {
        Self { send, writing: None, control: None }
    }
}

impl quic::SendStream<Bytes> for SendStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        while let Some(control) = self.control.as_mut().filter(|control| control.beginning.has_remaining()) {
            let written = ready!(Pin::new(&mut self.send).poll_write(cx, &control.beginning)).map_err(write_error)?;
            control.beginning.advance(written);
        }
        if let Some(writing) = &mut self.writing {
            while writing.has_remaining() {
                let written = ready!(Pin::new(&mut self.send).poll_write(cx, writing.chunk())).map_err(write_error)?;
                writing.advance(written);
            }
        }
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.writing.is_some() {
            // `h3` waits for `poll_ready` first.
            return Err(StreamErrorIncoming::Unknown("data while there is still some to write".into()));
        }
        let mut data = data.into();
        let unsaid = self.control.as_mut().and_then(|control| Some((control.dialects.take()?, control)));
        match unsaid {
            Some((dialects, control)) => {
                control.beginning = settings::offer(dialects, data.copy_to_bytes(data.remaining()));
            }
            None => self.writing = Some(data),
        }
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        Poll::Ready(self.send.finish().map_err(|error| StreamErrorIncoming::Unknown(error.into())))
    }

    fn reset(&mut self, code: u64) {
        // One that is closed already needs none.
        let _ = self.send.reset(VarInt::from_u64(code).unwrap_or(VarInt::MAX));
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.send.id())
    }
}

/// A request's stream.
pub(in crate::wire) struct BidiStream {
    send: SendStream,
    recv: RecvStream,
    gone: StopWatcher,
}

impl Drop for BidiStream {
    fn drop(&mut self) {
        self.gone.forget(stream_id(self.send.send.id()));
    }
}

impl quic::SendStream<Bytes> for BidiStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

impl quic::RecvStream for BidiStream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.recv.poll_data(cx)
    }

    fn stop_sending(&mut self, code: u64) {
        self.recv.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.recv.recv_id()
    }
}

fn write_error(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        WriteError::ConnectionLost(error) => lost(error),
        error => StreamErrorIncoming::Unknown(error.into()),
    }
}
