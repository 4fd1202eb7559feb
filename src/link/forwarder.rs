//! What carries packets: one thread between two devices, which takes them as they come and hands them on when they are
//! due.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fs::File;
use std::io::{ErrorKind, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl::set_timerslack;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

use super::carried::Lag;
use super::middlebox::{Middlebox, Passed, Stopped};
use super::{
    Carried, Disturbance, Fate, LinkError, LinkReport, MTU, MappingLifetimes, Pipeline, Recording, Snapshot, Way,
};

/// How many packets are taken from one device before the other has its turn.
const BATCH: usize = 64;
/// For how long before a packet is due its thread stays awake, in nanoseconds: about what a virtual machine takes to wake.
const AWAKE: u64 = 60_000;
/// How long it works without a rest, and how long it rests then, in nanoseconds. A thread that comes first may work for
/// 95 % of a second (sched(7), `sched_rt_runtime_us`), and is stopped for the rest of it in one piece.
const AT_WORK: u64 = 1_500_000;
const REST: u64 = 120_000;
/// How many bytes may be under way on one way. More are dropped, and counted under [`FULL`].
const MAX_HELD: usize = 256 << 20;
/// What drops a packet where there is no room for more.
const FULL: &str = "memory";
/// What drops one that the device it goes to doesn't take.
const REFUSED: &str = "device";

/// The two devices, and what is between them.
#[derive(Debug)]
pub(super) struct Forwarder {
    /// The client's and the server's.
    devices: [File; 2],
    /// Up and down.
    lanes: [Lane; 2],
    middlebox: Middlebox,
    /// Packets of the link's own that go up.
    own: VecDeque<Vec<u8>>,
    ended: PipeReader,
    wishes: Receiver<Wish>,
    /// When what was carried is to be noted, in the order of time.
    marks: VecDeque<u64>,
    report: LinkReport,
    late: Lag,
    /// When it last rested, in nanoseconds.
    rested: u64,
}

/// What is wanted of it while it carries.
#[derive(Debug)]
pub(super) enum Wish {
    /// That it notes what was carried until then, in nanoseconds.
    Mark(u64),
    /// That something goes wrong from the next packet on.
    Disturb(Disturbance),
    /// That there is a NAT from the next packet on.
    Nat(MappingLifetimes),
}

/// One way.
#[derive(Debug)]
struct Lane {
    pipeline: Pipeline,
    /// What is under way, the next to arrive on top.
    held: BinaryHeap<Reverse<Held>>,
    /// Their bytes.
    bytes: usize,
    /// Buffers that were used before.
    spare: Vec<Vec<u8>>,
    carried: Carried,
}

/// A packet under way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    /// When it arrives, in nanoseconds.
    at: u64,
    /// Which of those held so far: at one instant they arrive in this order.
    order: u64,
    bytes: Vec<u8>,
}

impl Forwarder {
    /// Between the devices of the client and the server, until the pipe is closed. `record`: whether what comes is kept.
    pub(super) fn new(
        devices: [File; 2],
        pipelines: [Pipeline; 2],
        ended: PipeReader,
        wishes: Receiver<Wish>,
        record: bool,
    ) -> Self {
        let lanes = pipelines.map(|pipeline| Lane {
            pipeline,
            held: BinaryHeap::new(),
            bytes: 0,
            spare: Vec::new(),
            carried: Carried::default(),
        });
        let recording = record.then(Recording::default);
        let report = LinkReport { recording, ..LinkReport::default() };
        let (marks, late) = (VecDeque::new(), Lag::default());
        let (middlebox, own) = (Middlebox::default(), VecDeque::new());
        Self { devices, lanes, middlebox, own, ended, wishes, marks, report, late, rested: 0 }
    }

