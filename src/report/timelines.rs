//! Timelines: how many streams were open when, of trials to which something was done on purpose. Lengths are in units of
//! the drawing.

use std::fmt::Write as _;

use super::Title;
use super::lanes::{Drawings, LEFT, WIDTH, name, seconds, tenth};
use crate::stats::number;
use crate::stats::{LaneFault, TrialLanes};

const RIGHT: f64 = 350.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 92.0;
/// How wide a band is at least, to be seen.
const LEAST_BAND: f64 = 2.0;

/// One combination.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) name: String,
    /// What happened: `kill-server at 2.0 s: of 100 open none was at the least, and all were back after 1.3 s`.
    pub(super) words: String,
    pub(super) trial: u32,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) bands: Vec<Band>,
    /// The areas and lines, as paths.
    pub(super) server: String,
    pub(super) client: String,
    /// What stands at the axes' ends.
    pub(super) most: String,
    pub(super) end: String,
}

/// What was done on purpose, and while what.
#[derive(Debug)]
pub(super) struct Band {
    pub(super) name: &'static str,
    pub(super) x: f64,
    pub(super) width: f64,
    pub(super) text_x: f64,
    pub(super) leftwards: bool,
}

pub(super) fn timelines(lanes: &[TrialLanes], factors: &[String], title: Title<'_>) -> Drawings<Timeline> {
    let with: Vec<&TrialLanes> = lanes.iter().filter(|lanes| !lanes.faults.is_empty()).collect();
    Drawings::new(&with, |lanes| timeline(lanes, factors, title))
}

fn timeline(of: &TrialLanes, factors: &[String], title: Title<'_>) -> Timeline {
    let x = |ms: f64| tenth(LEFT + (RIGHT - LEFT) * (ms / of.end.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0));
    let most = of.open.iter().flatten().map(|(_, open)| *open).max().unwrap_or(0).max(1);
    let y = |open: usize| tenth(BOTTOM - (BOTTOM - TOP) * open as f64 / most as f64);
    let [server, client] = of.open.each_ref().map(|steps| line(steps, &x, &y));
    let band = |fault: &LaneFault| {
        let from = x(fault.from);
        let leftwards = from > f64::midpoint(LEFT, RIGHT);
        Band {
            name: fault.name,
            x: from,
            width: fault.until.map_or(LEAST_BAND, |until| (x(until) - from).max(LEAST_BAND)),
            text_x: if leftwards { from - 3.0 } else { from + 3.0 },
            leftwards,
        }
    };
    Timeline {
        name: name(&of.levels, of.client_version.as_deref(), factors, title),
        words: words(of),
        trial: of.trial,
        width: WIDTH,
        height: BOTTOM + 22.0,
        left: LEFT,
        right: RIGHT,
        top: TOP,
        bottom: BOTTOM,
        bands: of.faults.iter().map(band).collect(),
        server: if server.is_empty() { server } else { format!("{server}V{BOTTOM}H{LEFT}z") },
        client,
        most: number::plain(most as f64),
        end: format!("T, {}", seconds(of.end)),
    }
}

/// Steps as a path; of those that stand at the same place only the last is drawn.
fn line(steps: &[(f64, usize)], x: &dyn Fn(f64) -> f64, y: &dyn Fn(usize) -> f64) -> String {
    if steps.is_empty() {
        return String::new();
    }
    let mut path = format!("M{LEFT} {}", y(0));
    for (at, (t, open)) in steps.iter().enumerate() {
        if steps.get(at + 1).is_none_or(|next| x(next.0).total_cmp(&x(*t)).is_ne()) {
            // Writing to a text can't fail.
            let _ = write!(path, "H{}V{}", x(*t), y(*open));
        }
    }
    path + &format!("H{RIGHT}")
}

/// The first fault, how many streams it left, and when as many were back.
fn words(of: &TrialLanes) -> String {
    let Some(fault) = of.faults.first() else { return String::new() };
    let [server, client] = &of.open;
    let steps = if client.is_empty() { server } else { client };
    let before = steps.iter().take_while(|(t, _)| *t < fault.from).last().map_or(0, |(_, open)| *open);
    let after = || steps.iter().filter(|(t, _)| *t >= fault.from);
    let least = after().map(|(_, open)| *open).min().unwrap_or(before).min(before);
    let at = format!("{} at {}", fault.name, seconds(fault.from));
    if least == before {
        return format!("{at}: all of {} stayed open", number::plural(before, "stream"));
    }
    let fell = after().position(|(_, open)| *open == least).unwrap_or(0);
    let back = after().skip(fell).find(|(_, open)| *open >= before);
    let left = if least == 0 { "none".to_owned() } else { number::plain(least as f64) };
    let left = format!("{at}: {left} of {} left", number::plural(before, "stream"));
    if let Some((t, _)) = back {
        return format!("{left}, all back {} after it began", seconds(t - fault.from));
    }
    let at_census = steps.last().map_or(0, |(_, open)| *open);
    format!("{left}, {} at T", number::plain(at_census as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(open: Vec<(f64, usize)>) -> TrialLanes {
        let faults = vec![LaneFault { name: "kill-server", from: 2000.0, until: Some(2500.0) }];
        TrialLanes { end: 5000.0, faults, open: [open.clone(), open], ..TrialLanes::default() }
    }

    #[test]
    fn it_says_how_many_a_fault_left_and_when_they_were_back() {
        let of = |open| words(&lanes(open));
        let back = of(vec![(0.0, 1), (1.0, 2), (2100.0, 1), (2200.0, 0), (3000.0, 1), (3400.0, 2)]);
        assert_eq!(back, "kill-server at 2.0 s: none of 2 streams left, all back 1.4 s after it began");
        let gone = of(vec![(0.0, 1), (1.0, 2), (2100.0, 1)]);
        assert_eq!(gone, "kill-server at 2.0 s: 1 of 2 streams left, 1 at T");
        assert_eq!(of(vec![(0.0, 1), (1.0, 2)]), "kill-server at 2.0 s: all of 2 streams stayed open");
    }

    #[test]
    fn a_line_steps_up_and_down_and_ends_at_t_and_many_steps_stay_little_ink() {
        let drawing = timeline(&lanes(vec![(1000.0, 1), (2100.0, 0), (3000.0, 1)]), &[], &str::to_owned);
        assert_eq!(drawing.client, "M44 92H105.2V20H172.5V92H227.6V20H350");
        assert!(drawing.server.starts_with(&drawing.client) && drawing.server.ends_with('z'));
        let band = &drawing.bands[0];
        assert!(band.x > 166.0 && band.width > 30.0 && !band.leftwards, "{band:?}");
        let flicker = (0..20_000).map(|at| (f64::from(at) / 4.0, usize::from(at % 2 == 0))).collect();
        assert!(timeline(&lanes(flicker), &[], &str::to_owned).client.len() < 60_000);
    }
}
