//! The picture: a panel per protocol, a bar per client, the claims' lines through them. Lengths are in units of
//! the drawing, which is [`WIDTH`] wide whatever the screen is.

use super::Title;
use super::answer::subject;
use super::table::{client, factors, outcomes, plain, protocol, protocol_title};
use crate::stats::claim::{self, Reference};
use crate::stats::{Group, GroupEntry, Summary, number};
use crate::trial::Plan;

/// The drawing's width.
const WIDTH: f64 = 760.0;
/// Where bars begin: names stand to the left.
const LEFT: f64 = 216.0;
/// Where the axis ends: the longest bar's number stands to the right.
const RIGHT: f64 = 690.0;
/// From one bar to the next.
const STEP: f64 = 27.0;
/// How thick a bar is.
const THICK: f64 = 17.0;
/// From a panel's top to its first bar, without labels of claims.
const HEAD: f64 = 26.0;
/// The height of one label of a claim.
const LABEL: f64 = 17.0;
/// Between panels.
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
}

/// One protocol.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) y: f64,
    pub(super) bars: Vec<Bar>,
    pub(super) lines: Vec<Line>,
}

/// One combination of levels.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) label: String,
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
    /// The ends of the interval, and the middle of the bar.
    pub(super) interval: Option<[f64; 3]>,
}

/// A claim's line through a panel.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) x: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) label: String,
    pub(super) label_x: f64,
    pub(super) label_y: f64,
    /// Whether the label stands left of the line, for want of room.
    pub(super) leftwards: bool,
}

/// A place of the axis.
#[derive(Debug)]
pub(super) struct Tick {
    pub(super) x: f64,
    pub(super) text: String,
}

/// Draws the value that the run is about; `None` when no trial has it.
pub(super) fn picture(plan: &Plan, summary: &Summary, title: Title<'_>) -> Option<Picture> {
    let reference = subject(plan)?;
    let shown: Vec<&Group> = summary.groups.iter().take(MOST_BARS).collect();
    let value = |group: &Group| end(group.metrics.get(reference.metric.name)?, &reference);
    let most = shown.iter().filter_map(|group| value(group)).fold(0.0, f64::max);
    if shown.iter().all(|group| value(group).is_none()) {
        return None;
    }
    let bounds = plan.claims.iter().filter_map(|claim| lines_on(claim, &reference)).flat_map(|line| line.bounds);
    // A bound far beyond every bar would flatten them; its label then stands at the edge.
    let scale = Scale::up_to(bounds.filter(|&bound| bound <= most * 2.0).fold(most, f64::max));
    let mut names: Vec<String> = Vec::new();
    for group in &shown {
        if !names.contains(&protocol(group)) {
            names.push(protocol(group));
        }
    }
    let varying = factors(plan, summary);
    let mut y = 4.0;
    let panels: Vec<Panel> = names
        .iter()
        .map(|name| {
            let groups: Vec<&Group> = shown.iter().copied().filter(|group| protocol(group) == *name).collect();
            let labels = labels(plan, summary, &groups, &reference);
            let first = y + HEAD + labels.len() as f64 * LABEL;
            let bars: Vec<Bar> = groups
                .iter()
                .zip(0_u32..)
                .map(|(group, at)| bar(group, &varying, title, &reference, &scale, first + f64::from(at) * STEP))
                .collect();
            let bottom = first + groups.len() as f64 * STEP - (STEP - THICK);
            let lines = labels.iter().zip(0_u32..).map(|((bound, label), at)| {
                let x = scale.x(bound.min(scale.end));
                let leftwards = x > LEFT + (RIGHT - LEFT) * 0.62;
                Line {
                    x,
                    top: y + HEAD - 8.0 + f64::from(at) * LABEL,
                    bottom: bottom + 5.0,
                    label: label.clone(),
                    label_x: if leftwards { x - 6.0 } else { x + 6.0 },
                    label_y: y + HEAD + 4.0 + f64::from(at) * LABEL,
                    leftwards,
                }
            });
            let panel = Panel { title: protocol_title(plan, name), y: y + 14.0, bars, lines: lines.collect() };
            y = bottom + GAP;
            panel
        })
        .collect();
    let axis_bottom = y - GAP + 8.0;
    Some(Picture {
        width: WIDTH,
        height: axis_bottom + 26.0,
        subject: named(&reference),
        description: description(&panels, &reference),
        panels,
        ticks: scale.ticks(),
        axis_top: HEAD,
        axis_bottom,
        left: LEFT,
        left_out: summary.groups.len().saturating_sub(MOST_BARS),
    })
}

/// `open streams`, `latency p99 (ms)`.
fn named(reference: &Reference) -> String {
    let name = reference.name().replace(['-', '.'], " ");
    match reference.metric.unit {
        unit @ ("ms" | "µs" | "B") => format!("{name} ({unit})"),
        _ => name,
    }
}

/// Where the group's bar ends.
fn end(value: &GroupEntry, reference: &Reference) -> Option<f64> {
    let entry = &value.entry;
    if entry.n > 0 { reference.of(entry).map(|value| value.max(0.0)) } else { entry.above }
}

/// The claim's lines, where they are about this value.
fn lines_on(claim: &crate::trial::Claim, reference: &Reference) -> Option<claim::Line> {
    claim::line(claim).filter(|line| line.reference.name() == reference.name())
}

