//! The front page: what this is, where the data ports are, what is open right now.

use std::path::PathBuf;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::answer::Refusal;
use super::{Shared, assets};
use crate::transport;
use crate::trial::Alpn;

/// What a person can use by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// The lab's CA, as a PEM file, as a person would type it.
    pub ca: PathBuf,
    /// The data ports.
    pub ports: Vec<DataPort>,
}

/// A port of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPort {
    /// Its number.
    pub port: u16,
    /// What it speaks, the ALPN to try first in front.
    pub alpns: Vec<Alpn>,
    /// What a person should know of it: `UDP only`. May be empty.
    pub note: String,
}

#[derive(Template)]
#[template(path = "front.html", config = "src/control/pages/askama.toml")]
struct Front {
    serving: bool,
    ca: String,
    rows: Vec<Row>,
    counts: Vec<Count>,
}

/// One data port as the page shows it.
struct Row {
    port: u16,
    speaks: String,
    note: String,
    /// URLs to subscribe at.
    examples: Vec<String>,
    /// curl's option for this protocol.
    curl: &'static str,
}

/// What is open on one ALPN, as the page shows it before its script runs.
struct Count {
    name: &'static str,
    title: &'static str,
    connections: u64,
    streams: u64,
    peak: u64,
}

/// `GET /`.
pub(super) async fn page(State(shared): State<Shared>) -> Result<Response, Refusal> {
    let ledger = shared.ledger.borrow().clone();
    let counts = Alpn::ALL.map(|alpn| {
        let counts = ledger.alpn.get(&alpn).copied().unwrap_or_default();
        let (connections, streams, peak) = (counts.connections.open, counts.streams.open, counts.streams.peak);
        Count { name: alpn.name(), title: alpn.title(), connections, streams, peak }
    });
    let serving = shared.serving.as_ref().as_ref();
    let front = Front {
        serving: serving.is_some(),
        ca: serving.map(|serving| serving.ca.display().to_string()).unwrap_or_default(),
        rows: serving.map(|serving| serving.ports.iter().map(row).collect()).unwrap_or_default(),
        counts: counts.into(),
    };
    front.render().map(assets::html).map_err(|_| Refusal::full("the page could not be written"))
}

fn row(port: &DataPort) -> Row {
    let on = |alpn: Alpn| transport::ALL.iter().filter(move |transport| transport.alpns.contains(&alpn));
    let mut names: Vec<_> = port.alpns.iter().flat_map(|alpn| on(*alpn)).map(|transport| transport.name).collect();
    names.sort_unstable();
    names.dedup();
    Row {
        port: port.port,
        speaks: port.alpns.iter().map(|alpn| alpn.title()).collect::<Vec<_>>().join(" and "),
        note: port.note.clone(),
        examples: names.iter().map(|name| format!("https://localhost:{}/feeds/news/{name}", port.port)).collect(),
        curl: match port.alpns.first() {
            Some(Alpn::H1) => "--http1.1",
            Some(Alpn::H2) | None => "--http2",
            Some(Alpn::H3) => "--http3-only",
        },
    }
}
