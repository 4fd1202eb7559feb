//! Frames of QUIC that carry content: STREAM (RFC 9000 section 19.8) and DATAGRAM (RFC 9221 section 4).

/// What a frame carries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content<'p> {
    Stream { id: u64, offset: u64, data: &'p [u8] },
    Datagram(&'p [u8]),
}

/// What is left to read of a packet.
pub(super) struct FrameReader<'p>(pub(super) &'p [u8]);

impl<'p> FrameReader<'p> {
    pub(super) fn bytes(&mut self, length: usize) -> Option<&'p [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of one, two, four or eight bytes (RFC 9000 section 16).
    pub(super) fn number(&mut self) -> Option<u64> {
        let first = *self.0.first()?;
        let bytes = self.bytes(1 << (first >> 6))?;
        let rest = &bytes[1..];
        Some(rest.iter().fold(u64::from(first & 0x3f), |number, byte| number << 8 | u64::from(*byte)))
    }

    fn numbers(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.number().map(drop))
    }

    pub(super) fn sized(&mut self) -> Option<&'p [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.bytes(length)
    }

    /// To the end, or as long as it says.
    fn data(&mut self, says: bool) -> Option<&'p [u8]> {
        if says { self.sized() } else { Some(std::mem::take(&mut self.0)) }
    }
}

/// What a packet's frames carry, in order; `None`: it isn't made of frames that are known here.
pub(super) fn contents(packet: &[u8]) -> Option<Vec<Content<'_>>> {
    let (mut rest, mut contents) = (FrameReader(packet), Vec::new());
    while !rest.0.is_empty() {
        frame(&mut rest, &mut contents)?;
    }
    Some(contents)
}

/// Whether a packet does nothing but acknowledge: it has frames of ACK and PADDING alone, and so is not acknowledged itself
/// (RFC 9000 section 13.2.1).
pub(super) fn only_acknowledges(packet: &[u8]) -> bool {
    let mut rest = FrameReader(packet);
    while let Some(kind) = rest.0.first() {
        if !matches!(kind, 0x00 | 0x02 | 0x03) || frame(&mut rest, &mut Vec::new()).is_none() {
            return false;
        }
    }
    true
}

/// Takes one frame (RFC 9000 section 19); what is passed over has no content.
fn frame<'p>(rest: &mut FrameReader<'p>, contents: &mut Vec<Content<'p>>) -> Option<()> {
    let kind = rest.number()?;
    match kind {
        // PADDING, PING, HANDSHAKE_DONE, IMMEDIATE_ACK (draft-ietf-quic-ack-frequency).
        0x00 | 0x01 | 0x1e | 0x1f => {}
        // ACK: the largest, the delay, how many ranges, and the first of them; counts of ECN.
        0x02 | 0x03 => {
            rest.numbers(2)?;
            let ranges = usize::try_from(rest.number()?).ok()?;
            rest.numbers(1 + 2 * ranges + if kind == 0x03 { 3 } else { 0 })?;
        }
        // RESET_STREAM.
        0x04 => rest.numbers(3)?,
        // STOP_SENDING, MAX_STREAM_DATA, STREAM_DATA_BLOCKED.
        0x05 | 0x11 | 0x15 => rest.numbers(2)?,
        // CRYPTO.
        0x06 => {
            rest.numbers(1)?;
            rest.sized()?;
        }
        // NEW_TOKEN.
        0x07 => drop(rest.sized()?),
        0x08..=0x0f => {
            let id = rest.number()?;
            let offset = if kind & 0x04 == 0 { 0 } else { rest.number()? };
            let data = rest.data(kind & 0x02 != 0)?;
            contents.push(Content::Stream { id, offset, data });
        }
        // MAX_DATA, MAX_STREAMS, DATA_BLOCKED, STREAMS_BLOCKED, RETIRE_CONNECTION_ID.
        0x10 | 0x12..=0x14 | 0x16 | 0x17 | 0x19 => rest.numbers(1)?,
        // NEW_CONNECTION_ID: with a stateless reset token.
        0x18 => {
            rest.numbers(2)?;
            let length = *rest.bytes(1)?.first()?;
            rest.bytes(usize::from(length) + 16)?;
        }
        // PATH_CHALLENGE, PATH_RESPONSE.
        0x1a | 0x1b => drop(rest.bytes(8)?),
        // CONNECTION_CLOSE of QUIC and of the application.
        0x1c | 0x1d => {
            rest.numbers(if kind == 0x1c { 2 } else { 1 })?;
            rest.sized()?;
        }
        0x30 | 0x31 => contents.push(Content::Datagram(rest.data(kind == 0x31)?)),
        // ACK_FREQUENCY.
        0xaf => rest.numbers(4)?,
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_with_content_are_found_among_those_without() {
        let ack = [0x02, 0x40, 0x80, 0x05, 0x01, 0x00, 0x02, 0x03];
        let stream = [0x0e, 0x04, 0x44, 0x00, 0x02, b'h', b'i'];
        let datagram = [0x30, b'l', b'a', b's', b't'];
        let packet = [&ack[..], &[0x00, 0x01], &stream, &datagram].concat();
        let expected = [Content::Stream { id: 4, offset: 1024, data: b"hi" }, Content::Datagram(b"last")];
        assert_eq!(contents(&packet).unwrap(), expected);
    }

    #[test]
    fn what_only_acknowledges_has_nothing_that_is_to_be_acknowledged() {
        let ack = [0x02, 0x40, 0x80, 0x05, 0x01, 0x00, 0x02, 0x03];
        assert!(only_acknowledges(&ack) && only_acknowledges(&[&ack[..], &[0, 0]].concat()));
        assert!(!only_acknowledges(&[&ack[..], &[0x01]].concat()), "a PING");
        assert!(!only_acknowledges(&ack[..5]), "cut short");
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_no_packet() {
        assert_eq!(contents(&[0x0e, 0x04, 0x00, 0x05, b'h']), None);
        assert_eq!(contents(&[0x21]), None);
        assert_eq!(contents(&[0x40]), None);
    }
}
