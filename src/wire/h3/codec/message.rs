//! What a request must be beyond what `h3` looks at (RFC 9114 sections 4.1 to 4.3).

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Method};

/// Fields that are about a connection of HTTP/1.1 (RFC 9114 section 4.2).
const OF_A_CONNECTION: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A message that is to be reset with `H3_MESSAGE_ERROR` (RFC 9114 section 4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) struct MessageError;

/// Looks at a request's header.
pub(in crate::wire) fn check(head: &Parts) -> Result<(), MessageError> {
    let uri = &head.uri;
    // RFC 9114 section 4.3.1: a name and a port, and nobody's user name before them.
    let authority = uri.authority().ok_or(MessageError)?;
    if authority.as_str().contains('@') || head.headers.get_all(HOST).iter().count() > 1 {
        return Err(MessageError);
    }
    // The same: a path, but for what asks a proxy to connect (section 4.4), and the server as a whole.
    let is_path = match head.method {
        Method::CONNECT if uri.scheme().is_none() => uri.path().is_empty() && uri.query().is_none(),
        Method::OPTIONS if uri.path() == "*" => true,
        _ => uri.scheme().is_some() && uri.path().starts_with('/'),
    };
    if is_path { check_fields(&head.headers) } else { Err(MessageError) }
}

/// Looks at the fields of a header or of trailers.
pub(in crate::wire) fn check_fields(fields: &HeaderMap) -> Result<(), MessageError> {
    let of_a_connection = OF_A_CONNECTION.iter().any(|name| fields.contains_key(name));
    let te = fields.get_all(TE).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    // RFC 9110 section 5.5: white space around a value isn't the value's.
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let padded = fields.values().map(http::HeaderValue::as_bytes).any(|v| blank(v.first()) || blank(v.last()));
    if of_a_connection || te || padded { Err(MessageError) } else { Ok(()) }
}

/// How long the content is said to be, in bytes.
pub(in crate::wire) fn content_length(fields: &HeaderMap) -> Result<Option<u64>, MessageError> {
    let mut said = None;
    // RFC 9110 section 8.6: a list of equal numbers may be taken for the number.
    for value in fields.get_all(CONTENT_LENGTH) {
        for length in value.to_str().map_err(|_| MessageError)?.split(',') {
            let digits = length.trim_matches([' ', '\t']);
            let digits = digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits).ok_or(MessageError)?;
            let length: u64 = digits.parse().map_err(|_| MessageError)?;
            if said.replace(length).is_some_and(|before| before != length) {
                return Err(MessageError);
            }
        }
    }
    Ok(said)
}
