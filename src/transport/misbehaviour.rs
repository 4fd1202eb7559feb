//! A server that lies about what it delivers, so that it can be seen whether the lab notices.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::feed::{CursorItem, Event};
use crate::trial::rig::Rig;

/// What a rigged server makes of one subscription's events. Gaps and heartbeats are left alone.
#[derive(Debug)]
pub(super) struct ServerMisbehaviour {
    change: fn(u64, Arc<Event>, &mut VecDeque<Arc<Event>>),
    count: u64,
    /// What comes before anything else.
    ready: VecDeque<Arc<Event>>,
    /// The event that `reorder` keeps back.
    kept: VecDeque<Arc<Event>>,
}

impl ServerMisbehaviour {
    /// What this rig tells its readers, if that is what it lies about.
    pub(super) fn of(rig: Option<Rig>) -> Option<Box<Self>> {
        let change: fn(u64, Arc<Event>, &mut VecDeque<Arc<Event>>) = match rig {
            Some(Rig::Drop) => drop_second,
            Some(Rig::Repeat) => repeat,
            Some(Rig::Reorder) => |_, event, ready| ready.push_back(event),
            Some(Rig::Corrupt) => corrupt,
            _ => return None,
        };
        let mut misbehaviour = Self { change, count: 0, ready: VecDeque::new(), kept: VecDeque::new() };
        misbehaviour.kept.reserve(usize::from(rig == Some(Rig::Reorder)));
        Some(Box::new(misbehaviour))
    }

    /// What was left over from the last one.
    pub(super) fn left(&mut self) -> Option<Arc<Event>> {
        self.ready.pop_front()
    }

    /// What is told in place of this.
    pub(super) fn tell(&mut self, next: CursorItem) -> Option<CursorItem> {
        let CursorItem::Event(event) = next else { return Some(next) };
        self.count += 1;
        // The first event comes after the second.
        if self.kept.capacity() > 0 && self.count == 1 {
            self.kept.push_back(event);
            return None;
        }
        (self.change)(self.count, event, &mut self.ready);
        self.ready.append(&mut self.kept);
        self.ready.pop_front().map(CursorItem::Event)
    }
}

fn drop_second(count: u64, event: Arc<Event>, ready: &mut VecDeque<Arc<Event>>) {
    if count != 2 {
        ready.push_back(event);
    }
}

fn repeat(count: u64, event: Arc<Event>, ready: &mut VecDeque<Arc<Event>>) {
    if count == 2 {
        ready.push_back(Arc::clone(&event));
    }
    ready.push_back(event);
}

/// The last character of the second event's data is another one.
fn corrupt(count: u64, event: Arc<Event>, ready: &mut VecDeque<Arc<Event>>) {
    if count != 2 {
        return ready.push_back(event);
    }
    let mut data = event.data.clone();
    let last = data.pop();
    data.push(if last == Some('x') { 'y' } else { 'x' });
    ready.push_back(Arc::new(event.with_data(data)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Feed;

    fn told(rig: Rig) -> String {
        let feed = Feed::new("f0", 8);
        let mut misbehaviour = ServerMisbehaviour::of(Some(rig)).unwrap();
        let mut told = Vec::new();
        for data in ["1111", "2222", "3333"] {
            let event = feed.publish("message", data.to_owned(), 0, false);
            told.extend(misbehaviour.tell(CursorItem::Event(event)));
            while let Some(event) = misbehaviour.left() {
                told.push(CursorItem::Event(event));
            }
        }
        let data = told.into_iter().map(|next| match next {
            CursorItem::Event(event) => event.data.clone(),
            other => panic!("{other:?}"),
        });
        data.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_rig_does_what_its_name_says() {
        assert_eq!(told(Rig::Drop), "1111 3333");
        assert_eq!(told(Rig::Repeat), "1111 2222 2222 3333");
        assert_eq!(told(Rig::Reorder), "2222 1111 3333");
        assert_eq!(told(Rig::Corrupt), "1111 222x 3333");
        assert!(ServerMisbehaviour::of(Some(Rig::Capped)).is_none() && ServerMisbehaviour::of(None).is_none());
    }
}
