//! Reading the `Authorization` header, with the answers of the Langfuse server.

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;

use crate::answer::Problem;
use crate::keys::Keys;

const BAD_PAIR: &str = "Invalid credentials. Confirm that you've configured the correct host.";
const NOT_ENOUGH: &str = "Access denied - insufficient permissions for this endpoint";

/// What a caller wants to do; a public key alone is enough for creating scores.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Pair,
    PublicKey,
}

/// The project that the caller may act on.
pub(crate) fn project(keys: &Keys, headers: &HeaderMap, need: Need) -> Result<String, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(Problem::Message(StatusCode::UNAUTHORIZED, "No authorization header"));
    };
    let refused = || Problem::Message(StatusCode::UNAUTHORIZED, BAD_PAIR);
    let value = value.to_str().map_err(|_| refused())?;
    if let Some((public, secret)) = basic(value) {
        return keys.project(&public, &secret).ok_or_else(refused);
    }
    let public = value.strip_prefix("Bearer ").ok_or_else(refused)?;
    match (keys.project_of_public(public), need) {
        (Some(project), Need::PublicKey) => Ok(project),
        (Some(_), Need::Pair) => Err(Problem::Message(StatusCode::FORBIDDEN, NOT_ENOUGH)),
        (None, _) => Err(refused()),
    }
}

/// The public key that a request names, valid or not: faults are aimed by it.
pub(crate) fn named_public_key(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    basic(value).map(|(public, _)| public).or_else(|| value.strip_prefix("Bearer ").map(str::to_owned))
}

/// The scheme's case counts, and a third part after a second colon is ignored, as on the server.
fn basic(value: &str) -> Option<(String, String)> {
    let decoded =
        base64::engine::general_purpose::STANDARD.decode(value.strip_prefix("Basic ")?.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let mut parts = text.split(':');
    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
}
