//! An answer that comes in pieces, whatever brings it.

use bytes::Bytes;
use http::HeaderName;
use http::response::Parts;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::Instant;

use super::error::Cause;
use crate::wire::dial::H3Response;

/// An answer under way.
#[derive(Debug)]
pub(in crate::diagnose) struct Answer {
    pub(in crate::diagnose) head: Parts,
    /// When it was asked for.
    pub(in crate::diagnose) asked: Instant,
    /// How long its header took.
    pub(in crate::diagnose) headed: Duration,
    pub(super) body: AnswerBody,
}

#[derive(Debug)]
pub(super) enum AnswerBody {
    H1(Incoming),
    H2(h2::RecvStream),
    H3(Box<H3Response>),
    /// There is none, or it is somebody else's to read.
    None,
}

impl Answer {
    /// The next bytes of its content; `None` at its end.
    pub(in crate::diagnose) async fn piece(&mut self) -> Option<Result<Bytes, Cause>> {
        match &mut self.body {
            AnswerBody::H1(body) => loop {
                match body.frame().await? {
                    Ok(frame) => {
                        if let Ok(data) = frame.into_data() {
                            return Some(Ok(data));
                        }
                    }
                    Err(error) => return Some(Err(error.into())),
                }
            },
            AnswerBody::H2(stream) => match stream.data().await? {
                Ok(data) => {
                    // What is taken may be sent again (RFC 9113 section 5.2).
                    let released = stream.flow_control().release_capacity(data.len());
                    Some(released.map(|()| data).map_err(Into::into))
                }
                Err(error) => Some(Err(error.into())),
            },
            AnswerBody::H3(response) => response.chunk().await.map(|chunk| chunk.map_err(Into::into)),
            AnswerBody::None => None,
        }
    }

    /// A text field of its header, where there is one.
    pub(in crate::diagnose) fn field(&self, name: &HeaderName) -> Option<&str> {
        field(&self.head, name)
    }
}

/// A text field of a header, where there is one.
pub(in crate::diagnose) fn field<'a>(head: &'a Parts, name: &HeaderName) -> Option<&'a str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}
