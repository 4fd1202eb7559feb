//! Who takes part in a trial.

use std::fmt;

/// Which of them. There is a server 0 and a client 0 in every trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run) enum Which {
    Server(u32),
    Client(u32),
    /// What stands between, which says nothing, and ends.
    Intermediary,
    /// A node of what servers share their feeds through, which says nothing either.
    Broker(u32),
}

impl Which {
    pub(super) const fn is_server(self) -> bool {
        matches!(self, Self::Server(_))
    }

    pub(super) const fn is_client(self) -> bool {
        matches!(self, Self::Client(_))
    }

    pub(super) const fn is_broker(self) -> bool {
        matches!(self, Self::Broker(_))
    }

    /// Which of its kind, from 0.
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Server(number) | Self::Client(number) | Self::Broker(number) => number,
            Self::Intermediary => 0,
        }
    }
}

/// Its name in journals and of its log: `server` of the first, `server-1` of the next.
impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Server(_) => "server",
            Self::Client(_) => "client",
            Self::Intermediary => "intermediary",
            Self::Broker(_) => "broker",
        };
        match self.number() {
            0 => f.write_str(word),
            number => write!(f, "{word}-{number}"),
        }
    }
}
