//! What carries a trial at one end: the settings of TCP or QUIC as they were found on a live connection, not as they were
//! asked for. What can't be read is left out.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Size, Span};

/// One end's stack, of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "over", rename_all = "kebab-case")]
pub enum Stack {
    /// The kernel's.
    Tcp(TcpStack),
    /// A library's, on UDP.
    Quic(QuicStack),
}

/// What TCP does, of a socket as its connection begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct TcpStack {
    /// Whose it is: `Linux 6.1.0`.
    pub implementation: Option<String>,
    /// The congestion control: `cubic`, `bbr` (`TCP_CONGESTION`).
    pub congestion: Option<String>,
    /// How many segments may be under way before the first is acknowledged (`tcpi_snd_cwnd`; RFC 6928).
    pub initial_window: Option<u32>,
    /// The longest segment that it sends, in bytes (`tcpi_snd_mss`).
    pub mss: Option<u32>,
    /// The path's MTU as it is known, in bytes (`tcpi_pmtu`).
    pub mtu: Option<u32>,
    /// Whether Nagle's algorithm (RFC 896) is off.
    pub nodelay: Option<bool>,
    /// Whether a connection that was idle begins with its initial window again (`net.ipv4.tcp_slow_start_after_idle`).
    pub slow_start_after_idle: Option<bool>,
    /// Whether it spreads what it sends over the round trip: that of BBR does so by itself, others where they are told.
    pub paced: Option<bool>,
    /// What the socket keeps that was sent and isn't acknowledged yet (`SO_SNDBUF`), as it begins.
    pub send_buffer: Option<Size>,
    /// What that can grow to by itself (`net.ipv4.tcp_wmem`).
    pub send_buffer_most: Option<Size>,
    /// What it keeps that was received and isn't read yet (`SO_RCVBUF`), as it begins.
    pub receive_buffer: Option<Size>,
    /// What that can grow to by itself (`net.ipv4.tcp_rmem`).
    pub receive_buffer_most: Option<Size>,
}

/// What a QUIC library does, of a connection as it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct QuicStack {
    /// Whose it is: `quinn 0.11.12`.
    pub implementation: Option<String>,
    /// The congestion control: `cubic`, `bbr`, `reno`.
    pub congestion: Option<String>,
    /// How much may be under way before the first of it is acknowledged (RFC 9002 section 7.2).
    pub initial_window: Option<Size>,
    /// The longest datagram that it sends, in bytes of UDP payload, before it has looked for a longer one.
    pub mtu: Option<u32>,
    /// The longest that it looks for (RFC 8899); absent: it looks for none.
    pub mtu_looked_for: Option<u32>,
    /// How long it may wait before it acknowledges (`max_ack_delay`, RFC 9000 section 18.2).
    pub ack_delay: Option<Span>,
    /// Whether it spreads what it sends over the round trip (RFC 9002 section 7.7).
    pub paced: Option<bool>,
    /// After how long a silence the connection is over (`max_idle_timeout`).
    pub idle_timeout: Option<Span>,
    /// After how long a silence it asks the peer; absent: never.
    pub keep_alive: Option<Span>,
    /// What it keeps that was sent and isn't acknowledged yet.
    pub send_window: Option<Size>,
    /// What the peer may send ahead on all streams together (`initial_max_data`).
    pub receive_window: Option<Size>,
    /// The UDP socket's `SO_SNDBUF`.
    pub send_buffer: Option<Size>,
    /// Its `SO_RCVBUF`.
    pub receive_buffer: Option<Size>,
}

/// What is said of a value that nobody can read.
const UNKNOWN: &str = "unknown";

impl Stack {
    /// What of it counts where protocols are compared: `TCP cubic of Linux 6.1.0`.
    pub fn named(&self) -> String {
        let over = self.over();
        let (congestion, implementation) = match self {
            Self::Tcp(tcp) => (&tcp.congestion, &tcp.implementation),
            Self::Quic(quic) => (&quic.congestion, &quic.implementation),
        };
        match (congestion, implementation) {
            (Some(congestion), Some(implementation)) => format!("{over} {congestion} of {implementation}"),
            (_, Some(implementation)) => format!("{over} of {implementation}, congestion control unknown"),
            (_, None) => format!("{over} of which nothing is known"),
        }
    }

