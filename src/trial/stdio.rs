//! The child's end of the contract on standard input and output.
//!
//! A child treats the end of its input as `stop`, so that it never outlives the lab.

use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};

use super::observation::Observable;
use super::{Down, Observation, Up};

/// How much is written at once, in bytes; a line that begins below it is written whole. As much as a pipe holds.
const WRITE_BYTES: usize = 64 * 1024;
/// How long after each writing more is collected. To wake the thread for each fact, and the lab for each line, would
/// cost a server that answers polls a quarter of its CPU time; facts carry their own time, and can wait that long.
const COLLECT: Duration = Duration::from_millis(5);

/// Reads the lab's lines. A line that isn't one of the contract's is logged and passed over.
#[derive(Debug)]
pub struct Input(tokio::io::Lines<BufReader<tokio::io::Stdin>>);

impl Default for Input {
    fn default() -> Self {
        Self(BufReader::new(tokio::io::stdin()).lines())
    }
}

impl Input {
    /// The next message; `Stop` once the input has ended.
    pub async fn next(&mut self) -> Down {
        loop {
            match self.0.next_line().await {
                Ok(Some(line)) => match serde_json::from_str(&line) {
                    Ok(message) => return message,
                    Err(error) => tracing::warn!(%error, "a line that is not of the trial contract"),
                },
                Ok(None) | Err(_) => return Down::Stop,
            }
        }
    }
}

/// Writes the child's lines from a thread of its own, so that no measured task ever waits for the lab to read.
#[derive(Debug, Clone)]
pub struct Output<F>(mpsc::Sender<Up<F>>);

/// The writing thread; joined for the last line.
#[derive(Debug)]
pub struct OutputThread(std::thread::JoinHandle<()>);

impl<F: Observable + Send + 'static> Output<F> {
    /// Starts the thread. It counts the `saw` lines and fills in `done`'s count.
    pub fn start() -> (Self, OutputThread) {
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || write_all(&receiver));
        (Self(sender), OutputThread(thread))
    }

    /// Sends a message; dropped when the lab has gone.
    pub fn send(&self, message: Up<F>) {
        let _ = self.0.send(message);
    }

    /// Sends what was observed.
    pub fn record(&self, observation: Observation<F>) {
        self.send(Up::Saw(observation));
    }
}

impl OutputThread {
    /// Sends `done` and waits until all is written.
    pub fn finish<F: Observable + Send + 'static>(self, output: Output<F>) {
        output.send(Up::Done { sent: 0 });
        drop(output);
        let _ = self.0.join();
    }
}

fn write_all<F: Observable>(messages: &mpsc::Receiver<Up<F>>) {
    let (mut sent, mut lines) = (0, Vec::new());
    while let Ok(first) = messages.recv() {
        let (mut next, mut done) = (Some(first), false);
        while let Some(mut message) = next.take() {
            match &mut message {
                Up::Saw(_) => sent += 1,
                Up::Done { sent: total } => (*total, done) = (sent, true),
                _ => {}
            }
            let begun = lines.len();
            match serde_json::to_writer(&mut lines, &message) {
                Ok(()) => lines.push(b'\n'),
                Err(_) => lines.truncate(begun),
            }
            if !done && lines.len() < WRITE_BYTES {
                next = messages.try_recv().ok();
            }
        }
        let mut stdout = std::io::stdout().lock();
        if stdout.write_all(&lines).and_then(|()| stdout.flush()).is_err() || done {
            return;
        }
        let full = lines.len() >= WRITE_BYTES;
        lines.clear();
        if !full {
            // Nobody is woken for what is sent meanwhile.
            std::thread::sleep(COLLECT);
        }
    }
}
