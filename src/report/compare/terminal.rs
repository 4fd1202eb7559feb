//! A comparison for a terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Color, Table as Grid};

use super::{Change, View};
use crate::report::terminal::{Look, RULED, paragraph, trimmed};
use crate::report::{Title, table};
use crate::stats::{Comparison, metric};

/// What changed, plans first. Ends with a line break.
///
/// Of the numbers that differ it shows those that are counted, and of those that are measured only what a report's
/// table usually has: two runs never take the same time.
pub fn terminal(comparison: &Comparison, title: Title<'_>, look: Look) -> String {
    let mut view = View::new(comparison, title);
    let all = view.numbers.len();
    let shown = shown(&mut view);
    let [first, second] = &view.runs;
    let mut text = vec![format!("first:  {first}\nsecond: {second}")];
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
    section("Numbers that differ", numbers(&view, look));
    for (at, run) in view.runs.iter().enumerate() {
        section(
            &format!("Only in {run}"),
            view.only[at].iter().map(|name| format!(" {name}")).collect::<Vec<_>>().join("\n"),
        );
    }
    if shown < all {
        text.push(format!("\n{} more numbers differ; --html FILE and --json have all of them.", all - shown));
    }
    text.extend([String::new(), paragraph(&view.sentence, look)]);
    text.join("\n") + "\n"
}

/// Takes out what a terminal doesn't show; says how many are left.
fn shown(view: &mut View) -> usize {
    let counted = |name: &str| metric::find(name).is_some_and(|metric| !matches!(metric.unit, "ms" | "µs" | "B"));
    let mut of = String::new();
    view.numbers.retain_mut(|number| {
        if !number.of.is_empty() {
            of.clone_from(&number.of);
        }
        let stays = counted(&number.metric) || table::USUAL.contains(&number.metric.as_str());
        // The first that stays carries the name of its combination.
        if stays {
            number.of = std::mem::take(&mut of);
        }
        stays
    });
    view.numbers.len()
}

fn changes(changes: &[Change], look: Look) -> String {
    let mut grid = look.grid(NOTHING);
    for Change { what, values: [first, second] } in changes {
        let between = if first == second { "=" } else { "→" };
        grid.add_row([what.as_str(), first, between, second]);
    }
    if changes.is_empty() { String::new() } else { trimmed(&grid) }
}

fn verdicts(view: &View, look: Look) -> String {
    let mut grid = look.grid(NOTHING);
    for verdict in &view.verdicts {
        let [first, second] = verdict.verdicts;
        let [was, is] = &verdict.evidence;
        grid.add_row([
            format!("{first}\n→ {second}"),
            format!("“{}” with {}\n{was}\n→ {is}", verdict.says, verdict.who),
        ]);
    }
    if view.verdicts.is_empty() { String::new() } else { trimmed(&grid) }
}

fn numbers(view: &View, look: Look) -> String {
    if view.numbers.is_empty() {
        return String::new();
    }
    let mut text = Vec::new();
    for of in view.numbers.chunk_by(|_, next| next.of.is_empty()) {
        let mut grid: Grid = look.grid(RULED);
        grid.set_header([of[0].of.as_str(), "first", "second", "difference", ""]);
        for number in of {
            let intervals = if number.apart {
                look.cell(number.intervals.to_owned(), Color::Yellow)
            } else {
                number.intervals.into()
            };
            let [first, second] = &number.values;
            grid.add_row([
                number.metric.as_str().into(),
                first.into(),
                second.into(),
                (&number.difference).into(),
                intervals,
            ]);
        }
        for column in grid.column_iter_mut().skip(1).take(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        text.push(trimmed(&grid));
    }
    let limited = view.numbers.iter().any(|number| number.limited);
    text.extend(limited.then(|| "† decides nothing: it says more about the machine than about the subject".to_owned()));
    text.join("\n\n")
}
