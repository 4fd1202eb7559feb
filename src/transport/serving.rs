//! The server's side of a transport, ready to answer: its settings are read, and a reader's request is looked at once.

use std::fmt;

use http::Response;
use serde::de::DeserializeOwned;

use super::{Answer, Reading};
use crate::wire::ResponseBody;

/// An answer to a reader.
pub enum Reply {
    /// It is there.
    Now(Response<ResponseBody>),
    /// It will be. Nothing of the request waits with it: neither its fields nor the buffer that they lie in.
    Later(Answer<'static, Response<ResponseBody>>),
}

impl From<Response<ResponseBody>> for Reply {
    fn from(response: Response<ResponseBody>) -> Self {
        Self::Now(response)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(response) => f.debug_tuple("Now").field(&response.status()).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// Answers the readers of one transport at one server.
pub struct Serve(Box<dyn Fn(Reading<'_>) -> Reply + Send + Sync>);

impl Serve {
    /// Answers with this function, and the settings of a table that was checked.
    pub fn new<S>(table: &serde_json::Value, serve: fn(Reading<'_>, S) -> Reply) -> Self
    where
        S: DeserializeOwned + Default + Copy + Send + Sync + 'static,
    {
        let settings = S::deserialize(table).unwrap_or_default();
        Self(Box::new(move |reading| serve(reading, settings)))
    }

    /// Answers a reader.
    pub fn answer(&self, reading: Reading<'_>) -> Reply {
        (self.0)(reading)
    }
}

impl fmt::Debug for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serve")
    }
}