    pub(super) fn run(mut self) -> Result<LinkReport, LinkError> {
        // The kernel may wake a thread 50 µs late, to save power. This one must not be late.
        set_timerslack(1).map_err(|error| LinkError::of("set a timer's slack", error.into()))?;
        come_first();
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            self.note_until(now()?);
            let mut more = false;
            for way in 0..2 {
                more |= self.take(way, &mut buffer)?;
            }
            for way in 0..2 {
                self.hand_on(way)?;
            }
            more |= !self.own.is_empty();
            if !self.wait(more)? {
                break;
            }
        }
        self.note_until(now()?);
        self.note(now()?);
        (self.report.late_median, self.report.late_most) = self.late.told();
        Ok(self.report)
    }

    /// Takes what has come from one device. Says whether there may be more.
    fn take(&mut self, way: usize, buffer: &mut [u8]) -> Result<bool, LinkError> {
        for _ in 0..BATCH {
            let own = if way == Way::Up as usize { self.own.pop_front() } else { None };
            let read = match &own {
                Some(packet) => packet.as_slice().read(buffer),
                None => (&self.devices[way]).read(buffer),
            };
            let bytes = match read {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(source) => return Err(LinkError::of("read from a TUN device", source)),
            };
            if bytes > usize::from(MTU) {
                return Err(LinkError::TooLong { bytes });
            }
            let now = now()?;
            self.note_until(now);
            let (lane, report) = (&mut self.lanes[way], &mut self.report);
            let packet = &mut buffer[..bytes];
            lane.carried.came(bytes);
            let entered = match own {
                Some(_) => Ok(Passed { bytes, told: None }),
                None => self.middlebox.enters(Way::ALL[way], packet, now),
            };
            let (packet, told) = match entered {
                Ok(Passed { bytes, told }) => (&mut packet[..bytes], told),
                Err(Stopped { by, told }) => {
                    let number = lane.pipeline.pass_over();
                    lane.carried.dropped(by);
                    report.note_dropped(way, number);
                    if let Some(recording) = &mut report.recording {
                        recording.came(now, Way::ALL[way], packet);
                        recording.became(number, [Some(Fate::Dropped(by)), None], std::iter::empty(), packet);
                    }
                    self.tell(way, told)?;
                    continue;
                }
            };
            if let Some(recording) = &mut report.recording {
                recording.came(now, Way::ALL[way], packet);
            }
            let mut fates = [None; 2];
            let number = lane.pipeline.take(packet, now, &mut |fate| {
                if let Some(free) = fates.iter_mut().find(|slot| slot.is_none()) {
                    *free = Some(fate);
                }
            });
            for fate in fates.iter_mut().flatten() {
                if let Fate::Arrives(at) = *fate
                    && !lane.hold(packet, at)
                {
                    *fate = Fate::Dropped(FULL);
                }
                if let Fate::Dropped(by) = *fate {
                    lane.carried.dropped(by);
                    report.note_dropped(way, number);
                }
            }
            if let Some(recording) = &mut report.recording {
                recording.became(number, fates, lane.pipeline.waits(), packet);
            }
            let told = told.or_else(|| lane.pipeline.told());
            self.tell(way, told)?;
        }
        Ok(true)
    }

    /// Tells the sender of a packet on this way what became of it: by a packet, which is there at once, as whoever tells it
    /// stands at its end.
    fn tell(&mut self, way: usize, told: Option<Vec<u8>>) -> Result<(), LinkError> {
        let Some(told) = told else { return Ok(()) };
        self.lanes[way].carried.told += 1;
        match (&self.devices[way]).write(&told) {
            Err(source) if !is_refused(&source) => Err(LinkError::of("write to a TUN device", source)),
            _ => Ok(()),
        }
    }

    /// Hands on what is due on one way.
    fn hand_on(&mut self, way: usize) -> Result<(), LinkError> {
        let (lane, mut to) = (&mut self.lanes[way], &self.devices[1 - way]);
        while let Some(due) = lane.next() {
            let now = now()?;
            if due > now {
                break;
            }
            let Some(Reverse(mut held)) = lane.held.pop() else { break };
            lane.bytes -= held.bytes.len();
            if way == Way::Down as usize
                && let Err(Stopped { by, told }) = self.middlebox.arrives(&mut held.bytes, now)
            {
                lane.carried.dropped(by);
                lane.carried.told += u64::from(told.is_some());
                self.own.extend(told);
                if let Some(recording) = &mut self.report.recording {
                    recording.refused(Way::Down, held.order - 1, held.at, by);
                }
                lane.spare.push(held.bytes);
                continue;
            }
            match to.write(&held.bytes) {
                Ok(_) => self.late.note(now - held.at),
                Err(error) if is_refused(&error) => {
                    lane.carried.dropped(REFUSED);
                    if let Some(recording) = &mut self.report.recording {
                        recording.refused(Way::ALL[way], held.order - 1, held.at, REFUSED);
                    }
                }
                Err(source) => return Err(LinkError::of("write to a TUN device", source)),
            }
            lane.spare.push(held.bytes);
        }
        Ok(())
    }

    /// Waits until something comes or is due; `false`: the link is to end.
    fn wait(&mut self, more: bool) -> Result<bool, LinkError> {
        let before = now()?;
        if before - self.rested > AT_WORK {
            std::thread::sleep(Duration::from_nanos(REST));
            self.rested = now()?;
        }
        let due = self.lanes.iter().filter_map(Lane::next).min();
        let asleep = due.map(|due| due.saturating_sub(before + AWAKE));
        let timeout = if more { Some(0) } else { asleep }.map(|nanos| TimeSpec::from(Duration::from_nanos(nanos)));
        let [client, server] = &self.devices;
        let mut ready = [
            PollFd::new(self.ended.as_fd(), PollFlags::POLLIN),
            PollFd::new(client.as_fd(), PollFlags::POLLIN),
            PollFd::new(server.as_fd(), PollFlags::POLLIN),
        ];
        match ppoll(&mut ready, timeout, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(LinkError::of("wait for packets", error.into())),
        }
        let goes_on = !ready[0].any().unwrap_or(false);
        let after = now()?;
        if after - before > REST {
            self.rested = after;
        }
        Ok(goes_on)
    }

    /// Takes what is wanted, and notes what was carried at every instant that was asked for and has come.
    fn note_until(&mut self, now: u64) {
        for wish in self.wishes.try_iter() {
            match wish {
                Wish::Mark(at) => {
                    let place = self.marks.partition_point(|earlier| *earlier <= at);
                    self.marks.insert(place, at);
                }
                Wish::Disturb(disturbance) => self.middlebox.disturb(disturbance),
                Wish::Nat(lifetimes) => self.middlebox.place_nat(lifetimes),
            }
        }
        while let Some(at) = self.marks.front().copied().filter(|at| *at <= now) {
            self.marks.pop_front();
            self.note(at);
        }
    }

    fn note(&mut self, at: u64) {
        let [up, down] = [0, 1].map(|way| self.lanes[way].carried.clone());
        self.report.marks.push(Snapshot { at, up, down });
    }
}

impl Lane {
    /// When the next one arrives.
    fn next(&self) -> Option<u64> {
        self.held.peek().map(|Reverse(held)| held.at)
    }

    /// Keeps a packet until it arrives; `false`: there is no room for it.
    fn hold(&mut self, packet: &[u8], at: u64) -> bool {
        if self.bytes + packet.len() > MAX_HELD {
            return false;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(packet);
        self.bytes += bytes.len();
        let order = self.carried.packets;
        self.held.push(Reverse(Held { at, order, bytes }));
        true
    }
}

/// Whether a device took no packet: for want of memory, or as nobody is there to take it.
fn is_refused(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::OutOfMemory)
}

/// Lets this thread run as soon as it has something to do, whoever else would: it does little, and each packet of both ends
/// waits for it. An ordinary user may not; how late it was is told in any case.
fn come_first() {
    let fifo = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, fifo) {
        tracing::debug!(%error, "the link's thread waits for its turn");
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
fn now() -> Result<u64, LinkError> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_err(|error| LinkError::of("read the clock", error.into()))?;
    let [seconds, nanos] = [now.tv_sec(), now.tv_nsec()].map(|part| u64::try_from(part).unwrap_or(0));
    Ok(seconds * 1_000_000_000 + nanos)
}
