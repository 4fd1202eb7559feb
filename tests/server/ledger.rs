//! The server's own count, as people and tools read it.

use serde_json::{Value, json};
use transport_lab::trial::Alpn;

use crate::lab::{Lab, until};

impl Lab {
    /// What the ledger says now.
    pub(crate) fn ledger(&self) -> Value {
        let answer = self.try_ask_at(Alpn::H2, self.base, "/ledger", &[]).unwrap();
        assert_eq!(answer.head.status, 200);
        answer.json()
    }

    /// Waits until this holds of what the ledger says.
    #[track_caller]
    pub(crate) fn until(&self, holds: impl Fn(&Value) -> bool) {
        until(&format!("the ledger to be otherwise; it is {}", self.ledger()), || holds(&self.ledger()));
    }

    /// Waits until the ledger counts so; the counts are `open`, `peak`, `total`.
    #[track_caller]
    pub(crate) fn until_counted(&self, at: &str, expected: [u64; 3]) {
        let expected = json!({"open": expected[0], "peak": expected[1], "total": expected[2]});
        until(&format!("{at} to be {expected}; it is {}", self.ledger()), || {
            self.ledger().pointer(at) == Some(&expected)
        });
    }
}

#[test]
fn streams_are_counted_as_they_come_and_go() {
    let lab = Lab::serve(&[]);
    for alpn in Alpn::HTTP {
        let at = |what: &str| format!("/alpn/{}/{what}", alpn.name());
        let first = lab.subscribe(alpn, "/feeds/news/sse?trial=7&sub=0", &[]);
        lab.until_counted(&at("streams"), [1, 1, 1]);
        let second = lab.subscribe(alpn, "/feeds/news/sse?trial=7&sub=1", &[]);
        lab.until_counted(&at("streams"), [2, 2, 2]);
        lab.until_counted(&at("connections"), [2, 2, 2]);
        first.end();
        lab.until_counted(&at("streams"), [1, 2, 2]);
        let third = lab.subscribe(alpn, "/feeds/news/sse?trial=7&sub=2", &[]);
        lab.until_counted(&at("streams"), [2, 2, 3]);
        second.end();
        third.end();
        lab.until_counted(&at("streams"), [0, 2, 3]);
        lab.until_counted(&at("connections"), [0, 2, 3]);
    }
    lab.until_counted("/trials/7/streams", [0, 2, 9]);
    lab.until_counted("/trials/7/connections", [0, 2, 9]);
}

#[test]
fn a_reader_of_the_ledger_is_told_of_changes() {
    let lab = Lab::serve(&[]);
    let mut changes = lab.open(Alpn::H2, lab.base, "/ledger", &["-H", "Accept: text/event-stream"]);
    assert_eq!(changes.head.field("content-type"), "text/event-stream");
    let mut until_open = |expected: u64| loop {
        let ledger: Value = serde_json::from_str(&changes.next().data).unwrap();
        assert!(ledger["time"].as_u64().is_some_and(|micros| micros > 1_700_000_000_000_000));
        if ledger.pointer("/alpn/h1/streams/open").and_then(Value::as_u64).unwrap_or(0) == expected {
            break;
        }
    };
    until_open(0);
    let stream = lab.subscribe(Alpn::H1, "/feeds/news/sse", &[]);
    until_open(1);
    drop(stream);
    until_open(0);
}
