//! The streams of one HTTP/2 connection, run within the connection's own task.
//!
//! Enters: what hyper wants done for each stream. Leaves: nothing but their frames. A task for each would be woken
//! for each event, on whichever thread, and the connection between them: a lock contended for and a `write` for a few
//! frames at a time. Here all streams that an event wakes go first, then the connection writes all their frames at
//! once; and a stream ends with its connection.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes in streams that have begun. How many there are is HTTP/2's to bound.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<Vec<Stream>>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(stream));
    }
}

impl Streams {
    /// Runs the connection that has this as its executor, and all its streams, until the connection ends.
    pub(super) async fn run<C: Future>(self, connection: C) -> C::Output {
        let mut connection = pin!(connection);
        let mut running = FuturesUnordered::new();
        poll_fn(|context| {
            loop {
                self.begin(&mut running);
                while let Poll::Ready(Some(())) = running.poll_next_unpin(context) {}
                if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                    return Poll::Ready(ended);
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
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let any = !begun.is_empty();
        running.extend(begun.drain(..));
        any
    }
}
