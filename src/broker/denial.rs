//! What NATS doesn't let these credentials do. A node says so beside everything else, and answers nothing.

use std::fmt;

use tokio::sync::watch;

use crate::text::visible;

/// What may not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// To publish to this subject.
    Publish(String),
    /// To subscribe to this subject.
    Subscribe(String),
}

/// What was denied on a connection since it was made.
#[derive(Debug, Default)]
pub(super) struct Denials {
    times: u64,
    last: Option<Denial>,
}

impl Denial {
    /// What an error of a node says: `Permissions Violation for Publish to "a.b"`.
    pub(super) fn read(said: &str) -> Option<Self> {
        let (_, what) = said.split_once("ermissions Violation for ")?;
        let subject = |what: &str| Some(what.split('"').nth(1)?.to_owned());
        if what.starts_with("Publish") {
            Some(Self::Publish(subject(what)?))
        } else {
            Some(Self::Subscribe(subject(what)?))
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish(subject) => write!(f, "publish to `{}`", visible(subject)),
            Self::Subscribe(subject) => write!(f, "subscribe to `{}`", visible(subject)),
        }
    }
}

impl Denials {
    pub(super) fn add(&mut self, denial: Denial) {
        self.times += 1;
        self.last = Some(denial);
    }

    /// Another connection may let it.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    pub(super) fn last(&self) -> Option<&Denial> {
        self.last.as_ref()
    }
}

/// Does this, unless something is denied meanwhile. Whatever it waits for on the same connection then is not answered.
pub(super) async fn unless_denied<T>(
    denials: &watch::Receiver<Denials>,
    does: impl Future<Output = T>,
) -> Result<T, Denial> {
    let mut denials = denials.clone();
    let before = denials.borrow_and_update().times;
    let denied = async {
        loop {
            if denials.changed().await.is_err() {
                // The connection is gone, which whoever waits is told otherwise.
                std::future::pending::<()>().await;
            }
            let now = denials.borrow_and_update();
            if let Some(denial) = now.last().filter(|_| now.times > before) {
                return denial.clone();
            }
        }
    };
    tokio::select! {
        biased;
        done = does => Ok(done),
        denial = denied => Err(denial),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_denies_is_read() {
        let read = |said: &str| Denial::read(said).map(|denial| denial.to_string());
        let said = "nats: Permissions Violation for Publish to \"$JS.API.INFO\"";
        assert_eq!(read(said).unwrap(), "publish to `$JS.API.INFO`");
        let said = "Permissions Violation for Subscription to \"a.b\" using queue \"q\"";
        assert_eq!(read(said).unwrap(), "subscribe to `a.b`");
        assert_eq!(read("Permissions Violation for Publish to \"a\u{1b}\"").unwrap(), "publish to `a\\u{1b}`");
        for other in ["Stale Connection", "User Authentication Expired", "Permissions Violation for Publish to"] {
            assert_eq!(read(other), None);
        }
    }

    #[tokio::test]
    async fn what_waits_for_an_answer_is_told_of_what_is_denied_meanwhile_and_of_nothing_before() {
        let (add, denials) = watch::channel(Denials::default());
        add.send_modify(|denials| denials.add(Denial::Publish("before".to_owned())));
        assert_eq!(unless_denied(&denials, async { 7 }).await, Ok(7));
        let waiting = tokio::spawn(async move { unless_denied(&denials, std::future::pending::<()>()).await });
        tokio::task::yield_now().await;
        add.send_modify(|denials| denials.add(Denial::Subscribe("a".to_owned())));
        assert_eq!(waiting.await.unwrap(), Err(Denial::Subscribe("a".to_owned())));
    }
}
