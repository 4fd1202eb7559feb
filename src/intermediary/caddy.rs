//! Caddy: HTTP/1.1, HTTP/2 and HTTP/3 with clients.

use super::{Commands, Intermediary, Site, Spoken, Template, command, unpacked};
use crate::client::Found;
use crate::program::{self, AnswersOn};
use crate::trial::settings::Compression;
use crate::trial::{Alpn, Unsupported};

pub(super) static INTERMEDIARY: Intermediary = Intermediary {
    name: "caddy",
    title: "Caddy",
    find,
    // It offers no extended CONNECT on HTTP/2 unless Go is told to by its environment (GODEBUG=http2xconnect=1).
    with_clients: Spoken { alpns: &Alpn::HTTP, websockets: &[Alpn::H1, Alpn::H3] },
    // Its WebSockets are HTTP/1.1's, whatever it speaks else.
    with_origin: Spoken { alpns: &Alpn::HTTP, websockets: &[Alpn::H1] },
    // And zstd, which the lab doesn't speak.
    compresses: &[Compression::Gzip],
    // https://caddyserver.com/docs/quick-starts/reverse-proxy
    template: Template(include_str!("caddy.conf")),
    file: "Caddyfile",
    second_file: None,
    words: fill,
    command: commands,
    // What hasn't changed it would pass over without `--force`.
    // https://caddyserver.com/docs/command-line#caddy-reload
    reload: |found| command(found, &[&["reload", "--force"], &TOLD[..]].concat()),
};

/// What it is told whenever it is called.
const TOLD: [&str; 4] = ["--adapter", "caddyfile", "--config", "{profile}/Caddyfile"];

/// The first that takes the authorities which it believes from a file by this name.
const LEAST: [u32; 3] = [2, 8, 0];

fn find() -> Result<Found, Unsupported> {
    let advice = "see https://caddyserver.com/docs/install, or install it by `sh tools/install.sh intermediaries`";
    let path = program::locate_also("TRANSPORT_LAB_CADDY", &["caddy"], &unpacked("python/bin/caddy"), advice)?;
    let said = program::answer_on(AnswersOn::StandardOutput, &path, &["version"])?;
    // `v2.11.7 h1:…`
    let first = said.split_whitespace().next().and_then(|word| word.strip_prefix('v'));
    let version = first.ok_or_else(|| format!("{} says no version: `{said}`", path.display()))?.to_owned();
    program::at_least(Found { title: INTERMEDIARY.title.to_owned(), path, version }, LEAST)
}

fn fill(site: &Site<'_>) -> Vec<(&'static str, String)> {
    let addresses: Vec<_> = site.addresses.iter().map(ToString::to_string).collect();
    let drain = site.drain.map(|drain| format!("    grace_period {}ms\n", drain.nanos() / 1_000_000));
    // It is told to read this again at a socket that nobody else finds. A certificate of its own would be sought for every
    // name, and plain HTTP answered at port 80.
    let process = format!(
        "admin unix/{{profile}}/admin.sock\n    persist_config off\n    auto_https off\n{}    servers {{\n        \
         protocols {}\n    }}",
        drain.unwrap_or_default(),
        site.alpn
    );
    let only = if site.origin_alpn == Alpn::H3 { "\n            versions 3" } else { "" };
    let tls = format!("transport http {{\n            tls_trust_pool file {{ca}}{only}\n        }}");
    vec![("{process}", process), ("{listen}", format!("bind {}", addresses.join(" "))), ("{origin-tls}", tls)]
}

fn commands(found: &Found, _: &Site<'_>) -> Commands {
    let with = |word| command(found, &[&[word], &TOLD[..]].concat());
    Commands { before: vec![with("validate")], run: with("run") }
}
