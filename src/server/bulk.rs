//! `/bulk?bytes=N`: a response of so many bytes, for what goes on beside a feed.

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response};

use crate::trial::settings::MAX_DOWNLOAD;
use crate::wire::ResponseBody;

/// How much of it is handed on at once, in bytes: what HTTP/2 has in a frame (RFC 9113 section 6.5.2).
const PIECE: usize = 16 * 1024;
/// What it is made of. Nothing on the way compresses it.
static ZEROS: [u8; PIECE] = [0; PIECE];

/// How long a response may be asked for, in bytes.
pub(super) const MOST: u64 = MAX_DOWNLOAD.bytes();

/// So many bytes, made as they are sent.
pub(super) fn response(bytes: u64) -> Response<ResponseBody> {
    let pieces = (0..bytes).step_by(PIECE).map(move |sent| {
        let length = usize::try_from(bytes - sent).map_or(PIECE, |rest| rest.min(PIECE));
        Bytes::from_static(&ZEROS[..length])
    });
    let mut response = Response::new(ResponseBody::chunks(stream::iter(pieces)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CONTENT_LENGTH, bytes.into());
    response
}
