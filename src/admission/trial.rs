//! Who is let in at the feeds of a trial whose server other machines can reach.

use std::net::IpAddr;

use http::Uri;

use super::rules::{Refusal, is_of_this_machine, query_shows};
use super::token::Token;

/// Lets a trial's own clients at its feeds, and whoever is on this machine: what others publish there changes what the trial
/// measures.
pub(crate) fn only_with_trial_token(token: &Token, peer: IpAddr, uri: &Uri) -> Result<(), Refusal> {
    if is_of_this_machine(peer) || query_shows(token, uri) { Ok(()) } else { Err(Refusal::TrialToken) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trials_feeds_are_its_own_clients_and_this_machines() {
        let token = Token::draw().unwrap();
        let from = |peer: &str, query: &str| {
            let uri = format!("/feeds/f0?{query}").parse().unwrap();
            only_with_trial_token(&token, peer.parse().unwrap(), &uri)
        };
        assert_eq!(from("192.0.2.7", &format!("trial=0&token={}", token.text())), Ok(()));
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(from(peer, ""), Ok(()), "{peer}");
        }
        for query in ["", "token=", "token=wrong", "trial=0"] {
            assert_eq!(from("192.0.2.7", query), Err(Refusal::TrialToken), "{query}");
        }
    }
}
