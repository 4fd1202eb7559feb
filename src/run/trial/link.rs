//! The link of a trial that has one: brought up before its ends, taken down after them, and told of.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use etherparse::ip_number;

use super::super::{RunError, machine};
use super::{EarlyEnd, TrialRunner, failed};
use crate::link::{
    Carried, Conditions, Disturbance, FlowTransport, Link, LinkError, LinkReport, MTU, MappingLifetimes, Namespace,
    OwnPort,
};
use crate::text::chain;
use crate::trial::fact::{Outcome, UsageAt, WayCarried};
use crate::trial::rig::Rig;
use crate::trial::settings::{
    Blocked, Fault, FaultAct, LinkFault, LinkRate, LinkSettings, NatSettings, NatTimeout, StackSettings,
};
use crate::trial::{LabFact, Observation, schedule};
use crate::units::Span;
use crate::wire;

impl TrialRunner<'_> {
    /// Brings the link up, where there is to be one.
    pub(super) async fn bring_link_up(&mut self) -> Result<(), EarlyEnd> {
        let Some(settings) = &self.planned.settings.link else { return Ok(()) };
        let hidden = hidden(self.lab.rig);
        let [up, down] = settings.ways().map(|way| conditions(&LinkSettings { delay: way.delay + hidden, ..way }));
        let (seed, port, stack) = (self.planned.seed, self.lab.control.port(), self.planned.settings.stack);
        let own: Vec<_> =
            std::iter::once(OwnPort { over: FlowTransport::Tcp, port }).chain(self.port_before_link()).collect();
        let lifetimes = lifetimes(settings.nat);
        let start = if self.traces() { Link::start_recorded } else { Link::start };
        // Devices and namespaces take the kernel some milliseconds.
        let brought = tokio::task::spawn_blocking(move || {
            let link = start(&up, &down, seed, &own)?;
            if let Some(lifetimes) = lifetimes {
                link.place_nat(lifetimes);
            }
            for end in [&link.server, &link.client] {
                end.within(|| set_up(stack))?;
            }
            let socket = link.client.within(|| TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?;
            Ok((link, socket))
        });
        match brought.await.unwrap_or(Err(LinkError::Panicked)) {
            Ok((link, socket)) => {
                self.link = Some(link);
                // A browser whose address changes ends every connection of HTTP/2 that it has, but no answer of HTTP/1.1.
                let moves = |fault: &Fault| fault.kind.row().act == FaultAct::OnLink(LinkFault::InterfaceChange);
                let by_http1 = self.planned.settings.fault.iter().any(moves);
                let answering = socket.and_then(|socket| self.lab.control.answer_at(socket, by_http1));
                let says = |error| format!("the control origin can't be had at the client's end of the link: {error}");
                self.answering = Some(answering.or_else(|error| failed(says(error)))?);
            }
            Err(error @ LinkError::NotPermitted { .. }) => {
                return Err(EarlyEnd::Ended(Outcome::Unsupported, chain(&error)));
            }
            Err(error) => return failed(format!("the link could not be brought up: {}", chain(&error))),
        }
        Ok(())
    }

    /// Notes what TCP does by itself where the client is.
    pub(super) fn note_network(&mut self) -> Result<(), EarlyEnd> {
        let stack = match &self.link {
            Some(link) => link.client.within(wire::of_network),
            None => Ok(wire::of_network()),
        };
        match stack {
            Ok(stack) => Ok(self.note(LabFact::Network { stack: Box::new(stack) })?),
            Err(error) => failed(format!("the client's end of the link can't be entered: {}", chain(&error))),
        }
    }

    /// Has it note what it carries from one part of the timeline to the next.
    pub(super) fn mark_link(&mut self, go: u64) {
        let Some(link) = &self.link else { return };
        let workload = &self.planned.settings.workload;
        let census = workload.census_nanos();
        let first = schedule(workload, self.planned.seed).first().map_or(census, |due| due.at);
        let end = self.timeline_nanos();
        let marks = [(UsageAt::Go, 0), (UsageAt::First, first), (UsageAt::Census, census), (UsageAt::End, end)];
        self.link_marks = marks.map(|(at, after)| (go + after, at)).into();
        for (at, _) in &self.link_marks {
            link.mark(*at);
        }
    }

    /// Has something happen on it.
    pub(super) fn begin_on_link(&mut self, fault: LinkFault) -> Result<(), EarlyEnd> {
        let Some(link) = &mut self.link else { return failed("there is no link that anything could happen on") };
        match fault {
            LinkFault::Blackout => link.disturb(Disturbance::Blackout),
            LinkFault::BlockUdp => link.disturb(Disturbance::UdpBlocked),
            LinkFault::NatRebind => link.disturb(Disturbance::NatRebind),
            LinkFault::NatReset => link.disturb(Disturbance::NatReset),
            LinkFault::Reset => link.disturb(Disturbance::Reset),
            // The kernel has done that within a few milliseconds; until then nothing else is due.
            LinkFault::InterfaceChange => {
                return link
                    .move_client()
                    .or_else(|error| failed(format!("the client could not be moved: {}", chain(&error))));
            }
        }
        Ok(())
    }

    /// Ends what lasts.
    pub(super) fn end_on_link(&self, fault: LinkFault) {
        let Some(link) = &self.link else { return };
        match fault {
            LinkFault::Blackout => link.disturb(Disturbance::BlackoutOver),
            LinkFault::BlockUdp => link.disturb(Disturbance::UdpBlockedOver),
            // They are over at once.
            LinkFault::NatRebind | LinkFault::NatReset | LinkFault::InterfaceChange | LinkFault::Reset => {}
        }
    }

    /// Takes it down once nobody is on it, and notes what it carried. Gives back why it didn't hold.
    pub(super) async fn take_link_down(&mut self) -> Result<Option<String>, RunError> {
        self.answering = None;
        let Some(link) = self.link.take() else { return Ok(None) };
        let taken = tokio::task::spawn_blocking(move || {
            let dropped = |namespace: &Namespace| namespace.within(machine::udp_dropped).ok().flatten();
            let both = dropped(&link.client).zip(dropped(&link.server));
            (both.map(|(client, server)| client + server), link.finish())
        });
        let (udp_dropped, report) = taken.await.unwrap_or((None, Err(LinkError::Panicked)));
        self.link_udp_dropped = udp_dropped;
        let broken = match report {
            Ok(mut report) => {
                let recording = report.recording.take();
                self.note_carried(report)?;
                match recording.map(Arc::new) {
                    Some(recording) => {
                        self.note_trace(Arc::clone(&recording)).await?;
                        self.write_capture(recording).await?
                    }
                    None => None,
                }
            }
            Err(error) => Some(format!("the link broke: {}", chain(&error))),
        };
        self.forget_keys()?;
        Ok(broken)
    }

    fn note_carried(&mut self, mut report: LinkReport) -> Result<(), RunError> {
        let Some(all) = report.marks.pop() else { return Ok(()) };
        let mut marks = std::mem::take(&mut self.link_marks);
        marks.sort_by_key(|(at, _)| *at);
        for (mark, (_, at)) in report.marks.iter().zip(marks) {
            let [up, down] = [&mark.up, &mark.down].map(told);
            self.record(Observation::at(mark.at, LabFact::LinkCarried { at, up, down }.into()))?;
        }
        let [up, down] = [&all.up, &all.down].map(told);
        let [up_dropped, down_dropped] = report.dropped;
        let (late_median, late_most) = (report.late_median, report.late_most);
        self.note(LabFact::LinkEnded { up, down, up_dropped, down_dropped, late_median, late_most })
    }
}

