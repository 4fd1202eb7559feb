//! Each impairment in virtual time: exact treatments, and what holds whatever is drawn.

use std::collections::BTreeSet;

use etherparse::ip_number;

use super::*;
use crate::link::packet::tests::{CLIENT, SERVER, datagram, segment};
use crate::units::{BitRate, Percent, Size, Span};

const MS: u64 = 1_000_000;

/// Sends packets of these lengths at these times, in nanoseconds, and gives the fates of each.
fn fates(conditions: &Conditions, seed: u64, packets: &[(u64, usize)]) -> Vec<Vec<Fate>> {
    let mut pipeline = Pipeline::new(conditions, Way::Down, seed);
    let each = packets.iter().zip(0..).map(|(&(at, bytes), number)| {
        let mut fates = Vec::new();
        assert_eq!(pipeline.take(&mut vec![0; bytes], at, &mut |fate| fates.push(fate)), number);
        fates
    });
    each.collect()
}

/// So many packets of 1,000 bytes, one each millisecond.
fn steady(count: u64) -> Vec<(u64, usize)> {
    (0..count).map(|number| (number * MS, 1000)).collect()
}

/// When the packets arrive that do, in the order in which they came, as milliseconds.
fn arrivals(fates: &[Vec<Fate>]) -> Vec<u64> {
    let arrives = |fate: &Fate| match fate {
        Fate::Arrives(at) => Some(at / MS),
        Fate::Dropped(_) => None,
    };
    fates.iter().flatten().filter_map(arrives).collect()
}

/// The numbers of the packets that this impairment dropped.
fn dropped(fates: &[Vec<Fate>], by: &str) -> BTreeSet<usize> {
    let is = |fates: &Vec<Fate>| fates.iter().any(|fate| matches!(fate, Fate::Dropped(name) if *name == by));
    fates.iter().enumerate().filter(|(_, fates)| is(fates)).map(|(number, _)| number).collect()
}

fn share(text: &str) -> Percent {
    text.parse().unwrap()
}

#[test]
fn without_conditions_each_packet_arrives_when_it_comes() {
    let fates = fates(&Conditions::default(), 1, &[(5, 40), (5, 1500), (9, 40)]);
    assert_eq!(fates, [5, 5, 9].map(|at| vec![Fate::Arrives(at)]));
}

#[test]
fn a_delay_is_the_same_for_each() {
    let conditions = Conditions { delay: Span::from_millis(25), ..Conditions::default() };
    assert_eq!(arrivals(&fates(&conditions, 1, &steady(4))), [25, 26, 27, 28]);
}

#[test]
fn jitter_keeps_the_order_and_its_bound() {
    let conditions =
        Conditions { delay: Span::from_millis(25), jitter: Span::from_millis(10), ..Conditions::default() };
    let packets = steady(2000);
    let mut pipeline = Pipeline::new(&conditions, Way::Up, 7);
    let (mut last, mut seen) = (0, BTreeSet::new());
    for (at, bytes) in packets {
        pipeline.take(&mut vec![0; bytes], at, &mut |fate| {
            let Fate::Arrives(arrives) = fate else { panic!("{fate:?}") };
            assert!(arrives >= last, "none overtakes another");
            assert!((25 * MS..=35 * MS).contains(&(arrives - at)), "{}", arrives - at);
            seen.insert(arrives - at);
            last = arrives;
        });
    }
    assert!(seen.len() > 1000, "each is drawn");
}

#[test]
fn listed_packets_are_dropped_and_no_others() {
    let conditions = Conditions { drop: vec![7, 3], ..Conditions::default() };
    assert_eq!(dropped(&fates(&conditions, 1, &steady(9)), "drop"), [3, 7].into());
}

#[test]
fn the_same_seed_loses_the_same_packets_and_each_way_others() {
    let conditions = Conditions { loss: share("10%"), ..Conditions::default() };
    let lost = |seed| dropped(&fates(&conditions, seed, &steady(500)), "loss");
    assert_eq!(lost(1), lost(1));
    assert_ne!(lost(1), lost(2));
    let with_delay = Conditions { jitter: Span::from_millis(3), corrupt: share("5%"), ..conditions.clone() };
    assert_eq!(dropped(&fates(&with_delay, 1, &steady(500)), "loss"), lost(1), "what others draw changes nothing");
    let mut up = Pipeline::new(&conditions, Way::Up, 1);
    let mut other = BTreeSet::new();
    for (at, bytes) in steady(500) {
        let mut fate = None;
        let number = up.take(&mut vec![0; bytes], at, &mut |told| fate = Some(told));
        if matches!(fate, Some(Fate::Dropped(_))) {
            other.insert(usize::try_from(number).unwrap());
        }
    }
    assert_ne!(other, lost(1));
}

