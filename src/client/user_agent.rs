//! Which browser a visitor has, by what it calls itself.
//!
//! RFC 9110 section 10.1.5 leaves the text to the browser, and all of them claim to be each other: the one that says
//! least of others is looked for last.

/// A word of the text, and the client that it gives away; the first that fits counts.
const WORDS: [(&str, &str); 9] = [
    // Apple demands WebKit of every browser on iOS; what it is called there says nothing of its network stack.
    ("iPhone;", "safari"),
    ("iPad;", "safari"),
    ("Firefox/", "firefox"),
    ("Edg/", "edge"),
    ("OPR/", "opera"),
    ("SamsungBrowser/", "samsung-internet"),
    ("Chrome/", "chromium"),
    ("Macintosh;", "safari"),
    ("AppleWebKit/", "webkit"),
];

/// The client's name, of [`super::ALL`] where it is one of them; `visitor` where nothing is recognised.
pub fn recognise(user_agent: &str) -> &'static str {
    WORDS.iter().find(|(word, _)| user_agent.contains(word)).map_or("visitor", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_recognised_behind_the_others_it_claims_to_be() {
        let agents = [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
                "chromium",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0",
                "edge",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0", "firefox"),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
                "safari",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/137.0 Mobile/15E148 Safari/604.1",
                "safari",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
                "webkit",
            ),
            ("curl/8.14.1", "visitor"),
            ("", "visitor"),
        ];
        for (agent, name) in agents {
            assert_eq!(recognise(agent), name, "{agent}");
        }
    }
}
