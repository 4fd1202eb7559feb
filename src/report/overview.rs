//! Several runs at once for a terminal: how their trials ended, and what became of each claim.

use comfy_table::presets::NOTHING;

use super::terminal::{Look, cell, colour, outcome_counts, trimmed};
use crate::stats::Summary;
use crate::stats::number::plural;

/// A line for each run, and one below it for each claim that it is about. Ends with a line break.
pub fn overview(summaries: &[Summary], look: Look) -> String {
    let mut grid = look.grid(NOTHING);
    for summary in summaries {
        let trials = format!("{}: {}", plural(summary.trials.len(), "trial"), outcome_counts(summary));
        grid.add_row(vec![cell(&summary.experiment), cell(""), cell(&trials)]);
        for claim in summary.claims.iter().filter(|claim| !claim.is_about_nothing_here()) {
            let verdict = format!("{} {}", claim.verdict.sign(), claim.verdict.word());
            let verdict = look.cell(&verdict, colour(claim.verdict));
            grid.add_row(vec![cell(""), verdict, cell(&format!("“{}”", claim.says))]);
        }
    }
    format!("{}\n{}\n", look.bold("All experiments"), trimmed(&grid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::tests::run;
    use crate::stats::summarise;

    #[test]
    fn every_claim_of_every_run_has_its_verdict_and_no_line_is_overrun() {
        let (plan, observations) = run();
        let summary = summarise(&plan, &observations);
        let mut second = summary.clone();
        second.experiment = "another".to_owned();
        for width in [60, 100] {
            let text = overview(&[summary.clone(), second.clone()], Look { width, colour: false });
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{text}");
            let here = summary.claims.iter().filter(|claim| !claim.is_about_nothing_here()).count();
            let signs = ["✓ confirmed", "✗ refuted", "? inconclusive"];
            assert_eq!(signs.map(|sign| text.matches(sign).count()).iter().sum::<usize>(), 2 * here, "{text}");
            assert!(text.contains("another") && text.contains("12 trials"), "{text}");
        }
    }
}