    /// What it is on.
    pub const fn over(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "TCP",
            Self::Quic(_) => "QUIC",
        }
    }

    /// Names and values as a person reads them, what is unknown too.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Tcp(tcp) => tcp.lines(),
            Self::Quic(quic) => quic.lines(),
        }
    }
}

impl TcpStack {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let grown = |now: Option<Size>, most: Option<Size>| match (now, most) {
            (Some(now), Some(most)) if most > now => format!("{now}, grows to {most}"),
            (now, _) => told(now),
        };
        vec![
            ("implementation", told(self.implementation.as_ref())),
            ("congestion control", told(self.congestion.as_ref())),
            ("initial window", told(self.initial_window.map(|segments| format!("{segments} segments")))),
            ("MSS", told(self.mss.map(|bytes| format!("{bytes} B")))),
            ("path MTU", told(self.mtu.map(|bytes| format!("{bytes} B")))),
            ("paced", yes_or_no(self.paced)),
            ("NODELAY", yes_or_no(self.nodelay)),
            ("slow start after idle", yes_or_no(self.slow_start_after_idle)),
            ("send buffer", grown(self.send_buffer, self.send_buffer_most)),
            ("receive buffer", grown(self.receive_buffer, self.receive_buffer_most)),
        ]
    }
}

impl QuicStack {
    fn lines(&self) -> Vec<(&'static str, String)> {
        // A stack of which nothing is known has no word on what it leaves out either.
        let none = |word: &str| if self.implementation.is_some() { word.to_owned() } else { UNKNOWN.to_owned() };
        let looked_for = self.mtu_looked_for.map(|bytes| format!("up to {bytes} B"));
        let asks = self.keep_alive.map(|span| format!("after {span}"));
        vec![
            ("implementation", told(self.implementation.as_ref())),
            ("congestion control", told(self.congestion.as_ref())),
            ("initial window", told(self.initial_window)),
            ("first MTU", told(self.mtu.map(|bytes| format!("{bytes} B")))),
            ("MTU discovery", looked_for.unwrap_or_else(|| none("no"))),
            ("paced", yes_or_no(self.paced)),
            ("ACK delay", told(self.ack_delay.map(|span| format!("at most {span}")))),
            ("idle timeout", self.idle_timeout.map_or_else(|| none("none"), |span| span.to_string())),
            ("keep-alive", asks.unwrap_or_else(|| none("no"))),
            ("send window", told(self.send_window)),
            ("receive window", told(self.receive_window)),
            ("socket's send buffer", told(self.send_buffer)),
            ("socket's receive buffer", told(self.receive_buffer)),
        ]
    }
}

fn told(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

fn yes_or_no(value: Option<bool>) -> String {
    told(value.map(|value| if value { "yes" } else { "no" }))
}

/// Versions of what speaks, by name: `quinn` is `0.11.12`.
pub type Versions = BTreeMap<String, String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_can_read_is_called_unknown() {
        for stack in [Stack::Tcp(TcpStack::default()), Stack::Quic(QuicStack::default())] {
            assert!(stack.lines().iter().all(|(_, value)| value == UNKNOWN), "{stack:?}");
            assert!(stack.named().contains("nothing is known"), "{}", stack.named());
        }
    }

    #[test]
    fn a_stack_is_named_by_what_it_does_and_whose_it_is() {
        let stack = Stack::Tcp(TcpStack {
            implementation: Some("Linux 6.1.0".to_owned()),
            congestion: Some("cubic".to_owned()),
            send_buffer: Some(Size::from_bytes(16 << 10)),
            send_buffer_most: Some(Size::from_bytes(4 << 20)),
            ..TcpStack::default()
        });
        assert_eq!(stack.named(), "TCP cubic of Linux 6.1.0");
        assert!(stack.lines().contains(&("send buffer", "16 KiB, grows to 4 MiB".to_owned())));
        let text = serde_json::to_string(&stack).unwrap();
        assert_eq!(serde_json::from_str::<Stack>(&text).unwrap(), stack, "{text}");
    }
}
