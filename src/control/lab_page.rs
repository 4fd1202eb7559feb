//! The lab page: measure the browser that shows it, what is open right now, where the data ports are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;

use super::answer::ErrorResponse;
use super::measurement::{MAX_MEASURED, MeasurementRequest};
use super::{Shared, assets};
use crate::admission::Token;
use crate::certs::Current;
use crate::transport::{self, Opens};
use crate::trial::Alpn;

/// What the CA's file is called where it was downloaded.
const DOWNLOADED: &str = "transport-lab-ca.pem";

/// What a person can use by hand.
#[derive(Debug, Clone)]
pub struct Serving {
    /// The lab's CA, as a PEM file, as a person would type it.
    pub ca: PathBuf,
    /// The certificates that the data ports show.
    pub certs: Current,
    pub ports: Vec<DataPort>,
    /// What other machines have to show, when they can reach it.
    pub token: Option<Arc<Token>>,
    /// Names and addresses that the CA may vouch for.
    pub permitted: Vec<String>,
    /// Where runs are kept.
    pub runs: PathBuf,
    /// Writes the page that lists what is kept there; `None` where it can't.
    pub index: fn(&Path) -> Option<String>,
    /// Takes what visitors want to measure.
    pub requests: mpsc::Sender<MeasurementRequest>,
}

/// A port of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPort {
    pub port: u16,
    /// What it speaks, the ALPN to try first in front.
    pub alpns: Vec<Alpn>,
    /// What a person should know of it: `UDP only`. May be empty.
    pub note: String,
}

#[derive(Template)]
#[template(path = "lab.html", config = "src/control/pages/askama.toml")]
struct LabPage {
    serving: bool,
    exposed: bool,
    /// What the page asks for measurements with.
    key: String,
    most: u32,
    grid: Grid,
    permitted: Vec<String>,
    ca: String,
    rows: Vec<Row>,
    counts: Vec<Count>,
    /// Whether the broker is there that keeps the logs of feeds; `None`: none does.
    broker: Option<bool>,
}

/// What can be measured: a row for each transport, a column for each port.
#[derive(Default)]
struct Grid {
    heads: Vec<Head>,
    rows: Vec<GridRow>,
}

/// A port that something can be measured at.
struct Head {
    /// `HTTP/3 by Alt-Svc`.
    title: String,
    port: u16,
    /// Who gets there; may be empty.
    note: &'static str,
}

struct GridRow {
    title: &'static str,
    /// As [`Grid::heads`]; `None` where the transport isn't on that port.
    cells: Vec<Option<Choice>>,
}

/// A protocol to measure, and where.
struct Choice {
    /// `sse/h1`.
    protocol: String,
    /// `h1`.
    label: &'static str,
    port: u16,
    /// Whether the browser has to follow `Alt-Svc` to get there.
    alt_svc: bool,
}

