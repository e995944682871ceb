//! The web page: three static files compiled into the program, under a policy that lets nothing else run.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use rusqlite::OptionalExtension as _;

use crate::answer::{Problem, text_answer};
use crate::attributes::hex;
use crate::server::App;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data: 'self'; media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(|| file("text/html; charset=utf-8", include_str!("../web/index.html"))))
        .route("/app.js", get(|| file("text/javascript; charset=utf-8", include_str!("../web/app.js"))))
        .route("/trace.js", get(|| file("text/javascript; charset=utf-8", include_str!("../web/trace.js"))))
        .route("/trace/{id}", get(trace))
        .route("/style.css", get(|| file("text/css; charset=utf-8", include_str!("../web/style.css"))))
}

/// A trace by its id alone, which is all that a client knows of its page.
async fn trace(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let wanted = id.to_ascii_lowercase();
    if wanted.len() != 32 || !wanted.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text_answer(StatusCode::NOT_FOUND, "A trace has an id of 32 hexadecimal digits."));
    }
    let asked = wanted.clone();
    let project = app
        .store
        .read(move |connection| {
            let query = "SELECT project FROM traces WHERE trace_id = ?1 ORDER BY start_ns DESC LIMIT 1";
            Ok(connection.query_row(query, [asked], |row| row.get::<_, String>(0)).optional()?)
        })
        .await?;
    Ok(match project {
        Some(project) => Redirect::to(&format!("/#/trace/{}/{wanted}", encoded(&project))).into_response(),
        None => text_answer(StatusCode::NOT_FOUND, "No such trace has arrived here yet."),
    })
}

/// A project as it may stand in an address: where any key is taken, its name is whatever somebody sent.
fn encoded(project: &str) -> String {
    project.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex(&[byte]));
        }
        out
    })
}

async fn file(kind: &'static str, body: &'static str) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
