//! Files that need each other to be understood: there are none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::{files, root};

/// Where a file stands in the tree of modules: `["wire", "h3"]`.
type Module = Vec<String>;

fn module(path: &str) -> Module {
    let mut parts: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// Every path in a text that begins with `crate`, `self` or `super`, its groups taken apart.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for begin in ["crate::", "self::", "super::"] {
        for (at, _) in code.match_indices(begin) {
            // `super::super::` is found where it begins.
            if code[..at].ends_with(is_word) || code[..at].ends_with("super::") {
                continue;
            }
            tree(&code[at..], &mut Vec::new(), &mut found);
        }
    }
    found
}

/// Reads one path or group; gives back how much of the text that was.
fn tree(text: &str, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let depth = before.len();
    let mut at = 0;
    loop {
        let word: String = text[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        at += word.len();
        before.push(word);
        if !text[at..].starts_with("::") {
            found.push(before.clone());
            break;
        }
        at += 2;
        if text[at..].starts_with('{') {
            at += 1;
            while !text[at..].starts_with('}') && at < text.len() {
                let blank = text[at..].len() - text[at..].trim_start_matches([' ', '\n', ',', '*']).len();
                at += blank;
                if text[at..].starts_with('}') || at >= text.len() {
                    break;
                }
                at += tree(&text[at..], before, found);
                // ` as other`
                at += text[at..].find([',', '}']).unwrap_or(text.len() - at);
            }
            at += 1;
            break;
        }
    }
    before.truncate(depth);
    at
}

/// What each file knows by name, its front doors (the modules that it is in) left out.
fn known() -> BTreeMap<Module, BTreeSet<Module>> {
    let all: BTreeMap<Module, String> = files("src", "rs")
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(root().join("src")).unwrap().to_str().unwrap().to_owned();
            (module(&path), fs::read_to_string(&file).unwrap())
        })
        .collect();
    let of = |own: &Module, text: &str| -> BTreeSet<Module> {
        let code = text.split("#[cfg(test)]").next().unwrap();
        let code: String = code.lines().map(|line| line.split("//").next().unwrap().to_owned() + "\n").collect();
        let target = |path: Vec<String>| {
            let up = path.iter().take_while(|part| *part == "super").count();
            let (mut at, rest) = match path[0].as_str() {
                "crate" => (Module::new(), &path[1..]),
                "self" => (own.clone(), &path[1..]),
                _ => (own[..own.len().saturating_sub(up)].to_vec(), &path[up..]),
            };
            for part in rest {
                at.push(part.clone());
                if !all.contains_key(&at) {
                    at.pop();
                    break;
                }
            }
            at
        };
        let known = paths(&code).into_iter().map(target);
        known.filter(|other| all.contains_key(other) && !own.starts_with(other)).collect()
    };
    all.iter()
        .filter(|(own, _)| own.last().is_none_or(|last| !last.ends_with("tests")))
        .map(|(own, text)| (own.clone(), of(own, text)))
        .collect()
}

/// A way from a module back to itself.
fn circle(start: &Module, known: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<String>> {
    let mut came: BTreeMap<&Module, &Module> = BTreeMap::new();
    let mut open = vec![start];
    while let Some(at) = open.pop() {
        for next in known.get(at).into_iter().flatten() {
            if next == start {
                let mut way = vec![start.join("::"), at.join("::")];
                let mut at = at;
                while let Some(before) = came.get(at) {
                    at = before;
                    way.push(at.join("::"));
                }
                way.reverse();
                return Some(way);
            }
            if !came.contains_key(next) {
                came.insert(next, at);
                open.push(next);
            }
        }
    }
    None
}

#[test]
fn no_two_files_need_each_other() {
    let known = known();
    assert!(known.len() > 150, "the files were found");
    let circles: Vec<_> = known.keys().filter_map(|module| circle(module, &known)).collect();
    assert_eq!(circles.iter().map(|way| way.join(" -> ")).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn paths_are_found_in_every_form() {
    let found = |text: &str| paths(text).into_iter().map(|path| path.join("::")).collect::<Vec<_>>();
    assert_eq!(
        found("use super::{a::{B, c::D as E}, f}; x(crate::g::h())"),
        ["crate::g::h", "super::a::B", "super::a::c::D", "super::f"]
    );
    assert_eq!(found("use super::super::a::B;"), ["super::super::a::B"]);
    let way = |pairs: &[(&str, &str)], start: &str| {
        let mut known: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (from, to) in pairs {
            known.entry(module(from)).or_default().insert(module(to));
        }
        circle(&module(start), &known)
    };
    assert_eq!(way(&[("a", "b"), ("b", "c"), ("c", "a")], "a"), Some(["a", "b", "c", "a"].map(str::to_owned).into()));
    assert_eq!(way(&[("a", "b"), ("b", "c"), ("d", "a")], "a"), None);
}
