//! Clients with their versions, as a person reads of them.

use crate::trial::clients;

/// Between the versions of clients of several kinds, as [`clients::AND`] is between their names.
const AND: &str = " + ";
/// Between the versions of several clients of one kind.
const OR: &str = " / ";
/// Stands for the version of a kind of which no client said one.
const UNKNOWN: &str = "–";

/// The versions of a trial's clients as one text, those of each kind in the order in which the setting names kinds:
/// `156.0.8078.79 + 153.8.0esr`, or `156.0.1 / 156.0.2` of two of one kind.
pub(super) fn together(of_kinds: &[Vec<&str>]) -> Option<String> {
    let one = |versions: &Vec<&str>| if versions.is_empty() { UNKNOWN.to_owned() } else { versions.join(OR) };
    let any = of_kinds.iter().any(|versions| !versions.is_empty());
    any.then(|| of_kinds.iter().map(one).collect::<Vec<_>>().join(AND))
}

/// A client by its title and short version, of several each with its own: `Chromium 156.0 + Firefox 153.8`.
pub fn named(client: &str, version: Option<&str>, title: impl Fn(&str) -> String) -> String {
    let one = |(title, version): (String, Option<String>)| match version {
        Some(version) => format!("{title} {version}"),
        None => title,
    };
    with_versions(client, version, title).into_iter().map(one).collect::<Vec<_>>().join(AND)
}

/// Each of the clients that a setting names, by its title, and its short version where that is known.
pub fn with_versions(
    client: &str,
    version: Option<&str>,
    title: impl Fn(&str) -> String,
) -> Vec<(String, Option<String>)> {
    let kinds: Vec<&str> = clients::parts(client).collect();
    let of_each = version.map(|version| version.split(AND).collect::<Vec<_>>()).unwrap_or_default();
    // A program's version may have anything in it.
    if kinds.len() == 1 || kinds.len() != of_each.len() {
        return vec![(title(client), version.map(each_short))];
    }
    let known = |version: &str| (version != UNKNOWN).then(|| each_short(version));
    kinds.iter().zip(of_each).map(|(kind, version)| (title(kind), known(version))).collect()
}

fn each_short(versions: &str) -> String {
    versions.split(OR).map(short).collect::<Vec<_>>().join(OR)
}

/// The first two numbers of a version: `156.0` of `156.0.8078.79`.
fn short(version: &str) -> String {
    let numbers = version.split('.').take_while(|part| part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty());
    match numbers.collect::<Vec<_>>().as_slice() {
        [major, minor, ..] => format!("{major}.{minor}"),
        _ => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_cut_to_what_people_say() {
        for (version, said) in
            [("156.0.8078.79", "156.0"), ("153.7.0esr", "153.7"), ("0.1.0-dev", "0.1"), ("trunk", "trunk")]
        {
            assert_eq!(short(version), said);
        }
    }

    #[test]
    fn each_of_several_clients_has_its_own_version() {
        let named =
            |client: &str, of_kinds: &[Vec<&str>]| named(client, together(of_kinds).as_deref(), str::to_uppercase);
        let (chromium, firefox) = (vec!["156.0.8078.108"], vec!["153.8.0esr"]);
        assert_eq!(named("chromium", std::slice::from_ref(&chromium)), "CHROMIUM 156.0");
        assert_eq!(named("chromium+firefox", &[chromium.clone(), firefox]), "CHROMIUM 156.0 + FIREFOX 153.8");
        let two = vec!["156.0.1", "157.0.2"];
        assert_eq!(named("chromium", std::slice::from_ref(&two)), "CHROMIUM 156.0 / 157.0");
        assert_eq!(named("firefox+chromium", &[vec![], two]), "FIREFOX + CHROMIUM 156.0 / 157.0");
        assert_eq!(named("chromium+firefox", &[vec![], vec![]]), "CHROMIUM+FIREFOX");
        assert_eq!(named("exec:./a+b", &[vec!["1 + 2"]]), "EXEC:./A+B 1 + 2");
    }
}
