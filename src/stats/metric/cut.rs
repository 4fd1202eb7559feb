//! How long a subscription lasted that nobody had asked to end.

use super::{Metric, PLAIN, Sample};
use crate::stats::record::{Record, millis};

/// Per subscription that ended before T, its end − when it was asked for; where none ended: above the least that one had
/// lasted by then.
pub(super) static CUT_AFTER: Metric = Metric {
    name: "cut-after",
    unit: "ms",
    definition: "Per subscription that ended before T, its end − when it was asked for; where none ended: above the least \
                 that one had lasted by then.",
    phrase: "was cut after {}",
    compute: cut_after,
    ..PLAIN
};

fn cut_after(record: &Record<'_>) -> Sample {
    let Some(census) = record.last_census() else { return Sample::absent("the census was never taken") };
    let asked = |sub: &u32| record.requested.get(sub).copied();
    let ended = record.closed.iter().filter(|(_, (t, _))| *t <= census);
    let ended: Vec<f64> = ended.filter_map(|(sub, (t, _))| Some(millis(asked(sub)?, *t))).collect();
    if !ended.is_empty() {
        return Sample::Values(ended);
    }
    let lasted = record.requested.values().filter(|&&t| t < census).map(|&t| millis(t, census));
    lasted.reduce(f64::min).map_or_else(|| Sample::absent("nobody subscribed before T"), Sample::Above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;

    #[test]
    fn what_ended_before_the_census_is_timed_and_what_lasted_is_above() {
        let mut rig = RecordedTrial::new();
        rig.request(0).attach(0, 1).open(0).request(1).attach(1, 1).open(1).wait(50).close(0).wait(10);
        assert_eq!(rig.metric(&CUT_AFTER).absent.as_deref(), Some("the census was never taken"));
        rig.census().wait(5).close(1);
        let entry = rig.metric(&CUT_AFTER);
        assert_eq!((entry.n, entry.median.map(f64::floor)), (1, Some(50.0)), "what ends after T was asked to");
        let mut whole = RecordedTrial::new();
        whole.request(0).wait(40).census().wait(1).close(0);
        assert_eq!(whole.metric(&CUT_AFTER).above, Some(40.0));
    }
}
