//! The NAT at the client's end of the link: `[link.nat]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Span, word_or_quantity};

/// From less than anybody would set to more than anybody does.
const TIMEOUTS: [Span; 2] = [Span::from_millis(100), Span::from_secs(86_400)];

/// A NAT at the client's end that forgets a mapping when nothing has passed by it, either way, for so long, and says
/// nothing: what comes from outside then is dropped, and the client's next packet gets a mapping to another port, as after
/// the fault `nat-rebind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NatSettings {
    /// For how long a mapping of UDP is kept. At least two minutes, says RFC 4787 section 4.3 (REQ-5); experience says 30
    /// seconds (RFC 9000 section 10.1.2).
    #[schemars(extend("x-least" = TIMEOUTS[0], "x-most" = TIMEOUTS[1]))]
    pub udp: NatTimeout,
    /// For how long one of TCP is. At least two hours and four minutes, says RFC 5382 section 5 (REQ-5), of connections that
    /// are established.
    #[schemars(extend("x-least" = TIMEOUTS[0], "x-most" = TIMEOUTS[1]))]
    pub tcp: NatTimeout,
}

/// When a NAT forgets a mapping that nothing passes by: `"never"` or a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NatTimeout {
    #[default]
    Never,
    /// After such a silence.
    After(Span),
}

word_or_quantity!(NatTimeout, "never" is Never: "As if there were no NAT.", or After(Span));
