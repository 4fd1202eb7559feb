//! `serve`: every protocol on fixed ports, for a person's own clients and browsers.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use arc_swap::ArcSwap;
use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};

use super::renewal::{self, Renewal};
use super::{CliError, Exit, ServeArgs, expose, signals};
use crate::admission::Token;
use crate::broker::{Broker, SharedFeeds};
use crate::certs::{Certs, base64};
use crate::control::{CHAT_FEED, Control, ControlConfig, ControlError, DataPort, Serving};
use crate::run::measurement::{FactRouter, MAX_MEASUREMENTS, MeasurementService};
use crate::run::served_index;
use crate::server::{Options, Server};
use crate::text::visible;
use crate::transport::Configuration;
use crate::trial::ledger::Ledger;
use crate::trial::settings::ServerSettings;
use crate::trial::{Alpn, Observation, ServerFact};
use crate::wire::listen::{everywhere, loopback};
use crate::wire::{Sink, WireError, descriptors, tls};

/// Does it, until it is interrupted.
pub(super) async fn serve(args: &ServeArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let mut interrupt = signals::interrupt();
    let Reach { addresses, hosts, token } = Reach::of(args)?;
    let (certs, notices) = Certs::ensure(&args.certs, &hosts)?;
    for notice in notices {
        writeln!(out, "{}", visible(&notice))?;
    }
    descriptors::raise_descriptors();
    let (certs, names) = (Arc::new(certs), hosts.clone());
    let ledger = watch::Sender::new(Ledger::default());
    let router = Arc::new(FactRouter::default());
    let sink = {
        let (counted, router) = (ledger.clone(), Arc::clone(&router));
        Sink::new(move |observation: Observation<ServerFact>| {
            counted.send_modify(|ledger| ledger.apply(&observation.fact));
            router.record(&observation);
        })
    };
    let hosts: Vec<String> = hosts.iter().map(|host| expose::in_url(host)).collect();
    let mut server = Server::new(Options {
        certs: Arc::clone(&certs),
        addresses: addresses.clone(),
        hosts: hosts.clone(),
        origins: args.allow_origin.clone(),
        token: token.clone(),
        control: None,
        settings: ServerSettings { max_concurrent_streams: args.max_concurrent_streams, ..ServerSettings::default() },
        transports: Arc::new(Configuration::default()),
        rig: None,
        sink,
    });
    let shared = share(args, &mut server).await?;
    let feeds = (0..MAX_MEASUREMENTS).map(|number| server.reserve_feed(&format!("visit-{number}"))).collect();
    let base = args.port;
    listen(&mut server, base).await?;
    allow_lab_page(&server, &hosts, base);
    let (requests, visitors) = mpsc::channel(MAX_MEASUREMENTS);
    let current = Arc::new(ArcSwap::new(Arc::clone(&certs)));
    let showing = server.showing()?;
    let serving = Serving {
        ca: args.certs.join("ca.pem"),
        certs: Arc::clone(&current),
        ports: data_ports(base),
        token: token.clone(),
        permitted: certs.permitted(),
        runs: args.out.clone(),
        index: served_index,
        requests,
    };
    let control = Control::start(ControlConfig {
        addresses,
        port: base,
        tls: Arc::new(tls::server_showing(&showing, &[Alpn::H2, Alpn::H1])?),
        hosts: hosts.clone(),
        origins: args.allow_origin.clone(),
        ledger: ledger.subscribe(),
        serving: Some(serving.clone()),
    })
    .await
    .map_err(|error| match error {
        ControlError::Listen(error) => at(base)(error),
        error => error.into(),
    })?;
    welcome(out, &control.origin(), &serving, &spki(&certs))?;
    if let Some(shared) = &shared {
        introduce(out, shared)?;
    }
    if let Some(token) = &token {
        invite(out, &hosts, base, token)?;
    }
    writeln!(out, "Ctrl-C ends it.")?;
    out.flush()?;

    let control = Arc::new(control);
    let service = MeasurementService {
        out: args.out.clone(),
        certs: Arc::clone(&current),
        control: Arc::clone(&control),
        feeds,
        router,
        max_concurrent_streams: args.max_concurrent_streams,
        token,
        interrupt: interrupt.clone(),
    };
    // Measurements under way are told of the interrupt, and kept as far as they came.
    let measurements = tokio::spawn(service.receive(visitors));
    let renewal = Renewal { dir: args.certs.clone(), hosts: names, showing, current };
    let renewing = renewal.keep(renewal::EVERY, OffsetDateTime::now_utc, |certs, notices| tell(out, certs, notices));
    tokio::select! {
        // An interrupt whose sender is gone can't come any more; then there is nothing to wait for either.
        _ = interrupt.wait_for(|interrupted| *interrupted) => {}
        never = renewing => match never {},
    }
    if let Err(error) = measurements.await {
        tracing::error!(%error, "measurements were not kept");
    }
    server.stop().await;
    if let Some(control) = Arc::into_inner(control) {
        control.stop().await;
    }
    Ok(Exit::Good)
}

