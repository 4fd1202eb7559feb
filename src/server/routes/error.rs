//! Answers that say what was wrong.

use std::borrow::Cow;

use http::header::{ALLOW, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::admission::Refusal;
use crate::feed::LogError;
use crate::server::bulk;
use crate::transport::{self, PublishError, QueryError};
use crate::wire::{ResponseBody, refusal};

/// An answer that says what was wrong.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    message: Cow<'static, str>,
    allow: Option<&'static str>,
    /// Whether the same may be answered otherwise in a moment.
    passes: bool,
}

impl Error {
    pub(super) fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), allow: None, passes: false }
    }

    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no such route; see /feeds/{feed}/{transport} and /ping")
    }

    pub(super) fn no_length() -> Self {
        let says = format!("`bytes` is a whole number from 0 to {}, such as 262144", bulk::MOST);
        Self::new(StatusCode::BAD_REQUEST, says)
    }

    /// What a route takes, as its `Allow` field says it.
    pub(super) fn other_method(allowed: &'static str) -> Self {
        let message = format!("this route takes {allowed}");
        Self { allow: Some(allowed), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, message) }
    }

    pub(super) fn refused(refusal: &Refusal) -> Self {
        Self::new(refusal.status(), refusal.to_string())
    }

    pub(super) fn no_transport(name: &str) -> Self {
        let names: Vec<_> = transport::ALL.iter().map(|transport| transport.name).collect();
        let name: String = name.chars().take(64).collect();
        Self::new(StatusCode::NOT_FOUND, format!("no transport `{name}`; there are {}", names.join(", ")))
    }

    pub(super) fn response(self) -> Response<ResponseBody> {
        let mut response = refusal(self.status, &self.message);
        if let Some(methods) = self.allow {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
        }
        if self.passes {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        let status = match error {
            PublishError::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            PublishError::Name | PublishError::MessageId | PublishError::NotText => StatusCode::BAD_REQUEST,
            PublishError::Log(error) => return error.into(),
        };
        Self::new(status, error.to_string())
    }
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        let status = match error {
            LogError::Away | LogError::Unanswered | LogError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            LogError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            LogError::Foreign(_) => StatusCode::CONFLICT,
            LogError::Refused(_) => StatusCode::BAD_GATEWAY,
        };
        Self { passes: error.is_passing(), ..Self::new(status, error.to_string()) }
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.to_string())
    }
}
