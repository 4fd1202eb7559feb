//! An NSS key log (draft-ietf-tls-keylogfile): lines of `LABEL CLIENT_RANDOM SECRET` in hexadecimal.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER_PERMISSIVE;

/// What one end's secrets are called.
#[derive(Debug)]
pub(super) struct EndLabels {
    /// Its first for application data.
    pub(super) traffic: &'static str,
    /// That of its handshake.
    pub(super) handshake: &'static str,
}

/// The client's and the server's.
pub(super) static ENDS: [EndLabels; 2] = [
    EndLabels { traffic: "CLIENT_TRAFFIC_SECRET_0", handshake: "CLIENT_HANDSHAKE_TRAFFIC_SECRET" },
    EndLabels { traffic: "SERVER_TRAFFIC_SECRET_0", handshake: "SERVER_HANDSHAKE_TRAFFIC_SECRET" },
];

/// The secrets of connections, by the random bytes that each client began with.
#[derive(Debug, Clone, Default)]
pub struct Secrets(BTreeMap<Vec<u8>, BTreeMap<String, Vec<u8>>>);

impl Secrets {
    /// Reads a key log. A line that is none is passed over, as the format has it.
    pub fn read(text: &str) -> Self {
        let mut secrets = Self::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(label), Some(random), Some(secret), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            let bytes = |hex: &str| HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok();
            if let (Some(random), Some(secret)) = (bytes(random), bytes(secret)) {
                secrets.0.entry(random).or_default().insert(label.to_owned(), secret);
            }
        }
        secrets
    }

    /// The secret of this label for whoever began with these random bytes.
    pub(super) fn of(&self, random: &[u8], label: &str) -> Option<&[u8]> {
        self.0.get(random)?.get(label).map(Vec::as_slice)
    }

    /// Every secret of this label.
    pub(super) fn all<'s>(&'s self, label: &'s str) -> impl Iterator<Item = &'s [u8]> {
        self.0.values().filter_map(move |labels| labels.get(label)).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_secret_in_a_key_log_is_passed_over() {
        let [EndLabels { traffic: theirs, .. }, EndLabels { traffic, handshake }] = ENDS;
        let text = format!("# a comment\n\n{traffic} 0aFF 0102\n{handshake} 0aff 03\nhalf a line\n");
        let secrets = Secrets::read(&text);
        assert_eq!(secrets.of(&[0x0a, 0xff], traffic), Some(&[1, 2][..]));
        assert_eq!(secrets.of(&[0x0a, 0xff], handshake), Some(&[3][..]));
        assert_eq!(secrets.of(&[0x0a, 0xff], theirs), None);
        assert_eq!(secrets.of(&[0x0a], traffic), None);
        assert_eq!(secrets.all(traffic).count(), 1);
    }
}
