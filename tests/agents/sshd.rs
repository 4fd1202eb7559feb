//! An sshd of a test's own, on a free port of loopback, and how ssh gets there.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::PROGRAM;
use crate::lab::{Lab, Started, until};

/// What every login says before anything else, the end of it without an end of a line.
const WELCOME: &str = "echo 'Welcome to this machine'\nprintf 'no end of a line> '\n";

/// It, for this user, by a key that it was given. Gone when it is dropped.
pub(crate) struct Sshd {
    folder: TempDir,
    process: Child,
    port: u16,
}

/// Where it is: installed, or unpacked by the test command.
fn program() -> Option<PathBuf> {
    let target = Path::new(PROGRAM).ancestors().find(|folder| folder.join("openssh").exists());
    let unpacked = target.map(|target| target.join("openssh/sshd"));
    [Some(PathBuf::from("/usr/sbin/sshd")), unpacked].into_iter().flatten().find(|path| path.exists())
}

fn succeeds(command: &mut Command) {
    let ran = command.stdin(Stdio::null()).output().unwrap();
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

impl Sshd {
    /// `None`: there is no sshd here. Where the test command has installed one, its absence is a failure.
    pub(crate) fn start(lab: &Lab) -> Option<Self> {
        let Some(program) = program() else {
            assert!(std::env::var_os("TRANSPORT_LAB_BROWSERS").is_none(), "sshd should have been installed");
            eprintln!("skipped: no sshd here (tools/install.sh test)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        for key in ["host", "other-host", "key", "other-key"] {
            let path = folder.path().join(key);
            succeeds(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path));
        }
        if nix::unistd::geteuid().is_root() {
            // Where it is until somebody has logged in.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        fs::create_dir(folder.path().join("home")).unwrap();
        fs::write(folder.path().join("home/.bashrc"), WELCOME).unwrap();
        fs::write(folder.path().join("banner"), "Only for those who may\n").unwrap();
        let (process, port) = listening(&program, lab, folder.path());
        let this = Self { folder, process, port };
        this.write_known("host");
        Some(this)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Has ssh take it for the machine of this key.
    pub(crate) fn write_known(&self, key: &str) {
        let public = fs::read_to_string(self.path(&format!("{key}.pub"))).unwrap();
        fs::write(self.path("known"), format!("[127.0.0.1]:{} {public}", self.port)).unwrap();
    }

    /// Has ssh know no machine.
    pub(crate) fn forget_known(&self) {
        fs::write(self.path("known"), "").unwrap();
    }

    /// The command of ssh, with a configuration that calls it `there` and says which key to show.
    pub(crate) fn ssh(&self, key: &str) -> String {
        let (port, key, known) = (self.port, self.path(key), self.path("known"));
        let config = format!(
            "Host there\n  HostName 127.0.0.1\n  Port {port}\nHost *\n  IdentityFile {key}\n  IdentitiesOnly yes\n  \
             UserKnownHostsFile {known}\n  GlobalKnownHostsFile /dev/null\n"
        );
        let path = self.path(&format!("config-{}", key.rsplit('/').next().unwrap()));
        fs::write(&path, config).unwrap();
        format!("ssh -F {path}")
    }

    /// A run of the lab's that reaches it.
    pub(crate) fn run(&self, lab: &Lab, more: &[&str]) -> Started {
        Started::new(lab.running("small", more).env("TRANSPORT_LAB_SSH", self.ssh("key")))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// Starts it at a port that nobody else has taken meanwhile.
fn listening(program: &Path, lab: &Lab, folder: &Path) -> (Child, u16) {
    let at = |name: &str| folder.join(name).display().to_string();
    let bin = Path::new(PROGRAM).parent().unwrap().display().to_string();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    let temporary = lab.temporary().display().to_string();
    until("an sshd", || {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\nBanner {}\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             SetEnv HOME={} PATH={path} TMPDIR={temporary} XDG_DATA_HOME={temporary}\n",
            at("host"),
            at("key.pub"),
            at("banner"),
            at("home"),
        );
        fs::write(at("sshd_config"), config).unwrap();
        let log = fs::File::create(at("log")).unwrap();
        let mut command = Command::new(program);
        command.args(["-D", "-e", "-f", &at("sshd_config")]).stdin(Stdio::null()).stderr(log);
        let mut sshd = command.spawn().unwrap();
        let up = until("sshd to listen, or its end", || {
            let ended = sshd.try_wait().unwrap().map(|_| false);
            ended.or_else(|| TcpStream::connect(("127.0.0.1", port)).ok().map(|_| true))
        });
        let said = fs::read_to_string(at("log")).unwrap();
        assert!(up || said.contains("in use"), "{said}");
        up.then_some((sshd, port))
    })
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
