//! `list`: what there is, as aligned columns or JSON.

mod described;

use std::collections::BTreeMap;
use std::io::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CliError, Exit, ListArgs, Listing, run};
use crate::experiment::schema::{file_schema, list_settings};
use crate::experiment::{builtin, plan};
use crate::report;
use crate::stats::metric;
use crate::text::visible;
use crate::trial::settings::{Preset, PresetRow};
use crate::trial::{Alpn, Protocol, Settings};
use crate::{client, intermediary, transport};

/// Prints one row for each thing there is.
pub(super) fn list(args: &ListArgs, out: &mut dyn Write) -> Result<Exit, CliError> {
    let ListArgs { what, ref prefix, json, markdown } = *args;
    let named = prefix.as_deref().unwrap_or_default();
    let settings = if what == Listing::Settings { list_settings(named) } else { Vec::new() };
    let (heads, mut rows): (&[&str], Vec<Row>) = match what {
        Listing::Experiments => (&["experiment", "from", "question"], experiments()),
        Listing::Transports if json => (&[], transports().iter().map(|row| (Vec::new(), json!(row))).collect()),
        Listing::Schema => {
            write!(out, "{}", report::json(&file_schema())?)?;
            return Ok(Exit::Good);
        }
        Listing::Transports => {
            write_transports(&transports(), out)?;
            return Ok(Exit::Good);
        }
        Listing::Clients => (&["client", "title", "version", "path"], clients()),
        Listing::Intermediaries => (INTERMEDIARIES, intermediaries()),
        Listing::Metrics => (&["metric", "unit", "definition"], metrics()),
        Listing::Presets => (&["preset", "what it sets", "what it stands for", "source"], presets()),
        Listing::Settings => (&["setting", "default", "what it is"], described::settings(&settings)),
        Listing::Facts => (&["kind", "from", "fields", "what it says"], described::facts()),
        Listing::Summary => (&["path", "what is there", "what it is"], described::summary()),
    };
    rows.retain(|(columns, json)| named_so(columns, json, named));
    if rows.is_empty() {
        let all = names(what);
        let near = all.into_iter().filter(|name| name.contains(named)).take(8).collect();
        return Err(CliError::NothingListed { wanted: named.to_owned(), near });
    }
    if json {
        let rows: Vec<Value> = rows.into_iter().map(|(_, json)| json).collect();
        write!(out, "{}", report::json(&rows)?)?;
        return Ok(Exit::Good);
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(columns, _)| columns).collect();
    match what {
        Listing::Settings if markdown => write!(out, "{}", described::settings_document(&settings))?,
        // A few are shown with all that there is to say of them.
        Listing::Settings if prefix.is_some() => described::write_settings(&settings, width(), out)?,
        _ if markdown => write!(out, "{}", described::markdown(heads, &rows))?,
        _ => write_columns(&rows, out)?,
    }
    if what == Listing::Metrics && !markdown {
        let text = "`go`: clients are told to begin. T: the census, an event that the server publishes at the end of the hold; who receives it is open.";
        write!(out, "\n{}", described::paragraph(text, width()))?;
    }
    Ok(Exit::Good)
}

/// What a prefix may have been meant for.
fn names(what: Listing) -> Vec<String> {
    match what {
        Listing::Settings => list_settings("").into_iter().map(|setting| setting.name).collect(),
        Listing::Metrics => metrics().into_iter().map(|(columns, _)| columns[0].clone()).collect(),
        Listing::Presets => Preset::ALL.iter().map(|preset| preset.row().name.to_owned()).collect(),
        _ => Vec::new(),
    }
}

fn named_so(columns: &[String], json: &Value, prefix: &str) -> bool {
    let name = columns.first().map_or_else(|| json["name"].as_str().unwrap_or_default(), String::as_str);
    name.starts_with(prefix)
}

/// How wide lines of text are: as the terminal is, and no wider than reads well.
fn width() -> u16 {
    run::look().width.min(100)
}

/// What a person reads, one entry per column, and what a program reads.
type Row = (Vec<String>, Value);

fn experiments() -> Vec<Row> {
    let row = |listed: builtin::Listed| {
        let from = if listed.built_in { "built in" } else { "experiments/" };
        (vec![listed.name.clone(), from.to_owned(), listed.question.clone()], json!(listed))
    };
    builtin::list().into_iter().map(row).collect()
}

/// A transport, and who speaks it on what.
#[derive(Debug, Serialize)]
struct Spoken {
    name: &'static str,
    title: &'static str,
    alpns: Vec<Alpn>,
    protocols: Vec<Speakers>,
}

