//! What of a link's packets was what: by flow, by direction and by part of the timeline.

use std::collections::BTreeMap;

use crate::dissect::PacketContent;
use crate::link::{PacketOutside, RecordedFlow, Recording};
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
    let outsides: Vec<_> = recording.packets().map(|packet| PacketOutside::of(packet.bytes, packet.way)).collect();
    let begins = begins(&outsides, contents);
    let mut order: Vec<RecordedFlow> = Vec::new();
    let mut parts: BTreeMap<(usize, TrialPhase), [WayParts; 2]> = BTreeMap::new();
    let mut places: BTreeMap<RecordedFlow, usize> = BTreeMap::new();
    for (place, ((packet, outside), content)) in recording.packets().zip(&outsides).zip(contents).enumerate() {
        let Some(outside) = outside else { continue };
        let flow = *places.entry(outside.flow).or_insert_with(|| {
            if order.len() == MAX_FLOWS {
                return order.len();
            }
            order.push(outside.flow);
            order.len() - 1
        });
        let phase = match go.and_then(|go| packet.at.checked_sub(go)).map(|after| phases.at(after)) {
            Some(TrialPhase::Closing) => TrialPhase::Closing,
            // Readers that come when the first event is due, or later, have a handshake too.
            Some(phase) if begins.get(&outside.flow).is_none_or(|first| place >= *first) => phase,
            _ => TrialPhase::Handshake,
        };
        let of = &mut parts.entry((flow, phase)).or_default()[packet.way as usize];
        add(of, outside, *content);
    }
    let fact = |((flow, phase), [up, down]): ((usize, TrialPhase), [WayParts; 2])| {
        let (over, client, server) = order
            .get(flow)
            .map_or(("others", 0, 0), |flow: &RecordedFlow| (flow.over.word(), flow.client, flow.server));
        LabFact::LinkFlow { over: over.to_owned(), client, server, phase, up, down }
    };
    parts.into_iter().map(fact).collect()
}

/// The place of the packet in which each flow carries an event's data for the first time.
fn begins(outsides: &[Option<PacketOutside>], contents: &[Option<PacketContent>]) -> BTreeMap<RecordedFlow, usize> {
    let mut begins = BTreeMap::new();
    for (place, (outside, content)) in outsides.iter().zip(contents).enumerate() {
        if content.is_some_and(|content| content.payload > 0)
            && let Some(outside) = outside
        {
            begins.entry(outside.flow).or_insert(place);
        }
    }
    begins
}

fn add(parts: &mut WayParts, outside: &PacketOutside, content: Option<PacketContent>) {
    let &PacketOutside { headers, carries, acknowledges, .. } = outside;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_packet_carries_is_told_to_the_byte() {
        let flow = RecordedFlow { over: crate::link::FlowTransport::Tcp, client: 1, server: 2 };
        let of = |acknowledges, content| {
            let mut parts = WayParts::default();
            add(&mut parts, &PacketOutside { flow, headers: 52, carries: 150, acknowledges }, content);
            parts
        };
        let content = PacketContent { application: 121, payload: 100, acknowledges: false };
        let data = WayParts { packets: 1, bytes: 202, headers: 52, ..WayParts::default() };
        assert_eq!(of(false, Some(content)), WayParts { protection: 29, framing: 21, payload: 100, ..data });
        assert_eq!(of(false, None), WayParts { unknown: 150, ..data });
        let acknowledges = PacketContent { acknowledges: true, ..PacketContent::default() };
        assert_eq!(of(false, Some(acknowledges)), WayParts { headers: 0, acknowledgements: 202, ..data });
        assert_eq!(of(true, None), WayParts { headers: 0, acknowledgements: 202, ..data });
    }
}
