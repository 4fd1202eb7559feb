//! nginx, as distributions build it: HTTP/1.1 and HTTP/2 to clients, HTTP/1.0 or 1.1 to a server.

use std::path::PathBuf;

use super::{Commands, Intermediary, Site, Spoken, Template, command, unpacked};
use crate::client::Found;
use crate::program::{self, AnswersOn};
use crate::trial::settings::Compression;
use crate::trial::{Alpn, Unsupported};

pub(super) static INTERMEDIARY: Intermediary = Intermediary {
    name: "nginx",
    title: "nginx",
    find,
    with_clients: Spoken { alpns: &[Alpn::H1, Alpn::H2], websockets: &[Alpn::H1] },
    with_origin: Spoken { alpns: &[Alpn::H1], websockets: &[Alpn::H1] },
    // Brotli is a module of others'.
    compresses: &[Compression::Gzip],
    template: Template(include_str!("nginx.conf")),
    file: "nginx.conf",
    second_file: None,
    words: fill,
    command: commands,
    // By a signal to the process whose number is in the file that its configuration names (SIGHUP).
    // https://nginx.org/en/docs/control.html
    reload: |found| command(found, &[&TOLD[..], &["-s", "reload"]].concat()),
};

/// What it is told whenever it is called.
const TOLD: [&str; 8] = ["-e", "stderr", "-p", "{profile}", "-c", "{profile}/nginx.conf", "-g", "daemon off;"];

/// The first that logs where `-e` says.
const LEAST: [u32; 3] = [1, 19, 5];

fn find() -> Result<Found, Unsupported> {
    // An ordinary user's PATH has no folder for a system's programs.
    let files = [vec![PathBuf::from("/usr/sbin/nginx")], unpacked("nginx/usr/sbin/nginx")].concat();
    let advice = "on Debian: apt install nginx-light, or unpack it by `sh tools/install.sh intermediaries`";
    let path = program::locate_also("TRANSPORT_LAB_NGINX", &["nginx"], &files, advice)?;
    let said = program::answer_on(AnswersOn::StandardError, &path, &["-v"])?;
    let version = said.split_once("nginx/").and_then(|(_, rest)| rest.split_whitespace().next());
    let version = version.ok_or_else(|| format!("{} says no version: `{said}`", path.display()))?.to_owned();
    program::at_least(Found { title: INTERMEDIARY.title.to_owned(), path, version }, LEAST)
}

fn fill(site: &Site<'_>) -> Vec<(&'static str, String)> {
    let http2 = if site.alpn == Alpn::H2 { " http2" } else { "" };
    let listen: Vec<_> = site.listens().map(|address| format!("listen {address} ssl{http2};")).collect();
    let drain = site.drain.map(|drain| format!(" worker_shutdown_timeout {}ms;", drain.nanos() / 1_000_000));
    // Its workers would be another user's, who may not enter the folder.
    let user = if site.root { " user root;" } else { "" };
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let folders = folders.map(|name| format!("{name}_temp_path {{profile}}/tmp/{name};"));
    vec![
        ("{listen}", listen.join(" ")),
        ("{process}", format!("pid {{profile}}/nginx.pid;{user}{}", drain.unwrap_or_default())),
        ("{files}", format!("access_log off; {}", folders.join(" "))),
    ]
}

fn commands(found: &Found, _: &Site<'_>) -> Commands {
    let check = [&TOLD[..], &["-t", "-q"]].concat();
    Commands { before: vec![command(found, &check)], run: command(found, &TOLD) }
}
