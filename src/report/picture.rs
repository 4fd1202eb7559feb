//! The picture: a panel per protocol, a bar per client, the claims' lines through those that they are about.
//! Lengths are in units of the drawing, which is as wide as its [`Shape`] says whatever the screen is.

mod axis;
mod log;
mod mark;
mod percentiles;
mod ratios;

pub(super) use percentiles::{Percentiles, percentiles};
pub(super) use ratios::{Ratios, drawn_ratios};

use self::axis::{Scale, Tick};
use self::mark::Mark;
use super::Title;
use super::answer::subject;
use super::table::{client, distinct, factors, level_phrase, outcomes, protocol, protocol_title};
use crate::stats::claim::Reference;
use crate::stats::{Group, GroupEntry, Summary, number};
use crate::trial::Plan;
use crate::trial::fact::Outcome;

/// How the drawing is laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    width: f64,
    /// Where bars begin.
    left: f64,
    /// Where the axis ends: the longest bar's number stands to the right.
    right: f64,
    /// From one bar to the next.
    step: f64,
    /// Whether a bar's name stands above it, for want of room to its left.
    names_above: bool,
    /// About how many steps the axis has at least.
    ticks: f64,
}

/// How wide a character of a bar's name is, about.
const CHARACTER: f64 = 6.4;
/// The same of a number, which is larger and bold.
const BOLD_CHARACTER: f64 = 7.9;

impl Shape {
    /// For a desk or a sheet of paper.
    pub(super) const WIDE: Self =
        Self { width: 760.0, left: 248.0, right: 690.0, step: 27.0, names_above: false, ticks: 4.0 };
    /// For a phone.
    pub(super) const NARROW: Self =
        Self { width: 360.0, left: 4.0, right: 308.0, step: 44.0, names_above: true, ticks: 2.0 };

    /// Where an axis ends at whose right these texts stand, and where they begin.
    fn right_of<'a>(self, texts: impl Iterator<Item = &'a str>) -> [f64; 2] {
        let longest = texts.map(|text| text.chars().count()).max().unwrap_or(0);
        let begin = self.width - longest as f64 * BOLD_CHARACTER;
        [begin - 12.0, begin]
    }

    /// Where the name of a row stands whose bar begins at `top`.
    fn name(self, text: String, top: f64) -> RowName {
        if self.names_above {
            RowName { text, x: self.left, y: top - 6.0, leftwards: false }
        } else {
            RowName { text, x: self.left - 10.0, y: top + THICK / 2.0 + 4.5, leftwards: true }
        }
    }

    /// The same with as much room to the bars' left as names of so many characters take, or with the names above the bars
    /// where that would be more than the bars have.
    fn for_names_of(self, longest: usize) -> Self {
        let left = longest as f64 * CHARACTER + 14.0;
        if self.names_above || left <= self.left {
            self
        } else if left < self.right / 2.0 {
            Self { left, ..self }
        } else {
            Self { left: Self::NARROW.left, step: Self::NARROW.step, names_above: true, ..self }
        }
    }
}

/// How thick a bar is.
const THICK: f64 = 17.0;
/// From a panel's top to its first bar, without labels of claims.
const HEAD: f64 = 26.0;
/// The height of one label of a claim.
const LABEL: f64 = 17.0;
const GAP: f64 = 20.0;
/// How many bars a picture shows; the table has all of them.
const MOST_BARS: usize = 60;

/// All that the template draws.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) width: f64,
    pub(super) height: f64,
    /// What the bars are: `open streams`.
    pub(super) subject: String,
    /// All of it in words.
    pub(super) description: String,
    pub(super) panels: Vec<Panel>,
    pub(super) ticks: Vec<Tick>,
    pub(super) axis_top: f64,
    pub(super) axis_bottom: f64,
    pub(super) left: f64,
    /// How many bars did not fit.
    pub(super) left_out: usize,
    /// How often two values like those at the ends of a thin line hold the median; `None` without such lines.
    pub(super) covers: Option<String>,
    /// Whether there are bars that only end at what a value is below.
    pub(super) below: bool,
}

/// One protocol.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) y: f64,
    pub(super) bars: Vec<Bar>,
    pub(super) marks: Vec<Mark>,
}

/// A row's name, left of what is drawn or above it.
#[derive(Debug)]
pub(super) struct RowName {
    pub(super) text: String,
    pub(super) x: f64,
    pub(super) y: f64,
    /// Whether it ends at its x.
    pub(super) leftwards: bool,
}

/// One combination of levels.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) name: RowName,
    pub(super) y: f64,
    pub(super) text_y: f64,
    pub(super) thick: f64,
    pub(super) length: f64,
    /// The number, or why there is none.
    pub(super) text: String,
    pub(super) text_x: f64,
    /// A number that was obtained; otherwise the text is a reason.
    pub(super) obtained: bool,
    /// Still waiting at the bar's end.
    pub(super) above: bool,
    /// The value is not known, only that it is below the bar's end.
    pub(super) below: bool,
    /// The ends of the interval, and the middle of the bar.
    pub(super) interval: Option<[f64; 3]>,
}

