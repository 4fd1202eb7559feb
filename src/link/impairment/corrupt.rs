//! A flipped bit: what arrives is not what was sent, and a checksum or a seal tells the receiver so.

use rand::RngExt;
use rand::rngs::SmallRng;

use super::{Impairment, Node, Packet, Treatment};

/// The shortest header of IP (RFC 791 section 3.1), which is spared: a packet must get to whom it is for.
const HEADER: usize = 20;

pub(super) static IMPAIRMENT: Impairment = Impairment {
    name: "corrupt",
    stream: 3,
    node: |conditions, random| {
        let share = conditions.corrupt.share();
        (share > 0.0).then(|| Box::new(Corrupt { share, random }) as Box<dyn Node>)
    },
};

#[derive(Debug)]
struct Corrupt {
    /// Of 1.
    share: f64,
    random: SmallRng,
}

impl Node for Corrupt {
    fn treat(&mut self, packet: &mut Packet<'_>, now: u64) -> Treatment {
        // Both draws for each packet: which ones are spared must not depend on how long others were.
        let [whether, place] = [self.random.random::<f64>(), self.random.random::<f64>()];
        if whether < self.share
            && let Some(content) = packet.bytes.get_mut(HEADER..).filter(|content| !content.is_empty())
        {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the bits of a packet")]
            let bit = (place * (content.len() * 8) as f64) as usize;
            if let Some(byte) = content.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
        Treatment::Leaves(now)
    }
}
