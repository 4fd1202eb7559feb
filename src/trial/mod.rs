//! What a trial is, in data: its settings, the messages of its contract, what was observed, and the counts
//! folded from that.
//!
//! Enters: settings out of an experiment file, facts from both ends, folders of runs. Leaves: contract lines, journal lines,
//! the ledger. What must never happen here: a socket, or a number that the journal can't rebuild.

pub mod claim;
pub mod clients;
pub mod clock;
pub mod contract;
pub mod dialect;
pub mod fact;
pub mod journal;
pub mod kept;
pub mod lanes;
pub mod ledger;
pub mod observation;
pub mod pace;
pub mod phase;
pub mod plan;
pub mod promises;
pub mod protocol;
pub mod rig;
mod schedule;
pub mod schema;
pub mod settings;
pub mod stack;
pub mod stdio;
mod unsupported;

pub use claim::Claim;
pub use contract::{Down, PlannedSend, Role, SubscriptionPlan, TrialMessage, Up};
pub use dialect::{Dialect, Dialects};
pub use fact::{ClientFact, Fact, LabFact, ServerFact};
pub use observation::{JournalLine, Observation};
pub use plan::{Levels, Plan, PlannedTrial};
pub use promises::{Exchanges, Promises};
pub use protocol::{Alpn, Protocol};
pub use schedule::{ScheduledEvent, schedule};
pub use settings::Settings;
pub use stack::Stack;
pub use unsupported::Unsupported;
