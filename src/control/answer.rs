//! Answers that aren't pages: refusals as JSON, and nothing at all.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A refusal. On the wire it is `{"error": "…"}` with its status. Its text never holds a token.
#[derive(Debug)]
pub(super) struct ErrorResponse {
    status: StatusCode,
    says: String,
}

impl ErrorResponse {
    /// Before anyone looks at what is asked for.
    pub(super) fn of(status: StatusCode, says: impl Into<String>) -> Self {
        Self { status, says: says.into() }
    }

    /// 400: the request isn't what this route takes.
    pub(super) fn bad(says: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, says: says.into() }
    }

    /// 403: not for you.
    pub(super) fn forbidden(says: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, says: says.into() }
    }

    /// 404: there is no such thing, or no longer.
    pub(super) fn missing(says: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, says: says.into() }
    }

    /// 413: a body beyond its bound.
    pub(super) fn too_large(bound: usize) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, says: format!("a body may have {bound} bytes here") }
    }

    /// 503: a bound is reached.
    pub(super) fn full(says: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, says: says.into() }
    }
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.says }).to_string();
        (self.status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
    }
}

/// 204.
pub(super) async fn nothing() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// 404 for a path or a method that nothing here answers to.
pub(super) async fn no_route() -> ErrorResponse {
    ErrorResponse::missing("nothing here answers to this path and method")
}
