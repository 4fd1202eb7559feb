//! One response that goes on, both ends: what transports have in common whose events are pieces of one.

use bytes::Bytes;
use futures_util::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use super::{Receipts, with_query};
use crate::text::chain;
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

/// The native client's request for one of this type, after the last event that it knows. The error says why there is
/// none.
pub(super) async fn request(
    pool: &Pool,
    target: &Target,
    path: &str,
    accept: &str,
    receipts: &Receipts,
) -> Result<dial::Response, String> {
    let asked = receipts.last().map_or_else(|| path.to_owned(), |last| with_query(path, "after", last));
    let fields = [("accept", accept), ("cache-control", "no-store")];
    let connection = pool.connect(target).await.map_err(|error| chain(&error))?;
    match connection.get(&asked, &fields).await {
        Ok(response) if response.status == StatusCode::OK => Ok(response),
        Ok(response) => Err(format!("the server answered {}", response.status)),
        Err(error) => Err(chain(&error)),
    }
}
