//! Chromium and its kin (Chrome, Edge, Brave): one engine, one command line.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use super::{Client, Found, Launch, LaunchContext, LaunchSpec, anywhere, browser_supports, program, words};
use crate::certs::base64;
use crate::trial::contract::ServerAddress;
use crate::trial::settings::Visibility;
use crate::trial::{Alpn, Unsupported};

pub(super) static CLIENT: Client = Client {
    name: "chromium",
    title: "Chromium",
    is_browser: true,
    find,
    supports: browser_supports,
    reaches: anywhere,
    command: |found, context| Launch::Browser(launch_spec(found, context)),
};

/// A port that is no server's: tcpmux (RFC 1078), which browsers refuse to ask for.
const NOBODYS_PORT: u16 = 1;

/// A time that none comes after: in microseconds since 1601.
const LONG_VALID: &str = "16000000000000000";

/// Programs in the order in which they are looked for.
const PROGRAMS: [&str; 8] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "microsoft-edge-stable",
    "brave-browser",
    "brave",
];

/// How each of the family begins the answer to `--version`, and what it is called. The last fits all.
const BRANDS: [(&str, &str); 4] =
    [("Google Chrome", "Google Chrome"), ("Microsoft Edge", "Microsoft Edge"), ("Brave", "Brave"), ("", "Chromium")];

fn find() -> Result<Found, Unsupported> {
    let path = program::locate("TRANSPORT_LAB_CHROMIUM", &PROGRAMS, "on Debian: apt install chromium")?;
    let said = program::answer(&path, &["--version"])?;
    let (title, version) = read_version(&path, &said)?;
    Ok(Found { title, path, version })
}

/// Title and number out of the answer to `--version`.
fn read_version(path: &Path, said: &str) -> Result<(String, String), Unsupported> {
    let version = program::number(said).ok_or_else(|| format!("{} says no version: `{said}`", path.display()))?;
    let title = BRANDS.iter().find(|(start, _)| said.starts_with(start)).map_or(CLIENT.title, |(_, title)| title);
    Ok((title.to_owned(), version.to_owned()))
}

fn launch_spec(found: &Found, context: &LaunchContext) -> LaunchSpec {
    let mut argv = words([
        &found.path.to_string_lossy(),
        "--headless=new",
        "--user-data-dir={profile}/chromium",
        // Trusts leaves by their keys, on TCP and on QUIC alike; `--ignore-certificate-errors` doesn't reach QUIC.
        &format!("--ignore-certificate-errors-spki-list={}", context.spki_sha256),
        &format!("--host-resolver-rules={}", rules(context)),
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-background-networking",
        "--disable-breakpad",
        "--disable-component-update",
        "--disable-default-apps",
        "--disable-dev-shm-usage",
        "--disable-domain-reliability",
        "--disable-extensions",
        "--disable-gpu",
        "--disable-search-engine-choice-screen",
        "--disable-sync",
        "--metrics-recording-only",
        "--mute-audio",
        "--password-store=basic",
        // Further pages are opened by the first.
        "--disable-popup-blocking",
    ]);
    if context.settings.workload.visibility == Visibility::Visible {
        // None of them may be slowed for being behind another.
        argv.extend(words([
            "--disable-background-timer-throttling",
            "--disable-backgrounding-occluded-windows",
            "--disable-renderer-backgrounding",
        ]));
    }
    if context.root {
        argv.push("--no-sandbox".to_owned());
    }
    argv.extend(forced(context).map(|origins| format!("--origin-to-force-quic-on={origins}")));
    argv.push(context.url.clone());
    LaunchSpec { argv, files: known_before(context).into_iter().collect(), ..LaunchSpec::default() }
}

