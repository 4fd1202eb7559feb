//! One response that goes on, both ends: what transports have in common whose events are pieces of one.

use bytes::Bytes;
use futures_util::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use super::{EndReason, Receipts, with_query};
use crate::wire::dial::{self, Target};
use crate::wire::{Pool, ResponseBody};

/// The server's answer: these pieces, of this type.
pub(super) fn response(
    kind: &'static str,
    pieces: impl Stream<Item = Bytes> + Send + 'static,
) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::chunks(pieces));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // `no-transform` keeps proxies from holding the stream back to compress it.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
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
