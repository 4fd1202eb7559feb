//! Why there is no connection, and why a request was not answered.

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::diagnose::guest::Stop;
use crate::trial::Alpn;

/// How long resolving, connecting, and TLS may each take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer's header may be, in bytes.
pub(super) const MAX_HEADER_BYTES: usize = 64 * 1024;
/// How many fields it may have.
pub(super) const MAX_FIELDS: usize = 200;

pub(super) type Cause = Box<dyn Error + Send + Sync>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("{host} has no address that could be found")]
    Resolve { host: String, source: io::Error },
    #[error("{0} has no address")]
    NoAddress(String),
    #[error("could not connect to {peer}")]
    Connect { peer: String, source: io::Error },
    #[error("{peer} did not answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Slow { peer: String },
    #[error(
        "{peer} shows a certificate that {fault}; --ca FILE trusts another CA, and --insecure goes on all the same"
    )]
    Certificate { peer: String, fault: String },
    #[error("{peer} speaks no TLS that this program does")]
    Tls { peer: String, source: io::Error },
    #[error("TLS can't be set up")]
    Config(#[from] rustls::Error),
    #[error("no certificate can be for `{0}`")]
    Name(String),
    #[error("{peer} does not speak {}", alpn.title())]
    Alpn { peer: String, alpn: Alpn },
    #[error("{peer} does not answer QUIC")]
    NoQuic { peer: String },
    #[error("QUIC with {peer} failed")]
    Quic { peer: String, source: Cause },
    #[error("{peer} does not speak {} as it should", alpn.title())]
    Http { peer: String, alpn: Alpn, source: Cause },
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Stopped(#[from] Stop),
    #[error("it answers with a header of more than {} kB, or of more than {MAX_FIELDS} fields", MAX_HEADER_BYTES / 1024)]
    LongHeader,
    #[error("it does not answer as {} has it", alpn.title())]
    Broken { alpn: Alpn, source: Cause },
    #[error("its SETTINGS on {} take no extended CONNECT", alpn.title())]
    NoTunnels { alpn: Alpn },
    #[error("it switches protocols without having understood the request")]
    NoProof,
}
