//! A recording as Wireshark opens it: pcapng (draft-ietf-opsawg-pcapng), with the secrets that decrypt it inside.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::blocks::unknown::UnknownBlock;
use pcap_file::pcapng::{Block, PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, Endianness, PcapError};

use super::{Fate, RecordedPacket, Recording, Way};

/// The block of secrets (section 4.7), which the library doesn't know by name.
const DECRYPTION_SECRETS: u32 = 0x0A;
/// What is in it: an NSS key log of TLS (section 4.7.1).
const TLS_KEY_LOG: u32 = 0x544C_534B;
/// Times are in units of 10^-9 s (`if_tsresol`, section 4.2).
const NANOSECONDS: u8 = 9;

/// What a capture is made of.
#[derive(Debug, Clone, Copy)]
pub struct Capture<'a> {
    pub recording: &'a Recording,
    /// The secrets of all connections, as an NSS key log.
    pub secrets: &'a [u8],
    /// What is to be added to `CLOCK_MONOTONIC` for the wall clock, in nanoseconds.
    pub wall: u64,
    /// What is said of it as a whole.
    pub comment: &'a str,
}

/// Writes it. Each packet stands there once, at the time when its sender gave it to the link; a comment says its number and
/// what became of it.
pub fn write_capture(capture: &Capture<'_>, to: impl Write) -> io::Result<()> {
    write_blocks(capture, to).map_err(|error| match error {
        PcapError::IoError(error) => error,
        error => io::Error::other(error),
    })
}

fn write_blocks(capture: &Capture<'_>, to: impl Write) -> Result<(), PcapError> {
    let program = concat!("Transport Lab ", env!("CARGO_PKG_VERSION"));
    let section = SectionHeaderBlock {
        endianness: Endianness::Little,
        options: vec![
            SectionHeaderOption::Comment(capture.comment.to_owned().into()),
            SectionHeaderOption::UserApplication(program.into()),
        ],
        ..SectionHeaderBlock::default()
    };
    let mut writer = PcapNgWriter::with_section_header(to, section)?;
    for way in Way::ALL {
        writer.write_block(&interface(way).into_block())?;
    }
    // Who reads it from the beginning has to have them before what they decrypt.
    let secrets = secrets(capture.secrets);
    writer.write_block(&Block::Unknown(UnknownBlock::new(DECRYPTION_SECRETS, 0, &secrets)))?;
    for packet in capture.recording.packets() {
        let block = EnhancedPacketBlock {
            interface_id: packet.way as u32,
            timestamp: Duration::from_nanos(packet.at.saturating_add(capture.wall)),
            original_len: u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(packet.bytes),
            options: vec![EnhancedPacketOption::Comment(comment(&packet).into())],
        };
        writer.write_block(&block.into_block())?;
    }
    writer.into_inner().flush().map_err(PcapError::IoError)
}

/// An interface for each way, numbered as ways are: packets are IP's, without anything before.
fn interface(way: Way) -> InterfaceDescriptionBlock<'static> {
    let options = vec![
        InterfaceDescriptionOption::IfName(way.word().into()),
        InterfaceDescriptionOption::IfDescription(way.describe().into()),
        InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
    ];
    InterfaceDescriptionBlock { linktype: DataLink::RAW, snaplen: 0, options }
}

/// What they are, how many bytes, and they themselves.
fn secrets(log: &[u8]) -> Vec<u8> {
    let length = u32::try_from(log.len()).unwrap_or(u32::MAX);
    [&TLS_KEY_LOG.to_le_bytes()[..], &length.to_le_bytes(), log].concat()
}

