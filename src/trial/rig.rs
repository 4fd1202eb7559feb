//! Rigged subjects: one end lies, to see that the lab notices.

use serde::{Deserialize, Serialize};

/// How one end of the trial lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Rig {
    /// The server leaves out the second event of each subscription.
    Drop,
    /// The server sends the second event twice.
    Repeat,
    /// The server sends the second event before the first.
    Reorder,
    /// The server changes a byte of the second event.
    Corrupt,
    /// The server forgets every third subscription when it counts.
    Miscount,
    /// The server's ports on TCP speak HTTP/1.1, whatever was asked for.
    WrongAlpn,
    /// The native client opens at most four subscriptions.
    Capped,
    /// The link delays each packet by 5 ms more than it says.
    SlowLink,
}

impl Rig {
    /// The word for it on a command line.
    pub fn word(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
