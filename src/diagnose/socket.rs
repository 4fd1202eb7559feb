//! A WebSocket that is read for a while. Nothing is sent on it but answers to pings and the end.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::said::{Said, SaidEvent};
use super::stamp::stamp;
use super::visit::{SeenQuiet, SeenSocket, millis};
use crate::text::{chain, visible};
use crate::trial::Alpn;
use crate::wire::Tunnel;

/// How long a message may be, in bytes.
const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// How many messages are read.
const MAX_MESSAGES: usize = 20_000;
/// How long the end may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads it for so long.
pub(super) async fn read(tunnel: Tunnel, alpn: Alpn, window: Duration) -> SeenSocket {
    let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let mut socket = WebSocketStream::from_raw_socket(tunnel, Role::Client, Some(config)).await;
    let begun = Instant::now();
    let mut seen = SeenSocket::on(alpn);
    let mut last = Duration::ZERO;
    while seen.said.events.len() < MAX_MESSAGES {
        let Ok(next) = timeout_at(begun + window, socket.next()).await else { break };
        let at = begun.elapsed();
        match next {
            Some(Ok(Message::Text(text))) => message(&mut seen.said, text.as_str(), at),
            Some(Ok(Message::Binary(data))) => message(&mut seen.said, &String::from_utf8_lossy(&data), at),
            Some(Ok(Message::Ping(_))) => seen.said.beats.push(at),
            Some(Ok(Message::Close(frame))) => {
                seen.closed = Some(frame.map_or_else(|| "without a code".to_owned(), |frame| code(&frame)));
                seen.ended = Some((at, last));
                break;
            }
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(error)) => {
                seen.broke = Some(in_words(&error));
                seen.ended = Some((at, last));
                break;
            }
            None => {
                seen.broke.get_or_insert_with(|| "the connection ended".to_owned());
                seen.ended = Some((at, last));
                break;
            }
        }
        last = at;
    }
    if seen.ended.is_none() {
        let going = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        // A server that doesn't take it notices by the connection's end.
        let _ = timeout(CLOSE_TIMEOUT, socket.send(Message::Close(Some(going)))).await;
    }
    seen
}

fn message(said: &mut Said, text: &str, at: Duration) {
    said.events.push(SaidEvent { at, id: String::new(), stamp: stamp(text) });
}

fn code(frame: &CloseFrame) -> String {
    let reason = visible(frame.reason.as_str()).into_owned();
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    format!("with {}{reason}", u16::from(frame.code))
}

fn in_words(error: &Error) -> String {
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            "the connection ended without a closing frame".to_owned()
        }
        error => chain(error),
    }
}

/// What of that was silence.
pub(super) fn quiet_of(seen: &SeenSocket, wait: Duration) -> SeenQuiet {
    let listened = seen.ended.map_or(wait, |(at, _)| at);
    let mut times: Vec<Duration> = seen.said.events.iter().map(|event| event.at).collect();
    times.extend(&seen.said.beats);
    times.extend([Duration::ZERO, listened]);
    times.sort_unstable();
    let longest = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or_default();
    let how = seen.broke.clone().or_else(|| seen.closed.as_ref().map(|closed| format!("it was closed {closed}")));
    let cut = seen.ended.zip(how).map(|((at, last), how)| (millis(at.saturating_sub(last)), how));
    SeenQuiet { alpn: seen.alpn, listened: millis(listened), longest: millis(longest), cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silence_is_found_between_messages_and_pings_and_at_the_end() {
        let mut seen = SeenSocket {
            alpn: Alpn::H1,
            headed: Duration::ZERO,
            head: None,
            said: Said::default(),
            closed: None,
            broke: Some("the connection ended".to_owned()),
            ended: Some((Duration::from_secs(70), Duration::from_secs(10))),
        };
        message(&mut seen.said, "x", Duration::from_secs(2));
        seen.said.beats.push(Duration::from_secs(10));
        let quiet = quiet_of(&seen, Duration::from_secs(120));
        assert_eq!((quiet.listened, quiet.longest), (70_000, 60_000));
        assert_eq!(quiet.cut, Some((60_000, "the connection ended".to_owned())));
    }
}
