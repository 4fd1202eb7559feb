//! The link between client and server: `[link]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NatSettings, Preset};
use crate::units::{BitRate, Percent, Size, Span, word_or_quantity};

/// The longest that a packet may be under way: to the moon and back four times over.
const DELAYS: [Span; 2] = [Span::from_millis(0), Span::from_secs(10)];
const SHARES: [Percent; 2] = [Percent::of_hundred(0.0), Percent::of_hundred(100.0)];
/// From slower than any modem to faster than any machine forwards.
const RATES: [BitRate; 2] = [BitRate::per_second(1_000), BitRate::per_second(100_000_000_000)];
/// One packet at least; at most a quarter of what the lab holds under way.
const QUEUES: [Size; 2] = [Size::from_bytes(1_500), Size::from_bytes(64 << 20)];
/// From what every host must take (RFC 791 section 3.1) to what the devices do.
const MTUS: [Size; 2] = [Size::from_bytes(576), Size::from_bytes(1_500)];

/// The link between client and server. An experiment that has this table, be it empty, puts each end into a network of its
/// own and treats every IP packet between them alike, in this order: `block`, `mtu`, `drop`, `loss`, `corrupt`, `duplicate`,
/// `rate`, `delay`, `reorder`. What is drawn is drawn from the trial's seed, for each way and each of these by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LinkSettings {
    /// A network as somebody has measured it, which sets what else would stand here. A setting that does stand here has its own
    /// value all the same. `transport-lab list presets` shows them with their sources.
    pub preset: Preset,
    /// What no packet passes that carries it, as in networks whose firewall drops what it doesn't know, without a word.
    pub block: Blocked,
    /// The longest packet that passes each way, in bytes, IP header included. The ends don't know it: their devices take
    /// 1500 bytes. A router in between drops what is longer and says so to who sent it (RFC 1191 section 4).
    #[schemars(extend("x-least" = MTUS[0], "x-most" = MTUS[1]))]
    pub mtu: Size,
    /// Whether it says nothing: a black hole (RFC 2923 section 2.1).
    pub mtu_silent: bool,
    /// How long each packet is under way, one way: a round trip takes twice that.
    #[schemars(extend("x-least" = DELAYS[0], "x-most" = DELAYS[1]))]
    pub delay: Span,
    /// How much longer a packet is under way at most. It is drawn evenly for each, and none overtakes another.
    #[schemars(extend("x-least" = DELAYS[0], "x-most" = DELAYS[1]))]
    pub jitter: Span,
    /// How many packets are lost each way, drawn for each.
    #[schemars(extend("x-least" = SHARES[0], "x-most" = SHARES[1]))]
    pub loss: Percent,
    /// How many packets are lost in a row, in the mean, where losses come in bursts; as many are lost in all. 0: each is
    /// lost or not whatever became of the one before.
    #[schemars(range(min = 0, max = 10_000))]
    pub burst: u32,
    /// Packets that are dropped each way, by their numbers from 0.
    pub drop: Vec<u32>,
    /// In how many packets a bit behind the IP header is flipped.
    #[schemars(extend("x-least" = SHARES[0], "x-most" = SHARES[1]))]
    pub corrupt: Percent,
    /// How many packets arrive twice.
    #[schemars(extend("x-least" = SHARES[0], "x-most" = SHARES[1]))]
    pub duplicate: Percent,
    /// How fast packets go each way, one after another, their IP headers counted.
    #[schemars(extend("x-least" = RATES[0], "x-most" = RATES[1]))]
    pub rate: LinkRate,
    /// How much waits each way where `rate` is set; a packet that finds no room is dropped.
    #[schemars(extend("x-least" = QUEUES[0], "x-most" = QUEUES[1]))]
    pub queue: Size,
    /// How many packets are held back for `reorder-by`, and overtaken by what comes after.
    #[schemars(extend("x-least" = SHARES[0], "x-most" = SHARES[1]))]
    pub reorder: Percent,
    /// For how long.
    #[schemars(extend("x-least" = DELAYS[0], "x-most" = DELAYS[1]))]
    pub reorder_by: Span,
    /// Whether packets are kept while the trial runs and decrypted afterwards, to tell which of them carried which event:
    /// what `hol-delay` and `own-loss-delay` need. It takes the lab some memory, and time once the trial is over. Of TLS it
    /// has to be 1.3: nginx before 1.23.4 offers older ones alone.
    pub trace: bool,
    /// The NAT at the client's end.
    pub nat: NatSettings,
    /// What is otherwise from the client to the server.
    pub up: WaySettings,
    /// What is otherwise from the server to the client.
    pub down: WaySettings,
}

