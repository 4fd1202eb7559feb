//! What stands between client and server: real proxies, one file and a constant row each, its configuration beside it.
//!
//! Enters: a trial's settings, and where both sides are. Leaves: how to start the intermediary, with all that it is told
//! to do. What must never happen here: one started, waited for or ended. That is the runner's, once for all of them.

mod caddy;
mod envoy;
mod haproxy;
mod nginx;
mod supports;
mod template;

use std::net::IpAddr;
use std::path::PathBuf;

pub use supports::supports;
pub use template::Template;

use crate::client::{Found, LaunchSpec};
use crate::program::unpacked;
use crate::trial::settings::Compression;
use crate::trial::{Alpn, Unsupported};
use crate::units::Span;

/// What ends the first of two documents in one text (YAML 1.2.2 section 9.1.4).
const DOCUMENTS: &str = "\n---\n";

/// Every intermediary.
pub static ALL: &[&Intermediary] =
    &[&nginx::INTERMEDIARY, &haproxy::INTERMEDIARY, &caddy::INTERMEDIARY, &envoy::INTERMEDIARY];

/// The intermediary of this name.
pub fn find(name: &str) -> Option<&'static Intermediary> {
    ALL.iter().copied().find(|row| row.name == name)
}

/// An intermediary (RFC 9110 section 3.7): a constant row of [`ALL`].
#[derive(Debug)]
pub struct Intermediary {
    /// Its name in files and flags: `nginx`.
    pub name: &'static str,
    /// Its name where a person reads it.
    pub title: &'static str,
    /// Looks for it on this machine; the error says why it can't be used and what to do.
    pub find: fn() -> Result<Found, Unsupported>,
    /// What it speaks with clients.
    pub with_clients: Spoken,
    /// What it speaks with the server.
    pub with_origin: Spoken,
    /// The content codings by which it can compress what it passes on, as it is installed.
    pub compresses: &'static [Compression],
    /// What it is told to do: its documentation's first reverse proxy, and what lets events through.
    pub template: Template,
    /// The name of the file that holds what it is told to do.
    pub file: &'static str,
    /// The name of the file that holds what it is told to do after a line of three hyphens, where it reads two.
    second_file: Option<&'static str>,
    /// What else a template's names in braces stand for, beside those of every intermediary ([`Site::filled`]).
    words: fn(&Site<'_>) -> Vec<(&'static str, String)>,
    /// How it is started. `{profile}` is its folder.
    command: fn(&Found, &Site<'_>) -> Commands,
    /// What has it read its configuration again.
    reload: fn(&Found) -> Vec<String>,
}

/// What an intermediary speaks on one of its sides.
#[derive(Debug, Clone, Copy)]
pub struct Spoken {
    /// Requests and their responses.
    pub alpns: &'static [Alpn],
    /// A WebSocket, by whichever opening that ALPN has (RFC 6455, RFC 8441, RFC 9220).
    pub websockets: &'static [Alpn],
}

/// Programs and their arguments.
#[derive(Debug)]
struct Commands {
    /// What comes first; the last of them says what is wrong with the configuration, and fails.
    before: Vec<Vec<String>>,
    run: Vec<String>,
}

/// Where an intermediary stands.
#[derive(Debug, Clone)]
pub struct Site<'a> {
    /// What clients speak with it.
    pub alpn: Alpn,
    /// The addresses that it listens at.
    pub addresses: &'a [IpAddr],
    /// Its port at each of them.
    pub port: u16,
    /// The server's port on this machine.
    pub origin: u16,
    /// What it speaks there.
    pub origin_alpn: Alpn,
    /// By what it compresses.
    pub compression: Compression,
    /// The server's certificate, as a PEM file: clients take the intermediary for the server.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authority that signed it.
    pub ca: PathBuf,
    /// Whether the lab runs as root.
    pub root: bool,
    /// How long streams may stay where they are after its configuration was read again; `None`: as long as it has by
    /// itself.
    pub drain: Option<Span>,
}

