//! A NATS that doesn't let everybody in: over TLS, by tokens, and with no more rights than are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;

use crate::lab::{Lab, Ran, Started, facts, until};
use crate::nats::{Nats, Operator};

/// An agent of this name that has joined, where `reach` says where and by what right.
fn joined(lab: &Lab, reach: &[&str], name: &str) -> Started {
    let agent = Started::new(&mut lab.command(&[&["agent", "--name", name], reach].concat()));
    until("an agent", || {
        let listed = agents(lab, reach).exits(0).summary();
        listed.as_array().unwrap().iter().any(|agent| agent["name"] == name).then_some(())
    });
    agent
}

fn agents(lab: &Lab, reach: &[&str]) -> Ran {
    lab.ask(&[&["agents", "--json"], reach].concat())
}

/// A server that shares its feeds there, once it answers.
struct Serving {
    base: u16,
    started: Started,
}

impl Serving {
    fn start(lab: &Lab, reach: &[&str]) -> Self {
        let base = crate::nats::free_port();
        let started = Started::new(&mut Self::command(lab, base, reach));
        let mut serving = Self { base, started };
        until("a server", || {
            assert!(!serving.started.has_ended(), "{}", serving.started.said());
            serving.asks(lab, &["/feeds/news/polling"]).ok()
        });
        serving
    }

    fn command(lab: &Lab, base: u16, reach: &[&str]) -> Command {
        lab.command(&[&["serve", "--certs", "serve-certs", "--port", &base.to_string()], reach].concat())
    }

    /// What it answers, or why it doesn't.
    fn asks(&self, lab: &Lab, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "30", "--cacert"]).arg(lab.path("serve-certs").join("ca.pem"));
        let url = format!("https://localhost:{}{}", self.base + 2, words[0]);
        let ran = command.args(&words[1..]).arg(url).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if ran.status.success() { Ok(text(ran.stdout)) } else { Err(text(ran.stderr) + &self.started.said()) }
    }

    /// Publishes this, and reads it there.
    fn carries(&self, lab: &Lab, data: &str) {
        let said = self.asks(lab, &["/feeds/news", "--data", data]).unwrap();
        let id = said.split('"').nth(3).unwrap_or_default();
        let (epoch, seq) = id.split_once('-').unwrap_or_else(|| panic!("{said}"));
        let before = format!("{epoch}-{}", seq.parse::<u64>().unwrap() - 1);
        // It has been taken by NATS, and comes from there.
        let poll = format!("/feeds/news/polling?after={before}");
        until("what was published", || self.asks(lab, &[&poll]).unwrap().contains(data).then_some(()));
    }

    fn end(self) {
        self.started.signal(Signal::SIGTERM);
        self.started.end();
    }
}

/// Ends it as a person does.
fn ended(agent: Started) {
    agent.signal(Signal::SIGTERM);
    agent.end().exits(0);
}

/// The three that a lab is made of do their parts.
fn do_their_parts(lab: &Lab, to: &str, more: &[&str]) {
    let reach = [&["--join", to], more].concat();
    let agent = joined(lab, &reach, "eu-1");
    let ran = lab.run(&[&["--agents", "eu-1"], &reach[..]].concat()).exits(0);
    assert_eq!(ran.outcomes(), ["completed"]);
    ended(agent);
    let serving = Serving::start(lab, &[&["--feeds", to], more].concat());
    serving.carries(lab, "let-in");
    serving.end();
}

/// An authority's certificate, and a node's configuration with a certificate of that authority's for this name.
fn tls(lab: &Lab, name: &str, verify: bool) -> (String, String) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let file = |kind: &str, text: String| {
        let path = lab.path(&format!("{name}-{kind}.pem"));
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (ca, cert, key) =
        (file("ca", authority.pem()), file("cert", certificate.pem()), file("key", key.serialize_pem()));
    let clients = if verify { format!(", ca_file: \"{ca}\", verify: true") } else { String::new() };
    (ca, format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\"{clients} }}\n"))
}

