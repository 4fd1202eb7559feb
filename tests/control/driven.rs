//! A browser whose page is looked at and typed into, as a person would.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::browser::{Browser, Kind};
use crate::lab::{Certificate, DEADLINE};

/// It ends when dropped.
pub(crate) struct Driven {
    driver: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    _browser: Browser,
}

impl Driven {
    /// Starts a browser (Chromium or Firefox) on a page.
    pub(crate) fn open(kind: Kind, url: &str, certificate: &Certificate) -> Self {
        let browser = Browser::open_driven(kind, url, certificate).expect("the test command installs the browsers");
        let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("python").join("bin/python");
        let name = if kind == Kind::Chromium { "chromium" } else { "firefox" };
        let mut driver = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/control/drive.py"))
            .arg(name)
            .arg(browser.profile())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`tools/install.sh test` makes target/python");
        let (commands, answers) = (driver.stdin.take().unwrap(), BufReader::new(driver.stdout.take().unwrap()));
        Self { driver, commands, answers, _browser: browser }
    }

    fn ask(&mut self, command: &str) -> Value {
        writeln!(self.commands, "{command}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: `{answer}` to `{command}`"))
    }

    /// The value of an expression.
    pub(crate) fn eval(&mut self, script: &str) -> Value {
        self.ask(&format!("eval {script}"))
    }

    /// Waits until an expression is this.
    #[track_caller]
    pub(crate) fn until(&mut self, script: &str, wanted: &Value) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let value = self.eval(script);
            if value == *wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{script} is {value} and not {wanted}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Types into whatever has the focus.
    pub(crate) fn enter_text(&mut self, text: &str) {
        self.ask(&format!("type {text}"));
    }

    /// Presses a key.
    pub(crate) fn press(&mut self, key: &str) {
        self.ask(&format!("key {key}"));
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
