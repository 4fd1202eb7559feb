//! `WebKitGTK`, driven through its `MiniBrowser`. Its network stack is libsoup, not the one that Safari has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Client, Found, Launch, LaunchContext, LaunchSpec, anywhere, browser_supports, program, words};
use crate::transport::{self, Opens};
use crate::trial::settings::Visibility;
use crate::trial::{Alpn, Settings, Unsupported};

pub(super) static CLIENT: Client = Client {
    name: "webkit",
    title: "WebKitGTK (libsoup; not Safari)",
    is_browser: true,
    find,
    supports,
    reaches: anywhere,
    command: |found, context| Launch::Browser(launch_spec(found, context)),
};

/// Names the program, instead of the places where it is looked for.
const VARIABLE: &str = "TRANSPORT_LAB_WEBKIT";
/// What brings it, by the name of its interface's version.
const ADVICE: &str = "on Debian: apt install webkit2gtk-driver xvfb";

fn find() -> Result<Found, Unsupported> {
    let path = match std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        Some(path) => program::named(VARIABLE, &path)?,
        None => places()
            .into_iter()
            .find(|path| program::can_run(path))
            .ok_or_else(|| format!("MiniBrowser not found; {ADVICE}, or set {VARIABLE}=PATH"))?,
    };
    if program::on_path(&["Xvfb"]).is_none() {
        return Err("it needs a display, and Xvfb is not found; on Debian: apt install xvfb".into());
    }
    Ok(Found { title: CLIENT.title.to_owned(), version: version(&path), path })
}

/// Where distributions put `MiniBrowser`: it is never on `PATH`.
fn places() -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from("/usr/libexec"), "/usr/lib".into(), "/usr/lib64".into()];
    // Debian and its kin: a folder for each architecture, such as `x86_64-linux-gnu`.
    let architectures = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders.extend(architectures.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("-linux-")));
    let at = |interface: &str| -> Vec<PathBuf> {
        folders.iter().map(|folder| folder.join(interface).join("MiniBrowser")).collect()
    };
    ["webkit2gtk-4.1", "webkit2gtk-4.0"].into_iter().flat_map(at).collect()
}

/// The package's version, for `MiniBrowser --version` answers only on a display.
fn version(path: &Path) -> String {
    let interface = if path.to_string_lossy().contains("-4.0/") { "4.0" } else { "4.1" };
    let (debian, fedora) = match interface {
        "4.0" => ("libwebkit2gtk-4.0-37", "webkit2gtk4.0"),
        _ => ("libwebkit2gtk-4.1-0", "webkit2gtk4.1"),
    };
    let questions: [(&str, &[&str]); 3] = [
        ("dpkg-query", &["-W", "-f", "${source:Upstream-Version}", debian]),
        ("rpm", &["-q", "--qf", "%{VERSION}", fedora]),
        ("pkg-config", &["--modversion", &format!("webkit2gtk-{interface}")]),
    ];
    let answer = |(name, arguments): &(&str, &[&str])| {
        let said = program::answer(&program::on_path(&[*name])?, arguments).ok()?;
        program::number(&said).map(str::to_owned)
    };
    questions.iter().find_map(answer).unwrap_or_else(|| "unknown".to_owned())
}

fn supports(settings: &Settings) -> Result<(), Unsupported> {
    let row = transport::find(&settings.protocol.transport);
    let is_tunnel = row.is_some_and(|row| matches!(row.opens, Opens::Tunnel(_)));
    let has_parts = row.and_then(|row| row.media_type).is_some_and(|kind| kind.starts_with("multipart/"));
    match settings.protocol.alpn {
        Alpn::H3 => Err("WebKitGTK has no HTTP/3".into()),
        Alpn::H2 if is_tunnel => Err("WebKitGTK has no WebSocket over HTTP/2 (RFC 8441)".into()),
        // Seen with 2.50: of such a response a fetch is told the header and nothing else, and fails where it ends.
        Alpn::H1 | Alpn::H2 if has_parts => {
            Err("WebKitGTK takes the parts of a response apart itself, and gives a fetch none of them".into())
        }
        Alpn::H1 | Alpn::H2 | Alpn::Quic => browser_supports(settings),
    }
}

fn launch_spec(found: &Found, context: &LaunchContext) -> LaunchSpec {
    let mut argv = words([
        &found.path.to_string_lossy(),
        "--ignore-tls-errors",
        // Further pages are opened by the first.
        "--javascript-can-open-windows-automatically=true",
    ]);
    if !context.root {
        argv.push("--enable-sandbox".to_owned());
    }
    if context.settings.workload.visibility == Visibility::Hidden
        && let Some((origin, _)) = context.url.split_once("/trials/")
    {
        // Its pages open windows, which cover nothing where no window manager is; of several addresses each gets a
        // tab, and the first is in front.
        argv.push(format!("{origin}/cover"));
    }
    argv.push(context.url.clone());
    let env = BTreeMap::from(
        [
            ("WEBKIT_DISABLE_COMPOSITING_MODE", "1"),
            ("LIBGL_ALWAYS_SOFTWARE", "1"),
            ("NO_AT_BRIDGE", "1"),
            ("GTK_A11Y", "none"),
            // Settings in memory: no daemon is started to keep them.
            ("GSETTINGS_BACKEND", "memory"),
            ("GIO_USE_VFS", "local"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    LaunchSpec { argv, env, display: true, ..LaunchSpec::default() }
}
