//! One event's life for people: a list of what happened for a terminal, and with it a picture on a page.

use askama::Template;

use super::table::plain;
use super::terminal::paragraph;
use super::{Look, ReportError, Title};
use crate::stats::explain::{EventLife, LifePlace, LifeStep};
use crate::stats::number;
use crate::text::visible;

/// A list of what happened. Ends with a line break.
pub fn life_terminal(life: &EventLife, title: Title<'_>, look: Look) -> String {
    let mut text = vec![look.bold(&head(life)), paragraph(&sentence(life, title), look), String::new()];
    let place = life.steps.iter().map(|step| step.place.word().len()).max().unwrap_or(0);
    for step in &life.steps {
        let at = format!("{:>12}", time(step));
        text.push(format!("{at}  {:place$}  {}", step.place.word(), visible(&step.what)));
    }
    for unknown in &life.unknown {
        text.extend([String::new(), paragraph(&format!("Not known: {unknown}."), look)]);
    }
    text.join("\n") + "\n"
}

/// `k3f9-18 to subscription 0, trial 3`.
fn head(life: &EventLife) -> String {
    format!("{} to subscription {}, trial {}", life.event, life.sub, life.trial)
}

/// What it was received by, how long that took, and which of all it is.
fn sentence(life: &EventLife, title: Title<'_>) -> String {
    let level = |factor: &str| life.levels.get(factor).map(plain).unwrap_or_default();
    let others = life.levels.iter().filter(|(factor, _)| *factor != "client" && *factor != "protocol");
    let others = others.map(|(factor, level)| format!("{factor} {}", plain(level)));
    let on = [level("protocol")].into_iter().chain(others).collect::<Vec<_>>().join(", ");
    let by = format!("{} on {on}", title(&level("client")));
    let took = life.received.map_or_else(
        || "it was never received".to_owned(),
        |after| format!("it was received {} after it was due", number::with_unit(after, "ms")),
    );
    format!("{by}: {took}. It is {}. Times are milliseconds after it was due.", life.which)
}

/// `126.304`, `132.400 ± 0.300`.
fn time(step: &LifeStep) -> String {
    let off = step.uncertainty.filter(|off| *off >= 0.0005).map(|off| format!(" ± {off:.3}"));
    format!("{:.3}{}", step.at, off.unwrap_or_default())
}

#[derive(Template)]
#[template(path = "explain.html")]
struct Page {
    head: String,
    sentence: String,
    rows: Vec<RowView>,
    unknown: Vec<String>,
    picture: Option<Ladder>,
}

/// A row of the list.
struct RowView {
    time: String,
    place: &'static str,
    what: String,
    dropped: bool,
}

/// The way between server and client as a ladder: time from left to right, the server above, the client below.
struct Ladder {
    width: f64,
    height: f64,
    server: f64,
    client: f64,
    ticks: Vec<(f64, String)>,
    packets: Vec<PacketLine>,
    points: Vec<Point>,
}

/// A packet's way, or as far as it came.
struct PacketLine {
    from: f64,
    to: f64,
    y: f64,
    dropped: bool,
}

/// Something at one end.
struct Point {
    x: f64,
    y: f64,
    at_client: bool,
}

const WIDTH: f64 = 980.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 940.0;
const SERVER: f64 = 40.0;
const CLIENT: f64 = 170.0;

/// The same as a page: one file that opens offline, loads nothing and runs nothing.
pub fn life_html(life: &EventLife, title: Title<'_>) -> Result<String, ReportError> {
    let row = |step: &LifeStep| RowView {
        time: time(step),
        place: step.place.word(),
        what: step.what.clone(),
        dropped: step.dropped,
    };
    let page = Page {
        head: head(life),
        sentence: sentence(life, title),
        rows: life.steps.iter().map(row).collect(),
        unknown: life.unknown.clone(),
        picture: ladder(life),
    };
    Ok(page.render()?)
}

fn ladder(life: &EventLife) -> Option<Ladder> {
    let times = life.steps.iter().flat_map(|step| [Some(step.at), step.until]).flatten();
    let (first, last) = times.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), t| (a.min(t), b.max(t)));
    if first >= last {
        return None;
    }
    let x = |t: f64| ((LEFT + (RIGHT - LEFT) * (t - first) / (last - first)) * 10.0).round() / 10.0;
    let packets =
        life.steps.iter().filter(|step| step.place == LifePlace::Link && (step.dropped || step.until.is_some()));
    let packets = packets.map(|step| PacketLine {
        from: x(step.at),
        to: x(step.until.unwrap_or(step.at)),
        y: if step.dropped { f64::midpoint(SERVER, CLIENT) } else { CLIENT },
        dropped: step.dropped,
    });
    let ends = life.steps.iter().filter(|step| !matches!(step.place, LifePlace::Link | LifePlace::Fault));
    let points = ends.map(|step| Point {
        x: x(step.at),
        y: if step.place == LifePlace::Client { CLIENT } else { SERVER },
        at_client: step.place == LifePlace::Client,
    });
    let ticks = (0..=4).map(|k| first + (last - first) * f64::from(k) / 4.0);
    Some(Ladder {
        width: WIDTH,
        height: CLIENT + 40.0,
        server: SERVER,
        client: CLIENT,
        ticks: ticks.map(|t| (x(t), number::with_unit(t, "ms"))).collect(),
        packets: packets.collect(),
        points: points.collect(),
    })
}
