//! What NATS may be that a server can't share its feeds in: each is said by its address, and with what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use async_nats::jetstream::stream::Config;
use tempfile::TempDir;
use transport_lab::trial::Alpn;

use crate::lab::{Lab, program, until};
use crate::nats::{Nats, free_port};
use crate::shared::{data, polled, sharing};

/// The pair of keys in NATS's documentation of `nk`, and another's seed in that of `async-nats`.
const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
const OTHER_SEED: &str = "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY";

/// What `serve` says that ends at once.
#[track_caller]
fn refused(options: &[&str], status: i32) -> String {
    let certs = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(["serve", "--port", &crate::lab::free_base().to_string(), "--certs"]).arg(certs.path()).args(options);
    let Output { status: ended, stderr, .. } = command.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(ended.code(), Some(status), "{said}");
    said
}

#[track_caller]
fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
}

/// A file with these credentials, and its path.
fn credentials(folder: &TempDir, text: &str) -> String {
    let path = folder.path().join("creds");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

/// Does this with NATS itself, as somebody else would.
fn by_hand<T>(nats: &Nats, does: impl AsyncFnOnce(async_nats::jetstream::Context) -> T) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(nats.url()).await.unwrap();
        does(async_nats::jetstream::new(client)).await
    })
}

#[test]
fn a_log_that_nats_lets_nobody_else_follow_is_told_with_the_reason_that_it_gives() {
    // Each server follows by a consumer of its own.
    let limits = "accounts { A { jetstream { max_mem: 1MB, max_file: 100MB, max_streams: 9, max_consumers: 1 }\n\
                  users: [ { user: a, password: b } ] } }\nno_auth_user: a\n";
    let nats = Nats::start_with(limits);
    let lab = sharing(&nats, &[]);
    lab.publish(Alpn::H1, "chat", b"x");
    until("what was published", || !polled(&lab, "chat", "0").is_empty());
    says(&refused(&["--feeds", &nats.url()], 4), &["chat", "maximum consumers"]);
}

#[test]
fn an_address_where_nobody_answers_is_named() {
    let url = format!("nats://127.0.0.1:{}", free_port());
    says(&refused(&["--feeds", &url], 4), &[&url, "no NATS server answers", "nats-server -js"]);
    let with = "nats://me:secret@127.0.0.1:4222";
    let said = refused(&["--feeds", with], 2);
    says(&said, &["--nats-creds"]);
    assert!(!said.contains("secret"), "{said}");
    says(&refused(&["--feeds", "http://127.0.0.1"], 2), &["nats://HOST:4222"]);
    says(&refused(&["--feeds", &url, "--nats-prefix", "My.Lab"], 2), &["My.Lab", "a-z 0-9 -"]);
    says(&refused(&["--feeds", &url, "--replicas", "2"], 2), &["write 1 or 3"]);
    says(&refused(&["--feeds", &url, "--nats-creds", "/nowhere/creds"], 2), &["/nowhere/creds"]);
}

#[test]
fn credentials_are_shown_where_they_are_right_and_never_told() {
    let folder = tempfile::tempdir().unwrap();
    let users = "authorization { users: [ { user: \"lab\", password: \"right-one\" }, { nkey: \"PUBLIC\" } ] }\n";
    let nats = Nats::start_with(&users.replace("PUBLIC", PUBLIC));
    let url = nats.url();
    says(&refused(&["--feeds", &url], 4), &[&url, "no credentials", "--nats-creds"]);
    for wrong in ["lab:wrong-one", OTHER_SEED] {
        let creds = credentials(&folder, wrong);
        let said = refused(&["--feeds", &url, "--nats-creds", &creds], 4);
        says(&said, &[&url, "these credentials"]);
        assert!(!said.contains("wrong-one") && !said.contains(OTHER_SEED), "{said}");
    }
    for none in ["", "lab\nright-one", "SUABC", "lab"] {
        let creds = credentials(&folder, none);
        says(&refused(&["--feeds", &url, "--nats-creds", &creds], 2), &[&creds, "USER:PASSWORD"]);
    }
    for right in ["lab:right-one\n", SEED] {
        let creds = credentials(&folder, right);
        let lab = sharing(&nats, &["--nats-creds", &creds]);
        lab.publish(Alpn::H1, "news", b"let in");
        assert!(!lab.log().contains("right-one") && !lab.log().contains(SEED));
    }
}

#[test]
fn nats_without_jetstream_or_one_that_is_too_old_is_told_apart() {
    let nats = Nats::start_with("accounts { A: { users: [ { user: a, password: a } ] } }\nno_auth_user: a\n");
    says(&refused(&["--feeds", &nats.url()], 4), &[&nats.url(), "no JetStream for this account"]);
    let off = Nats::start_with("jetstream: disabled\n");
    says(&refused(&["--feeds", &off.url()], 4), &[&off.url(), "no JetStream", "-js"]);
}

