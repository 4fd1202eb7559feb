//! Captures of trials, opened by tshark, which is not ours.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use transport_lab::trial::fact::EventIds;

use crate::can_link;

/// Events whose ids are seen by whoever can decrypt them.
const HEAD: &str = "question = 'What is in it?'\ntimeout = '2min'\n[workload]\nprobe = false\nhold = '2s'\n\
                    drain = '2s'\nevents = { count = 20, rate = '20/s' }\n";

/// The same for those who take long to begin.
const SLOW: &str = "question = 'What is in it?'\ntimeout = '2min'\n[workload]\nprobe = false\nhold = '9s'\n\
                    drain = '2s'\nevents = { count = 160, rate = '20/s' }\n";

fn lab(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.toml"), text).unwrap();
    folder
}

fn arguments() -> [&'static str; 9] {
    ["run", "./x.toml", "--json", "--no-calibration", "--capture", "--out", "out", "--certs", "certs"]
}

/// A run that was captured.
struct CapturedRun {
    /// Where its lab is; gone with this.
    _lab: TempDir,
    folder: PathBuf,
    summary: Value,
    journal: Vec<Value>,
}

impl CapturedRun {
    fn of(more: &str) -> Self {
        Self::from(HEAD, more)
    }

    fn from(head: &str, more: &str) -> Self {
        let lab = lab(&format!("{head}{more}"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_transport-lab"));
        let ran = command.args(arguments()).current_dir(lab.path()).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        let summary = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
        let folder = only_run(&lab.path().join("out"));
        let journal = std::fs::read_to_string(folder.join("observations.jsonl")).unwrap();
        let journal = journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self { _lab: lab, folder, summary, journal }
    }

    fn trials(&self) -> &[Value] {
        self.summary["trials"].as_array().unwrap()
    }

    fn facts<'r>(&'r self, trial: &'r Value, kind: &'r str) -> impl Iterator<Item = &'r Value> {
        self.journal.iter().filter(move |fact| fact["trial"] == trial["trial"] && fact["kind"] == kind)
    }

    fn in_folder(&self, trial: &Value, file: &str) -> PathBuf {
        self.folder.join("trials").join(trial["trial"].to_string()).join(file)
    }

    /// What tshark counts and decrypts in a trial's capture is what the link counted and the client received.
    fn holds(&self, trial: &Value) {
        let levels = &trial["levels"];
        assert_eq!(trial["outcome"], "completed", "{levels}: {}", trial["reason"]);
        let capture = self.in_folder(trial, "trial.pcapng");
        assert_eq!(std::fs::metadata(&capture).unwrap().mode() & 0o777, 0o600, "it holds secrets");
        assert!(!self.in_folder(trial, "tls-secrets.log").exists());

        let ended = self.facts(trial, "link-ended").next().unwrap();
        let captured = self.facts(trial, "captured").next().unwrap();
        for way in ["up", "down"] {
            let lengths = fields(&capture, &format!("frame.interface_name == \"{way}\""), "frame.len");
            assert_eq!(
                (lengths.len() as u64, total(&lengths)),
                (number(&ended[way]["packets"]), number(&ended[way]["bytes"]))
            );
            let dropped: u64 = ended[way]["dropped"].as_object().unwrap().values().map(number).sum();
            let marked = format!("frame.interface_name == \"{way}\" && frame.comment contains \"dropped by loss\"");
            let numbers: Vec<String> = fields(&capture, &marked, "frame.comment");
            assert_eq!(numbers.len() as u64, dropped, "{numbers:?}");
            for (comment, number) in numbers.iter().zip(ended[format!("{way}-dropped")].as_array().unwrap()) {
                assert_eq!(*comment, format!("{way} {number}: dropped by loss"));
            }
        }
        // The times are the journal's, on the wall clock.
        let first = fields(&capture, "frame.number == 1", "frame.time_epoch").remove(0).replace('.', "");
        let wall = number(&captured["wall"]) * 1000;
        let requested = number(&self.facts(trial, "requested").next().unwrap()["t"]);
        let after = first.parse::<u64>().unwrap() - wall;
        // A page's clock may be off.
        assert!(after.abs_diff(requested) < 5_000_000_000, "{after} {requested}");

        let asked = path(&capture, levels["protocol"].as_str().unwrap());
        assert!(asked.is_none_or(|asked| asked.iter().any(|path| path.contains("/feeds/f0/"))), "{levels}");
        let text = decrypted(&capture);
        let of = |fact: &Value| serde_json::from_value::<EventIds>(fact["ids"].clone()).unwrap();
        let received: Vec<EventIds> = self.facts(trial, "received").map(of).collect();
        let received: BTreeSet<&str> = received.iter().flat_map(EventIds::iter).collect();
        assert!(!received.is_empty(), "{levels}");
        let unseen: Vec<&&str> = received.iter().filter(|id| !text.contains(**id)).collect();
        assert!(unseen.is_empty(), "{levels}: tshark doesn't see {unseen:?}");
        self.tells_what_bytes_were(trial, &capture, received.len() as u64);
    }

