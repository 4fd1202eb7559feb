//! The folder on disk: who may use it at once, how files get into it whole, and with which modes.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{CertsError, UnusableFile};

/// The CA's certificate.
pub(super) const CA_PEM: &str = "ca.pem";
/// The CA's private key.
pub(super) const CA_KEY: &str = "ca.key";
/// What servers send.
pub(super) const SERVER_PEM: &str = "server.pem";
/// The private key to it.
pub(super) const SERVER_KEY: &str = "server.key";

/// What servers send when each host has a certificate of its own, and the keys to it: `host-a.localhost.pem`.
const HOST: &str = "host-";

/// A certificate's file, and that of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) pem: String,
    pub(super) key: String,
}

impl Pair {
    /// The servers' certificate for all names.
    pub(super) fn shared() -> Self {
        Self { pem: SERVER_PEM.to_owned(), key: SERVER_KEY.to_owned() }
    }

    /// The certificate for this name alone.
    pub(super) fn host(name: &str) -> Self {
        Self { pem: format!("{HOST}{name}.pem"), key: format!("{HOST}{name}.key") }
    }
}

/// How long to wait for another lab that uses the folder; making everything takes milliseconds.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Keeps labs apart, and tells that the files beside it are the lab's own.
const LOCK: &str = ".transport-lab.lock";
/// How the names of files begin that are not whole yet.
const UNFINISHED: &str = ".unfinished-";
/// A PEM file of the lab is about 1 kB; what is longer is something else.
const LONGEST_FILE: u64 = 64 * 1024;

/// The folder, locked for as long as this lives.
pub(super) struct Folder {
    dir: PathBuf,
    /// Holds the lock. A folder that is only read and never had a lock file has none.
    _lock: Option<File>,
}

