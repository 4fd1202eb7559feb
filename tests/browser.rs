//! The supervisor leaves nothing behind, whatever the browser does; and each real browser works in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::timeout;
use transport_lab::browser::BrowserProcess;
use transport_lab::client::{Launch, LaunchContext, LaunchSpec};
use transport_lab::trial::Settings;
use transport_lab::trial::contract::ServerAddress;

/// How long anything that must happen is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

fn lab() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_transport-lab"))
}

/// Takes the place of a browser: a shell with a script, which finds its profile in HOME.
fn shell(script: &str) -> LaunchSpec {
    LaunchSpec { argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(), ..LaunchSpec::default() }
}

/// A folder for what a script wants to tell, since its profile is going to be removed.
struct Notes(TempDir);

impl Notes {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn log(&self) -> File {
        File::create(self.path("log")).unwrap()
    }

    /// The note of this name, once it is a whole line.
    async fn read(&self, name: &str) -> String {
        let text = || fs::read_to_string(self.path(name)).ok().filter(|text| text.ends_with('\n'));
        until(name, || text().is_some()).await;
        text().unwrap().trim().to_owned()
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A process that runs; one that ended and was not asked how does not.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Every process that names this folder in its command line or environment.
fn that_name(folder: &str) -> Vec<String> {
    let names = |pid: &String| {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        [read("cmdline"), read("environ")].iter().any(|text| String::from_utf8_lossy(text).contains(folder))
    };
    let entries = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    entries.filter(|name| name.parse::<u32>().is_ok()).filter(names).collect()
}

/// The profile that a browser names in its environment, or, where it has overwritten that, in its command line.
fn profile_of(browser: Pid) -> String {
    let read = |file: &str| fs::read(format!("/proc/{browser}/{file}")).unwrap();
    let text = String::from_utf8_lossy(&[read("environ"), read("cmdline")].concat()).into_owned();
    let folder = std::env::temp_dir().join("transport-lab-").display().to_string();
    let at = text.find(&folder).unwrap_or_else(|| panic!("no profile in {text}"));
    let name: String = text[at + folder.len()..].chars().take_while(char::is_ascii_alphanumeric).collect();
    folder + &name
}

#[tokio::test]
async fn daemons_that_ignore_sigterm_are_gone_when_the_input_closes() {
    let notes = Notes::new();
    let daemon = notes.path("daemon").display().to_string();
    // The daemon leaves session and group, and its parent ends: an orphan that ignores every polite request.
    let spec = shell(&format!(
        "echo $HOME > {home}; trap '' TERM HUP INT
         setsid sh -c 'trap \"\" TERM HUP INT; echo $$ > {daemon}; while :; do sleep 1; done' &
         (setsid sh -c 'trap \"\" TERM; echo $$ > {daemon}2; while :; do sleep 1; done' &)
         echo $$ > {leader}; while :; do sleep 1; done",
        home = notes.path("home").display(),
        leader = notes.path("leader").display(),
    ));
    let running = BrowserProcess::start(lab(), &spec, notes.log()).await.unwrap();
    let mut pids = Vec::new();
    for name in ["daemon", "daemon2", "leader"] {
        pids.push(notes.read(name).await);
    }
    let home = notes.read("home").await;
    assert_eq!(pids[2], running.pid().to_string());
    assert!(pids.iter().all(|pid| runs(pid)) && Path::new(&home).is_dir());

    timeout(PATIENCE, running.end()).await.expect("it ends however little they heed");
    assert!(!pids.iter().any(|pid| runs(pid)), "{pids:?}");
    assert!(!Path::new(&home).exists());
    assert_eq!(that_name(&home), [""; 0]);
}

#[tokio::test]
async fn a_dropped_supervisor_ends_as_well() {
    let notes = Notes::new();
    let spec = shell(&format!("echo $HOME > {}; sleep 1000", notes.path("home").display()));
    let running = BrowserProcess::start(lab(), &spec, notes.log()).await.unwrap();
    let pid = running.pid().to_string();
    let home = notes.read("home").await;
    drop(running);
    until("the browser's end", || !runs(&pid) && !Path::new(&home).exists()).await;
}

#[tokio::test]
async fn a_crash_and_an_exit_are_told_apart() {
    let notes = Notes::new();
    for (script, how) in [("kill -SEGV $$", "signal 11"), ("kill -9 $$", "signal 9"), ("exit 3", "exit 3")] {
        let mut running = BrowserProcess::start(lab(), &shell(script), notes.log()).await.unwrap();
        assert_eq!(timeout(PATIENCE, running.exited()).await.unwrap(), how);
        assert_eq!(timeout(PATIENCE, running.exited()).await.unwrap(), how, "asked again");
        running.end().await;
    }
}

#[tokio::test]
async fn killing_the_browsers_group_is_reported_and_its_profile_is_gone() {
    let notes = Notes::new();
    let spec = shell(&format!("sleep 1000 & echo $HOME > {}; wait", notes.path("home").display()));
    let mut running = BrowserProcess::start(lab(), &spec, notes.log()).await.unwrap();
    let home = notes.read("home").await;
    killpg(running.pid(), Signal::SIGKILL).unwrap();
    assert_eq!(timeout(PATIENCE, running.exited()).await.unwrap(), "signal 9");
    running.end().await;
    assert!(!Path::new(&home).exists());
    assert_eq!(that_name(&home), [""; 0]);
}

#[tokio::test]
async fn a_command_before_the_start_that_fails_is_named_with_its_complaint() {
    let notes = Notes::new();
    let mut spec = shell("exit 0");
    spec.before = vec![["/bin/sh", "-c", "echo no such database >&2; exit 4"].map(str::to_owned).to_vec()];
    let error = BrowserProcess::start(lab(), &spec, notes.log()).await.unwrap_err().to_string();
    assert!(error.contains("no such database") && error.contains("exit 4") && error.contains("/bin/sh -c"), "{error}");
    spec.before = vec![vec!["no-such-program".to_owned()]];
    let error = BrowserProcess::start(lab(), &spec, notes.log()).await.unwrap_err().to_string();
    assert!(error.contains("`no-such-program` failed"), "{error}");
}

#[tokio::test]
async fn a_command_before_the_start_that_hangs_is_named_and_ended() {
    let notes = Notes::new();
    let mut spec = shell("exit 0");
    let script = format!("echo $$ > {}; while :; do sleep 1; done", notes.path("hung").display());
    spec.before = vec![["/bin/sh", "-c", &script].map(str::to_owned).to_vec()];
    let error = BrowserProcess::start(lab(), &spec, notes.log()).await.unwrap_err().to_string();
    assert!(error.contains("did not end within 20 s") && error.contains(&script), "{error}");
    assert!(!runs(&notes.read("hung").await));
}

#[tokio::test]
async fn a_browser_that_is_not_there_is_named() {
    let notes = Notes::new();
    let spec = LaunchSpec { argv: vec!["/no/such/browser".to_owned()], ..LaunchSpec::default() };
    let error = BrowserProcess::start(lab(), &spec, notes.log()).await.unwrap_err().to_string();
    assert!(error.contains("`/no/such/browser` does not start"), "{error}");
}

#[tokio::test]
async fn the_environment_is_small_and_the_profile_is_filled_in_everywhere() {
    let notes = Notes::new();
    let mut spec = shell(&format!("cat a/b $HOME/a/b; env > {}; echo end >> {0}", notes.path("env").display()));
    spec.files = BTreeMap::from([("a/b".to_owned(), "{profile}".to_owned())]);
    spec.before = vec![["/bin/sh", "-c", "test \"{profile}\" = \"$(cat $HOME/a/b)\""].map(str::to_owned).to_vec()];
    spec.env = BTreeMap::from([("MINE".to_owned(), "in {profile}".to_owned())]);
    let running = BrowserProcess::start(lab(), &spec, notes.log()).await.unwrap();
    until("the environment", || fs::read_to_string(notes.path("env")).is_ok_and(|t| t.ends_with("end\n"))).await;
    let text = fs::read_to_string(notes.path("env")).unwrap();
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let home = value("HOME").unwrap();
    assert_eq!(value("MINE").unwrap(), format!("in {home}"));
    assert!(home.contains("/transport-lab-"), "{home}");
    // Whatever else this test's own environment has must not be there; PWD and the like are the shell's.
    let small = ["HOME", "TMPDIR", "PATH", "LANG", "DBUS_SESSION_BUS_ADDRESS", "MINE", "PWD", "OLDPWD", "SHLVL", "_"];
    for name in text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name) {
        assert!(small.contains(&name) || name.starts_with("XDG_"), "{name} in {text}");
    }
    assert_eq!(value("PWD"), Some(home));
    running.end().await;
}

#[tokio::test]
async fn what_a_killed_supervisor_left_is_swept_by_the_next() {
    let notes = Notes::new();
    // A daemon that the kernel does not kill with the supervisor, since it is not the supervisor's own child.
    let spec = shell(&format!(
        "setsid sh -c 'echo $$ > {}; while :; do sleep 1; done' & echo $HOME > {}; echo $PPID > {}; wait",
        notes.path("daemon").display(),
        notes.path("home").display(),
        notes.path("supervisor").display()
    ));
    let running = BrowserProcess::start(lab(), &spec, notes.log()).await.unwrap();
    let (daemon, home) = (notes.read("daemon").await, notes.read("home").await);
    let supervisor: i32 = notes.read("supervisor").await.parse().unwrap();
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    until("the supervisor's end", || !runs(&supervisor.to_string())).await;
    let leader = running.pid().to_string();
    until("the browser's end with its supervisor", || !runs(&leader)).await;
    assert!(runs(&daemon) && Path::new(&home).is_dir(), "this test needs something to be left");
    drop(running);

    BrowserProcess::start(lab(), &shell("exit 0"), notes.log()).await.unwrap().end().await;
    until("the daemon's end", || !runs(&daemon)).await;
    assert!(!Path::new(&home).exists());
}

#[tokio::test]
async fn a_signal_to_the_supervisor_ends_the_browser() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let notes = Notes::new();
        let (home, supervisor) = (notes.path("home"), notes.path("supervisor"));
        let script = format!("echo $HOME > {}; echo $PPID > {}; sleep 1000", home.display(), supervisor.display());
        let running = BrowserProcess::start(lab(), &shell(&script), notes.log()).await.unwrap();
        let (home, supervisor) = (notes.read("home").await, notes.read("supervisor").await);
        kill(Pid::from_raw(supervisor.parse().unwrap()), signal).unwrap();
        let browser = running.pid().to_string();
        until("the end", || !runs(&supervisor) && !runs(&browser) && !Path::new(&home).exists()).await;
    }
}

