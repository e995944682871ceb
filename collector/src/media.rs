//! Media: announced by their hash, uploaded to a storage address that is handed out, confirmed, and handed out again.
//!
//! The server keeps the bytes of each distinct content once in a project; every observation that refers to it is a link.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value, json};

use crate::answer::{Problem, json_answer};
use crate::auth::{self, Need};
use crate::instant;
use crate::keys::random_hex;
use crate::server::App;

/// As the server's signed addresses live.
const GRANT_NANOS: i64 = 3_600_000_000_000;

/// What the server takes; anything else is a 400.
const CONTENT_TYPES: [&str; 52] = [
    "image/png",
    "image/jpeg",
    "image/jpg",
    "image/webp",
    "image/gif",
    "image/svg+xml",
    "image/tiff",
    "image/bmp",
    "image/avif",
    "image/heic",
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
    "video/x-msvideo",
    "video/x-matroska",
    "text/plain",
    "text/html",
    "text/css",
    "text/csv",
    "text/markdown",
    "text/x-python",
    "application/javascript",
    "text/x-typescript",
    "application/x-yaml",
    "application/pdf",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/zip",
    "application/json",
    "application/xml",
    "application/octet-stream",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/rtf",
    "application/x-ndjson",
    "application/vnd.apache.parquet",
    "application/gzip",
    "application/x-tar",
    "application/x-7z-compressed",
];

/// `POST /api/public/media`: where to upload, or nowhere because the content is known.
pub(crate) async fn announce(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let notice = Announcement::read(&body, app.max_media).map_err(Problem::invalid)?;
    let media_id = notice.media_id.clone();
    let token = random_hex().map_err(Problem::Internal)?;
    let address = address(&app, &headers, &token);
    let wanted = app.store.write(move |connection| enter(connection, &project, &notice, &token)).await?;
    let url = if wanted { Value::from(address) } else { Value::Null };
    Ok(json_answer(StatusCode::CREATED, &json!({"mediaId": media_id, "uploadUrl": url})))
}

/// `PATCH /api/public/media/{id}`: how the upload went.
pub(crate) async fn confirm(
    State(app): State<Arc<App>>,
    Path(media_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let value: Value = serde_json::from_slice(&body).map_err(|_| Problem::invalid("Invalid JSON"))?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let uploaded_at = text("uploadedAt")
        .and_then(|text| instant::from_text(&text))
        .ok_or_else(|| Problem::invalid("uploadedAt: Invalid ISO datetime"))?;
    let status = value
        .get("uploadHttpStatus")
        .and_then(Value::as_i64)
        .filter(|status| (100..600).contains(status))
        .ok_or_else(|| Problem::invalid("uploadHttpStatus: Expected HTTP status"))?;
    let error = text("uploadHttpError");
    let took = value.get("uploadTimeMs").and_then(Value::as_i64);
    let changed = app
        .store
        .write(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE media SET uploaded_at = ?3, status = ?4, error = ?5, upload_ms = ?6,
                     confirmations = confirmations + 1 WHERE project = ?1 AND id = ?2",
                )?
                .execute(params![project, media_id, uploaded_at, status, error, took])
        })
        .await?;
    if changed == 0 {
        return Err(Problem::missing("Media asset not found"));
    }
    Ok(json_answer(StatusCode::OK, &json!({"message": "OK"})))
}

/// `GET /api/public/media/{id}`: where the content can be fetched for an hour.
pub(crate) async fn fetch(
    State(app): State<Arc<App>>,
    Path(media_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let token = random_hex().map_err(Problem::Internal)?;
    let url = address(&app, &headers, &token);
    let expiry = instant::now().saturating_add(GRANT_NANOS);
    let found = app
        .store
        .write(move |connection| {
            let row = connection
                .prepare_cached(
                    "SELECT content_type, content_length, uploaded_at, status FROM media WHERE project = ?1 AND id = ?2",
                )?
                .query_row(params![project, media_id], |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, i64>(1)?,
                        row.get::<_, Option<i64>>(2)?,
                        row.get::<_, Option<i64>>(3)?,
                    ))
                })
                .optional()?;
            if let Some((_, _, Some(_), Some(status))) = &row
                && stored(*status)
            {
                grant(connection, &token, &project, &media_id, "GET")?;
            }
            Ok((media_id, row))
        })
        .await?;
    match found {
        (media_id, Some((kind, length, Some(uploaded_at), Some(status)))) if stored(status) => {
            Ok(json_answer(
                StatusCode::OK,
                &json!({"mediaId": media_id, "contentType": kind, "contentLength": length, "url": url,
                    "urlExpiry": instant::to_text(expiry), "uploadedAt": instant::to_text(uploaded_at)}),
            ))
        }
        (_, Some(_)) => Err(Problem::missing("Media not yet uploaded")),
        (_, None) => Err(Problem::missing("Media asset not found")),
    }
}

/// Object stores answer 200, Azure's 201.
fn stored(status: i64) -> bool {
    status == 200 || status == 201
}

/// One announced use of a content.
struct Announcement {
    media_id: String,
    hash: String,
    content_type: String,
    content_length: i64,
    trace_id: String,
    observation_id: String,
    field: String,
}

