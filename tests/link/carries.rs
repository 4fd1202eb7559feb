//! What a link does to packets of real sockets.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use transport_lab::link::{CLIENT, Conditions, Fate, Link, LinkReport, Namespace, Pipeline, SERVER, Way};
use transport_lab::trial::clock::monotonic_nanos;
use transport_lab::units::{Percent, Span};

use crate::can_link;

/// A datagram's headers on the link: IPv4's and UDP's.
const HEADERS: u64 = 28;

/// What a datagram says that is to be the last one read.
const LAST: u32 = u32::MAX;

/// Sends so many datagrams of 100 bytes from the client, and gives the numbers of those that arrived, in their order, and
/// the link's report. What is sent in the end until it arrives is in the report too.
fn datagrams(conditions: &Conditions, seed: u64, count: u32) -> (Vec<u32>, LinkReport) {
    let link = Link::start(conditions, &Conditions::default(), seed, &[]).unwrap();
    let server = link.server.within(|| UdpSocket::bind((SERVER, 0)).unwrap()).unwrap();
    let client = link.client.within(|| UdpSocket::bind((CLIENT, 0)).unwrap()).unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    server.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    // All of them have room, whoever is late: what is lost is lost on the link.
    setsockopt(&server, RcvBufForce, &(16 << 20)).unwrap();
    let datagram = |number: u32| {
        let mut data = [0; 100];
        data[..4].copy_from_slice(&number.to_be_bytes());
        client.send(&data).unwrap();
    };
    (0..count).for_each(datagram);
    let (mut arrived, mut buffer) = (Vec::new(), [0; 200]);
    datagram(LAST);
    loop {
        match server.recv(&mut buffer) {
            Ok(bytes) => {
                assert_eq!(bytes, 100);
                match u32::from_be_bytes(buffer[..4].try_into().unwrap()) {
                    LAST => break,
                    number => arrived.push(number),
                }
            }
            Err(_) => datagram(LAST),
        }
    }
    (arrived, link.finish().unwrap())
}

#[test]
fn all_that_is_sent_arrives_in_order_and_is_counted_to_the_byte() {
    if !can_link() {
        return;
    }
    let (arrived, report) = datagrams(&Conditions::default(), 1, 300);
    assert!(arrived.iter().copied().eq(0..300));
    let all = report.marks.last().unwrap();
    assert_eq!((all.up.packets, all.up.bytes), (301, 301 * (100 + HEADERS)));
    assert_eq!((all.down.packets, all.up.dropped.len()), (0, 0), "nobody sends what nobody asked for");
}

#[test]
fn the_same_seed_loses_the_same_packets_as_it_does_on_paper() {
    if !can_link() {
        return;
    }
    let conditions = Conditions { loss: "20%".parse::<Percent>().unwrap(), drop: vec![5], ..Conditions::default() };
    let mut pipeline = Pipeline::new(&conditions, Way::Up, 42);
    let mut wanted = Vec::new();
    for _ in 0..400 {
        let mut lost = false;
        let number = pipeline.take(&mut [0; 128], 0, &mut |fate| lost = matches!(fate, Fate::Dropped(_)));
        wanted.extend(lost.then_some(number));
    }
    let (arrived, report) = datagrams(&conditions, 42, 400);
    let dropped: Vec<u64> = report.dropped[0].iter().copied().filter(|number| *number < 400).collect();
    assert_eq!(dropped, wanted);
    let lost: BTreeSet<u64> = wanted.into_iter().collect();
    assert!(arrived.into_iter().map(u64::from).eq((0..400).filter(|number| !lost.contains(number))));
    let (again, _) = datagrams(&conditions, 42, 400);
    assert_eq!(again.len(), 400 - lost.len());
    let by = &report.marks.last().unwrap().up.dropped;
    assert_eq!(by.values().sum::<u64>(), report.dropped[0].len() as u64);
    assert_eq!(by["drop"], 1);
}

