//! The control origin: the lab's own process towards pages and people.
//!
//! Enters: trials to carry to browser pages, the ledger, requests of pages and people over TLS (h2, http/1.1). Leaves:
//! trial pages, contract lines both ways, the ledger, the lab page, requests of visitors, kept runs. What must never
//! happen here: a token in a log or an error; a page that speaks for the server under test; an answer to a host name
//! that isn't served, or to an origin that wasn't let in.

mod answer;
mod assets;
mod carrier;
mod chat;
mod contract;
mod door;
mod drained;
mod lab_page;
mod ledger;
mod listen;
mod measurement;
mod page_clock;
mod places;
mod runs;
mod view;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

pub use self::carrier::PageCarrier;
use self::carrier::Trials;
pub use self::chat::CHAT_FEED;
pub use self::lab_page::{DataPort, Serving};
pub use self::measurement::{MAX_MEASURED, MeasurementError, MeasurementRequest, MeasurementStarted};
pub use self::view::{LiveView, MeasurementResult};
use crate::admission::{Admission, Token};
use crate::trial::ledger::Ledger;
use crate::trial::{Alpn, TrialMessage};
use crate::wire::{self, WireError};

/// How many event streams of the ledger are open at most; the next is refused with 503.
const LEDGER_STREAMS: usize = 64;

/// What the control origin is started with.
#[derive(Debug)]
pub struct ControlConfig {
    /// Where to listen.
    pub addresses: Vec<IpAddr>,
    /// The port on all of them; 0 is a free one, the same on all.
    pub port: u16,
    /// Certificate and key, with ALPN `h2` and `http/1.1`.
    pub tls: Arc<rustls::ServerConfig>,
    /// Names served besides localhost, its subdomains, 127.0.0.1 and `::1`.
    pub hosts: Vec<String>,
    /// Origins let in besides the control origin's own: `https://example.org:8443`.
    pub origins: Vec<String>,
    /// The count to show; the last value is shown on when its sender is gone.
    pub ledger: watch::Receiver<Ledger>,
    /// The data ports to tell people about, when there are any to use by hand.
    pub serving: Option<Serving>,
}

/// Why the control origin can't do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// An address and port can't be listened on.
    #[error("the control origin could not start")]
    Listen(#[from] WireError),
    /// The system has no random bytes to give.
    #[error("the system gave no random bytes for a token")]
    Random,
    #[error("trial {0} is open already")]
    Open(u32),
    #[error("{0} trials are open already, and no more can be at once")]
    Trials(usize),
    /// A page's trial is for a client, with a page or more.
    #[error("trial {trial} can't be carried to {pages} pages: a client's trial with 1 to {most} pages can")]
    Pages {
        trial: u32,
        /// How many pages were asked for.
        pages: u32,
        /// How many there can be.
        most: u32,
    },
}

/// A running control origin. It ends when this is dropped.
#[derive(Debug)]
pub struct Control {
    port: u16,
    trials: Arc<Trials>,
    listener: JoinHandle<()>,
    stop: watch::Sender<bool>,
    /// What another socket would be served with.
    tls: Arc<rustls::ServerConfig>,
    router: Router,
}

/// What every route can see.
#[derive(Debug, Clone)]
struct Shared {
    trials: Arc<Trials>,
    ledger: watch::Receiver<Ledger>,
    ledger_streams: Arc<Semaphore>,
    serving: Arc<Option<Serving>>,
    /// What the lab page is given, to ask for a measurement with.
    key: Arc<Token>,
}

impl Control {
    /// Listens, and answers from then on.
    pub async fn start(config: ControlConfig) -> Result<Self, ControlError> {
        let (sockets, port) = wire::listen::tcp(&config.addresses, config.port).await?;
        let trials = Arc::new(Trials::new(port));
        let shared = Shared {
            trials: trials.clone(),
            ledger: config.ledger,
            ledger_streams: Arc::new(Semaphore::new(LEDGER_STREAMS)),
            serving: Arc::new(config.serving),
            key: Arc::new(Token::draw().ok_or(ControlError::Random)?),
        };
        let token = shared.serving.as_ref().as_ref().and_then(|serving| serving.token.clone());
        let door = Admission::new(&config.hosts, &config.origins, token);
        door.add_port(port);
        let router = routes(shared, (Arc::new(door), trials.clone()));
        let (stop, stopping) = watch::channel(false);
        let listener = tokio::spawn(listen::serve(sockets, config.tls.clone(), router.clone(), stopping));
        Ok(Self { port, trials, listener, stop, tls: config.tls, router })
    }

    /// Answers at another socket too, which has the same address and port in another network, until what is given back is
    /// dropped. On HTTP/1.1 alone, if so wanted.
    pub fn answer_at(&self, socket: std::net::TcpListener, by_http1: bool) -> std::io::Result<JoinSet<()>> {
        socket.set_nonblocking(true)?;
        let sockets = vec![TcpListener::from_std(socket)?];
        let mut tls = Arc::clone(&self.tls);
        if by_http1 {
            Arc::make_mut(&mut tls).alpn_protocols = vec![Alpn::H1.wire().to_vec()];
        }
        let mut answering = JoinSet::new();
        answering.spawn(listen::serve(sockets, tls, self.router.clone(), self.stop.subscribe()));
        Ok(answering)
    }

    /// The port, the same on every address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where pages come from and report: `https://127.0.0.1:PORT`. Not `localhost`, which is the server under test.
    pub fn origin(&self) -> String {
        origin(self.port)
    }

    /// Opens a client's trial to so many pages. `message` holds the subscriptions of all pages; each page is sent
    /// its own.
    pub fn open(&self, message: TrialMessage, pages: u32) -> Result<PageCarrier, ControlError> {
        self.trials.open(message, pages)
    }

    /// Closes every connection, in words that TLS and HTTP have for it, and frees the port.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let _ = (&mut self.listener).await;
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

fn origin(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn routes(shared: Shared, door: (Arc<Admission>, Arc<Trials>)) -> Router {
    Router::new()
        .route("/", get(lab_page::page))
        .route("/ca.pem", get(lab_page::ca))
        .route("/visits", post(measurement::ask))
        .route("/chat", get(chat::page))
        .route("/runs", get(runs::list))
        .route("/runs/{run}/report.html", get(runs::show))
        .route("/ping", get(answer::nothing))
        .route("/cover", get(assets::cover))
        .route("/ledger", get(ledger::show))
        .route("/assets/{file}", get(assets::asset))
        .route("/transports/{file}", get(assets::transport))
        .route("/trials/{trial}/page", get(contract::page))
        .route("/trials/{trial}/contract", get(contract::down).post(contract::up))
        .route("/trials/{trial}/clock", get(contract::clock))
        .route("/trials/{trial}/error", post(contract::error))
        .route("/trials/{trial}/arrived", post(contract::arrived))
        .route("/trials/{trial}/close", post(measurement::close))
        .fallback(answer::no_route)
        .method_not_allowed_fallback(answer::no_route)
        .layer(middleware::from_fn_with_state(door, door::admit))
        .with_state(shared)
}
