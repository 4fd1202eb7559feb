//! The page: one file that opens offline, loads nothing and runs nothing.

use askama::Template;

use super::agents::{AgentsView, agents};
use super::answer::answer;
use super::between::{BetweenView, between};
use super::bytes::{BytesDrawing, PARTS, PartRow, bytes};
use super::calibration::CalibrationView;
use super::fewer::fewer;
use super::lanes::{Drawing, Drawings, drawings};
use super::picture::{Percentiles, Picture, Ratios, Shape, drawn_ratios, percentiles, picture};
use super::stacks::{StackTable, stack_tables, versions};
use super::table::{Column, Row, Table, factors, plain};
use super::timelines::{Timeline, timelines};
use super::{Contents, Format, ReportError, Title};
use crate::stats::versions::named;
use crate::stats::{ClaimResult, TrialResult, Verdict};
use crate::trial::Claim;
use crate::trial::claim::OneOrMany;
use crate::trial::fact::Outcome;

pub static FORMAT: Format =
    Format { name: "html", file: Some("report.html"), write: |runs, _| runs.iter().map(|of| html(*of)).collect() };

/// What the template shows. Everything is text, which it escapes.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    experiment: &'a str,
    question: &'a str,
    answer: String,
    /// Where fewer opened than were asked for.
    fewer: Option<String>,
    tally: Vec<(u32, &'static str)>,
    seed: u64,
    repeats: u32,
    /// The same for a desk and for a phone; the style shows one of them.
    pictures: Option<(Picture, Picture)>,
    percentiles: Option<(Percentiles, Percentiles)>,
    ratios: Option<(Ratios, Ratios)>,
    table: Table,
    claims: Vec<ClaimView<'a>>,
    /// What is said of the claims that are about trials which this run doesn't have.
    elsewhere: Vec<&'a str>,
    timelines: Drawings<Timeline>,
    bytes: Vec<BytesDrawing>,
    more_bytes: usize,
    /// What their legend has.
    parts: &'static [PartRow],
    lanes: Drawings<Drawing>,
    trials: Vec<TrialView>,
    stacks: Vec<StackTable>,
    /// What speaks at the server.
    versions: Option<String>,
    between: Vec<BetweenView>,
    agents: Option<AgentsView>,
    calibration: Option<CalibrationView>,
    machine: Vec<(String, String)>,
}

/// A claim and what became of it.
struct ClaimView<'a> {
    /// Its place in the file, from 1, by which pictures name it.
    number: usize,
    says: &'a str,
    /// `confirmed`; also the class that colours it.
    verdict: &'static str,
    sign: &'static str,
    /// `client chromium, firefox; protocol sse/h1`.
    about: String,
    /// What carried both sides of a comparison.
    stacks: Option<&'a str>,
    clients: Vec<ClientView>,
    quote: Option<&'a str>,
    place: &'a str,
    /// Whether the address may become a link.
    link: bool,
}

/// A claim with one client.
struct ClientView {
    name: String,
    verdict: &'static str,
    sign: &'static str,
    evidence: String,
}

/// A trial and how it ended.
struct TrialView {
    trial: u32,
    repeat: u32,
    client: String,
    protocol: String,
    others: String,
    outcome: &'static str,
    reason: String,
}