#[test]
fn a_stream_that_somebody_else_made_is_left_as_it_is_and_what_differs_is_said() {
    let nats = Nats::start();
    let made = by_hand(&nats, async |jetstream| {
        // One by chance of the same name, and one whose subjects take those of the lab.
        for (name, subject) in [("transport-lab_news", "orders"), ("WIDE", "transport-lab.feeds.wide.*")] {
            let config = Config { name: name.to_owned(), subjects: vec![subject.to_owned()], ..Config::default() };
            jetstream.create_stream(config).await.unwrap();
        }
        jetstream.get_stream("transport-lab_news").await.unwrap().cached_info().config.clone()
    });
    let lab = sharing(&nats, &[]);
    let words = ["transport-lab_news", "--nats-prefix"];
    let posted = lab.ask(Alpn::H2, "/feeds/news", &["--data-binary", "x"]);
    posted.assert_refused(409, words[0]);
    posted.assert_refused(409, words[1]);
    lab.ask(Alpn::H2, "/feeds/news/polling?after=0", &[]).assert_refused(409, words[0]);
    lab.ask(Alpn::H2, "/feeds/wide", &["--data-binary", "x"]).assert_refused(409, "--nats-prefix");
    let now = by_hand(&nats, async |jetstream| {
        jetstream.get_stream("transport-lab_news").await.unwrap().cached_info().config.clone()
    });
    assert_eq!(now, made);
    // Another feed is none the worse for it, and another prefix has all of them.
    lab.publish(Alpn::H1, "olds", b"x");
    let apart = sharing(&nats, &["--nats-prefix", "lab-2"]);
    apart.publish(Alpn::H1, "news", b"apart");
    assert_eq!(data(&polled(&apart, "news", "0")), ["apart"]);
}

#[test]
fn a_stream_of_a_lab_whose_limits_somebody_changed_is_left_as_it_is_and_each_of_them_is_said() {
    let nats = Nats::start();
    sharing(&nats, &[]).publish(Alpn::H1, "news", b"before");
    by_hand(&nats, async |jetstream| {
        let mut config = jetstream.get_stream("transport-lab_news").await.unwrap().cached_info().config.clone();
        (config.max_messages, config.max_bytes) = (10, 1_000_000);
        jetstream.update_stream(config).await.unwrap();
    });
    let lab = sharing(&nats, &[]);
    let posted = lab.ask(Alpn::H2, "/feeds/news", &["--data-binary", "x"]);
    for word in ["transport-lab_news", "events: 10 there, 1024 here", "bytes: 1000000 there, 8388608 here"] {
        posted.assert_refused(409, word);
    }
    lab.publish(Alpn::H1, "olds", b"x");
}

#[test]
fn two_labs_of_one_prefix_that_are_not_alike_are_not_one() {
    let nats = Nats::start();
    let lab = sharing(&nats, &[]);
    lab.publish(Alpn::H1, "news", b"of the first");
    // One node can't have three replicas, but what is there has one and is looked at first.
    let said = refused(&["--feeds", &nats.url(), "--replicas", "3"], 4);
    says(&said, &["transport-lab_chat", "replicas: 1 there, 3 here", "--nats-prefix"]);
    let said = refused(&["--feeds", &nats.url(), "--replicas", "3", "--nats-prefix", "other"], 4);
    says(&said, &["--replicas 3 takes three nodes"]);
}

#[test]
fn who_comes_into_a_lab_is_told_who_is_there_already() {
    let nats = Nats::start();
    let first = Lab::serve(&["--feeds", &nats.url()]);
    let said = crate::shared::welcome(&nats, &[]);
    says(&said, &[&format!("port {}", first.base), "--nats-prefix"]);
    // Another prefix is another lab.
    says(&crate::shared::welcome(&nats, &["--nats-prefix", "lab-2"]), &["No other server has them"]);
}

/// Debian 12's, where `tools/install.sh test` has unpacked it. A later Debian's is none that is too old.
fn older() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("nats-old").join("usr/sbin/nats-server");
    let said = Command::new(&path).arg("--version").output().ok()?.stdout;
    String::from_utf8_lossy(&said).contains("v2.9.").then_some(path)
}

#[test]
fn an_older_nats_server_is_refused_with_both_versions() {
    let Some(older) = older() else {
        eprintln!("skipped: there is no nats-server older than 2.10 in target/nats-old");
        return;
    };
    let nats = Nats::start_program(&older);
    says(&refused(&["--feeds", &nats.url()], 4), &[&nats.url(), "nats-server 2.9.", "2.10.0 or later"]);
}

#[test]
fn servers_find_each_other_over_tls_by_the_authority_that_is_named() {
    let certs = tempfile::tempdir().unwrap();
    transport_lab::certs::Certs::ensure(certs.path(), &[]).unwrap();
    let at = |name: &str| certs.path().join(name).display().to_string();
    let tls = format!("tls {{ cert_file: \"{}\", key_file: \"{}\" }}\n", at("server.pem"), at("server.key"));
    let nats = Nats::start_with(&tls);
    let url = nats.url().replace("nats://127.0.0.1", "tls://localhost");
    says(&refused(&["--feeds", &url], 4), &[&url, "--nats-ca"]);
    let lab = Lab::serve(&["--feeds", &url, "--nats-ca", &at("ca.pem")]);
    lab.publish(Alpn::H1, "news", b"over TLS");
}
