//! Servers that are rigged: plain HTTP/1.1, whose every byte is a test's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What is asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    fields: Vec<(String, String)>,
    /// How many were asked before.
    pub(crate) number: usize,
}

impl Asked {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// A server on loopback. It ends when dropped.
pub(crate) struct Rigged {
    pub(crate) port: u16,
    ended: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Rigged {
    /// Each request is answered so, by a thread and on a connection of its own.
    pub(crate) fn new(answer: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let (answer, asked) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let mut rigged = Self::raw(move |stream| {
            let Some(asked) = read(stream, &count) else { return };
            answer(&asked, stream);
        });
        rigged.asked = asked;
        rigged
    }

    /// Each connection is dealt with so.
    pub(crate) fn raw(serve: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (ended, serve) = (Arc::new(AtomicBool::new(false)), Arc::new(serve));
        let until = Arc::clone(&ended);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if until.load(Ordering::Acquire) {
                    return;
                }
                let (serve, mut stream) = (Arc::clone(&serve), stream.unwrap());
                stream.set_nodelay(true).unwrap();
                thread::spawn(move || serve(&mut stream));
            }
        });
        Self { port, ended, asked: Arc::default() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/events", self.port)
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.asked.load(Ordering::Acquire)
    }
}

impl Drop for Rigged {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the thread that listens.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn read(stream: &TcpStream, count: &AtomicUsize) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let method = lines.next()?.split(' ').next()?.to_owned();
    let fields = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    Some(Asked { method, fields: fields.collect(), number: count.fetch_add(1, Ordering::AcqRel) })
}

/// A header that nothing is wrong with, but for these fields.
pub(crate) const GOOD: &str = "Content-Type: text/event-stream\r\nCache-Control: no-store\r\n";

/// Begins an answer that goes on until its connection ends.
pub(crate) fn begin(stream: &mut TcpStream, fields: &str) {
    // A client that is gone ends the next read too.
    let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n{fields}\r\n");
}

/// Says each part after so many milliseconds.
pub(crate) fn say(stream: &mut TcpStream, parts: &[(u64, &str)]) {
    for (after, text) in parts {
        thread::sleep(Duration::from_millis(*after));
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

/// Keeps the stream open until the client goes.
pub(crate) fn stay(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 16]);
}

/// A log that is served well: events `1`, `2` and `3`, after the one that `Last-Event-ID` names.
pub(crate) fn log(asked: &Asked) -> String {
    let after: usize = asked.field("last-event-id").and_then(|id| id.parse().ok()).unwrap_or(0);
    (after + 1..=3).map(|id| format!("id: {id}\ndata: event {id}\n\n")).collect::<Vec<_>>().concat()
}
