//! What a connection did, as qlog (draft-ietf-quic-qlog-main-schema): a file for each, which qvis opens.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quinn::{QlogConfig, QlogStream};
use serde_json::{Value, json};

use crate::trial::clock::monotonic_nanos;

/// Names the folder that the files go to; other QUIC libraries go by it too. Where it isn't set there are none.
const FOLDER: &str = "QLOGDIR";
/// How many files a process writes at most.
const MAX_FILES: u32 = 1000;
/// What quinn takes for a round trip until it knows one (RFC 9002 section 6.2.2), in seconds.
const GUESSED: f64 = 0.333;

/// The folder, where there is to be qlog.
pub(in crate::wire) fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// A new file for the next connection, as the server or the client sees it; `None` where it can't be had, and beyond
/// [`MAX_FILES`]: the connection goes on without.
pub(in crate::wire) fn stream(folder: &Path, role: &'static str) -> Option<QlogStream> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let file = loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        if number >= MAX_FILES {
            return None;
        }
        // A server that takes another's place begins to count anew.
        match File::create_new(folder.join(format!("{role}-{number}.sqlog"))) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                tracing::warn!(%error, "no qlog");
                return None;
            }
            Ok(file) => break file,
        }
    };
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut config = QlogConfig::default();
    config
        .start_time(Instant::now())
        .writer(Box::new(Records { role, begun, last: 0.0, line: Vec::new(), file }))
        .title(Some(format!("Transport Lab, {role}")))
        .description(Some(format!("times count from {} ns of CLOCK_MONOTONIC", monotonic_nanos())));
    config.into_stream()
}

/// Writes what quinn says of a connection as qlog has it (draft-ietf-quic-qlog-main-schema-04), so that qvis can draw it: quinn
/// 0.11 knows no vantage point, has lengths where nobody looks for them, round trips in seconds, and another group for what
/// follows when the other end has given its name. A record is written as a whole: what a process that is killed did until then
/// is there.
struct Records {
    /// `server` or `client`.
    role: &'static str,
    /// When times count from, since 1970.
    begun: Duration,
    /// When the last record was, in milliseconds.
    last: f64,
    /// What has come of the next record.
    line: Vec<u8>,
    file: File,
}

impl Write for Records {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let text = line.strip_prefix(b"\x1e").unwrap_or(&line);
                match serde_json::from_slice(text) {
                    Ok(mut record) => {
                        self.mend(&mut record);
                        self.file.write_all(format!("\u{1e}{record}\n").as_bytes())?;
                    }
                    Err(_) => self.file.write_all(&line)?,
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Records {
    fn mend(&mut self, record: &mut Value) {
        if let Some(trace) = record.get_mut("trace").and_then(Value::as_object_mut) {
            let millis = self.begun.as_secs_f64() * 1000.0;
            trace.insert("vantage_point".to_owned(), json!({ "name": self.role, "type": self.role }));
            trace.insert("common_fields".to_owned(), json!({ "time_format": "relative", "reference_time": millis }));
            // Both ends have one clock. Where this is nothing, qvis guesses how far they are apart.
            trace.insert("configuration".to_owned(), json!({ "time_offset": 1e-6 }));
            return;
        }
        let Some(members) = record.as_object_mut() else { return };
        // A file is about one connection.
        members.remove("group_id");
        if let Some(time) = members.get("time").and_then(Value::as_f64) {
            // Some are told a moment late, with the time at which they were decided on.
            self.last = self.last.max(time);
            members.insert("time".to_owned(), json!(self.last));
        }
        let name = members.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(data) = members.get_mut("data").and_then(Value::as_object_mut) else { return };
        let length = data.get_mut("header").and_then(Value::as_object_mut).and_then(|header| header.remove("length"));
        if let Some(length) = length {
            data.insert("raw".to_owned(), json!({ "length": length }));
        }
        if name == "recovery:packet_lost" {
            // It says of every packet that later ones were acknowledged, of those that were waited for in vain too.
            data.remove("trigger");
        }
        // Before there is a round trip it is guessed.
        let guessed = data.get("latest_rtt").and_then(Value::as_f64).is_some_and(|rtt| (rtt - GUESSED).abs() < 1e-6);
        for name in ["min_rtt", "smoothed_rtt", "latest_rtt", "rtt_variance"] {
            match data.remove(name).and_then(|seconds| seconds.as_f64()) {
                Some(seconds) if !guessed => data.insert(name.to_owned(), json!(seconds * 1000.0)),
                _ => None,
            };
        }
        // As much as there can be is none.
        if data.get("ssthresh").and_then(Value::as_u64) == Some(u64::MAX) {
            data.remove("ssthresh");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written of what quinn says, a record each, when the system takes it in such pieces.
    fn written(said: &[Value], piece: usize) -> Vec<Value> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client-0.sqlog");
        let (file, begun) = (File::create(&path).unwrap(), Duration::from_millis(1500));
        let mut records = Records { role: "client", begun, last: 0.0, line: Vec::new(), file };
        let text = said.iter().map(|record| format!("\u{1e}{record}\n")).collect::<Vec<_>>().concat();
        text.as_bytes().chunks(piece).for_each(|piece| records.write_all(piece).unwrap());
        let text = std::fs::read_to_string(path).unwrap();
        let mut written = text.split('\u{1e}');
        assert_eq!(written.next(), Some(""));
        written.map(|record| serde_json::from_str(record.strip_suffix('\n').unwrap()).unwrap()).collect()
    }

    #[test]
    fn what_quinn_says_is_written_as_qlog_has_it() {
        let said = [
            json!({ "qlog_version": "0.3", "trace": { "vantage_point": { "type": "unknown" } } }),
            json!({ "time": 9.5, "name": "transport:packet_sent", "group_id": "a",
                "data": { "header": { "packet_type": "initial", "packet_number": 0, "length": 1200 } } }),
            json!({ "time": 9.5, "name": "recovery:metrics_updated", "group_id": "a",
                "data": { "latest_rtt": 0.333, "smoothed_rtt": 0.333, "ssthresh": u64::MAX, "pto_count": 0 } }),
            json!({ "time": 9.4, "name": "recovery:metrics_updated", "group_id": "b",
                "data": { "latest_rtt": 0.054, "min_rtt": 0.054, "ssthresh": 12000 } }),
            json!({ "time": 70.5, "name": "recovery:packet_lost", "group_id": "b",
                "data": { "header": { "packet_number": 7, "length": 121 }, "trigger": "reordering_threshold" } }),
        ];
        let trace = json!({ "vantage_point": { "name": "client", "type": "client" },
            "common_fields": { "time_format": "relative", "reference_time": 1500.0 },
            "configuration": { "time_offset": 1e-6 } });
        let expected = [
            json!({ "qlog_version": "0.3", "trace": trace }),
            json!({ "time": 9.5, "name": "transport:packet_sent",
                "data": { "header": { "packet_type": "initial", "packet_number": 0 }, "raw": { "length": 1200 } } }),
            json!({ "time": 9.5, "name": "recovery:metrics_updated", "data": { "pto_count": 0 } }),
            json!({ "time": 9.5, "name": "recovery:metrics_updated",
                "data": { "latest_rtt": 54.0, "min_rtt": 54.0, "ssthresh": 12000 } }),
            json!({ "time": 70.5, "name": "recovery:packet_lost",
                "data": { "header": { "packet_number": 7 }, "raw": { "length": 121 } } }),
        ];
        for piece in [1, 7, 100_000] {
            assert_eq!(written(&said, piece), expected, "in pieces of {piece}");
        }
    }
}