#[test]
fn agents_runs_and_servers_reach_nats_over_tls_by_the_authority_that_is_named() {
    let lab = Lab::new();
    let (ca, configuration) = tls(&lab, "localhost", false);
    let nats = Nats::start_with(&configuration);
    let url = nats.url().replace("nats://127.0.0.1", "tls://localhost");
    do_their_parts(&lab, &url, &["--nats-ca", &ca]);
    // An address that doesn't ask for TLS gets it all the same, where NATS does.
    let plain = url.replace("tls://", "nats://");
    agents(&lab, &["--join", &plain, "--nats-ca", &ca]).exits(0);
    for url in [&url, &plain] {
        agents(&lab, &["--join", url]).exits(4).says(&["no TLS with NATS", url, "--nats-ca names the authority"]);
    }
    let untrusted = ["--join", &url, "--agents", "eu-1"];
    lab.run(&untrusted).exits(4).says(&["no TLS with NATS", "--nats-ca names the authority"]);
    let agent = lab.ask(&["agent", "--name", "eu-1", "--join", &url]);
    agent.exits(4).says(&["no TLS with NATS", "--nats-ca names the authority"]);
    let other = nats.url().replace("nats://", "tls://");
    agents(&lab, &["--join", &other, "--nats-ca", &ca])
        .exits(4)
        .says(&[&other, "by a name that its certificate is for"]);
    let none = lab.program("none.pem", "no certificate");
    agents(&lab, &["--join", &url, "--nats-ca", &none]).exits(2).says(&[&none, "has no certificate in it"]);
}

#[test]
fn what_nats_wants_of_tls_that_the_lab_has_not_is_said() {
    let lab = Lab::new();
    let (ca, configuration) = tls(&lab, "localhost", true);
    let nats = Nats::start_with(&configuration);
    let url = nats.url().replace("nats://127.0.0.1", "tls://localhost");
    // Whichever way the connection ends: the node may be faster to end it than its alert is read.
    for _ in 0..5 {
        let asked = agents(&lab, &["--join", &url, "--nats-ca", &ca]).exits(4);
        asked.says(&[&url, "asks its clients for certificates", "`verify: false`"]);
    }
    let nats = Nats::start();
    let url = nats.url().replace("nats://", "tls://");
    agents(&lab, &["--join", &url]).exits(4).says(&[&url, "it speaks none there", "nats://"]);
}

