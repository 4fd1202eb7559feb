//! One noun, one meaning.

use std::collections::BTreeMap;
use std::fs;

use crate::{files, root};

/// The types that a text shows to other files, by name.
fn shown(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let rest = line.strip_prefix("pub")?;
        let rest = if rest.starts_with('(') { rest.split_once(')')?.1 } else { rest };
        let (kind, rest) = rest.trim_start().split_once(' ')?;
        let is_type = matches!(kind, "struct" | "enum" | "trait" | "type" | "union");
        is_type.then(|| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
    };
    text.lines().filter_map(name).collect()
}

#[test]
fn no_two_types_that_others_see_share_a_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files("src", "rs") {
        let path = file.strip_prefix(root()).unwrap().display().to_string();
        for name in shown(&fs::read_to_string(&file).unwrap()) {
            places.entry(name).or_default().push(path.clone());
        }
    }
    assert!(places.len() > 250, "the types were found");
    // Settings go by their module: `sse::Settings`.
    places.retain(|name, places| places.len() > 1 && name != "Settings");
    assert_eq!(places, BTreeMap::new());
}

#[test]
fn types_are_found_whatever_their_visibility() {
    let text = "pub struct A;\npub(super) enum B {\npub(in crate::x) trait C: D {\nstruct E;\n    type F = G;\npub type H = I;";
    assert_eq!(shown(text), ["A", "B", "C", "H"]);
}
