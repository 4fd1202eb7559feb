//! To come.
pub mod cage;
