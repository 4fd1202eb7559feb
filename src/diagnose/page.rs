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
    conduct: Prose<'a>,
    findings: Vec<View<'a>>,
    /// Rows whose first column is said once for those that share it.
    seen: Vec<(&'a str, &'a str)>,
}

/// A finding with its class and sign.
struct View<'a> {
    name: &'a str,
    class: &'static str,
    sign: &'static str,
    severity: Severity,
    says: Prose<'a>,
    evidence: Vec<Prose<'a>>,
    change: Prose<'a>,
}

/// Text in which what stands between grave accents is what somebody wrote or is to write.
#[derive(Template)]
#[template(
    source = "{% for part in parts %}{% if part.0 %}<code>{{ part.1 }}</code>{% else %}{{ part.1 }}{% endif %}{% endfor %}",
    ext = "html"
)]
struct Prose<'a> {
    parts: Vec<(bool, &'a str)>,
}

impl<'a> Prose<'a> {
    fn new(text: &'a str) -> Self {
        // Accents that aren't in pairs are a text's own.
        let is_paired = text.matches('`').count().is_multiple_of(2);
        let parts = if is_paired {
            text.split('`').enumerate().map(|(k, part)| (k % 2 == 1, part)).collect()
        } else {
            vec![(false, text)]
        };
        Self { parts }
    }
}

/// All of it.
pub fn html(of: &Diagnosis) -> Result<String, askama::Error> {
    let findings = of.findings.iter().map(view).collect();
    let conduct = terminal::conduct(of);
    let verdict = sentence(&terminal::verdict(of));
    Page { of, verdict, conduct: Prose::new(&conduct), findings, seen: terminal::rows(of) }.render()
}

fn view(finding: &Finding) -> View<'_> {
    let (class, sign) = match finding.severity() {
        Severity::Loses => ("refuted", "✗"),
        Severity::Delays => ("inconclusive", "✗"),
        Severity::Advice => ("advice", "–"),
    };
    let told = &finding.told;
    View {
        name: finding.name,
        class,
        sign,
        severity: told.severity,
        says: Prose::new(&told.says),
        evidence: told.evidence.iter().map(|evidence| Prose::new(evidence)).collect(),
        change: Prose::new(&told.change),
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_written_is_set_off_and_nothing_is_markup() {
        let prose = |text| Prose::new(text).to_string();
        assert_eq!(
            prose("nginx: `proxy_buffering off;`, and <b>"),
            "nginx: <code>proxy_buffering off;</code>, and &#60;b&#62;"
        );
        assert_eq!(prose("one ` alone"), "one ` alone");
        assert_eq!(sentence("nothing found"), "Nothing found.");
    }
}
