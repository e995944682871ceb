//! The web page: three static files compiled into the program, under a policy that lets nothing else run.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::routing::get;

use crate::server::App;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data: 'self'; media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(|| file("text/html; charset=utf-8", include_str!("../web/index.html"))))
        .route("/app.js", get(|| file("text/javascript; charset=utf-8", include_str!("../web/app.js"))))
        .route("/trace.js", get(|| file("text/javascript; charset=utf-8", include_str!("../web/trace.js"))))
        .route("/style.css", get(|| file("text/css; charset=utf-8", include_str!("../web/style.css"))))
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