/// Answers every request on this port with an empty page, and gives the first request's path and when it came.
async fn first_request(listener: TcpListener) -> io::Result<(String, Instant)> {
    loop {
        let (stream, _) = listener.accept().await?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        // A browser may open a connection that it doesn't use.
        if stream.read_line(&mut line).await? > 0 {
            let at = Instant::now();
            let answer =
                b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer).await?;
            return Ok((line, at));
        }
    }
}

/// Opens a page in a browser and ends it again; nothing of it may be left. Where it isn't installed, says so.
async fn opens_its_page_and_leaves_nothing(name: &str) {
    let client = transport_lab::client::find(name).unwrap();
    let found = match (client.find)() {
        Ok(found) => found,
        Err(reason) if std::env::var_os("TRANSPORT_LAB_BROWSERS").is_none() => {
            eprintln!("skipped: {name}: {reason}");
            return;
        }
        Err(reason) => panic!("{name} should have been installed: {reason}"),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/page?token=1", listener.local_addr().unwrap());
    let notes = Notes::new();
    let ca = notes.path("ca.pem");
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(&ca, issued.cert.pem()).unwrap();
    let settings: Settings = serde_json::from_str("{}").unwrap();
    let context = LaunchContext {
        url,
        settings: &settings,
        hosts: &["localhost".to_owned()],
        servers: &[ServerAddress { host: "localhost".to_owned(), port: 1 }],
        ca,
        spki_sha256: String::new(),
        address: Ipv6Addr::LOCALHOST.into(),
        root: nix::unistd::Uid::effective().is_root(),
    };
    let Launch::Browser(spec) = (client.command)(&found, &context) else { panic!("{name} is no browser") };

    let begun = Instant::now();
    let running = BrowserProcess::start(lab(), &spec, notes.log()).await.unwrap();
    let started = begun.elapsed();
    let request = timeout(PATIENCE, first_request(listener)).await;
    let (line, at) = request
        .unwrap_or_else(|_| panic!("no request; {}", fs::read_to_string(notes.path("log")).unwrap_or_default()))
        .unwrap();
    assert!(line.starts_with("GET /page?token=1 "), "{line}");
    let home = profile_of(running.pid());
    assert!(Path::new(&home).is_dir() && that_name(&home).contains(&running.pid().to_string()), "{home}");
    let browser = PathBuf::from(format!("/proc/{}", running.pid()));
    let ending = Instant::now();
    running.end().await;
    assert!(!browser.exists(), "its last threads, and its sockets with them, are still ending");
    println!(
        "{name} {}: its process after {started:?}, its first request after {:?}, ended in {:?}",
        found.version,
        at - begun,
        ending.elapsed()
    );
    assert_eq!(that_name(&home), [""; 0]);
    assert!(!Path::new(&home).exists());
}

#[tokio::test]
async fn chromium_opens_its_page_and_leaves_nothing() {
    opens_its_page_and_leaves_nothing("chromium").await;
}

#[tokio::test]
async fn firefox_opens_its_page_and_leaves_nothing() {
    opens_its_page_and_leaves_nothing("firefox").await;
}

#[tokio::test]
async fn webkit_opens_its_page_and_leaves_nothing() {
    opens_its_page_and_leaves_nothing("webkit").await;
}