#[test]
fn users_that_an_account_vouches_for_are_let_in_by_their_token() {
    let lab = Lab::new();
    let operator = Operator::new();
    let nats = Nats::start_with(&operator.configuration());
    let url = nats.url();
    let creds = |name: &str| lab.path(name);
    let all = creds("all.creds");
    operator.user(&all, &json!({}), None);
    do_their_parts(&lab, &url, &["--nats-creds", &all.display().to_string()]);
    agents(&lab, &["--join", &url]).exits(4).says(&[&url, "with no credentials", "--nats-creds"]);
    let with = |path: &std::path::Path| agents(&lab, &["--join", &url, "--nats-creds", &path.display().to_string()]);
    // Another operator's.
    let strange = creds("strange.creds");
    Operator::new().user(&strange, &json!({}), None);
    with(&strange).exits(4).says(&[&url, "doesn't let us in with these credentials"]);
    let old = creds("old.creds");
    operator.user(&old, &json!({}), Some(1_700_000_000));
    with(&old).exits(4).says(&["old.creds", "has not been valid since 2023-11-14T22:13:20Z", &url]);
    // What is secret in it is told nowhere, and what others can read is told of.
    let secret = fs::read_to_string(&all).unwrap();
    let secret = secret.lines().find(|line| line.starts_with("SU")).unwrap();
    fs::set_permissions(&all, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let ran = with(&all).exits(0).says(&["open to other users", "mode=\"644\"", "chmod 600"]);
    assert!(!ran.err.contains(secret) && !ran.out.contains(secret), "{}", ran.err);
    assert!(!nats.log().contains(secret));
}

#[test]
fn a_file_of_credentials_is_read_again_whenever_the_connection_is_made() {
    let lab = Lab::new();
    let operator = Operator::new();
    let mut nats = Nats::start_with(&operator.configuration());
    let creds = lab.path("lab.creds");
    operator.user(&creds, &json!({}), None);
    let shown = creds.display().to_string();
    let serving = Serving::start(&lab, &["--feeds", &nats.url(), "--nats-creds", &shown]);
    serving.carries(&lab, "before");
    nats.kill();
    // As if the token had ended meanwhile.
    operator.user(&creds, &json!({}), Some(1_700_000_000));
    nats.again();
    let refused = || serving.started.said().contains("authorization violation").then_some(());
    until("the server to be refused", refused);
    operator.user(&creds, &json!({}), None);
    until("the connection with the new one", || serving.started.said().contains("NATS is back").then_some(()));
    serving.carries(&lab, "after");
    serving.end();
}

#[test]
fn a_right_that_is_missing_is_named() {
    let lab = Lab::new();
    let operator = Operator::new();
    let nats = Nats::start_with(&operator.configuration());
    let url = nats.url();
    let user = |name: &str, permissions: serde_json::Value| {
        let path = lab.path(name);
        operator.user(&path, &permissions, None);
        path.display().to_string()
    };
    let all = user("all", json!({}));
    let deny = |name: &str, way: &str, subject: &str| user(name, json!({ way: { "deny": [subject] } }));
    let reach = |creds: &str, more: &[&str]| {
        let reach = ["--join", &url, "--nats-creds", creds];
        lab.ask(&[more, &reach].concat()).exits(4)
    };
    let (none, deaf) = (deny("none", "pub", "$JS.API.INFO"), deny("deaf", "sub", "_INBOX.>"));
    reach(&none, &["agents"]).says(&["doesn't let us publish to `$JS.API.INFO` with these credentials"]);
    reach(&deaf, &["agents"]).says(&["doesn't let us subscribe to `_INBOX.", "permissions.conf"]);
    let mute = deny("mute", "pub", "transport-lab.agents");
    reach(&mute, &["agents"]).says(&["doesn't let us publish to `transport-lab.agents`"]);
    let closed = deny("closed", "sub", "transport-lab.agents.eu-2.open");
    reach(&closed, &["agent", "--name", "eu-2"])
        .says(&["doesn't let us subscribe to `transport-lab.agents.eu-2.open`"]);
    let agent = joined(&lab, &["--join", &url, "--nats-creds", &all], "eu-1");
    for subject in ["$JS.API.STREAM.CREATE.>", "$JS.API.CONSUMER.>", "transport-lab.sessions.*.orders"] {
        let creds = deny("run", "pub", subject);
        let ran = lab.run(&["--join", &url, "--nats-creds", &creds, "--agents", "eu-1"]).exits(4);
        let named = subject.trim_end_matches('>').trim_end_matches("*.orders");
        ran.says(&[&format!("doesn't let us publish to `{named}")]);
    }
    ended(agent);
    for (way, subject) in [
        ("pub", "$JS.API.STREAM.CREATE.>"),
        ("pub", "$JS.API.CONSUMER.CREATE.>"),
        ("pub", "transport-lab.servers"),
        ("sub", "transport-lab.feeds-made"),
    ] {
        let creds = deny("serve", way, subject);
        let reach = ["--feeds", &url, "--nats-creds", &creds];
        let ran = Started::new(&mut Serving::command(&lab, crate::nats::free_port(), &reach)).end().exits(4);
        ran.says(&["NATS at", "doesn't let us", subject.trim_end_matches('>')]);
    }
    let creds = deny("events", "pub", "transport-lab.feeds.>");
    let serving = Serving::start(&lab, &["--feeds", &url, "--nats-creds", &creds]);
    let refused = serving.asks(&lab, &["/feeds/news", "--data", "x"]).unwrap();
    assert!(refused.contains("doesn't let us publish to `transport-lab.feeds.news."), "{refused}");
    serving.end();
}

/// The permissions that are written down for people.
const PERMISSIONS: &str = include_str!("../../deploy/cluster/permissions.conf");
/// A user for each of them.
const USERS: &str = "authorization { users: [ { user: serve, password: serve, permissions: $SERVE }\n\
                     { user: agent, password: agent, permissions: $AGENT }\n{ user: run, password: run, permissions: $RUN } ] }\n";

#[test]
fn what_is_written_of_permissions_suffices_and_none_is_too_many() {
    let lab = Lab::new();
    let nats = Nats::start_with(&format!("{PERMISSIONS}\n{USERS}\ntrace: true\n"));
    let url = nats.url();
    let creds = |user: &str| {
        let path = lab.program(user, &format!("{user}:{user}"));
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    };
    let [serve, agent, run] = ["serve", "agent", "run"].map(creds);
    let serving = [(); 2].map(|()| Serving::start(&lab, &["--feeds", &url, "--nats-creds", &serve]));
    for k in 0..20 {
        serving[k % 2].carries(&lab, &format!("{k}-{}", "x".repeat(60_000)));
    }
    serving.into_iter().for_each(Serving::end);
    let ran = ["--join", &url, "--nats-creds", &run];
    let agent = Started::new(&mut lab.command(&["agent", "--join", &url, "--nats-creds", &agent, "--name", "eu-1"]));
    until("the agent", || (agents(&lab, &ran).exits(0).summary()[0]["name"] == "eu-1").then_some(()));
    assert_eq!(lab.run(&[&ran[..], &["--agents", "eu-1"]].concat()).exits(0).outcomes(), ["completed"]);
    // One that is killed is read from its stream afterwards.
    let more = ["--set", "workload.hold=60s", "--agents", "eu-1"];
    let killed = Started::new(&mut lab.running("small", &[&ran[..], &more].concat()));
    let folder = until("events", || {
        let under_way = lab.runs().into_iter().find(|run| !run.join("summary.json").exists())?;
        facts(&under_way).iter().any(|fact| fact["kind"] == "opened").then_some(under_way)
    });
    killed.signal(Signal::SIGKILL);
    until("the end of its client", || (crate::clients(&lab) == 0).then_some(()));
    let told = lab.ask(&[&["report", &folder.display().to_string()], &ran[..]].concat()).exits(0).out;
    assert!(told.contains("facts that agents saw were taken in"), "{told}");
    ended(agent);
    assert!(!nats.log().contains("Violation"), "{}", nats.log());
    // Each of them was used.
    let used = did(&nats.log());
    for (user, permission) in permissions() {
        let is_used = used.iter().any(|(by, subject)| *by == user && takes(&permission.1, &permission.0, subject));
        assert!(is_used, "{user} never needed {permission:?}: {used:?}");
    }
}

/// Who may `PUB` or `SUB` what: as it is written down.
fn permissions() -> Vec<(String, (String, String))> {
    let (mut user, mut way, mut all) = (String::new(), "", Vec::new());
    for line in PERMISSIONS.lines().map(str::trim) {
        if let Some(name) = line.strip_suffix(" = {") {
            user = name.to_lowercase();
        }
        match line.split_once(": { allow") {
            Some(("publish", _)) => way = "PUB",
            Some(("subscribe", _)) => way = "SUB",
            _ => {}
        }
        if let Some(subject) = line.strip_prefix('"').and_then(|line| line.split('"').next()) {
            all.push((user.clone(), (way.to_owned(), subject.to_owned())));
        }
    }
    assert!(all.len() > 25, "{all:?}");
    all
}

/// Which user did what with which subject, `PUB a.b`, as the node's trace has it.
fn did(log: &str) -> BTreeSet<(String, String)> {
    let mut users = BTreeMap::new();
    let mut did = BTreeSet::new();
    for line in log.lines() {
        let Some((connection, said)) = line.split_once(" - <<- [") else { continue };
        let id = connection.split("cid:").nth(1).unwrap_or_default().split_whitespace().next().unwrap_or_default();
        let mut words = said.split_whitespace();
        match words.next() {
            Some("CONNECT") => {
                let user = said.split("\"user\":\"").nth(1).unwrap_or_default().split('"').next();
                users.insert(id.to_owned(), user.unwrap_or_default().to_owned());
            }
            Some(way @ ("PUB" | "HPUB" | "SUB")) => {
                let way = way.trim_start_matches('H');
                let subject = words.next().unwrap_or_default().trim_end_matches(']');
                did.insert((users.get(id).cloned().unwrap_or_default(), format!("{way} {subject}")));
            }
            _ => {}
        }
    }
    did
}

/// Whether this way to a subject is one that the permission lets.
fn takes(pattern: &str, way: &str, used: &str) -> bool {
    let Some(subject) = used.strip_prefix(way).and_then(|rest| rest.strip_prefix(' ')) else { return false };
    let (pattern, subject): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), subject.split('.').collect());
    let open = pattern.last() == Some(&">");
    let fits = if open { subject.len() >= pattern.len() } else { subject.len() == pattern.len() };
    fits && pattern.iter().zip(&subject).all(|(want, is)| matches!(*want, "*" | ">") || want == is)
}