impl Announcement {
    fn read(body: &[u8], max_media: usize) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(body).map_err(|_| "Invalid JSON")?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let hash = text("sha256Hash").ok_or("sha256Hash: Required")?;
        let digest = STANDARD.decode(hash).ok().filter(|digest| digest.len() == 32);
        let digest = digest.ok_or("sha256Hash: Expected a base64 encoded SHA-256 hash of 44 characters")?;
        let content_type = text("contentType").ok_or("contentType: Required")?;
        if !CONTENT_TYPES.contains(&content_type) {
            return Err(format!("contentType: Invalid enum value, received {content_type:?}"));
        }
        let length = value.get("contentLength").and_then(Value::as_i64).filter(|length| *length > 0);
        let length = length.ok_or("contentLength: Expected a positive integer")?;
        if usize::try_from(length).is_ok_and(|length| length > max_media) {
            return Err(format!("File size must be less than {max_media} bytes"));
        }
        let field = text("field").ok_or("field: Required")?;
        // A use by an item of a dataset is kept in the same table, under the dataset's ids.
        let (fields, first, second): (&[&str], _, _) = match (text("traceId"), text("datasetItemId")) {
            (Some(trace), None) => {
                (&["input", "output", "metadata"], trace, text("observationId").unwrap_or_default())
            }
            (None, Some(item)) => (
                &["input", "expectedOutput", "metadata"],
                text("datasetId").ok_or("datasetId: Required with datasetItemId")?,
                item,
            ),
            _ => return Err("Exactly one of traceId and datasetItemId is needed".into()),
        };
        if !fields.contains(&field) {
            return Err(format!("field: Expected one of {}", fields.join(", ")));
        }
        let mut media_id = URL_SAFE_NO_PAD.encode(&digest);
        media_id.truncate(22);
        Ok(Self {
            media_id,
            hash: hash.into(),
            content_type: content_type.into(),
            content_length: length,
            trace_id: first.into(),
            observation_id: second.into(),
            field: field.into(),
        })
    }
}

/// Notes the use; true where the content has to be uploaded, for which the token is then good.
fn enter(
    connection: &Connection,
    project: &str,
    notice: &Announcement,
    token: &str,
) -> rusqlite::Result<bool> {
    let Announcement { media_id, hash, content_type, content_length, trace_id, observation_id, field } =
        notice;
    connection
        .prepare_cached(
            "INSERT INTO media (project, id, hash, content_type, content_length, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (project, id) DO UPDATE SET announcements = announcements + 1",
        )?
        .execute(params![project, media_id, hash, content_type, content_length, instant::now()])?;
    connection
        .prepare_cached(
            "INSERT INTO media_links (project, media_id, trace_id, observation_id, field) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET received = received + 1",
        )?
        .execute(params![project, media_id, trace_id, observation_id, field])?;
    // Only a plain 200 counts as uploaded here, as on the server.
    let known: Option<i64> = connection
        .prepare_cached("SELECT status FROM media WHERE project = ?1 AND id = ?2")?
        .query_row(params![project, media_id], |row| row.get(0))?;
    if known == Some(200) {
        return Ok(false);
    }
    grant(connection, token, project, media_id, "PUT")?;
    Ok(true)
}

fn grant(
    connection: &Connection,
    token: &str,
    project: &str,
    media_id: &str,
    method: &str,
) -> rusqlite::Result<()> {
    let now = instant::now();
    connection.prepare_cached("DELETE FROM grants WHERE expires_at < ?1")?.execute([now])?;
    connection
        .prepare_cached(
            "INSERT INTO grants (token, project, media_id, method, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![token, project, media_id, method, now.saturating_add(GRANT_NANOS)])?;
    Ok(())
}

/// Where the holder of the token reaches the storage.
fn address(app: &App, headers: &HeaderMap, token: &str) -> String {
    let base = app.storage_url.clone().unwrap_or_else(|| {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        format!("{}://{host}", if app.secure { "https" } else { "http" })
    });
    format!("{}/storage/{token}?X-Amz-Expires=3600", base.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(change: impl FnOnce(&mut Value)) -> Result<Announcement, String> {
        let hash = STANDARD.encode([0xfb; 32]);
        let mut value = json!({"traceId": "t", "observationId": "o", "field": "input", "contentType": "image/png",
            "contentLength": 3, "sha256Hash": hash});
        change(&mut value);
        Announcement::read(value.to_string().as_bytes(), 1000)
    }

    #[test]
    fn an_announcement_is_checked() {
        let read = notice(|_| {}).unwrap();
        assert_eq!((read.media_id.as_str(), read.media_id.len()), (&"-_v7".repeat(6)[..22], 22));
        for (key, value) in [
            ("contentLength", json!(0)),
            ("contentLength", json!(1001)),
            ("contentType", json!("image/unheard-of")),
            ("sha256Hash", json!("abc")),
            ("field", json!("expectedOutput")),
            ("traceId", Value::Null),
        ] {
            assert!(notice(|notice| notice[key] = value.clone()).is_err(), "{key} {value}");
        }
        let item = notice(|notice| {
            *notice = json!({"datasetId": "d", "datasetItemId": "i", "field": "expectedOutput",
                "contentType": "image/png", "contentLength": 3, "sha256Hash": notice["sha256Hash"]});
        });
        assert_eq!(item.unwrap().trace_id, "d");
    }
}
