//! Real browsers for these tests, each with a fresh profile, ended with everything that they started.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::lab::Certificate;

/// Which browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Chromium,
    Firefox,
    WebKit,
}

/// A browser on a page. It ends when dropped.
pub(crate) struct Browser {
    /// Ended in this order.
    groups: Vec<Child>,
    profile: TempDir,
}

impl Browser {
    /// Starts it, or says what isn't installed.
    pub(crate) fn open(kind: Kind, url: &str, certificate: &Certificate) -> Result<Self, String> {
        Self::open_with(kind, url, certificate, None)
    }

    /// The same, with HTTP/3 forced for `localhost` at this port (Chromium only).
    pub(crate) fn open_with(
        kind: Kind,
        url: &str,
        certificate: &Certificate,
        quic: Option<u16>,
    ) -> Result<Self, String> {
        Self::launch(kind, url, certificate, quic, &[])
    }

    /// The same, to be driven by `drive.py` (Chromium and Firefox).
    pub(crate) fn open_driven(kind: Kind, url: &str, certificate: &Certificate) -> Result<Self, String> {
        Self::launch(kind, url, certificate, None, &["--remote-debugging-port=0"])
    }

    fn launch(
        kind: Kind,
        url: &str,
        certificate: &Certificate,
        quic: Option<u16>,
        more: &[&str],
    ) -> Result<Self, String> {
        let profile = tempfile::Builder::new().prefix("transport-lab-test-").tempdir().unwrap();
        let mut groups = Vec::new();
        let mut command = match kind {
            Kind::Chromium => chromium(&profile, url, certificate, quic)?,
            Kind::Firefox => firefox(&profile, url, certificate)?,
            Kind::WebKit => webkit(&profile, url, &mut groups)?,
        };
        command.args(more);
        groups.insert(0, start(command, &profile));
        Ok(Self { groups, profile })
    }

    pub(crate) fn profile(&self) -> &std::path::Path {
        self.profile.path()
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        for group in &mut self.groups {
            if let Ok(pid) = i32::try_from(group.id()) {
                let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            }
            let _ = group.wait();
        }
        self.groups.clear();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start(mut command: Command, profile: &TempDir) -> Child {
    let home = profile.path();
    command.env("HOME", home).env("TMPDIR", home).env("XDG_RUNTIME_DIR", home).env("XDG_CONFIG_HOME", home);
    command.env("XDG_CACHE_HOME", home).env("XDG_DATA_HOME", home);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap()
}

fn program(names: &[&str]) -> Result<std::path::PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<_> = std::env::split_paths(&path).collect();
    let found = names.iter().flat_map(|name| places.iter().map(move |place| place.join(name))).find(|p| p.is_file());
    found.ok_or_else(|| format!("{} is not installed", names[0]))
}

fn chromium(profile: &TempDir, url: &str, certificate: &Certificate, quic: Option<u16>) -> Result<Command, String> {
    let mut command = Command::new(program(&["chromium"])?);
    command.args(["--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking"]);
    command.args([
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--disable-popup-blocking",
    ]);
    command.args(["--disable-background-timer-throttling", "--disable-renderer-backgrounding"]);
    command.arg("--disable-backgrounding-occluded-windows");
    if nix::unistd::geteuid().is_root() {
        command.arg("--no-sandbox");
    }
    command.arg(format!("--ignore-certificate-errors-spki-list={}", certificate.spki()));
    if let Some(port) = quic {
        command.arg(format!("--origin-to-force-quic-on=localhost:{port}"));
    }
    command.arg(format!("--user-data-dir={}", profile.path().join("profile").display()));
    command.arg(url);
    Ok(command)
}

fn firefox(profile: &TempDir, url: &str, certificate: &Certificate) -> Result<Command, String> {
    let program_path = program(&["firefox-esr", "firefox"])?;
    let certutil = program(&["certutil"])?;
    let dir = profile.path();
    fs::write(
        dir.join("user.js"),
        "user_pref('dom.disable_open_during_load', false);\nuser_pref('browser.shell.checkDefaultBrowser', false);\n\
         user_pref('datareporting.policy.dataSubmissionEnabled', false);\nuser_pref('browser.aboutwelcome.enabled', false);\n\
         user_pref('network.captive-portal-service.enabled', false);\nuser_pref('network.connectivity-service.enabled', false);\n\
         user_pref('app.update.enabled', false);\nuser_pref('services.settings.server', 'data:,');\n",
    )
    .unwrap();
    fs::copy(certificate.ca(), dir.join("ca.pem")).unwrap();
    let database = format!("sql:{}", dir.display());
    for arguments in [vec!["-N", "--empty-password"], vec!["-A", "-t", "CT,,", "-n", "lab", "-i", "ca.pem"]] {
        let made = Command::new(&certutil).current_dir(dir).args(["-d", &database]).args(arguments).output().unwrap();
        assert!(made.status.success(), "certutil: {}", String::from_utf8_lossy(&made.stderr));
    }
    let mut command = Command::new(program_path);
    command.args(["-headless", "-no-remote", "-profile"]).arg(dir).arg(url);
    Ok(command)
}

fn webkit(profile: &TempDir, url: &str, groups: &mut Vec<Child>) -> Result<Command, String> {
    let program_path = ["x86_64", "aarch64"]
        .map(|arch| std::path::PathBuf::from(format!("/usr/lib/{arch}-linux-gnu/webkit2gtk-4.1/MiniBrowser")))
        .into_iter()
        .find(|path| path.is_file())
        .ok_or("WebKitGTK's MiniBrowser is not installed")?;
    let mut display = Command::new(program(&["Xvfb"])?)
        .args(["-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut number = String::new();
    BufReader::new(display.stdout.take().unwrap()).read_line(&mut number).unwrap();
    groups.push(display);
    let mut command = Command::new(program_path);
    command.env("DISPLAY", format!(":{}", number.trim())).env("WEBKIT_DISABLE_COMPOSITING_MODE", "1");
    command.env("LIBGL_ALWAYS_SOFTWARE", "1").env("NO_AT_BRIDGE", "1").current_dir(profile.path());
    command.args(["--ignore-tls-errors", url]);
    Ok(command)
}