/// One protocol: by each client's name, in the order of [`client::ALL`], why it can't speak it; `None` where it can.
#[derive(Debug, Serialize)]
struct Speakers {
    protocol: Protocol,
    clients: BTreeMap<&'static str, Option<String>>,
}

fn transports() -> Vec<Spoken> {
    let on = |transport: &transport::Transport, alpn: Alpn| {
        let protocol = Protocol::new(transport.name, alpn);
        let why_not = |client: &client::Client| {
            // All other settings are as they are when nobody says anything.
            let mut settings = Settings::deserialize(json!({ "protocol": protocol })).ok()?;
            client.name.clone_into(&mut settings.client);
            plan::unsupported(&settings).map(|why| why.to_string())
        };
        let clients = client::ALL.iter().map(|client| (client.name, why_not(client))).collect();
        Speakers { protocol, clients }
    };
    let row = |transport: &&transport::Transport| Spoken {
        name: transport.name,
        title: transport.title,
        alpns: transport.alpns.to_vec(),
        protocols: transport.alpns.iter().map(|alpn| on(transport, *alpn)).collect(),
    };
    transport::ALL.iter().map(row).collect()
}

/// A line for each protocol with a column for each client, and below them each reason once.
fn write_transports(transports: &[Spoken], out: &mut dyn Write) -> std::io::Result<()> {
    let names = client::ALL.iter().map(|client| client.name.to_owned());
    let mut rows = vec![["protocol".to_owned()].into_iter().chain(names).chain(["transport".to_owned()]).collect()];
    let mut reasons: Vec<&str> = Vec::new();
    for transport in transports {
        for Speakers { protocol, clients } in &transport.protocols {
            let cell = |client: &&client::Client| match clients.get(client.name).and_then(Option::as_deref) {
                None => "yes".to_owned(),
                Some(reason) => {
                    let known = reasons.iter().position(|known| *known == reason);
                    let number = known.unwrap_or_else(|| {
                        reasons.push(reason);
                        reasons.len() - 1
                    });
                    format!("no ({})", number + 1)
                }
            };
            let cells: Vec<String> = client::ALL.iter().map(cell).collect();
            rows.push([vec![protocol.to_string()], cells, vec![transport.title.to_owned()]].concat());
        }
    }
    write_columns(&rows, out)?;
    for (number, reason) in (1..).zip(&reasons) {
        writeln!(out, "{}({number}) {}", if number == 1 { "\n" } else { "" }, visible(reason))?;
    }
    Ok(())
}

fn clients() -> Vec<Row> {
    let row = |client: &&client::Client| {
        let found = (client.find)();
        let (version, path, reason) = match &found {
            Ok(found) => (Some(&found.version), Some(&found.path), None),
            Err(reason) => (None, None, Some(reason.to_string())),
        };
        // Several browsers can take a client's part; what was found says which.
        let title = found.as_ref().map_or(client.title, |found| found.title.as_str());
        let json = json!({
            "name": client.name, "title": title, "version": version, "path": path, "reason": reason });
        let columns = match &found {
            Ok(found) => vec![found.version.clone(), found.path.display().to_string()],
            Err(reason) => vec!["-".to_owned(), format!("not here: {reason}")],
        };
        ([vec![client.name.to_owned(), title.to_owned()], columns].concat(), json)
    };
    client::ALL.iter().map(row).collect()
}

const INTERMEDIARIES: &[&str] = &["intermediary", "with clients", "with the server", "version", "path"];

fn intermediaries() -> Vec<Row> {
    let names = |alpns: &[Alpn]| alpns.iter().map(|alpn| alpn.name()).collect::<Vec<_>>().join(" ");
    let spoken = |spoken: &intermediary::Spoken| match names(spoken.websockets) {
        websockets if websockets == names(spoken.alpns) => format!("{websockets}, WebSockets too"),
        websockets if websockets.is_empty() => names(spoken.alpns),
        websockets => format!("{}, WebSockets on {websockets}", names(spoken.alpns)),
    };
    let json_of = |spoken: &intermediary::Spoken| json!({ "alpns": spoken.alpns, "websockets": spoken.websockets });
    let row = |row: &&intermediary::Intermediary| {
        let found = (row.find)();
        let (version, path, reason) = match &found {
            Ok(found) => (Some(&found.version), Some(&found.path), None),
            Err(reason) => (None, None, Some(reason.to_string())),
        };
        let json = json!({
            "name": row.name, "title": row.title, "version": version, "path": path, "reason": reason,
            "with-clients": json_of(&row.with_clients), "with-origin": json_of(&row.with_origin) });
        let columns = match &found {
            Ok(found) => [found.version.clone(), found.path.display().to_string()],
            Err(reason) => ["-".to_owned(), format!("not here: {reason}")],
        };
        let spoken = [row.name.to_owned(), spoken(&row.with_clients), spoken(&row.with_origin)];
        ([spoken.to_vec(), columns.to_vec()].concat(), json)
    };
    intermediary::ALL.iter().map(row).collect()
}