#[test]
fn nothing_arrives_before_its_time() {
    if !can_link() {
        return;
    }
    let conditions = Conditions { delay: Span::from_millis(25), ..Conditions::default() };
    let link = Link::start(&conditions, &conditions, 1, &[]).unwrap();
    let listener = link.server.within(|| TcpListener::bind((SERVER, 0)).unwrap()).unwrap();
    let to = listener.local_addr().unwrap();
    let begun = Instant::now();
    let mut client = link.client.within(|| TcpStream::connect(to).unwrap()).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(50), "SYN and SYN-ACK: {:?}", begun.elapsed());
    let (mut server, from) = listener.accept().unwrap();
    assert_eq!(from.ip(), CLIENT);
    // Segmentation is the kernel's own: a write of a mebibyte comes as packets that a wire would carry.
    let writing = std::thread::spawn(move || server.write_all(&vec![7; 1 << 20]).map(|()| server));
    let mut data = vec![0; 1 << 20];
    client.read_exact(&mut data).unwrap();
    assert!(data.iter().all(|byte| *byte == 7));
    drop((client, writing.join().unwrap().unwrap()));
    let report = link.finish().unwrap();
    let down = &report.marks.last().unwrap().down;
    assert!(down.packets >= (1 << 20) / 1500, "{down:?}");
    assert!(down.bytes > 1 << 20 && down.bytes / down.packets <= 1500, "{down:?}");
}

#[test]
fn marks_part_what_was_carried_before_from_what_came_after() {
    if !can_link() {
        return;
    }
    let link = Link::start(&Conditions::default(), &Conditions::default(), 1, &[]).unwrap();
    let server = link.server.within(|| UdpSocket::bind((SERVER, 0)).unwrap()).unwrap();
    let client = link.client.within(|| UdpSocket::bind((CLIENT, 0)).unwrap()).unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    let mut buffer = [0; 10];
    let mut send = || {
        client.send(&[0; 10]).unwrap();
        server.recv(&mut buffer).unwrap();
    };
    send();
    let at = monotonic_nanos() + 20_000_000;
    link.mark(at + 3_600_000_000_000);
    link.mark(at);
    send();
    while monotonic_nanos() <= at {
        std::hint::spin_loop();
    }
    send();
    let report = link.finish().unwrap();
    let packets: Vec<(bool, u64)> = report.marks.iter().map(|mark| (mark.at == at, mark.up.packets)).collect();
    assert_eq!(packets, [(true, 2), (false, 3)], "what was to be noted in an hour never came");
    assert!(report.late_most.unwrap() >= report.late_median.unwrap());
}

/// Every process, thread or open file of this process that holds this namespace.
fn holders(namespace: &Path) -> Vec<PathBuf> {
    let entries = |folder: &str| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let own = entries("/proc/self/task").map(|task| task.join("ns/net")).chain(entries("/proc/self/fd"));
    let others = entries("/proc").map(|process| process.join("ns/net"));
    own.chain(others).filter(|path| std::fs::read_link(path).is_ok_and(|link| link == namespace)).collect()
}

#[test]
fn a_link_that_is_gone_leaves_no_device_and_no_namespace() {
    if !can_link() {
        return;
    }
    let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let link = Link::start(&Conditions::default(), &Conditions::default(), 1, &[]).unwrap();
    let seen = |namespace: &Namespace| {
        let read = || {
            let devices = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
            (std::fs::read_link("/proc/thread-self/ns/net").unwrap(), devices)
        };
        namespace.within(read).unwrap()
    };
    for (namespace, devices) in [seen(&link.server), seen(&link.client)] {
        assert_ne!(namespace, own);
        assert!(devices.contains("link0:"), "{devices}");
        assert!(!holders(&namespace).is_empty());
    }
    assert!(!std::fs::read_to_string("/proc/net/dev").unwrap().contains("link0:"));
    let namespaces = [seen(&link.server).0, seen(&link.client).0];
    drop(link);
    for namespace in namespaces {
        assert_eq!(holders(&namespace), [""; 0].map(PathBuf::from));
    }
}
