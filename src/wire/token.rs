//! What a tunnel or a session is asked for as: the value of `Upgrade` and of `:protocol`.

/// WebSocket (RFC 6455 section 11.2, RFC 8441 section 5), in IANA's registry of HTTP upgrade tokens.
pub const WEBSOCKET: &str = "websocket";
/// WebTransport (draft-ietf-webtrans-http3-02 section 3.2): what sessions are called here, by whichever of the drafts'
/// names they were asked for.
pub const WEBTRANSPORT: &str = "webtransport";
/// A session without HTTP, which nobody has to ask for by name.
pub const QUIC: &str = "quic";