/// How much longer each packet is under way than anybody is told.
pub(in crate::run) const fn hidden(rig: Option<Rig>) -> Span {
    Span::from_millis(if matches!(rig, Some(Rig::SlowLink)) { 5 } else { 0 })
}

/// Sets TCP up for all that is in this thread's network, and asks nothing of whoever is: a browser has it too. What the
/// kernel doesn't let be set stays as it is, and is found so.
fn set_up(stack: StackSettings) {
    let congestion = stack.congestion().map(|congestion| ("tcp_congestion_control", congestion.name()));
    let idle = stack.is_parity().then_some(("tcp_slow_start_after_idle", "0"));
    for (name, value) in congestion.into_iter().chain(idle) {
        if let Err(error) = std::fs::write(Path::new("/proc/sys/net/ipv4").join(name), value) {
            tracing::debug!(%error, name, value, "TCP on the link keeps what it has");
        }
    }
}

fn conditions(settings: &LinkSettings) -> Conditions {
    let LinkSettings { mtu_silent, delay, jitter, loss, corrupt, duplicate, queue, reorder, reorder_by, .. } =
        *settings;
    let block = match settings.block {
        Blocked::None => None,
        Blocked::Udp => Some(ip_number::UDP),
    };
    // What the devices take is no condition.
    let mtu = u16::try_from(settings.mtu.bytes()).ok().filter(|mtu| *mtu < MTU);
    let rate = match settings.rate {
        LinkRate::Unlimited => None,
        LinkRate::Limited(rate) => Some(rate),
    };
    let burst = Some(settings.burst).filter(|burst| *burst > 0);
    let drop = settings.drop.clone();
    Conditions {
        block,
        mtu,
        mtu_silent,
        drop,
        loss,
        burst,
        corrupt,
        duplicate,
        rate,
        queue,
        delay,
        jitter,
        reorder,
        reorder_by,
    }
}

/// How long the NAT keeps what it knows; `None`: there is none.
fn lifetimes(settings: NatSettings) -> Option<MappingLifetimes> {
    let [udp, tcp] = [settings.udp, settings.tcp].map(|kept| match kept {
        NatTimeout::Never => None,
        NatTimeout::After(span) => Some(span),
    });
    (udp.is_some() || tcp.is_some()).then_some(MappingLifetimes { udp, tcp })
}

fn told(carried: &Carried) -> WayCarried {
    let dropped = carried.dropped.iter().map(|(by, packets)| ((*by).to_owned(), *packets)).collect();
    WayCarried { packets: carried.packets, bytes: carried.bytes, dropped, told: carried.told }
}