/// `up 17: arrives after 25.003 ms (rate 0.003 ms, delay 25.000 ms)`, `down 3: dropped by loss`.
fn comment(packet: &RecordedPacket<'_>) -> String {
    let mut text = format!("{} {}:", packet.way.word(), packet.number);
    for (fate, and) in packet.fates.iter().flatten().zip(["", " and"]) {
        // Writing to a text can't fail.
        let _ = match fate {
            Fate::Arrives(at) => {
                let millis = at.saturating_sub(packet.at) as f64 / 1e6;
                write!(text, "{and} arrives after {millis:.3} ms")
            }
            Fate::Dropped(by) => write!(text, "{and} dropped by {by}"),
        };
    }
    if packet.corrupted {
        text.push_str(", corrupted");
    }
    let waits: Vec<String> =
        packet.waits.iter().map(|wait| format!("{} {:.3} ms", wait.by, wait.nanos as f64 / 1e6)).collect();
    if waits.is_empty() { text } else { format!("{text} ({})", waits.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::super::Wait;
    use super::*;
    use pcap_file::pcapng::PcapNgReader;

    const AT: u64 = 5_000_000_007;

    fn recorded(packets: &[(Way, [Option<Fate>; 2])]) -> Recording {
        let mut recording = Recording::default();
        for (number, &(way, fates)) in (0..).zip(packets) {
            recording.came(AT + number, way, &[0x45; 41]);
            let waits = [Wait { by: "delay", nanos: 25_003_000 }];
            recording.became(number, fates, waits.into_iter().filter(|_| number == 0), &[0x45; 41]);
        }
        recording
    }

    #[test]
    fn a_packet_says_its_number_and_what_became_of_it() {
        let recording = recorded(&[
            (Way::Up, [Some(Fate::Arrives(AT + 25_003_000)), None]),
            (Way::Down, [Some(Fate::Dropped("loss")), None]),
            (Way::Up, [Some(Fate::Arrives(AT + 2)), Some(Fate::Dropped("rate"))]),
        ]);
        let says: Vec<String> = recording.packets().map(|packet| comment(&packet)).collect();
        let twice = "up 2: arrives after 0.000 ms and dropped by rate";
        assert_eq!(says, ["up 0: arrives after 25.003 ms (delay 25.003 ms)", "down 1: dropped by loss", twice]);
    }

    #[test]
    fn what_is_written_is_read_back_in_its_order_with_times_of_the_wall_clock() {
        let recording = recorded(&[(Way::Up, [Some(Fate::Arrives(AT + 5)), None]), (Way::Down, [None, None])]);
        let (log, wall) = (b"CLIENT_RANDOM 00 11\n", 1_790_000_000_000_000_000);
        let mut written = Vec::new();
        let capture = Capture { recording: &recording, secrets: log, wall, comment: "trial 3" };
        write_capture(&capture, &mut written).unwrap();

        let mut reader = PcapNgReader::new(&written[..]).unwrap();
        let mut read = Vec::new();
        while let Some(block) = reader.next_block() {
            read.push(block.unwrap().into_owned());
        }
        assert_eq!(read.len(), 5);
        let Block::Unknown(secrets) = &read[2] else { panic!("{read:?}") };
        assert_eq!((secrets.type_, &secrets.value[..8]), (DECRYPTION_SECRETS, &b"KSLT\x14\0\0\0"[..]));
        assert_eq!(&secrets.value[8..], log);
        for (block, packet) in read[3..].iter().zip(recording.packets()) {
            let Block::EnhancedPacket(block) = block else { panic!("{block:?}") };
            assert_eq!((block.interface_id, &block.data[..]), (packet.way as u32, packet.bytes));
            assert_eq!(block.timestamp, Duration::from_nanos(packet.at + wall));
        }
    }

    #[test]
    fn a_disk_that_takes_no_more_is_an_error_and_not_a_panic() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let taken = bytes.len().min(self.0);
                self.0 -= taken;
                if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let recording = recorded(&[(Way::Up, [None, None])]);
        let capture = Capture { recording: &recording, secrets: b"", wall: 0, comment: "" };
        for room in [0, 10, 60, 200, 300] {
            assert_eq!(write_capture(&capture, Full(room)).unwrap_err().kind(), io::ErrorKind::StorageFull, "{room}");
        }
    }
}