/// What is otherwise on one way of a link.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WaySettings {
    /// In place of `link.mtu`.
    #[schemars(with = "Size", extend("x-least" = MTUS[0], "x-most" = MTUS[1]))]
    pub mtu: Option<Size>,
    /// In place of `link.delay`.
    #[schemars(with = "Span", extend("x-least" = DELAYS[0], "x-most" = DELAYS[1]))]
    pub delay: Option<Span>,
    /// In place of `link.jitter`.
    #[schemars(with = "Span", extend("x-least" = DELAYS[0], "x-most" = DELAYS[1]))]
    pub jitter: Option<Span>,
    /// In place of `link.loss`.
    #[schemars(with = "Percent", extend("x-least" = SHARES[0], "x-most" = SHARES[1]))]
    pub loss: Option<Percent>,
    /// In place of `link.burst`.
    #[schemars(with = "u32", range(min = 0, max = 10_000))]
    pub burst: Option<u32>,
    /// In place of `link.drop`.
    #[schemars(with = "Vec<u32>")]
    pub drop: Option<Vec<u32>>,
    /// In place of `link.corrupt`.
    #[schemars(with = "Percent", extend("x-least" = SHARES[0], "x-most" = SHARES[1]))]
    pub corrupt: Option<Percent>,
    /// In place of `link.duplicate`.
    #[schemars(with = "Percent", extend("x-least" = SHARES[0], "x-most" = SHARES[1]))]
    pub duplicate: Option<Percent>,
    /// In place of `link.rate`.
    #[schemars(with = "LinkRate", extend("x-least" = RATES[0], "x-most" = RATES[1]))]
    pub rate: Option<LinkRate>,
    /// In place of `link.queue`.
    #[schemars(with = "Size", extend("x-least" = QUEUES[0], "x-most" = QUEUES[1]))]
    pub queue: Option<Size>,
    /// In place of `link.reorder`.
    #[schemars(with = "Percent", extend("x-least" = SHARES[0], "x-most" = SHARES[1]))]
    pub reorder: Option<Percent>,
    /// In place of `link.reorder-by`.
    #[schemars(with = "Span", extend("x-least" = DELAYS[0], "x-most" = DELAYS[1]))]
    pub reorder_by: Option<Span>,
}

impl WaySettings {
    /// All that holds on this way, where the rest is as it is on both.
    fn on(&self, both: &LinkSettings) -> LinkSettings {
        LinkSettings {
            preset: both.preset,
            block: both.block,
            mtu: self.mtu.unwrap_or(both.mtu),
            mtu_silent: both.mtu_silent,
            delay: self.delay.unwrap_or(both.delay),
            jitter: self.jitter.unwrap_or(both.jitter),
            loss: self.loss.unwrap_or(both.loss),
            burst: self.burst.unwrap_or(both.burst),
            drop: self.drop.clone().unwrap_or_else(|| both.drop.clone()),
            corrupt: self.corrupt.unwrap_or(both.corrupt),
            duplicate: self.duplicate.unwrap_or(both.duplicate),
            rate: self.rate.unwrap_or(both.rate),
            queue: self.queue.unwrap_or(both.queue),
            reorder: self.reorder.unwrap_or(both.reorder),
            reorder_by: self.reorder_by.unwrap_or(both.reorder_by),
            trace: both.trace,
            nat: both.nat,
            up: Self::default(),
            down: Self::default(),
        }
    }
}

impl Default for LinkSettings {
    fn default() -> Self {
        Self {
            preset: Preset::None,
            block: Blocked::None,
            mtu: MTUS[1],
            mtu_silent: false,
            delay: Span::default(),
            jitter: Span::default(),
            loss: Percent::default(),
            burst: 0,
            drop: Vec::new(),
            corrupt: Percent::default(),
            duplicate: Percent::default(),
            rate: LinkRate::Unlimited,
            queue: Size::from_bytes(256 * 1024),
            reorder: Percent::default(),
            reorder_by: Span::from_millis(5),
            trace: false,
            nat: NatSettings::default(),
            up: WaySettings::default(),
            down: WaySettings::default(),
        }
    }
}

impl LinkSettings {
    /// All that holds from the client to the server, and from the server to the client.
    pub fn ways(&self) -> [Self; 2] {
        [&self.up, &self.down].map(|way| way.on(self))
    }

    /// How long a packet to the client may be under way on an unloaded link.
    pub fn longest_down(&self) -> Span {
        let [_, down] = self.ways();
        down.delay + down.jitter
    }

    /// How long an answer takes at least.
    pub fn round_trip(&self) -> Span {
        let [up, down] = self.ways();
        up.delay + down.delay
    }
}

/// What no packet passes that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Blocked {
    /// All pass.
    None,
    /// UDP, and so QUIC.
    Udp,
}

/// How fast packets go: `"unlimited"` or a bit rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRate {
    Unlimited,
    Limited(BitRate),
}

word_or_quantity!(LinkRate, "unlimited" is Unlimited: "As fast as this machine forwards.", or Limited(BitRate));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_its_own_where_it_says_so() {
        let text =
            r#"{"delay": "20ms", "loss": "1%", "up": {"rate": "1 Mbit/s"}, "down": {"delay": "30ms", "loss": "0%"}}"#;
        let link: LinkSettings = serde_json::from_str(text).unwrap();
        let [up, down] = link.ways();
        assert_eq!(
            (up.delay, up.loss, up.rate),
            (link.delay, link.loss, LinkRate::Limited(BitRate::per_second(1_000_000)))
        );
        assert_eq!((down.delay.nanos(), down.loss, down.rate), (30_000_000, Percent::default(), LinkRate::Unlimited));
        assert_eq!(link.round_trip(), Span::from_millis(50));
        assert_eq!(link.longest_down(), Span::from_millis(30));
        assert!(serde_json::from_str::<LinkSettings>(r#"{"up": {"delays": "1s"}}"#).is_err());
    }
}
