//! Who reads a setting: which clients, and on which protocols.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::plan;
use crate::client::{self, Client};
use crate::intermediary;
use crate::transport::{self, Transport};
use crate::trial::schema::fields;
use crate::trial::{Alpn, Protocol, Settings};

/// `native on HTTP/2, HTTP/3; browsers`: asked of every client on every protocol that it speaks, with everything else
/// set so that this could matter.
pub(super) fn of(setting: &str) -> String {
    let setting = setting.replace("[]", ".0");
    let own = setting.split('.').next().and_then(transport::find);
    // What is said of them to the clients that it is said of, in the order of their rows.
    let mut said: Vec<(String, Vec<&Client>)> = Vec::new();
    for client in client::ALL {
        let spoken: Vec<Protocol> = protocols(own).filter(|protocol| speaks(client, protocol)).collect();
        let read: Vec<&Protocol> = spoken.iter().filter(|protocol| reads(client, protocol, &setting)).collect();
        if read.is_empty() {
            continue;
        }
        let which = which(&read, &spoken);
        match said.iter_mut().find(|(known, _)| *known == which) {
            Some((_, clients)) => clients.push(client),
            None => said.push((which, vec![client])),
        }
    }
    let all = client::ALL.len();
    let words = said.iter().map(|(which, clients)| {
        let who = if clients.len() == all { "every client".to_owned() } else { names(clients) };
        if which.is_empty() { who } else { format!("{who} on {which}") }
    });
    words.collect::<Vec<_>>().join("; ")
}

/// Every protocol, or those of one transport.
fn protocols(own: Option<&'static Transport>) -> impl Iterator<Item = Protocol> {
    let rows = transport::ALL.iter().filter(move |row| own.is_none_or(|own| own.name == row.name));
    rows.flat_map(|row| row.alpns.iter().map(|alpn| Protocol::new(row.name, *alpn)))
}

/// The names of these clients; one word for the browsers where all are among them.
fn names(clients: &[&Client]) -> String {
    let browsers = clients.iter().filter(|client| client.is_browser).count();
    let together = browsers == client::browsers().count();
    let mut names: Vec<&str> = Vec::new();
    for client in clients {
        let name = if together && client.is_browser { client::BROWSERS } else { client.name };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

/// Which of the protocols that are spoken these are; nothing where they are all.
fn which(read: &[&Protocol], spoken: &[Protocol]) -> String {
    if read.len() == spoken.len() {
        return String::new();
    }
    let alpns: Vec<Alpn> =
        Alpn::ALL.into_iter().filter(|alpn| read.iter().any(|protocol| protocol.alpn == *alpn)).collect();
    if spoken.iter().filter(|protocol| alpns.contains(&protocol.alpn)).count() == read.len() {
        return alpns.into_iter().map(Alpn::title).collect::<Vec<_>>().join(", ");
    }
    let transports: BTreeSet<&str> = read.iter().map(|protocol| protocol.transport.as_str()).collect();
    let of_them = |protocol: &&Protocol| transports.contains(protocol.transport.as_str());
    if spoken.iter().filter(of_them).count() == read.len() {
        return transports.into_iter().collect::<Vec<_>>().join(", ");
    }
    read.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn speaks(client: &Client, protocol: &Protocol) -> bool {
    let settings = settings(client, protocol, json!({}));
    settings.is_some_and(|settings| plan::unsupported(&settings).is_none())
}

/// Whether it does with the transport's defaults, with any of its variants, or with any of its words in place of a
/// default.
fn reads(client: &Client, protocol: &Protocol, setting: &str) -> bool {
    let Some(row) = transport::find(&protocol.transport) else { return false };
    let variants = row.variants.iter().filter_map(|table| toml::from_str::<Value>(table).ok());
    let words = fields((row.schema)()).into_iter().flat_map(|(name, field)| {
        let words: Vec<Value> = field.words().iter().map(|(word, _)| json!({ (name.as_str()): word })).collect();
        words
    });
    let tables: Vec<Value> = std::iter::once(json!({})).chain(variants).chain(words).collect();
    let all = tables.iter().flat_map(|table| ["down", "echo"].map(|direction| (table, direction)));
    all.into_iter().any(|(table, direction)| {
        let others = json!({
            "workload": { "hosts": 2, "stuck": 1, "direction": direction, "events": { "arrival": "pairs" } },
            "reconnect": { "tries": 1 }, "between": { "intermediary": intermediary::ALL[0].name },
            "beside": [{ "at": "1s", "kind": "download" }], "fault": [{ "at": "1s", "kind": "proxy-reload" }], "link": {},
            "server": { "feeds": "nats" },
            (row.name): table,
        });
        let Some(settings) = settings(client, protocol, others) else { return false };
        row.of(&settings).is_ok_and(|configured| plan::reads(&settings, &*configured, setting))
    })
}

fn settings(client: &Client, protocol: &Protocol, others: Value) -> Option<Settings> {
    let mut settings: Settings = serde_json::from_value(others).ok()?;
    client.name.clone_into(&mut settings.client);
    settings.protocol.clone_from(protocol);
    Some(settings)
}
