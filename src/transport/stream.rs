//! One response that goes on, both ends: what transports have in common whose events are pieces of one.

use std::future::ready;

use bytes::Bytes;
use futures_util::stream::once;
use futures_util::{Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::coding::{self, Compressor, ContentCoding, Decompressor};
use super::{EndReason, Receipts, with_query};
use crate::trial::settings::BufferingHint;
use crate::wire::dial::{self, Target};
use crate::wire::{Pool, ResponseBody};

const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const INCREMENTAL: HeaderName = HeaderName::from_static("incremental");

/// What a response that goes on is, whatever it carries.
#[derive(Debug)]
pub struct StreamOptions {
    /// What it says to intermediaries.
    pub hint: BufferingHint,
    /// Whether it might have been compressed for somebody who asks otherwise.
    pub varies: bool,
    /// What compresses it, if anything does.
    pub compressor: Option<Compressor>,
}

/// The server's answer: these pieces, of this type, each sent at once.
pub(super) fn response(
    kind: &'static str,
    options: StreamOptions,
    pieces: impl Stream<Item = Bytes> + Send + 'static,
) -> Response<ResponseBody> {
    let StreamOptions { hint, varies, compressor } = options;
    let coding = compressor.as_ref().map(|compressor| compressor.coding().name);
    let body = match compressor {
        Some(compressor) => ResponseBody::chunks(compressed(pieces, compressor)),
        None => ResponseBody::chunks(pieces),
    };
    let mut response = Response::new(body);
    let (name, value) = match hint {
        BufferingHint::None => (CACHE_CONTROL, "no-store"),
        // It keeps proxies from holding the stream back to compress it.
        BufferingHint::NoTransform => (CACHE_CONTROL, "no-store, no-transform"),
        BufferingHint::XAccelBuffering => (ACCEL_BUFFERING, "no"),
        BufferingHint::Incremental => (INCREMENTAL, "?1"),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(name, HeaderValue::from_static(value));
    if varies {
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if let Some(coding) = coding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

/// Each piece compressed and flushed, and at the end what ends the coding. What can't be compressed ends the response.
fn compressed(pieces: impl Stream<Item = Bytes> + Send, compressor: Compressor) -> impl Stream<Item = Bytes> + Send {
    pieces.map(Some).chain(once(ready(None))).scan(compressor, |compressor, piece| {
        let piece = compressor.compress(piece.as_deref());
        ready(piece.inspect_err(|error| tracing::error!(%error, "a stream could not be compressed")).ok())
    })
}

/// The fields of a native client's request for a stream of this type.
pub(super) fn fields(accept: &'static str, decodes: bool) -> Vec<(&'static str, &'static str)> {
    let plain = [("accept", accept), ("cache-control", "no-store")];
    plain.into_iter().chain(decodes.then_some(("accept-encoding", coding::ACCEPTED))).collect()
}

/// The native client's request for one of this type, after the last event that it knows.
pub(super) async fn request(
    pool: &Pool,
    target: &Target,
    path: &str,
    fields: &[(&str, &str)],
    receipts: &Receipts,
) -> Result<DecodedStream, EndReason> {
    let asked = receipts.last().map_or_else(|| path.to_owned(), |last| with_query(path, "after", last));
    let response = pool.connect(target).await?.get(&asked, fields).await?;
    match response.status {
        StatusCode::OK => DecodedStream::of(response),
        status => Err(EndReason::answered(status)),
    }
}

/// What a response that goes on says, decompressed.
#[derive(Debug)]
pub(super) struct DecodedStream {
    response: dial::Response,
    decompressor: Option<Decompressor>,
}

impl DecodedStream {
    /// That of this response.
    pub(super) fn of(response: dial::Response) -> Result<Self, EndReason> {
        let decompressor = match response.head.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"" | b"identity") => None,
            Some(name) => {
                let name = String::from_utf8_lossy(name);
                let unknown = || EndReason::from(format!("the answer is in a coding that nobody asked for, `{name}`"));
                Some(ContentCoding::find(&name).ok_or_else(unknown)?.decompressor())
            }
        };
        Ok(Self { response, decompressor })
    }

    /// Its type, as the response says it.
    pub(super) fn kind(&self) -> &str {
        self.response.head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default()
    }

    /// The next bytes; `None` at the end. What came is counted among the receipts.
    pub(super) async fn chunk(&mut self, receipts: &mut Receipts) -> Option<Result<Bytes, EndReason>> {
        loop {
            if let Some(decompressor) = &mut self.decompressor {
                match decompressor.decompress() {
                    Ok(Some(bytes)) => return Some(Ok(bytes)),
                    Ok(None) => {}
                    Err(error) => return Some(Err(EndReason::failure(&error))),
                }
            }
            let bytes = match self.response.chunk().await? {
                Ok(bytes) => bytes,
                Err(error) => return Some(Err(error.into())),
            };
            let coding = self.decompressor.as_ref().map(|decompressor| decompressor.coding().name);
            receipts.content(coding, bytes.len());
            match &mut self.decompressor {
                None => return Some(Ok(bytes)),
                Some(decompressor) => decompressor.take(bytes),
            }
        }
    }
}
