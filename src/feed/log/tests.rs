//! What a log is to its readers when others number its events.

use super::super::{After, Cursor, CursorItem, DraftData, Gap, Patience};
use super::*;

fn draft(data: &str) -> Draft {
    Draft {
        name: "message".to_owned(),
        data: DraftData::Text(data.to_owned()),
        time: 7,
        census: false,
        binary: false,
        message_id: None,
        patience: Patience::Refuse,
    }
}

/// How many are missing, and where it goes on.
type Missing = (Option<u64>, Option<u64>);

/// What is told next: the number of an event, or a gap.
fn next(cursor: &mut Cursor) -> Option<Result<u64, Missing>> {
    match cursor.try_next()? {
        CursorItem::Event(event) => Some(Ok(event.id.seq)),
        CursorItem::Gap(Gap { missed, first }) => Some(Err((missed, first.map(|id| id.seq)))),
        CursorItem::Beat | CursorItem::End => None,
    }
}

#[test]
fn what_was_passed_over_is_told_as_one_gap_and_nothing_comes_twice() {
    let epoch = Epoch::draw();
    let feed = Feed::of_epoch("f0", 8, epoch);
    let id = |seq| EventId { epoch, seq };
    let mut reader = Cursor::new(&feed, After::Beginning);
    assert!(feed.take_in(id(1), draft("one")) && feed.take_in(id(2), draft("two")));
    assert!(
        !feed.take_in(id(2), draft("again")) && !feed.take_in(EventId { epoch: Epoch::draw(), seq: 3 }, draft("x"))
    );
    assert!(feed.take_in(id(6), draft("six")));
    let told: Vec<_> = std::iter::from_fn(|| next(&mut reader)).collect();
    assert_eq!(told, [Ok(1), Ok(2), Err((Some(3), Some(6))), Ok(6)]);
    // A jump over more than it holds leaves nothing of what was there.
    assert!(feed.take_in(id(1000), draft("far")));
    assert_eq!((next(&mut reader), next(&mut reader)), (Some(Err((Some(993), Some(1000)))), Some(Ok(1000))));
    feed.advance(1003);
    assert_eq!((next(&mut reader), next(&mut reader)), (Some(Err((Some(3), None))), None));
    assert!(feed.take_in(id(1004), draft("on")));
    assert_eq!(next(&mut reader), Some(Ok(1004)));
}

#[test]
fn whoever_waited_for_the_first_event_gets_it_and_a_new_epoch_ends_the_readers_of_the_old() {
    let feed = Feed::of_epoch("f0", 8, Epoch::NEW);
    let mut early = Cursor::new(&feed, After::Now);
    assert_eq!(early.last().to_string(), "new-0");
    let [first, second] = [Epoch::draw(), Epoch::draw()];
    feed.begin(first);
    assert!(feed.take_in(EventId { epoch: first, seq: 1 }, draft("one")));
    assert_eq!((next(&mut early), early.last()), (Some(Ok(1)), EventId { epoch: first, seq: 1 }));
    // Who was there before the first is told how much of it is gone.
    let late = |feed: &Arc<Feed>| Cursor::new(feed, After::Id("new-0".parse().unwrap()));
    assert_eq!(next(&mut late(&feed)), Some(Ok(1)));
    feed.begin(second);
    assert!(matches!(early.try_next(), None | Some(CursorItem::End)), "nothing of another epoch");
    assert!(feed.take_in(EventId { epoch: second, seq: 4 }, draft("four")));
    assert!(matches!(early.try_next(), None | Some(CursorItem::End)), "nor when it has got as far");
    assert!(feed.take_in(EventId { epoch: second, seq: 5 }, draft("five")));
    assert_eq!(next(&mut late(&feed)), Some(Err((Some(3), Some(4)))));
    let mut back = Cursor::new(&feed, After::Id(EventId { epoch: first, seq: 1 }));
    assert_eq!([next(&mut back), next(&mut back)], [Some(Err((None, Some(4)))), Some(Ok(4))]);
}

#[tokio::test]
async fn who_waits_for_an_event_of_an_epoch_that_is_yet_to_begin_is_told_once_it_is_there() {
    let feed = Feed::of_epoch("f0", 8, Epoch::NEW);
    let epoch = Epoch::draw();
    let id = move |seq| EventId { epoch, seq };
    let waiting = tokio::spawn({
        let feed = Arc::clone(&feed);
        async move { feed.until_has(id(2)).await }
    });
    // Each is let on as far as it gets: nothing else is ready.
    tokio::task::yield_now().await;
    for begun in [Epoch::draw(), epoch] {
        feed.begin(begun);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "neither of another epoch nor without the event");
    }
    assert!(feed.take_in(id(1), draft("one")));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    assert!(feed.take_in(id(2), draft("two")));
    waiting.await.unwrap();
}

#[test]
fn a_reader_from_another_server_waits_for_what_it_has_already() {
    let epoch = Epoch::draw();
    let feed = Feed::of_epoch("f0", 8, epoch);
    let id = |seq| EventId { epoch, seq };
    assert!(feed.take_in(id(1), draft("one")));
    let mut reader = Cursor::new(&feed, After::Ahead(id(3)));
    for seq in 2..=4 {
        assert_eq!(next(&mut reader), None);
        assert!(feed.take_in(id(seq), draft("more")));
    }
    assert_eq!(next(&mut reader), Some(Ok(4)));
}
