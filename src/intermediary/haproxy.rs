//! HAProxy, as distributions build it: HTTP/1.1 and HTTP/2 on both sides, a WebSocket from either to either.

use std::path::{Path, PathBuf};

use super::{Commands, Intermediary, Site, Spoken, Template, command, unpacked};
use crate::client::Found;
use crate::program::{self, AnswersOn};
use crate::trial::settings::Compression;
use crate::trial::{Alpn, Unsupported};

pub(super) static INTERMEDIARY: Intermediary = Intermediary {
    name: "haproxy",
    title: "HAProxy",
    find,
    with_clients: Spoken { alpns: &[Alpn::H1, Alpn::H2], websockets: &[Alpn::H1, Alpn::H2] },
    with_origin: Spoken { alpns: &[Alpn::H1, Alpn::H2], websockets: &[Alpn::H1, Alpn::H2] },
    compresses: &[Compression::Gzip],
    // https://docs.haproxy.org/2.6/configuration.html#2.8
    template: Template(include_str!("haproxy.conf")),
    file: "haproxy.cfg",
    second_file: None,
    words: fill,
    command: commands,
    // https://docs.haproxy.org/2.6/management.html#4
    reload: |_| ["sh", "-c", "kill -USR2 $(head -n 1 {profile}/haproxy.pid)"].map(str::to_owned).into(),
};

/// The first that passes a WebSocket on from HTTP/2 to HTTP/1.1, and that finds a key beside its certificate.
const LEAST: [u32; 3] = [2, 4, 0];

fn find() -> Result<Found, Unsupported> {
    let files = [vec![PathBuf::from("/usr/sbin/haproxy")], unpacked("haproxy/haproxy")].concat();
    let advice = "on Debian: apt install haproxy, or unpack it by `sh tools/install.sh intermediaries`";
    let path = program::locate_also("TRANSPORT_LAB_HAPROXY", &["haproxy"], &files, advice)?;
    let said = program::answer_on(AnswersOn::StandardOutput, &path, &["-v"])?;
    let version = program::number(&said).ok_or_else(|| format!("{} says no version: `{said}`", path.display()))?;
    let version = version.to_owned();
    program::at_least(Found { title: INTERMEDIARY.title.to_owned(), path, version }, LEAST)
}

/// What TLS offers on a side (RFC 7301). There is never a choice.
fn offers(alpn: Alpn) -> String {
    format!("alpn {}", String::from_utf8_lossy(alpn.wire()))
}

fn fill(site: &Site<'_>) -> Vec<(&'static str, String)> {
    let listens: Vec<_> = site.listens().collect();
    let drain = site.drain.map(|drain| format!("hard-stop-after {}ms", drain.nanos() / 1_000_000));
    vec![
        ("{process}", drain.unwrap_or_default()),
        ("{listen}", format!("{} ssl crt {{profile}}/server.crt {}", listens.join(","), offers(site.alpn))),
        ("{origin-tls}", format!("ssl verify none {}", offers(site.origin_alpn))),
    ]
}

fn commands(found: &Found, site: &Site<'_>) -> Commands {
    // It takes certificate and key out of one file, or out of two that are called alike.
    let link = |path: &Path, name: &str| {
        vec!["ln".to_owned(), "-s".to_owned(), path.display().to_string(), format!("{{profile}}/{name}")]
    };
    let check = command(found, &["-c", "-q", "-f", "{profile}/haproxy.cfg"]);
    Commands {
        before: vec![link(&site.certificate, "server.crt"), link(&site.key, "server.crt.key"), check],
        // A master in the foreground, whatever `daemon` says, with a worker that it replaces when it is told to.
        run: command(found, &["-W", "-db", "-p", "{profile}/haproxy.pid", "-f", "{profile}/haproxy.cfg"]),
    }
}
