//! The ratios that claims are about, as numbers: for a picture.

use super::quantity::{ClaimComparison, Reference};
use super::select;
use crate::stats::result::{Summary, TrialResult};
use crate::stats::sample::{interval, median};
use crate::trial::Plan;
use crate::trial::fact::Outcome;

/// What a claim compares of one client and combination, and how it came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Ratio {
    /// The claim's place among the plan's.
    pub claim: usize,
    pub client: String,
    /// What tells the combination from others of the client; empty where it has one only.
    pub levels: String,
    /// Each repeat's, at least one.
    pub values: Vec<f64>,
    /// Their median.
    pub median: f64,
    /// Two of them between which the median of all that there could be lies, and how often in a hundred such two hold it;
    /// `None` below three.
    pub interval: Option<([f64; 2], f64)>,
    /// The numbers that the claim names.
    pub bounds: Vec<f64>,
    /// What to write before one: `≤`, `≥`, `end of`, or nothing.
    pub sign: &'static str,
}

/// The ratios of a run, in the order of its claims; claims that compare no two values have none.
pub fn ratios(plan: &Plan, summary: &Summary) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for (at, claim) in plan.claims.iter().enumerate().filter(|(_, claim)| claim.than.is_some()) {
        let Ok(reference) = Reference::parse(&claim.metric) else { continue };
        let Ok(comparison) = ClaimComparison::of(claim) else { continue };
        let about = summary
            .trials
            .iter()
            .filter(|trial| trial.outcome == Outcome::Completed && select::matches(&claim.selection, plan, trial));
        // A client's combinations, each with its repeats' data.
        let mut combinations: Vec<(&TrialResult, Vec<super::Datum>)> = Vec::new();
        for trial in about {
            let data = select::data(claim, plan, &summary.trials, trial, &reference, &comparison);
            match combinations.iter_mut().find(|(first, _)| first.levels == trial.levels) {
                Some((_, all)) => all.extend(data),
                None => combinations.push((trial, data)),
            }
        }
        for (trial, data) in &combinations {
            // What is only known to be beyond something has no place on an axis.
            let middles = data.iter().filter_map(super::Datum::middle);
            let values: Vec<f64> = middles.filter(|value| value.is_finite()).collect();
            let Some(median) = median(values.iter().copied()) else { continue };
            let trials = combinations.iter().map(|(other, _)| *other);
            let own: Vec<&TrialResult> =
                trials.filter(|other| select::client(other) == select::client(trial)).collect();
            ratios.push(Ratio {
                claim: at,
                client: select::client(trial),
                levels: select::differing(trial, &own),
                interval: interval(&values).map(|interval| (interval.ends, interval.coverage)),
                values,
                median,
                bounds: comparison.bounds(),
                sign: comparison.sign(),
            });
        }
    }
    ratios
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::stats::summarise;
    use crate::trial::Alpn;

    #[test]
    fn a_ratio_has_each_repeats_value_and_the_claims_bound() {
        let opened = |trial: u32, repeat: u32, alpn: Alpn, ms: u64| {
            let mut rig = RecordedTrial::of(trial, repeat, "chromium", alpn);
            rig.request(0).attach(0, 1).wait(ms).open(0).census().write(&[0]).receive_last(0);
            rig.end(Outcome::Completed, None);
            rig
        };
        let rigs: Vec<RecordedTrial> = [(0, 8), (1, 12), (2, 16)]
            .into_iter()
            .flat_map(|(repeat, ms)| {
                [opened(2 * repeat, repeat, Alpn::H1, ms), opened(2 * repeat + 1, repeat, Alpn::H2, 4)]
            })
            .collect();
        let claims = r#"[{"says": "Slower.", "source": {"url": "https://example.org/", "quote": "slower"},
            "where": {"protocol": "sse/h1"}, "metric": "time-to-open", "than": {"where": {"protocol": "sse/h2"}},
            "at-least": 2}]"#;
        let (plan, observations) = RecordedTrial::plan(&rigs, serde_json::from_str(claims).unwrap());
        let ratios = ratios(&plan, &summarise(&plan, &observations));
        let [ratio] = ratios.as_slice() else { panic!("one client and combination: {ratios:?}") };
        assert_eq!((ratio.claim, ratio.client.as_str(), ratio.levels.as_str()), (0, "chromium", ""));
        assert_eq!((ratio.values.len(), ratio.sign, ratio.bounds.as_slice()), (3, "≥", &[2.0][..]));
        assert!((ratio.median - 3.0).abs() < 0.01, "12 ms to 4 ms: {ratio:?}");
        let ([low, high], coverage) = ratio.interval.unwrap();
        assert!((low - 2.0).abs() < 0.01 && (high - 4.0).abs() < 0.01 && (coverage - 75.0).abs() < 1e-9, "{ratio:?}");
    }
}
