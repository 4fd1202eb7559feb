//! Addresses and servers of which no diagnosis can be made, each with an answer that says what to do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{Lab, ask, diagnose, free_port, glance, program, until};
use crate::rigged::{GOOD, Rigged, begin, log, say, stay};

/// A server that answers everything with this.
fn answers(with: &'static str) -> Rigged {
    Rigged::new(move |_, stream| {
        let _ = stream.write_all(with.as_bytes());
    })
}

#[test]
fn a_wrong_address_is_bad_usage_with_a_right_one() {
    for (url, says) in [
        ("app.example/events", "write it like https://app.example/events"),
        ("localhost:8445/x", "begins with https://"),
        ("https://me:s3cret@app.example/", "give them with -H"),
    ] {
        let ran = ask(&["diagnose", url]).exits(2).says(&[says]);
        assert!(!ran.err.contains("s3cret"), "{}", ran.err);
    }
    for (more, says) in [
        (["-H", "no s3cret field"], "'Name: value'"),
        (["-H", "user-agent: s3cret"], "`user-agent` can't be given"),
        (["--origin", "*"], "write an origin"),
        (["--ca", "/nowhere/ca.pem"], "could not read a certificate from /nowhere/ca.pem"),
    ] {
        let ran = ask(&["diagnose", "https://127.0.0.1/", more[0], more[1]]).exits(2).says(&[says]);
        assert!(!ran.err.contains("s3cret"), "{}", ran.err);
    }
    for more in [["--listen", "3"], ["--listen", "2min2"], ["--quiet", "1ms"], ["--streams", "1001"]] {
        assert_eq!(ask(&["diagnose", "https://127.0.0.1/", more[0], more[1]]).exit, Some(2), "{more:?}");
    }
}

#[test]
fn a_host_that_is_not_found_and_a_port_that_refuses_are_named() {
    ask(&["diagnose", "https://nobody.invalid/events"]).exits(4).says(&["nobody.invalid has no address"]);
    let port = free_port();
    let refused = format!("could not connect to 127.0.0.1:{port}: Connection refused");
    ask(&["diagnose", &format!("http://127.0.0.1:{port}/")]).exits(4).says(&[&refused]);
}

#[test]
fn a_wrong_certificate_is_told_and_gone_on_with_only_when_told_to() {
    let lab = Lab::serve();
    let url = format!("https://localhost:{}/feeds/news/sse", lab.base + 2);
    glance(&url, &[])
        .exits(4)
        .says(&["shows a certificate that is signed by nobody whom this machine trusts", "--insecure"]);
    let ran = glance(&url, &["--insecure"]).exits(1);
    assert_eq!(ran.findings(), ["certificate"]);
    assert_eq!(ran.finding("certificate")["severity"], "loses");
    let other = format!("https://127.0.0.2:{}/feeds/news/sse", lab.base + 2);
    let ran = glance(&other, &["--ca", &lab.ca()]);
    assert!(ran.exit == Some(4), "{}{}", ran.err, ran.out);
    assert_eq!(glance(&url, &["--ca", &lab.ca()]).exits(0).findings(), [""; 0]);
}

#[test]
fn a_status_is_told_with_what_it_asks_for() {
    for (status, says) in [
        ("401 Unauthorized", "-H 'Authorization"),
        ("403 Forbidden", "--origin may be missing"),
        ("404 Not Found", "nothing at this address"),
        ("426 Upgrade Required", "begins with wss://"),
        ("502 Bad Gateway", "what it stands behind"),
    ] {
        let with = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").leak();
        glance(&answers(with).url(), &[]).exits(4).says(&[&format!("it answers {status}"), says]);
    }
    let none = answers("HTTP/1.1 204 No Content\r\n\r\n");
    glance(&none.url(), &[]).exits(4).says(&["not to come back"]);
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let there = "HTTP/1.1 302 Found\r\nLocation: /other?token=s3cret\r\nContent-Length: 0\r\n\r\n";
    let rigged = answers(there);
    let ran = glance(&rigged.url(), &[]).exits(4);
    assert!(
        ran.err.contains(&format!("which leads http://127.0.0.1:{}/other?…; point it there", rigged.port)),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("s3cret"), "{}", ran.err);
}

#[test]
fn a_page_and_an_answer_that_is_whole_are_no_streams() {
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<!doctype html>";
    glance(&answers(page).url(), &[]).exits(4).says(&["an HTML page, and not with a stream"]);
    let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    glance(&answers(json).url(), &[]).exits(4).says(&["application/json, 2 bytes", "no stream"]);
}

