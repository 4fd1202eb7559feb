//! What goes wrong on purpose: `[[fault]]`.

use serde::{Deserialize, Serialize};

use crate::units::Span;

/// Something that goes wrong on purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fault {
    /// When, after `go`.
    pub at: Span,
    /// What.
    pub kind: FaultKind,
    /// How long, where that has a meaning: [`FaultKind::lasts`].
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
}

/// How long a fault lasts that says nothing of it.
const LASTS: Span = Span::from_secs(1);

impl Fault {
    /// How long it lasts; nothing where it is over at once.
    pub fn length(&self) -> Span {
        if self.kind.lasts() { self.lasts.unwrap_or(LASTS) } else { Span::default() }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The server's process is ended with SIGKILL.
    KillServer,
    /// The same, and a new one is started at the same ports after `for`: another epoch, an empty log. It goes on with
    /// the schedule; what was due meanwhile is never published.
    RestartServer,
    /// The client's process (a browser's whole group) is ended with SIGKILL.
    KillClient,
    /// The server ends every subscription that is open.
    CloseStreams,
    /// The same, and for as long as `for` answers those who come with 503 (RFC 9110 section 15.6.4).
    Refuse,
    /// The same with 204, which tells a reader not to come back (WHATWG HTML section 9.2.3).
    NoContent,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::KillServer, Self::RestartServer, Self::KillClient, Self::CloseStreams, Self::Refuse, Self::NoContent];

    /// The kind of this name.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether the server's process ends by it.
    pub const fn kills_server(self) -> bool {
        matches!(self, Self::KillServer | Self::RestartServer)
    }

    /// Whether it means readers to end and not to come back: what they don't get from then on isn't lost.
    pub const fn ends_readers(self) -> bool {
        matches!(self, Self::NoContent)
    }

    /// Its name: `close-streams`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::KillServer => "kill-server",
            Self::RestartServer => "restart-server",
            Self::KillClient => "kill-client",
            Self::CloseStreams => "close-streams",
            Self::Refuse => "refuse",
            Self::NoContent => "no-content",
        }
    }

    /// Whether it goes on for a while.
    pub const fn lasts(self) -> bool {
        matches!(self, Self::RestartServer | Self::Refuse | Self::NoContent)
    }
}