/// Opens the data ports.
async fn listen(server: &mut Server, base: u16) -> Result<(), CliError> {
    for alpn in Alpn::ALL {
        server.listen(alpn, base + offset(alpn)).await.map_err(at(base))?;
    }
    server.listen_both(base + 5).await.map_err(at(base))?;
    Ok(())
}

/// Feeds that other servers have, too.
struct Sharing {
    broker: Broker,
    /// What the others call themselves.
    others: Vec<String>,
}

/// Has the feeds shared with other servers, where that was asked for, and makes the one of the chat.
async fn share(args: &ServeArgs, server: &mut Server) -> Result<Option<Sharing>, CliError> {
    if args.feeds.is_empty() {
        server.reserve_feed(CHAT_FEED);
        return Ok(None);
    }
    let broker = Broker::connect(args.nats.at(&args.feeds, args.replicas)).await?;
    let shared = SharedFeeds::new(broker, ServerSettings::default().log as usize);
    server.share_feeds(shared.clone());
    server.tell_of_broker(shared.broker());
    if let Some(log) = server.feed(CHAT_FEED).as_ref().and_then(|feed| feed.shared()) {
        // What is wrong with the cluster is said before anybody comes.
        log.open().await.map_err(|source| CliError::Feed { feed: CHAT_FEED.to_owned(), source })?;
    }
    let others = shared.meet(&format!("{} port {}", hostname(), args.port)).await;
    let broker = shared.broker().clone();
    // Nobody waits for an answer to some of what was done so far.
    broker.was_denied_nothing()?;
    Ok(Some(Sharing { broker, others }))
}

/// Says where the feeds are, and who else has them.
fn introduce(out: &mut dyn Write, Sharing { broker, others }: &Sharing) -> Result<(), CliError> {
    let options = broker.options();
    let (version, prefix, of) = (broker.version(), &options.prefix, options.replicas);
    let replicas = if of == 1 { String::new() } else { format!(", {of} replicas") };
    writeln!(out, "Feeds are kept by nats-server {version} at {}: prefix {prefix}{replicas}", options.addresses())?;
    match others.as_slice() {
        [] => writeln!(out, "No other server has them at the moment.")?,
        others => {
            writeln!(out, "So have {}. If they aren't yours, take a --nats-prefix of your own.", others.join(", "))?;
        }
    }
    writeln!(out)?;
    Ok(())
}

/// What this machine calls itself (proc(5)).
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "a server".to_owned() } else { name.trim().to_owned() }
}

/// Lets the lab's own pages in, by whatever name they were called.
fn allow_lab_page(server: &Server, hosts: &[String], base: u16) {
    for host in ["127.0.0.1", "localhost", "[::1]"].into_iter().chain(hosts.iter().map(String::as_str)) {
        server.allow_origin(&format!("https://{host}:{base}"));
    }
}

/// What Chromium's list of public keys takes.
fn spki(certs: &Certs) -> String {
    base64(&certs.spki_sha256())
}

/// Says what was made anew. Whoever doesn't read it is served on.
fn tell(out: &mut dyn Write, certs: &Certs, notices: &[String]) {
    let _ = notices.iter().try_for_each(|notice| writeln!(out, "{notice}"));
    let _ = writeln!(out, "For Chromium it is now --ignore-certificate-errors-spki-list={}", spki(certs));
    let _ = out.flush();
}

/// How far the servers reach.
struct Reach {
    addresses: Vec<std::net::IpAddr>,
    /// Names and addresses beside those of loopback.
    hosts: Vec<String>,
    /// What other machines have to show.
    token: Option<Arc<Token>>,
}

