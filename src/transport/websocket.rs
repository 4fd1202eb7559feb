//! WebSocket (RFC 6455): on HTTP/1.1 by an Upgrade, on HTTP/2 and HTTP/3 by an extended CONNECT (RFC 8441, RFC 9220).
//!
//! The server sends each event as a JSON object in a message; what a reader sends is published.

mod fault;
mod metered;
mod socket;

use std::collections::VecDeque;

use bytes::Bytes;
use http::header::{SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use self::fault::WebSocketError;
use self::socket::{Socket, SocketEvent, WRITE_BUFFER_BYTES};
use super::configured::{self, Configured};
use super::{
    BoxFuture, ClientSubscription, EndReason, FeedReader, Opens, PublishError, Published, Publishing, Receipts, Reply,
    ServerMessage, SubscriptionRequest, Transport, Upstream, json, with_query,
};
use crate::feed::{CursorItem, EventId, LogError};
use crate::trial::schema::LEAST;
use crate::trial::{Alpn, Exchanges};
use crate::units::{Size, inline_schema, word_or};
use crate::wire::{ResponseBody, Tunnel, refusal, token};

pub static TRANSPORT: Transport = Transport {
    name: "websocket",
    title: "WebSocket",
    alpns: &Alpn::HTTP,
    opens: Opens::Tunnel(token::WEBSOCKET),
    exchanges: Exchanges::Persistent,
    media_type: None,
    upstream: Upstream::InBand,
    page: |alpn| match alpn {
        Alpn::H1 | Alpn::H2 => Ok(()),
        Alpn::H3 | Alpn::Quic => Err("no browser opens a WebSocket on HTTP/3 by default (RFC 9220)".into()),
    },
    interface: Some("WebSocket"),
    script: include_str!("websocket.js"),
    modules: &[],
    variants: &[""],
    configure: configured::read::<Settings>,
    schema: configured::schema_of::<Settings>,
};

/// The one version that there is (RFC 6455 section 4.1).
const VERSION: &str = "13";
/// What is spoken in the messages (RFC 6455 section 1.9); chosen where a client offers it.
pub const SUBPROTOCOL: &str = "transport-lab.v1";
/// The shortest fragment that can be asked for, in bytes: shorter ones would be mostly headers.
const MIN_FRAGMENT_BYTES: u64 = 16;
/// How many of a reader's messages may be on their way to a shared log; further ones wait.
const MAX_UNDER_WAY: usize = 64;

/// The table `[websocket]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// What kind of message the server sends. It takes both.
    pub frames: MessageKind,
    /// Whether the server sends messages in fragments.
    pub fragment: Fragment,
    /// How many pings in a row may go unanswered; there is one for each `server.heartbeat` of silence. When the next
    /// is due, the reader is closed.
    pub missed_pongs: std::num::NonZeroU32,
}

/// What kind of message the server sends (RFC 6455 section 5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MessageKind {
    /// Text, whose encoding a browser checks.
    Text,
    /// Bytes, of the same text.
    Binary,
}

/// Whether the server sends messages in fragments (RFC 6455 section 5.4): `"off"`, or how long each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    /// Each message in one frame.
    Off,
    /// Each frame this long at most.
    Every(Size),
}

impl Fragment {
    fn bytes(self) -> Option<usize> {
        match self {
            Self::Off => None,
            Self::Every(size) => usize::try_from(size.bytes()).ok(),
        }
    }
}

inline_schema!(Fragment, |generator| {
    let mut size = Size::json_schema(generator);
    size.insert(LEAST.to_owned(), Size::from_bytes(MIN_FRAGMENT_BYTES).to_string().into());
    word_or("off", "Each message in one frame.", &size)
});

impl Serialize for Fragment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Every(size) => size.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Fragment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match (text.as_str(), text.parse::<Size>()) {
            ("off", _) => Ok(Self::Off),
            (_, Ok(size)) if size.bytes() >= MIN_FRAGMENT_BYTES => Ok(Self::Every(size)),
            _ => Err(serde::de::Error::custom(format!(
                "`{text}` is no length of fragments; write \"off\" or \"1 KiB\", {MIN_FRAGMENT_BYTES} B at least"
            ))),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let missed_pongs = std::num::NonZeroU32::MIN.saturating_add(2);
        Self { frames: MessageKind::Text, fragment: Fragment::Off, missed_pongs }
    }
}

impl Configured for Settings {
    fn table(&self) -> serde_json::Value {
        configured::table(self)
    }

    fn serve(&self, reading: SubscriptionRequest<'_>) -> Reply {
        serve(reading, *self)
    }