/// One data port as the page shows it.
struct Row {
    port: u16,
    speaks: String,
    note: String,
    /// URLs to subscribe at with curl, which opens requests only.
    examples: Vec<String>,
    /// curl's option for this protocol; none where it doesn't speak it.
    curl: Option<&'static str>,
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
pub(super) async fn page(State(shared): State<Shared>) -> Result<Response, ErrorResponse> {
    let ledger = shared.ledger.borrow().clone();
    let counts = Alpn::ALL.map(|alpn| {
        let counts = ledger.alpn.get(&alpn).copied().unwrap_or_default();
        let (connections, streams, peak) = (counts.connections.open, counts.streams.open, counts.streams.peak);
        Count { name: alpn.name(), title: alpn.title(), connections, streams, peak }
    });
    let serving = shared.serving.as_ref().as_ref();
    let page = LabPage {
        serving: serving.is_some(),
        exposed: serving.is_some_and(|serving| serving.token.is_some()),
        key: shared.key.text().to_owned(),
        most: MAX_MEASURED,
        grid: serving.map(|serving| grid(&serving.ports)).unwrap_or_default(),
        permitted: serving.map(|serving| serving.permitted.clone()).unwrap_or_default(),
        ca: serving.map(ca_as_typed).unwrap_or_default(),
        rows: serving.map(|serving| serving.ports.iter().map(row).collect()).unwrap_or_default(),
        counts: counts.into(),
        broker: ledger.broker,
    };
    let page = page.render().map_err(|_| ErrorResponse::full("the page could not be written"))?;
    Ok(assets::html(page, assets::Framing::Frames))
}

/// The CA's file as a person would type it. Where this machine keeps it is nobody's business elsewhere, where it was
/// downloaded instead.
fn ca_as_typed(serving: &Serving) -> String {
    match serving.token {
        None => serving.ca.display().to_string(),
        Some(_) => DOWNLOADED.to_owned(),
    }
}

/// `GET /ca.pem`: the CA's certificate, for who wants to trust it. The key stays where it is.
pub(super) async fn ca(State(shared): State<Shared>) -> Result<Response, ErrorResponse> {
    let serving = shared.serving.as_ref().as_ref();
    let missing = || ErrorResponse::missing("there is no CA to trust here");
    let pem = tokio::fs::read(&serving.ok_or_else(missing)?.ca).await.map_err(|_| missing())?;
    let headers = [
        (header::CONTENT_TYPE, "application/x-x509-ca-cert".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{DOWNLOADED}\"")),
    ];
    Ok((headers, pem).into_response())
}

/// What can be measured: at each port every transport on what it speaks; where that is several, on what it offers by
/// `Alt-Svc`, as the rest has ports of its own.
fn grid(ports: &[DataPort]) -> Grid {
    let pages = |row: &transport::Transport, alpn: Alpn| row.alpns.contains(&alpn) && (row.page)(alpn).is_ok();
    let measured: Vec<(Alpn, bool, u16)> = ports
        .iter()
        .filter_map(|port| Some((*port.alpns.last()?, port.alpns.len() > 1, port.port)))
        .filter(|(alpn, ..)| transport::ALL.iter().any(|row| pages(row, *alpn)))
        .collect();
    let head = |&(alpn, alt_svc, port): &(Alpn, bool, u16)| {
        let (title, note) = match (alpn, alt_svc) {
            (Alpn::H3, false) => ("HTTP/3", "only for a browser that was put on it for this port, see below"),
            (Alpn::H3, true) => ("HTTP/3 by Alt-Svc", "for a browser that follows the offer from HTTP/2"),
            _ => (alpn.title(), ""),
        };
        Head { title: title.to_owned(), port, note }
    };
    let row = |transport: &&'static transport::Transport| {
        let cell = |&(alpn, alt_svc, port): &(Alpn, bool, u16)| {
            let protocol = format!("{}/{alpn}", transport.name);
            pages(transport, alpn).then(|| Choice { protocol, label: alpn.name(), port, alt_svc })
        };
        GridRow { title: transport.title, cells: measured.iter().map(cell).collect() }
    };
    let rows = transport::ALL.iter().map(row).filter(|row| row.cells.iter().any(Option::is_some));
    Grid { heads: measured.iter().map(head).collect(), rows: rows.collect() }
}

fn row(port: &DataPort) -> Row {
    let by_request = |row: &&&transport::Transport| matches!(row.opens, Opens::Request);
    let on =
        |alpn: Alpn| transport::ALL.iter().filter(by_request).filter(move |transport| transport.alpns.contains(&alpn));
    let mut names: Vec<_> = port.alpns.iter().flat_map(|alpn| on(*alpn)).map(|transport| transport.name).collect();
    names.sort_unstable();
    names.dedup();
    Row {
        port: port.port,
        speaks: port.alpns.iter().map(|alpn| alpn.title()).collect::<Vec<_>>().join(" and "),
        note: port.note.clone(),
        examples: names.iter().map(|name| format!("https://localhost:{}/feeds/news/{name}", port.port)).collect(),
        curl: match port.alpns.first() {
            Some(Alpn::H1) => Some("--http1.1"),
            Some(Alpn::H2) | None => Some("--http2"),
            Some(Alpn::H3) => Some("--http3-only"),
            Some(Alpn::Quic) => None,
        },
    }
}
