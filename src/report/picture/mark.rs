//! The claims' lines through a panel's bars, with their labels above the bars.

use super::{Drawing, LABEL};
use crate::stats::claim::{self, Reference};
use crate::stats::{Group, number};
use crate::trial::{Claim, Plan};

/// A claim's line through a panel.
#[derive(Debug)]
pub(in crate::report) struct Mark {
    pub(in crate::report) x: f64,
    pub(in crate::report) top: f64,
    pub(in crate::report) bottom: f64,
    /// Whether there is a line: not for a value beyond the axis, which only has its label.
    pub(in crate::report) within: bool,
    pub(in crate::report) label: String,
    pub(in crate::report) label_x: f64,
    pub(in crate::report) label_y: f64,
    /// Whether the label stands left of the line, for want of room.
    pub(in crate::report) leftwards: bool,
}

/// How far the axis must reach for bars up to `most` and the lines: one far beyond every bar would flatten them.
pub(super) fn room(plan: &Plan, reference: &Reference, most: f64) -> f64 {
    let bounds = plan.claims.iter().filter_map(|claim| line(claim, reference)).flat_map(|line| line.bounds);
    bounds.filter(|&bound| bound <= most * 2.0).fold(most, f64::max)
}

/// The claim's lines, where they are about this value.
fn line(claim: &Claim, reference: &Reference) -> Option<claim::Line> {
    claim::line(claim).filter(|line| line.reference.name() == reference.name())
}

/// A panel's lines before they are placed from top to bottom.
#[derive(Debug)]
pub(super) struct PlacedLines(Vec<Placed>);

#[derive(Debug)]
struct Placed {
    x: f64,
    within: bool,
    text: String,
    leftwards: bool,
    /// The label's row, from the top.
    row: u32,
    /// The last bar that it is about.
    last: u32,
}

/// A line at a value: what it says, the claims that say so (numbered from 1), the last bar that it is about.
struct Bound {
    value: f64,
    sign: &'static str,
    claims: Vec<String>,
    last: u32,
}

/// The lines through these groups' bars. Claims with the same line share it.
pub(super) fn lines(drawing: &Drawing<'_>, groups: &[&Group]) -> PlacedLines {
    let mut bounds: Vec<Bound> = Vec::new();
    for (claim, number) in drawing.plan.claims.iter().zip(1..) {
        let Some(line) = line(claim, &drawing.reference) else { continue };
        let about = |group: &Group| {
            let trial = drawing.summary.trials.iter().find(|trial| trial.levels == group.levels);
            trial.is_some_and(|trial| claim::is_about(claim, drawing.plan, trial))
        };
        let Some((_, last)) = groups.iter().zip(0..).filter(|(group, _)| about(group)).last() else { continue };
        for value in line.bounds {
            match bounds.iter_mut().find(|other| other.value.total_cmp(&value).is_eq() && other.sign == line.sign) {
                Some(other) => {
                    other.claims.push(number.to_string());
                    other.last = other.last.max(last);
                }
                None => bounds.push(Bound { value, sign: line.sign, claims: vec![number.to_string()], last }),
            }
        }
    }
    PlacedLines(placed(drawing, bounds))
}

/// Places labels in as few rows as their widths allow.
fn placed(drawing: &Drawing<'_>, bounds: Vec<Bound>) -> Vec<Placed> {
    // A character of a label is about 6.5 wide at its size.
    const CHARACTER: f64 = 6.5;
    let mut taken: Vec<Vec<[f64; 2]>> = Vec::new();
    let place = |bound: Bound| {
        let (shape, scale) = (drawing.shape, &drawing.scale);
        let within = bound.value <= scale.end;
        let x = scale.x(bound.value.min(scale.end));
        let text = text(&bound, drawing.reference.metric.unit, within);
        let leftwards = x > shape.left + (shape.right - shape.left) * 0.62;
        let width = text.chars().count() as f64 * CHARACTER + 12.0;
        let span = if leftwards { [x - width, x + 2.0] } else { [x - 2.0, x + width] };
        let free = |row: &Vec<[f64; 2]>| row.iter().all(|other| span[1] < other[0] || span[0] > other[1]);
        let row = taken.iter().position(free).unwrap_or(taken.len());
        if row == taken.len() {
            taken.push(Vec::new());
        }
        taken[row].push(span);
        Placed { x, within, text, leftwards, row: u32::try_from(row).unwrap_or(0), last: bound.last }
    };
    bounds.into_iter().map(place).collect()
}

/// `claim 1: 6`, `claims 2, 3: ≤ 50 ms`, with an arrow for a value beyond the axis.
fn text(bound: &Bound, unit: &str, within: bool) -> String {
    let claims = if bound.claims.len() == 1 { "claim" } else { "claims" };
    let space = if bound.sign.is_empty() { "" } else { " " };
    let arrow = if within { "" } else { " →" };
    let value = number::with_unit(bound.value, unit);
    format!("{claims} {}: {}{space}{value}{arrow}", bound.claims.join(", "), bound.sign)
}

impl PlacedLines {
    /// How many rows the labels take.
    pub(super) fn rows(&self) -> f64 {
        f64::from(self.0.iter().map(|line| line.row + 1).max().unwrap_or(0))
    }

    /// The lines with their labels' rows from `top` on; `bottom` is where the bar of this number ends.
    pub(super) fn marks(self, top: f64, bottom: impl Fn(u32) -> f64) -> Vec<Mark> {
        let mark = |line: Placed| {
            let top = top + f64::from(line.row) * LABEL;
            Mark {
                x: line.x,
                top: top - 8.0,
                bottom: bottom(line.last),
                within: line.within,
                label: line.text,
                label_x: if line.leftwards { line.x - 6.0 } else { line.x + 6.0 },
                label_y: top + 4.0,
                leftwards: line.leftwards,
            }
        };
        self.0.into_iter().map(mark).collect()
    }
}
