//! What is left of a request's body that its answer doesn't wait for.
//!
//! A GET may have content, which means nothing (RFC 9110 section 9.3.1) and may have no end. It is answered at once,
//! and what comes of its body meanwhile is thrown away: HTTP/1.1 can tell by it that the client has gone. A connection
//! of HTTP/1.1 whose body is not at its end when its answer is closes then, as what follows would be taken for a
//! request; on HTTP/2 the answer is over when it is, and the body may go on for as long as any may.

use http::header::CONNECTION;
use http::{HeaderValue, Method, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::wire::malformed::RequestError;
use crate::wire::{BODY_TIMEOUT, MAX_BODY_BYTES, ResponseBody};

/// How often the connection is let read on before a body that came with its request counts as one that is to come.
pub(super) const TURNS: usize = 8;

/// Whether what a request of this method carries means anything here.
pub(super) fn means_something(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS | Method::TRACE)
}

/// The answer, while `body` is thrown away.
pub(super) async fn beside(
    response: impl Future<Output = Response<ResponseBody>>,
    body: Incoming,
    version: Version,
) -> Response<ResponseBody> {
    let mut response = std::pin::pin!(response);
    // On HTTP/2 its time is what bounds it.
    let most = if version > Version::HTTP_11 { usize::MAX } else { MAX_BODY_BYTES };
    let mut rest = Box::pin(discard(body, most));
    let mut turns = 0;
    let came = async {
        while turns < TURNS {
            turns += 1;
            tokio::task::yield_now().await;
        }
    };
    let begun = tokio::select! {
        biased;
        end = &mut rest => Some(end),
        () = came => None,
    };
    let end = match begun {
        // An answer may take minutes, to a long poll.
        None => tokio::select! {
            biased;
            response = &mut response => {
                if version > Version::HTTP_11 {
                    // A client that is still sending may take a reset for a failure, and not look at the answer.
                    tokio::spawn(tokio::time::timeout(BODY_TIMEOUT, rest));
                    return response;
                }
                let rest = async { matches!(rest.await, End::Whole) };
                return closing(response, version).map(|body| body.beside(rest));
            }
            end = &mut rest => end,
        },
        Some(end) => end,
    };
    match end {
        End::Whole => response.await,
        End::TooLong => closing(response.await, version),
        End::Broken => {
            closing(RequestError(StatusCode::BAD_REQUEST, "the body did not arrive whole").response(), version)
        }
    }
}

/// How a body ended.
enum End {
    Whole,
    /// It is longer than any body may be, and no more of it is read.
    TooLong,
    Broken,
}

async fn discard(mut body: Incoming, most: usize) -> End {
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return End::Broken };
        length = length.saturating_add(frame.data_ref().map_or(0, bytes::Bytes::len));
        if length > most {
            return End::TooLong;
        }
    }
    End::Whole
}

/// Says that the connection is over with this answer, where a version has a word for it.
fn closing(mut response: Response<ResponseBody>, version: Version) -> Response<ResponseBody> {
    if version <= Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
