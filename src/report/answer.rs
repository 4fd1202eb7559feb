//! The answer in a sentence or two, from the groups.

use super::Title;
use super::table::{client, distinct, factors, has_one_transport, level_phrase, protocol, protocol_title};
use crate::stats::claim::Reference;
use crate::stats::versions::named;
use crate::stats::{Group, Summary};
use crate::trial::Plan;
use crate::trial::fact::Outcome;

/// The value that the run is about: what its first claim compares, or how many streams were open.
pub(super) fn subject(plan: &Plan) -> Option<Reference> {
    let claimed = plan.claims.iter().find_map(|claim| Reference::parse(&claim.metric).ok());
    claimed.or_else(|| Reference::parse("open-streams").ok())
}

/// Of how many values a sentence says each; of more it says the least and the most.
const MOST_VALUES: usize = 4;

/// What each client did over each protocol; clients that did the same share a sentence.
pub(super) fn answer(plan: &Plan, summary: &Summary, title: Title<'_>) -> String {
    let Some(reference) = subject(plan) else { return String::new() };
    let clients = distinct(&summary.groups, client);
    let varying = factors(plan, summary);
    let mut sentences: Vec<(Vec<String>, String)> = Vec::new();
    for name in &clients {
        let groups: Vec<&Group> = summary.groups.iter().filter(|group| client(group) == *name).collect();
        let version = groups.iter().find_map(|group| group.client_version.as_deref());
        let who = named(name, version, title);
        let did = did(plan, &groups, reference, &varying);
        match sentences.iter_mut().find(|(_, other)| *other == did) {
            Some((names, _)) => names.push(who),
            None => sentences.push((vec![who], did)),
        }
    }
    let sentences: Vec<String> =
        sentences.into_iter().map(|(names, did)| format!("{} {did}.", listed(&names))).collect();
    sentences.join(" ")
}

/// The rest of a sentence about one client: `held 6 over HTTP/1.1 and 100 over HTTP/2; HTTP/3 is unsupported`.
fn did(plan: &Plan, groups: &[&Group], reference: Reference, varying: &[String]) -> String {
    let mut values: Vec<(Value, Vec<String>)> = Vec::new();
    let mut others: Vec<(&str, Vec<String>)> = Vec::new();
    let protocols = distinct(groups.iter().copied(), protocol);
    let all = protocols.len();
    for name in protocols {
        let here: Vec<&&Group> = groups.iter().filter(|group| protocol(group) == name).collect();
        let over = over(plan, &name);
        match value(&here, reference, varying) {
            Some(value) => push(&mut values, value, over),
            None => push(&mut others, without(&here), over),
        }
    }
    let mut parts = Vec::new();
    let listed = |over: &[String]| listed_of(over, all);
    parts.extend(said(reference.metric.phrase, &values, all));
    let many = |over: &[String]| over.len() > 1;
    parts.extend(others.iter().map(|(what, over)| match *what {
        "unsupported" if values.is_empty() => format!("did not take part over {}", listed(over)),
        "unsupported" => format!("{} {} unsupported", listed(over), if many(over) { "are" } else { "is" }),
        what if values.is_empty() => format!("gave no number over {} ({what})", listed(over)),
        what => format!("over {} it gave no number ({what})", listed(over)),
    }));
    parts.join("; ")
}

/// `held 6 over HTTP/1.1 and 100 over HTTP/2`: the first value within the phrase, those after it for themselves.
fn said(phrase: &str, values: &[(Value, Vec<String>)], all: usize) -> Option<String> {
    let listed = |over: &[String]| listed_of(over, all);
    let told = |(value, over): &(Value, Vec<String>)| format!("{} over {}", value.text, listed(over));
    let first = |text: &str, over: &[String]| format!("{} over {}", phrase.replace("{}", text), listed(over));
    if values.len() > MOST_VALUES {
        let least = values.iter().min_by(|a, b| a.0.ends[0].total_cmp(&b.0.ends[0]))?;
        let most = values.iter().max_by(|a, b| a.0.ends[1].total_cmp(&b.0.ends[1]))?;
        let least_told = first(&format!("from {}", least.0.text), &least.1);
        return Some(format!("{least_told} to {}; the table has all {all} protocols", told(most)));
    }
    let ((value, over), rest) = values.split_first()?;
    let parts: Vec<String> = std::iter::once(first(&value.text, over)).chain(rest.iter().map(told)).collect();
    Some(self::listed(&parts))
}

/// Protocols by name, where they aren't all of many.
fn listed_of(over: &[String], all: usize) -> String {
    if over.len() == all && all > MOST_VALUES { format!("all {all} protocols") } else { listed(over) }
}

/// What a protocol is called after "over": its HTTP version where all trials have one transport, else its name.
fn over(plan: &Plan, name: &str) -> String {
    if has_one_transport(plan) { protocol_title(plan, name) } else { name.to_owned() }
}

/// A number in words, and between which two it lies.
#[derive(Debug, PartialEq)]
struct Value {
    text: String,
    ends: [f64; 2],
}

fn push<K: PartialEq>(to: &mut Vec<(K, Vec<String>)>, key: K, over: String) {
    match to.iter_mut().find(|(other, _)| *other == key) {
        Some((_, all)) => all.push(over),
        None => to.push((key, vec![over])),
    }
}

