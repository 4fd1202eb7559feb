//! The table for a terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, ContentLineStyle, LineStyle,
    Table as Grid, TableStyle, Width,
};

use super::answer::answer;
use super::between::between;
use super::fewer::fewer;
use super::table::{NumberCell, Row, Table, client, plain, short_name};
use super::{Contents, Title};
use crate::stats::number::plural;
use crate::stats::stack;
use crate::stats::versions::named;
use crate::stats::{Summary, Verdict};
use crate::text::visible;
use crate::trial::Plan;
use crate::trial::fact::Outcome;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns of text.
    pub width: u16,
    /// Whether it shows colours.
    pub colour: bool,
}

/// The question, the table, the answer, the claims and what did not complete. Ends with a line break.
pub(super) fn terminal(of: Contents<'_>, look: Look) -> String {
    let Contents { plan, summary, title, .. } = of;
    let question = paragraph(&plan.question, look);
    let question = question.lines().map(|line| look.bold(line)).collect::<Vec<_>>().join("\n");
    let mut text = vec![question, paragraph(&tally(plan, summary, title), look)];
    let carried = stack::carried(plan, &summary.trials);
    text.extend(carried.map(|carried| paragraph(&format!("stack {carried}"), look)));
    text.push(String::new());
    text.extend(fewer(plan, summary, title).map(|text| format!("{}\n", paragraph(&text, look))));
    text.extend([numbers(plan, summary, title, look), String::new(), paragraph(&answer(plan, summary, title), look)]);
    if !summary.claims.is_empty() {
        text.extend([String::new(), look.bold("Claims"), claims(summary, title, look)]);
    }
    let between = stood_between(summary, look);
    if !between.is_empty() {
        text.extend([String::new(), look.bold("Between"), between]);
    }
    let broken = reasons(summary, title, look);
    if !broken.is_empty() {
        text.extend([String::new(), look.bold("Not completed"), broken]);
    }
    text.join("\n") + "\n"
}

impl Look {
    /// What any file can show.
    pub const PLAIN: Self = Self { width: 100, colour: false };

    pub(super) fn bold(self, text: &str) -> String {
        let text = visible(text);
        if self.colour { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.into_owned() }
    }

    pub(super) fn cell(self, text: &str, colour: Color) -> Cell {
        let cell = cell(text);
        if self.colour { cell.fg(colour) } else { cell }
    }

    pub(super) fn grid(self, style: TableStyle) -> Grid {
        let mut grid = Grid::new();
        grid.load_style(style).set_content_arrangement(ContentArrangement::Dynamic).set_width(self.width.max(40));
        grid.force_no_tty();
        if self.colour {
            grid.enforce_styling();
        }
        grid
    }
}

/// A cell of one line. No text comes into a table but by this and [`lines`].
pub(super) fn cell(text: &str) -> Cell {
    Cell::new(visible(text))
}

/// A cell of several lines.
pub(super) fn lines<T: AsRef<str>>(lines: &[T]) -> Cell {
    Cell::new(lines.iter().map(|line| visible(line.as_ref())).collect::<Vec<_>>().join("\n"))
}

/// `six-vs-hundred, seed 1: 10 completed, 2 unsupported`; and by which client, where there is one only.
fn tally(plan: &Plan, summary: &Summary, title: Title<'_>) -> String {
    let mut clients: Vec<(String, Option<&str>)> =
        summary.groups.iter().map(|group| (client(group), group.client_version.as_deref())).collect();
    clients.dedup_by(|a, b| a.0 == b.0);
    let by = match clients.as_slice() {
        [(name, version)] => format!(", by {}", named(name, *version, title)),
        _ => String::new(),
    };
    format!("{}, seed {}: {}{by}", plan.experiment, plan.seed, outcome_counts(summary))
}