impl Reach {
    fn of(args: &ServeArgs) -> Result<Self, CliError> {
        if !args.expose {
            return Ok(Self { addresses: loopback(), hosts: Vec::new(), token: None });
        }
        let hosts = if args.host.is_empty() { expose::own_addresses() } else { args.host.clone() };
        let token = Token::draw().ok_or(ControlError::Random)?;
        Ok(Self { addresses: everywhere(), hosts, token: Some(Arc::new(token)) })
    }
}

/// What a person can do about a port that can't be had.
fn at(base: u16) -> impl Fn(WireError) -> CliError {
    move |error| match error {
        source @ WireError::Listen { .. } => CliError::Ports { base, source },
        error => error.into(),
    }
}

const fn offset(alpn: Alpn) -> u16 {
    match alpn {
        Alpn::H1 => 1,
        Alpn::H2 => 2,
        Alpn::H3 => 3,
        Alpn::Quic => 4,
    }
}

fn data_ports(base: u16) -> Vec<DataPort> {
    let port =
        |alpn: Alpn, note: &str| DataPort { port: base + offset(alpn), alpns: vec![alpn], note: note.to_owned() };
    vec![
        port(Alpn::H1, "HTTP/1.1 and 1.0 only"),
        port(Alpn::H2, "HTTP/2 only"),
        port(Alpn::H3, "UDP only: nothing on TCP, so nothing can fall back unseen"),
        port(Alpn::Quic, "UDP, ALPN transport-lab; the first stream begins with the line /feeds/news/quic"),
        DataPort {
            port: base + 5,
            alpns: vec![Alpn::H2, Alpn::H3],
            note: "HTTP/2 on TCP that offers HTTP/3 on UDP by Alt-Svc".to_owned(),
        },
    ]
}

fn welcome(out: &mut dyn Write, origin: &str, serving: &Serving, spki: &str) -> Result<(), CliError> {
    let ca = serving.ca.display().to_string();
    let ca = visible(&ca);
    let base = serving.ports.first().map_or(0, |port| port.port);
    writeln!(out, "Lab page         {origin}/   measures the browser that opens it")?;
    writeln!(out, "Chat             {origin}/chat   one feed, every transport")?;
    writeln!(out, "Ledger           {origin}/ledger")?;
    for DataPort { port, alpns, note } in &serving.ports {
        let spoken: Vec<_> = alpns.iter().map(|alpn| alpn.title()).collect();
        let spoken = spoken.join(" + ");
        if alpns == &[Alpn::Quic] {
            writeln!(out, "{spoken:<15}  localhost:{port}   {note}")?;
        } else {
            writeln!(out, "{spoken:<15}  https://localhost:{port}/feeds/news/sse   {note}")?;
        }
    }
    writeln!(out)?;
    writeln!(out, "Read a feed, and publish to it from another terminal:")?;
    writeln!(out, "  curl -N --cacert {ca} https://localhost:{base}/feeds/news/sse")?;
    writeln!(out, "  curl --cacert {ca} --data 'hello' https://localhost:{base}/feeds/news")?;
    writeln!(out)?;
    writeln!(out, "How a browser comes to trust it (nothing is installed system-wide):")?;
    writeln!(
        out,
        "  Chromium   chromium --user-data-dir=/tmp/lab --ignore-certificate-errors-spki-list={spki} {origin}/"
    )?;
    writeln!(out, "  Firefox    Settings > Privacy & Security > View Certificates > Authorities > Import: {ca}")?;
    writeln!(out, "  WebKitGTK  MiniBrowser --ignore-tls-errors {origin}/")?;
    writeln!(
        out,
        "The CA can vouch for {} only. Remove it again when you are done.",
        visible(&serving.permitted.join(", "))
    )?;
    writeln!(out)?;
    Ok(())
}

/// What a person needs to bring another machine's browser.
fn invite(out: &mut dyn Write, hosts: &[String], base: u16, token: &Token) -> Result<(), CliError> {
    if hosts.is_empty() {
        writeln!(out, "This machine has no address for others; name one with --host.")?;
        return Ok(());
    }
    writeln!(out, "From other machines, with the token that lets them in for as long as this runs:")?;
    let urls: Vec<String> = hosts.iter().map(|host| format!("https://{host}:{base}/?token={}", token.text())).collect();
    for url in &urls {
        writeln!(out, "  {url}")?;
    }
    let colour = console::colors_enabled() && std::io::stdout().is_terminal();
    writeln!(out, "\n{}", expose::qr(&urls[0], colour))?;
    writeln!(out, "Whoever has that address may use all of this, and see the runs that are kept.")?;
    writeln!(out)?;
    Ok(())
}