    /// What packets were for is told of all of them, and adds up to what tshark counts.
    fn tells_what_bytes_were(&self, trial: &Value, capture: &Path, received: u64) {
        let levels = &trial["levels"];
        let flows: Vec<&Value> = self.facts(trial, "link-flow").collect();
        let sum = |way: &str, part: &str| flows.iter().map(|flow| number(&flow[way][part])).sum::<u64>();
        for way in ["up", "down"] {
            let named = ["headers", "acknowledgements", "protection", "framing", "payload", "unknown"];
            assert_eq!(named.map(|part| sum(way, part)).iter().sum::<u64>(), sum(way, "bytes"), "{levels}");
            assert_eq!(sum(way, "unknown"), 0, "{levels}: what {way} carried was decrypted");
            let sent = format!("frame.interface_name == \"{way}\" && !icmp");
            let lengths = fields(capture, &sent, "frame.len");
            assert_eq!((lengths.len() as u64, total(&lengths)), (sum(way, "packets"), sum(way, "bytes")), "{levels}");
            let bare = "tcp.len == 0 && tcp.flags.syn == 0 && tcp.flags.fin == 0 && tcp.flags.reset == 0";
            let bare = total(&fields(capture, &format!("{sent} && {bare}"), "frame.len"));
            if flows[0]["over"] == "tcp" {
                assert_eq!(sum(way, "acknowledgements"), bare, "{levels}");
            }
        }
        // Whoever comes when events are due already has a handshake of its own, with certificates in it.
        let handshake: Vec<&&Value> = flows.iter().filter(|flow| flow["phase"] == "handshake").collect();
        assert!(handshake.iter().any(|flow| number(&flow["down"]["protection"]) > 300), "{levels}: {flows:?}");
        assert!(handshake.iter().all(|flow| flow["down"]["payload"] == 0), "{levels}");
        // What is lost is sent twice, or taken for lost on a busy machine.
        let again = |fact: &Value| fact["packets"].as_array().unwrap().iter().any(|packet| packet["again"] == true);
        let again = self.facts(trial, "event-on-link").any(again);
        let (payload, data) = (sum("down", "payload"), 100 * received);
        // In JSON some characters are two.
        let most = if again { u64::MAX } else { data + data / 10 };
        assert!((data..=most).contains(&payload), "{levels}: {payload} of {data}");
        assert_eq!(sum("up", "payload"), 0);
    }
}

fn total(lengths: &[String]) -> u64 {
    lengths.iter().map(|length| length.parse::<u64>().unwrap()).sum()
}

