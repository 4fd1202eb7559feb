//! Whether pages of another origin may read it (WHATWG Fetch, "CORS check").

use http::header;

use super::{Check, Severity, Told};
use crate::diagnose::reading::Reading;
use crate::diagnose::visit::Visit;

pub(super) static REFUSED: Check = Check {
    name: "cors",
    look: |visit| {
        let (origin, reading) = asked(visit)?;
        let allowed = reading.field(&header::ACCESS_CONTROL_ALLOW_ORIGIN);
        if allowed == Some("*") || allowed == Some(origin) {
            return None;
        }
        let is = allowed.map_or_else(|| "is not there".to_owned(), |allowed| format!("is `{allowed}`"));
        Some(Told {
            severity: Severity::Loses,
            says: format!("A page of {origin} gets nothing of it: its browser keeps the answer from it."),
            evidence: vec![format!("asked with Origin: {origin}, Access-Control-Allow-Origin {is}")],
            change: format!("Access-Control-Allow-Origin: {origin}"),
        })
    },
};

pub(super) static VARY: Check = Check {
    name: "cors-vary",
    look: |visit| {
        let (origin, reading) = asked(visit)?;
        let vary = reading.field(&header::VARY).unwrap_or_default().to_ascii_lowercase();
        let varies = vary.split(',').any(|field| matches!(field.trim(), "origin" | "*"));
        if reading.field(&header::ACCESS_CONTROL_ALLOW_ORIGIN) != Some(origin) || varies {
            return None;
        }
        Some(Told {
            severity: Severity::Advice,
            says: "A cache may give a page of one origin the answer to another's, which its browser then refuses."
                .to_owned(),
            evidence: vec![format!("Access-Control-Allow-Origin names {origin} alone, and Vary doesn't name Origin")],
            change: "Vary: Origin".to_owned(),
        })
    },
};

pub(super) static CREDENTIALS: Check = Check {
    name: "cors-credentials",
    look: |visit| {
        let (origin, reading) = asked(visit)?;
        let exact = reading.field(&header::ACCESS_CONTROL_ALLOW_ORIGIN)? == origin;
        if exact && reading.field(&header::ACCESS_CONTROL_ALLOW_CREDENTIALS) == Some("true") {
            return None;
        }
        Some(Told {
            severity: Severity::Advice,
            says: "A page of that origin may read it without cookies only (`withCredentials: false`).".to_owned(),
            evidence: vec![format!(
                "Access-Control-Allow-Credentials is {}",
                reading.field(&header::ACCESS_CONTROL_ALLOW_CREDENTIALS).unwrap_or("not there")
            )],
            change: format!(
                "if cookies are wanted: Access-Control-Allow-Origin: {origin} and Access-Control-Allow-Credentials: true"
            ),
        })
    },
};

/// The origin that was asked for, and how that was answered.
fn asked(visit: &Visit) -> Option<(&str, &Reading)> {
    let origin = visit.origin.as_deref()?;
    visit.main().map(|(reading, _)| (origin, reading))
}
