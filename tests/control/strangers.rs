//! Who may not use the control origin takes nothing from those who may, and is told why.

use std::process::Command;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use transport_lab::trial::Alpn;

use crate::lab::{DEADLINE, Lab};
use crate::served::{Ask, Served};
use crate::visits::own_address;

/// More than the control origin has places.
const STRANGERS: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_connections_without_the_token_keep_nobody_out_and_end_soon() {
    let Some(own) = own_address() else { return };
    let name = own.to_string();
    let served = Served::start(&["--expose", "--host", &name]);
    let token = served.said.split("/?token=").nth(1).unwrap().lines().next().unwrap().to_owned();
    let connector = tokio_rustls::TlsConnector::from(served.certificate.client(Alpn::H2));
    let mut strangers = Vec::new();
    for number in 0..STRANGERS {
        let tcp = TcpStream::connect((own, served.base)).await.unwrap();
        let tls = connector.connect(ServerName::from(own), tcp).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(tls))
                .await
                .unwrap();
        let driver = tokio::spawn(connection);
        // Every other one asks, and is told that it may not.
        if number % 2 == 0 {
            let url = format!("https://{own}:{}/ledger", served.base);
            let asked = sender.send_request(Request::get(url).body(Full::default()).unwrap());
            assert_eq!(asked.await.unwrap().status(), StatusCode::FORBIDDEN);
        }
        strangers.push((sender, driver));
    }
    let invited = Ask(Method::GET, &format!("/?token={token}"), &[], "");
    let page = timeout(DEADLINE, served.send(own, 0, &name, invited)).await.expect("there is a place");
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(timeout(DEADLINE, served.get("/")).await.expect("on this machine too").status, StatusCode::OK);
    for (_sender, driver) in strangers {
        let _ = timeout(DEADLINE, driver).await.expect("it is ended").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_is_refused_is_answered_however_much_it_brings() {
    let lab = Lab::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'x'; 3_000_000]).unwrap();
    let (body, port) = (format!("@{}", file.path().display()), lab.control.port());
    let refused = [
        ("/nowhere", None, "404"),
        ("/ping", None, "404"),
        ("/trials/9/contract?token=wrong&page=0&post=0", None, "404"),
        ("/visits", None, "413"),
        ("/visits", Some("Origin: https://evil.example"), "403"),
        ("/visits", Some("Host: evil.example"), "421"),
    ];
    for version in ["--http1.1", "--http2"] {
        for (path, field, status) in refused {
            // What is lost is lost now and then.
            for _ in 0..5 {
                let mut curl = Command::new("curl");
                curl.args([
                    "--silent",
                    "--show-error",
                    "--output",
                    "/dev/null",
                    "--write-out",
                    "%{http_code}",
                    version,
                ]);
                curl.args(["--data-binary", &body, "--cacert"]).arg(lab.certificate.ca());
                curl.args(field.iter().flat_map(|field| ["--header", field]));
                curl.arg(format!("https://localhost:{port}{path}"));
                let output = tokio::task::block_in_place(|| curl.output()).unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{version} {path}: {} {said}", output.status);
                assert_eq!(String::from_utf8_lossy(&output.stdout), status, "{version} {path}");
            }
        }
    }
}