/// The folder of the only run there.
fn only_run(out: &Path) -> PathBuf {
    let mut runs = std::fs::read_dir(out).unwrap().flatten().map(|run| run.path());
    runs.find(|run| run.join("plan.json").exists()).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn tshark(capture: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("tshark");
    let ran = command.arg("-r").arg(capture).args(arguments).output().expect("the test command installs tshark");
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

/// A field of each packet that a filter lets pass.
fn fields(capture: &Path, filter: &str, field: &str) -> Vec<String> {
    tshark(capture, &["-Y", filter, "-T", "fields", "-e", field]).lines().map(str::to_owned).collect()
}

/// The paths that were asked for on HTTP/1.1 and HTTP/2; this tshark doesn't read the fields of HTTP/3.
fn path(capture: &Path, protocol: &str) -> Option<Vec<String>> {
    match protocol.rsplit('/').next().unwrap() {
        "h1" => Some(fields(capture, "http.request.uri", "http.request.uri")),
        "h2" => Some(fields(capture, "http2.headers.path", "http2.headers.path")),
        "h3" => {
            assert!(!fields(capture, "http3.frame_type == 1", "frame.number").is_empty(), "HEADERS");
            None
        }
        _ => None,
    }
}

/// All that was decrypted: every connection's TLS, and what streams and datagrams of QUIC carried.
fn decrypted(capture: &Path) -> String {
    let streams: BTreeSet<String> = fields(capture, "tls && tcp", "tcp.stream").into_iter().collect();
    let tls = streams.iter().map(|stream| {
        let text = tshark(capture, &["-q", "-z", &format!("follow,tls,ascii,{stream}")]);
        // A piece begins with its length, in a line of its own.
        text.lines().filter(|line| line.trim().parse::<u32>().is_err()).collect::<String>()
    });
    let quic = ["quic.stream_data", "quic.dg"].map(|field| {
        let hex = fields(capture, field, field).join(",");
        // Where a frame of a stream carries nothing it says so.
        let pieces = hex.split([',', ':']).filter(|piece| *piece != "<MISSING>");
        let pieces = pieces.map(|piece| data_encoding::HEXLOWER.decode(piece.as_bytes()).unwrap());
        String::from_utf8_lossy(&pieces.flatten().collect::<Vec<u8>>()).into_owned()
    });
    tls.chain(quic).collect()
}

#[test]
fn a_capture_is_opened_decrypted_and_counts_what_the_link_counts() {
    if !can_link() {
        return;
    }
    let run = CapturedRun::of(
        "[factors]\nprotocol = ['sse/h1', 'sse/h2', 'sse/h3', 'websocket/h1', 'webtransport/h3', 'quic/quic']\n\
         [link]\ndelay = '5ms'\nloss = '3%'\n",
    );
    assert_eq!(run.trials().len(), 6);
    for trial in run.trials() {
        run.holds(trial);
        let limited = trial["metrics"]["time-to-open"]["machine-limited"].as_str().unwrap_or_default();
        assert!(limited.contains("packets were captured"), "{limited}");
        assert!(trial["metrics"]["packets-dropped"]["machine-limited"].is_null(), "what is counted stands");
    }
}

#[test]
fn datagrams_of_webtransport_are_decrypted_too() {
    if !can_link() {
        return;
    }
    let run = CapturedRun::of(
        "[factors]\nprotocol = ['webtransport/h3']\n[webtransport]\nmode = 'datagrams'\n[expect]\ndelivery = 'at-most-once'\ncounts = 'observe'\n[link]\n",
    );
    run.holds(&run.trials()[0]);
    let capture = run.in_folder(&run.trials()[0], "trial.pcapng");
    assert!(!fields(&capture, "quic.dg", "frame.number").is_empty());
}

#[test]
fn what_browsers_send_is_decrypted_without_their_help() {
    if !can_link() {
        return;
    }
    let run = CapturedRun::from(
        SLOW,
        "[factors]\nclient = ['chromium', 'firefox']\nprotocol = ['sse/h1', 'sse/h2', 'sse/h3', 'webtransport/h3']\n\
         [link]\ndelay = '5ms'\n",
    );
    for trial in run.trials() {
        if trial["outcome"] == "unsupported" && std::env::var_os("TRANSPORT_LAB_BROWSERS").is_none() {
            continue;
        }
        run.holds(trial);
    }
}

/// Each record begins with its separator, is JSON, and ends with a line feed (RFC 7464).
fn records(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut records = text.split('\u{1e}');
    assert_eq!(records.next(), Some(""), "{}", path.display());
    records.map(|record| serde_json::from_str(record.strip_suffix('\n').unwrap()).unwrap()).collect()
}

#[test]
fn each_connection_of_quic_has_a_qlog_of_either_end() {
    if !can_link() {
        return;
    }
    let run = CapturedRun::of(
        "subscribers = 2\nconnections = 'separate'\n[factors]\nprotocol = ['sse/h3']\n[link]\ndelay = '5ms'\n",
    );
    let trial = &run.trials()[0];
    assert_eq!(trial["outcome"], "completed", "{}", trial["reason"]);
    for file in ["server-0.sqlog", "server-1.sqlog", "client-0.sqlog", "client-1.sqlog"] {
        let records = records(&run.in_folder(trial, file));
        assert_eq!((&records[0]["qlog_version"], &records[0]["qlog_format"]), (&"0.3".into(), &"JSON-SEQ".into()));
        let named = |name: &str| records.iter().filter(|record| record["name"] == name).count();
        assert!(named("transport:packet_sent") > 5 && named("transport:packet_received") > 5, "{file}");
        let first = |record: &&Value| {
            let header = &record["data"]["header"];
            record["name"] == "transport:packet_sent"
                && header["packet_type"] == "initial"
                && header["packet_number"] == 0
        };
        assert_eq!(records.iter().filter(first).count(), 1, "{file} is about one connection");
        assert!(records.iter().all(|record| record["group_id"].is_null()), "{file}: qvis would take it for several");
        let role = file.split('-').next().unwrap();
        assert_eq!(records[0]["trace"]["vantage_point"]["type"], role);
        let times: Vec<f64> = records[1..].iter().map(|record| record["time"].as_f64().unwrap()).collect();
        assert!(times.is_sorted(), "{file}");
        let sent = records.iter().filter(|record| record["name"] == "transport:packet_sent");
        assert!(sent.clone().all(|record| record["data"]["raw"]["length"].as_u64().is_some()), "{file}");
        // The link takes five milliseconds each way; a newer quinn that says milliseconds would be a thousand times off.
        let trips: Vec<f64> = records.iter().filter_map(|record| record["data"]["latest_rtt"].as_f64()).collect();
        assert!(!trips.is_empty() && trips.iter().all(|millis| (10.0..2000.0).contains(millis)), "{file}: {trips:?}");
    }
    assert!(!run.in_folder(trial, "server-2.sqlog").exists());
}

#[test]
fn without_a_link_there_is_nothing_to_capture_and_what_to_do_is_said() {
    let lab = lab(HEAD);
    let mut command = Command::new(env!("CARGO_BIN_EXE_transport-lab"));
    let ran = command.args(arguments()).current_dir(lab.path()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(
        said.contains("x: `--capture` writes what a link carries") && said.contains("add a table [link]"),
        "{said}"
    );
    assert!(!lab.path().join("out").exists(), "nothing was run");
}

#[test]
fn a_disk_that_is_full_costs_the_capture_and_nothing_else() {
    // Within a chroot, whose root is no file system's, not even root can.
    let can_mount = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    if !can_link() || !can_mount.is_ok_and(|status| status.success()) {
        eprintln!("skipped: only root can mount a small file system, on a machine that lets it");
        return;
    }
    let lab = lab("question = 'What if?'\ntimeout = '2min'\n[workload]\nprobe = false\nhold = '2s'\ndrain = '1s'\n\
         events = { count = 40, rate = '100/s', size = '100 kB' }\n[link]\n");
    // 4 MB were sent. The file system is this process's alone, and goes with it; what is in it is copied out before.
    let script =
        "mkdir out && mount -t tmpfs -o size=2m none out && \"$0\" \"$@\"; status=$?; cp -a out kept; exit $status";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_transport-lab")]).args(arguments());
    let ran = command.current_dir(lab.path()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(3), "{said}");
    let run = only_run(&lab.path().join("kept"));
    let summary: Value = serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap();
    let trial = &summary["trials"][0];
    let reason = trial["reason"].as_str().unwrap();
    assert!(reason.contains("the capture could not be written (No space left on device"), "{reason}");
    let received = trial["metrics"]["events-received"]["median"].as_f64().unwrap();
    assert!(received >= 1.0, "what was observed is there: {trial}");
    let left: Vec<_> =
        std::fs::read_dir(run.join("trials/0")).unwrap().flatten().map(|file| file.file_name()).collect();
    assert!(left.iter().all(|file| file.to_string_lossy().ends_with(".log")), "{left:?}");
}
