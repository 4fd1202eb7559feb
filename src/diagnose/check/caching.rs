//! Caches.

use http::header::CACHE_CONTROL;

use super::{Check, Severity, Told};
use crate::diagnose::visit::{StreamKind, Visit};

const LINE: &str = "Cache-Control: no-store, no-transform";

pub(super) static CACHEABLE: Check = Check {
    name: "cacheable",
    look: |visit| {
        let says = directives(visit)?;
        let lives = says.iter().any(|directive| {
            let age = directive.strip_prefix("max-age=").or_else(|| directive.strip_prefix("s-maxage="));
            directive == "public"
                || directive == "immutable"
                || age.is_some_and(|age| !age.trim_matches('0').is_empty())
        });
        if !lives || forbids(&says) {
            return None;
        }
        Some(Told {
            severity: Severity::Delays,
            says: "A cache may keep the stream: it then waits for its end before it passes it on, or tells it again."
                .to_owned(),
            evidence: vec![format!("Cache-Control: {}", says.join(", "))],
            change: LINE.to_owned(),
        })
    },
};

pub(super) static SILENT: Check = Check {
    name: "no-cache-control",
    look: |visit| {
        let says = directives(visit)?;
        if !says.is_empty() {
            return None;
        }
        Some(Told {
            severity: Severity::Advice,
            says: "Nothing keeps caches and proxies from keeping or changing the stream.".to_owned(),
            evidence: vec!["the answer has no Cache-Control".to_owned()],
            change: LINE.to_owned(),
        })
    },
};

/// Of streams alone; an answer to a poll is somebody else's business.
fn directives(visit: &Visit) -> Option<Vec<String>> {
    let (reading, _) = visit.main()?;
    let streams = [StreamKind::EventStream, StreamKind::Lines, StreamKind::Parts];
    if !visit.kind.is_some_and(|kind| streams.contains(&kind)) {
        return None;
    }
    let field = reading.field(&CACHE_CONTROL).unwrap_or_default().to_ascii_lowercase();
    Some(field.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect())
}

fn forbids(directives: &[String]) -> bool {
    directives.iter().any(|directive| matches!(directive.as_str(), "no-store" | "no-cache" | "private"))
}
