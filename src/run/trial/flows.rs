//! What of a link's packets was what: by flow, by direction and by part of the timeline.

use std::collections::BTreeMap;

use crate::link::{Flow, Outside, Recording};
use crate::trial::LabFact;
use crate::trial::fact::WayParts;
use crate::trial::phase::{Phase, Phases};

/// How many flows are told apart; those that begin later are told of as one, of port 0.
const MAX_FLOWS: usize = 1024;

/// What is known of a packet's content.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Inside {
    /// How many bytes of its content are the application's, decrypted.
    pub(super) application: usize,
    /// How many of those are data of events.
    pub(super) payload: usize,
    /// Whether it does nothing but acknowledge.
    pub(super) acknowledges: bool,
}

/// A fact for each flow and each part of the timeline in which it sent something. `go` is the timeline's 0 (`None`: it
/// never came), `inside` what is known of the packet at this place; `None`: it can't be told.
pub(super) fn flows(
    recording: &Recording,
    phases: &Phases,
    go: Option<u64>,
    inside: &dyn Fn(usize) -> Option<Inside>,
) -> Vec<LabFact> {
    let mut order: Vec<Flow> = Vec::new();
    let mut parts: BTreeMap<(usize, Phase), [WayParts; 2]> = BTreeMap::new();
    let mut places: BTreeMap<Flow, usize> = BTreeMap::new();
    for (place, packet) in recording.packets().enumerate() {
        let Some(outside) = Outside::of(packet.bytes, packet.way) else { continue };
        let flow = *places.entry(outside.flow).or_insert_with(|| {
            if order.len() == MAX_FLOWS {
                return order.len();
            }
            order.push(outside.flow);
            order.len() - 1
        });
        let phase = go.and_then(|go| packet.at.checked_sub(go)).map_or(Phase::Handshake, |after| phases.at(after));
        let of = &mut parts.entry((flow, phase)).or_default()[packet.way as usize];
        add(of, &outside, inside(place));
    }
    let fact = |((flow, phase), [up, down]): ((usize, Phase), [WayParts; 2])| {
        let (over, client, server) =
            order.get(flow).map_or(("others", 0, 0), |flow: &Flow| (flow.over.word(), flow.client, flow.server));
        LabFact::LinkFlow { over: over.to_owned(), client, server, phase, up, down }
    };
    parts.into_iter().map(fact).collect()
}

fn add(parts: &mut WayParts, outside: &Outside, inside: Option<Inside>) {
    let &Outside { headers, carries, acknowledges, .. } = outside;
    let bytes = |bytes: usize| bytes as u64;
    parts.packets += 1;
    parts.bytes += bytes(headers + carries);
    if acknowledges || inside.is_some_and(|inside| inside.acknowledges) {
        parts.acknowledgements += bytes(headers + carries);
        return;
    }
    parts.headers += bytes(headers);
    match inside {
        Some(Inside { application, payload, .. }) => {
            parts.protection += bytes(carries.saturating_sub(application));
            parts.framing += bytes(application.min(carries).saturating_sub(payload));
            parts.payload += bytes(payload.min(application).min(carries));
        }
        None => parts.unknown += bytes(carries),
    }
}
