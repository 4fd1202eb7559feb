//! Who is let in, on every HTTP version.

use transport_lab::trial::Alpn;

use crate::lab::Lab;

#[test]
fn a_host_that_is_not_ours_is_misdirected() {
    let lab = Lab::serve(&[]);
    for alpn in Alpn::HTTP {
        for host in ["example.com", "localhost.example.com", "127.0.0.1.nip.io", "10.0.0.1:8442", "localhostx"] {
            let field = format!("Host: {host}");
            for answer in lab.ask_all(alpn, &["/ping", "/feeds/news/sse"].map(str::to_owned), &["-H", &field]) {
                answer.assert_refused(421, host);
            }
            lab.ask(alpn, "/feeds/news", &["-H", &field, "--data-binary", "x"]).assert_refused(421, host);
        }
        for host in ["localhost", "a.localhost:1", "127.0.0.1", "[::1]:9"] {
            assert_eq!(lab.ask(alpn, "/ping", &["-H", &format!("Host: {host}")]).head.status, 204, "{host}");
        }
    }
}

#[test]
fn an_origin_that_is_not_ours_neither_reads_nor_publishes() {
    let lab = Lab::serve(&["--allow-origin", "https://friend.example:3000"]);
    for alpn in Alpn::HTTP {
        let port = lab.port(alpn);
        let foreign = [
            "null".to_owned(),
            "https://example.com".to_owned(),
            format!("http://localhost:{port}"),
            "https://localhost".to_owned(),
            format!("https://localhost:{}", lab.base - 1),
            format!("https://localhost.example.com:{port}"),
            format!("https://notlocalhost:{port}"),
            format!("https://localhost:{port}.example.com"),
            format!("https://evil@localhost:{port}"),
            format!("https://localhost:{port}/"),
            format!("https://localhost:{port}/x"),
            format!("https://localhost:{port}?x"),
            "https://friend.example".to_owned(),
            "https://friend.example:30000".to_owned(),
            "http://friend.example:3000".to_owned(),
        ];
        for origin in foreign {
            let field = format!("Origin: {origin}");
            for (path, options) in [("/feeds/news/sse", None), ("/feeds/news", Some(["--data-binary", "x"]))] {
                let options: Vec<_> = ["-H", &field].into_iter().chain(options.into_iter().flatten()).collect();
                let answer = lab.ask(alpn, path, &options);
                answer.assert_refused(403, &origin);
                assert_eq!(answer.head.field("access-control-allow-origin"), "", "{origin}");
                assert_eq!(answer.head.field("vary"), "Origin");
            }
        }
    }
    // None of them has published anything.
    let id = lab.publish(Alpn::H1, "news", b"the first");
    assert!(id.ends_with("-1"), "{id}");
}

#[test]
fn an_origin_that_is_let_in_is_named_exactly() {
    let lab = Lab::serve(&["--allow-origin", "https://friend.example:3000"]);
    let mut origins = vec!["https://friend.example:3000".to_owned()];
    for host in ["localhost", "127.0.0.1", "[::1]", "a.localhost"] {
        origins.extend([1, 2, 3, 5].map(|offset| format!("https://{host}:{}", lab.base + offset)));
    }
    // The control origin, where the lab's pages come from.
    origins.extend(["localhost", "127.0.0.1", "[::1]"].map(|host| format!("https://{host}:{}", lab.base)));
    let assert_allowed = |head: &crate::asking::Head, origin: &str| {
        assert_eq!(head.field("access-control-allow-origin"), origin);
        assert_eq!(head.field("access-control-allow-credentials"), "true");
        assert_eq!(head.field("timing-allow-origin"), origin);
        assert_eq!(head.field("vary"), "Origin");
    };
    for origin in &origins {
        let field = format!("Origin: {origin}");
        let answer = lab.ask(Alpn::H2, "/feeds/news", &["-H", &field, "--data-binary", "x"]);
        assert_eq!(answer.head.status, 201, "{origin}");
        assert_allowed(&answer.head, origin);
    }
    for alpn in Alpn::HTTP {
        let origin = &origins[0];
        let field = format!("Origin: {origin}");
        assert_allowed(&lab.subscribe(alpn, "/feeds/news/sse", &["-H", &field]).head, origin);
        assert_allowed(&lab.ask(alpn, "/ping", &["-H", &field]).head, origin);
        // A page may read what was wrong as well.
        let missing = lab.ask(alpn, "/feeds/news/pigeons", &["-H", &field]);
        missing.assert_refused(404, "pigeons");
        assert_allowed(&missing.head, origin);
        // Nobody asked: nobody is named, but caches are told that it matters who asks.
        let head = lab.ask(alpn, "/ping", &[]).head;
        assert_eq!(head.field("access-control-allow-origin"), "");
        assert_eq!(head.field("vary"), "Origin");
    }
}

#[test]
fn a_preflight_is_answered_for_those_who_are_let_in() {
    let lab = Lab::serve(&["--allow-origin", "https://friend.example:3000"]);
    let preflight = |alpn, origin: &str| {
        let origin = format!("Origin: {origin}");
        let method = "Access-Control-Request-Method: POST";
        let fields = "Access-Control-Request-Headers: content-type,last-event-id";
        lab.ask(alpn, "/feeds/news", &["-X", "OPTIONS", "-H", &origin, "-H", method, "-H", fields])
    };
    for alpn in Alpn::HTTP {
        let head = preflight(alpn, "https://friend.example:3000").head;
        assert_eq!(head.status, 204);
        assert_eq!(head.field("access-control-allow-origin"), "https://friend.example:3000");
        assert_eq!(head.field("access-control-allow-credentials"), "true");
        assert!(head.field("access-control-allow-methods").contains("POST"));
        let fields = head.field("access-control-allow-headers");
        assert!(fields.contains("content-type") && fields.contains("last-event-id"), "{fields}");
        preflight(alpn, "https://example.com").assert_refused(403, "https://example.com");
    }
}
