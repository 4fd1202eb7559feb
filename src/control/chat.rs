//! The chat: one feed that people read over whichever transport they choose, and see each other's lines at once. It
//! is a feed and nothing else; the page reads it with the transports' own scripts.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::answer::ErrorResponse;
use super::lab_page::DataPort;
use super::{Shared, assets};
use crate::certs::base64;
use crate::transport::{self, Transport};
use crate::trial::{Alpn, Protocol};

/// The feed's name.
pub const CHAT_FEED: &str = "chat";

#[derive(Template)]
#[template(path = "chat.html", config = "src/control/pages/askama.toml")]
struct Page {
    feed: &'static str,
    /// What other machines have to show; empty where there are none.
    token: String,
    /// SHA-256 of the certificates that data ports show, base64, separated by commas.
    certificates: String,
    groups: Vec<Group>,
}

/// What can be chosen at one port.
struct Group {
    label: String,
    /// What is spoken there: `HTTP/2`.
    title: String,
    port: u16,
    alpn: &'static str,
    /// What to say when nothing is reached there; may be empty.
    hint: &'static str,
    ways: Vec<Way>,
}

/// A transport at a port.
struct Way {
    transport: &'static str,
    title: &'static str,
    /// Why no page can; empty where one can.
    cannot: String,
    /// The interface that the page needs for it; empty where every browser has what it takes.
    needs: &'static str,
    is_first: bool,
}

/// `GET /chat`.
pub(super) async fn page(State(shared): State<Shared>) -> Result<Response, ErrorResponse> {
    let serving = shared.serving.as_ref().as_ref();
    let serving = serving.ok_or_else(|| ErrorResponse::missing("this control origin belongs to a run"))?;
    let page = Page {
        feed: CHAT_FEED,
        token: serving.token.as_ref().map(|token| token.text().to_owned()).unwrap_or_default(),
        certificates: base64(&serving.certs.load().cert_sha256()),
        groups: serving.ports.iter().filter_map(group).collect(),
    };
    let page = page.render().map_err(|_| ErrorResponse::full("the page could not be written"))?;
    Ok(assets::html(page, assets::Framing::Alone))
}

/// What can be chosen at a port; where it speaks several, the first, which browsers begin with.
fn group(port: &DataPort) -> Option<Group> {
    let &alpn = port.alpns.first()?;
    let offers = port.alpns.iter().skip(1).any(|alpn| *alpn == Alpn::H3);
    let title = if offers { format!("{}, HTTP/3 by Alt-Svc", alpn.title()) } else { alpn.title().to_owned() };
    let on = transport::ALL.iter().filter(|transport| transport.alpns.contains(&alpn));
    let ways: Vec<Way> = on.map(|transport| way(transport, alpn, offers)).collect();
    (!ways.is_empty()).then(|| Group {
        label: format!("{title}, port {}", port.port),
        title,
        port: port.port,
        alpn: alpn.name(),
        hint: if alpn == Alpn::H3 { "Only a browser that was put on HTTP/3 for that port gets there." } else { "" },
        ways,
    })
}

fn way(transport: &'static Transport, alpn: Alpn, offers: bool) -> Way {
    Way {
        transport: transport.name,
        title: transport.title,
        cannot: (transport.page)(alpn).err().map(|why| why.to_string()).unwrap_or_default(),
        needs: transport.interface.unwrap_or_default(),
        is_first: Protocol::new(transport.name, alpn) == Protocol::default() && !offers,
    }
}