fn html(of: Contents<'_>) -> Result<String, ReportError> {
    let Contents { plan, summary, lanes, machine, calibration, title } = of;
    let tally = Outcome::counted(summary.trials.iter().map(|trial| trial.outcome));
    let (elsewhere, claims): (Vec<_>, Vec<_>) =
        (1..).zip(plan.claims.iter().zip(&summary.claims)).partition(|(_, (_, result))| result.is_about_nothing_here());
    let both = [Shape::WIDE, Shape::NARROW];
    let (bytes, more_bytes) = bytes(summary, &factors(plan, summary), title);
    let page = Page {
        experiment: &plan.experiment,
        question: &plan.question,
        answer: answer(plan, summary, title),
        fewer: fewer(plan, summary, title),
        tally: tally.into_iter().map(|(outcome, trials)| (trials, outcome.word())).collect(),
        seed: plan.seed,
        repeats: plan.repeats,
        pictures: pair(both.map(|shape| picture(plan, summary, title, shape))),
        percentiles: pair(both.map(|shape| percentiles(plan, summary, title, shape))),
        ratios: pair(both.map(|shape| drawn_ratios(plan, summary, title, shape))),
        table: Table::new(plan, summary, title, 8),
        claims: claims.into_iter().map(|(number, (claim, result))| claim_view(number, claim, result, title)).collect(),
        elsewhere: elsewhere.into_iter().map(|(_, (claim, _))| claim.says.as_str()).collect(),
        trials: summary.trials.iter().map(|trial| trial_view(trial, title)).collect(),
        timelines: timelines(lanes, &factors(plan, summary), title),
        bytes,
        more_bytes,
        parts: &PARTS,
        lanes: drawings(lanes, &factors(plan, summary), title),
        stacks: stack_tables(plan, summary, title),
        versions: versions(summary),
        between: between(summary),
        agents: agents(plan, summary, title),
        calibration: calibration.map(|calibration| CalibrationView::new(calibration, title)),
        machine: machine.lines(),
    };
    Ok(page.render()?)
}

/// Both or none.
fn pair<T>([wide, narrow]: [Option<T>; 2]) -> Option<(T, T)> {
    wide.zip(narrow)
}

impl Page<'_> {
    /// Columns and rows, under shorter names for the template.
    fn columns(&self) -> &[Column] {
        &self.table.columns
    }

    fn rows(&self) -> &[Row] {
        &self.table.rows
    }

    fn has_other_levels(&self) -> bool {
        self.trials.iter().any(|trial| !trial.others.is_empty())
    }
}

fn claim_view<'a>(number: usize, claim: &'a Claim, result: &'a ClaimResult, title: Title<'_>) -> ClaimView<'a> {
    let (verdict, sign) = marks(Some(result.verdict));
    let clients = result.per_client.iter().map(|(client, of)| {
        let (verdict, sign) = marks(of.verdict);
        let name = named(client, of.version.as_deref(), title);
        ClientView { name, verdict, sign, evidence: of.evidence.clone() }
    });
    ClaimView {
        number,
        says: &claim.says,
        verdict,
        sign,
        about: about(claim, title),
        stacks: result.stacks.as_deref(),
        clients: clients.collect(),
        quote: claim.source.quote(),
        place: claim.source.place(),
        link: ["https://", "http://"].iter().any(|scheme| claim.source.place().starts_with(scheme)),
    }
}

fn marks(verdict: Option<Verdict>) -> (&'static str, &'static str) {
    match verdict {
        Some(verdict) => (verdict.word(), verdict.sign()),
        None => ("absent", "–"),
    }
}

fn about(claim: &Claim, title: Title<'_>) -> String {
    let levels = |factor: &str, levels: &OneOrMany| {
        let name = |level| if factor == "client" { title(&plain(level)) } else { plain(level) };
        levels.levels().iter().map(name).collect::<Vec<_>>().join(", ")
    };
    let parts: Vec<String> =
        claim.selection.iter().map(|(factor, of)| format!("{factor} {}", levels(factor, of))).collect();
    if parts.is_empty() { "all trials".to_owned() } else { parts.join("; ") }
}

fn trial_view(trial: &TrialResult, title: Title<'_>) -> TrialView {
    let level = |factor: &str| trial.levels.get(factor).map(plain).unwrap_or_default();
    let others = trial.levels.iter().filter(|(factor, _)| *factor != "client" && *factor != "protocol");
    TrialView {
        trial: trial.trial,
        repeat: trial.repeat,
        client: title(&level("client")),
        protocol: level("protocol"),
        others: others.map(|(factor, level)| format!("{factor} {}", plain(level))).collect::<Vec<_>>().join(", "),
        outcome: trial.outcome.word(),
        reason: match trial.outcome {
            Outcome::Completed => String::new(),
            _ => trial.reason.clone().unwrap_or_else(|| "no reason was given".to_owned()),
        },
    }
}

#[cfg(test)]
pub(in crate::report) mod tests;
