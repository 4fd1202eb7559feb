//! One request, one answer: curl on HTTP/1.1 and HTTP/2, aioquic on HTTP/3.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use transport_lab::trial::Alpn;

use crate::lab::{Lab, python};

/// An answer's first line and fields.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) version: String,
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
}

impl Head {
    /// Reads a header, without the empty line at its end.
    pub(crate) fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let mut words = first.split(' ');
        let (version, status) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        let status = status.parse().unwrap_or_else(|_| panic!("not an answer: {first:?}"));
        Self { version, status, fields: fields.collect() }
    }

    /// A field's values, joined as RFC 9110 section 5.2 lets one.
    pub(crate) fn field(&self, name: &str) -> String {
        let values = self.fields.iter().filter(|(of, _)| of == name).map(|(_, value)| value.as_str());
        values.collect::<Vec<_>>().join(", ")
    }
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// Says that it was refused so, and that its body says why.
    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, word: &str) {
        assert_eq!(self.head.status, status, "{self:?}");
        assert_eq!(self.head.field("content-type"), "application/json");
        assert_eq!(self.head.field("cache-control"), "no-store");
        let json = self.json();
        let error = json["error"].as_str().unwrap_or_default();
        assert!(error.contains(word), "{word:?} is not in {error:?}");
    }
}

/// Reads answers that stand one after the other; no body here contains a line that begins like an answer.
fn parse(mut rest: &[u8], alpn: Alpn) -> Vec<Answer> {
    let version = match alpn {
        Alpn::H1 => "HTTP/1.1",
        Alpn::H2 => "HTTP/2",
        Alpn::H3 => "HTTP/3",
        Alpn::Quic => panic!("raw QUIC has no answers"),
    };
    let mut answers = Vec::new();
    while let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = Head::parse(&String::from_utf8_lossy(&rest[..end]));
        assert_eq!(head.version, version);
        rest = &rest[end + 4..];
        let next = rest.windows(version.len()).position(|start| start == version.as_bytes()).unwrap_or(rest.len());
        let (body, others) = rest.split_at(next);
        rest = others;
        // One that begins with 1 only says that an answer will come.
        if head.status >= 200 {
            answers.push(Answer { head, body: body.to_vec() });
        }
    }
    answers
}

impl Lab {
    /// The program that asks over this version of HTTP, and no other; it understands curl's options.
    pub(crate) fn client(&self, alpn: Alpn, port: u16) -> Command {
        let mut command = match alpn {
            Alpn::H1 | Alpn::H2 => Command::new("curl"),
            Alpn::H3 | Alpn::Quic => Command::new(python()),
        };
        match alpn {
            Alpn::H1 => command.args(["-sS", "--include", "--no-buffer", "--http1.1"]),
            Alpn::H2 => command.args(["-sS", "--include", "--no-buffer", "--http2"]),
            Alpn::H3 | Alpn::Quic => command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/h3.py")),
        };
        // No proxy and no settings of the person's own.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).arg("--cacert").arg(&self.ca);
        assert_ne!(port, 0);
        command
    }

    /// Asks; an answer on another version than was asked for is a failure.
    #[track_caller]
    pub(crate) fn ask(&self, alpn: Alpn, path: &str, options: &[&str]) -> Answer {
        match self.try_ask(alpn, path, options) {
            Ok(answer) => answer,
            Err(error) => panic!("{alpn:?} {path}: {error}"),
        }
    }

    /// The same, when there may be no answer.
    pub(crate) fn try_ask(&self, alpn: Alpn, path: &str, options: &[&str]) -> Result<Answer, String> {
        self.try_ask_at(alpn, self.port(alpn), path, options)
    }

    pub(crate) fn try_ask_at(&self, alpn: Alpn, port: u16, path: &str, options: &[&str]) -> Result<Answer, String> {
        self.run(alpn, port, &[path], options).and_then(|answers| answers.into_iter().next().ok_or("none".to_owned()))
    }

    /// Asks for several paths with the same options, one after the other: a process for each would be slow.
    #[track_caller]
    pub(crate) fn ask_all(&self, alpn: Alpn, paths: &[String], options: &[&str]) -> Vec<Answer> {
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        let answers = self.run(alpn, self.port(alpn), &paths, options).unwrap();
        assert_eq!(answers.len(), paths.len(), "{answers:?}");
        answers
    }

    fn run(&self, alpn: Alpn, port: u16, paths: &[&str], options: &[&str]) -> Result<Vec<Answer>, String> {
        let mut command = self.client(alpn, port);
        let urls = paths.iter().map(|path| format!("https://localhost:{port}{path}"));
        let output = command.args(["--max-time", "60"]).args(options).args(urls).output().unwrap();
        let Output { status, stdout, stderr } = output;
        // What was answered before a connection broke counts: that is what a client sees.
        let answers = parse(&stdout, alpn);
        if answers.is_empty() {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&stderr)));
        }
        Ok(answers)
    }

    /// Publishes; gives back the event's id.
    #[track_caller]
    pub(crate) fn publish(&self, alpn: Alpn, feed: &str, data: &[u8]) -> String {
        let file = format!("@{}", self.file(data).display());
        let answer = self.ask(alpn, &format!("/feeds/{feed}"), &["--data-binary", &file]);
        assert_eq!(answer.head.status, 201, "{answer:?}");
        answer.json()["id"].as_str().unwrap().to_owned()
    }
}
