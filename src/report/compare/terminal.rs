//! A comparison for a terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Color, ColumnConstraint, Width};

use super::{Change, NumberView, View};
use crate::report::terminal::{Look, cell, lines, paragraph, trimmed};
use crate::report::{Title, table};
use crate::stats::Comparison;
use crate::text::visible;

/// What changed, plans first. Ends with a line break.
///
/// Of the numbers that differ it shows those that are counted, and of those that are measured only what a report's
/// table usually has: two runs never take the same time.
pub fn terminal(comparison: &Comparison, title: Title<'_>, look: Look) -> String {
    let mut view = View::new(comparison, title);
    let hidden = hide(&mut view.numbers[1]);
    let [first, second] = &view.runs;
    let mut text = vec![format!("first:  {}\nsecond: {}", visible(first), visible(second))];
    let mut section = |title: &str, body: String| {
        if !body.is_empty() {
            text.extend([String::new(), look.bold(title), body]);
        }
    };
    section("Asked for otherwise", changes(&view.plans, look));
    section("Ran on something else", changes(&view.surroundings, look));
    section("Versions", changes(&view.versions, look));
    section("Ended otherwise", changes(&view.outcomes, look));
    section("Verdicts that changed", verdicts(&view, look));
    for (title, of) in view.headings().into_iter().zip(&view.numbers) {
        section(title, numbers(of, look));
    }
    for (at, run) in view.runs.iter().enumerate() {
        section(
            &format!("Only in {run}"),
            view.only[at].iter().map(|name| format!(" {}", visible(name))).collect::<Vec<_>>().join("\n"),
        );
    }
    let notes = [
        (hidden > 0).then(|| format!("{hidden} more numbers differ; --html FILE and --json have all of them.")),
        view.numbers.iter().flatten().any(|number| number.limited).then(|| LIMITED.to_owned()),
        view.without.clone(),
        Some(view.sentence.clone()),
    ];
    text.extend(notes.into_iter().flatten().flat_map(|note| [String::new(), paragraph(&note, look)]));
    text.join("\n") + "\n"
}

/// Takes out what a terminal doesn't show, where no claim is about it; says how many that were.
fn hide(numbers: &mut Vec<NumberView>) -> usize {
    let all = numbers.len();
    let mut of = String::new();
    numbers.retain_mut(|number| {
        if !number.of.is_empty() {
            of.clone_from(&number.of);
        }
        let stays = number.counted || table::USUAL.contains(&number.metric.as_str());
        // The first that stays carries the name of its combination.
        if stays {
            number.of = std::mem::take(&mut of);
        }
        stays
    });
    all - numbers.len()
}

fn changes(changes: &[Change], look: Look) -> String {
    let mut grid = look.grid(NOTHING);
    for Change { what, values: [first, second] } in changes {
        let between = if first == second { "=" } else { "→" };
        grid.add_row([what.as_str(), first, between, second].map(cell));
    }
    if changes.is_empty() { String::new() } else { trimmed(&grid) }
}

fn verdicts(view: &View, look: Look) -> String {
    let mut grid = look.grid(NOTHING);
    for verdict in &view.verdicts {
        let [first, second] = verdict.verdicts;
        let [was, is] = &verdict.evidence;
        grid.add_row([
            lines(&[first.to_owned(), format!("→ {second}")]),
            lines(&[format!("“{}” with {}", verdict.says, verdict.who), was.clone(), format!("→ {is}")]),
        ]);
    }
    if view.verdicts.is_empty() { String::new() } else { trimmed(&grid) }
}

/// A heading per combination, and columns that are as wide below each of them.
fn numbers(numbers: &[NumberView], look: Look) -> String {
    if numbers.is_empty() {
        return String::new();
    }
    let widths = widths(numbers, look);
    let cells = |[a, b, c, d, e]: [Cell; 5]| {
        let mut grid = look.grid(NOTHING);
        grid.add_row([a, b, c, d, e]);
        for (column, width) in grid.column_iter_mut().zip(widths) {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
        for column in grid.column_iter_mut().skip(1).take(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        trimmed(&grid)
    };
    let mut text = vec![cells(["", "first", "second", "difference", ""].map(cell))];
    for number in numbers {
        if !number.of.is_empty() {
            text.extend([String::new(), format!(" {}", look.bold(&number.of))]);
        }
        let intervals = number.intervals;
        let intervals = if number.apart { look.cell(intervals, Color::Yellow) } else { cell(intervals) };
        let [first, second] = &number.values;
        text.push(cells([
            cell(&number.metric),
            cell(&first.text()),
            cell(&second.text()),
            cell(&number.difference),
            intervals,
        ]));
    }
    text.join("\n")
}

const LIMITED: &str = "† decides nothing: it says more about the machine than about the subject";
/// The blanks on both sides of a cell.
const PADDING: usize = 2;
/// How far columns are narrowed where the terminal is narrow: the intervals' words first, then values and difference.
const NARROW: usize = 19;
const LEAST: usize = 14;

/// How wide the columns of numbers are, their blanks included.
fn widths(numbers: &[NumberView], look: Look) -> [u16; 5] {
    let longest = |text: &dyn Fn(&NumberView) -> &str| {
        numbers.iter().map(|number| text(number).chars().count()).max().unwrap_or(0).max(10) + PADDING
    };
    let value = |at: usize| numbers.iter().map(|n| n.values[at].text().chars().count()).max().unwrap_or(0) + PADDING;
    let mut widths = [
        longest(&|number| &number.metric),
        value(0),
        value(1),
        longest(&|number| &number.difference),
        longest(&|number| number.intervals),
    ];
    let over = |widths: &[usize; 5]| widths.iter().sum::<usize>().saturating_sub(usize::from(look.width));
    widths[4] = widths[4].saturating_sub(over(&widths)).max(NARROW.min(widths[4]));
    // The wider of the two values gives way, so that both stay readable.
    while over(&widths) > 0 && widths[1].max(widths[2]) > LEAST {
        let wider = if widths[1] > widths[2] { 1 } else { 2 };
        widths[wider] -= 1;
    }
    widths[3] = widths[3].saturating_sub(over(&widths)).max(LEAST.min(widths[3]));
    widths.map(|width| u16::try_from(width).unwrap_or(u16::MAX))
}