    fn subscribe<'a>(&'a self, subscribing: ClientSubscription<'a>) -> BoxFuture<'a, EndReason> {
        Box::pin(subscribe(subscribing))
    }
}

fn serve(reading: SubscriptionRequest<'_>, settings: Settings) -> Reply {
    let fields = &reading.exchange.head().headers;
    if fields.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        return other_version().into();
    }
    let offered = offers(fields, SUBPROTOCOL);
    let (reader, publishing) = (reading.pending.after(reading.after), reading.publishing);
    let mut response =
        Response::new(ResponseBody::tunnel(move |tunnel| converse(tunnel, reader, publishing, settings)));
    if offered {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    response.into()
}

/// RFC 6455 section 4.2.2: says which version there is.
fn other_version() -> Response<ResponseBody> {
    let mut response = refusal(StatusCode::UPGRADE_REQUIRED, "`Sec-WebSocket-Version` must be 13");
    response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
    response
}

/// Whether a client offers this subprotocol (RFC 6455 section 4.1).
fn offers(fields: &HeaderMap, subprotocol: &str) -> bool {
    let values = fields.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|offered| offered.trim() == subprotocol)
}

/// The server's side, from the tunnel's opening to its end.
async fn converse(tunnel: Tunnel, mut reader: FeedReader, publishing: Publishing, settings: Settings) {
    let mut socket = Socket::new(tunnel, Role::Server).await;
    // Pings that were not answered yet.
    let mut unanswered = 0;
    // What was handed to a shared log and isn't acknowledged yet, in its order.
    let mut under_way = VecDeque::new();
    let ended = loop {
        let turn = tokio::select! {
            turn = socket.turn(), if under_way.len() < MAX_UNDER_WAY => turn,
            taken = taken(&mut under_way), if !under_way.is_empty() => match taken {
                Ok(_) => continue,
                Err(error) => break Ended::Failed(PublishError::from(error).into()),
            },
            next = reader.next(), if socket.is_flushed() => {
                match tell(&mut socket, next, &mut reader, settings, &mut unanswered) {
                    Ok(()) => continue,
                    Err(ended) => break ended,
                }
            }
        };
        match turn {
            SocketEvent::Flushed => {}
            SocketEvent::Pong => unanswered = 0,
            SocketEvent::Message(data) => match publishing.publish("message", &data, None) {
                Ok(Published::Done(_)) => {}
                Ok(Published::UnderWay(answer)) => under_way.push_back(answer),
                Err(error) => break Ended::Failed(error.into()),
            },
            other => break other.into(),
        }
    };
    // The subscription is over, however long the peer takes to close.
    drop(reader);
    match ended {
        Ended::Gone => {}
        Ended::Closed => socket.close(None, true).await,
        Ended::Fed => socket.close(Some(going_away()), true).await,
        Ended::Failed(fault) => {
            fault.count(&publishing.sink);
            socket.close(Some(fault.frame()), false).await;
        }
    }
}

/// Waits until the first of these is in the log. Cancelling loses nothing.
async fn taken(under_way: &mut VecDeque<Answer>) -> Result<EventId, LogError> {
    let Some(first) = under_way.front_mut() else { return std::future::pending().await };
    let taken = first.await.unwrap_or(Err(LogError::Unanswered));
    under_way.pop_front();
    taken
}

/// Says what became of an event.
type Answer = oneshot::Receiver<Result<EventId, LogError>>;

/// How the server's side ends.
enum Ended {
    /// The peer is gone.
    Gone,
    /// The peer closes.
    Closed,
    /// The feed ends its readers.
    Fed,
    /// The peer did something wrong.
    Failed(WebSocketError),
}

impl From<SocketEvent> for Ended {
    fn from(turn: SocketEvent) -> Self {
        match turn {
            SocketEvent::Closing(_) => Self::Closed,
            SocketEvent::Failed(fault) => Self::Failed(fault),
            _ => Self::Gone,
        }
    }
}

/// Writes what is next, and what is ready after it, as far as the buffer goes.
fn tell(
    socket: &mut Socket,
    next: CursorItem,
    reader: &mut FeedReader,
    settings: Settings,
    unanswered: &mut u32,
) -> Result<(), Ended> {
    let (mut next, mut written) = (Some(next), 0);
    while let Some(told) = next.take() {
        let (object, frames): (Bytes, _) = match told {
            CursorItem::Event(event) if event.binary => (json::head_and_bytes(&event), MessageKind::Binary),
            CursorItem::Event(event) => (json::object(&event), settings.frames),
            CursorItem::Gap(gap) => (json::gap_object(gap), settings.frames),
            CursorItem::Beat if *unanswered >= settings.missed_pongs.get() => {
                return Err(Ended::Failed(WebSocketError::NoPong));
            }
            CursorItem::Beat => {
                *unanswered += 1;
                return Ok(socket.ping()?);
            }
            CursorItem::End => return Err(Ended::Fed),
        };
        socket.write(&object, frames, settings.fragment)?;
        written += object.len();
        if written < WRITE_BUFFER_BYTES {
            next = reader.ready();
        }
    }
    Ok(())
}