/// What an earlier visit has left in the profile, where the trial begins with HTTP/3 and may go back to HTTP/2: the offer of
/// each server, kept by the site of the page that it was asked by, and that HTTP/3 worked with the address that the browser
/// has. Without that it would try HTTP/2 at the same time, and whichever is there first would be used.
fn known_before(context: &LaunchContext) -> Option<(String, String)> {
    if context.settings.protocol.alpn != Alpn::H3 || !context.settings.offers_h3() {
        return None;
    }
    let page = context.url.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
    let sites: BTreeSet<&str> = context.hosts.iter().map(String::as_str).chain([page]).collect();
    let offer = |host: &String, port: u16, site: &str| {
        json!({
            "server": format!("https://{host}:{port}"),
            "anonymization": [base64(&pickled(&format!("https://{site}"))), false, 0],
            "alternative_service": [{
                "protocol_str": "quic", "advertised_alpns": ["h3"], "port": port, "expiration": LONG_VALID,
            }],
        })
    };
    let mut servers = Vec::new();
    for ServerAddress { host, port } in context.servers {
        servers.extend(sites.iter().map(|site| offer(host, *port, site)));
    }
    let known = json!({ "net": { "http_server_properties": {
        "version": 5, "servers": servers, "supports_quic": { "used_quic": true, "address": context.address },
    } } });
    Some(("chromium/Default/Network Persistent State".to_owned(), known.to_string()))
}

/// A text as Chromium keeps it among numbers (`base::Pickle`): how long what follows is, how long the text is, the text, and
/// as many zeros as it takes to a multiple of four bytes.
fn pickled(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let padded = text.len().next_multiple_of(4);
    let all = u32::try_from(padded + 4).unwrap_or(u32::MAX);
    let mut bytes = [all.to_le_bytes(), length.to_le_bytes()].concat();
    bytes.extend_from_slice(text.as_bytes());
    bytes.resize(8 + padded, 0);
    bytes
}

/// No name but the lab's can be looked up, so that no background service reaches the network. On a link there is no IPv6,
/// and QUIC tries no second address.
fn rules(context: &LaunchContext) -> String {
    if context.settings.link.is_some() {
        return "MAP localhost 127.0.0.1, MAP *.localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1".to_owned();
    }
    let own = ["localhost", "*.localhost", "127.0.0.1", "[::1]"];
    let is_own = |host: &String| host == own[0] || host.ends_with(&own[1][1..]);
    // Of a server on another machine.
    let others = context.hosts.iter().filter(|host| !is_own(host)).map(String::as_str);
    let excluded: Vec<String> = own.into_iter().chain(others).map(|host| format!(", EXCLUDE {host}")).collect();
    format!("MAP * ~NOTFOUND{}", excluded.concat())
}

/// Where nothing but HTTP/3 is tried: every server, `host:port`, comma-separated. Over QUIC a CA that is not one
/// of the built-in ones is trusted for the hosts of these origins alone, at whichever port; where HTTP/3 is only offered,
/// they are named with one that nothing asks for.
fn forced(context: &LaunchContext) -> Option<String> {
    let origins: Vec<String> = match context.settings.protocol.alpn {
        _ if context.settings.offers_h3() => {
            context.hosts.iter().map(|host| format!("{host}:{NOBODYS_PORT}")).collect()
        }
        Alpn::H3 => context.servers.iter().map(|ServerAddress { host, port }| format!("{host}:{port}")).collect(),
        Alpn::H1 | Alpn::H2 | Alpn::Quic => return None,
    };
    Some(origins.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_written_as_chromium_writes_it() {
        // As a profile of Chromium 156 has it.
        assert_eq!(base64(&pickled("https://127.0.0.1")), "GAAAABEAAABodHRwczovLzEyNy4wLjAuMQAAAA==");
    }

    #[test]
    fn the_title_says_which_of_the_family_it_is() {
        for (said, title, version) in [
            ("Chromium 156.0.8078.79 built on Debian GNU/Linux 12 (bookworm)", "Chromium", "156.0.8078.79"),
            ("Google Chrome 156.0.8078.79 ", "Google Chrome", "156.0.8078.79"),
            ("Microsoft Edge 156.0.3000.1", "Microsoft Edge", "156.0.3000.1"),
            ("Brave Browser 156.1.80.11", "Brave", "156.1.80.11"),
        ] {
            assert_eq!(read_version(Path::new("/x"), said), Ok((title.to_owned(), version.to_owned())));
        }
        assert!(read_version(Path::new("/x"), "hello").unwrap_err().to_string().contains("/x says no version"));
    }
}
