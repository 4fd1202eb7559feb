//! The trial page and what it loads, all of it in the binary: the control origin serves it, and so does the server
//! under test where a trial's page is to be of its origin.
//!
//! Enters: the name of a file, and where a page reports. Leaves: texts, their types, and the fields that isolate a
//! page. What must never happen here: a page with anything in it that came from a request.

use http::HeaderValue;
use http::header::HeaderName;

use crate::transport;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
/// A page's type.
pub const HTML: &str = "text/html; charset=utf-8";

/// Cross-origin isolation, which gives pages the finest `performance.now()` (WHATWG HTML, "cross-origin isolation"),
/// and no word to others of an address that holds a token.
pub const ISOLATION: [(HeaderName, &str); 4] = [
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (http::header::REFERRER_POLICY, "no-referrer"),
];

/// Name, type, content.
const FILES: [(&str, &str, &str); 10] = [
    ("lab.css", STYLE, include_str!("lab.css")),
    ("trial.js", SCRIPT, include_str!("trial.js")),
    ("agenda.js", SCRIPT, include_str!("agenda.js")),
    ("subscription.js", SCRIPT, include_str!("subscription.js")),
    ("beginning.js", SCRIPT, include_str!("beginning.js")),
    ("stuck.js", SCRIPT, include_str!("stuck.js")),
    ("beside.js", SCRIPT, include_str!("beside.js")),
    ("outbox.js", SCRIPT, include_str!("outbox.js")),
    ("clock.js", SCRIPT, include_str!("clock.js")),
    ("receipts.js", SCRIPT, include_str!("receipts.js")),
];

/// What is at `/assets/{name}`, beside what only the control origin has: type and content.
pub fn file(name: &str) -> Option<(&'static str, &'static str)> {
    FILES.into_iter().find(|(file, ..)| *file == name).map(|(_, kind, content)| (kind, content))
}

/// What is at `/transports/{name}`, a transport's browser script (`sse.js`) or what it imports: type and content.
pub fn transport(name: &str) -> Option<(&'static str, &'static str)> {
    let whole = name.strip_suffix(".js").and_then(transport::find).map(|transport| transport.script);
    let mut modules = transport::ALL.iter().flat_map(|transport| transport.modules);
    let part = || modules.find(|(module, _)| *module == name).map(|(_, text)| *text);
    whole.or_else(part).map(|script| (SCRIPT, script))
}

/// The trial page. It reports to `control`, an origin; to its own where that is empty.
pub fn trial(control: &str) -> String {
    reporting_to(include_str!("trial.html"), control)
}

/// A page that is navigated to in another tab while a trial is under way, and says to `control` that it is there. It
/// loads nothing, as that would need what the trial uses up.
pub fn tab(control: &str) -> String {
    reporting_to(include_str!("tab.html"), control)
}

/// A page to put in front of another.
pub fn cover() -> &'static str {
    include_str!("cover.html")
}

fn reporting_to(page: &str, control: &str) -> String {
    page.replacen("data-control=\"\"", &format!("data-control=\"{control}\""), 1)
}

/// What a page has to do with frames, and with scripts of its own text.
#[derive(Debug, Clone, Copy)]
pub enum Framing {
    Alone,
    /// It has the lab's own pages in frames: the lab page, a trial.
    Frames,
    /// It is a trial: it may be in a frame of the lab's own, and may show images and pages of the data ports, as
    /// that is what it measures.
    Trial,
    /// It is a tab beside a trial, whose script is in its text.
    Tab,
}

macro_rules! policy {
    ($images:literal, $framing:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' https: wss:; ",
            "base-uri 'none'; form-action 'none'; img-src 'self' data:",
            $images,
            "; ",
            $framing
        )
    };
}

/// What a page may do: load from its own origin, talk to the data ports and the control origin (CSP 3).
pub fn policy(framing: Framing) -> HeaderValue {
    HeaderValue::from_static(match framing {
        Framing::Alone => policy!("", "frame-ancestors 'none'"),
        Framing::Frames => policy!("", "frame-src 'self'; frame-ancestors 'none'"),
        Framing::Trial => policy!(" https:", "frame-src https:; frame-ancestors 'self'"),
        Framing::Tab => {
            "default-src 'none'; script-src 'unsafe-inline'; connect-src https:; img-src data:; frame-ancestors 'none'"
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reports_to_the_control_origin_that_it_is_given() {
        for page in [trial, tab] {
            assert_eq!(page("").matches("data-control=\"\"").count(), 1);
            assert!(page("https://127.0.0.1:1").contains("data-control=\"https://127.0.0.1:1\""));
        }
    }

    #[test]
    fn every_transport_that_a_page_can_speak_has_its_script() {
        for row in transport::ALL.iter().filter(|row| !row.script.is_empty()) {
            assert!(super::transport(&format!("{}.js", row.name)).is_some(), "{}", row.name);
            for (module, _) in row.modules {
                assert!(super::transport(module).is_some(), "{module}");
            }
        }
        assert!(super::transport("pigeon.js").is_none());
        assert!(file("trial.js").is_some() && file("lab.js").is_none());
    }
}
