//! A server that lies about what it delivers, so that it can be seen whether the lab notices.

use std::collections::VecDeque;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};

use crate::trial::rig::Rig;

type Chunks = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// The chunks as this rig leaves them; without one, as they are. Only chunks that carry an event are touched.
pub(super) fn chunks(chunks: Chunks, rig: Option<Rig>) -> Chunks {
    let change: fn(u64, &Bytes, &mut VecDeque<Bytes>) = match rig {
        Some(Rig::Drop) => drop_second,
        Some(Rig::Repeat) => repeat,
        Some(Rig::Reorder) => reorder,
        Some(Rig::Corrupt) => corrupt,
        _ => return chunks,
    };
    let state = (chunks, 0, VecDeque::new());
    Box::pin(stream::unfold(state, move |(mut chunks, mut count, mut ready)| async move {
        loop {
            // One chunk is kept back only by `reorder`, behind a mark that says so.
            if ready.front().is_some_and(|chunk: &Bytes| !chunk.is_empty())
                && let Some(chunk) = ready.pop_front()
            {
                return Some((chunk, (chunks, count, ready)));
            }
            let chunk = chunks.next().await?;
            if chunk.starts_with(b":") || chunk.starts_with(b"retry") {
                return Some((chunk, (chunks, count, ready)));
            }
            count += 1;
            change(count, &chunk, &mut ready);
        }
    }))
}

fn drop_second(count: u64, chunk: &Bytes, ready: &mut VecDeque<Bytes>) {
    if count != 2 {
        ready.push_back(chunk.clone());
    }
}

fn repeat(count: u64, chunk: &Bytes, ready: &mut VecDeque<Bytes>) {
    if count == 2 {
        ready.push_back(chunk.clone());
    }
    ready.push_back(chunk.clone());
}

/// The first event comes after the second.
fn reorder(count: u64, chunk: &Bytes, ready: &mut VecDeque<Bytes>) {
    if count == 1 {
        ready.extend([Bytes::new(), chunk.clone()]);
    } else {
        if ready.front().is_some_and(Bytes::is_empty) {
            ready.pop_front();
        }
        ready.push_front(chunk.clone());
    }
}

/// One byte of the second event's data is another one.
fn corrupt(count: u64, chunk: &Bytes, ready: &mut VecDeque<Bytes>) {
    let mut bytes = BytesMut::from(&chunk[..]);
    if count == 2
        && let Some(byte) = bytes.len().checked_sub(4).and_then(|at| bytes.get_mut(at))
    {
        *byte = if *byte == b'x' { b'y' } else { b'x' };
    }
    ready.push_back(bytes.freeze());
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn rigged(rig: Rig) -> String {
        let events = ["1111", "2222", "3333"].map(|text| Bytes::from_static(text.as_bytes()));
        let chunks = chunks(Box::pin(stream::iter(events)), Some(rig));
        chunks.map(|chunk| String::from_utf8_lossy(&chunk).into_owned()).collect::<Vec<_>>().await.join(" ")
    }

    #[tokio::test]
    async fn each_rig_does_what_its_name_says() {
        assert_eq!(rigged(Rig::Drop).await, "1111 3333");
        assert_eq!(rigged(Rig::Repeat).await, "1111 2222 2222 3333");
        assert_eq!(rigged(Rig::Reorder).await, "2222 1111 3333");
        assert_eq!(rigged(Rig::Corrupt).await, "1111 x222 3333");
    }
}
