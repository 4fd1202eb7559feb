//! What asks again and again, native client's side: one poll after another, on a connection that is kept or not.

use super::EndReason;
use super::batch::{MOST_BYTES, Polled};
use crate::wire::dial::{ClientConnection, Target};
use crate::wire::{Pool, WireError};

/// Asks one server, one poll at a time.
#[derive(Debug)]
pub(super) struct Poller<'a> {
    pool: &'a Pool,
    target: &'a Target,
    /// Whether a connection is kept from one poll to the next.
    keep: bool,
    kept: Option<ClientConnection>,
}

impl<'a> Poller<'a> {
    /// One that hasn't asked yet.
    pub(super) fn new(pool: &'a Pool, target: &'a Target, keep: bool) -> Self {
        Self { pool, target, keep, kept: None }
    }

    /// Asks for what is new; `None`: nothing is, as the answer that has this entity tag still holds.
    pub(super) async fn ask(&mut self, path: &str, tag: Option<&str>) -> Result<Option<Polled>, EndReason> {
        // A kept connection may have been closed for being quiet, just as this goes out. A GET may be sent again
        // (RFC 9110 section 9.2.2), once, and nothing of the first was noted yet.
        if let Some(kept) = self.kept.take().filter(ClientConnection::is_alive)
            && let Ok(answer) = self.ask_on(kept, path, tag).await
        {
            return answer;
        }
        let connection =
            if self.keep { self.pool.connect(self.target).await } else { self.pool.connect_new(self.target).await };
        self.ask_on(connection?, path, tag).await?
    }

    /// Asks on this connection. The outer error is the connection's, the inner one what the server said.
    async fn ask_on(
        &mut self,
        connection: ClientConnection,
        path: &str,
        tag: Option<&str>,
    ) -> Result<Result<Option<Polled>, EndReason>, WireError> {
        let mut fields = vec![("accept", "application/json"), ("cache-control", "no-store")];
        fields.extend(tag.map(|tag| ("if-none-match", tag)));
        let response = connection.get(path, &fields).await?;
        let status = response.status;
        let (body, connection) = response.whole(MOST_BYTES).await?;
        self.kept = self.keep.then_some(connection);
        Ok(match status {
            http::StatusCode::OK => {
                Polled::read(&body).map(Some).map_err(|error| format!("not an answer: {error}").into())
            }
            http::StatusCode::NOT_MODIFIED if tag.is_some() => Ok(None),
            status => Err(EndReason::answered(status)),
        })
    }
}
