//! What differs between two plans, and which of their combinations are the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Difference, Side};
use crate::stats::Group;
use crate::trial::{Claim, Levels, Plan};

/// What is the same in the groups of both, and what only one has.
pub(super) type Matched<'a> = (Vec<[&'a Group; 2]>, [Vec<Levels>; 2]);

/// Pairs of groups with the same levels, in the order of the first run, and the levels of those without a partner.
pub(super) fn matched(sides: [Side<'_>; 2]) -> Matched<'_> {
    let factors: BTreeSet<&String> =
        sides.iter().flat_map(|side| side.summary.groups.iter()).flat_map(|g| g.levels.keys()).collect();
    let keys = sides.map(|side| {
        let groups = side.summary.groups.iter();
        groups.map(|group| (group, key(side.plan, group, &factors))).collect::<Vec<_>>()
    });
    let [first, second] = &keys;
    let mut taken = vec![false; second.len()];
    let (mut pairs, mut alone) = (Vec::new(), Vec::new());
    for (group, key) in first {
        let partner = second.iter().zip(&taken).position(|((_, other), taken)| !taken && alike(key, other));
        match partner {
            Some(at) => {
                taken[at] = true;
                pairs.push([*group, second[at].0]);
            }
            None => alone.push(group.levels.clone()),
        }
    }
    let rest = second.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|((group, _), _)| group.levels.clone());
    (pairs, [alone, rest.collect()])
}

/// A combination's level of each factor; of one that its own plan doesn't have, the setting.
fn key(plan: &Plan, group: &Group, factors: &BTreeSet<&String>) -> Vec<Value> {
    let settings = plan.trials.iter().find(|trial| trial.levels == group.levels).map(|trial| &trial.settings);
    let settings = settings.and_then(|settings| serde_json::to_value(settings).ok()).unwrap_or_default();
    let setting = |factor: &str| settings.pointer(&format!("/{}", factor.replace('.', "/"))).cloned();
    let level = |factor: &&String| group.levels.get(*factor).cloned().or_else(|| setting(factor));
    factors.iter().map(|factor| level(factor).unwrap_or_default()).collect()
}

/// `null`: nothing in the trial is what that factor is about, so that any level of it is the same.
fn alike(first: &[Value], second: &[Value]) -> bool {
    first.iter().zip(second).all(|(a, b)| a == b || a.is_null() || b.is_null())
}

/// Questions, seeds, repeats, settings and claims that differ.
pub(super) fn differences(plans: [&Plan; 2]) -> Vec<Difference> {
    let difference = |name: &str, of: &dyn Fn(&Plan) -> String| Difference {
        name: name.to_owned(),
        values: plans.map(|plan| Some(of(plan))),
    };
    let mut all = vec![
        difference("experiment", &|plan| plan.experiment.clone()),
        difference("question", &|plan| plan.question.clone()),
        difference("seed", &|plan| plan.seed.to_string()),
        difference("repeats", &|plan| plan.repeats.to_string()),
    ];
    let settings = plans.map(settings);
    let names: BTreeSet<&String> = settings.iter().flat_map(BTreeMap::keys).collect();
    let levels = |at: usize, name: &String| {
        let levels: &BTreeSet<String> = settings[at].get(name)?;
        let mut levels: Vec<&str> = levels.iter().map(String::as_str).collect();
        // Numbers in their order, then words in theirs.
        levels.sort_by(|a, b| number(a).total_cmp(&number(b)));
        Some(levels.join(", "))
    };
    all.extend(
        names.into_iter().map(|name| Difference { name: name.clone(), values: [0, 1].map(|at| levels(at, name)) }),
    );
    all.extend(claims(plans));
    all.retain(|difference| !difference.is_none());
    all
}

/// A level's place among numbers; words come after all of them.
fn number(level: &str) -> f64 {
    level.parse().unwrap_or(f64::INFINITY)
}

/// Every setting's values over all trials, by its dotted name.
fn settings(plan: &Plan) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for trial in &plan.trials {
        let value = serde_json::to_value(&trial.settings).unwrap_or_default();
        leaves(&value, String::new(), &mut all);
    }
    all
}

fn leaves(value: &Value, name: String, all: &mut BTreeMap<String, BTreeSet<String>>) {
    let below = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(field, value)| leaves(value, below(field), all)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| leaves(value, below(&at.to_string()), all));
        }
        Value::String(text) => _ = all.entry(name).or_default().insert(text.clone()),
        other => _ = all.entry(name).or_default().insert(other.to_string()),
    }
}

/// Claims that only one has, and those whose comparison is another.
fn claims([first, second]: [&Plan; 2]) -> Vec<Difference> {
    let same = |a: &Claim, b: &Claim| a.says == b.says;
    let compares = |claim: &Claim| {
        let mut fields = serde_json::to_value(claim).unwrap_or_default();
        if let Value::Object(fields) = &mut fields {
            fields.retain(|field, _| field != "says" && field != "source");
        }
        fields.to_string()
    };
    let mut all = Vec::new();
    for a in &first.claims {
        let b = second.claims.iter().find(|b| same(a, b)).map(compares);
        all.push(Difference { name: format!("claim “{}”", a.says), values: [Some(compares(a)), b] });
    }
    for b in second.claims.iter().filter(|b| !first.claims.iter().any(|a| same(a, b))) {
        all.push(Difference { name: format!("claim “{}”", b.says), values: [None, Some(compares(b))] });
    }
    all
}
