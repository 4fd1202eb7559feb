//! A client of HTTP/3 whose every byte is a test's own.

use std::sync::{Arc, Mutex};

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, ConnectionError, Endpoint, ReadError, RecvStream, SendStream, VarInt};
use transport_lab::trial::Alpn;
use transport_lab::wire::tls;

use crate::echo::{Echo, soon};

/// A connection, and the endpoint that it needs.
pub(crate) struct Raw {
    pub(crate) quic: quinn::Connection,
    _endpoint: Endpoint,
    pub(crate) control: SendStream,
    /// The server's own streams, kept: to let go of a critical one is to stop it.
    others: Mutex<Vec<RecvStream>>,
}

/// An integer in QUIC's variable length (RFC 9000 section 16), of at most 2^30 - 1.
pub(crate) fn varint(value: u32) -> Vec<u8> {
    match value {
        0..0x40 => vec![value.to_be_bytes()[3]],
        0x40..0x4000 => (value | 0x4000).to_be_bytes()[2..].to_vec(),
        _ => (value | 0x8000_0000).to_be_bytes().to_vec(),
    }
}

/// A frame or a capsule.
pub(crate) fn frame(kind: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [varint(kind), varint(length), payload.to_vec()].concat()
}

pub(crate) const DATA: u32 = 0;
pub(crate) const HEADERS: u32 = 1;

/// A HEADERS frame of literals.
pub(crate) fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    let number = |section: &mut Vec<u8>, flags: u8, most: usize, length: usize| {
        if length < most {
            section.push(flags | length.to_le_bytes()[0]);
        } else {
            assert!(length - most < 0x80);
            section.extend([flags | most.to_le_bytes()[0], (length - most).to_le_bytes()[0]]);
        }
    };
    for (name, value) in fields {
        number(&mut section, 0x20, 7, name.len());
        section.extend(name.as_bytes());
        number(&mut section, 0, 127, value.len());
        section.extend(value.as_bytes());
    }
    frame(HEADERS, &section)
}

pub(crate) fn connect(protocol: &str) -> Vec<u8> {
    let head = [(":method", "CONNECT"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")];
    headers(&[&head[..], &[(":protocol", protocol)]].concat())
}

impl Raw {
    pub(crate) async fn dial(echo: &Echo) -> Self {
        // The control stream, with SETTINGS that say nothing.
        Self::dial_saying(echo, &[0, 4, 0]).await
    }

    /// One whose control stream begins with these bytes.
    pub(crate) async fn dial_saying(echo: &Echo, beginning: &[u8]) -> Self {
        let crypto = tls::client(echo.certs.ca(), Alpn::H3).unwrap();
        let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto).unwrap()));
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = ([127, 0, 0, 1], echo.target.port).into();
        let quic = soon("a connection", endpoint.connect_with(config, address, "localhost").unwrap()).await.unwrap();
        let mut control = quic.open_uni().await.unwrap();
        control.write_all(beginning).await.unwrap();
        Self { quic, _endpoint: endpoint, control, others: Mutex::default() }
    }

    /// Keeps a stream of the server's.
    pub(crate) fn keep(&self, recv: RecvStream) {
        self.others.lock().unwrap().push(recv);
    }

    /// Opens a request's stream with these bytes.
    pub(crate) async fn ask(&self, bytes: &[u8]) -> (SendStream, RecvStream) {
        let (mut send, recv) = soon("a stream", self.quic.open_bi()).await.unwrap();
        send.write_all(bytes).await.unwrap();
        (send, recv)
    }

    /// The code that the server closes the connection with.
    pub(crate) async fn closed(&self) -> u64 {
        match soon("the connection's end", self.quic.closed()).await {
            ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
            error => panic!("{error}"),
        }
    }

    /// Opens a session, with the first request of the connection.
    pub(crate) async fn session(&self) -> (SendStream, RecvStream) {
        let (send, mut recv) = self.ask(&connect("webtransport")).await;
        assert_eq!(VarInt::from(send.id()).into_inner(), 0);
        assert_status(&mut recv, "200").await;
        (send, recv)
    }

    /// A stream of this session with this data, one way, and not ended yet: one that is can't be refused any more.
    pub(crate) async fn uni(&self, session: u32, data: &[u8]) -> SendStream {
        let mut send = soon("a stream", self.quic.open_uni()).await.unwrap();
        // One that was refused already says so when it is asked.
        let _ = send.write_all(&[&varint(0x54), &varint(session), data].concat()).await;
        send
    }

    /// Says that ordinary requests are answered on this connection.
    pub(crate) async fn assert_well(&self) {
        let head = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/ping")];
        let (mut send, mut recv) = self.ask(&headers(&head)).await;
        send.finish().unwrap();
        let response = soon("an answer", recv.read_to_end(1000)).await.unwrap();
        // `:status` 204 is the 64th entry of QPACK's static table (RFC 9204 appendix A).
        assert!(response.windows(2).any(|two| two == [0xff, 0x01]), "{response:?}");
    }

    /// The next stream of a session that the server opens.
    pub(crate) async fn accept(&self) -> RecvStream {
        loop {
            let mut recv = soon("a stream", self.quic.accept_uni()).await.unwrap();
            let mut kind = [0];
            recv.read_exact(&mut kind).await.unwrap();
            // Not the control stream, those of QPACK, nor one that is to be ignored.
            if kind[0] == 0x40 {
                let mut rest = [0; 2];
                recv.read_exact(&mut rest).await.unwrap();
                if rest[0] == 0x54 {
                    return recv;
                }
            }
            self.keep(recv);
        }
    }
}

/// Reads a response's header, and says that its status, a literal, is this.
pub(crate) async fn assert_status(recv: &mut RecvStream, status: &str) {
    let mut head = [0; 2];
    soon("an answer", recv.read_exact(&mut head)).await.unwrap();
    assert_eq!(u32::from(head[0]), HEADERS);
    let mut length = usize::from(head[1]);
    if length >= 0x40 {
        let mut low = [0];
        recv.read_exact(&mut low).await.unwrap();
        length = (length & 0x3f) << 8 | usize::from(low[0]);
    }
    let mut section = vec![0; length];
    recv.read_exact(&mut section).await.unwrap();
    let text = String::from_utf8_lossy(&section);
    assert!(text.contains(&format!(":status\u{3}{status}")), "{text}");
}

/// Waits until the server resets the stream; the code.
pub(crate) async fn reset(recv: &mut RecvStream) -> u64 {
    let mut bytes = [0; 4096];
    loop {
        match soon("a reset", recv.read(&mut bytes)).await {
            Ok(Some(_)) => {}
            Err(ReadError::Reset(code)) => return code.into_inner(),
            other => panic!("{other:?}"),
        }
    }
}

/// Waits until the server takes no more of the stream; the code, or none if it took all.
pub(crate) async fn stopped(send: &SendStream) -> Option<u64> {
    soon("an answer", send.stopped()).await.unwrap().map(VarInt::into_inner)
}
