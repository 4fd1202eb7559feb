//! Feeds: named, bounded logs of events, and cursors that read them.
//!
//! Enters: data to publish. Leaves: events, each encoded once in each encoding
//! and shared by all readers. What must never happen here: a queue per reader, a lock that all readers fight for,
//! or a log without a bound. Where the log behind a feed is one that servers share, [`SharedLog`] is the seam.

mod after;
mod cursor;
mod draft;
mod event;
mod log;
pub mod payload;
mod shared;

pub use after::{After, AfterError};
pub use cursor::{Cursor, CursorItem, Gap};
pub use draft::{Draft, DraftData, Patience};
pub use event::{Encoding, Epoch, Event, EventId, is_event_name, is_plain};
pub use log::{Feed, MAX_EVENT_BYTES, MAX_LOG_BYTES};
pub use shared::{Done, LogError, SharedLog};