/// The lines through these groups: where, and the claims' numbers (from 1). Claims with the same line share it.
fn labels(plan: &Plan, summary: &Summary, groups: &[&Group], reference: &Reference) -> Vec<(f64, String)> {
    let mut lines: Vec<(f64, &str, Vec<String>)> = Vec::new();
    for (claim, number) in plan.claims.iter().zip(1..) {
        let Some(line) = lines_on(claim, reference) else { continue };
        let of = |trial: &&crate::stats::TrialResult| groups.iter().any(|group| group.levels == trial.levels);
        if !summary.trials.iter().filter(of).any(|trial| claim::is_about(claim, plan, trial)) {
            continue;
        }
        for bound in line.bounds {
            match lines.iter_mut().find(|(at, sign, _)| at.total_cmp(&bound).is_eq() && *sign == line.sign) {
                Some((.., numbers)) => numbers.push(number.to_string()),
                None => lines.push((bound, line.sign, vec![number.to_string()])),
            }
        }
    }
    let label = |(bound, sign, numbers): (f64, &str, Vec<String>)| {
        let claims = if numbers.len() == 1 { "claim" } else { "claims" };
        (bound, format!("{claims} {}: {sign} {}", numbers.join(", "), number::with_unit(bound, reference.metric.unit)))
    };
    lines.into_iter().map(label).collect()
}

fn bar(group: &Group, varying: &[String], title: Title<'_>, reference: &Reference, scale: &Scale, y: f64) -> Bar {
    let levels = varying.iter().filter_map(|factor| group.levels.get(factor)).map(plain);
    let label = std::iter::once(title(&client(group))).chain(levels).collect::<Vec<_>>().join(" · ");
    let value = group.metrics.get(reference.metric.name);
    let end = value.and_then(|value| end(value, reference));
    let text = value.filter(|_| end.is_some()).map_or_else(
        || outcomes(&group.outcomes),
        |value| value.entry.text_of(if value.entry.n > 0 { reference.of(&value.entry) } else { None }),
    );
    let length = end.map_or(0.0, |end| scale.x(end) - LEFT);
    // A bar of nothing is still to be seen.
    let length = if end.is_some() { length.max(1.5) } else { 0.0 };
    let interval = value.filter(|_| end.is_some() && reference.statistic.is_none()).and_then(|value| value.interval);
    let ends = interval
        .filter(|[low, high]| high > low)
        .map(|[low, high]| [scale.x(low.clamp(0.0, scale.end)), scale.x(high.clamp(0.0, scale.end)), y + THICK / 2.0]);
    Bar {
        label,
        y,
        text_y: y + THICK / 2.0 + 4.5,
        thick: THICK,
        length,
        text,
        text_x: ends.map_or(LEFT + length, |[_, high, _]| high.max(LEFT + length)) + 7.0,
        obtained: end.is_some(),
        above: value.is_some_and(|value| value.entry.n == 0 && value.entry.above.is_some()),
        interval: ends,
    }
}

fn description(panels: &[Panel], reference: &Reference) -> String {
    let bars = |panel: &Panel| {
        panel.bars.iter().map(|bar| format!("{}: {}", bar.label, bar.text)).collect::<Vec<_>>().join(", ")
    };
    let all: Vec<String> = panels.iter().map(|panel| format!("{}: {}", panel.title, bars(panel))).collect();
    format!("Bars of {} by client. {}.", named(reference), all.join(". "))
}

/// The axis: from 0 in round steps.
#[derive(Debug)]
struct Scale {
    end: f64,
    step: f64,
}

impl Scale {
    /// Four to nine steps of 1, 2 or 5 times a power of ten, the last at or beyond `most`.
    fn up_to(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let power = 10_f64.powf((most / 4.0).log10().floor());
        let fits = |times: f64| most / (times * power) >= 4.0 - 1e-9;
        let step = [5.0, 2.0, 1.0].into_iter().find(|&times| fits(times)).unwrap_or(1.0) * power;
        Self { end: (most / step - 1e-9).ceil() * step, step }
    }

    fn x(&self, value: f64) -> f64 {
        let x = LEFT + (RIGHT - LEFT) * value / self.end;
        (x * 100.0).round() / 100.0
    }

    fn ticks(&self) -> Vec<Tick> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "four to ten steps")]
        let steps = (self.end / self.step).round() as u32;
        let tick = |at: u32| {
            // Steps such as 0.1 don't add up exactly.
            let value = (f64::from(at) * self.step * 1e9).round() / 1e9;
            Tick { x: self.x(value), text: number::plain(value) }
        };
        (0..=steps).map(tick).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_steps_and_room_for_the_most() {
        for most in [0.0, 0.37, 1.0, 6.0, 100.0, 150.0, 12_345.0] {
            let scale = Scale::up_to(most);
            let ticks = scale.ticks();
            assert!(scale.end >= most, "{most}");
            assert!((5..=11).contains(&ticks.len()), "{most}: {} ticks", ticks.len());
        }
        let texts: Vec<String> = Scale::up_to(100.0).ticks().into_iter().map(|tick| tick.text).collect();
        assert_eq!(texts, ["0", "20", "40", "60", "80", "100"]);
    }
}
