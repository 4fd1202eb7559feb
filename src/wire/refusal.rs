//! An answer that says what was wrong: `{"error": "…"}`.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::ResponseBody;

/// JSON as an answer with this status.
pub fn json_response(status: StatusCode, value: &Value) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A refusal with this status, and why.
pub fn refusal(status: StatusCode, says: &str) -> Response<ResponseBody> {
    json_response(status, &json!({ "error": says }))
}