fn numbers(plan: &Plan, summary: &Summary, title: Title<'_>, look: Look) -> String {
    let mut table = Table::new(plan, summary, title, 8);
    let width = usize::from(look.width.max(40));
    let one_client = table.rows.iter().filter(|row| row.span > 0).count() == 1;
    let all_completed = table.rows.iter().all(|row| row.worst == Outcome::Completed);
    let whole = Fit { client: !one_client, outcome: !all_completed };
    let rest = |table: &Table, fit: Fit| widths(table, fit).iter().map(|width| width + PADDING).sum::<usize>();
    let is_too_wide = |table: &Table, fit: Fit| {
        let name = if fit.client { NAME + PADDING } else { 0 };
        rest(table, fit) + name > width
    };
    let mut left_out = Vec::new();
    while table.columns.len() > 1 && is_too_wide(&table, whole) {
        left_out.extend(table.columns.pop().map(|column| column.head));
        table.rows.iter_mut().for_each(|row| _ = row.cells.pop());
    }
    let fit = if is_too_wide(&table, whole) { Fit { outcome: false, ..whole } } else { whole };
    // Where that is not enough, names are folded at every word.
    let least = table.rows.iter().map(|row| longest_word(&row.client)).max().unwrap_or(0).min(NAME);
    let name = width.saturating_sub(rest(&table, fit) + PADDING).clamp(least, 2 * NAME);
    let mut grid = look.grid(RULED);
    let head = fit.client.then(|| "client".to_owned()).into_iter().chain(head(&table, fit));
    let first_number = 1 + table.factors.len() + usize::from(fit.outcome) + usize::from(fit.client);
    grid.set_header(head.enumerate().map(|(at, text)| {
        let alignment = if at < first_number { CellAlignment::Left } else { CellAlignment::Right };
        let cell = cell(&text).set_alignment(alignment);
        if look.colour { cell.add_attribute(Attribute::Bold) } else { cell }
    }));
    let starts: Vec<usize> = (0..table.rows.len()).filter(|&at| table.rows[at].span > 0).collect();
    for start in starts {
        if start > 0 {
            grid.add_row(vec![cell("")]);
        }
        let rows = &table.rows[start..start + table.rows[start].span];
        let names = names(&rows[0], rows.len(), name);
        for (row, name) in rows.iter().zip(names) {
            grid.add_row(cells(row, &name, fit, look));
        }
    }
    let bounds = fit.client.then_some(name).into_iter().chain(widths(&table, fit)).map(|width| width + PADDING);
    grid.set_constraints(
        bounds.map(|width| ColumnConstraint::LowerBoundary(Width::Fixed(u16::try_from(width).unwrap_or(u16::MAX)))),
    );
    let marked = table.rows.iter().flat_map(|row| &row.cells).any(|cell| cell.value.ends_with('†'));
    let note = table
        .limited
        .filter(|_| marked)
        .map(|limited| paragraph(&format!("† says more about the machine than about the subject: {limited}"), look));
    if whole.outcome && !fit.outcome {
        left_out.push("outcome".to_owned());
    }
    left_out.reverse();
    let left_out = (!left_out.is_empty()).then(|| {
        let text = format!("no room here for {}: the report and summary.csv have it all", left_out.join(", "));
        paragraph(&text, look)
    });
    std::iter::once(trimmed(&grid)).chain(note).chain(left_out).collect::<Vec<_>>().join("\n")
}

/// Which columns a table has beside the numbers'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fit {
    /// The client's; where there is one only, the line above the table names it.
    client: bool,
    /// What was not completed is told below, too.
    outcome: bool,
}

/// The heads of all columns but the client's.
fn head(table: &Table, fit: Fit) -> Vec<String> {
    let factor = |factor: &String| short_name(factor, &table.factors).to_owned();
    let columns = table.columns.iter().map(|c| match c.unit {
        "" => c.head.clone(),
        unit => format!("{} ({unit})", c.head),
    });
    let fixed = std::iter::once("protocol".to_owned()).chain(table.factors.iter().map(factor));
    fixed.chain(fit.outcome.then(|| "outcome".to_owned())).chain(columns).collect()
}

/// How wide each of these is at least: words are never broken.
fn widths(table: &Table, fit: Fit) -> Vec<usize> {
    let cells = table.rows.iter().map(|row| words(row, fit)).chain([head(table, fit)]);
    let none = vec![0; head(table, fit).len()];
    cells.fold(none, |most, row| most.iter().zip(row).map(|(m, text)| (*m).max(longest_word(&text))).collect())
}

/// The blanks on both sides of a cell.
const PADDING: usize = 2;
/// The least room for a client's name.
const NAME: usize = 16;
/// A rule below the head, and nothing else.
const RULED: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─')).content_lines(ContentLineStyle::none());

