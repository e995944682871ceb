//! Answers: JSON bodies, and the three shapes in which the Langfuse server words its errors.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A JSON answer.
pub(crate) fn json_answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A plain-text answer, as the server's body parsers give.
pub(crate) fn text_answer(status: StatusCode, body: impl Into<String>) -> Response {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// What went wrong with a request, in the shape that its sender gets to read.
#[derive(Debug)]
pub(crate) enum Problem {
    /// `{"error": text}`: the OTLP endpoint's own refusals.
    Otlp(String),
    /// `{"message": text}`: authentication and authorisation.
    Message(StatusCode, &'static str),
    /// `{"message": text, "error": value}`: the public API's validation and lookup errors.
    Api(StatusCode, String, Value),
    /// Plain text: body parsers.
    Text(StatusCode, String),
    /// The database or the machine failed; the text says which step, never data.
    Internal(String),
}

impl Problem {
    /// A 400 of the public API with one issue.
    pub(crate) fn invalid(issue: impl Into<String>) -> Self {
        let issue: String = issue.into();
        Self::Api(StatusCode::BAD_REQUEST, "Invalid request data".into(), json!([{"message": issue}]))
    }

    /// A 404 of the public API.
    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::Api(StatusCode::NOT_FOUND, message.into(), json!("LangfuseNotFoundError"))
    }
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Internal(format!("database: {error}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match self {
            Self::Otlp(error) => json_answer(StatusCode::BAD_REQUEST, &json!({ "error": error })),
            Self::Message(status, message) => json_answer(status, &json!({ "message": message })),
            Self::Api(status, message, error) => {
                json_answer(status, &json!({"message": message, "error": error}))
            }
            Self::Text(status, text) => text_answer(status, text),
            Self::Internal(what) => {
                crate::complain(&what);
                let body = json!({"message": "Internal Server Error", "error": what});
                json_answer(StatusCode::INTERNAL_SERVER_ERROR, &body)
            }
        }
    }
}
