//! What a link that was traced carried: the recording, decrypted, told as facts.

use std::path::Path;
use std::sync::Arc;

use super::super::RunError;
use super::TrialRunner;
use super::capture::KEYS;
use super::flows::flows;
use crate::dissect::{Carrier, DissectedPacket, Dissection, KnownEvents, PacketContent, Secrets, dissect};
use crate::feed::EventId;
use crate::link::{Fate, RecordedPacket, Recording, Way};
use crate::trial::fact::EventPacket;
use crate::trial::phase::Phases;
use crate::trial::settings::Direction;
use crate::trial::{Fact, LabFact, Observation, ServerFact};

impl TrialRunner<'_> {
    /// Tells which packets carried which event.
    pub(super) async fn note_trace(&mut self, recording: Arc<Recording>) -> Result<(), RunError> {
        let keys = self.lab.trial_folder(self.planned.trial)?.join(KEYS);
        let events = self.known_events();
        let (phases, go) = (Phases::of(&self.planned.settings, self.planned.seed), self.go);
        let traced = tokio::task::spawn_blocking(move || {
            let (mut facts, contents) = trace(&recording, &secrets(&keys), &events);
            let flows = flows(&recording, &phases, go, &contents);
            facts.extend(flows.into_iter().map(|fact| Observation::now(fact.into())));
            facts
        });
        for observation in traced.await.unwrap_or_default() {
            self.record(observation)?;
        }
        Ok(())
    }

    /// Everything that the server published. What clients published has other data, which is not known here.
    fn known_events(&self) -> KnownEvents {
        let (settings, seed) = (&self.planned.settings, self.planned.seed);
        let (kind, size) = (settings.workload.events.payload, settings.workload.events.size.bytes());
        let published = self.observations.iter().filter_map(|line| match &line.observation.fact {
            Fact::Server(ServerFact::Published { id, .. }) => {
                let seq = id.parse::<EventId>().ok()?.seq;
                Some((id.clone(), kind.data(seed, seq, size)))
            }
            _ => None,
        });
        match settings.workload.direction {
            Direction::Down => published.collect(),
            Direction::Up | Direction::Echo => KnownEvents::default(),
        }
    }
}

/// A server that said nothing has no secrets.
fn secrets(keys: &Path) -> Secrets {
    Secrets::read(&std::fs::read_to_string(keys).unwrap_or_default())
}

/// What was found, and what each packet carries.
fn trace(
    recording: &Recording,
    secrets: &Secrets,
    events: &KnownEvents,
) -> (Vec<Observation<Fact>>, Vec<Option<PacketContent>>) {
    let recorded: Vec<RecordedPacket<'_>> = recording.packets().collect();
    let packets: Vec<_> = recorded
        .iter()
        .map(|packet| DissectedPacket { from_server: packet.way == Way::Down, bytes: packet.bytes })
        .collect();
    let Dissection { occurrences, opaque, contents } = dissect(&packets, secrets, events);
    let told = |Carrier { packet, again }: &Carrier| event_packet(&recorded[*packet], *again);
    let mut facts: Vec<_> = occurrences
        .iter()
        .filter_map(|occurrence| {
            let first = occurrence.packets.first()?;
            let packets = occurrence.packets.iter().map(told).collect();
            let (id, conn) = (events.id(occurrence.event).to_owned(), occurrence.connection as u64);
            let fact = LabFact::EventOnLink { id, conn, packets };
            Some(Observation::at(recorded[first.packet].at, fact.into()))
        })
        .collect();
    let (packets, missed) = (recorded.len() as u64, recording.missed);
    facts.push(Observation::now(LabFact::LinkTraced { packets, missed, opaque }.into()));
    (facts, contents)
}

fn event_packet(packet: &RecordedPacket<'_>, again: bool) -> EventPacket {
    let fates = || packet.fates.iter().flatten();
    // Of two that the link made of one, whichever comes first.
    let arrives = fates().filter_map(|fate| match fate {
        Fate::Arrives(at) => Some(*at),
        Fate::Dropped(_) => None,
    });
    let arrives = arrives.min();
    let dropped = fates().find_map(|fate| match fate {
        Fate::Dropped(by) => Some((*by).to_owned()),
        Fate::Arrives(_) => None,
    });
    let dropped = dropped.filter(|_| arrives.is_none());
    let waits = packet.waits.iter().map(|wait| (wait.by.to_owned(), wait.nanos)).collect();
    EventPacket { number: packet.number, came: packet.at, arrives, dropped, waits, again }
}
