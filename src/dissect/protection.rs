//! Keys of TLS 1.3 (RFC 8446 section 7.3) and of QUIC (RFC 9001 section 5), made of a secret.

use ring::aead::quic::{self as header, HeaderProtectionKey};
use ring::aead::{self, AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{self, HKDF_SHA256, HKDF_SHA384, KeyType, Prk};

/// A cipher suite of TLS 1.3: a row for each.
#[derive(Debug)]
pub(super) struct Suite {
    /// Its number (RFC 8446 appendix B.4).
    pub(super) number: u16,
    aead: &'static aead::Algorithm,
    header: &'static header::Algorithm,
    hkdf: hkdf::Algorithm,
}

pub(super) static SUITES: [Suite; 3] = [
    Suite { number: 0x1301, aead: &AES_128_GCM, header: &header::AES_128, hkdf: HKDF_SHA256 },
    Suite { number: 0x1302, aead: &AES_256_GCM, header: &header::AES_256, hkdf: HKDF_SHA384 },
    Suite { number: 0x1303, aead: &CHACHA20_POLY1305, header: &header::CHACHA20, hkdf: HKDF_SHA256 },
];

/// The labels that keys are derived under.
#[derive(Debug)]
pub(super) struct Labels {
    key: &'static str,
    iv: &'static str,
    update: &'static str,
}

pub(super) static TLS: Labels = Labels { key: "key", iv: "iv", update: "traffic upd" };
pub(super) static QUIC: Labels = Labels { key: "quic key", iv: "quic iv", update: "quic ku" };

/// What opens what one end sends.
#[derive(Debug)]
pub(super) struct TrafficKeys {
    suite: &'static Suite,
    labels: &'static Labels,
    secret: Vec<u8>,
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
}

impl TrafficKeys {
    /// `None` where the secret isn't as long as the suite's hash.
    pub(super) fn new(suite: &'static Suite, labels: &'static Labels, secret: &[u8]) -> Option<Self> {
        let prk = prk(suite, secret)?;
        let key = expand(&prk, labels.key, suite.aead.key_len())?;
        let key = LessSafeKey::new(UnboundKey::new(suite.aead, &key).ok()?);
        let iv = expand(&prk, labels.iv, NONCE_LEN)?.try_into().ok()?;
        Some(Self { suite, labels, secret: secret.to_vec(), key, iv })
    }

    /// The one that comes after it when keys are changed (RFC 8446 section 7.2, RFC 9001 section 6.1).
    pub(super) fn next(&self) -> Option<Self> {
        let secret = expand(&prk(self.suite, &self.secret)?, self.labels.update, self.secret.len())?;
        Self::new(self.suite, self.labels, &secret)
    }

    /// What is within the packet or record of this number; `None`: it isn't of this key.
    pub(super) fn open(&self, number: u64, associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = self.iv;
        for (byte, number) in nonce[NONCE_LEN - 8..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= number;
        }
        let mut bytes = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let length = self.key.open_in_place(nonce, Aad::from(associated), &mut bytes).ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }
}

/// What takes the protection off the headers of one end's packets (RFC 9001 section 5.4). It stays when keys are changed.
pub(super) fn header_key(suite: &'static Suite, secret: &[u8]) -> Option<HeaderProtectionKey> {
    let key = expand(&prk(suite, secret)?, "quic hp", suite.header.key_len())?;
    HeaderProtectionKey::new(suite.header, &key).ok()
}

fn prk(suite: &'static Suite, secret: &[u8]) -> Option<Prk> {
    let length = suite.hkdf.hmac_algorithm().digest_algorithm().output_len();
    (secret.len() == length).then(|| Prk::new_less_safe(suite.hkdf, secret))
}

/// How many bytes are wanted.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// `HKDF-Expand-Label` without a context (RFC 8446 section 7.1).
fn expand(prk: &Prk, label: &str, length: usize) -> Option<Vec<u8>> {
    let long = u16::try_from(length).ok()?.to_be_bytes();
    let label_length = [u8::try_from(6 + label.len()).ok()?];
    let info: [&[u8]; 5] = [&long, &label_length, b"tls13 ", label.as_bytes(), &[0]];
    let mut bytes = vec![0; length];
    prk.expand(&info, Length(length)).ok()?.fill(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    /// RFC 9001 appendix A.5: a packet of one PING under ChaCha20-Poly1305.
    #[test]
    fn the_rfcs_own_packet_is_opened() {
        let secret = bytes("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b");
        let packet = bytes("4cfe4189655e5cd55c41f69080575d7999c25a5bfb");
        let suite = &SUITES[2];
        let mask = header_key(suite, &secret).unwrap().new_mask(&packet[5..21]).unwrap();
        assert_eq!(mask.to_vec(), bytes("aefefe7d03"));
        let header = bytes("4200bff4");
        let keys = TrafficKeys::new(suite, &QUIC, &secret).unwrap();
        assert_eq!(keys.open(654_360_564, &header, &packet[4..]), Some(vec![0x01]));
        assert_eq!(keys.open(654_360_565, &header, &packet[4..]), None);
        let updated = bytes("1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9");
        assert_eq!(keys.next().unwrap().secret, updated);
    }

    #[test]
    fn a_secret_of_another_hash_fits_no_key() {
        assert!(TrafficKeys::new(&SUITES[1], &TLS, &[0; 32]).is_none());
        assert!(TrafficKeys::new(&SUITES[1], &TLS, &[0; 48]).is_some());
    }
}
