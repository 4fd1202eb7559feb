//! Tunnels on HTTP/1.1 and HTTP/2: which requests ask for one, and what is answered.
//!
//! On HTTP/1.1 it is an Upgrade (RFC 9110 section 7.8) with WebSocket's proof that the server has understood (RFC 6455
//! section 4.2); on HTTP/2 an extended CONNECT (RFC 8441), which needs no proof.

use http::header::{CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use hyper::ext::Protocol;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::sync::mpsc;

use crate::wire::ResponseBody;
use crate::wire::exchange::OnTunnel;
use crate::wire::malformed::RequestError;
use crate::wire::token::WEBSOCKET;

/// What proves that a server has understood a key (RFC 6455 section 1.3).
const PROOF: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// How long a key is, in bytes (RFC 6455 section 4.1).
const KEY_BYTES: usize = 16;

/// A request for a tunnel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UpgradeRequest {
    /// What is to be spoken on it.
    pub(super) protocol: String,
    /// The `Sec-WebSocket-Accept` field of the answer that grants it; none on HTTP/2.
    proof: Option<HeaderValue>,
}

/// What an HTTP/3 CONNECT without `:protocol` is told, which asks for a proxy (RFC 9114 section 4.4).
pub(super) const NO_PROXY: RequestError =
    RequestError(StatusCode::NOT_IMPLEMENTED, "CONNECT is for WebSocket and WebTransport alone (RFC 9220)");

impl UpgradeRequest {
    /// What this request asks for; `None`: it is an ordinary one.
    pub(super) fn of<B: http_body::Body>(request: &http::Request<B>) -> Result<Option<Self>, RequestError> {
        let refused = |reason| Err(RequestError(StatusCode::BAD_REQUEST, reason));
        if request.method() == Method::CONNECT {
            return match request.extensions().get::<Protocol>().map(Protocol::as_str) {
                Some(WEBSOCKET) => Ok(Some(Self { protocol: WEBSOCKET.to_owned(), proof: None })),
                // RFC 9220 section 3 for one that isn't known; without `:protocol` it asks for a proxy.
                _ => Err(RequestError(StatusCode::NOT_IMPLEMENTED, "CONNECT is for WebSocket alone (RFC 8441)")),
            };
        }
        // RFC 9110 section 7.8: HTTP/1.0's is to be ignored, and so is one for a protocol that isn't known.
        if request.version() != Version::HTTP_11 || !names(request.headers(), &UPGRADE, WEBSOCKET) {
            return Ok(None);
        }
        if request.method() != Method::GET {
            return refused("a WebSocket begins with a GET (RFC 6455 section 4.2.1)");
        }
        if !names(request.headers(), &CONNECTION, "upgrade") {
            return refused("`Connection: Upgrade` is missing (RFC 6455 section 4.2.1)");
        }
        // Its bytes would have to be told from the tunnel's.
        if !request.body().is_end_stream() || request.headers().contains_key(TRANSFER_ENCODING) {
            return refused("a WebSocket's first request has no body");
        }
        let mut keys = request.headers().get_all(SEC_WEBSOCKET_KEY).iter();
        let (Some(key), None) = (keys.next(), keys.next()) else {
            return refused("`Sec-WebSocket-Key` is missing, or there twice (RFC 6455 section 4.2.1)");
        };
        let decoded = data_encoding::BASE64.decode(key.as_bytes());
        if decoded.is_ok_and(|decoded| decoded.len() == KEY_BYTES) {
            Ok(Some(Self { protocol: WEBSOCKET.to_owned(), proof: Some(proof(key)) }))
        } else {
            refused("`Sec-WebSocket-Key` is not 16 bytes in base64 (RFC 6455 section 4.2.1)")
        }
    }

    /// Turns the answer that grants it into what HTTP sends.
    fn granted(self, head: &mut http::response::Parts) {
        let Some(proof) = self.proof else { return };
        head.status = StatusCode::SWITCHING_PROTOCOLS;
        head.headers.insert(SEC_WEBSOCKET_ACCEPT, proof);
        name(&mut head.headers);
    }
}

