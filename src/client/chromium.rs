//! Chromium and its kin (Chrome, Edge, Brave): one engine, one command line.

use std::path::Path;

use super::{Client, Found, Launch, LaunchContext, LaunchSpec, browser_supports, program, words};
use crate::trial::settings::Visibility;
use crate::trial::{Alpn, Unsupported};

pub(super) static CLIENT: Client = Client {
    name: "chromium",
    title: "Chromium",
    is_browser: true,
    find,
    supports: browser_supports,
    command: |found, context| Launch::Browser(launch_spec(found, context)),
};

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
    if context.settings.protocol.alpn == Alpn::H3 {
        argv.push(format!("--origin-to-force-quic-on={}", origins(context)));
    }
    argv.push(context.url.clone());
    LaunchSpec { argv, ..LaunchSpec::default() }
}

/// No name but the lab's can be looked up, so that no background service reaches the network. On a link there is no IPv6,
/// and QUIC tries no second address.
fn rules(context: &LaunchContext) -> &'static str {
    match context.settings.link {
        None => "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]",
        Some(_) => "MAP localhost 127.0.0.1, MAP *.localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    }
}

/// Every host at every port, `host:port`, comma-separated.
fn origins(context: &LaunchContext) -> String {
    let at = |host: &String| context.ports.iter().map(move |port| format!("{host}:{port}")).collect::<Vec<_>>();
    context.hosts.iter().flat_map(at).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

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