impl Site<'_> {
    /// A configuration with its names in braces filled in.
    fn filled(&self, row: &Intermediary, text: &str) -> String {
        let own = (row.words)(self);
        let every = [
            ("{port}", self.port.to_string()),
            ("{origin}", format!("127.0.0.1:{}", self.origin)),
            ("{certificate}", self.certificate.display().to_string()),
            ("{key}", self.key.display().to_string()),
            ("{ca}", self.ca.display().to_string()),
        ];
        own.iter().chain(&every).fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// Its addresses with its port, as they are written in most configurations: `127.0.0.1:8443`, `[::1]:8443`.
    fn listens(&self) -> impl Iterator<Item = String> {
        self.addresses.iter().map(|address| std::net::SocketAddr::new(*address, self.port).to_string())
    }
}

impl Intermediary {
    /// How to start it here with this configuration, whose names in braces are filled in.
    pub fn launch(&self, found: &Found, site: &Site<'_>, configuration: &str) -> LaunchSpec {
        let Commands { before, run } = (self.command)(found, site);
        let filled = site.filled(self, configuration);
        let (first, second) = match filled.split_once(DOCUMENTS) {
            Some((first, second)) => (first.to_owned(), Some(second.to_owned())),
            None => (filled, None),
        };
        let second = self.second_file.zip(second).map(|(name, text)| (name.to_owned(), text));
        let files = std::iter::once((self.file.to_owned(), first)).chain(second).collect();
        LaunchSpec { argv: run, before, files, ..LaunchSpec::default() }
    }

    /// The command that has it read its configuration again, in the same folder as it.
    pub fn reload(&self, found: &Found) -> Vec<String> {
        (self.reload)(found)
    }
}

/// A command line: the program that was found, and its arguments.
fn command(found: &Found, arguments: &[&str]) -> Vec<String> {
    let program = found.path.to_string_lossy().into_owned();
    [program].into_iter().chain(arguments.iter().map(|&word| word.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::settings::IntermediaryConfig;

    pub(super) fn site(alpn: Alpn, addresses: &[IpAddr]) -> Site<'_> {
        Site {
            alpn,
            addresses,
            port: 41,
            origin: 42,
            origin_alpn: Alpn::H1,
            compression: Compression::Off,
            certificate: "/certs/server.pem".into(),
            key: "/certs/server.key".into(),
            ca: "/certs/ca.pem".into(),
            root: true,
            drain: Some(Span::from_secs(2)),
        }
    }

    #[test]
    fn every_intermediary_is_found_by_its_name_and_names_are_unique() {
        for row in ALL {
            assert!(std::ptr::eq(find(row.name).unwrap(), *row));
        }
        assert!(find("none").is_none());
    }

    #[test]
    fn what_each_needs_stands_in_the_document_about_it() {
        let document = include_str!("../../docs/behind-a-proxy.md");
        for row in ALL {
            let changes = row.template.changes(&IntermediaryConfig::Streaming, Compression::Gzip);
            let added = changes.into_iter().filter_map(|line| Some(line.strip_prefix("+ ")?.to_owned()));
            // Where the server is, a person writes otherwise.
            for line in added.filter(|line| !line.contains("{origin") && !line.contains("{compressor}")) {
                assert!(document.contains(line.trim()), "{}: `{line}`", row.name);
            }
        }
    }

    #[test]
    fn nothing_in_braces_is_left_in_a_configuration_but_its_folder() {
        let found = Found { title: "T".to_owned(), path: "/bin/proxy".into(), version: "1".to_owned() };
        let addresses = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        for row in ALL {
            for alpn in row.with_clients.alpns {
                let configs = [IntermediaryConfig::Default, IntermediaryConfig::Streaming];
                for (config, compression) in configs.into_iter().zip([Compression::Off, row.compresses[0]]) {
                    let text = row.template.text(&config, compression).unwrap();
                    let spec = row.launch(&found, &Site { compression, ..site(*alpn, &addresses) }, &text);
                    let text = spec.files.values().cloned().collect::<String>().replace("{profile}", "");
                    let left =
                        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).find(|(name, _)| {
                            !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-')
                        });
                    assert!(left.is_none(), "{}: {left:?} in {text}", row.name);
                    assert!(text.contains("127.0.0.1") && text.contains("41") && text.contains("42"), "{text}");
                    assert!(row.reload(&found).iter().all(|word| !word.is_empty()), "{}", row.name);
                    assert!(spec.argv.iter().chain(spec.before.iter().flatten()).any(|word| word == "/bin/proxy"));
                }
            }
        }
    }
}
