//! What an intermediary can't pass on, by its row.

use super::{ALL, Intermediary, find};
use crate::transport::{self, Opens};
use crate::trial::settings::{CertificateUse, Compression};
use crate::trial::{Alpn, Settings, Unsupported};

/// Whether what stands between client and server can pass on what they say, and if not, why not. What is not here is
/// another matter.
///
/// # Errors
/// An ALPN that it doesn't speak on either side, an opening that it doesn't pass on, or more than the lab has it do.
pub fn supports(settings: &Settings) -> Result<(), Unsupported> {
    let between = &settings.between;
    if !between.is_there() {
        let mut faults = settings.fault.iter();
        return match faults.find(|fault| fault.kind.needs_intermediary()) {
            Some(fault) => Err(format!("`{}`: nothing stands between", fault.kind.row().name).into()),
            None => Ok(()),
        };
    }
    let Some(row) = find(&between.intermediary) else {
        let names: Vec<_> = ALL.iter().map(|row| row.name).collect();
        return Err(format!("no intermediary `{}`; there are {}", between.intermediary, names.join(", ")).into());
    };
    let (alpn, origin) = (settings.protocol.alpn, between.origin);
    speaks(row, row.with_clients.alpns, alpn, "clients")?;
    speaks(row, row.with_origin.alpns, origin, "a server")?;
    compresses(row, between.compression)?;
    if let Some(transport) = transport::find(&settings.protocol.transport) {
        match transport.opens {
            Opens::Request => {}
            Opens::Tunnel(_) => {
                opens(row, row.with_clients.websockets, alpn, "takes no WebSocket from a client")?;
                opens(row, row.with_origin.websockets, origin, "opens no WebSocket to a server")?;
            }
            Opens::Session(_) => return Err(format!("{} passes no {} on", row.title, transport.title).into()),
        }
    }
    if settings.workload.ports > 1 {
        return Err("what stands between listens at one port".into());
    }
    if settings.server.certificate == CertificateUse::PerHost {
        return Err("what stands between shows the certificate that all hosts share".into());
    }
    Ok(())
}

fn speaks(row: &Intermediary, spoken: &[Alpn], wanted: Alpn, whom: &str) -> Result<(), Unsupported> {
    if spoken.contains(&wanted) {
        return Ok(());
    }
    let titles: Vec<_> = spoken.iter().map(|alpn| alpn.title()).collect();
    Err(format!("{} speaks {} with {whom}, and not {}", row.title, titles.join(", "), wanted.title()).into())
}

fn compresses(row: &Intermediary, wanted: Compression) -> Result<(), Unsupported> {
    let Some(coding) = wanted.coding() else { return Ok(()) };
    if row.compresses.contains(&wanted) {
        return Ok(());
    }
    let codings: Vec<_> = row.compresses.iter().filter_map(|known| known.coding()).collect();
    Err(format!("{} as it is installed compresses by {}, and not by {coding}", row.title, codings.join(", ")).into())
}

fn opens(row: &Intermediary, spoken: &[Alpn], wanted: Alpn, what: &str) -> Result<(), Unsupported> {
    if spoken.contains(&wanted) {
        return Ok(());
    }
    Err(format!("{} {what} on {}", row.title, wanted.title()).into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn why(protocol: &str, more: &serde_json::Value) -> String {
        let mut settings = json!({ "protocol": protocol, "between": { "intermediary": "nginx" } });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let settings: Settings = serde_json::from_value(settings).unwrap();
        supports(&settings).err().map(|why| why.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_an_intermediary_does_not_speak_is_said_by_its_row() {
        for protocol in ["sse/h1", "sse/h2", "polling/h2", "websocket/h1"] {
            assert_eq!(why(protocol, &json!({})), "", "{protocol}");
        }
        assert_eq!(why("sse/h3", &json!({})), "nginx speaks HTTP/1.1, HTTP/2 with clients, and not HTTP/3");
        assert_eq!(why("quic/quic", &json!({})), "nginx speaks HTTP/1.1, HTTP/2 with clients, and not QUIC");
        assert_eq!(why("websocket/h2", &json!({})), "nginx takes no WebSocket from a client on HTTP/2");
        let origin = json!({ "between": { "intermediary": "nginx", "origin": "h2" } });
        assert_eq!(why("sse/h2", &origin), "nginx speaks HTTP/1.1 with a server, and not HTTP/2");
        let compressed = json!({ "between": { "intermediary": "nginx", "compression": "br" } });
        assert_eq!(why("sse/h2", &compressed), "nginx as it is installed compresses by gzip, and not by br");
        assert!(why("sse/h2", &json!({ "workload": { "ports": 2 } })).contains("one port"));
        assert!(why("sse/h2", &json!({ "server": { "certificate": "per-host" } })).contains("all hosts share"));
        assert!(why("sse/h2", &json!({ "between": { "intermediary": "ngnix" } })).contains("there are nginx"));
        assert_eq!(why("sse/h3", &json!({ "between": {} })), "", "nothing stands between");
        let reload = json!({ "fault": [{ "at": "1s", "kind": "proxy-reload" }] });
        assert_eq!(why("sse/h2", &reload), "");
        let none = json!({ "between": {}, "fault": [{ "at": "1s", "kind": "proxy-reload" }] });
        assert_eq!(why("sse/h2", &none), "`proxy-reload`: nothing stands between");
    }

    #[test]
    fn no_intermediary_passes_a_session_on() {
        for row in ALL.iter().filter(|row| row.with_clients.alpns.contains(&Alpn::H3)) {
            let says = why("webtransport/h3", &json!({ "between": { "intermediary": row.name } }));
            assert_eq!(says, format!("{} passes no WebTransport on", row.title));
        }
    }
}
