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
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use futures_util::task::AtomicWaker;
use hyper::rt::{Read, ReadBufCursor, Write};

type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How many requests that are a CONNECT with content a connection survives.
const MAX_BAD_CONNECTS: u32 = 1024;

/// How often streams are polled before their connection is: once more for those that were woken meanwhile.
const ROUNDS: usize = 2;

/// Wakes a connection's task, but for the time that it is held: then it remembers that it should have.
#[derive(Default)]
struct HeldWaker {
    task: AtomicWaker,
    state: AtomicU8,
}

const HELD: u8 = 1;
const CALLED: u8 = 2;

impl HeldWaker {
    /// Holds it from now on. Whether it was called while it was held before.
    fn hold(&self) -> bool {
        self.state.swap(HELD, Ordering::AcqRel) == HELD | CALLED
    }

    /// Holds it no longer. Whether it was called meanwhile: what that was about can be seen by whoever looks now.
    fn release(&self) -> bool {
        self.state.swap(0, Ordering::AcqRel) == HELD | CALLED
    }
}

impl Wake for HeldWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(CALLED, Ordering::AcqRel) & HELD == 0 {
            self.task.wake();
        }
    }
}

/// All streams of a connection.
#[derive(Default)]
pub(in crate::wire) struct ConnectionStreams(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Those that have begun and were not polled yet. How many there are is HTTP/2's to bound.
    begun: Mutex<Vec<Stream>>,
    /// Whether HTTP/2 has closed the connection's way out.
    closed: AtomicBool,
}

/// Takes in streams that have begun, for as long as their connection is run.
#[derive(Clone)]
pub(in crate::wire) struct Entrance(Weak<Shared>);

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

impl ConnectionStreams {
    /// What takes streams in.
    pub(in crate::wire) fn entrance(&self) -> Entrance {
        Entrance(Arc::downgrade(&self.0))
    }

    /// The same bytes, for the connection that [`Self::run`] is to run.
    pub(in crate::wire) fn watched<T>(&self, io: T) -> Watched<T> {
        Watched { io, shared: Arc::downgrade(&self.0) }
    }

    /// Runs the connection whose executor is [`Self::entrance`] and whose bytes are [`Self::watched`], and all its
    /// streams, until the connection ends.
    pub(in crate::wire) async fn run<E>(self, connection: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        let mut connection = pin!(connection);
        let mut running = FuturesUnordered::new();
        let mut bad_connects = 0;
        // Streams hand over what the connection then writes, in the same poll; and `FuturesUnordered` wakes its task each
        // time that it has polled all of them. Neither is a reason to run the task again.
        let (of_streams, of_connection) = (Arc::<HeldWaker>::default(), Arc::<HeldWaker>::default());
        let [streams, connection_waker] = [&of_streams, &of_connection].map(|waker| Waker::from(Arc::clone(waker)));
        poll_fn(|context| {
            of_streams.task.register(context.waker());
            of_connection.task.register(context.waker());
            loop {
                of_connection.hold();
                of_streams.hold();
                self.begin(&mut running);
                let mut called = true;
                for _ in 0..ROUNDS {
                    while running.poll_next_unpin(&mut Context::from_waker(&streams)) == Poll::Ready(Some(())) {}
                    called = of_streams.hold();
                    if !called {
                        break;
                    }
                }
                if of_streams.release() || called {
                    context.waker().wake_by_ref();
                }
                of_connection.release();
                match connection.as_mut().poll(&mut Context::from_waker(&connection_waker)) {
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
pub(in crate::wire) struct Watched<T> {
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
    use std::sync::atomic::AtomicU32;

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
        let (streams, held) = (ConnectionStreams::default(), Arc::new(()));
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

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Counting(AtomicU32);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_a_stream_hands_over_is_written_in_the_same_poll_and_what_comes_later_wakes_the_task() {
        let (streams, counting) = (ConnectionStreams::default(), Arc::new(Counting::default()));
        let woken = || counting.0.load(Ordering::Relaxed);
        let (event, written) = (Arc::new(AtomicWaker::new()), Arc::new(AtomicWaker::new()));
        let (comes, hands_over) = (Arc::clone(&event), Arc::clone(&written));
        streams.entrance().execute(poll_fn(move |cx| {
            comes.register(cx.waker());
            hands_over.wake();
            Poll::<()>::Pending
        }));
        let polled = AtomicU32::new(0);
        let connection = poll_fn(|cx| {
            written.register(cx.waker());
            polled.fetch_add(1, Ordering::Relaxed);
            Poll::<Result<(), Infallible>>::Pending
        });
        let mut run = pin!(streams.run(connection));
        let waker = Waker::from(Arc::clone(&counting));
        let mut poll = || assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        poll();
        assert_eq!((polled.load(Ordering::Relaxed), woken()), (1, 0));
        event.wake();
        assert_eq!(woken(), 1, "an event is there");
        poll();
        assert_eq!((polled.load(Ordering::Relaxed), woken()), (2, 1), "handed over and written, and nobody woken");
        written.wake();
        assert_eq!(woken(), 2, "something for the connection");
    }

    #[test]
    fn streams_are_let_go_with_a_connection_that_is_not_run_to_its_end() {
        let (streams, held) = (ConnectionStreams::default(), Arc::new(()));
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