/// Names the protocol in the fields that only HTTP/1.1 has.
fn name(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
}

/// A tunnel that was granted, and is open once its answer is sent.
pub(super) struct PendingUpgrade {
    opening: OnUpgrade,
    run: OnTunnel,
}

/// Where a connection's tunnels go to be run; at most one waits.
pub(super) type Tunnels = mpsc::Sender<PendingUpgrade>;

impl PendingUpgrade {
    /// Does what is to be done on it, to its end.
    pub(super) async fn run(self) {
        match self.opening.await {
            Ok(upgraded) => (self.run)(Box::new(TokioIo::<Upgraded>::new(upgraded))).await,
            Err(error) => tracing::debug!(%error, "a tunnel didn't open"),
        }
    }
}

/// What is sent for this answer to one; if it grants it, the tunnel goes to `tunnels`.
pub(super) async fn settle(
    upgrade: UpgradeRequest,
    opening: OnUpgrade,
    response: Response<ResponseBody>,
    tunnels: &Tunnels,
) -> Response<ResponseBody> {
    let (mut head, body) = response.into_parts();
    let body = match body.into_tunnel() {
        Ok(run) if head.status.is_success() => {
            upgrade.granted(&mut head);
            // Its connection has ended when nobody takes it, and with it the tunnel.
            let _ = tunnels.send(PendingUpgrade { opening, run }).await;
            ResponseBody::empty()
        }
        Ok(_) => ResponseBody::empty(),
        Err(body) => {
            // RFC 9110 section 15.5.22: a 426 names what to upgrade to. On HTTP/2 there is no such field.
            if head.status == StatusCode::UPGRADE_REQUIRED && upgrade.proof.is_some() {
                name(&mut head.headers);
            }
            body
        }
    };
    Response::from_parts(head, body)
}

/// The value of `Sec-WebSocket-Accept` for this key.
pub(crate) fn proof(key: &HeaderValue) -> HeaderValue {
    let text = [key.as_bytes(), PROOF].concat();
    let proof = data_encoding::BASE64.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text).as_ref());
    // Base64 is fit for any field.
    HeaderValue::try_from(proof).unwrap_or(HeaderValue::from_static(""))
}

/// A new key.
pub(crate) fn key() -> HeaderValue {
    let key = data_encoding::BASE64.encode(&rand::random::<[u8; KEY_BYTES]>());
    HeaderValue::try_from(key).unwrap_or(HeaderValue::from_static(""))
}

/// Whether a field that is a list names this, in letters of any case.
pub(super) fn names(headers: &HeaderMap, field: &HeaderName, wanted: &str) -> bool {
    let values = headers.get_all(field).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&str, &str)]) -> Result<Option<UpgradeRequest>, RequestError> {
        let mut builder = http::Request::get("/feeds/news/websocket");
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        UpgradeRequest::of(&builder.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap())
    }

    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");

    #[test]
    fn the_proof_is_that_of_rfc_6455() {
        for (upgrade, connection) in [("websocket", "Upgrade"), ("h2c, WebSocket", "keep-alive, upgrade")] {
            let asked = request(&[("upgrade", upgrade), ("connection", connection), KEY]).unwrap().unwrap();
            assert_eq!(asked.proof.unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        }
    }

    #[test]
    fn an_upgrade_to_something_else_is_ignored() {
        assert_eq!(request(&[]), Ok(None));
        assert_eq!(request(&[("upgrade", "h2c"), ("connection", "upgrade")]), Ok(None));
    }

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        for key in
            ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZSE=", "not base64 at all!!"]
        {
            let asked = request(&[("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-key", key)]);
            assert!(asked.is_err(), "{key}");
        }
        assert!(request(&[("upgrade", "websocket"), ("connection", "upgrade"), KEY, KEY]).is_err(), "two of them");
        assert!(request(&[("upgrade", "websocket"), KEY]).is_err(), "no Connection");
    }
}
