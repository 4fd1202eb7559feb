//! Requests that HTTP forbids and hyper and `h2` hand over all the same.
//!
//! Deviation: some they hand over mended, and nothing above them can tell. Pseudo-fields in trailers on HTTP/2 are
//! dropped, where RFC 9113 section 8.1 has the request be malformed: nothing here reads trailers. A `Content-Length`
//! beside a `Transfer-Encoding` is dropped as well, where RFC 9112 section 6.1 has the connection be closed after the
//! answer: the body is read by its chunks, so that what follows them is a request of its own.

use http::header::{CACHE_CONTROL, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};

use crate::wire::ResponseBody;
use crate::wire::refusal;

/// Why a request is refused before anyone is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{1}")]
pub struct RequestError(pub(super) StatusCode, pub(super) &'static str);

impl RequestError {
    /// What it is answered with.
    pub fn status(self) -> StatusCode {
        self.0
    }

    pub(super) fn response(self) -> Response<ResponseBody> {
        let Self(status, reason) = self;
        let mut response = refusal(status, reason);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Checks what hyper doesn't of a request on TCP.
pub fn check(version: Version, headers: &HeaderMap) -> Result<(), RequestError> {
    if version == Version::HTTP_2 { check_values(headers) } else { check_codings(headers) }
}

/// Transfer codings: hyper takes the chunks off, and would leave what is in them coded. It ends by itself what isn't
/// `chunked` in the end, and all of them on HTTP/1.0.
fn check_codings(headers: &HeaderMap) -> Result<(), RequestError> {
    if !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(());
    }
    let values = headers.get_all(TRANSFER_ENCODING).iter().map(|value| value.to_str().unwrap_or("?"));
    let codings = values.flat_map(|value| value.split(',')).map(str::trim).filter(|coding| !coding.is_empty());
    let (chunked, others): (Vec<_>, Vec<_>) = codings.partition(|coding| coding.eq_ignore_ascii_case("chunked"));
    if !others.is_empty() {
        let reason = "`chunked` is the one transfer coding here (RFC 9112 section 6.1)";
        return Err(RequestError(StatusCode::NOT_IMPLEMENTED, reason));
    }
    if chunked.len() > 1 {
        return Err(RequestError(StatusCode::BAD_REQUEST, "`chunked` is there twice (RFC 9112 section 6.1)"));
    }
    Ok(())
}

/// RFC 9113 section 8.2.1: a value neither begins nor ends with a space or a tab. Section 8.1.1 lets a server answer
/// before it ends such a stream.
fn check_values(headers: &HeaderMap) -> Result<(), RequestError> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let is_padded = |value: &HeaderValue| is_blank(value.as_bytes().first()) || is_blank(value.as_bytes().last());
    if headers.values().any(is_padded) {
        let reason = "a field's value begins or ends with a space (RFC 9113 section 8.2.1)";
        return Err(RequestError(StatusCode::BAD_REQUEST, reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(version: Version, fields: &[(&str, &str)]) -> u16 {
        let mut request = http::Request::get("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        check(version, request.body(()).unwrap().headers()).map_or_else(|refused| refused.status().as_u16(), |()| 200)
    }

    #[test]
    fn chunked_is_the_one_transfer_coding() {
        const TE: &str = "transfer-encoding";
        for (fields, expected) in [
            (&[(TE, "chunked")][..], 200),
            (&[(TE, " , Chunked ,")], 200),
            (&[(TE, "gzip, chunked")], 501),
            (&[(TE, "gzip"), (TE, "chunked")], 501),
            (&[(TE, "chunked, identity")], 501),
            (&[(TE, "\u{e9}")], 501),
            (&[(TE, "chunked, chunked")], 400),
            (&[(TE, "chunked"), (TE, "chunked")], 400),
            (&[("content-length", "3")], 200),
        ] {
            assert_eq!(status(Version::HTTP_11, fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn on_http_2_a_value_has_no_space_around_it() {
        for (value, expected) in [("a b", 200), ("", 200), (" a", 400), ("a ", 400), ("\ta", 400), ("a\t", 400)] {
            assert_eq!(status(Version::HTTP_2, &[("x-a", value)]), expected, "{value:?}");
        }
    }
}
