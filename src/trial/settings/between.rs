//! What stands between client and server: `[between]`.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Compression;
use crate::trial::Alpn;
use crate::units::{Span, inline_schema, word_or, word_or_quantity};

/// The least and the most that streams may stay after a reload.
const DRAINS: [Span; 2] = [Span::from_millis(1), Span::from_secs(3600)];

/// What stands between client and server: a real proxy in a process of its own, which clients take for the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BetweenSettings {
    /// Which intermediary: its name, or `"none"`. `transport-lab list intermediaries` says which are here.
    pub intermediary: String,
    /// What it is told to do.
    pub config: IntermediaryConfig,
    /// What it speaks with the server, whatever it speaks with the client.
    pub origin: Alpn,
    /// Where it stands where there is a `[link]`.
    pub place: BetweenPlace,
    /// How long streams may stay with what it was before it read its configuration again (fault `proxy-reload`):
    /// nginx's `worker_shutdown_timeout`, HAProxy's `hard-stop-after`, Caddy's `grace_period`, Envoy's
    /// `--drain-time-s`, which is in whole seconds.
    #[schemars(extend("x-least" = DRAINS[0], "x-most" = DRAINS[1]))]
    pub drain: Drain,
    /// By which content coding it is told to compress event streams and newline-delimited JSON, for clients that accept it.
    /// It adds to the lab's own configurations what the intermediary's documentation says.
    pub compression: Compression,
}

/// Where an intermediary stands where there is a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BetweenPlace {
    /// At the server's end: client – link – proxy – server.
    #[default]
    BehindLink,
    /// At the client's end: client – proxy – link – server.
    BeforeLink,
}

/// How long streams may stay after a reload: `"default"` or a length of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Drain {
    /// As long as the program has it by itself: without end, but in Envoy, which has ten minutes.
    #[default]
    Default,
    /// This long.
    For(Span),
}

impl Drain {
    /// How long that is, where it is set.
    pub const fn span(self) -> Option<Span> {
        match self {
            Self::Default => None,
            Self::For(span) => Some(span),
        }
    }
}

word_or_quantity!(
    Drain,
    "default" is Default: "As long as the program has it by itself: without end, but in Envoy, which has ten minutes.",
    or For(Span)
);

impl Default for BetweenSettings {
    fn default() -> Self {
        Self {
            intermediary: Self::NONE.to_owned(),
            config: IntermediaryConfig::Default,
            origin: Alpn::H1,
            place: BetweenPlace::default(),
            drain: Drain::default(),
            compression: Compression::default(),
        }
    }
}

impl BetweenSettings {
    /// The intermediary that isn't there.
    pub const NONE: &str = "none";

    /// Whether there is an intermediary.
    pub fn is_there(&self) -> bool {
        self.intermediary != Self::NONE
    }
}

/// What an intermediary is told to do: `"default"`, `"streaming"` or the path of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntermediaryConfig {
    /// What its own documentation begins a reverse proxy with.
    Default,
    /// The same with the least change that lets events through, and each WebSocket.
    Streaming,
    /// This file, in which names in braces are filled in.
    Own(PathBuf),
}

inline_schema!(IntermediaryConfig, |generator| {
    let mut own = String::json_schema(generator);
    own.insert("title".to_owned(), "the path of a configuration".into());
    own.insert("pattern".to_owned(), "[./]".into());
    own.insert("examples".to_owned(), vec!["./nginx.conf"].into());
    let streaming =
        word_or("streaming", "The same with the least change that lets events and WebSockets through.", &own);
    word_or("default", "What its own documentation begins a reverse proxy with.", &streaming)
});

impl fmt::Display for IntermediaryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Streaming => f.write_str("streaming"),
            Self::Own(path) => path.display().fmt(f),
        }
    }
}

impl Serialize for IntermediaryConfig {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IntermediaryConfig {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "default" => Ok(Self::Default),
            "streaming" => Ok(Self::Streaming),
            // A word that is misspelt would be looked for as a file.
            path if path.contains(['/', '.']) => Ok(Self::Own(path.into())),
            _ => Err(serde::de::Error::custom(format!(
                "`{text}` is not a configuration; write \"default\", \"streaming\" or a path such as \"./nginx.conf\""
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_a_word_or_a_path() {
        let read = |text: &str| serde_json::from_value::<IntermediaryConfig>(text.into());
        for text in ["default", "streaming", "./nginx.conf", "/etc/nginx/nginx.conf", "nginx.conf"] {
            assert_eq!(serde_json::to_value(read(text).unwrap()).unwrap(), text);
        }
        let said = read("streeming").unwrap_err().to_string();
        assert!(said.contains("`streeming` is not a configuration; write \"default\""), "{said}");
    }

    #[test]
    fn nothing_stands_between_where_nobody_says_so() {
        let read = |text: &str| serde_json::from_str::<BetweenSettings>(text).unwrap();
        assert!(!read("{}").is_there());
        assert!(read(r#"{"intermediary": "x"}"#).is_there());
    }
}