fn going_away() -> CloseFrame {
    CloseFrame { code: CloseCode::Away, reason: "the feed ended its readers".into() }
}

async fn subscribe(subscribing: ClientSubscription<'_>) -> EndReason {
    let ClientSubscription { pool, target, path, receipts, mut outgoing, .. } = subscribing;
    let path = receipts.last().map_or_else(|| path.to_owned(), |last| with_query(path, "after", last));
    let fields = [("sec-websocket-version", VERSION), ("sec-websocket-protocol", SUBPROTOCOL)];
    let asked = match pool.connect(target).await {
        Ok(connection) => connection.tunnel(&path, token::WEBSOCKET, &fields).await,
        Err(error) => return error.into(),
    };
    let tunnel = match asked {
        Ok((head, Some(_))) if head.headers.get(SEC_WEBSOCKET_PROTOCOL).is_none_or(|chosen| chosen != SUBPROTOCOL) => {
            return format!("the server did not choose the subprotocol {SUBPROTOCOL}").into();
        }
        Ok((_, Some(tunnel))) => tunnel,
        Ok((head, None)) => return EndReason::answered(head.status),
        Err(error) => return error.into(),
    };
    receipts.opened();
    let mut socket = Socket::new(tunnel, Role::Client).await;
    loop {
        let turn = tokio::select! {
            turn = socket.turn() => turn,
            data = due(&mut outgoing), if socket.is_flushed() => {
                match socket.write(&data.into(), MessageKind::Text, Fragment::Off) {
                    Ok(()) => continue,
                    Err(turn) => turn,
                }
            }
        };
        match turn {
            SocketEvent::Flushed | SocketEvent::Pong => {}
            SocketEvent::Message(data) => {
                if let Err(reason) = note(receipts, &data) {
                    socket.close(Some(WebSocketError::NotText.frame()), false).await;
                    return reason;
                }
            }
            SocketEvent::Closing(frame) => {
                socket.close(None, true).await;
                let said = frame.map(|frame| format!(": {} {}", u16::from(frame.code), frame.reason));
                return format!("the server closed it{}", said.unwrap_or_default()).into();
            }
            SocketEvent::Failed(fault) => {
                socket.close(Some(fault.frame()), false).await;
                return format!("the server did something wrong: {fault:?}").into();
            }
            SocketEvent::Gone(reason) => return reason.into(),
        }
    }
}

/// The next event to publish; waits for ever where there is none.
async fn due(outgoing: &mut Option<mpsc::Receiver<String>>) -> String {
    if let Some(outgoing) = outgoing
        && let Some(data) = outgoing.recv().await
    {
        return data;
    }
    std::future::pending().await
}

fn note(receipts: &mut Receipts, data: &[u8]) -> Result<(), EndReason> {
    let told = ServerMessage::read_with_bytes(data);
    told.map_err(|error| format!("the server sent what is no event: {error}"))?.note(receipts);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_what_they_take() {
        let read = |text: &str| serde_json::from_str::<Settings>(text);
        assert_eq!(read("{}").unwrap(), Settings::default());
        let settings = read(r#"{"frames": "binary", "fragment": "1 KiB", "missed-pongs": 1}"#).unwrap();
        assert_eq!((settings.frames, settings.fragment.bytes()), (MessageKind::Binary, Some(1024)));
        let again = serde_json::to_string(&settings).unwrap();
        assert_eq!(read(&again).unwrap(), settings);
        for text in [r#"{"fragment": "1 B"}"#, r#"{"fragment": 1024}"#, r#"{"missed-pongs": 0}"#, r#"{"ping": "1s"}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_subprotocol_is_chosen_only_where_it_is_offered() {
        let offered = |values: &[&str]| {
            let mut fields = HeaderMap::new();
            for value in values {
                fields.append(SEC_WEBSOCKET_PROTOCOL, value.parse().unwrap());
            }
            offers(&fields, SUBPROTOCOL)
        };
        assert!(offered(&["transport-lab.v1"]) && offered(&["chat, transport-lab.v1"]));
        assert!(offered(&["chat", "transport-lab.v1"]));
        assert!(!offered(&[]) && !offered(&["transport-lab.v2", "Transport-Lab.v1"]));
    }
}
