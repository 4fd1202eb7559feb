//! What was seen, in words, whether or not anything is wrong with it.

use std::time::Duration;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, VIA};
use serde::Serialize;
use time::macros::format_description;

use super::check::span;
use super::reading::{Finish, Reading};
use super::said::Said;
use super::visit::{Resumed, StreamKind, Visit};
use crate::text::visible;

/// Something that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Seen {
    /// What of.
    pub about: &'static str,
    pub says: String,
}

/// All of it, from the connection up.
pub(super) fn all(visit: &Visit) -> Vec<Seen> {
    let rows = [
        ("address", address(visit)),
        ("speaks", speaks(visit)),
        ("TLS", tls(visit)),
        ("settings", settings(visit)),
        ("server", server(visit)),
        ("stream", stream(visit)),
        ("caching", visit.main().map(|(reading, _)| shown(reading.field(&CACHE_CONTROL).unwrap_or("nothing is said")))),
        ("CORS", cors(visit)),
        ("compression", compression(visit)),
    ];
    let mut all: Vec<Seen> =
        rows.into_iter().filter_map(|(about, says)| says.map(|says| Seen { about, says })).collect();
    let said = visit.readings.iter().map(|(reading, said)| said_on(visit.kind, reading, said));
    all.extend(said.map(|says| Seen { about: "said", says }));
    all.extend(visit.socket.as_ref().map(|socket| Seen { about: "said", says: contents(&socket.said, "message") }));
    all.extend(slow(visit).map(|says| Seen { about: "slow reader", says }));
    all.extend(coming_back(visit).map(|says| Seen { about: "coming back", says }));
    all.extend(many(visit).map(|says| Seen { about: "many", says }));
    all.extend(quiet(visit).map(|says| Seen { about: "quiet", says }));
    all
}

fn address(visit: &Visit) -> Option<String> {
    let (address, took) = visit.connected?;
    Some(format!("{address}, connected after {}", span(took)))
}

fn speaks(visit: &Visit) -> Option<String> {
    let title = |alpns: &[crate::trial::Alpn]| alpns.iter().map(|alpn| alpn.title()).collect::<Vec<_>>().join(", ");
    if visit.spoken.is_empty() {
        return None;
    }
    let not = if visit.not_spoken.is_empty() { String::new() } else { format!("; not {}", title(&visit.not_spoken)) };
    let quic = match &visit.alt_svc {
        None if visit.socket.is_some() => String::new(),
        None => "; HTTP/3 is not offered (Alt-Svc), and was not asked for".to_owned(),
        Some(offered) => match &offered.handshake {
            Ok(took) => format!("; HTTP/3 on UDP port {}, by a handshake of {}", offered.port, span(*took)),
            Err(why) => format!("; HTTP/3 on UDP port {} {why}", offered.port),
        },
    };
    Some(format!("{}{not}{quic}", title(&visit.spoken)))
}

fn tls(visit: &Visit) -> Option<String> {
    let tls = visit.tls.as_ref()?;
    let format = format_description!("[year]-[month]-[day]");
    let date = |at: time::OffsetDateTime| at.format(format).unwrap_or_default();
    let own = tls.chain.first().map(|own| {
        format!(
            "; a certificate for {}, from {} to {}, by {}",
            own.names.join(", "),
            date(own.not_before),
            date(own.not_after),
            own.issuer
        )
    });
    let others =
        tls.chain.iter().skip(1).map(|other| format!("; then {}, to {}", other.subject, date(other.not_after)));
    Some(shown(&format!("{}{}{}", tls.version, own.unwrap_or_default(), others.collect::<String>())))
}

fn settings(visit: &Visit) -> Option<String> {
    let settings = visit.settings?;
    let streams = settings.max_concurrent_streams;
    let streams = streams.map_or_else(|| "any number of streams".to_owned(), |streams| format!("{streams} streams"));
    let connect = if settings.extended_connect { "" } else { " not" };
    Some(format!("{streams} at once on HTTP/2; a WebSocket is{connect} taken on it (RFC 8441)"))
}

fn server(visit: &Visit) -> Option<String> {
    let via = visit.head().and_then(|head| super::dial::field(head, &VIA)).map(|via| format!(", via {via}"));
    let server = visit.server()?;
    Some(shown(&format!("{server}{}", via.unwrap_or_default())))
}

fn stream(visit: &Visit) -> Option<String> {
    let kind = visit.kind?.title();
    let Some((reading, said)) = visit.main() else { return Some(kind.to_owned()) };
    let mut says = kind.to_owned();
    let parameter = reading.field(&CONTENT_TYPE).and_then(|field| field.split_once(';')).map(|(_, rest)| rest.trim());
    says.extend(parameter.map(|rest| format!("; {rest}")));
    if !said.line_ends.is_empty() {
        let ends: Vec<&str> = said.line_ends.iter().copied().collect();
        says.extend(["; lines end with ", &ends.join(" and ")]);
    }
    if said.begins_with_mark {
        says += "; it begins with a byte order mark";
    }
    Some(shown(&says))
}

