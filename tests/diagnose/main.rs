//! `transport-lab diagnose`, run as a person runs it: against the lab's own servers, against servers that are rigged to
//! have one fault each, and against servers that nobody here wrote.

mod bad;
mod buffers;
mod healthy;
mod http3;
mod lab;
mod nginx;
mod node;
mod others;
mod protocols;
mod proxies;
mod rigged;
mod said;
mod sockets;
#[path = "../until/mod.rs"]
mod until;

/// Whose test it is that finds it, and that doesn't, nobody can tell but a reader; that there is one, anybody can.
#[test]
fn every_finding_is_named_by_a_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = |folder: &str| {
        let files = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        files.map(|file| std::fs::read_to_string(file).unwrap()).collect::<Vec<_>>().concat()
    };
    let (rows, tests) = (all("src/diagnose/check"), all("tests/diagnose"));
    let names: Vec<&str> = rows.split("    name: \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(names.len() > 30, "the rows were found: {names:?}");
    let untested: Vec<&&str> = names.iter().filter(|name| !tests.contains(&format!("\"{name}\""))).collect();
    assert!(untested.is_empty(), "{untested:?}");
}
