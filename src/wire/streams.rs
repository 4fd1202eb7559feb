//! The streams of one HTTP/2 connection, run within the connection's own task.
//!
//! Enters: what hyper wants done for each stream. Leaves: nothing but their frames. A task for each would be woken
//! for each event, on whichever thread, and the connection between them: a lock contended for and a `write` for a few
//! frames at a time. Here all streams that an event wakes go first, then the connection writes all their frames at
//! once; and a stream ends with its connection.
//!
//! Each stream holds the executor that it was handed to. So the executor holds nothing: what has begun belongs to
//! whoever runs the connection, and is gone with it, polled or not.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hyper::rt::{Read, ReadBufCursor, Write};

type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How many requests that are a CONNECT with content a connection survives.
const MAX_BAD_CONNECTS: u32 = 1024;

/// All streams of a connection.
#[derive(Default)]
pub(super) struct Streams(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Those that have begun and were not polled yet. How many there are is HTTP/2's to bound.
    begun: Mutex<Vec<Stream>>,
    /// Whether HTTP/2 has closed the connection's way out.
    closed: AtomicBool,
}

/// Takes in streams that have begun, for as long as their connection is run.
#[derive(Clone)]
pub(super) struct Entrance(Weak<Shared>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Entrance {
    fn execute(&self, stream: F) {
        if let Some(shared) = self.0.upgrade() {
            shared.begun().push(Box::pin(stream));
        }
    }
}

impl Shared {
    fn begun(&self) -> std::sync::MutexGuard<'_, Vec<Stream>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    /// What takes streams in.
    pub(super) fn entrance(&self) -> Entrance {
        Entrance(Arc::downgrade(&self.0))
    }

    /// The same bytes, for the connection that [`Self::run`] is to run.
    pub(super) fn watched<T>(&self, io: T) -> Watched<T> {
        Watched { io, shared: Arc::downgrade(&self.0) }
    }

    /// Runs the connection whose executor is [`Self::entrance`] and whose bytes are [`Self::watched`], and all its
    /// streams, until the connection ends.
    pub(super) async fn run<E>(self, connection: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        let mut connection = pin!(connection);
        let mut running = FuturesUnordered::new();
        let mut bad_connects = 0;
        poll_fn(|context| {
            loop {
                self.begin(&mut running);
                while let Poll::Ready(Some(())) = running.poll_next_unpin(context) {}
                match connection.as_mut().poll(context) {
                    Poll::Pending => {}
                    // hyper resets a CONNECT with content, which is malformed (RFC 9110 section 9.3.6), and then
                    // leaves its loop as if the connection were at its end. It isn't, while nothing was closed, and
                    // goes on when it is polled: RFC 9113 section 8.1.1 makes it an error of the stream alone.
                    // Deviation: hyper's reset says INTERNAL_ERROR, where PROTOCOL_ERROR is due.
                    Poll::Ready(Ok(()))
                        if !self.0.closed.load(Ordering::Relaxed) && bad_connects < MAX_BAD_CONNECTS =>
                    {
                        bad_connects += 1;
                        continue;
                    }
                    ended @ Poll::Ready(_) => return ended,
                }
                // Those that have begun just now are to be polled, or nothing would wake them.
                if !self.begin(&mut running) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Lets those in that have begun; whether there were any.
    fn begin(&self, running: &mut FuturesUnordered<Stream>) -> bool {
        let mut begun = self.0.begun();
        let any = !begun.is_empty();
        running.extend(begun.drain(..));
        any
    }
}

/// The bytes of a connection, which notes when its way out is closed.
pub(super) struct Watched<T> {
    io: T,
    shared: Weak<Shared>,
}

impl<T: Read + Unpin> Read for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: Write + Unpin> Write for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(shared) = self.shared.upgrade() {
            shared.closed.store(true, Ordering::Relaxed);
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::Waker;

    use hyper::rt::Executor;

    use super::*;

    /// A stream that never ends, and holds what it was handed to, as hyper's do.
    fn stream(entrance: &Entrance, held: &Arc<()>) -> impl Future<Output = ()> + Send + 'static {
        let all = (entrance.clone(), Arc::clone(held));
        async move {
            let _all = all;
            std::future::pending::<()>().await;
        }
    }

    #[test]
    fn streams_that_began_in_the_poll_in_which_their_connection_ended_are_let_go() {
        let (streams, held) = (Streams::default(), Arc::new(()));
        let entrance = streams.entrance();
        streams.0.closed.store(true, Ordering::Relaxed);
        let connection = async {
            for _ in 0..99 {
                entrance.execute(stream(&entrance, &held));
            }
            Ok::<(), Infallible>(())
        };
        let mut run = pin!(streams.run(connection));
        assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert_eq!(Arc::strong_count(&held), 1, "who polled it still has it, and no stream is left");
        entrance.execute(stream(&entrance, &held));
        assert_eq!(Arc::strong_count(&held), 1, "nor does one begin any more");
    }

    #[test]
    fn streams_are_let_go_with_a_connection_that_is_not_run_to_its_end() {
        let (streams, held) = (Streams::default(), Arc::new(()));
        let entrance = streams.entrance();
        let connection = async {
            entrance.execute(stream(&entrance, &held));
            std::future::pending::<Result<(), Infallible>>().await
        };
        let mut run = Box::pin(streams.run(connection));
        assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        entrance.execute(stream(&entrance, &held));
        assert_eq!(Arc::strong_count(&held), 3, "one is polled, one has begun");
        drop(run);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
