//! Who subscribes: one file per client, each a constant row.
//!
//! Enters: a trial's settings and the address of its page. Leaves: how to start the client. What must never
//! happen here: a client started, waited for or ended. That is the runner's, once for all clients.

mod chromium;
pub mod exec;
mod firefox;
mod native;
pub mod user_agent;
mod webkit;

pub mod subscriber;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::program;
pub use crate::program::Found;
use crate::text::chain;
use crate::transport::Transport;
use crate::transport::{self, Opens};
pub use crate::trial::clients::{AND, parts};
use crate::trial::contract::ServerAddress;
use crate::trial::settings::{Connections, Prepare, StuckOn};
use crate::trial::{Settings, Unsupported};

/// Every client, browsers first.
pub static ALL: &[&Client] = &[&chromium::CLIENT, &firefox::CLIENT, &webkit::CLIENT, &native::CLIENT];

/// The client of this name; of an `exec:PATH`, the row that all programs share.
pub fn find(name: &str) -> Option<&'static Client> {
    if exec::path(name).is_some() {
        return Some(&exec::CLIENT);
    }
    ALL.iter().copied().find(|client| client.name == name)
}

/// What stands for every browser among the levels of `client`.
pub const BROWSERS: &str = "browsers";

/// Every browser.
pub fn browsers() -> impl Iterator<Item = &'static Client> {
    ALL.iter().copied().filter(|client| client.is_browser)
}

/// How a client is called where a person reads it: by its row's title, a program by its path; of several, all.
pub fn title(name: &str) -> String {
    if exec::path(name).is_some() {
        return name.to_owned();
    }
    let titles: Vec<&str> = parts(name).map(|part| find(part).map_or(part, |row| row.title)).collect();
    titles.join(" + ")
}

/// A client: a constant row of [`ALL`].
#[derive(Debug)]
pub struct Client {
    /// Its name in files and flags: `firefox`.
    pub name: &'static str,
    /// Its name where a person reads it: `WebKitGTK (libsoup; not Safari)`.
    pub title: &'static str,
    /// Whether it is a browser: pages subscribe, and not a process that speaks the contract itself.
    pub is_browser: bool,
    /// Looks for it on this machine; the error says why it can't be used and what to do.
    pub find: fn() -> Result<Found, Unsupported>,
    /// Whether it can take part in a trial with these settings, and if not, why not.
    pub supports: fn(&Settings) -> Result<(), Unsupported>,
    /// Whether it can ask for all of these servers in such a trial, and if not, why not.
    pub reaches: fn(&Settings, &[ServerAddress]) -> Result<(), Unsupported>,
    /// How to start it.
    pub command: fn(&Found, &LaunchContext) -> Launch,
}

/// What a client is started for.
#[derive(Debug, Clone)]
pub struct LaunchContext<'a> {
    /// The trial page at the control origin, with its token.
    pub url: String,
    /// The trial's settings.
    pub settings: &'a Settings,
    /// The host names under test.
    pub hosts: &'a [String],
    /// Where they are asked for, each at ports of the protocol's ALPN.
    pub servers: &'a [ServerAddress],
    /// The lab's CA, as a PEM file.
    pub ca: PathBuf,
    /// SHA-256 of the leaf's public key (SPKI), base64; of several leaves, separated by commas.
    pub spki_sha256: String,
    /// The address that its packets to the server come from.
    pub address: IpAddr,
    /// Whether the lab runs as root, where browsers' sandboxes refuse to start.
    pub root: bool,
}

/// How a client is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// A process that speaks the trial contract on its standard input and output: program and arguments.
    Process(Vec<String>),
    /// The same of a program that isn't the lab's own, and is trusted less.
    Program(Vec<String>),
    /// A browser under its supervisor, whose page speaks the contract over the control origin.
    Browser(LaunchSpec),
}

/// A browser's command line and what surrounds it. It travels as one JSON line to `transport-lab child browser`,
/// which makes the profile, runs the browser, and ends all of its processes and removes the profile when its
/// standard input closes. `{profile}` stands for the profile's folder in every text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LaunchSpec {
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

/// What holds for most clients: one server is as good as another.
#[allow(clippy::unnecessary_wraps, reason = "a row's field has this type")]
fn anywhere(_: &Settings, _: &[ServerAddress]) -> Result<(), Unsupported> {
    Ok(())
}

/// What holds for every browser: whether it can take part in a trial with these settings.
fn browser_supports(settings: &Settings) -> Result<(), Unsupported> {
    let (row, transport) = transport::of(settings).map_err(|error| chain(&error))?;
    (row.page)(settings.protocol.alpn)?;
    transport.in_page(settings)?;
    if settings.workload.stuck > 0 {
        stuck_in_a_page(row, settings)?;
    }
    if matches!(settings.workload.prepare, Prepare::Ticket | Prepare::Early) {
        return Err("a page can't end a connection: whether it comes back by a ticket is the browser's to say".into());
    }
    match settings.workload.connections {
        Connections::Shared => Ok(()),
        Connections::Separate => Err("a browser decides its own connections".into()),
    }
}