/// A row's texts but for the client's name.
fn words(row: &Row, fit: Fit) -> Vec<String> {
    let fixed = std::iter::once(&row.protocol).chain(&row.levels).chain(fit.outcome.then_some(&row.outcome));
    fixed.cloned().chain(row.cells.iter().map(NumberCell::text)).collect()
}

fn longest_word(text: &str) -> usize {
    text.split(' ').map(|word| word.chars().count()).max().unwrap_or(0)
}

/// A client's name and version, folded to this width over so many rows; the last takes what is left.
fn names(row: &Row, rows: usize, width: usize) -> Vec<Vec<String>> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in row.client.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    let tail = lines.split_off(lines.len().min(rows.saturating_sub(1)));
    let mut names: Vec<Vec<String>> = lines.into_iter().map(|line| vec![line]).collect();
    names.push(tail);
    names.resize(rows, Vec::new());
    names
}

fn cells(row: &Row, name: &[String], fit: Fit, look: Look) -> Vec<Cell> {
    let mut cells: Vec<Cell> = fit.client.then(|| lines(name)).into_iter().collect();
    cells.push(cell(&row.protocol));
    cells.extend(row.levels.iter().map(|level| cell(level)));
    cells.extend(fit.outcome.then(|| match row.worst {
        Outcome::Completed => cell(&row.outcome),
        Outcome::Unsupported => look.cell(&row.outcome, Color::DarkGrey),
        Outcome::TimedOut | Outcome::Failed => look.cell(&row.outcome, Color::Red),
    }));
    cells.extend(row.cells.iter().map(|number| cell(&number.text()).set_alignment(CellAlignment::Right)));
    cells
}

fn claims(summary: &Summary, title: Title<'_>, look: Look) -> String {
    let mut grid = look.grid(NOTHING);
    let (elsewhere, here): (Vec<_>, Vec<_>) = summary.claims.iter().partition(|claim| claim.is_about_nothing_here());
    for claim in here {
        let verdict = look.cell(&format!("{} {}", claim.verdict.sign(), claim.verdict.word()), colour(claim.verdict));
        let place = claim.source.place().to_owned();
        let stacks = claim.stacks.clone().unwrap_or_default();
        let said: Vec<String> = [format!("“{}”", claim.says), claim.evidence_by(title), stacks, place]
            .into_iter()
            .filter(|line| !line.is_empty())
            .collect();
        grid.add_row(vec![verdict, lines(&said)]);
    }
    if !elsewhere.is_empty() {
        let claims = plural(elsewhere.len(), "claim");
        let are = if elsewhere.len() == 1 { "is" } else { "are" };
        grid.add_row(vec![
            cell("–"),
            cell(&format!("{claims} of the experiment {are} about trials that this run doesn't have")),
        ]);
    }
    trimmed(&grid)
}

pub(super) const fn colour(verdict: Verdict) -> Color {
    match verdict {
        Verdict::Confirmed => Color::Green,
        Verdict::Refuted => Color::Red,
        Verdict::Inconclusive => Color::Yellow,
    }
}

/// `10 completed, 2 unsupported`.
pub(super) fn outcome_counts(summary: &Summary) -> String {
    let outcomes = Outcome::counted(summary.trials.iter().map(|trial| trial.outcome));
    outcomes.iter().map(|(outcome, n)| format!("{n} {}", outcome.word())).collect::<Vec<_>>().join(", ")
}

/// What stood between, and what was changed in it.
fn stood_between(summary: &Summary, look: Look) -> String {
    let mut grid = look.grid(NOTHING);
    for view in between(summary) {
        grid.add_row(vec![cell(&view.name), lines(&[vec![view.says], view.changes].concat())]);
    }
    trimmed(&grid)
}