fn cors(visit: &Visit) -> Option<String> {
    visit.origin.as_ref()?;
    let (reading, _) = visit.main()?;
    let allowed = reading.field(&ACCESS_CONTROL_ALLOW_ORIGIN).unwrap_or("no origin");
    Some(shown(&format!("{allowed} may read it")))
}

fn compression(visit: &Visit) -> Option<String> {
    let (plain, _) = visit.main()?;
    Some(match &visit.compressed {
        None => "none, also when asked as browsers do".to_owned(),
        Some(compressed) => shown(&format!(
            "{} when asked as browsers do: {} parts in {}, and {} uncompressed",
            compressed.compressed().unwrap_or_default(),
            compressed.arrivals(),
            span(compressed.took),
            plain.arrivals()
        )),
    })
}

fn said_on(kind: Option<StreamKind>, reading: &Reading, said: &Said) -> String {
    let title = reading.alpn.title();
    let first = reading.pieces.first().map_or_else(String::new, |piece| format!(", the first byte {}", span(piece.at)));
    let ended = match &reading.finish {
        Finish::Open => "listened for",
        Finish::Enough => "read enough after",
        Finish::Ended => "ended after",
        Finish::Broke(_) => "broke after",
    };
    let contents = match kind {
        Some(StreamKind::EventStream | StreamKind::Lines) => contents(said, "event"),
        _ => format!("{} bytes in {} parts", reading.bytes(), reading.arrivals()),
    };
    let took = span(reading.took);
    shown(&format!("{title}: header after {}{first}; {ended} {took}: {contents}", span(reading.headed)))
}

/// `12 events, the first after 30 ms; ids; 2 heartbeats, 15 s apart`.
fn contents(said: &Said, word: &str) -> String {
    let mut says = match said.events.len() {
        0 => format!("no {word}s"),
        1 => format!("1 {word}"),
        events => format!("{events} {word}s"),
    };
    says.extend(said.events.first().map(|first| format!(", the first after {}", span(first.at))));
    if said.has_ids() {
        says += "; ids";
    }
    says.extend(said.retry.map(|retry| format!("; retry after {retry} ms")));
    if let Some(beat) = said.beat() {
        says.extend(["; heartbeats ", &span(beat), " apart at most"]);
    }
    says
}

fn slow(visit: &Visit) -> Option<String> {
    let (reading, said) = visit.slow.as_ref()?;
    let bytes = reading.bytes();
    if bytes <= super::slow::WINDOW as usize {
        return Some(format!("{bytes} bytes came meanwhile, too few to be in its way"));
    }
    let then = match &reading.finish {
        Finish::Ended | Finish::Broke(_) => "; then it was cut",
        Finish::Open | Finish::Enough => "",
    };
    Some(format!("it stopped reading, and had {bytes} bytes and {} events afterwards{then}", said.events.len()))
}

fn coming_back(visit: &Visit) -> Option<String> {
    Some(match visit.resumed.as_ref()? {
        Resumed::Next => "with Last-Event-ID, what followed came next".to_owned(),
        Resumed::Again { .. } => "with Last-Event-ID, what was known came again".to_owned(),
        Resumed::Later { .. } | Resumed::Nothing => "with Last-Event-ID, not what had followed".to_owned(),
        Resumed::Untold { why } => format!("not tried: {why}"),
    })
}

fn many(visit: &Visit) -> Option<String> {
    let streams = visit.streams.as_ref()?;
    let refused = streams.refused.as_ref().map(|refused| format!("; the next: {refused}"));
    let (opened, asked) = (streams.opened, streams.asked);
    Some(shown(&format!(
        "{opened} of {asked} streams open at once on {}{}",
        streams.alpn.title(),
        refused.unwrap_or_default()
    )))
}

fn quiet(visit: &Visit) -> Option<String> {
    let quiet = visit.quiet.as_ref()?;
    let millis = |ms| span(Duration::from_millis(ms));
    let cut = quiet.cut.as_ref().map_or_else(
        || "it was not cut".to_owned(),
        |(silence, how)| format!("cut after {} of silence: {how}", millis(*silence)),
    );
    let (listened, longest) = (millis(quiet.listened), millis(quiet.longest));
    Some(shown(&format!("in {listened}, at most {longest} without a byte; {cut}")))
}

fn shown(text: &str) -> String {
    visible(text).into_owned()
}
