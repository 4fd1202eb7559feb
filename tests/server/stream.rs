//! A subscription in a process of its own, and events as the standard reads them.

use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use transport_lab::trial::Alpn;

use crate::asking::Head;
use crate::lab::{Lab, PATIENCE, lines, until};

/// What an event stream says (WHATWG HTML section 9.2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A comment, which no reader is told of.
    Comment,
    Event(Event),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// Empty where the stream gave none.
    pub(crate) id: String,
    /// Empty: `message`.
    pub(crate) name: String,
    pub(crate) data: String,
}

/// A process that ends when dropped.
pub(crate) struct Ended(pub(crate) Child);

/// A response that goes on, and the client that reads it.
pub(crate) struct Stream {
    client: Ended,
    lines: Receiver<Vec<u8>>,
    pub(crate) head: Head,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Lab {
    /// Subscribes, and waits until the server has written the first comment: from then on no event is missed.
    #[track_caller]
    pub(crate) fn subscribe(&self, alpn: Alpn, path: &str, options: &[&str]) -> Stream {
        let mut stream = self.open(alpn, self.port(alpn), path, options);
        assert_eq!(stream.head.status, 200);
        assert_eq!(stream.head.field("content-type"), "text/event-stream");
        assert!(stream.head.field("cache-control").contains("no-store"));
        assert_eq!(stream.seen(), Seen::Comment);
        stream
    }

    /// Asks for a response that goes on, and waits for its header.
    #[track_caller]
    pub(crate) fn open(&self, alpn: Alpn, port: u16, path: &str, options: &[&str]) -> Stream {
        let url = format!("https://localhost:{port}{path}");
        let mut command = self.client(alpn, port);
        let mut client = Ended(command.args(options).arg(url).stdout(Stdio::piped()).spawn().unwrap());
        let lines = lines(client.0.stdout.take().unwrap());
        let mut head = String::new();
        loop {
            let Ok(line) = lines.recv_timeout(PATIENCE) else { panic!("no answer to {path}") };
            if line == b"\r\n" {
                return Stream { client, lines, head: Head::parse(&head) };
            }
            head += std::str::from_utf8(&line).unwrap();
        }
    }
}

impl Stream {
    /// Interrupts the client, which then closes its connection as politely as it can, and waits for its end.
    pub(crate) fn end(mut self) {
        kill(Pid::from_raw(i32::try_from(self.client.0.id()).unwrap()), Signal::SIGINT).unwrap();
        until("the client to end", || self.client.0.try_wait().unwrap().is_some());
    }

    /// The next comment or event.
    #[track_caller]
    pub(crate) fn seen(&mut self) -> Seen {
        let mut event = Event::default();
        let mut data: Vec<String> = Vec::new();
        let mut comment = false;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.lines.recv_timeout(deadline - Instant::now());
            let line = String::from_utf8(line.expect("the stream says nothing, or has ended")).unwrap();
            let line = line.strip_suffix('\n').expect("a line that is not finished");
            // A carriage return would end a line as well; the server writes none.
            assert!(!line.contains('\r'), "{line:?}");
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match name {
                "" if !line.is_empty() => comment = true,
                "" if comment && data.is_empty() => return Seen::Comment,
                "" => {
                    event.data = data.join("\n");
                    return Seen::Event(event);
                }
                "id" => event.id = value,
                "event" => event.name = value,
                "data" => data.push(value),
                _ => panic!("an unknown field: {line:?}"),
            }
        }
    }

    /// The next line, its line feed included.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let line = self.lines.recv_timeout(PATIENCE).expect("the stream says nothing, or has ended");
        String::from_utf8(line).unwrap()
    }

    /// What the stream begins with, when that is the time to wait before reconnecting.
    #[track_caller]
    pub(crate) fn retry(&mut self) -> String {
        let first = self.line();
        assert_eq!(self.line(), "\n");
        first.strip_prefix("retry: ").unwrap_or_else(|| panic!("{first:?}")).trim_end().to_owned()
    }

    /// Waits until the server has ended it, whatever it says before.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline - Instant::now()) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => panic!("the stream goes on"),
            }
        }
    }

    /// The next event.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Event {
        loop {
            if let Seen::Event(event) = self.seen() {
                return event;
            }
        }
    }

    /// The data of the next events.
    #[track_caller]
    pub(crate) fn data(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next().data).collect()
    }
}
