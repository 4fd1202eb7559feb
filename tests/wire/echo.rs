//! A server on HTTP/3 that sends everything back, in this process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use transport_lab::certs::Certs;
use transport_lab::trial::settings::StackSettings;
use transport_lab::trial::{Alpn, Dialect, Dialects, ServerFact};
use transport_lab::wire::dial::{ClientConnection, Target};
use transport_lab::wire::h3::{QuicOptions, endpoint, serve};
use transport_lab::wire::{
    BODY_TIMEOUT, Exchange, Handler, ResetKey, ResponseBody, Session, Sink, Traffic, Tunnel, tls,
};

/// How long anything that must happen is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What is answered a second after a request's content had to be at its end.
pub(crate) const LATE: &str = "/late";

/// Waits for what must happen.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A server, and what it saw. It ends when dropped.
pub(crate) struct Echo {
    pub(crate) target: Target,
    pub(crate) certs: Certs,
    pub(crate) ca: PathBuf,
    pub(crate) seen: watch::Receiver<Seen>,
    /// Tells it to stop.
    pub(crate) stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    _folder: TempDir,
}

/// What the server saw.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) connected: u32,
    pub(crate) disconnected: u32,
    /// Requests of the connections that have ended.
    pub(crate) requests: u64,
    /// The bounds that were reached, each time it was told.
    pub(crate) bounds: Vec<String>,
    /// Of sessions that were asked for: what the client's settings name, its `:protocol`, and what is spoken.
    pub(crate) dialects: Vec<(Dialects, String, Option<Dialect>)>,
    /// Ordinary requests that were answered.
    pub(crate) answered: u32,
    /// Exchanges that are open.
    pub(crate) open: u32,
    /// How sessions ended, as their server saw it: code and reason.
    pub(crate) ends: Vec<(u32, String)>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Echo {
    pub(crate) fn start() -> Self {
        Self::with_streams(100)
    }

    /// One that lets a connection have so many streams at once.
    pub(crate) fn with_streams(max_concurrent_streams: u32) -> Self {
        Self::offering(max_concurrent_streams, Dialects::ALL)
    }

    /// One that offers these dialects of WebTransport.
    pub(crate) fn offering(max_concurrent_streams: u32, dialects: Dialects) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certs, _) = Certs::ensure(folder.path(), &[]).unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let tls = Arc::new(tls::server(certs.chain(), certs.key(), &[Alpn::H3]).unwrap());
        let options = QuicOptions {
            ping: Some(Duration::from_secs(8)),
            tls,
            max_concurrent_streams,
            dialects,
            reset_key: ResetKey::of(b"a test's"),
            reset_interval: Duration::from_millis(20),
            traffic: Traffic::default(),
            stack: StackSettings::default(),
            half_rtt: true,
        };
        let endpoint = endpoint(socket, &options).unwrap();
        let (sender, seen) = watch::channel(Seen::default());
        let (stop, stopping) = watch::channel(false);
        let sender = Arc::new(sender);
        let told = Arc::clone(&sender);
        let sink = Sink::new(move |observation| {
            told.send_modify(|seen| match observation.fact {
                ServerFact::Connected { .. } => seen.connected += 1,
                ServerFact::Disconnected { requests, .. } => {
                    seen.disconnected += 1;
                    seen.requests += requests;
                }
                ServerFact::BoundReached { bound, .. } => seen.bounds.push(bound),
                ServerFact::WebtransportDialect { sent, token, taken, .. } => seen.dialects.push((sent, token, taken)),
                _ => {}
            });
        });
        let task = tokio::spawn(serve(endpoint, options, Back(sender), sink, stopping));
        let ca = certs.ca_path().to_owned();
        let target = Target { host: "localhost".to_owned(), port };
        Self { target, certs, ca, seen, stop, task, _folder: folder }
    }

    pub(crate) async fn dial(&self) -> ClientConnection {
        ClientConnection::connect(&self.target, Alpn::H3, &self.certs.ca()).await.unwrap()
    }

    /// Waits until the server has seen this.
    pub(crate) async fn sees(&self, what: &str, condition: impl FnMut(&Seen) -> bool) {
        let mut seen = self.seen.clone();
        soon(what, seen.wait_for(condition)).await.unwrap();
    }

    /// Says that the server is well: it answers an ordinary request, and holds no exchange open.
    pub(crate) async fn assert_well(&self) {
        self.sees("all exchanges to end", |seen| seen.open == 0).await;
        let response = soon("an answer", self.dial().await.get("/ping", &[])).await.unwrap();
        assert_eq!(response.status, StatusCode::NO_CONTENT);
    }
}

