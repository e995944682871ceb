//! The object store that a Langfuse server hands out addresses of: it knows no keys of ours, only the signed address,
//! and is as particular about what comes with it as the real ones.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, params};
use sha2::{Digest as _, Sha256};

use crate::answer::{Problem, text_answer};
use crate::instant;
use crate::server::App;

const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");

/// Types that a browser shows without running anything in them. SVG and HTML are not among them.
const SHOWN: [&str; 22] = [
    "image/png",
    "image/jpeg",
    "image/jpg",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/avif",
    "audio/mpeg",
    "audio/mp3",
    "audio/wav",
    "audio/ogg",
    "audio/oga",
    "audio/aac",
    "audio/mp4",
    "audio/flac",
    "audio/opus",
    "audio/webm",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/mpeg",
    "video/quicktime",
];

/// An address that was handed out.
struct Grant {
    project: String,
    media_id: String,
    hash: String,
    content_type: String,
    content_length: i64,
}

fn granted(connection: &Connection, token: &str, method: &str) -> Result<Option<Grant>, Problem> {
    Ok(connection
        .prepare_cached(
            "SELECT media.project, media.id, hash, content_type, content_length FROM grants JOIN media
             ON media.project = grants.project AND media.id = grants.media_id
             WHERE token = ?1 AND method = ?2 AND expires_at >= ?3",
        )?
        .query_row(params![token, method, instant::now()], |row| {
            Ok(Grant {
                project: row.get(0)?,
                media_id: row.get(1)?,
                hash: row.get(2)?,
                content_type: row.get(3)?,
                content_length: row.get(4)?,
            })
        })
        .optional()?)
}

fn refused(status: StatusCode, code: &str, message: &str) -> Problem {
    Problem::Text(status, format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"))
}

/// A signed address and an `Authorization` header are two ways to say who one is: stores take one of them.
fn once(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(header::AUTHORIZATION) {
        return Err(refused(
            StatusCode::BAD_REQUEST,
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
             parameter or the Authorization header should be specified",
        ));
    }
    Ok(())
}

/// `PUT /storage/{token}`
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    once(&headers)?;
    let Some(grant) = app.store.read(move |connection| granted(connection, &token, "PUT")).await? else {
        return Err(refused(
            StatusCode::FORBIDDEN,
            "AccessDenied",
            "Request has expired or was never signed",
        ));
    };
    let said = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if said(header::CONTENT_TYPE) != Some(&grant.content_type)
        || said(header::CONTENT_LENGTH) != Some(&*grant.content_length.to_string())
        || said(CHECKSUM) != Some(&grant.hash)
    {
        return Err(refused(
            StatusCode::FORBIDDEN,
            "SignatureDoesNotMatch",
            "content-type, content-length and x-amz-checksum-sha256 are signed and have to be what was announced",
        ));
    }
    if STANDARD.encode(Sha256::digest(&body)) != grant.hash {
        return Err(refused(StatusCode::BAD_REQUEST, "BadDigest", "The checksum does not match the content"));
    }
    app.store
        .write(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE media SET content = ?3, uploads = uploads + 1 WHERE project = ?1 AND id = ?2",
                )?
                .execute(params![grant.project, grant.media_id, body.as_ref()])
        })
        .await?;
    Ok(text_answer(StatusCode::OK, ""))
}

/// `GET /storage/{token}`
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    once(&headers)?;
    let missing =
        || refused(StatusCode::FORBIDDEN, "AccessDenied", "Request has expired or was never signed");
    let (kind, bytes) = app
        .store
        .read(move |connection| {
            let grant = granted(connection, &token, "GET")?.ok_or_else(missing)?;
            content(connection, &grant.project, &grant.media_id)?.ok_or_else(missing)
        })
        .await?;
    Ok(served(&kind, bytes))
}

/// `GET /api/v1/media/{project}/{id}`: for the page.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path((project, media_id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let found = app.store.read(move |connection| content(connection, &project, &media_id)).await?;
    let (kind, bytes) = found.ok_or_else(|| Problem::missing("Media not uploaded"))?;
    Ok(served(&kind, bytes))
}

fn content(
    connection: &Connection,
    project: &str,
    media_id: &str,
) -> Result<Option<(String, Vec<u8>)>, Problem> {
    Ok(connection
        .prepare_cached(
            "SELECT content_type, content FROM media WHERE project = ?1 AND id = ?2 AND content IS NOT NULL",
        )?
        .query_row(params![project, media_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// Untrusted bytes: a browser may show pictures and play sounds, everything else it may only save, and nothing runs.
fn served(kind: &str, bytes: Vec<u8>) -> Response {
    let shown = SHOWN.contains(&kind);
    let mut response = Response::new(bytes.into());
    let headers = response.headers_mut();
    let kind = if shown { kind } else { "application/octet-stream" };
    if let Ok(kind) = HeaderValue::from_str(kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    let disposition = if shown { "inline" } else { "attachment" };
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'"),
    );
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}
