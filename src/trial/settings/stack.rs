//! How TCP and QUIC are set up at both ends: `[stack]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Span;

/// From what a busy machine keeps to, to what nobody waits for.
const IDLE_TIMEOUTS: [Span; 2] = [Span::from_secs(2), Span::from_secs(600)];

/// How TCP and QUIC are set up at both ends. What came of it is read from live connections and stands in each trial's
/// `stack`: an ordinary user may not choose every congestion control, and nobody a browser's own QUIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StackSettings {
    /// Whether what is compared is as people get it, or as alike as it can be made.
    pub profile: StackProfile,
    /// The congestion control of TCP and of QUIC. A browser's own TCP, which sends requests, has it on a link alone, and
    /// there if the system lets everybody choose it (`net.ipv4.tcp_allowed_congestion_control`).
    pub congestion: CongestionChoice,
    /// After how long a silence a QUIC connection is over (`max_idle_timeout`, RFC 9000 section 10.1), as the server and
    /// the native client say it; the lower of both ends' counts. A browser says what it has itself: thirty seconds, as RFC 9308 section 3.2 has it.
    #[schemars(extend("x-least" = IDLE_TIMEOUTS[0], "x-most" = IDLE_TIMEOUTS[1]))]
    pub idle_timeout: Span,
}

impl Default for StackSettings {
    fn default() -> Self {
        Self {
            profile: StackProfile::default(),
            congestion: CongestionChoice::default(),
            idle_timeout: Span::from_secs(30),
        }
    }
}

/// Whether stacks are left as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StackProfile {
    /// What the kernel and the libraries do by themselves.
    #[default]
    AsShipped,
    /// TCP and QUIC have the same congestion control (cubic, unless another is chosen), the same initial window (ten
    /// segments, RFC 6928), buffers of the same size, and don't begin anew after they were idle (on a link).
    Parity,
}

/// Which congestion control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CongestionChoice {
    /// What there is by itself; under `parity`, cubic.
    #[default]
    Unset,
    /// RFC 9438.
    Cubic,
    /// Google's BBR, version 1 in Linux and in quinn.
    Bbr,
    /// RFC 9002 section 7 and RFC 5681.
    Reno,
}

impl StackSettings {
    /// The congestion control that is chosen, if one is.
    pub fn congestion(self) -> Option<Congestion> {
        match (self.congestion, self.profile) {
            (CongestionChoice::Unset, StackProfile::AsShipped) => None,
            (CongestionChoice::Cubic, _) | (CongestionChoice::Unset, StackProfile::Parity) => Some(Congestion::Cubic),
            (CongestionChoice::Bbr, _) => Some(Congestion::Bbr),
            (CongestionChoice::Reno, _) => Some(Congestion::Reno),
        }
    }

    /// Whether both are to be alike.
    pub fn is_parity(self) -> bool {
        self.profile == StackProfile::Parity
    }
}

impl StackProfile {
    /// The word of files and tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AsShipped => "as-shipped",
            Self::Parity => "parity",
        }
    }
}

/// A congestion control that both TCP and QUIC have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Congestion {
    Cubic,
    Bbr,
    Reno,
}

impl Congestion {
    /// As Linux calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
            Self::Reno => "reno",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parity_has_a_congestion_control_and_what_is_as_shipped_has_none_of_ours() {
        let of = |text| serde_json::from_str::<StackSettings>(text).unwrap().congestion();
        assert_eq!(of("{}"), None);
        assert_eq!(of(r#"{"profile": "parity"}"#), Some(Congestion::Cubic));
        assert_eq!(of(r#"{"profile": "parity", "congestion": "reno"}"#), Some(Congestion::Reno));
        assert_eq!(of(r#"{"congestion": "bbr"}"#), Some(Congestion::Bbr));
        assert!(serde_json::from_str::<StackSettings>(r#"{"congestion": "vegas"}"#).is_err());
    }
}
