//! How much of what each packet carries is what.

/// How much of what a packet carries is what, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PacketContent {
    /// What TLS or QUIC was to bring to the other end.
    pub application: usize,
    /// Of that, the data of events that the server published.
    pub payload: usize,
    /// Whether it is of QUIC and does nothing but acknowledge. Of TCP, that is seen from outside.
    pub acknowledges: bool,
}

/// One entry per packet.
#[derive(Debug)]
pub(super) struct PacketContents(Vec<Entry>);

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    content: PacketContent,
    is_known: bool,
    is_opaque: bool,
}

impl PacketContents {
    pub(super) fn of(packets: usize) -> Self {
        Self(vec![Entry::default(); packets])
    }

    /// Something in this packet is known.
    pub(super) fn known(&mut self, packet: usize) -> &mut PacketContent {
        let entry = &mut self.0[packet];
        entry.is_known = true;
        &mut entry.content
    }

    /// Something in it could not be decrypted.
    pub(super) fn opaque(&mut self, packet: usize) {
        self.0[packet].is_opaque = true;
    }

    /// What is known of all that is in them; `None`: not of all.
    pub(super) fn told(self) -> Vec<Option<PacketContent>> {
        let told = |entry: Entry| (entry.is_known && !entry.is_opaque).then_some(entry.content);
        self.0.into_iter().map(told).collect()
    }
}