#[test]
fn two_percent_of_twenty_thousand_lie_within_the_binomials_99_percent() {
    let conditions = Conditions { loss: share("2%"), ..Conditions::default() };
    let lost = dropped(&fates(&conditions, 11, &steady(20_000)), "loss").len();
    // 400 ± 2.576 · √(20,000 · 0.02 · 0.98).
    assert!((349..=451).contains(&lost), "{lost}");
}

#[test]
fn all_or_nothing_is_lost_at_the_ends_of_the_scale() {
    let lost = |text: &str, burst| {
        let conditions = Conditions { loss: share(text), burst, ..Conditions::default() };
        let fates = fates(&conditions, 3, &steady(300));
        dropped(&fates, "loss").len() + dropped(&fates, "burst-loss").len()
    };
    for burst in [None, Some(1), Some(5)] {
        assert_eq!(lost("0%", burst), 0);
        assert_eq!(lost("100%", burst), 300);
    }
}

#[test]
fn bursts_are_as_long_as_asked_for_and_lose_as_much() {
    let conditions = Conditions { loss: share("5%"), burst: Some(4), ..Conditions::default() };
    let lost: Vec<usize> = dropped(&fates(&conditions, 5, &steady(200_000)), "burst-loss").into_iter().collect();
    let bursts = lost.iter().zip(lost.iter().skip(1)).filter(|(one, next)| **next > **one + 1).count() + 1;
    let (mean, share) = (lost.len() as f64 / bursts as f64, lost.len() as f64 / 200_000.0);
    assert!((3.7..4.3).contains(&mean), "{mean} in a row");
    assert!((0.045..0.055).contains(&share), "{share} of all");
}

