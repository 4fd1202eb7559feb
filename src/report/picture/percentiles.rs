//! Percentiles of what is measured many times in a trial: a row per combination on a logarithmic axis, each repeat a
//! dot, and the median of the repeats a mark.

use super::axis::Tick;
use super::log::LogScale;
use super::{GAP, HEAD, MOST_BARS, RowName, Shape, THICK, label};
use crate::report::Title;
use crate::report::answer::subject;
use crate::report::table::{distinct, factors, protocol, protocol_title};
use crate::stats::claim::Reference;
use crate::stats::{Entry, Group, Summary, number};
use crate::trial::Plan;
use crate::trial::fact::Outcome;

/// The percentiles, and how many samples of a trial each takes at least: of fewer it would only be the largest one.
const PERCENTILES: [(&str, usize); 3] = [("p50", 2), ("p90", 10), ("p99", 100)];

/// All that the template draws.
#[derive(Debug)]
pub(in crate::report) struct Percentiles {
    pub(in crate::report) width: f64,
    pub(in crate::report) height: f64,
    /// What is drawn: `latency`.
    pub(in crate::report) subject: String,
    /// All of it in words.
    pub(in crate::report) description: String,
    pub(in crate::report) panels: Vec<PercentilePanel>,
    pub(in crate::report) ticks: Vec<Tick>,
    pub(in crate::report) axis_top: f64,
    pub(in crate::report) axis_bottom: f64,
    pub(in crate::report) left_out: usize,
    /// Which of [`PERCENTILES`] are drawn.
    pub(in crate::report) shown: [bool; 3],
    /// Whether some are known only to be below something, and whether some repeats' are where the median of all isn't.
    pub(in crate::report) below: bool,
    pub(in crate::report) repeats_below: bool,
}

/// One protocol.
#[derive(Debug)]
pub(in crate::report) struct PercentilePanel {
    pub(in crate::report) title: String,
    pub(in crate::report) y: f64,
    pub(in crate::report) rows: Vec<PercentileRow>,
}

/// One combination of levels.
#[derive(Debug)]
pub(in crate::report) struct PercentileRow {
    pub(in crate::report) name: RowName,
    pub(in crate::report) y: f64,
    pub(in crate::report) text_y: f64,
    /// `1.5, 2.2, 3.9 ms`.
    pub(in crate::report) text: String,
    pub(in crate::report) text_x: f64,
    /// From the least mark to the greatest; from where the open bar ends, if there is one.
    pub(in crate::report) line: [f64; 2],
    /// The ends of an open bar: some percentiles are known only to be below where it ends.
    pub(in crate::report) below: Option<[f64; 2]>,
    pub(in crate::report) dots: Vec<Dot>,
    pub(in crate::report) marks: Vec<Dot>,
}

/// A percentile's place: which of [`PERCENTILES`] it is, and where it stands.
#[derive(Debug)]
pub(in crate::report) struct Dot {
    pub(in crate::report) kind: usize,
    pub(in crate::report) x: f64,
    /// It is known only to be less.
    pub(in crate::report) below: bool,
}

/// A value; or what it is below, where that is all that is known of it.
#[derive(Debug, Clone, Copy)]
struct Known {
    value: f64,
    below: bool,
}

impl Known {
    fn of(entry: &Entry, value: f64) -> Self {
        entry.below(value).map_or(Self { value, below: false }, |bound| Self { value: bound, below: true })
    }

    fn text(&self) -> String {
        format!("{}{}", if self.below { "< " } else { "" }, number::plain(self.value))
    }
}

/// What a row is drawn of.
struct Measured<'a> {
    group: &'a Group,
    /// Per percentile the repeats' values and their median.
    values: [(Vec<Known>, Option<Known>); 3],
    /// `1.5 · 2.2 · 3.9 ms`, `< 7.6 · 12.1 ms`; with a dagger where they say more about the machine than about the subject.
    text: String,
}

