//! The lanes: a small picture per combination, connections as rows, streams as lines from when they came to when
//! they went. Lengths are in units of the drawing.

use std::fmt::Write as _;

use super::Title;
use super::table::{level_phrase, plain};
use crate::stats::TrialLanes;
use crate::stats::lanes::{ConnectionLane, LaneStream};
use crate::stats::number;
use crate::stats::versions::named;
use crate::trial::Levels;

/// How many combinations are drawn.
const MOST_DRAWINGS: usize = 48;
/// How many connections of one are.
const MOST_LANES: usize = 16;
/// How many streams of one connection are; more would be no picture, only ink.
const MOST_STREAMS: usize = 128;
/// How many colours there are. Where there are more kinds, those that have none to themselves share the last, and the
/// legend says so once.
const COLOURS: usize = 8;

/// The drawing's width, and where its time begins and ends.
pub(super) const WIDTH: f64 = 360.0;
pub(super) const LEFT: f64 = 44.0;
const RIGHT: f64 = 310.0;
/// How high a lane is at least, and what lies between two.
const LEAST: f64 = 11.0;
const GAP: f64 = 5.0;

/// What is drawn of a run's combinations, a drawing each.
#[derive(Debug)]
pub(super) struct Drawings<T> {
    pub(super) drawings: Vec<T>,
    /// How many combinations were not drawn.
    pub(super) left_out: usize,
}

impl<T> Drawings<T> {
    /// Draws as many of these as a page has room for.
    pub(super) fn new(lanes: &[&TrialLanes], draw: impl FnMut(&TrialLanes) -> T) -> Self {
        Self {
            drawings: lanes.iter().copied().take(MOST_DRAWINGS).map(draw).collect(),
            left_out: lanes.len().saturating_sub(MOST_DRAWINGS),
        }
    }
}

/// One combination.
#[derive(Debug)]
pub(super) struct Drawing {
    /// `Chromium 156.0 · sse/h1`.
    pub(super) name: String,
    /// All of it in words: `6 connections with 1 stream each; 144 more streams were asked for`.
    pub(super) words: String,
    pub(super) trial: u32,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) rows: Vec<LaneRow>,
    /// Kinds of streams by the colour that they have.
    pub(super) legend: Vec<Key>,
    /// Where the axis is, and what stands at its ends.
    pub(super) axis: f64,
    pub(super) end: String,
    /// What was left out of the picture, if anything.
    pub(super) more: Option<String>,
}

/// A kind of streams.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) colour: usize,
    pub(super) name: String,
}

/// A connection.
#[derive(Debug)]
pub(super) struct LaneRow {
    /// `h2 1`.
    pub(super) label: String,
    /// How many streams it has at T.
    pub(super) load: String,
    pub(super) y: f64,
    pub(super) height: f64,
    pub(super) text_y: f64,
    /// How thick a line is.
    pub(super) thick: f64,
    /// The lines of each kind.
    pub(super) paths: Vec<Path>,
}

/// Streams of one kind.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) colour: usize,
    /// `M34 12.5H310…`, one line for each stream.
    pub(super) lines: String,
}

pub(super) fn drawings(lanes: &[TrialLanes], factors: &[String], title: Title<'_>) -> Drawings<Drawing> {
    Drawings::new(&lanes.iter().collect::<Vec<_>>(), |lanes| drawing(lanes, factors, title))
}