/// Whether a page can have something that is left unread beside its subscriptions.
fn stuck_in_a_page(row: &Transport, settings: &Settings) -> Result<(), Unsupported> {
    if settings.workload.stuck_on == StuckOn::Own {
        return Err("a browser decides its own connections: what is left unread can't have one to itself".into());
    }
    if matches!(row.opens, Opens::Session(_)) {
        return Err("a browser gives each session a connection of its own: nothing else is on it".into());
    }
    Ok(())
}

/// A command line out of its words.
fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::trial::{Alpn, Protocol};

    fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
        let mut settings: Settings = serde_json::from_str("{}").unwrap();
        change(&mut settings);
        settings
    }

    fn on_h3() -> Settings {
        settings(|s| s.protocol = Protocol::new("sse", Alpn::H3))
    }

    fn at(host: &str, port: u16) -> ServerAddress {
        ServerAddress { host: host.to_owned(), port }
    }

    /// The launch spec for two hosts and two ports.
    fn launch_spec(client: &Client, settings: &Settings, root: bool) -> LaunchSpec {
        let found = Found { title: "T".to_owned(), path: "/bin/browser".into(), version: "1".to_owned() };
        let context = LaunchContext {
            url: "https://127.0.0.1:1/page".to_owned(),
            settings,
            hosts: &["localhost".to_owned(), "a.localhost".to_owned()],
            servers: &["localhost", "a.localhost"].map(|host| [41, 42].map(|port| at(host, port))).concat(),
            ca: "/ca.pem".into(),
            spki_sha256: "c3BraQ==".to_owned(),
            address: Ipv6Addr::LOCALHOST.into(),
            root,
        };
        match (client.command)(&found, &context) {
            Launch::Browser(spec) => spec,
            Launch::Process(argv) | Launch::Program(argv) => panic!("{argv:?} is no browser"),
        }
    }

    #[test]
    fn every_client_is_found_by_its_name_and_names_are_unique() {
        for client in ALL {
            assert!(std::ptr::eq(find(client.name).unwrap(), *client));
        }
        assert!(find("netscape").is_none());
    }

    #[test]
    fn a_browser_refuses_separate_connections_and_native_refuses_pages() {
        let separate = settings(|s| s.workload.connections = Connections::Separate);
        let pages = settings(|s| s.workload.pages = 2);
        for client in ALL {
            assert_eq!((client.supports)(&separate).is_ok(), client.name == "native", "{}", client.name);
            assert_eq!((client.supports)(&pages).is_ok(), client.name != "native", "{}", client.name);
            assert_eq!((client.supports)(&settings(|_| ())), Ok(()));
        }
    }

    #[test]
    fn a_page_leaves_unread_what_is_on_its_subscriptions_connection_and_nothing_else() {
        use crate::trial::settings::StuckOn;
        let stuck = |transport: &str, alpn, on| {
            settings(|s| {
                s.protocol = Protocol::new(transport, alpn);
                (s.workload.stuck, s.workload.stuck_on) = (2, on);
            })
        };
        let why = |settings: &Settings| {
            (chromium::CLIENT.supports)(settings).err().map(|why| why.to_string()).unwrap_or_default()
        };
        assert_eq!(why(&stuck("sse", Alpn::H2, StuckOn::Shared)), "");
        assert!(why(&stuck("sse", Alpn::H2, StuckOn::Own)).contains("decides its own connections"));
        assert!(why(&stuck("webtransport", Alpn::H3, StuckOn::Shared)).contains("a connection of its own"));
    }

    #[test]
    fn webkit_refuses_http_3_and_firefox_refuses_it_on_several_ports() {
        let several = settings(|s| {
            s.protocol = Protocol::new("sse", Alpn::H3);
            s.workload.ports = 2;
        });
        let can = |settings: &Settings| -> Vec<&str> {
            ALL.iter().filter(|c| (c.supports)(settings).is_ok()).map(|c| c.name).collect()
        };
        assert_eq!(can(&on_h3()), ["chromium", "firefox", "native"]);
        assert_eq!(can(&several), ["chromium", "native"]);
    }

    #[test]
    fn chromium_is_forced_onto_quic_at_every_host_and_port_of_an_http_3_trial_only() {
        let force = "--origin-to-force-quic-on=localhost:41,localhost:42,a.localhost:41,a.localhost:42";
        assert!(launch_spec(&chromium::CLIENT, &on_h3(), false).argv.iter().any(|arg| arg == force));
        let tcp = launch_spec(&chromium::CLIENT, &settings(|_| ()), false);
        assert!(!tcp.argv.iter().any(|arg| arg.contains("quic")), "{:?}", tcp.argv);
    }

    #[test]
    fn where_http_3_is_offered_no_browser_is_forced_onto_it_and_on_h3_each_knows_of_it() {
        let offered = |alpn| {
            settings(|s| {
                s.protocol = Protocol::new("sse", alpn);
                s.server.alt_svc = true;
            })
        };
        let offers = |client: &Client, alpn| {
            let spec = launch_spec(client, &offered(alpn), false);
            let forced = spec.argv.iter().find(|word| word.contains("force-quic")).cloned().unwrap_or_default();
            (forced, spec.files.into_values().collect::<String>())
        };
        for (alpn, known) in [(Alpn::H2, false), (Alpn::H3, true)] {
            let (forced, profile) = offers(&chromium::CLIENT, alpn);
            assert_eq!(forced, "--origin-to-force-quic-on=localhost:1,a.localhost:1");
            assert_eq!(profile.contains(r#""server":"https://localhost:41""#), known, "{profile}");
            let (_, profile) = offers(&firefox::CLIENT, alpn);
            assert!(profile.contains(r#""network.http.http3.disable_when_third_party_roots_found", false"#));
            assert_eq!(profile.contains("alt-svc-mapping"), known, "{profile}");
        }
    }

    #[test]
    fn a_browser_gives_up_its_sandbox_only_for_root() {
        for root in [false, true] {
            let has = |client, flag| launch_spec(client, &settings(|_| ()), root).argv.iter().any(|arg| arg == flag);
            assert_eq!(has(&chromium::CLIENT, "--no-sandbox"), root);
            assert_eq!(has(&webkit::CLIENT, "--enable-sandbox"), !root);
        }
    }

    #[test]
    fn servers_at_hosts_of_their_own_are_reached_by_all_and_two_at_one_host_not_by_firefox_on_http_3() {
        let (apart, together) = ([at("10.9.1.2", 41), at("10.9.2.2", 42)], [at("localhost", 41), at("localhost", 42)]);
        for client in ALL {
            assert_eq!((client.reaches)(&on_h3(), &apart), Ok(()), "{}", client.name);
            assert_eq!((client.reaches)(&settings(|_| ()), &together), Ok(()), "{}", client.name);
            assert_eq!((client.reaches)(&on_h3(), &together).is_ok(), client.name != "firefox", "{}", client.name);
        }
    }

    #[test]
    fn firefox_maps_every_host_to_the_http_3_port_in_an_http_3_trial_only() {
        let prefs = launch_spec(&firefox::CLIENT, &on_h3(), false).files.remove("firefox/user.js").unwrap();
        assert!(prefs.contains(r#""a.localhost;h3=\":41\",localhost;h3=\":41\"""#), "{prefs}");
        let prefs = launch_spec(&firefox::CLIENT, &settings(|_| ()), false).files.remove("firefox/user.js").unwrap();
        assert!(!prefs.contains("alt-svc-mapping"), "{prefs}");
    }

    #[test]
    fn a_hidden_trial_keeps_throttling_and_gives_webkit_a_page_in_front() {
        use crate::trial::settings::Visibility;
        let hidden = settings(|s| s.workload.visibility = Visibility::Hidden);
        let flags = |settings: &Settings| launch_spec(&chromium::CLIENT, settings, false).argv;
        let more: Vec<String> =
            flags(&settings(|_| ())).into_iter().filter(|arg| !flags(&hidden).contains(arg)).collect();
        assert_eq!(
            more,
            [
                "--disable-background-timer-throttling",
                "--disable-backgrounding-occluded-windows",
                "--disable-renderer-backgrounding"
            ]
        );
        let found = Found { title: "T".to_owned(), path: "/bin/browser".into(), version: "1".to_owned() };
        let context = LaunchContext {
            url: "https://127.0.0.1:1/trials/7/page?token=x&page=0".to_owned(),
            settings: &hidden,
            hosts: &[],
            servers: &[],
            ca: "/ca.pem".into(),
            spki_sha256: String::new(),
            address: Ipv6Addr::LOCALHOST.into(),
            root: true,
        };
        let Launch::Browser(spec) = (webkit::CLIENT.command)(&found, &context) else { panic!("a browser") };
        assert_eq!(spec.argv[spec.argv.len() - 2..], ["https://127.0.0.1:1/cover".to_owned(), context.url.clone()]);
    }

    #[test]
    fn every_browser_opens_the_page_last_and_keeps_to_its_profile() {
        for client in [&chromium::CLIENT, &firefox::CLIENT, &webkit::CLIENT] {
            let spec = launch_spec(client, &settings(|_| ()), false);
            assert_eq!(spec.argv.first().map(String::as_str), Some("/bin/browser"));
            assert_eq!(spec.argv.last().map(String::as_str), Some("https://127.0.0.1:1/page"));
            assert_eq!(spec.display, client.name == "webkit");
        }
    }
}
