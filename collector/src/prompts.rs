//! Prompts: versions counted from 1, labels that point at one version each, `latest` kept by the server.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::{Map, Value, json};

use crate::answer::{Problem, json_answer};
use crate::auth::{self, Need};
use crate::instant;
use crate::keys::random_hex;
use crate::server::App;

const COLUMNS: &str =
    "id, project, name, version, type, prompt, config, labels, tags, commit_message, created_at, updated_at";

/// `GET /api/public/v2/prompts/{name}?version=|label=`
pub(crate) async fn fetch(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Query<std::collections::HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let version = match query.get("version").map(|text| text.parse::<i64>()) {
        Some(Err(_)) => return Err(Problem::invalid("version: Expected number")),
        Some(Ok(0)) | None => None,
        Some(Ok(version)) => Some(version),
    };
    let label = query.get("label").filter(|label| !label.is_empty()).cloned();
    if version.is_some() && label.is_some() {
        return Err(Problem::invalid("Cannot specify both version and label"));
    }
    let label = label.unwrap_or_else(|| "production".into());
    let prompt = app.store.read(move |connection| find(connection, &project, &name, version, &label)).await?;
    Ok(json_answer(StatusCode::OK, &prompt))
}

fn find(
    connection: &Connection,
    project: &str,
    name: &str,
    version: Option<i64>,
    label: &str,
) -> Result<Value, Problem> {
    let by = match version {
        Some(_) => "version = ?3",
        None => "EXISTS (SELECT 1 FROM json_each(labels) WHERE value = ?3)",
    };
    let sql = format!("SELECT {COLUMNS} FROM prompts WHERE project = ?1 AND name = ?2 AND {by}");
    let mut statement = connection.prepare_cached(&sql)?;
    let found = match version {
        Some(version) => statement.query_row(params![project, name, version], to_json),
        None => statement.query_row(params![project, name, label], to_json),
    };
    found.optional()?.ok_or_else(|| {
        Problem::missing(match version {
            Some(version) => format!("Prompt not found: '{name}' with version {version}"),
            None => format!("Prompt not found: '{name}' with label '{label}'"),
        })
    })
}

fn to_json(row: &Row<'_>) -> rusqlite::Result<Value> {
    let parsed = |index: usize| -> rusqlite::Result<Value> {
        Ok(serde_json::from_str(&row.get::<_, String>(index)?).unwrap_or(Value::Null))
    };
    let labels = parsed(7)?;
    let active = labels.as_array().is_some_and(|labels| labels.contains(&Value::from("production")));
    Ok(json!({
        "id": row.get::<_, String>(0)?, "projectId": row.get::<_, String>(1)?, "name": row.get::<_, String>(2)?,
        "version": row.get::<_, i64>(3)?, "type": row.get::<_, String>(4)?, "prompt": parsed(5)?,
        "config": parsed(6)?, "labels": labels, "tags": parsed(8)?, "commitMessage": row.get::<_, Option<String>>(9)?,
        "createdAt": instant::to_text(row.get(10)?), "updatedAt": instant::to_text(row.get(11)?),
        "createdBy": "API", "isActive": active, "resolutionGraph": null,
    }))
}

/// `POST /api/public/v2/prompts`: the next version of a prompt.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let new = Draft::read(&body).map_err(Problem::invalid)?;
    let id = random_hex().map_err(Problem::Internal)?;
    let (name, key) = (new.name.clone(), project.clone());
    let version = app.store.write(move |connection| insert(connection, &project, new, &id)).await?;
    let Some(version) = version else {
        return Err(Problem::invalid("type: a prompt keeps the type of its earlier versions"));
    };
    let prompt = app.store.read(move |connection| find(connection, &key, &name, Some(version), "")).await?;
    Ok(json_answer(StatusCode::OK, &prompt))
}

/// `PATCH /api/public/v2/prompts/{name}/versions/{version}` with `{"newLabels": [...]}`.
pub(crate) async fn relabel(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, i64)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let value: Value = serde_json::from_slice(&body).map_err(|_| Problem::invalid("Invalid JSON"))?;
    let wanted = labels(value.get("newLabels")).map_err(Problem::invalid)?;
    let (key, title) = (project.clone(), name.clone());
    app.store.read(move |connection| find(connection, &key, &title, Some(version), "")).await?;
    let (key, title) = (project.clone(), name.clone());
    app.store.write(move |connection| move_labels(connection, &project, &name, version, &wanted)).await?;
    let prompt = app.store.read(move |connection| find(connection, &key, &title, Some(version), "")).await?;
    Ok(json_answer(StatusCode::OK, &prompt))
}

