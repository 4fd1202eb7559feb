//! The program, the lab's own server, and how to publish on it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use tempfile::TempDir;
use transport_lab::trial::Alpn;
use transport_lab::wire::dial::{ClientConnection, Target};

pub(crate) use crate::until::until;

/// The program with these arguments.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_transport-lab"));
    program.args(arguments).stdin(Stdio::null()).env_remove("TRANSPORT_LAB_LOG");
    program
}

/// How it ended and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs it to its end.
pub(crate) fn ask(arguments: &[&str]) -> Ran {
    let ran = program(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let ran = Ran { exit: ran.status.code(), out: text(ran.stdout), err: text(ran.stderr) };
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    ran
}

/// A diagnosis as JSON, with what else is to be said.
#[track_caller]
pub(crate) fn diagnose(url: &str, more: &[&str]) -> Ran {
    ask(&[&["diagnose", url, "--json"], more].concat())
}

/// The same in little time, of a stream that says all it has to say at once.
#[track_caller]
pub(crate) fn glance(url: &str, more: &[&str]) -> Ran {
    diagnose(url, &[&["--listen", "1500ms", "--streams", "0"], more].concat())
}

impl Ran {
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(self.exit, Some(status), "{}\n{}", self.err, self.out);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.out, self.err))
    }

    /// The names of its findings.
    #[track_caller]
    pub(crate) fn findings(&self) -> Vec<String> {
        let json = self.json();
        let findings = json["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["name"].as_str().unwrap().to_owned()).collect()
    }

    /// A finding that must be there.
    #[track_caller]
    pub(crate) fn finding(&self, name: &str) -> Value {
        let json = self.json();
        let findings = json["findings"].as_array().unwrap();
        let found = findings.iter().find(|finding| finding["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {}", self.out)).clone()
    }

    /// It says all of these on its standard error, in one line.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "no `{word}` in: {}", self.err);
        }
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        self
    }
}

/// `transport-lab serve` in a process of its own. It ends when dropped.
pub(crate) struct Lab {
    child: Child,
    pub(crate) base: u16,
    folder: TempDir,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lab {
    pub(crate) fn serve() -> Self {
        Self::serve_with(&[])
    }

    pub(crate) fn serve_with(options: &[&str]) -> Self {
        for _ in 0..20 {
            let (base, folder) = (free_base(), tempfile::tempdir().unwrap());
            let mut command = program(&["serve", "--port", &base.to_string(), "--certs"]);
            command.arg(folder.path()).arg("--out").arg(folder.path()).args(options).stderr(Stdio::null());
            let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let is_ready = lines.map_while(Result::ok).any(|line| line.starts_with("Ctrl-C"));
            let lab = Self { child, base, folder };
            if is_ready {
                return lab;
            }
        }
        panic!("no six free ports");
    }

    pub(crate) fn certs(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn ca(&self) -> String {
        self.certs().join("ca.pem").display().to_string()
    }

    /// A diagnosis of what it serves at the base and so much.
    #[track_caller]
    pub(crate) fn diagnose(&self, offset: u16, path: &str, more: &[&str]) -> Ran {
        let url = format!("https://localhost:{}{path}", self.base + offset);
        diagnose(&url, &[&["--ca", &self.ca()], more].concat())
    }

    /// Publishes on this feed every so often, until dropped. What is published is a time stamp.
    pub(crate) fn publishing(&self, feed: &str, every: Duration, size: usize) -> Publisher {
        let ended = Arc::new(AtomicBool::new(false));
        let (until, path) = (Arc::clone(&ended), format!("/feeds/{feed}"));
        let ca = CertificateDer::from_pem_slice(&fs::read(self.ca()).unwrap()).unwrap();
        let target = Target { host: "localhost".to_owned(), port: self.base + 2 };
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let connection = ClientConnection::connect(&target, Alpn::H2, &ca).await.unwrap();
                let mut clock = tokio::time::interval(every);
                while !until.load(Ordering::Acquire) {
                    clock.tick().await;
                    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
                    let data = format!(r#"{{"time": {now}, "pad": "{}"}}"#, "x".repeat(size));
                    let connection = connection.try_clone().unwrap();
                    let answer = connection.request(http::Method::POST, &path, &[], Bytes::from(data)).await.unwrap();
                    assert_eq!(answer.status, 201);
                    answer.whole(4096).await.unwrap();
                }
            });
        });
        Publisher { ended, thread: Some(thread) }
    }
}

/// It ends when dropped.
pub(crate) struct Publisher {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.unwrap().expect("it published");
        }
    }
}

/// What the test command has built or installed beside the program.
pub(crate) fn installed(path: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join(path)
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Six ports in a row that are free on TCP and UDP.
fn free_base() -> u16 {
    let free = |port: u16| {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
            && UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
    };
    std::iter::repeat_with(free_port)
        .filter(|base| *base < 65_000)
        .take(100)
        .find(|base| (*base..=*base + 5).all(free))
        .expect("six free ports in a row")
}
