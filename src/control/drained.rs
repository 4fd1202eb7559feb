//! What an answer leaves unread of a request's body is read all the same: HTTP/2 would reset the stream for it and
//! HTTP/1.1 close the connection, and a client that is still sending takes that as a failure and never sees the answer.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use http_body::{Frame, SizeHint};
use tokio::time::timeout;

use crate::wire::BODY_TIMEOUT;

/// A body that two may read; `None` once it has ended.
#[derive(Clone)]
pub(super) struct SharedBody(Arc<Mutex<Option<Body>>>);

/// The same request, and what reads the rest of its body; `None`: it has none.
pub(super) fn share(request: Request) -> (Request, Option<SharedBody>) {
    if request.body().is_end_stream() {
        return (request, None);
    }
    let (head, body) = request.into_parts();
    let shared = SharedBody(Arc::new(Mutex::new(Some(body))));
    (Request::from_parts(head, Body::new(shared.clone())), Some(shared))
}

impl SharedBody {
    /// Reads what nobody has read, for as long as a body may take.
    pub(super) async fn read(mut self) {
        let reading = poll_fn(|cx| {
            while let Some(frame) = ready!(Pin::new(&mut self).poll_frame(cx)) {
                drop(frame);
            }
            Poll::Ready(())
        });
        // Whoever sends for longer is answered in the middle of it.
        let _ = timeout(BODY_TIMEOUT, reading).await;
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(body) = &mut *shared else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            *shared = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}