/// Counts an exchange for as long as it is open.
struct Open(Arc<watch::Sender<Seen>>);

impl Open {
    fn count(seen: &Arc<watch::Sender<Seen>>) -> Self {
        seen.send_modify(|seen| seen.open += 1);
        Self(Arc::clone(seen))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|seen| seen.open -= 1);
    }
}

#[derive(Clone)]
struct Back(Arc<watch::Sender<Seen>>);

impl Handler for Back {
    fn answer(&self, exchange: Exchange) -> impl Future<Output = Response<ResponseBody>> + Send + use<> {
        let back = self.clone();
        async move {
            if exchange.head().uri.path() == LATE {
                tokio::time::sleep(BODY_TIMEOUT + Duration::from_secs(1)).await;
            }
            back.respond(exchange)
        }
    }
}

impl Back {
    fn respond(&self, exchange: Exchange) -> Response<ResponseBody> {
        let head = exchange.head();
        assert_eq!(head.uri.scheme_str(), Some("https"));
        assert!(head.uri.authority().is_some_and(|authority| authority.host() == "localhost"));
        let mut response = Response::new(ResponseBody::empty());
        response.headers_mut().insert("x-path", head.uri.path().parse().unwrap());
        if head.uri.path() == "/refused" {
            *response.status_mut() = StatusCode::FORBIDDEN;
            *response.body_mut() = ResponseBody::whole("not you");
            return response;
        }
        let open = Open::count(&self.0);
        match exchange {
            Exchange::Request(_) => {
                self.0.send_modify(|seen| seen.answered += 1);
                *response.status_mut() = StatusCode::NO_CONTENT;
            }
            Exchange::Tunnel(opening) => {
                assert_eq!((opening.protocol.as_str(), opening.head.method.as_str()), ("websocket", "CONNECT"));
                *response.body_mut() = ResponseBody::tunnel(move |tunnel| async move {
                    let _open = open;
                    send_back(tunnel).await;
                });
            }
            Exchange::Session(opening) => {
                assert_eq!((opening.protocol.as_str(), opening.head.method.as_str()), ("webtransport", "CONNECT"));
                let seen = Arc::clone(&self.0);
                *response.body_mut() = ResponseBody::session(move |session| async move {
                    let _open = open;
                    reflect(&session).await;
                    let ended = session.ended().await;
                    seen.send_modify(|seen| seen.ends.push((ended.code, ended.reason)));
                });
            }
        }
        response
    }
}

async fn send_back(tunnel: Tunnel) {
    let (mut read, mut write) = tokio::io::split(tunnel);
    if tokio::io::copy(&mut read, &mut write).await.is_ok() {
        let _ = write.shutdown().await;
    }
}

/// What comes on a stream or in a datagram goes back on one of the same kind. `close 7 because` closes.
async fn reflect(session: &Session) {
    loop {
        tokio::select! {
            Ok(mut recv) = session.accept_uni() => {
                let session = session.clone();
                let Ok(data) = recv.read_to_end(1 << 20).await else { continue };
                if let Some(close) = data.strip_prefix(b"close ") {
                    let text = String::from_utf8(close.to_vec()).unwrap();
                    let (code, reason) = text.split_once(' ').unwrap();
                    session.close(code.parse().unwrap(), reason).await;
                    return;
                }
                let Ok(mut send) = session.open_uni().await else { continue };
                let _ = send.write_all(&data).await;
                let _ = send.finish();
            }
            Ok((mut send, mut recv)) = session.accept_bi() => {
                let Ok(data) = recv.read_to_end(1 << 20).await else { continue };
                let _ = send.write_all(&data).await;
                let _ = send.finish();
                // And one of the server's own.
                let Ok((mut send, _)) = session.open_bi().await else { continue };
                let _ = send.write_all(b"mine: ").await;
                let _ = send.write_all(&data).await;
                let _ = send.finish();
            }
            Ok(data) = session.datagram() => {
                let _ = session.send_datagram(&data);
            }
            else => return,
        }
    }
}
