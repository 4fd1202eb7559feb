//! The `Date` of a response (RFC 9110 section 6.6.1), which `h3` leaves to whoever answers.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::DATE;
use http::{HeaderMap, HeaderValue};

thread_local! {
    /// The second that was written last, and how: many responses share one.
    static LAST: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
}

/// Puts in when the response was made, unless that is there.
pub(super) fn put(fields: &mut HeaderMap) {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let value = LAST.with_borrow_mut(|last| match last {
        Some((of, value)) if *of == second => Some(value.clone()),
        _ => {
            let value = HeaderValue::try_from(httpdate::fmt_http_date(now)).ok()?;
            *last = Some((second, value.clone()));
            Some(value)
        }
    });
    if let Some(value) = value {
        fields.entry(DATE).or_insert(value);
    }
}
