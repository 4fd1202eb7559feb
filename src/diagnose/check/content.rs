//! What the stream is called, and how its characters are written.

use http::header::CONTENT_TYPE;

use super::{Check, Severity, Told, count};
use crate::diagnose::kind::EVENT_STREAM;

pub(super) static TYPE: Check = Check {
    name: "content-type",
    look: |visit| {
        let (reading, _) = visit.main().filter(|_| visit.is_event_stream())?;
        if reading.media_type() == EVENT_STREAM {
            return None;
        }
        let field = reading.field(&CONTENT_TYPE).unwrap_or("none");
        Some(Told {
            severity: Severity::Loses,
            says: "It is written as an event stream and not called one: an EventSource gives up at once.".to_owned(),
            evidence: vec![format!("Content-Type: {field}")],
            change: format!("Content-Type: {EVENT_STREAM}"),
        })
    },
};

pub(super) static CHARSET: Check = Check {
    name: "charset",
    look: |visit| {
        let (reading, _) = visit.main().filter(|_| visit.is_event_stream())?;
        let field = reading.field(&CONTENT_TYPE)?.to_ascii_lowercase();
        let charset = field.split(';').find_map(|part| part.trim().strip_prefix("charset="))?;
        let charset = charset.trim_matches('"');
        if matches!(charset, "utf-8" | "utf8" | "us-ascii") {
            return None;
        }
        Some(Told {
            severity: Severity::Loses,
            says: "The stream says that it isn't UTF-8, and every reader takes it for that all the same.".to_owned(),
            evidence: vec![format!("Content-Type: {field}")],
            change: format!("write it as UTF-8: Content-Type: {EVENT_STREAM}; charset=utf-8"),
        })
    },
};

pub(super) static NOT_UTF_8: Check = Check {
    name: "not-utf-8",
    look: |visit| {
        let (_, said) = visit.main().filter(|_| visit.kind.is_some())?;
        let samples = &said.not_utf8;
        if samples.count == 0 {
            return None;
        }
        Some(Told {
            severity: Severity::Loses,
            says: "Some lines are no UTF-8: readers see other characters in them than were sent.".to_owned(),
            evidence: samples.shown.iter().map(|line| format!("`{line}`")).collect(),
            change: "encode as UTF-8 what is written, and never cut a character in two".to_owned(),
        })
    },
};

pub(super) static BYTE_ORDER_MARK: Check = Check {
    name: "byte-order-mark",
    look: |visit| {
        let (_, said) = visit.main().filter(|_| visit.is_event_stream())?;
        let samples = &said.marks;
        if samples.count == 0 {
            return None;
        }
        Some(Told {
            severity: Severity::Loses,
            says: "A byte order mark stands before a line in the stream's middle, which makes its field another one."
                .to_owned(),
            evidence: vec![format!("{} are passed over by every reader for it", count(samples.count, "line"))],
            change: "write events with an encoder that makes no byte order mark".to_owned(),
        })
    },
};
