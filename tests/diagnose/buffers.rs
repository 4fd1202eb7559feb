//! What gathers events before it passes them on: rigged servers that do, and some that only look like it.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::lab::{Ran, diagnose};
use crate::rigged::{Asked, GOOD, Rigged, begin, stay};

/// An event made so many milliseconds after 2026-01-01.
fn event(id: usize, ms: usize) -> String {
    format!("id: {id}\ndata: {{\"time\": {}, \"text\": \"{}\"}}\n\n", 1_767_225_600_000 + ms, "x".repeat(100))
}

/// A stream that is written so, listened to for three seconds.
fn listened(write: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> Ran {
    let rigged = Rigged::new(move |asked, stream| {
        begin(stream, GOOD);
        write(asked, stream);
        stay(stream);
    });
    diagnose(&rigged.url(), &["--listen", "3s", "--streams", "0"])
}

fn wait(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}

#[test]
fn events_that_are_cut_by_a_buffers_size_are_found_in_clumps() {
    let ran = listened(|_, stream| {
        let all: String = (1..60).map(|k| event(k, k * 50)).collect();
        for part in all.as_bytes().chunks(2000) {
            let _ = stream.write_all(part);
            wait(800);
        }
    })
    .exits(1);
    let finding = ran.finding("buffered");
    assert_eq!(finding["severity"], "delays");
    let evidence = finding["evidence"].to_string();
    assert!(evidence.contains("stopped in the middle of an event for"), "{evidence}");
    assert!(finding["change"].as_str().unwrap().contains("X-Accel-Buffering: no"), "{finding}");
}

#[test]
fn events_whose_own_times_are_apart_are_found_in_clumps() {
    let ran = listened(|_, stream| {
        for clump in 0..4 {
            let all: String = (1..6).map(|k| event(clump * 5 + k, clump * 2000 + k * 400)).collect();
            let _ = stream.write_all(all.as_bytes());
            wait(700);
        }
    })
    .exits(1);
    let evidence = ran.finding("buffered")["evidence"].to_string();
    assert!(evidence.contains("5 events came together whose own time stamps are 1.6 s apart"), "{evidence}");
}

#[test]
fn heartbeats_that_come_together_tell_of_a_buffer() {
    let ran = listened(|_, stream| {
        for clump in [":\n\n", ":\n\n:\n\n:\n\n:\n\n", ":\n\n:\n\n:\n\n"] {
            let _ = stream.write_all(clump.as_bytes());
            wait(700);
        }
    })
    .exits(1);
    assert!(ran.finding("buffered")["evidence"].to_string().contains("4 heartbeats came together"), "{}", ran.out);
}

#[test]
fn what_was_before_and_what_was_made_together_is_no_clump() {
    let ran = listened(|_, stream| {
        // First what was before, then two at a time, made at that time.
        let before: String = (1..30).map(|k| event(k, k * 1000)).collect();
        let _ = stream.write_all(before.as_bytes());
        for k in 0..4 {
            wait(500);
            let two: String = [0, 1].map(|n| event(40 + 2 * k + n, 100_000 + 500 * k)).concat();
            let _ = stream.write_all(two.as_bytes());
        }
    });
    let found = ran.findings();
    assert!(!["buffered", "bursts"].iter().any(|name| found.contains(&(*name).to_owned())), "{}", ran.out);
}

#[test]
fn bursts_of_which_nothing_tells_when_they_were_made_are_advised_about() {
    let said = |count: usize| {
        listened(move |_, stream| {
            for clump in 0..4 {
                let all: Vec<String> = (0..count).map(|k| format!("id: {}\ndata: x\n\n", clump * 10 + k)).collect();
                let _ = stream.write_all(all.concat().as_bytes());
                wait(600);
            }
        })
    };
    assert_eq!(said(5).finding("bursts")["severity"], "advice");
    assert!(!said(1).findings().contains(&"bursts".to_owned()));
}

#[test]
fn a_stream_at_a_byte_a_second_is_found_to_trickle() {
    let ran = diagnose(
        &Rigged::new(|_, stream| {
            begin(stream, GOOD);
            for byte in "id: 1\ndata: a slow event\n\n".bytes() {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                wait(1000);
            }
        })
        .url(),
        &["--listen", "5s", "--streams", "0"],
    )
    .exits(1);
    assert_eq!(ran.finding("trickle")["severity"], "delays");
    assert!(!ran.findings().contains(&"buffered".to_owned()), "{}", ran.out);
}

#[test]
fn a_beginning_that_is_held_back_is_told_from_a_long_poll() {
    let held = |kind: &'static str| {
        let rigged = Rigged::new(move |asked, stream| {
            if asked.method == "HEAD" {
                begin(stream, kind);
            } else {
                stay(stream);
            }
        });
        crate::lab::glance(&rigged.url(), &[])
    };
    let ran = held(GOOD).exits(1);
    let finding = ran.finding("held-back");
    assert_eq!(finding["severity"], "delays");
    assert!(finding["change"].as_str().unwrap().starts_with("flush after each event"), "{finding}");
    let nginx = held("Content-Type: text/event-stream\r\nServer: nginx/1.22.1\r\n").exits(1);
    assert!(nginx.finding("held-back")["change"].as_str().unwrap().contains("proxy_buffering off"), "{}", nginx.out);
    let ran = held("Content-Type: application/json\r\n").exits(0);
    assert_eq!(ran.json()["kind"], "long-poll");
    assert!(!ran.findings().contains(&"held-back".to_owned()), "{}", ran.out);
}