/// What all parts of a drawing need.
struct Drawing<'a> {
    plan: &'a Plan,
    summary: &'a Summary,
    title: Title<'a>,
    reference: Reference,
    shape: Shape,
    scale: Scale,
    /// Factors beside client and protocol that name a bar.
    varying: Vec<String>,
}

/// Draws the value that the run is about; `None` when no trial has it.
pub(super) fn picture(plan: &Plan, summary: &Summary, title: Title<'_>, shape: Shape) -> Option<Picture> {
    let reference = subject(plan)?;
    let shown: Vec<&Group> = summary.groups.iter().take(MOST_BARS).collect();
    let value = |group: &&Group| end(group.metrics.get(reference.metric.name)?, &reference);
    let most = shown.iter().filter_map(value).reduce(f64::max)?;
    let varying = factors(plan, summary);
    let longest = shown.iter().map(|group| label(group, &varying, title).chars().count()).max().unwrap_or(0);
    let shape = shape.for_names_of(longest);
    let scale = Scale::new(shape, mark::room(plan, &reference, most));
    let drawing = Drawing { plan, summary, title, reference, shape, scale, varying };
    let names = distinct(shown.iter().copied(), protocol);
    let mut y = 4.0;
    let mut panels = Vec::new();
    for name in &names {
        let groups: Vec<&Group> = shown.iter().copied().filter(|group| protocol(group) == *name).collect();
        let (panel, bottom) = drawing.panel(name, &groups, y);
        panels.push(panel);
        y = bottom + GAP;
    }
    let axis_bottom = y - GAP + 8.0;
    let lines = panels.iter().flat_map(|panel| &panel.bars).any(|bar| bar.interval.is_some());
    let covers = shown.iter().filter_map(|group| group.metrics.get(reference.metric.name)?.coverage);
    let covers = covers.reduce(f64::min).filter(|_| lines).map(number::percent);
    Some(Picture {
        covers,
        below: panels.iter().flat_map(|panel| &panel.bars).any(|bar| bar.below),
        width: shape.width,
        height: axis_bottom + 26.0,
        subject: named(&reference),
        description: description(&panels, &reference),
        panels,
        ticks: drawing.scale.ticks(),
        axis_top: HEAD,
        axis_bottom,
        left: shape.left,
        left_out: summary.groups.len().saturating_sub(MOST_BARS),
    })
}

impl Drawing<'_> {
    /// The panel that begins at `y`, and where it ends.
    fn panel(&self, name: &str, groups: &[&Group], y: f64) -> (Panel, f64) {
        let lines = mark::lines(self, groups);
        let first = y + HEAD + lines.rows() * LABEL + if self.shape.names_above { 15.0 } else { 0.0 };
        let top = |at: u32| first + f64::from(at) * self.shape.step;
        let bars: Vec<Bar> = groups.iter().zip(0..).map(|(group, at)| self.bar(group, top(at))).collect();
        let bottom = first + groups.len() as f64 * self.shape.step - (self.shape.step - THICK);
        let marks = lines.marks(y + HEAD, |last| top(last) + THICK + 5.0);
        (Panel { title: protocol_title(self.plan, name), y: y + 14.0, bars, marks }, bottom)
    }

    fn bar(&self, group: &Group, y: f64) -> Bar {
        let left = self.shape.left;
        let value = group.metrics.get(self.reference.metric.name);
        let end = value.and_then(|value| end(value, &self.reference));
        // A bar of nothing is still to be seen.
        let length = end.map_or(0.0, |end| (self.scale.x(end) - left).max(1.5));
        let below = value.is_some_and(|value| self.below(value).is_some());
        let interval =
            value.filter(|_| end.is_some() && !below && self.reference.statistic.is_none()).and_then(|v| v.interval);
        let interval = interval
            .filter(|[low, high]| high > low)
            .map(|ends| ends.map(|end| self.scale.x(end.max(0.0).min(self.scale.end))))
            .map(|[low, high]| [low, high, y + THICK / 2.0]);
        let text_y = y + THICK / 2.0 + 4.5;
        Bar {
            name: self.shape.name(label(group, &self.varying, self.title), y),
            y,
            text_y,
            thick: THICK,
            length,
            text: end.and(value).map_or_else(|| without(group), |value| self.text(value)),
            text_x: interval.map_or(left + length, |[_, high, _]| high.max(left + length)) + 7.0,
            obtained: end.is_some(),
            above: value.is_some_and(|value| value.entry.n == 0 && value.entry.above.is_some()),
            below,
            interval,
        }
    }

    fn below(&self, value: &GroupEntry) -> Option<f64> {
        value.entry.below(self.reference.of(&value.entry)?)
    }

    fn text(&self, value: &GroupEntry) -> String {
        value.entry.text_of(if value.entry.n > 0 { self.reference.of(&value.entry) } else { None })
    }
}

