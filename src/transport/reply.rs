//! An answer to a reader: there at once, or later.

use std::fmt;

use http::Response;

use super::BoxFuture;
use crate::wire::ResponseBody;

/// An answer to a reader.
pub enum Reply {
    /// It is there.
    Now(Response<ResponseBody>),
    /// It will be. Nothing of the request waits with it: neither its fields nor the buffer that they lie in.
    Later(BoxFuture<'static, Response<ResponseBody>>),
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