fn metrics() -> Vec<Row> {
    let row = |metric: &&metric::Metric| {
        let json = json!({ "name": metric.name, "unit": metric.unit, "definition": metric.definition });
        (vec![metric.name.to_owned(), metric.unit.to_owned(), metric.definition.to_owned()], json)
    };
    metric::ALL.iter().map(row).collect()
}

fn presets() -> Vec<Row> {
    let row = |preset: &Preset| {
        let PresetRow { name, says, settings, source } = preset.row();
        let sets: Vec<String> = settings.iter().map(|(name, value)| format!("{name} = \"{value}\"")).collect();
        let json = json!({ "name": name, "settings": settings.iter().copied().collect::<BTreeMap<_, _>>(),
            "says": says, "source": source });
        (vec![(*name).to_owned(), sets.join(", "), (*says).to_owned(), (*source).to_owned()], json)
    };
    Preset::ALL.iter().map(row).collect()
}

/// How wide a column is at most, in characters: what is longer is somebody else's, and stands over.
const WIDEST: usize = 200;

/// Every column as wide as its widest entry; the last one ends where it ends.
pub(super) fn write_columns(rows: &[Vec<String>], out: &mut dyn Write) -> std::io::Result<()> {
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0).min(WIDEST)).collect();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(what: Listing, json: bool) -> String {
        let mut out = Vec::new();
        assert_eq!(list(&ListArgs { what, prefix: None, json, markdown: false }, &mut out).unwrap(), Exit::Good);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_list_names_its_things_in_both_forms() {
        for (what, name) in [
            (Listing::Experiments, "six-vs-hundred"),
            (Listing::Transports, "sse"),
            (Listing::Metrics, "open-streams"),
            (Listing::Intermediaries, "nginx"),
            (Listing::Presets, "4g"),
        ] {
            let first = |line: &str| line.split([' ', '/']).next() == Some(name);
            assert!(listed(what, false).lines().any(first), "{what:?}");
            let rows: Vec<Value> = serde_json::from_str(&listed(what, true)).unwrap();
            assert!(rows.iter().any(|row| row["name"] == name), "{what:?}");
        }
        assert!(listed(Listing::Experiments, false).contains("How many event streams can one browser hold open"));
    }

    #[test]
    fn a_transport_says_of_every_client_whether_it_speaks_it_and_if_not_why() {
        let text = listed(Listing::Transports, false);
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
        let columns = |start: &str| {
            line(start).split("  ").map(str::trim).filter(|c| !c.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(columns("protocol"), ["protocol", "chromium", "firefox", "webkit", "native", "transport"]);
        assert_eq!(columns("sse/h2"), ["sse/h2", "yes", "yes", "yes", "yes", "Server-sent events"]);
        let h3 = columns("sse/h3");
        assert!(h3[3].starts_with("no ("), "{h3:?}");
        let reason = line(h3[3].strip_prefix("no ").unwrap());
        let json: Value = serde_json::from_str(&listed(Listing::Transports, true)).unwrap();
        let sse = json.as_array().unwrap().iter().find(|row| row["name"] == "sse").unwrap();
        let h3 = sse["protocols"].as_array().unwrap().iter().find(|row| row["protocol"] == "sse/h3").unwrap();
        assert!(reason.ends_with(h3["clients"]["webkit"].as_str().unwrap()), "{reason}");
        assert_eq!(h3["clients"]["native"], Value::Null);
        assert_eq!(sse["alpns"], json!(["h1", "h2", "h3"]));
    }

    #[test]
    fn an_intermediary_says_what_it_speaks_on_either_side() {
        let text = listed(Listing::Intermediaries, false);
        let nginx = text.lines().find(|line| line.starts_with("nginx ")).unwrap();
        assert!(nginx.contains("h1 h2, WebSockets on h1") && nginx.contains("h1, WebSockets too"), "{nginx}");
        let json: Value = serde_json::from_str(&listed(Listing::Intermediaries, true)).unwrap();
        assert_eq!(json[0]["with-clients"], json!({ "alpns": ["h1", "h2"], "websockets": ["h1"] }));
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_tail() {
        let rows = [
            vec!["a".to_owned(), "long".to_owned(), "x".to_owned()],
            vec!["bb".to_owned(), "c".to_owned(), String::new()],
        ];
        let mut out = Vec::new();
        write_columns(&rows, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a   long  x\nbb  c\n");
    }
}
