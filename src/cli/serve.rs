//! `serve`: every protocol on fixed ports, for a person's own clients and browsers.

use std::io::Write;
use std::sync::Arc;

use tokio::sync::watch;

use super::{CliError, Exit, ServeArgs, signals};
use crate::certs::{Certs, base64};
use crate::control::{Control, ControlConfig, ControlError, DataPort, Serving};
use crate::experiment::run::loopback;
use crate::server::{Options, Server};
use crate::trial::Alpn;
use crate::trial::ledger::Ledger;
use crate::trial::settings::Server as ServerSettings;
use crate::wire::{Sink, WireError, descriptors, tls};

/// Does it, until it is interrupted.
pub(super) async fn serve(args: &ServeArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let mut interrupt = signals::interrupt();
    let (certs, notices) = Certs::ensure(&args.certs, &[])?;
    for notice in notices {
        writeln!(out, "{notice}")?;
    }
    let certs = Arc::new(certs);
    descriptors::raise_descriptors();
    let ledger = watch::Sender::new(Ledger::default());
    let counted = ledger.clone();
    let addresses = loopback();
    let mut server = Server::new(Options {
        certs: Arc::clone(&certs),
        addresses: addresses.clone(),
        hosts: Vec::new(),
        origins: args.allow_origin.clone(),
        settings: ServerSettings { max_concurrent_streams: args.max_concurrent_streams, ..ServerSettings::default() },
        tables: std::collections::BTreeMap::new(),
        rig: None,
        sink: Sink::new(move |fact| counted.send_modify(|ledger| ledger.apply(&fact))),
    });
    let base = args.port;
    for alpn in Alpn::ALL {
        server.listen(alpn, base + offset(alpn)).await.map_err(at(base))?;
    }
    server.listen_both(base + 5).await.map_err(at(base))?;
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        server.allow_origin(&format!("https://{host}:{base}"));
    }
    let serving = Serving { ca: args.certs.join("ca.pem"), ports: data_ports(base) };
    let control = Control::start(ControlConfig {
        addresses,
        port: base,
        tls: Arc::new(tls::server(certs.chain(), certs.key(), &[Alpn::H2, Alpn::H1])?),
        hosts: Vec::new(),
        origins: args.allow_origin.clone(),
        ledger: ledger.subscribe(),
        serving: Some(serving.clone()),
    })
    .await
    .map_err(|error| match error {
        ControlError::Listen(error) => at(base)(error),
        error => error.into(),
    })?;
    welcome(out, &control.origin(), &serving, &base64(&certs.spki_sha256()))?;
    // An interrupt whose sender is gone can't come any more; then there is nothing to wait for either.
    let _ = interrupt.wait_for(|interrupted| *interrupted).await;
    server.stop().await;
    control.stop().await;
    Ok(Exit::Good)
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
    }
}

fn data_ports(base: u16) -> Vec<DataPort> {
    let port =
        |alpn: Alpn, note: &str| DataPort { port: base + offset(alpn), alpns: vec![alpn], note: note.to_owned() };
    vec![
        port(Alpn::H1, "HTTP/1.1 and 1.0 only"),
        port(Alpn::H2, "HTTP/2 only"),
        port(Alpn::H3, "UDP only: nothing on TCP, so nothing can fall back unseen"),
        DataPort {
            port: base + 5,
            alpns: vec![Alpn::H2, Alpn::H3],
            note: "HTTP/2 on TCP that offers HTTP/3 on UDP by Alt-Svc".to_owned(),
        },
    ]
}

fn welcome(out: &mut dyn Write, origin: &str, serving: &Serving, spki: &str) -> Result<(), CliError> {
    let ca = serving.ca.display();
    let base = serving.ports.first().map_or(0, |port| port.port);
    writeln!(out, "Front page       {origin}/")?;
    writeln!(out, "Ledger           {origin}/ledger")?;
    for DataPort { port, alpns, note } in &serving.ports {
        let spoken: Vec<_> = alpns.iter().map(|alpn| alpn.title()).collect();
        writeln!(out, "{:<15}  https://localhost:{port}/feeds/news/sse   {note}", spoken.join(" + "))?;
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
    writeln!(out, "The CA can vouch for loopback names and addresses only. Remove it again when you are done.")?;
    writeln!(out)?;
    writeln!(out, "Ctrl-C ends it.")?;
    out.flush()?;
    Ok(())
}
