//! A diagnosis as a page: one file that opens offline, loads nothing and runs nothing.

use askama::Template;

use super::check::{Finding, Severity};
use super::{Diagnosis, terminal};

/// What the template shows. Everything is text, which it escapes.
#[derive(Template)]
#[template(path = "diagnosis.html")]
struct Page<'a> {
    of: &'a Diagnosis,
    verdict: String,
    conduct: String,
    findings: Vec<View<'a>>,
}

/// A finding with its class and sign.
struct View<'a> {
    finding: &'a Finding,
    class: &'static str,
    sign: &'static str,
}

/// All of it.
pub fn html(of: &Diagnosis) -> Result<String, askama::Error> {
    let findings = of.findings.iter().map(view).collect();
    Page { of, verdict: terminal::verdict(of), conduct: terminal::conduct(of), findings }.render()
}

fn view(finding: &Finding) -> View<'_> {
    let (class, sign) = match finding.severity() {
        Severity::Loses => ("refuted", "✗"),
        Severity::Delays => ("inconclusive", "✗"),
        Severity::Advice => ("absent", "–"),
    };
    View { finding, class, sign }
}