#[test]
fn a_flipped_bit_spares_the_header_and_is_the_only_one() {
    let conditions = Conditions { corrupt: share("100%"), ..Conditions::default() };
    let mut pipeline = Pipeline::new(&conditions, Way::Down, 2);
    for bytes in [21, 40, 1500] {
        let mut packet = vec![0u8; bytes];
        pipeline.take(&mut packet, 0, &mut |fate| assert_eq!(fate, Fate::Arrives(0)));
        assert!(packet[..20].iter().all(|byte| *byte == 0));
        assert_eq!(packet.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    }
    // There is nothing to flip in a header alone.
    pipeline.take(&mut [0; 20], 0, &mut |fate| assert_eq!(fate, Fate::Arrives(0)));
}

#[test]
fn a_duplicate_arrives_with_its_original_and_takes_its_own_time_on_the_line() {
    let rate = Some(BitRate::per_second(8_000_000));
    let conditions = Conditions { duplicate: share("100%"), rate, ..Conditions::default() };
    // 1,000 bytes take a millisecond.
    let fates = fates(&conditions, 1, &[(0, 1000), (10 * MS, 1000)]);
    assert_eq!(fates.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(arrivals(&fates), [1, 2, 11, 12]);
}

#[test]
fn a_rate_sends_one_packet_after_another() {
    let conditions = Conditions { rate: Some(BitRate::per_second(8_000_000)), ..Conditions::default() };
    let fates = fates(&conditions, 1, &[(0, 1000), (0, 500), (0, 1000), (9 * MS, 1000)]);
    let at = |nanos: u64| vec![Fate::Arrives(nanos)];
    assert_eq!(fates, [at(MS), at(1_500_000), at(2_500_000), at(10 * MS)]);
}

#[test]
fn a_queue_drops_at_its_end_and_never_holds_more_than_it_may() {
    let room = 3000;
    let conditions = Conditions {
        rate: Some(BitRate::per_second(8_000_000)),
        queue: Size::from_bytes(room),
        ..Conditions::default()
    };
    // One on the line and three that wait; the rest finds no room.
    let burst = fates(&conditions, 1, &[(0, 1000); 6]);
    assert_eq!(arrivals(&burst), [1, 2, 3, 4]);
    assert_eq!(dropped(&burst, "rate"), [4, 5].into());
    // Twice as fast as the line, whatever the lengths.
    let packets: Vec<(u64, usize)> =
        (0..5000).map(|n: u16| (u64::from(n) * MS / 4, 100 + usize::from(n) * 37 % 900)).collect();
    let told = fates(&conditions, 1, &packets);
    let mut leaving = Vec::new();
    for (&(at, bytes), fates) in packets.iter().zip(&told) {
        if let [Fate::Arrives(leaves)] = fates[..] {
            leaving.push((leaves, bytes as u64));
        }
        let there: u64 = leaving.iter().filter(|(leaves, _)| *leaves > at).map(|(_, bytes)| bytes).sum();
        // What is on the line waits no more.
        assert!(there <= room + 1000, "{there} bytes at {at}");
    }
    let sent: u64 = leaving.iter().map(|(_, bytes)| bytes).sum();
    let end = leaving.last().unwrap().0;
    let rate = sent as f64 * 8e9 / end as f64;
    assert!((7.9e6..=8.0e6).contains(&rate), "{rate} bit/s");
}

#[test]
fn a_reordered_packet_is_overtaken_and_not_lost() {
    let conditions = Conditions { reorder: share("20%"), reorder_by: Span::from_millis(5), ..Conditions::default() };
    let arrivals = arrivals(&fates(&conditions, 9, &steady(200)));
    assert_eq!(arrivals.len(), 200);
    assert!(!arrivals.is_sorted());
    assert!(arrivals.iter().zip(0..).all(|(at, came)| *at == came || *at == came + 5));
}

#[test]
fn nothing_passes_of_a_protocol_that_is_blocked_and_nobody_is_told() {
    let conditions = Conditions { block: Some(ip_number::UDP), ..Conditions::default() };
    let mut pipeline = Pipeline::new(&conditions, Way::Up, 1);
    let segment = segment(CLIENT, SERVER, etherparse::TcpHeader::new(0, 0, 1, 1), b"");
    for (mut packet, fate) in [(datagram(CLIENT, SERVER, b"x"), Fate::Dropped("block")), (segment, Fate::Arrives(7))] {
        pipeline.take(&mut packet, 7, &mut |told| assert_eq!(told, fate));
        assert_eq!(pipeline.told(), None);
    }
}

#[test]
fn a_packet_longer_than_the_next_hop_takes_is_dropped_and_its_sender_told_or_not() {
    let long = |data: usize| datagram(CLIENT, SERVER, &vec![0; data]);
    for silent in [false, true] {
        let conditions = Conditions { mtu: Some(1280), mtu_silent: silent, ..Conditions::default() };
        let mut pipeline = Pipeline::new(&conditions, Way::Up, 1);
        // 28 bytes of headers.
        pipeline.take(&mut long(1252), 3, &mut |fate| assert_eq!(fate, Fate::Arrives(3)));
        assert_eq!(pipeline.told(), None);
        pipeline.take(&mut long(1253), 4, &mut |fate| assert_eq!(fate, Fate::Dropped("mtu")));
        let told = pipeline.told();
        assert_eq!(told, crate::link::packet::too_long(&long(1253), 1280, crate::link::ROUTER).filter(|_| !silent));
        assert_eq!(pipeline.told(), None, "once");
    }
}

#[test]
fn never_more_comes_out_than_went_in_but_for_duplicates() {
    let all = Conditions {
        block: Some(ip_number::TCP),
        mtu: Some(1400),
        mtu_silent: false,
        drop: vec![1],
        loss: share("3%"),
        burst: None,
        corrupt: share("3%"),
        duplicate: share("3%"),
        rate: Some(BitRate::per_second(6_000_000)),
        queue: Size::from_bytes(9000),
        delay: Span::from_millis(20),
        jitter: Span::from_millis(5),
        reorder: share("3%"),
        reorder_by: Span::from_millis(4),
    };
    for seed in 0..20 {
        let packets = steady(1000);
        let told = fates(&all, seed, &packets);
        assert_eq!(told, fates(&all, seed, &packets), "the same seed, the same fates");
        for (fates, (at, _)) in told.iter().zip(&packets) {
            assert!((1..=2).contains(&fates.len()));
            assert!(fates.iter().all(|fate| !matches!(fate, Fate::Arrives(arrives) if *arrives < at + 20 * MS)));
        }
        let bursts = Conditions { burst: Some(3), ..all.clone() };
        assert!(!dropped(&fates(&bursts, seed, &packets), "burst-loss").is_empty());
    }
}

#[test]
fn a_packet_tells_what_it_waits_for_and_how_long() {
    let rate = Some(BitRate::per_second(8_000_000));
    let conditions = Conditions { rate, delay: Span::from_millis(5), ..Conditions::default() };
    let mut pipeline = Pipeline::new(&conditions, Way::Up, 1);
    let mut waits = |at| {
        pipeline.take(&mut [0; 1000], at, &mut |_| {});
        pipeline.waits().map(|wait| (wait.by, wait.nanos / MS)).collect::<Vec<_>>()
    };
    // 8,000 bits take 1 ms, and the second has to wait for the first.
    assert_eq!(waits(0), [("rate", 1), ("delay", 5)]);
    assert_eq!(waits(0), [("rate", 2), ("delay", 5)]);
    assert_eq!(waits(10 * MS), [("rate", 1), ("delay", 5)]);
}
