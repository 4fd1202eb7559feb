//! Envoy: HTTP/1.1, HTTP/2 and HTTP/3 on both sides.

use serde_json::{Value, json};

use super::{Commands, Intermediary, Site, Spoken, Template, command, unpacked};
use crate::client::Found;
use crate::program::{self, AnswersOn};
use crate::trial::settings::Compression;
use crate::trial::{Alpn, Unsupported};

pub(super) static INTERMEDIARY: Intermediary = Intermediary {
    name: "envoy",
    title: "Envoy",
    find,
    with_clients: Spoken { alpns: &Alpn::HTTP, websockets: &Alpn::HTTP },
    with_origin: Spoken { alpns: &Alpn::HTTP, websockets: &Alpn::HTTP },
    compresses: &[Compression::Gzip, Compression::Br],
    // https://www.envoyproxy.io/docs/envoy/latest/start/quick-start/configuration-dynamic-filesystem, but for its clusters,
    // which stay where they are in
    // https://www.envoyproxy.io/docs/envoy/latest/start/quick-start/configuration-static
    template: Template(include_str!("envoy.conf")),
    file: "envoy.yaml",
    second_file: Some("listeners.yaml"),
    words: fill,
    command: commands,
    // It looks at a file again when another one takes its place, and passes over a listener in which nothing has changed.
    reload: |_| {
        let rename = "s/stat_prefix: .*/&_again/";
        ["sed", "-i", rename, "{profile}/listeners.yaml"].map(str::to_owned).into()
    },
};

/// The first that listens at several addresses for one port of QUIC.
const LEAST: [u32; 3] = [1, 25, 0];

fn find() -> Result<Found, Unsupported> {
    let advice = "see https://www.envoyproxy.io/docs/envoy/latest/start/install, or install it by `sh tools/install.sh \
                  intermediaries`";
    let path = program::locate_also("TRANSPORT_LAB_ENVOY", &["envoy"], &unpacked("python/bin/envoy"), advice)?;
    let said = program::answer_on(AnswersOn::StandardOutput, &path, &["--version"])?;
    // `/usr/bin/envoy  version: 9e55…/1.40.0/Clean/RELEASE/BoringSSL`
    let version = said.split_once("version: ").and_then(|(_, rest)| rest.split('/').nth(1));
    let version = version.ok_or_else(|| format!("{} says no version: `{said}`", path.display()))?.to_owned();
    program::at_least(Found { title: INTERMEDIARY.title.to_owned(), path, version }, LEAST)
}

/// What the types of transport sockets begin with.
const SOCKETS: &str = "type.googleapis.com/envoy.extensions.transport_sockets";

/// Its configuration is YAML, of which JSON is a part.
fn fill(site: &Site<'_>) -> Vec<(&'static str, String)> {
    let at = |address: &str, port: u16, alpn: Alpn| {
        let protocol = if alpn.over_quic() { "UDP" } else { "TCP" };
        json!({ "socket_address": { "protocol": protocol, "address": address, "port_value": port } })
    };
    let mut own = site.addresses.iter().map(|address| at(&address.to_string(), site.port, site.alpn));
    let first = own.next().unwrap_or_default();
    let others: Vec<_> = own.map(|address| json!({ "address": address })).collect();
    let codec = match site.alpn {
        Alpn::H3 => "codec_type: HTTP3",
        Alpn::H1 | Alpn::H2 | Alpn::Quic => "codec_type: AUTO",
    };
    let listener = if site.alpn.over_quic() { "udp_listener_config: { quic_options: {} }" } else { "" };
    let shown = json!({
        "alpn_protocols": [String::from_utf8_lossy(site.alpn.wire())],
        "tls_certificates": [{
            "certificate_chain": { "filename": site.certificate }, "private_key": { "filename": site.key } }],
    });
    // It believes whoever is there, as in its first configuration: its TLS knows no name constraint on addresses, which the
    // lab's authority has.
    let offered = json!({ "alpn_protocols": [String::from_utf8_lossy(site.origin_alpn.wire())] });
    vec![
        ("{listen}", first.to_string()),
        ("{listen-too}", Value::from(others).to_string()),
        ("{listener}", listener.to_owned()),
        ("{codec}", codec.to_owned()),
        ("{compressor}", compressor(site.compression)),
        ("{transport-socket}", socket(site.alpn, "Downstream", json!({ "common_tls_context": shown }))),
        ("{origin-protocol}", only(site.origin_alpn)),
        ("{origin-address}", at("127.0.0.1", site.origin, site.origin_alpn).to_string()),
        (
            "{origin-transport-socket}",
            socket(site.origin_alpn, "Upstream", json!({ "sni": "localhost", "common_tls_context": offered })),
        ),
    ]
}

/// What it compresses with.
fn compressor(compression: Compression) -> String {
    let kind = match compression {
        Compression::Off | Compression::Gzip => "gzip.compressor.v3.Gzip",
        Compression::Br => "brotli.compressor.v3.Brotli",
    };
    format!("type.googleapis.com/envoy.extensions.compression.{kind}")
}

/// TLS on TCP, or within QUIC.
fn socket(alpn: Alpn, side: &str, mut tls: Value) -> String {
    if !alpn.over_quic() {
        tls["@type"] = format!("{SOCKETS}.tls.v3.{side}TlsContext").into();
        return json!({ "name": "envoy.transport_sockets.tls", "typed_config": tls }).to_string();
    }
    let context = format!("{}_tls_context", side.to_lowercase());
    let quic = json!({ "@type": format!("{SOCKETS}.quic.v3.Quic{side}Transport"), (context.as_str()): tls });
    json!({ "name": "envoy.transport_sockets.quic", "typed_config": quic }).to_string()
}

/// What is spoken with the server, and nothing else.
fn only(alpn: Alpn) -> String {
    let options = match alpn {
        Alpn::H1 | Alpn::Quic => json!({ "http_protocol_options": {} }),
        Alpn::H2 => json!({ "http2_protocol_options": { "allow_connect": true } }),
        Alpn::H3 => json!({ "http3_protocol_options": { "allow_extended_connect": true } }),
    };
    let kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let options = json!({ "@type": format!("type.googleapis.com/{kind}"), "explicit_http_config": options });
    format!("typed_extension_protocol_options: {}", json!({ (kind): options }))
}

fn commands(found: &Found, site: &Site<'_>) -> Commands {
    // Two at a time would share a segment of memory, for one to take over from the other.
    let told = ["--disable-hot-restart", "-l", "warning", "-c", "{profile}/envoy.yaml"];
    let check = [&told[..], &["--mode", "validate"]].concat();
    let mut run = command(found, &told);
    if let Some(drain) = site.drain {
        let seconds = drain.nanos().div_ceil(1_000_000_000);
        run.extend(["--drain-time-s".to_owned(), seconds.to_string()]);
    }
    Commands { before: vec![command(found, &check)], run }
}
