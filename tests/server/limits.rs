//! What is too much, or not what was asked for, is refused with a reason, and the server lives on.

use transport_lab::trial::Alpn;

use crate::lab::Lab;

const POST: [&str; 2] = ["--data-binary", "x"];

#[test]
fn a_body_beyond_64_kib_is_refused_and_one_of_64_kib_is_taken() {
    let lab = Lab::serve(&[]);
    for alpn in Alpn::HTTP {
        lab.publish(alpn, "news", &vec![b'x'; 64 * 1024]);
        for length in [64 * 1024 + 1, 200_000, 3_000_000] {
            let file = format!("@{}", lab.file(&vec![b'x'; length]).display());
            lab.ask(alpn, "/feeds/news", &["--data-binary", &file]).assert_refused(413, "65536");
        }
        assert_eq!(lab.ask(alpn, "/ping", &[]).head.status, 204);
    }
    let mut reader = lab.subscribe(Alpn::H2, "/feeds/news/sse?after=0", &[]);
    assert!(reader.data(3).iter().all(|data| data.len() == 64 * 1024), "only those that were taken");
}

#[test]
fn a_header_beyond_16_kib_harms_nobody_but_its_sender() {
    let mut lab = Lab::serve(&[]);
    for alpn in Alpn::HTTP {
        let mut neighbour = lab.subscribe(alpn, "/feeds/news/sse", &[]);
        for length in [17_000, 60_000] {
            let field = format!("x-long: {}", "x".repeat(length));
            match lab.try_ask(alpn, "/ping", &["-H", &field]) {
                Ok(answer) => assert_eq!(answer.head.status, 431, "{alpn:?} {length}: {answer:?}"),
                // An error of the stream or the connection is an answer too; one that the client gave up is not.
                Err(error) => assert!(!error.contains("timed out"), "{alpn:?} {length}: {error}"),
            }
            let fields: Vec<_> = (0..length / 100).map(|k| format!("x-{k}: {}", "x".repeat(90))).collect();
            let options: Vec<_> = fields.iter().flat_map(|field| ["-H", field]).collect();
            if let Ok(answer) = lab.try_ask(alpn, "/ping", &options) {
                assert_eq!(answer.head.status, 431, "{alpn:?}, many fields: {answer:?}");
            }
        }
        assert_eq!(lab.ask(alpn, "/ping", &["-H", &format!("x-long: {}", "x".repeat(8_000))]).head.status, 204);
        lab.publish(alpn, "news", b"still here");
        assert_eq!(neighbour.next().data, "still here");
    }
    lab.assert_alive();
}

#[test]
fn a_feed_has_a_plain_name() {
    let lab = Lab::serve(&[]);
    let long = "a".repeat(65);
    for alpn in Alpn::HTTP {
        let names = ["", "News", "a_b", "a.b", "n%C3%A9e", "%20", "a%2Fb", "..%2f", "%00", &long];
        for answer in lab.ask_all(alpn, &names.map(|name| format!("/feeds/{name}")), &POST) {
            answer.assert_refused(400, "a feed's name");
        }
        for answer in lab.ask_all(alpn, &names.map(|name| format!("/feeds/{name}/sse")), &[]) {
            answer.assert_refused(400, "a feed's name");
        }
        for name in ["a", "-", "0-9", &long[..64]] {
            lab.publish(alpn, name, b"x");
        }
    }
}

#[test]
fn there_are_64_feeds_at_most() {
    let lab = Lab::serve(&[]);
    for k in 0..64 {
        lab.publish(Alpn::HTTP[k % 2], &format!("feed-{k}"), b"x");
    }
    for alpn in Alpn::HTTP {
        lab.ask(alpn, "/feeds/one-more", &POST).assert_refused(503, "64 feeds");
        lab.ask(alpn, "/feeds/one-more/sse", &[]).assert_refused(503, "64 feeds");
        lab.publish(alpn, "feed-63", b"x");
    }
}

