//! What of a link's packets was what: by flow, by direction and by part of the timeline.

use std::collections::BTreeMap;

use crate::dissect::PacketContent;
use crate::link::{Flow, Outside, Recording};
use crate::trial::LabFact;
use crate::trial::fact::WayParts;
use crate::trial::phase::{Phases, TrialPhase};

/// How many flows are told apart; those that begin later are told of as one, of port 0.
const MAX_FLOWS: usize = 1024;

/// A fact for each flow and each part of the timeline in which it sent something. `go` is the timeline's 0 (`None`: it
/// never came), `contents` what is known of each packet's content.
pub(super) fn flows(
    recording: &Recording,
    phases: &Phases,
    go: Option<u64>,
    contents: &[Option<PacketContent>],
) -> Vec<LabFact> {
    let mut order: Vec<Flow> = Vec::new();
    let mut parts: BTreeMap<(usize, TrialPhase), [WayParts; 2]> = BTreeMap::new();
    let mut places: BTreeMap<Flow, usize> = BTreeMap::new();
    for (packet, content) in recording.packets().zip(contents) {
        let Some(outside) = Outside::of(packet.bytes, packet.way) else { continue };
        let flow = *places.entry(outside.flow).or_insert_with(|| {
            if order.len() == MAX_FLOWS {
                return order.len();
            }
            order.push(outside.flow);
            order.len() - 1
        });
        let phase = go.and_then(|go| packet.at.checked_sub(go)).map_or(TrialPhase::Handshake, |after| phases.at(after));
        let of = &mut parts.entry((flow, phase)).or_default()[packet.way as usize];
        add(of, &outside, *content);
    }
    let fact = |((flow, phase), [up, down]): ((usize, TrialPhase), [WayParts; 2])| {
        let (over, client, server) =
            order.get(flow).map_or(("others", 0, 0), |flow: &Flow| (flow.over.word(), flow.client, flow.server));
        LabFact::LinkFlow { over: over.to_owned(), client, server, phase, up, down }
    };
    parts.into_iter().map(fact).collect()
}

fn add(parts: &mut WayParts, outside: &Outside, content: Option<PacketContent>) {
    let &Outside { headers, carries, acknowledges, .. } = outside;
    let bytes = |bytes: usize| bytes as u64;
    parts.packets += 1;
    parts.bytes += bytes(headers + carries);
    if acknowledges || content.is_some_and(|content| content.acknowledges) {
        parts.acknowledgements += bytes(headers + carries);
        return;
    }
    parts.headers += bytes(headers);
    match content {
        Some(PacketContent { application, payload, .. }) => {
            parts.protection += bytes(carries.saturating_sub(application));
            parts.framing += bytes(application.min(carries).saturating_sub(payload));
            parts.payload += bytes(payload.min(application).min(carries));
        }
        None => parts.unknown += bytes(carries),
    }
}
