//! The ratios that claims are about: a row per claim, client and combination on a logarithmic axis, each repeat a dot,
//! with the interval of their median and the claim's bound.

use super::axis::{Tick, round};
use super::log::LogScale;
use super::{HEAD, MOST_BARS, RowName, Shape, THICK};
use crate::report::Title;
use crate::stats::claim::{Ratio, ratios};
use crate::stats::{Summary, number};
use crate::trial::Plan;

/// All that the template draws.
#[derive(Debug)]
pub(in crate::report) struct Ratios {
    pub(in crate::report) width: f64,
    pub(in crate::report) height: f64,
    /// All of it in words.
    pub(in crate::report) description: String,
    pub(in crate::report) rows: Vec<RatioRow>,
    pub(in crate::report) ticks: Vec<Tick>,
    /// Where both are alike.
    pub(in crate::report) one: f64,
    pub(in crate::report) axis_top: f64,
    pub(in crate::report) axis_bottom: f64,
    pub(in crate::report) left_out: usize,
    /// How often two values like those at the ends of a line hold the median, at least; `None` without such lines.
    pub(in crate::report) covers: Option<String>,
}

#[derive(Debug)]
pub(in crate::report) struct RatioRow {
    /// `3. Chromium, sse/h2`.
    pub(in crate::report) name: RowName,
    pub(in crate::report) y: f64,
    pub(in crate::report) text_y: f64,
    /// `0.45, claimed ≤ 1`.
    pub(in crate::report) text: String,
    pub(in crate::report) text_x: f64,
    /// What became of the claim with this client: the class that colours it.
    pub(in crate::report) verdict: &'static str,
    pub(in crate::report) middle: f64,
    pub(in crate::report) dots: Vec<f64>,
    pub(in crate::report) interval: Option<[f64; 2]>,
    pub(in crate::report) bounds: Vec<f64>,
}

/// Draws them; `None` where no claim is about a ratio that this run has.
pub(in crate::report) fn drawn_ratios(
    plan: &Plan,
    summary: &Summary,
    title: Title<'_>,
    shape: Shape,
) -> Option<Ratios> {
    let mut all = ratios(plan, summary);
    let left_out = all.len().saturating_sub(MOST_BARS);
    all.truncate(MOST_BARS);
    let label = |ratio: &Ratio| {
        let levels = if ratio.levels.is_empty() { String::new() } else { format!(", {}", ratio.levels) };
        format!("{}. {}{levels}", ratio.claim + 1, title(&ratio.client))
    };
    let longest = all.iter().map(|ratio| label(ratio).chars().count()).max().unwrap_or(0);
    let shape = shape.for_names_of(longest);
    let texts: Vec<String> = all.iter().map(text).collect();
    let [right, text_x] = shape.right_of(texts.iter().map(String::as_str));
    let values = all.iter().flat_map(|ratio| ratio.values.iter().chain(&ratio.bounds)).copied();
    let scale = LogScale::new(shape.left, right, values.chain([1.0]).filter(|_| !all.is_empty()))?;
    let covers = all.iter().filter_map(|ratio| ratio.interval).map(|(_, coverage)| coverage);
    let covers = covers.reduce(f64::min).map(number::percent);
    let first = HEAD + if shape.names_above { 15.0 } else { 0.0 };
    let row = |(ratio, at): (&Ratio, u32)| {
        let top = first + f64::from(at) * shape.step;
        let middle = top + THICK / 2.0;
        let result = summary.claims.get(ratio.claim).and_then(|claim| claim.per_client.get(&ratio.client));
        RatioRow {
            name: shape.name(label(ratio), top),
            y: middle,
            text_y: middle + 4.5,
            text: text(ratio),
            text_x,
            verdict: result.and_then(|result| result.verdict).map_or("absent", |verdict| verdict.word()),
            middle: scale.x(ratio.median),
            dots: if ratio.values.len() > 1 { ratio.values.iter().map(|v| scale.x(*v)).collect() } else { Vec::new() },
            interval: ratio.interval.map(|(ends, _)| ends.map(|end| scale.x(end))),
            bounds: ratio.bounds.iter().map(|bound| scale.x(*bound)).collect(),
        }
    };
    let rows: Vec<RatioRow> = all.iter().zip(0..).map(row).collect();
    let axis_bottom = rows.last().map_or(first, |row| row.y + THICK / 2.0) + 8.0;
    let told: Vec<String> =
        rows.iter().map(|row| format!("{}: {}, {}", row.name.text, row.text, row.verdict)).collect();
    Some(Ratios {
        width: shape.width,
        height: axis_bottom + 26.0,
        description: format!("Ratios by claim. {}.", told.join(". ")),
        ticks: scale.ticks(),
        one: scale.x(1.0),
        axis_top: first - 8.0,
        axis_bottom,
        rows,
        left_out,
        covers,
    })
}

/// `0.45, claimed ≤ 1`.
fn text(ratio: &Ratio) -> String {
    let claimed: Vec<String> = ratio.bounds.iter().map(|bound| round(*bound)).collect();
    let sign = if ratio.bounds.len() > 1 || ratio.sign.is_empty() { String::new() } else { format!("{} ", ratio.sign) };
    format!("{}, claimed {sign}{}", number::plain(ratio.median), claimed.join(" to "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::html::tests::run;
    use crate::stats::summarise;

    #[test]
    fn a_ratio_stands_on_the_side_of_its_bound_that_its_verdict_says() {
        let (mut plan, observations) = run();
        let claims = r#"[{"says": "More.", "source": {"url": "https://example.org/", "quote": "more"},
            "where": {"client": "chromium", "protocol": "sse/h2"}, "metric": "open-streams",
            "than": {"where": {"protocol": "sse/h1"}}, "at-least": 10},
            {"says": "Fewer.", "source": {"url": "https://example.org/", "quote": "fewer"},
            "where": {"client": "chromium", "protocol": "sse/h2"}, "metric": "open-streams",
            "than": {"where": {"protocol": "sse/h1"}}, "at-most": 10}]"#;
        plan.claims = serde_json::from_str(claims).unwrap();
        let summary = summarise(&plan, &observations);
        for shape in [Shape::WIDE, Shape::NARROW] {
            let drawn = drawn_ratios(&plan, &summary, &str::to_owned, shape).unwrap();
            let [more, fewer] = drawn.rows.as_slice() else { panic!("{drawn:?}") };
            assert_eq!((more.verdict, fewer.verdict), ("confirmed", "refuted"));
            assert!(
                more.middle > more.bounds[0] && more.bounds[0] > drawn.one,
                "100 to 6 is beyond 10 to 1: {drawn:?}"
            );
            assert!(more.text.ends_with("claimed ≥ 10"), "{}", more.text);
            assert!(fewer.y < drawn.axis_bottom && drawn.axis_bottom < drawn.height);
        }
    }

    #[test]
    fn claims_about_plain_numbers_have_no_picture_of_ratios() {
        let (plan, observations) = run();
        assert!(drawn_ratios(&plan, &summarise(&plan, &observations), &str::to_owned, Shape::WIDE).is_none());
    }
}