/// One number, or the ends of several, with the levels that tell these apart: `45.4 µs (connections shared) to 103 µs
/// (connections separate)`.
fn value(groups: &[&&Group], reference: Reference, varying: &[String]) -> Option<Value> {
    let values = groups.iter().filter_map(|group| Some((*group, group.metrics.get(reference.metric.name)?)));
    let mut texts: Vec<(f64, String, &Group)> = values
        .filter(|(_, value)| value.entry.n > 0 || value.entry.above.is_some())
        .flat_map(|(group, value)| {
            let entry = &value.entry;
            let one = if entry.n > 0 { reference.of(entry) } else { None };
            // Repeats that counted otherwise are not hidden by their median.
            let all = value.spread().map_or_else(|| vec![one], |ends| ends.map(Some).to_vec());
            let told = |one: Option<f64>| (one.or(entry.above).unwrap_or(f64::INFINITY), entry.text_of(one), *group);
            all.into_iter().map(told).collect::<Vec<_>>()
        })
        .collect();
    texts.sort_by(|a, b| a.0.total_cmp(&b.0));
    // What several combinations gave is no one's: no levels are named for it.
    let shared: Vec<String> = texts.windows(2).filter(|two| two[0].1 == two[1].1).map(|two| two[0].1.clone()).collect();
    texts.dedup_by(|a, b| a.1 == b.1);
    match texts.as_slice() {
        [] => None,
        [(only, one, _)] => Some(Value { text: one.clone(), ends: [*only; 2] }),
        [(least, low, first), .., (most, high, final_group)] => {
            let differ = |factor: &&String| first.levels.get(*factor) != final_group.levels.get(*factor);
            let several = shared.contains(low) || shared.contains(high);
            let apart: Vec<&String> = varying.iter().filter(|_| !several).filter(differ).collect();
            let with = |group: &Group| {
                let phrase = |factor: &&String| level_phrase(factor, group.levels.get(*factor)?, varying);
                let phrases: Vec<String> = apart.iter().filter_map(phrase).collect();
                if phrases.is_empty() { String::new() } else { format!(" ({})", phrases.join(", ")) }
            };
            let text = format!("{low}{} to {high}{}", with(first), with(final_group));
            Some(Value { text, ends: [*least, *most] })
        }
    }
}

fn without(groups: &[&&Group]) -> &'static str {
    let worst = groups.iter().flat_map(|group| group.outcomes.keys()).max();
    worst.map_or("no trial", |outcome| match outcome {
        Outcome::Completed => "no value",
        other => other.word(),
    })
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::rig::RecordedTrial;
    use crate::stats::summarise;
    use crate::trial::Alpn;

    #[test]
    fn repeats_that_counted_otherwise_are_not_hidden_by_their_median() {
        let repeat = |(at, open): (u32, u32)| RecordedTrial::held(at, at, "chromium", Alpn::H1, open, 150);
        let rigs: Vec<RecordedTrial> = (0..).zip([6, 6, 4]).map(repeat).collect();
        let (plan, observations) = RecordedTrial::plan(&rigs, Vec::new());
        let answer = answer(&plan, &summarise(&plan, &observations), &str::to_owned);
        assert_eq!(answer, "chromium 156.0 held 4 to 6 over HTTP/1.1.");
    }

    #[test]
    fn what_follows_the_number_in_a_phrase_comes_before_the_protocol() {
        let value = |number: f64| Value { text: crate::stats::number::plain(number), ends: [number; 2] };
        let of = |numbers: &[f64]| {
            let values =
                numbers.iter().zip(1..).map(|(&n, at)| (value(n), vec![format!("p/h{at}")])).collect::<Vec<_>>();
            said("lost {} events", &values, numbers.len()).unwrap_or_default()
        };
        assert_eq!(of(&[0.0]), "lost 0 events over p/h1");
        assert_eq!(of(&[0.0, 3.0, 4.0]), "lost 0 events over p/h1, 3 over p/h2 and 4 over p/h3");
        let many = "lost from 1 events over p/h5 to 9 over p/h2; the table has all 5 protocols";
        assert_eq!(of(&[2.0, 9.0, 4.0, 3.0, 1.0]), many);
        assert_eq!(said("lost {} events", &[], 0), None);
        let everywhere: Vec<String> = (1..=5).map(|at| format!("p/h{at}")).collect();
        assert_eq!(
            said("lost {} events", &[(value(0.0), everywhere)], 5).as_deref(),
            Some("lost 0 events over all 5 protocols")
        );
    }

    #[test]
    fn clients_that_did_the_same_share_a_sentence() {
        let mut none = RecordedTrial::of(4, 0, "webkit", Alpn::H3);
        none.end(Outcome::Unsupported, Some("no HTTP/3"));
        let rigs = [
            RecordedTrial::held(0, 0, "chromium", Alpn::H1, 6, 150),
            RecordedTrial::held(1, 0, "chromium", Alpn::H2, 100, 150),
            RecordedTrial::held(2, 0, "firefox", Alpn::H1, 6, 150),
            RecordedTrial::held(3, 0, "firefox", Alpn::H2, 100, 150),
            RecordedTrial::held(5, 0, "webkit", Alpn::H1, 6, 150),
            none,
        ];
        let (plan, observations) = RecordedTrial::plan(&rigs, Vec::new());
        let answer = answer(&plan, &summarise(&plan, &observations), &str::to_uppercase);
        assert_eq!(
            answer,
            "CHROMIUM 156.0 and FIREFOX 156.0 held 6 over HTTP/1.1 and 100 over HTTP/2. WEBKIT 156.0 held 6 over \
             HTTP/1.1; HTTP/3 is unsupported."
        );
    }
}