/// Draws the first metric that is measured many times in a trial: what the run is about, what claims name, or
/// latency. `None` where there is none.
pub(in crate::report) fn percentiles(
    plan: &Plan,
    summary: &Summary,
    title: Title<'_>,
    shape: Shape,
) -> Option<Percentiles> {
    let claimed = plan.claims.iter().filter_map(|claim| Reference::parse(&claim.metric).ok());
    let usual = Reference::parse("latency").ok();
    let mut wanted = subject(plan).into_iter().chain(claimed).chain(usual);
    let (reference, rows) = wanted.find_map(|reference| {
        let rows: Vec<Measured<'_>> = summary.groups.iter().filter_map(|g| measured(g, summary, &reference)).collect();
        (!rows.is_empty() && matches!(reference.metric.unit, "ms" | "µs")).then_some((reference, rows))
    })?;
    let left_out = rows.len().saturating_sub(MOST_BARS);
    let rows = &rows[..rows.len().min(MOST_BARS)];
    let varying = factors(plan, summary);
    let longest = rows.iter().map(|row| label(row.group, &varying, title).chars().count()).max().unwrap_or(0);
    let shape = shape.for_names_of(longest);
    let [right, text_x] = shape.right_of(rows.iter().map(|row| row.text.as_str()));
    let values = rows.iter().flat_map(|row| &row.values).flat_map(|(values, middle)| values.iter().chain(middle));
    // An open bar needs room to be seen.
    let values = values.flat_map(|known| [known.value, if known.below { known.value / 2.0 } else { known.value }]);
    let scale = LogScale::new(shape.left, right, values)?;
    let names = distinct(rows.iter().map(|row| row.group), protocol);
    let mut y = 4.0;
    let mut panels = Vec::new();
    for name in names {
        let of = rows.iter().filter(|row| protocol(row.group) == name);
        let first = y + HEAD + if shape.names_above { 15.0 } else { 0.0 };
        let rows: Vec<PercentileRow> = of
            .zip(0..)
            .map(|(row, at)| {
                let y = first + f64::from(at) * shape.step;
                drawn(row, label(row.group, &varying, title), y, shape, text_x, &scale)
            })
            .collect();
        let bottom = rows.last().map_or(first, |row| row.y + THICK / 2.0);
        panels.push(PercentilePanel { title: protocol_title(plan, &name), y: y + 14.0, rows });
        y = bottom + GAP;
    }
    let axis_bottom = y - GAP + 8.0;
    let drawn_rows = || panels.iter().flat_map(|panel| &panel.rows);
    let below = drawn_rows().any(|row| row.below.is_some());
    let repeats_below = drawn_rows().flat_map(|row| &row.dots).any(|dot| dot.below);
    Some(Percentiles {
        width: shape.width,
        height: axis_bottom + 26.0,
        subject: format!("{} ({})", reference.metric.name.replace('-', " "), reference.metric.unit),
        description: description(&panels),
        below,
        repeats_below,
        panels,
        ticks: scale.ticks(),
        axis_top: HEAD,
        axis_bottom,
        left_out,
        shown: [0, 1, 2].map(|kind| rows.iter().any(|row| row.values[kind].1.is_some())),
    })
}

fn measured<'a>(group: &'a Group, summary: &Summary, reference: &Reference) -> Option<Measured<'a>> {
    let name = reference.metric.name;
    let repeats = summary.trials.iter().filter(|t| t.levels == group.levels && t.outcome == Outcome::Completed);
    let entries: Vec<&Entry> = repeats.filter_map(|trial| trial.metrics.get(name)).collect();
    let of_group = &group.metrics.get(name)?.entry;
    let pick = |entry: &Entry, which: &str| match which {
        "p90" => entry.p90,
        "p99" => entry.p99,
        _ => entry.p50,
    };
    let values = PERCENTILES.map(|(which, least)| {
        let enough = entries.iter().filter(|entry| entry.n >= least);
        let values: Vec<Known> = enough.filter_map(|e| pick(e, which).map(|value| Known::of(e, value))).collect();
        let middle = pick(of_group, which).filter(|_| !values.is_empty()).map(|value| Known::of(of_group, value));
        (values, middle)
    });
    let dagger = if of_group.machine_limited.is_some() { "†" } else { "" };
    let middles: Vec<Known> = values.iter().filter_map(|(_, middle)| *middle).collect();
    let mut texts: Vec<String> = middles.iter().map(Known::text).collect();
    if middles.iter().all(|middle| middle.below) {
        // They have one bound.
        texts.truncate(1);
    }
    let text = format!("{}\u{a0}{}{dagger}", texts.join(" · "), of_group.unit);
    (!values[0].0.is_empty()).then_some(Measured { group, values, text })
}

fn drawn(row: &Measured<'_>, label: String, y: f64, shape: Shape, text_x: f64, scale: &LogScale) -> PercentileRow {
    let middle = y + THICK / 2.0;
    let of = |kind: usize, known: Known| Dot { kind, x: scale.x(known.value), below: known.below };
    let medians = row.values.iter().enumerate().filter_map(|(kind, (_, middle))| middle.map(|known| of(kind, known)));
    let (unknown, marks): (Vec<Dot>, Vec<Dot>) = medians.partition(|median| median.below);
    let bound = unknown.first().map(|median| median.x);
    let dots = row.values.iter().enumerate().flat_map(|(kind, (values, _))| values.iter().map(move |v| of(kind, *v)));
    // Those of which no more is known than the bar says aren't drawn again.
    let dots = dots.filter(|dot| !dot.below || bound.is_none());
    let ends = marks.iter().map(|mark| mark.x).chain(bound);
    PercentileRow {
        name: shape.name(label, y),
        y: middle,
        text_y: middle + 4.5,
        text: row.text.clone(),
        text_x,
        line: [ends.clone().fold(f64::INFINITY, f64::min), ends.fold(0.0, f64::max)],
        below: bound.map(|bound| [shape.left, bound]),
        dots: if row.values[0].0.len() > 1 { dots.collect() } else { Vec::new() },
        marks,
    }
}