#[test]
fn a_header_that_has_no_end_is_not_read_for_ever() {
    let long = Rigged::new(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(format!("X-More: {}\r\n", "x".repeat(1000)).as_bytes()).is_ok() {}
    });
    glance(&long.url(), &[]).exits(4).says(&["a header of more than 64 kB"]);
    let slow = Rigged::new(|_, stream| {
        for byte in b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
    diagnose(&slow.url(), &["--listen", "3s"])
        .exits(4)
        .says(&["bytes of an answer's header came within 3 s, and not its end"]);
}

#[test]
fn nobody_who_answers_and_what_is_no_http_are_told() {
    let silent = Rigged::new(|_, stream| stay(stream));
    glance(&silent.url(), &[]).exits(4).says(&["no answer began within 1 s", "--listen 60s"]);
    let garbage = Rigged::raw(|stream| {
        let _ = stream.write_all(&[0xff; 4096]);
        stay(stream);
    });
    let url = format!("http://127.0.0.1:{}/", garbage.port);
    glance(&url, &[]).exits(4).says(&["it does not answer as HTTP/1.1 has it"]);
    glance(&url.replace("http:", "https:"), &[]).exits(4).says(&["speaks no TLS that this program does"]);
    let closes = Rigged::raw(|_| {});
    glance(&format!("http://127.0.0.1:{}/", closes.port), &[]).exits(4).says(&["does not answer as HTTP/1.1"]);
}

#[test]
fn who_is_told_429_asks_no_more() {
    let busy = answers("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n");
    glance(&busy.url(), &[]).exits(4).says(&["429 Too Many Requests, so nothing more was asked"]);
    // The two that are made at the same time at most.
    assert!(busy.requests() <= 2, "{} requests", busy.requests());
    let later = Rigged::new(|asked, stream| {
        if asked.number < 5 {
            begin(stream, GOOD);
            say(stream, &[(0, log(asked).as_str())]);
            stay(stream);
        } else {
            let _ = stream.write_all(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let ran = diagnose(&later.url(), &["--listen", "1s", "--streams", "50"]);
    let told = ran.json();
    assert_eq!((&told["cut-short"], &told["streams"][0]["opened"]), (&"too-many".into(), &2.into()), "{told}");
    assert_eq!(later.requests(), 6, "none after the first 429");
}

#[test]
fn what_was_given_is_shown_nowhere_even_where_the_server_says_it_back() {
    let echo = Rigged::new(|asked, stream| {
        let token = asked.field("authorization").unwrap_or("none").to_owned();
        let cookie = asked.field("cookie").unwrap_or("none").to_owned();
        begin(stream, &format!("{GOOD}Server: {token}\r\n"));
        say(stream, &[(0, &format!("{token} {cookie}\nid: {cookie}\ndata: x\n\n"))]);
        stay(stream);
    });
    let given = ["-H", "Authorization: Bearer t0ken-9", "--cookie", "sid=c00kie-9"];
    for more in [&["--listen", "1s", "--json"][..], &["--listen", "1s"]] {
        let mut arguments = vec!["diagnose", "URL", "--streams", "2"];
        let url = echo.url();
        arguments[1] = &url;
        let mut command = program(&[&arguments, &given[..], more].concat());
        command.env("TRANSPORT_LAB_LOG", "trace");
        let ran = command.output().unwrap();
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        assert!(said.contains("ignored-lines") || said.contains("passed over"), "the server did say it: {said}");
        let shown: Vec<&str> =
            said.lines().filter(|line| line.contains("t0ken-9") || line.contains("c00kie-9")).collect();
        assert_eq!(shown, [""; 0]);
    }
}

#[test]
fn ctrl_c_ends_it_with_what_is_known() {
    let good = Rigged::new(|asked, stream| {
        begin(stream, GOOD);
        say(stream, &[(0, log(asked).as_str())]);
        stay(stream);
    });
    let url = good.url();
    let mut child =
        program(&["diagnose", &url, "--listen", "50s", "--json"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    until("its requests", || good.requests() == 2);
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{out}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["cut-short"], "interrupted");
}

#[test]
fn the_time_that_it_may_take_is_its_end() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // It is connected to, and never answers.
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let ran = diagnose(&url, &["--listen", "50s", "--limit", "1s"]).exits(4);
    assert_eq!(ran.json()["cut-short"], "limit");
}