fn drawing(of: &TrialLanes, factors: &[String], title: Title<'_>) -> Drawing {
    let scale = |ms: f64| LEFT + (RIGHT - LEFT) * (ms / of.end.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
    let mut y = 2.0;
    let mut rows = Vec::new();
    for (at, lane) in of.lanes.iter().take(MOST_LANES).enumerate() {
        let row = row(lane, at + 1, y, &scale);
        y += row.height + GAP;
        rows.push(row);
    }
    let own = if of.kinds.len() > COLOURS { COLOURS - 1 } else { COLOURS };
    let legend = of.kinds.iter().take(own).enumerate().map(|(colour, name)| Key { colour, name: name.clone() });
    let others = of.kinds.len().saturating_sub(own);
    let others = (others > 0).then(|| Key { colour: own, name: format!("{others} others") });
    Drawing {
        name: name(&of.levels, of.client_version.as_deref(), factors, title),
        words: words(of),
        trial: of.trial,
        width: WIDTH,
        height: y + 16.0,
        left: LEFT,
        right: RIGHT,
        rows,
        legend: legend.chain(others).collect(),
        axis: y,
        end: format!("T, {}", seconds(of.end)),
        more: more(of),
    }
}

fn row(lane: &ConnectionLane, number: usize, y: f64, scale: &dyn Fn(f64) -> f64) -> LaneRow {
    let drawn = thinned(&lane.streams);
    let pitch = (60.0 / drawn.len() as f64).clamp(1.2, 5.0);
    let height = (drawn.len() as f64 * pitch).max(LEAST);
    // In the middle of the lane, each line in the middle of its share.
    let first = y + (height - (drawn.len() as f64 - 1.0) * pitch) / 2.0;
    let mut paths: Vec<Path> = Vec::new();
    for (at, stream) in drawn.iter().enumerate() {
        let colour = colour(stream.kind);
        let (from, until) = (scale(stream.from), stream.until.map_or(RIGHT, scale));
        // One that came and went at once is still to be seen.
        let (from, until) = (from.min(RIGHT - 1.0), until.max(from + 1.0).min(RIGHT));
        if paths.last().is_none_or(|path| path.colour != colour) {
            paths.push(Path { colour, lines: String::new() });
        }
        if let Some(path) = paths.last_mut() {
            // Writing to a text can't fail.
            let _ = write!(path.lines, "M{} {}H{}", tenth(from), tenth(first + at as f64 * pitch), tenth(until));
        }
    }
    let label = format!("{} {number}", lane.alpn);
    let load = number::plain(lane.at_census() as f64);
    LaneRow { label, load, y, height, text_y: y + height / 2.0 + 4.0, thick: (pitch * 0.62).min(2.6), paths }
}

/// All of a few streams, or so many of more, evenly.
fn thinned(streams: &[LaneStream]) -> Vec<LaneStream> {
    let n = streams.len().min(MOST_STREAMS);
    (0..n).map(|at| streams[at * streams.len() / n]).collect()
}

/// Kinds beyond the colours share the last; what has no kind has the first.
fn colour(kind: Option<usize>) -> usize {
    kind.unwrap_or(0).min(COLOURS - 1)
}

/// Two digits are enough for a screen and half the page.
pub(super) fn tenth(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

/// `3 s`, `0.60 s`.
pub(super) fn seconds(ms: f64) -> String {
    if ms < 1000.0 { format!("{ms:.0} ms") } else { format!("{:.1} s", ms / 1000.0) }
}

/// `Chromium 156.0 · sse/h2 · max concurrent streams 50`.
pub(super) fn name(levels: &Levels, version: Option<&str>, factors: &[String], title: Title<'_>) -> String {
    let level = |factor: &str| levels.get(factor).map(plain).unwrap_or_default();
    let others = factors.iter().filter_map(|factor| level_phrase(factor, levels.get(factor)?, factors));
    let who = named(&level("client"), version, title);
    [who, level("protocol")].into_iter().chain(others).collect::<Vec<_>>().join(" · ")
}

/// What the picture shows, without it: connections that carry the same at T are told together.
fn words(of: &TrialLanes) -> String {
    // One entry per load: how many connections have it, how many streams each, and of which kinds.
    let mut loads: Vec<(usize, usize, String)> = Vec::new();
    for lane in &of.lanes {
        let (streams, kinds) = (lane.at_census(), kinds(of, lane));
        match loads.iter_mut().find(|(_, other, others)| *other == streams && *others == kinds) {
            Some((connections, ..)) => *connections += 1,
            None => loads.push((1, streams, kinds)),
        }
    }
    loads.sort_by_key(|(_, streams, _)| std::cmp::Reverse(*streams));
    let load = |(connections, streams, kinds): &(usize, usize, String)| {
        let each = if *connections > 1 { " each" } else { "" };
        match streams {
            0 => format!("{} whose streams had ended", number::plural(*connections, "connection")),
            _ => format!(
                "{} with {}{each}{kinds}",
                number::plural(*connections, "connection"),
                number::plural(*streams, "stream")
            ),
        }
    };
    let shown = loads.iter().take(MOST_LANES).map(load).collect::<Vec<_>>().join(", ");
    let rest = loads.iter().skip(MOST_LANES).map(|(connections, ..)| connections).sum::<usize>();
    let rest =
        if rest > 0 { format!(" and {} with other loads", number::plural(rest, "connection")) } else { String::new() };
    let waiting = match of.left_out {
        0 => String::new(),
        1 => "; 1 more stream was asked for".to_owned(),
        n => format!("; {} more streams were asked for", number::plain(n as f64)),
    };
    format!("{shown}{rest}{waiting}")
}

/// ` (50 omit, 50 include)`, or ` (omit)` where all are of one kind.
fn kinds(of: &TrialLanes, lane: &ConnectionLane) -> String {
    let count = |kind: usize| lane.streams.iter().filter(|s| s.until.is_none() && s.kind == Some(kind)).count();
    let counts = of.kinds.iter().enumerate().map(|(at, name)| (count(at), name)).filter(|(count, _)| *count > 0);
    match counts.collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        [(_, one)] => format!(" ({one})"),
        several => {
            let each: Vec<String> = several.iter().map(|(count, name)| format!("{count} {name}")).collect();
            format!(" ({})", each.join(", "))
        }
    }
}

fn more(of: &TrialLanes) -> Option<String> {
    let lanes = of.lanes.iter().skip(MOST_LANES);
    let (connections, streams) = lanes.fold((0, 0), |(n, streams), lane| (n + 1, streams + lane.streams.len()));
    let thinned: usize =
        of.lanes.iter().take(MOST_LANES).map(|lane| lane.streams.len().saturating_sub(MOST_STREAMS)).sum();
    let parts = [
        (connections > 0).then(|| {
            format!("{} with {}", number::plural(connections, "connection"), number::plural(streams, "stream"))
        }),
        (thinned > 0).then(|| format!("{} of the connections above", number::plural(thinned, "stream"))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("Not drawn: {}.", parts.join(", and ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats;
    use crate::stats::rig::RecordedTrial;
    use crate::trial::Alpn;

    fn drawn(rigs: &[RecordedTrial]) -> Drawings<Drawing> {
        let (plan, observations) = RecordedTrial::plan(rigs, Vec::new());
        drawings(&stats::lanes(&plan, &observations, &|_| Vec::new()), &[], &str::to_owned)
    }

    #[test]
    fn six_lanes_have_a_line_each_and_one_lane_has_a_hundred() {
        let drawings = drawn(&[
            RecordedTrial::held(0, 0, "chromium", Alpn::H1, 6, 150),
            RecordedTrial::held(1, 0, "chromium", Alpn::H2, 100, 150),
        ]);
        let lines = |drawing: &Drawing| -> Vec<usize> {
            drawing.rows.iter().map(|row| row.paths.iter().map(|path| path.lines.matches('M').count()).sum()).collect()
        };
        let [six, hundred] = drawings.drawings.as_slice() else { panic!("two drawings") };
        assert_eq!((lines(six), lines(hundred)), (vec![1; 6], vec![100]));
        assert_eq!(six.words, "6 connections with 1 stream each; 144 more streams were asked for");
        assert_eq!(hundred.words, "1 connection with 100 streams; 50 more streams were asked for");
        assert_eq!((six.rows[5].label.as_str(), hundred.rows[0].label.as_str()), ("h1 6", "h2 1"));
    }

    #[test]
    fn twelve_hundred_streams_stay_a_small_picture_that_says_what_is_missing() {
        for (alpn, expected) in [
            (Alpn::H1, "Not drawn: 1184 connections with 1184 streams."),
            (Alpn::H2, "Not drawn: 1072 streams of the connections above."),
        ] {
            let drawings = drawn(&[RecordedTrial::held(0, 0, "native", alpn, 1200, 1200)]);
            let drawing = &drawings.drawings[0];
            assert_eq!(drawing.more.as_deref(), Some(expected));
            let ink: usize = drawing.rows.iter().flat_map(|row| &row.paths).map(|path| path.lines.len()).sum();
            assert!(drawing.height < 300.0 && ink < 4000, "{} high, {ink} bytes", drawing.height);
        }
    }

    #[test]
    fn no_two_keys_of_a_legend_have_one_colour() {
        for (pages, expected) in [(3, "page 3"), (8, "page 8"), (12, "5 others")] {
            let kinds = (1..=pages).map(|page| format!("page {page}")).collect();
            let lanes = TrialLanes { end: 1.0, kinds, ..TrialLanes::default() };
            let legend = drawing(&lanes, &[], &str::to_owned).legend;
            let colours: std::collections::BTreeSet<usize> = legend.iter().map(|key| key.colour).collect();
            assert_eq!(colours.len(), legend.len(), "{legend:?}");
            assert_eq!(legend.last().map(|key| key.name.as_str()), Some(expected));
        }
    }

    #[test]
    fn lanes_do_not_overlap_and_nothing_leaves_the_drawing() {
        let mut rig = RecordedTrial::held(0, 0, "native", Alpn::H1, 9, 9);
        rig.attach(20, 1).attach(21, 1);
        let drawing = drawn(&[rig]).drawings.remove(0);
        for pair in drawing.rows.windows(2) {
            assert!(pair[0].y + pair[0].height < pair[1].y);
        }
        assert!(drawing.rows.last().is_some_and(|row| row.y + row.height <= drawing.axis));
        assert!(drawing.axis < drawing.height);
    }
}
