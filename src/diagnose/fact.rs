//! What was seen, in words, whether or not anything is wrong with it.

use std::time::Duration;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, VIA};
use serde::Serialize;
use time::macros::format_description;

use super::check::span;
use super::dial::Goaway;
use super::reading::{Finish, Reading};
use super::said::Said;
use super::visit::{Resumed, SeenQuiet, SeenReturn, SeenSocket, SeenStreams, StreamKind, Visit};
use crate::text::visible;
use crate::trial::Alpn;

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
        ("HTTP/2", settings(visit)),
        ("HTTP/3", http3(visit)),
        ("QUIC", transport(visit)),
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
    all.extend(visit.sockets.iter().map(|socket| Seen { about: "said", says: socket_said(socket) }));
    all.extend(slow(visit).map(|says| Seen { about: "slow reader", says }));
    all.extend(visit.resumed.iter().map(|seen| Seen { about: "coming back", says: coming_back(seen) }));
    all.extend(visit.streams.iter().map(|seen| Seen { about: "many", says: many(seen) }));
    all.extend(visit.quiet.iter().map(|seen| Seen { about: "quiet", says: quiet(seen) }));
    all.extend(visit.goaways.iter().map(|(alpn, goaway)| Seen { about: "GOAWAY", says: leaving(*alpn, goaway) }));
    all
}

fn address(visit: &Visit) -> Option<String> {
    let (address, took) = visit.connected?;
    Some(format!("{address}, connected after {}", span(took)))
}

fn speaks(visit: &Visit) -> Option<String> {
    if visit.spoken.is_empty() {
        return None;
    }
    let quic = visit.quic.as_ref();
    let of_quic = quic
        .map(|quic| (quic.port, if quic.offered.is_some() { "offered by Alt-Svc" } else { "not offered by Alt-Svc" }));
    let title = |alpn: &Alpn| match of_quic.filter(|_| *alpn == Alpn::H3) {
        Some((port, offered)) => format!("{} (UDP port {port}, {offered})", alpn.title()),
        None => alpn.title().to_owned(),
    };
    let title = |alpns: &[Alpn]| alpns.iter().map(title).collect::<Vec<_>>().join(", ");
    let not = if visit.not_spoken.is_empty() { String::new() } else { format!("; not {}", title(&visit.not_spoken)) };
    let silence = quic.and_then(|quic| quic.handshake.as_ref().err()).zip(of_quic);
    let quic = silence.map_or_else(String::new, |(why, (port, offered))| {
        format!("; no {}: {offered}, and UDP port {port}: {why}", Alpn::H3.title())
    });
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
    Some(format!(
        "{streams} at once; {}; a client may send {} ahead on a stream, {} on all{}",
        takes_sockets(settings.extended_connect, "RFC 8441"),
        bytes(settings.stream_window.into()),
        bytes(settings.connection_window),
        settings.max_header.map_or_else(String::new, |most| format!("; a header of {} at most", bytes(most.into())))
    ))
}

fn takes_sockets(takes: bool, source: &str) -> String {
    format!("it takes {} on it (extended CONNECT, {source})", if takes { "a WebSocket" } else { "no WebSocket" })
}

fn http3(visit: &Visit) -> Option<String> {
    let http3 = visit.http3.as_ref()?;
    let dialects: Vec<&str> = http3.webtransport.iter().map(|dialect| dialect.word()).collect();
    let webtransport = if dialects.is_empty() {
        "no WebTransport".to_owned()
    } else {
        format!("WebTransport ({})", dialects.join(", "))
    };
    Some(format!(
        "{}; {webtransport}; {}datagrams{}",
        takes_sockets(http3.extended_connect, "RFC 9220"),
        if http3.datagrams { "" } else { "no " },
        http3.max_header.map_or_else(String::new, |most| format!("; a header of {} at most", bytes(most)))
    ))
}

fn transport(visit: &Visit) -> Option<String> {
    let transport = visit.http3.as_ref()?.transport?;
    let idle = transport.idle_timeout.map_or_else(
        || "no idle time-out".to_owned(),
        |after| format!("it forgets a connection after {} of silence", span(Duration::from_millis(after))),
    );
    Some(format!(
        "{} streams of requests and {} one-way ones to begin with; {idle}; a client may send {} ahead on a stream, {} on all",
        transport.streams,
        transport.one_way_streams,
        bytes(transport.stream_window),
        bytes(transport.connection_window)
    ))
}

/// A number of bytes as people read it.
fn bytes(bytes: u64) -> String {
    const KIB: u64 = 1024;
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..1_048_576 => format!("{} KiB", (bytes + KIB / 2) / KIB),
        // As much as there is: no limit.
        0x7fff_0000..0x8000_0000 => "any number of bytes".to_owned(),
        _ => format!("{} MiB", (bytes + KIB * KIB / 2) / (KIB * KIB)),
    }
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

/// `HTTP/2: 12 messages, the first after 30 ms; 2 heartbeats, 15 s apart`.
fn socket_said(socket: &SeenSocket) -> String {
    let contents = contents(&socket.said, "message");
    shown(&format!("{}: open after {}: {contents}", socket.alpn.title(), span(socket.headed)))
}

fn coming_back(SeenReturn { alpn, resumed }: &SeenReturn) -> String {
    let came = match resumed {
        Resumed::Next => "with Last-Event-ID, what followed came next",
        Resumed::Again { .. } => "with Last-Event-ID, what was known came again",
        Resumed::Later { .. } | Resumed::Nothing => "with Last-Event-ID, not what had followed",
        Resumed::Untold { why } => return format!("{}: not tried: {why}", alpn.title()),
    };
    format!("{}: {came}", alpn.title())
}

fn many(streams: &SeenStreams) -> String {
    let refused = streams.refused.as_ref().map(|refused| format!("; the next: {refused}"));
    let (alpn, opened, asked) = (streams.alpn, streams.opened, streams.asked);
    // RFC 9112 has a connection for each, and browsers have a limit of those.
    let of_six = if alpn == Alpn::H1 { "; a browser opens 6 of them to a host, all its tabs together" } else { "" };
    let title = alpn.title();
    shown(&format!("{title}: {opened} of {asked} streams open at once{}{of_six}", refused.unwrap_or_default()))
}

fn leaving(alpn: Alpn, goaway: &Goaway) -> String {
    let at = goaway.at.map_or_else(String::new, |at| format!(" after {}", span(at)));
    let said = if goaway.said.is_empty() { String::new() } else { format!(": {}", goaway.said) };
    let why = if alpn == Alpn::H2 { format!(", {}", goaway.name()) } else { String::new() };
    shown(&format!("{}: no more requests on a connection{at}{why}{said}", alpn.title()))
}

fn quiet(quiet: &SeenQuiet) -> String {
    let millis = |ms| span(Duration::from_millis(ms));
    let cut = quiet.cut.as_ref().map_or_else(
        || "it was not cut".to_owned(),
        |(silence, how)| format!("cut after {} of silence: {how}", millis(*silence)),
    );
    let (listened, longest) = (millis(quiet.listened), millis(quiet.longest));
    shown(&format!("{}: in {listened}, at most {longest} without a byte; {cut}", quiet.alpn.title()))
}

fn shown(text: &str) -> String {
    visible(text).into_owned()
}
