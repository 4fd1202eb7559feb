//! One response that goes on, both ends: what transports have in common whose events are pieces of one.

use bytes::Bytes;
use futures_util::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::{EndReason, Receipts, with_query};
use crate::trial::settings::BufferingHint;
use crate::wire::dial::{self, Target};
use crate::wire::{Pool, ResponseBody};

const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const INCREMENTAL: HeaderName = HeaderName::from_static("incremental");

/// The server's answer: these pieces, of this type, and what it says to intermediaries.
pub(super) fn response(
    kind: &'static str,
    hint: BufferingHint,
    pieces: impl Stream<Item = Bytes> + Send + 'static,
) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::chunks(pieces));
    let (name, value) = match hint {
        BufferingHint::None => (CACHE_CONTROL, "no-store"),
        // It keeps proxies from holding the stream back to compress it.
        BufferingHint::NoTransform => (CACHE_CONTROL, "no-store, no-transform"),
        BufferingHint::XAccelBuffering => (ACCEL_BUFFERING, "no"),
        BufferingHint::Incremental => (INCREMENTAL, "?1"),
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

/// The native client's request for one of this type, after the last event that it knows.
pub(super) async fn request(
    pool: &Pool,
    target: &Target,
    path: &str,
    accept: &str,
    receipts: &Receipts,
) -> Result<dial::Response, EndReason> {
    let asked = receipts.last().map_or_else(|| path.to_owned(), |last| with_query(path, "after", last));
    let fields = [("accept", accept), ("cache-control", "no-store")];
    let response = pool.connect(target).await?.get(&asked, &fields).await?;
    match response.status {
        StatusCode::OK => Ok(response),
        status => Err(EndReason::answered(status)),
    }
}