#[test]
fn reading_uses_no_feed_up() {
    let lab = Lab::serve(&[]);
    for alpn in Alpn::HTTP {
        for transport in ["polling", "sse", "long-polling?wait=0s"] {
            let option: &[&str] = if transport == "sse" { &["-X", "HEAD", "--head"] } else { &[] };
            let option = if alpn == Alpn::H3 { &option[..option.len().min(2)] } else { option };
            let paths: Vec<_> = (0..80).map(|k| format!("/feeds/evil-{k}/{transport}")).collect();
            for answer in lab.ask_all(alpn, &paths, option) {
                assert_eq!(answer.head.status, 200, "{alpn:?} {transport}");
            }
        }
        lab.publish(alpn, &format!("mine-{}", alpn.name()), b"x");
    }
    // Who reads one that nothing was published to keeps it, and knows where to go on.
    let last = |query: &str| lab.ask(Alpn::H2, &format!("/feeds/quiet/polling{query}"), &[]).json();
    let place = last("")["last"].as_str().unwrap().to_owned();
    let paths: Vec<_> = (0..80).map(|k| format!("/feeds/evil-{k}/polling")).collect();
    lab.ask_all(Alpn::H2, &paths, &[]);
    let mut reader = lab.subscribe(Alpn::H1, "/feeds/quiet/sse", &[]);
    lab.ask_all(Alpn::H2, &paths, &[]);
    lab.publish(Alpn::H2, "quiet", b"the first");
    assert_eq!(reader.next().data, "the first");
    let events = last(&format!("?after={place}"))["events"].clone();
    assert_eq!((events.as_array().unwrap().len(), &events[0]["data"]), (1, &"the first".into()), "{events}: no gap");
}

#[test]
fn the_chat_is_always_there() {
    let lab = Lab::serve(&[]);
    for k in 0..64 {
        lab.publish(Alpn::H2, &format!("feed-{k}"), b"x");
    }
    lab.ask(Alpn::H2, "/feeds/one-more", &POST).assert_refused(503, "64 feeds");
    for alpn in Alpn::HTTP {
        lab.publish(alpn, "chat", b"x");
        assert_eq!(lab.ask(alpn, "/feeds/chat/polling?after=0", &[]).head.status, 200);
    }
}

#[test]
fn an_unknown_route_or_method_is_told_what_there_is() {
    let lab = Lab::serve(&[]);
    for alpn in Alpn::HTTP {
        let paths = ["/", "/pin", "/ping/", "/feeds", "/feeds/news/sse/more", "/ledger", "//ping"];
        for answer in lab.ask_all(alpn, &paths.map(str::to_owned), &[]) {
            answer.assert_refused(404, "/feeds/{feed}/{transport}");
        }
        lab.ask(alpn, "/feeds/news/pigeons", &[]).assert_refused(404, "sse");
        for (method, path, allowed) in [
            ("GET", "/feeds/news", "POST"),
            ("PUT", "/feeds/news", "POST"),
            ("DELETE", "/feeds/news", "POST"),
            ("POST", "/feeds/news/sse", "GET, HEAD"),
            ("POST", "/ping", "GET, HEAD"),
            ("BREW", "/ping", "GET, HEAD"),
        ] {
            let answer = lab.ask(alpn, path, &["-X", method]);
            answer.assert_refused(405, allowed);
            assert_eq!(answer.head.field("allow"), allowed);
        }
    }
}

#[test]
fn a_query_must_make_sense() {
    let lab = Lab::serve(&[]);
    for alpn in Alpn::HTTP {
        let afters = ["1", "x", "k3f9", "k3f9-", "-1", "K3F9-1", "k3f9-1x", "k3f9-99999999999999999999", "%00"];
        for answer in lab.ask_all(alpn, &afters.map(|after| format!("/feeds/news/sse?after={after}")), &[]) {
            answer.assert_refused(400, "`after`");
        }
        lab.ask(alpn, "/feeds/news/sse?after=0&after=0", &[]).assert_refused(400, "twice");
        lab.ask(alpn, "/feeds/news?name=a&name=b", &POST).assert_refused(400, "twice");
        let long = "a".repeat(65);
        let names = ["", "gap", "two%20words", "a%0Aid:%207", "a%0D", "n%C3%A9e", "%FF", &long];
        for answer in lab.ask_all(alpn, &names.map(|name| format!("/feeds/news?name={name}")), &POST) {
            answer.assert_refused(400, "an event's name");
        }
    }
}

#[test]
fn a_body_that_is_no_text_is_refused() {
    let lab = Lab::serve(&[]);
    for alpn in Alpn::HTTP {
        for bytes in [&b"\xff"[..], b"cut short \xf0\x9f\xa6", b"\xed\xa0\x80 is half a pair", b"\xc0\x80"] {
            let file = format!("@{}", lab.file(bytes).display());
            lab.ask(alpn, "/feeds/news", &["--data-binary", &file]).assert_refused(400, "UTF-8");
        }
    }
}
