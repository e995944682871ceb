//! Keeping the page and the query API private.
//!
//! On loopback nothing is asked of a local caller, but a web page elsewhere must not reach them through a name that
//! it lets point to 127.0.0.1: only the loopback names are served, and only this page's own requests change
//! anything. With `--token`, everything needs the token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use crate::answer::{Problem, text_answer};
use crate::attributes::hex;
use crate::keys::same;
use crate::server::App;

const COOKIE: &str = "tracespool_page";

/// What the cookie holds: derived from the token, so that it is not the token.
fn cookie_value(token: &str) -> String {
    hex(&Sha256::digest(format!("tracespool page {token}")))
}

/// Lets a request to the page or the query API pass, or refuses it.
pub(crate) async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let foreign = headers.get(header::ORIGIN).is_some_and(|origin| is_foreign(origin, host));
    if foreign && !request.method().is_safe() {
        return text_answer(StatusCode::FORBIDDEN, "Requests of other sites change nothing here.");
    }
    let Some(token) = &app.token else {
        if is_loopback_name(host) {
            return next.run(request).await;
        }
        return text_answer(StatusCode::FORBIDDEN, "Open the page as localhost or 127.0.0.1.");
    };
    let bearer =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if bearer.is_some_and(|given| same(given.as_bytes(), token.as_bytes())) {
        return next.run(request).await;
    }
    let expected = cookie_value(token);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    if pairs.any(|(name, value)| name == COOKIE && same(value.as_bytes(), expected.as_bytes())) {
        return next.run(request).await;
    }
    let asked =
        request.uri().query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("token="));
    if asked.is_some_and(|given| same(&unescaped(given), token.as_bytes())) && request.uri().path() == "/" {
        return enter(&expected);
    }
    Problem::Message(
        StatusCode::UNAUTHORIZED,
        "This collector was started with --token: open /?token=TOKEN once.",
    )
    .into_response()
}

/// Sets the cookie and goes on to the page without the token in the address.
fn enter(cookie: &str) -> Response {
    let mut response = text_answer(StatusCode::SEE_OTHER, "");
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_static("/"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict"))
    {
        headers.insert(header::SET_COOKIE, value);
    }
    response
}

/// Whether a browser sends this on behalf of a page that is not ours.
fn is_foreign(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    origin.split_once("://").is_none_or(|(_, authority)| !authority.eq_ignore_ascii_case(host))
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Percent-decoding of a query value.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match (*first, digits.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            (byte, _) => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_pass() {
        for host in ["localhost", "localhost:3300", "127.0.0.1:1", "[::1]:3300", "LOCALHOST"] {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:3300", "10.0.0.1"]
        {
            assert!(!is_loopback_name(host), "{host}");
        }
    }
}
