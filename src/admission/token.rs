//! What is shown to be let in, or to speak for a trial: 256 unguessable bits.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;
use ring::rand::SystemRandom;

/// A token. It prints as nothing, so that no log can hold it.
pub struct Token {
    text: String,
    /// Comparing is done on tags under a key of this process, in constant time.
    key: hmac::Key,
}

/// 256 bits.
const BYTES: usize = 32;

impl Token {
    /// Draws one; `None` when the system has no randomness to give.
    pub fn draw() -> Option<Self> {
        let random = SystemRandom::new();
        let bytes: [u8; BYTES] = ring::rand::generate(&random).ok()?.expose();
        Self::of(BASE64URL_NOPAD.encode(&bytes))
    }

    /// One that was drawn by another process; `None` likewise.
    pub fn of(text: String) -> Option<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?;
        Some(Self { text, key })
    }

    /// The text that goes into a URL.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether this is the token; takes the same time wherever the two differ.
    pub fn is(&self, shown: &str) -> bool {
        hmac::verify(&self.key, shown.as_bytes(), hmac::sign(&self.key, self.text.as_bytes()).as_ref()).is_ok()
    }

    /// The text without the token, should it be in there.
    pub fn redact(&self, text: &str) -> String {
        text.replace(&self.text, "(token)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = Token::draw().unwrap();
        let text = token.text().to_owned();
        assert!(text.len() >= 43, "256 bits are 43 letters of base64");
        assert!(token.is(&text));
        for wrong in ["", &text[1..], &text[..42], &format!("{text}A"), Token::draw().unwrap().text()] {
            assert!(!token.is(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_printed_token_says_nothing() {
        let token = Token::draw().unwrap();
        assert!(!format!("{token:?} {token:#?}").contains(token.text()));
        assert_eq!(token.redact(&format!("at ?token={}&page=0", token.text())), "at ?token=(token)&page=0");
    }
}