/// A prompt version that is not stored yet.
struct Draft {
    name: String,
    kind: &'static str,
    prompt: Value,
    config: Value,
    labels: Vec<String>,
    tags: Option<Value>,
    commit_message: Option<String>,
}

impl Draft {
    fn read(body: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(body).map_err(|_| "Invalid JSON")?;
        let object: &Map<String, Value> = value.as_object().ok_or("Expected object")?;
        let name = object.get("name").and_then(Value::as_str).ok_or("name: Required")?;
        check_name(name)?;
        let prompt = object.get("prompt").cloned().ok_or("prompt: Required")?;
        let asked = object.get("type").and_then(Value::as_str);
        let kind = match (asked, &prompt) {
            (Some("text") | None, Value::String(_)) => "text",
            (Some("chat"), Value::Array(messages)) if messages.iter().all(is_message) => "chat",
            _ => return Err("prompt: text needs a string, chat a list of messages or placeholders".into()),
        };
        Ok(Self {
            name: name.into(),
            kind,
            prompt,
            config: object
                .get("config")
                .filter(|config| !config.is_null())
                .cloned()
                .unwrap_or_else(|| json!({})),
            labels: labels(object.get("labels"))?,
            tags: object.get("tags").filter(|tags| tags.is_array()).cloned(),
            commit_message: object.get("commitMessage").and_then(Value::as_str).map(str::to_owned),
        })
    }
}

fn is_message(message: &Value) -> bool {
    let has = |key: &str| message.get(key).is_some_and(Value::is_string);
    let placeholder = message.get("type").and_then(Value::as_str) == Some("placeholder");
    if placeholder { has("name") } else { has("role") && has("content") }
}

fn check_name(name: &str) -> Result<(), String> {
    let reserved = ["new", "metrics", "prompt-detail"].contains(&name);
    let slashes = name.starts_with('/') || name.ends_with('/') || name.contains("//");
    let wrong = name.is_empty() || reserved || slashes || name.contains(['|', '<', '>']);
    if wrong { Err("name: Invalid prompt name".into()) } else { Ok(()) }
}

fn labels(value: Option<&Value>) -> Result<Vec<String>, String> {
    let items = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err("labels: Expected array".into()),
    };
    let fits = |label: &str| {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
        (1..=36).contains(&label.len()) && label.chars().all(allowed) && label != "latest"
    };
    items
        .iter()
        .map(|item| item.as_str().filter(|label| fits(label)).map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| "labels: 1 to 36 of a-z 0-9 _ . -, and not latest".into())
}

/// The new version, or `None` when the prompt is of the other type.
fn insert(connection: &Connection, project: &str, new: Draft, id: &str) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT version, type, tags FROM prompts WHERE project = ?1 AND name = ?2 ORDER BY version DESC LIMIT 1";
    let read =
        |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?));
    let last = connection.query_row(sql, params![project, new.name], read).optional()?;
    let (version, tags) = match last {
        Some((_, kind, _)) if kind != new.kind => return Ok(None),
        Some((version, _, tags)) => (version + 1, tags),
        None => (1, "[]".into()),
    };
    let tags = new.tags.map_or(tags, |tags| tags.to_string());
    let now = instant::now();
    let sql = format!(
        "INSERT INTO prompts ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, '[]', ?8, ?9, ?10, ?10)"
    );
    connection.execute(
        &sql,
        params![
            id,
            project,
            new.name,
            version,
            new.kind,
            new.prompt.to_string(),
            new.config.to_string(),
            tags,
            new.commit_message,
            now
        ],
    )?;
    let mut wanted = new.labels;
    wanted.push("latest".into());
    move_labels(connection, project, &new.name, version, &wanted)?;
    Ok(Some(version))
}

/// Gives labels to a version and takes them from all others.
fn move_labels(
    connection: &Connection,
    project: &str,
    name: &str,
    version: i64,
    wanted: &[String],
) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare("SELECT version, labels FROM prompts WHERE project = ?1 AND name = ?2")?;
    let all: Vec<(i64, String)> = statement
        .query_map(params![project, name], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (other, text) in all {
        let mut labels: Vec<String> = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|value| {
                Some(value.as_array()?.iter().filter_map(|l| l.as_str().map(str::to_owned)).collect())
            })
            .unwrap_or_default();
        labels.retain(|label| !wanted.contains(label));
        if other == version {
            labels.extend_from_slice(wanted);
            labels.sort();
            labels.dedup();
        }
        let new = Value::from(labels).to_string();
        if new != text {
            connection.execute(
                "UPDATE prompts SET labels = ?4, updated_at = ?5 WHERE project = ?1 AND name = ?2 AND version = ?3",
                params![project, name, other, new, instant::now()],
            )?;
        }
    }
    Ok(())
}
