//! The answer in a sentence or two, from the groups.

use super::Title;
use super::table::{client, protocol, protocol_title};
use crate::stats::claim::{Reference, short};
use crate::stats::{Group, Summary};
use crate::trial::Plan;
use crate::trial::fact::Outcome;

/// The value that the run is about: what its first claim compares, or how many streams were open.
pub(super) fn subject(plan: &Plan) -> Option<Reference> {
    let claimed = plan.claims.iter().find_map(|claim| Reference::parse(&claim.metric).ok());
    claimed.or_else(|| Reference::parse("open-streams").ok())
}

/// What each client did over each protocol; clients that did the same share a sentence.
pub(super) fn answer(plan: &Plan, summary: &Summary, title: Title<'_>) -> String {
    let Some(reference) = subject(plan) else { return String::new() };
    let mut clients: Vec<String> = Vec::new();
    for group in &summary.groups {
        if !clients.contains(&client(group)) {
            clients.push(client(group));
        }
    }
    let mut sentences: Vec<(Vec<String>, String)> = Vec::new();
    for name in &clients {
        let groups: Vec<&Group> = summary.groups.iter().filter(|group| client(group) == *name).collect();
        let version = groups.iter().find_map(|group| group.client_version.as_deref()).map(short);
        let who = version.map_or_else(|| title(name), |version| format!("{} {version}", title(name)));
        let did = did(plan, &groups, reference);
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
fn did(plan: &Plan, groups: &[&Group], reference: Reference) -> String {
    let mut values: Vec<(String, Vec<String>)> = Vec::new();
    let mut others: Vec<(&str, Vec<String>)> = Vec::new();
    let mut protocols: Vec<String> = Vec::new();
    for group in groups {
        if !protocols.contains(&protocol(group)) {
            protocols.push(protocol(group));
        }
    }
    for name in protocols {
        let here: Vec<&&Group> = groups.iter().filter(|group| protocol(group) == name).collect();
        let over = protocol_title(plan, &name);
        match value(&here, reference) {
            Some(value) => push(&mut values, value, over),
            None => push(&mut others, without(&here), over),
        }
    }
    let values: Vec<String> = values.iter().map(|(value, over)| format!("{value} over {}", listed(over))).collect();
    let mut parts = Vec::new();
    if !values.is_empty() {
        parts.push(reference.metric.phrase.replace("{}", &listed(&values)));
    }
    let many = |over: &[String]| over.len() > 1;
    parts.extend(others.iter().map(|(what, over)| match *what {
        "unsupported" if values.is_empty() => format!("did not take part over {}", listed(over)),
        "unsupported" => format!("{} {} unsupported", listed(over), if many(over) { "are" } else { "is" }),
        what if values.is_empty() => format!("gave no number over {} ({what})", listed(over)),
        what => format!("over {} it gave no number ({what})", listed(over)),
    }));
    parts.join("; ")
}

fn push<K: PartialEq>(to: &mut Vec<(K, Vec<String>)>, key: K, over: String) {
    match to.iter_mut().find(|(other, _)| *other == key) {
        Some((_, all)) => all.push(over),
        None => to.push((key, vec![over])),
    }
}

/// One number, or the ends of several.
fn value(groups: &[&&Group], reference: Reference) -> Option<String> {
    let values = groups.iter().filter_map(|group| group.metrics.get(reference.metric.name));
    let mut texts: Vec<(f64, String)> = values
        .filter(|value| value.entry.n > 0 || value.entry.above.is_some())
        .flat_map(|value| {
            let entry = &value.entry;
            let one = if entry.n > 0 { reference.of(entry) } else { None };
            // Repeats that counted otherwise are not hidden by their median.
            let all = value.spread().map_or_else(|| vec![one], |ends| ends.map(Some).to_vec());
            all.into_iter().map(|one| (one.or(entry.above).unwrap_or(f64::INFINITY), entry.text_of(one)))
        })
        .collect();
    texts.sort_by(|a, b| a.0.total_cmp(&b.0));
    texts.dedup_by(|a, b| a.1 == b.1);
    match texts.as_slice() {
        [] => None,
        [(_, one)] => Some(one.clone()),
        [(_, low), .., (_, high)] => Some(format!("{low} to {high}")),
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