/// The client and what else tells the group from others of its protocol: `Chromium · 2 pages, 1 host`.
fn label(group: &Group, varying: &[String], title: Title<'_>) -> String {
    let phrase = |factor: &String| level_phrase(factor, group.levels.get(factor)?, varying);
    let levels: Vec<String> = varying.iter().filter_map(phrase).collect();
    let levels = if levels.is_empty() { String::new() } else { format!(" · {}", levels.join(", ")) };
    format!("{}{levels}", title(&client(group)))
}

/// Why a bar is missing: `unsupported`, `failed`.
fn without(group: &Group) -> String {
    match group.outcomes.keys().next_back() {
        Some(Outcome::Completed) | None => "no value".to_owned(),
        Some(_) => outcomes(&group.outcomes),
    }
}

/// `open streams`, `latency p99 (ms)`.
fn named(reference: &Reference) -> String {
    let name = reference.name().replace(['-', '.'], " ");
    match reference.metric.unit {
        unit if number::is_written(unit) => format!("{name} ({unit})"),
        _ => name,
    }
}

/// Where the group's bar ends.
fn end(value: &GroupEntry, reference: &Reference) -> Option<f64> {
    let entry = &value.entry;
    let known = |value: f64| entry.below(value).unwrap_or(value).max(0.0);
    if entry.n > 0 { reference.of(entry).map(known) } else { entry.above }
}

fn description(panels: &[Panel], reference: &Reference) -> String {
    let bars = |panel: &Panel| {
        panel.bars.iter().map(|bar| format!("{}: {}", bar.name.text, bar.text)).collect::<Vec<_>>().join(", ")
    };
    let all: Vec<String> = panels.iter().map(|panel| format!("{}: {}", panel.title, bars(panel))).collect();
    format!("Bars of {} by client. {}.", named(reference), all.join(". "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::tests::run;
    use crate::stats::rig::RecordedTrial;
    use crate::stats::summarise;
    use crate::trial::Alpn;

    #[test]
    fn a_claims_line_ends_at_the_last_bar_that_it_is_about() {
        let (plan, observations) = run();
        let summary = summarise(&plan, &observations);
        for shape in [Shape::WIDE, Shape::NARROW] {
            let picture = picture(&plan, &summary, &str::to_owned, shape).unwrap();
            let panel = &picture.panels[0];
            let (browser, native) = (&panel.bars[2], &panel.bars[3]);
            assert_eq!((browser.name.text.as_str(), native.name.text.as_str()), ("webkit", "native"));
            let line = &panel.marks[0];
            assert!(line.bottom > browser.y + browser.thick && line.bottom < native.y, "{line:?}");
            assert!((line.x - (picture.left + browser.length)).abs() < 0.01, "six is where the bar of six ends");
            assert!(native.length > 20.0 * browser.length, "150 is 25 times 6");
        }
    }

    #[test]
    fn a_value_that_clocks_cannot_tell_is_an_open_bar_up_to_what_it_is_below() {
        // A latency of 2 ms by clocks that may be off by 1 ms, and by one clock.
        let off = |trial: u32, alpn: Alpn, off: u64| {
            let mut rig = RecordedTrial::held(trial, 0, "chromium", alpn, 2, 2);
            rig.clock(off);
            rig
        };
        let claims = r#"[{"says": "Fast.", "source": "own", "metric": "latency", "at-most": "1s"}]"#;
        let rigs = [off(0, Alpn::H1, 1_000_000), off(1, Alpn::H2, 1000)];
        let (plan, observations) = RecordedTrial::plan(&rigs, serde_json::from_str(claims).unwrap());
        let summary = summarise(&plan, &observations);
        let picture = picture(&plan, &summary, &str::to_owned, Shape::WIDE).unwrap();
        let [bound, value] = [0, 1].map(|at| &picture.panels[at].bars[0]);
        assert_eq!((bound.text.as_str(), bound.below, value.below), ("< 3\u{a0}ms", true, false), "{bound:?}");
        assert!(bound.length > value.length && picture.below, "{picture:?}");
    }

    #[test]
    fn nothing_leaves_the_drawing_and_no_bars_overlap() {
        let (plan, observations) = run();
        let summary = summarise(&plan, &observations);
        for shape in [Shape::WIDE, Shape::NARROW] {
            let picture = picture(&plan, &summary, &str::to_owned, shape).unwrap();
            let bars: Vec<&Bar> = picture.panels.iter().flat_map(|panel| &panel.bars).collect();
            assert_eq!(bars.len(), 12);
            for pair in bars.windows(2) {
                assert!(pair[0].y + pair[0].thick < pair[1].y);
            }
            for bar in bars {
                assert!(bar.y + bar.thick < picture.height && bar.text_x < picture.width, "{bar:?}");
                assert_eq!(bar.obtained, bar.text != "unsupported");
            }
        }
    }
}