impl Folder {
    /// Makes the folder if needed, for its owner alone, and waits until no other lab uses it.
    pub(super) fn claim(dir: &Path) -> Result<Self, CertsError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error("make the folder", dir))?;
        let lock_path = dir.join(LOCK);
        // Another lab may take the folder while this one looks: what is in it by then is that lab's.
        if !lock_path.exists()
            && let Err(foreign) = refuse_foreign(dir)
            && !lock_path.exists()
        {
            return Err(foreign);
        }
        refuse_or_close_to_others(dir)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io_error("open", &lock_path))?;
        wait_for(&lock_path, || lock.try_lock())?;
        let folder = Self { dir: dir.to_owned(), _lock: Some(lock) };
        folder.sweep()?;
        Ok(folder)
    }

    /// Waits until no other lab writes to the folder; changes nothing.
    pub(super) fn visit(dir: &Path) -> Result<Self, CertsError> {
        let lock_path = dir.join(LOCK);
        let lock = match File::open(&lock_path) {
            Ok(lock) => {
                wait_for(&lock_path, || lock.try_lock_shared())?;
                Some(lock)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(io_error("open", &lock_path)(error)),
        };
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// Where a file of the folder is.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// The error that names a file and what is wrong with it.
    pub(super) fn unusable(&self, file: &str, why: impl Into<String>) -> CertsError {
        CertsError::Unusable(UnusableFile { path: self.path(file), why: why.into() })
    }

    /// A file's text. Missing, too long or not text: [`CertsError::Unusable`]. Not allowed to: an error that ends it.
    pub(super) fn read(&self, file: &str) -> Result<String, CertsError> {
        let path = self.path(file);
        let opened = match File::open(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(self.unusable(file, "is missing")),
            Err(error) => return Err(io_error("open", &path)(error)),
        };
        let mut bytes = Vec::new();
        opened.take(LONGEST_FILE + 1).read_to_end(&mut bytes).map_err(io_error("read", &path))?;
        if bytes.len() as u64 > LONGEST_FILE {
            return Err(self.unusable(file, "is far too long"));
        }
        String::from_utf8(bytes).map_err(|_| self.unusable(file, "is damaged: not text"))
    }

    /// Puts a file in place whole or not at all. Keys are for their owner alone from the moment they exist.
    pub(super) fn write(&self, file: &str, text: &str) -> Result<(), CertsError> {
        let path = self.path(file);
        let fail = || io_error("replace", &path);
        let mut unfinished = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .permissions(Permissions::from_mode(if is_key(file) { 0o600 } else { 0o644 }))
            .tempfile_in(&self.dir)
            .map_err(fail())?;
        unfinished.write_all(text.as_bytes()).map_err(fail())?;
        unfinished.as_file().sync_all().map_err(fail())?;
        unfinished.persist(&path).map_err(|error| fail()(error.error))?;
        // The rename itself is on disk only once the folder is.
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(fail())
    }

    /// Takes keys back from other users, who may have got at them through a copy or a restored backup.
    pub(super) fn tighten_keys(&self) -> Result<Vec<String>, CertsError> {
        let mut notices = Vec::new();
        for path in entries(&self.dir)?.iter().filter(|name| is_key(name)).map(|name| self.path(name)) {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let mode = metadata.permissions().mode() & 0o777;
            if metadata.is_file() && mode & 0o077 != 0 {
                fs::set_permissions(&path, Permissions::from_mode(0o600))
                    .map_err(io_error("protect from other users", &path))?;
                notices.push(format!("{} was open to other users (mode {mode:03o}); now 600", path.display()));
            }
        }
        Ok(notices)
    }

    /// Removes what a lab left that ended before a file of its was whole.
    fn sweep(&self) -> Result<(), CertsError> {
        for name in entries(&self.dir)? {
            if name.starts_with(UNFINISHED) {
                let path = self.path(&name);
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(())
    }
}

fn is_key(file: &str) -> bool {
    file == CA_KEY || file == SERVER_KEY || is_host(file, "key")
}

/// Whether it is the file of this kind for one of the hosts.
fn is_host(file: &str, kind: &str) -> bool {
    file.strip_prefix(HOST).and_then(|rest| rest.rsplit_once('.')).is_some_and(|(_, end)| end == kind)
}

fn is_ours(file: &str) -> bool {
    [CA_PEM, SERVER_PEM, LOCK, "README.md"].contains(&file)
        || is_key(file)
        || is_host(file, "pem")
        || file.starts_with(UNFINISHED)
}

/// Somebody's own CA may have files of these names: without the lab's mark, nothing in PEM is written over.
fn refuse_foreign(dir: &Path) -> Result<(), CertsError> {
    let named = entries(dir)?.into_iter().filter(|name| is_ours(name) && name != "README.md");
    for path in named.map(|file| dir.join(file)) {
        let mut start = Vec::new();
        let Ok(file) = File::open(&path) else { continue };
        file.take(LONGEST_FILE).read_to_end(&mut start).map_err(io_error("read", &path))?;
        if String::from_utf8_lossy(&start).contains("-----BEGIN ") {
            return Err(CertsError::Foreign(path));
        }
    }
    Ok(())
}

/// A folder of the lab's own is closed to others; one with other things in it (`/tmp`, a home) keeps its mode,
/// and is refused when others could put a CA of theirs there.
fn refuse_or_close_to_others(dir: &Path) -> Result<(), CertsError> {
    let others = fs::metadata(dir).map_err(io_error("look at", dir))?.permissions().mode() & 0o077;
    if others == 0 {
        return Ok(());
    }
    if entries(dir)?.iter().all(|name| is_ours(name)) {
        return fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(io_error("close to other users", dir));
    }
    if others & 0o022 != 0 { Err(CertsError::Shared(dir.to_owned())) } else { Ok(()) }
}

fn entries(dir: &Path) -> Result<Vec<String>, CertsError> {
    let fail = || io_error("list", dir);
    fs::read_dir(dir)
        .map_err(fail())?
        .map(|entry| Ok(entry.map_err(fail())?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// The system has no lock with a deadline: asks again every 10 ms.
fn wait_for(path: &Path, mut lock: impl FnMut() -> Result<(), TryLockError>) -> Result<(), CertsError> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::WouldBlock) => return Err(CertsError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(io_error("lock", path)(error)),
        }
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CertsError + use<> {
    let path = path.to_owned();
    move |source| CertsError::Io { doing, path, source }
}
