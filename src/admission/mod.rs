//! Who is let in, by one rule at every origin of the lab: the data ports and the control origin.
//!
//! Enters: a request's `Host`, `Origin`, peer and what it shows. Leaves: whether it is let in, with which CORS fields, or
//! why not. What must never happen here: a name or an origin let in that nobody named.

mod authority;
mod rules;
mod token;
mod trial;

pub use authority::{Origin, OriginError};
pub use rules::{Admission, Refusal, TOKEN_COOKIE, is_local, only_with_cors};
pub(crate) use rules::{allow, allow_preflight};
pub use token::Token;
pub(crate) use trial::only_with_trial_token;
