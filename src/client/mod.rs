//! Who subscribes: one file per client, each a constant row.
//!
//! Enters: a trial's settings and the address of its page. Leaves: how to start the client. What must never
//! happen here: a process started, waited for or ended. That is the runner's, once for all clients.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::trial::Settings;

/// A client: a constant row of [`ALL`].
#[derive(Debug)]
pub struct Client {
    /// Its name in files and flags: `firefox`.
    pub name: &'static str,
    /// Its name where a person reads it: `WebKitGTK (libsoup; not Safari)`.
    pub title: &'static str,
    /// Looks for it on this machine; the error says why it can't be used and what to do.
    pub find: fn() -> Result<Found, String>,
    /// Whether it can take part in a trial with these settings, and if not, why not.
    pub supports: fn(&Settings) -> Result<(), String>,
    /// How to start it.
    pub command: fn(&Found, &Visit) -> Launch,
}

/// A client that is on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The program.
    pub path: PathBuf,
    /// Its version: `156.0.8078.79`.
    pub version: String,
}

/// What a client is started for.
#[derive(Debug, Clone)]
pub struct Visit<'a> {
    /// The trial page at the control origin, with its token.
    pub url: String,
    /// The trial's settings.
    pub settings: &'a Settings,
    /// The host names under test.
    pub hosts: &'a [String],
    /// The ports under test, all of the protocol's ALPN.
    pub ports: &'a [u16],
    /// The lab's CA, as a PEM file.
    pub ca: PathBuf,
    /// SHA-256 of the leaf's public key (SPKI), base64.
    pub spki_sha256: String,
    /// Whether the lab runs as root, where browsers' sandboxes refuse to start.
    pub root: bool,
}

/// How a client is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// A process that speaks the trial contract on its standard input and output: program and arguments.
    Process(Vec<String>),
    /// A browser in its cage, whose page speaks the contract over the control origin.
    Browser(Cage),
}

/// A browser's command line and what surrounds it. It travels as one JSON line to `transport-lab child browser`,
/// which makes the profile, runs the browser, and ends the whole family and removes the profile when its
/// standard input closes. `{profile}` stands for the profile's folder in every text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cage {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Environment to add to a small one (PATH, LANG, and HOME as the profile).
    pub env: BTreeMap<String, String>,
    /// Files to write before, by path within the profile.
    pub files: BTreeMap<String, String>,
    /// Commands to run before, in order; each must succeed.
    pub before: Vec<Vec<String>>,
    /// Whether it needs a display: an Xvfb of its own, whose number goes into DISPLAY.
    pub display: bool,
}

/// Every client.
pub static ALL: &[&Client] = &[];
