//! Sessions on raw QUIC, client side.

use std::sync::Arc;

use quinn::{Endpoint, VarInt};

use crate::trial::Stack;
use crate::wire::dial::target::{Target, Use};
use crate::wire::quic::endpoint::{self, Connected};
use crate::wire::quic::session::Prefixes;
use crate::wire::quic::{FirstLineAnswer, drive, read_line};
use crate::wire::{Session, WireError};

/// Streams that a server may have open, in one direction and in both.
const UNI_STREAMS: u32 = 100;
const BIDI_STREAMS: u32 = 16;
/// What is kept of datagrams that wait to be read, and of those that wait to be sent, in bytes.
const DATAGRAMS_IN: usize = 1024 * 1024;
const DATAGRAMS_OUT: usize = 64 * 1024;

/// A connection that becomes a session.
#[derive(Debug)]
pub(in crate::wire) struct QuicConnection {
    quic: quinn::Connection,
    /// Kept, since its task is what sends and receives.
    endpoint: Endpoint,
}

impl QuicConnection {
    pub(in crate::wire) async fn connect(
        target: &Target,
        tls: Arc<rustls::ClientConfig>,
        usage: Use,
    ) -> Result<(Self, Stack), WireError> {
        let setup = usage.quic();
        let mut transport = setup.transport();
        transport
            .max_concurrent_uni_streams(UNI_STREAMS.into())
            .max_concurrent_bidi_streams(BIDI_STREAMS.into())
            .datagram_receive_buffer_size(Some(DATAGRAMS_IN))
            .datagram_send_buffer_size(DATAGRAMS_OUT);
        let Connected { quic, stack, endpoint } = endpoint::connect(target, tls, usage.early, setup, transport).await?;
        Ok((Self { quic, endpoint }, stack))
    }

    /// Whether it can still become a session.
    pub(in crate::wire) fn is_alive(&self) -> bool {
        self.quic.close_reason().is_none()
    }

    /// Asks for a session; `None`: refused, with the status.
    pub(in crate::wire) async fn session(
        self,
        target: &Target,
        path: &str,
    ) -> Result<(http::response::Parts, Option<Session>), WireError> {
        let Self { quic, endpoint } = self;
        let (mut send, mut recv) = quic.open_bi().await.map_err(|error| target.broke(error))?;
        send.write_all(format!("{path}\n").as_bytes()).await.map_err(|error| target.broke(error))?;
        let line = read_line(&mut recv).await.map_err(|error| target.broke(error))?;
        let answer: FirstLineAnswer = serde_json::from_slice(&line).map_err(|error| target.broke(error))?;
        let response = http::Response::builder().status(answer.status).body(());
        let (parts, ()) = response.map_err(|error| target.broke(error))?.into_parts();
        if parts.status != http::StatusCode::OK {
            tracing::debug!(status = %parts.status, error = answer.error, "a session was refused");
            quic.close(VarInt::from_u32(0), b"");
            return Ok((parts, None));
        }
        let (session, driver) = Session::new(quic.clone(), Prefixes::default());
        tokio::spawn(async move {
            drive(quic, (send, recv), driver, std::future::ready(()), |bound| {
                tracing::warn!(bound, "a bound was reached");
            })
            .await;
            drop(endpoint);
        });
        Ok((parts, Some(session)))
    }
}
