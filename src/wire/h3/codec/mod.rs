//! Bytes of HTTP/3 to what they mean and back: settings, field sections, capsules, and what may follow what. No stream is
//! read or written here.

pub(in crate::wire) mod capsules;
pub(in crate::wire) mod filter;
pub(in crate::wire) mod message;
pub(in crate::wire) mod qpack;
pub(in crate::wire) mod section;
pub(in crate::wire) mod settings;
