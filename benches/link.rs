//! What a link does, next to what it was told to do: the delay of a connection's beginning, what the link adds where it is
//! told nothing, the rate of a bottleneck, and how fast TCP goes through it. Takes root's rights, and half a minute.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use transport_lab::link::{CLIENT, Conditions, Link, LinkError, SERVER};
use transport_lab::units::{BitRate, Percent, Span};

/// IPv4's and UDP's headers, in bytes.
const HEADERS: usize = 28;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("what                                   injected        seen");
    let (seen, late) = connect(&Conditions { delay: Span::from_millis(25), ..Conditions::default() })?;
    println!("TCP connect, 25 ms each way            50 ms           {seen}, {late}");
    let (seen, late) = connect(&Conditions::default())?;
    println!("TCP connect                            0 ms            {seen}, {late}");
    let seen = rate()?;
    println!(
        "rate over 10 s                         10 Mbit/s       {:.4} Mbit/s ({:+.2} %)",
        seen / 1e6,
        seen / 1e5 - 100.0
    );
    let plain = Conditions::default();
    let (seen, late) = bulk(&plain)?;
    println!("TCP for 5 s, no conditions             –               {:.0} Mbit/s, {late}", seen / 1e6);
    let loss: Percent = "0.01%".parse()?;
    let (seen, late) = bulk(&Conditions { delay: Span::from_millis(2), loss, ..plain })?;
    println!("TCP for 5 s, 2 ms each way, 0.01 %     –               {:.0} Mbit/s, {late}", seen / 1e6);
    Ok(())
}

/// What connecting takes: the median of 200, and the 99th percentile; and how late the link was.
fn connect(conditions: &Conditions) -> Result<(String, String), LinkError> {
    let link = Link::start(conditions, conditions, 1, &[])?;
    let listener = link.server.within(|| TcpListener::bind((SERVER, 0)).expect("a port"))?;
    let to = listener.local_addr().expect("it is bound");
    let accepting = std::thread::spawn(move || listener.incoming().take(201).for_each(drop));
    let mut took = link.client.within(|| {
        let connect = |_| {
            let begun = Instant::now();
            TcpStream::connect(to).expect("a connection");
            begun.elapsed().as_secs_f64() * 1e3
        };
        connect(0);
        (0..200).map(connect).collect::<Vec<f64>>()
    })?;
    accepting.join().expect("a thread that ends");
    took.sort_by(f64::total_cmp);
    let [median, p99] = [took[took.len() / 2], took[took.len() * 99 / 100]];
    Ok((format!("{median:.3} ms at the median, {p99:.3} ms at p99"), lateness(link)?))
}

/// Bits per second, IP headers included, that get through a bottleneck of 10 Mbit/s in ten seconds.
fn rate() -> Result<f64, LinkError> {
    let narrow = Conditions { rate: Some(BitRate::per_second(10_000_000)), ..Conditions::default() };
    let link = Link::start(&Conditions::default(), &narrow, 1, &[])?;
    let client = link.client.within(|| UdpSocket::bind((CLIENT, 0)).expect("a port"))?;
    let server = link.server.within(|| UdpSocket::bind((SERVER, 0)).expect("a port"))?;
    let to: SocketAddr = client.local_addr().expect("it is bound");
    let end = Instant::now() + Duration::from_secs(12);
    let sending = std::thread::spawn(move || {
        // Half as much again as the line takes.
        while Instant::now() < end {
            for _ in 0..15 {
                let _ = server.send_to(&[0; 1222], to);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let mut buffer = [0; 1500];
    let mut read = || client.recv(&mut buffer).map_or(0, |bytes| bytes + HEADERS);
    read();
    let (begun, mut bytes) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(10) {
        bytes += read();
    }
    let seen = bytes as f64 * 8.0 / begun.elapsed().as_secs_f64();
    sending.join().expect("a thread that ends");
    Ok(seen)
}

/// Bits of data per second that one TCP connection brings to the client, and how late the link was.
fn bulk(conditions: &Conditions) -> Result<(f64, String), LinkError> {
    let link = Link::start(conditions, conditions, 1, &[])?;
    let listener = link.server.within(|| TcpListener::bind((SERVER, 0)).expect("a port"))?;
    let to = listener.local_addr().expect("it is bound");
    let mut client = link.client.within(|| TcpStream::connect(to).expect("a connection"))?;
    let (mut server, _) = listener.accept().expect("a connection");
    let data = vec![0; 65536];
    let sending = std::thread::spawn(move || while server.write_all(&data).is_ok() {});
    let mut buffer = vec![0; 1 << 18];
    let (mut begun, mut bytes) = (Instant::now(), 0);
    let mut warm = false;
    while begun.elapsed() < Duration::from_secs(5) {
        bytes += client.read(&mut buffer).expect("data");
        if !warm && begun.elapsed() > Duration::from_millis(500) {
            (warm, begun, bytes) = (true, Instant::now(), 0);
        }
    }
    let seen = bytes as f64 * 8.0 / begun.elapsed().as_secs_f64();
    drop(client);
    sending.join().expect("a thread that ends");
    Ok((seen, lateness(link)?))
}

/// How late a link was that is done with.
fn lateness(link: Link) -> Result<String, LinkError> {
    let report = link.finish()?;
    let micros = |late: Option<u64>| late.unwrap_or(0) as f64 / 1e3;
    let (median, most) = (micros(report.late_median), micros(report.late_most));
    Ok(format!("late {median:.0} µs at the median, {most:.0} µs at most"))
}