fn description(panels: &[PercentilePanel]) -> String {
    let rows = |panel: &PercentilePanel| {
        panel.rows.iter().map(|row| format!("{}: {}", row.name.text, row.text)).collect::<Vec<_>>().join(", ")
    };
    let all: Vec<String> = panels.iter().map(|panel| format!("{}: {}", panel.title, rows(panel))).collect();
    format!("p50, p90 and p99 by client. {}.", all.join(". "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::stats::summarise;
    use crate::trial::Alpn;

    /// A repeat with so many events, the n-th of which takes n tenths of so many milliseconds.
    fn measured(repeat: u32, events: u32, ms: i64) -> RecordedTrial {
        let mut rig = RecordedTrial::of(repeat, repeat, "chromium", Alpn::H2);
        rig.start("156.0").request(0).attach(0, 1).open(0);
        for event in 0..events {
            rig.publish(event).receive_at(0, event, i64::from(event) * ms * 100_000);
        }
        rig.census().write(&[0]).receive_last(0).end(Outcome::Completed, None);
        rig
    }

    fn drawn_of(rigs: &[RecordedTrial]) -> Option<Percentiles> {
        let (plan, observations) = RecordedTrial::plan(rigs, Vec::new());
        percentiles(&plan, &summarise(&plan, &observations), &str::to_owned, Shape::WIDE)
    }

    #[test]
    fn each_repeat_is_a_dot_and_a_percentile_of_too_few_samples_is_none() {
        let picture = drawn_of(&[measured(0, 20, 1), measured(1, 20, 4)]).unwrap();
        let row = &picture.panels[0].rows[0];
        let kinds = |dots: &[Dot]| dots.iter().map(|dot| dot.kind).collect::<Vec<usize>>();
        assert_eq!((kinds(&row.dots), kinds(&row.marks)), (vec![0, 0, 1, 1], vec![0, 1]), "no p99 of 21 samples");
        assert!(row.line[0] < row.line[1] && row.line[1] < row.text_x, "{row:?}");
        assert!(row.dots[0].x < row.dots[1].x, "four times as long is further right");
        assert!(row.y < picture.axis_bottom && picture.axis_bottom < picture.height);
    }

    #[test]
    fn what_clocks_cannot_tell_is_an_open_bar_and_no_mark() {
        // p50 takes 1 ms and p90 1.7 ms, the census included; what is below 1.5 ms can't be told.
        let mut rig = measured(0, 20, 1);
        rig.clock(500_000);
        let picture = drawn_of(&[rig.clone()]).unwrap();
        let row = &picture.panels[0].rows[0];
        let [begin, bound] = row.below.unwrap();
        assert_eq!(row.text, "< 1.50 · 1.70\u{a0}ms");
        assert_eq!(row.marks.iter().map(|mark| mark.kind).collect::<Vec<_>>(), [1], "p50 has no mark");
        assert!(begin < bound && bound < row.marks[0].x && (row.line[0] - bound).abs() < 0.01, "{row:?}");
        assert!(picture.below && !picture.repeats_below && picture.description.contains("< 1.50"));
        // One repeat in three can't tell; the median of all is another's, whose clock can.
        let all: Vec<RecordedTrial> = [(0, 1), (1, 4), (2, 5)].map(|(repeat, ms)| measured(repeat, 20, ms)).to_vec();
        let with = |at: usize, off: u64| {
            let mut rigs = all.clone();
            rigs[at].clock(off);
            drawn_of(&rigs).unwrap()
        };
        let picture = with(0, 500_000);
        let row = &picture.panels[0].rows[0];
        assert!(row.below.is_none() && picture.repeats_below && !picture.below, "{row:?}");
        assert_eq!(row.dots.iter().map(|dot| dot.below).filter(|below| *below).count(), 1, "{row:?}");
        let picture = with(1, 9_000_000);
        let row = &picture.panels[0].rows[0];
        assert_eq!((row.text.as_str(), row.marks.len()), ("< 27\u{a0}ms", 0), "all of them are below one bound");
        assert!(row.dots.iter().all(|dot| !dot.below) && picture.below, "{row:?}");
    }

    #[test]
    fn what_was_measured_once_has_no_percentiles() {
        assert!(drawn_of(&[RecordedTrial::of(0, 0, "chromium", Alpn::H2)]).is_none());
    }
}