/// Every trial that was not completed, with its reason; trials with the same one share a line.
fn reasons(summary: &Summary, title: Title<'_>, look: Look) -> String {
    let mut told: Vec<(String, Vec<u32>)> = Vec::new();
    for trial in summary.trials.iter().filter(|trial| trial.outcome != Outcome::Completed) {
        let level = |factor: &str| trial.levels.get(factor).map(plain).unwrap_or_default();
        let reason = trial.reason.as_deref().unwrap_or("no reason was given");
        let word = trial.outcome.word();
        let line = format!("{}, {}: {word}: {reason}", title(&level("client")), level("protocol"));
        match told.iter_mut().find(|(other, _)| *other == line) {
            Some((_, trials)) => trials.push(trial.trial),
            None => told.push((line, vec![trial.trial])),
        }
    }
    if told.is_empty() {
        return String::new();
    }
    let mut grid = look.grid(NOTHING);
    for (line, trials) in told {
        let trials: Vec<String> = trials.iter().map(u32::to_string).collect();
        grid.add_row(vec![cell(&format!("trial {}", trials.join(", "))), cell(&line)]);
    }
    trimmed(&grid)
}

pub(super) fn paragraph(text: &str, look: Look) -> String {
    let mut grid = look.grid(NOTHING);
    grid.add_row(vec![cell(text)]);
    if let Some(column) = grid.column_mut(0) {
        column.set_padding((0, 0));
    }
    trimmed(&grid)
}

/// Without the blanks that fill the last column.
pub(super) fn trimmed(grid: &Grid) -> String {
    grid.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Machine;
    use crate::report::html::tests::run;
    use crate::stats::summarise;

    fn shown(look: Look) -> String {
        let (plan, observations) = run();
        let title = |name: &str| match name {
            "webkit" => "WebKitGTK (libsoup; not Safari)".to_owned(),
            other => other.to_owned(),
        };
        let (summary, machine) = (summarise(&plan, &observations), Machine::default());
        let (plan, summary, machine) = (&plan, &summary, &machine);
        terminal(Contents { plan, summary, lanes: &[], machine, calibration: None, title: &title }, look)
    }

    #[test]
    fn a_terminal_of_100_columns_is_never_overrun() {
        for width in [60, 72, 100, 160] {
            let text = shown(Look { width, colour: false });
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= usize::from(width), "{widest} in {width}:\n{text}");
        }
        let narrow = shown(Look { width: 72, colour: false });
        assert!(narrow.contains("no room here for ") && narrow.contains("summary.csv have it all"), "{narrow}");
        assert!(!shown(Look { width: 300, colour: false }).contains("no room here for "));
    }

    #[test]
    fn a_table_with_factors_fits_60_columns() {
        let (mut plan, observations) = run();
        plan.factors = ["client", "protocol", "workload.pages", "workload.max-connections"].map(str::to_owned).to_vec();
        let (twos, all) = (plan.trials.len() / 2, plan.trials.len());
        for (at, trial) in plan.trials.iter_mut().enumerate().take(all) {
            trial.levels.insert("workload.pages".to_owned(), if at < twos { 1 } else { 2 }.into());
            trial.levels.insert("workload.max-connections".to_owned(), if at % 2 == 0 { "unset" } else { "6" }.into());
        }
        let (summary, machine) = (summarise(&plan, &observations), Machine::default());
        let (plan, summary, machine, title) = (&plan, &summary, &machine, &str::to_owned);
        let of = Contents { plan, summary, lanes: &[], machine, calibration: None, title };
        let text = terminal(of, Look { width: 60, colour: false });
        let table = text.split("held").next().unwrap();
        assert!(table.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(table.contains(" pages") && !table.contains("workload.pages"), "{text}");
    }

    #[test]
    fn the_table_names_clients_by_title_and_claims_with_verdict_and_evidence() {
        let text = shown(Look { width: 100, colour: false });
        for expected in ["WebKitGTK", "✓ confirmed", "✗ refuted", "unsupported", "https://example.org/six"] {
            assert!(text.contains(expected), "{expected} is missing:\n{text}");
        }
    }

    #[test]
    fn no_word_of_the_table_is_broken() {
        let text = shown(Look { width: 100, colour: false });
        for word in ["connections", "unsupported", "completed", "WebKitGTK", "(libsoup; not", "streams"] {
            assert!(text.split("Claims").next().unwrap().contains(word), "{word} is broken:\n{text}");
        }
    }

    #[test]
    fn colour_is_shown_only_when_told_so() {
        assert!(!shown(Look { width: 100, colour: false }).contains('\u{1b}'));
        assert!(shown(Look { width: 100, colour: true }).contains('\u{1b}'));
    }
}
