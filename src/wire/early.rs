//! What comes as early data (RFC 8446 section 2.3, RFC 9001 section 4.6): perhaps said by somebody who only says it again.
//!
//! Each end of a trial takes it only where the trial is about that. rustls accepts early data only with tickets that the
//! server remembers, and forgets once they are used (RFC 8446 section 8.1), so that one server never takes the same
//! twice. Another that has the same ticket could, and where nobody can tell, HTTP has the last word: what isn't safe to be
//! said twice is answered 425 for as long as the handshake lasts (RFC 8470 section 5.2), and the client says it again
//! when that has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, StatusCode};

use crate::wire::malformed::RequestError;

/// Whether what a client says may be a replay: while its handshake has not ended. What was said before and is looked at
/// afterwards is none, as only who holds the keys can end a handshake (RFC 8470 section 3).
#[derive(Debug, Clone, Default)]
pub(in crate::wire) struct MaybeReplay(Arc<AtomicBool>);

impl MaybeReplay {
    pub(in crate::wire) fn is(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(in crate::wire) fn set(&self, is: bool) {
        self.0.store(is, Ordering::Release);
    }
}

/// Why a request has to be said again.
pub(in crate::wire) const TOO_EARLY: RequestError = RequestError(
    StatusCode::TOO_EARLY,
    "early data may be a replay: say it again once the handshake has ended (RFC 8470)",
);

/// Whether a request may be answered that may be a replay. One that opens a tunnel or a session may not: what is said in
/// it is published.
pub(in crate::wire) fn check(may_be_replay: bool, method: &Method, opens: bool) -> Result<(), RequestError> {
    // RFC 9110 section 9.2.1.
    let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE) && !opens;
    if may_be_replay && !safe { Err(TOO_EARLY) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_safe_to_be_said_twice_is_answered_early() {
        for (method, opens, safe) in [
            (Method::GET, false, true),
            (Method::HEAD, false, true),
            (Method::GET, true, false),
            (Method::POST, false, false),
        ] {
            assert_eq!(check(true, &method, opens).is_ok(), safe, "{method} {opens}");
            assert!(check(false, &method, opens).is_ok(), "its client is there: {method}");
        }
        assert_eq!(TOO_EARLY.status().as_u16(), 425);
    }
}
