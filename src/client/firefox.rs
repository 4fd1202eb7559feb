//! Firefox. Its profile's preferences (`firefox.js`) and certificate database are made before it starts.

use std::collections::{BTreeMap, BTreeSet};

use super::{Client, Found, Launch, LaunchContext, LaunchSpec, browser_supports, program, words};
use crate::trial::contract::ServerAddress;
use crate::trial::{Alpn, Settings, Unsupported};

pub(super) static CLIENT: Client = Client {
    name: "firefox",
    title: "Firefox",
    is_browser: true,
    find,
    supports,
    reaches,
    command: |found, context| Launch::Browser(launch_spec(found, context)),
};

/// The preference maps a host to one port: a request to any other would be sent there as well.
const ONE_PORT: &str = "Firefox can be put on HTTP/3 at one port of a host only";

/// The preferences that don't depend on the trial.
const PREFERENCES: &str = include_str!("firefox.js");

fn find() -> Result<Found, Unsupported> {
    let advice = "on Debian: apt install firefox-esr libnss3-tools";
    let path = program::locate("TRANSPORT_LAB_FIREFOX", &["firefox-esr", "firefox"], advice)?;
    if program::on_path(&["certutil"]).is_none() {
        return Err(
            "it trusts the lab's CA through certutil, which is not found; on Debian: apt install libnss3-tools".into(),
        );
    }
    let said = program::answer(&path, &["--version"])?;
    let version = program::number(&said).ok_or_else(|| format!("{} says no version: `{said}`", path.display()))?;
    Ok(Found { title: CLIENT.title.to_owned(), version: version.to_owned(), path })
}

fn supports(settings: &Settings) -> Result<(), Unsupported> {
    if settings.protocol.alpn == Alpn::H3 && settings.workload.ports > 1 {
        return Err(ONE_PORT.into());
    }
    browser_supports(settings)
}

fn reaches(settings: &Settings, servers: &[ServerAddress]) -> Result<(), Unsupported> {
    let hosts: BTreeSet<&str> = servers.iter().map(|server| server.host.as_str()).collect();
    if settings.protocol.alpn == Alpn::H3 && hosts.len() < servers.len() { Err(ONE_PORT.into()) } else { Ok(()) }
}

fn launch_spec(found: &Found, context: &LaunchContext) -> LaunchSpec {
    let argv = words([
        &found.path.to_string_lossy(),
        "-headless",
        "-no-remote",
        "-profile",
        "{profile}/firefox",
        &context.url,
    ]);
    // certutil runs in the profile.
    let ca = std::path::absolute(&context.ca).unwrap_or_else(|_| context.ca.clone());
    let database = "sql:{profile}/firefox";
    let before = vec![
        words(["certutil", "-d", database, "-N", "--empty-password"]),
        // C: a CA for servers; T: for clients.
        words(["certutil", "-d", database, "-A", "-t", "CT,,", "-n", "lab", "-i", &ca.to_string_lossy()]),
    ];
    let env = [
        ("MOZ_CRASHREPORTER_DISABLE", "1"),
        ("MOZ_DATA_REPORTING", "0"),
        // Without it a release build ignores the address in `services.settings.server`.
        ("MOZ_REMOTE_SETTINGS_DEVTOOLS", "1"),
    ];
    LaunchSpec {
        argv,
        env: BTreeMap::from(env.map(|(name, value)| (name.to_owned(), value.to_owned()))),
        files: BTreeMap::from([("firefox/user.js".to_owned(), preferences(context))]),
        before,
        display: false,
    }
}

/// The text of `user.js`.
fn preferences(context: &LaunchContext) -> String {
    let mut text = PREFERENCES.to_owned();
    if context.settings.link.is_some() {
        text += "\n// There is no IPv6 on a link, and each address that doesn't answer takes its time.\n";
        text += &line("network.dns.disableIPv6", &true.into());
    }
    let on_h3 = context.settings.protocol.alpn == Alpn::H3;
    if on_h3 || context.settings.offers_h3() {
        text += "\n// HTTP/3, although its CA is not one of the built-in ones.\n";
        text += &line("network.http.http3.enable", &true.into());
        text += &line("network.http.http3.disable_when_third_party_roots_found", &false.into());
    }
    // One port of each host, as `reaches` and `supports` see to it.
    let at: BTreeMap<&str, u16> =
        context.servers.iter().rev().map(|server| (server.host.as_str(), server.port)).collect();
    if on_h3 && !at.is_empty() {
        let mapping: Vec<String> = at.iter().map(|(host, port)| format!("{host};h3=\":{port}\"")).collect();
        text += "\n// And that from the first request on.\n";
        text += &line("network.http.http3.alt-svc-mapping-for-testing", &mapping.join(",").into());
    }
    text
}

/// One preference; a text is quoted as in JSON.
fn line(name: &str, value: &serde_json::Value) -> String {
    format!("user_pref(\"{name}\", {value});\n")
}
