//! Who is let in, on every HTTP version.

use transport_lab::trial::Alpn;

use crate::lab::{Lab, PATIENCE};

impl Lab {
    /// Asks once with the fields as they are, which curl would put in order; gives back the status.
    fn ask_by_h2(&self, request: http::Request<()>) -> Result<http::StatusCode, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut sender, connection) = h2::client::handshake(self.dial().await).await.unwrap();
            let connection = tokio::spawn(connection);
            let (response, _) = sender.send_request(request, true).map_err(|error| error.to_string())?;
            let response = tokio::time::timeout(PATIENCE, response).await.expect("an answer");
            connection.abort();
            response.map(|response| response.status()).map_err(|error| error.to_string())
        })
    }
}

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
fn on_http_2_a_request_is_well_formed_whom_it_asks_included() {
    let lab = Lab::serve(&[]);
    let own = format!("https://localhost:{}", lab.port(Alpn::H2));
    let contradiction = format!("localhost:{}", lab.base);
    for (authority, fields, status) in [
        ("localhost", &[][..], 204),
        ("evil@localhost", &[], 400),
        ("localhost:99999", &[], 400),
        ("a..localhost", &[], 400),
        ("example.com", &[], 421),
        ("localhost", &[("host", "localhost")], 204),
        ("localhost", &[("host", "LOCALHOST:443")], 204),
        ("localhost", &[("host", "example.com")], 400),
        ("localhost", &[("host", &*contradiction)], 400),
        ("localhost", &[("host", "localhost"), ("host", "localhost")], 400),
        ("localhost", &[("x-padded", " x")], 400),
        ("localhost", &[("x-padded", "x\t")], 400),
        ("localhost", &[("origin", &*own)], 204),
        ("localhost", &[("origin", &*own), ("origin", &*own)], 403),
    ] {
        let mut request = http::Request::get(format!("https://{authority}/ping")).version(http::Version::HTTP_2);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let answered = lab.ask_by_h2(request.body(()).unwrap());
        assert_eq!(answered.map(|status| status.as_u16()), Ok(status), "{authority} {fields:?}");
    }
}

#[test]
fn pages_of_other_origins_read_feeds_by_cors_or_not_at_all() {
    let lab = Lab::serve(&[]);
    let own = format!("Origin: https://localhost:{}", lab.base);
    let statuses = |alpn, paths: &[&str], [site, mode, dest]: [&str; 3], more: &[&str]| {
        let fields =
            [format!("Sec-Fetch-Site: {site}"), format!("Sec-Fetch-Mode: {mode}"), format!("Sec-Fetch-Dest: {dest}")];
        let fields = fields.iter().map(String::as_str).chain(more.iter().copied());
        let options: Vec<_> = fields.flat_map(|field| ["-H", field]).collect();
        let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
        let answers = lab.ask_all(alpn, &paths, &options);
        answers.iter().map(|answer| answer.head.status).collect::<Vec<_>>()
    };
    let feeds = &["/feeds/news/polling", "/feeds/news/long-polling?wait=0s"];
    for alpn in Alpn::HTTP {
        // The lab's own pages load these two from another host on purpose.
        let paths =
            &["/feeds/news/polling", "/feeds/news/sse", "/feeds/news/long-polling", "/ping.svg", "/ping.html", "/ping"];
        let image = statuses(alpn, paths, ["cross-site", "no-cors", "image"], &[]);
        assert_eq!(image, [403, 403, 403, 200, 200, 204], "{alpn:?}");
        let with_cors = statuses(alpn, feeds, ["cross-site", "cors", "empty"], &[&own]);
        assert_eq!(with_cors, [200, 200], "{alpn:?}");
    }
    for (how, status) in [
        (["same-site", "no-cors", "image"], 403),
        (["cross-site", "navigate", "iframe"], 403),
        // Somebody follows a link, types an address, or the page is the server's own.
        (["cross-site", "navigate", "document"], 200),
        (["none", "navigate", "document"], 200),
        (["same-origin", "cors", "empty"], 200),
        (["same-origin", "no-cors", "image"], 200),
    ] {
        assert_eq!(statuses(Alpn::H2, feeds, how, &[]), [status, status], "{how:?}");
    }
    // The same on the control origin, where a place to follow the ledger from is scarce.
    let follow = |site: &str| {
        let site = format!("Sec-Fetch-Site: {site}");
        let fields = ["-H", "Sec-Fetch-Mode: no-cors", "-H", &site];
        lab.try_ask_at(Alpn::H2, lab.base, "/ledger", &fields).unwrap().head.status
    };
    assert_eq!(["cross-site", "same-origin"].map(follow), [403, 200]);
}

#[test]
fn an_origin_is_let_in_as_browsers_send_it_however_it_was_typed() {
    let lab =
        Lab::serve(&["--allow-origin", "HTTPS://APP.example:3000", "--allow-origin", "https://plain.example:443"]);
    for alpn in Alpn::HTTP {
        for origin in ["https://app.example:3000", "https://plain.example"] {
            let head = lab.ask(alpn, "/ping", &["-H", &format!("Origin: {origin}")]).head;
            assert_eq!((head.status, &*head.field("access-control-allow-origin")), (204, origin));
        }
        for origin in ["https://APP.example:3000", "https://plain.example:443", "https://app.example"] {
            lab.ask(alpn, "/ping", &["-H", &format!("Origin: {origin}")]).assert_refused(403, origin);
        }
    }
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
