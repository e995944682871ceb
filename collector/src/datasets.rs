//! Datasets and their items. Every change of an item is kept, so that a dataset can be read as it was at an earlier time.

use std::collections::HashMap;
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

type Asked = Query<HashMap<String, String>>;

const LIMIT: i64 = 50;
const MOST: i64 = 100;
const DATASET: &str =
    "id, name, description, metadata, input_schema, expected_output_schema, project, created_at, updated_at";
const ITEM: &str = "i.id, i.status, i.input, i.expected_output, i.metadata, i.source_trace_id, i.source_observation_id, \
     d.id, d.name, i.created_at, i.changed_at";
/// The latest change of each item up to a time; `?1` is the project, `?2` the time.
const ITEMS_AT: &str = "FROM dataset_items i JOIN datasets d ON d.project = i.project AND d.id = i.dataset
     WHERE i.project = ?1 AND i.changed_at <= ?2 AND i.status <> 'DELETED' AND NOT EXISTS (
       SELECT 1 FROM dataset_items later WHERE later.project = i.project AND later.id = i.id
         AND later.changed_at <= ?2 AND later.seq > i.seq)";

/// `POST /api/public/v2/datasets`: makes a dataset, or changes the one of that name.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let object = object(&body)?;
    let name = required(&object, "name")?;
    let id = random_hex().map_err(Problem::Internal)?;
    let (key, title) = (project.clone(), name.clone());
    app.store
        .write(move |connection| {
            let sql = "INSERT INTO datasets (project, name, id, description, metadata, input_schema,
                  expected_output_schema, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
                ON CONFLICT (project, name) DO UPDATE SET description = coalesce(?4, description),
                  metadata = CASE WHEN ?5 = 'null' THEN metadata ELSE ?5 END,
                  input_schema = CASE WHEN ?6 = 'null' THEN input_schema ELSE ?6 END,
                  expected_output_schema = CASE WHEN ?7 = 'null' THEN expected_output_schema ELSE ?7 END,
                  updated_at = ?8";
            let text = |name: &str| object.get(name).and_then(Value::as_str);
            let json = |name: &str| object.get(name).unwrap_or(&Value::Null).to_string();
            connection.execute(
                sql,
                params![
                    project,
                    name,
                    id,
                    text("description"),
                    json("metadata"),
                    json("inputSchema"),
                    json("expectedOutputSchema"),
                    instant::now()
                ],
            )
        })
        .await?;
    one(&app, key, title).await
}

/// `GET /api/public/v2/datasets/{name}`
pub(crate) async fn fetch(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    one(&app, project, name).await
}

async fn one(app: &Arc<App>, project: String, name: String) -> Result<Response, Problem> {
    let sql = format!("SELECT {DATASET} FROM datasets WHERE project = ?1 AND name = ?2");
    let found = app
        .store
        .read(move |connection| Ok(connection.query_row(&sql, [project, name], dataset).optional()?))
        .await?;
    let dataset = found.ok_or_else(|| Problem::missing("Dataset not found"))?;
    Ok(json_answer(StatusCode::OK, &dataset))
}

/// `GET /api/public/v2/datasets?page=&limit=`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Query(asked): Asked,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let page = Page::read(&asked)?;
    let answer = app
        .store
        .read(move |connection| {
            let total = connection
                .query_row("SELECT count(*) FROM datasets WHERE project = ?1", [&project], |row| row.get(0))?;
            let sql = format!(
                "SELECT {DATASET} FROM datasets WHERE project = ?1 ORDER BY created_at DESC LIMIT ?2 OFFSET ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![project, page.limit, page.offset()], dataset)?;
            Ok(page.answer(rows.collect::<Result<_, _>>()?, total))
        })
        .await?;
    Ok(json_answer(StatusCode::OK, &answer))
}

/// `POST /api/public/dataset-items`: makes an item, or changes the one of that id.
pub(crate) async fn create_item(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let object = object(&body)?;
    let name = required(&object, "datasetName")?;
    let status = match object.get("status") {
        None | Some(Value::Null) => None,
        Some(Value::String(status)) if status == "ACTIVE" || status == "ARCHIVED" => Some(status.clone()),
        Some(_) => return Err(Problem::invalid("status: Expected ACTIVE or ARCHIVED")),
    };
    let id = match object.get("id").and_then(Value::as_str) {
        Some(id) => id.to_owned(),
        None => random_hex().map_err(Problem::Internal)?,
    };
    let (key, item_id) = (project.clone(), id.clone());
    let sql = "SELECT id FROM datasets WHERE project = ?1 AND name = ?2";
    let dataset: Option<String> = {
        let project = project.clone();
        app.store
            .read(move |connection| {
                Ok(connection.query_row(sql, [project, name], |row| row.get(0)).optional()?)
            })
            .await?
    };
    let dataset = dataset.ok_or_else(|| Problem::missing("Dataset not found"))?;
    let stored =
        app.store.write(move |connection| put(connection, &project, &dataset, &id, &object, status)).await?;
    if !stored {
        let message = "Dataset item id already exists in another dataset";
        return Err(Problem::Api(StatusCode::CONFLICT, message.into(), json!("LangfuseConflictError")));
    }
    answer_item(&app, key, item_id).await
}

/// Stores a change: what is not given stays. False where the item belongs to another dataset.
fn put(
    connection: &Connection,
    project: &str,
    dataset: &str,
    id: &str,
    object: &Map<String, Value>,
    status: Option<String>,
) -> rusqlite::Result<bool> {
    let now = instant::now();
    let sql = "SELECT dataset, status, input, expected_output, metadata, source_trace_id, source_observation_id, created_at
        FROM dataset_items WHERE project = ?1 AND id = ?2 ORDER BY seq DESC LIMIT 1";
    type Before = (String, [String; 4], [Option<String>; 2], i64);
    let read = |row: &Row<'_>| -> rusqlite::Result<Before> {
        let texts = [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
        Ok((row.get(0)?, texts, [row.get(5)?, row.get(6)?], row.get(7)?))
    };
    let before = connection.query_row(sql, params![project, id], read).optional()?;
    if before.as_ref().is_some_and(|(other, ..)| other != dataset) {
        return Ok(false);
    }
    let null = || "null".to_owned();
    let fresh = || ["ACTIVE".to_owned(), null(), null(), null()];
    let (texts, sources, created) = match before {
        Some((_, texts, sources, created)) if texts[0] != "DELETED" => (texts, sources, created),
        _ => (fresh(), [None, None], now),
    };
    let [old_status, input, expected_output, metadata] = texts;
    let [trace, observation] = sources;
    let value = |name: &str, old: String| match object.get(name) {
        None | Some(Value::Null) => old,
        Some(value) => value.to_string(),
    };
    let text =
        |name: &str, old: Option<String>| object.get(name).and_then(Value::as_str).map(str::to_owned).or(old);
    connection.execute(
        "INSERT INTO dataset_items (project, id, dataset, status, input, expected_output, metadata, source_trace_id,
           source_observation_id, created_at, changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            project,
            id,
            dataset,
            status.unwrap_or(old_status),
            value("input", input),
            value("expectedOutput", expected_output),
            value("metadata", metadata),
            text("sourceTraceId", trace),
            text("sourceObservationId", observation),
            created,
            now
        ],
    )?;
    Ok(true)
}

/// `GET /api/public/dataset-items/{id}`
pub(crate) async fn fetch_item(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    answer_item(&app, project, id).await
}

async fn answer_item(app: &Arc<App>, project: String, id: String) -> Result<Response, Problem> {
    let sql = format!("SELECT {ITEM} {ITEMS_AT} AND i.id = ?3");
    let found = app
        .store
        .read(move |connection| {
            Ok(connection.query_row(&sql, params![project, i64::MAX, id], item).optional()?)
        })
        .await?;
    let item = found.ok_or_else(|| Problem::missing("Dataset item not found"))?;
    Ok(json_answer(StatusCode::OK, &item))
}

/// `DELETE /api/public/dataset-items/{id}`: earlier versions keep it.
pub(crate) async fn delete_item(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let sql = "INSERT INTO dataset_items (project, id, dataset, status, input, expected_output, metadata, created_at, changed_at)
        SELECT project, id, dataset, 'DELETED', 'null', 'null', 'null', created_at, ?3 FROM dataset_items
        WHERE status <> 'DELETED'
          AND seq = (SELECT max(seq) FROM dataset_items WHERE project = ?1 AND id = ?2)";
    let gone = app
        .store
        .write(move |connection| connection.execute(sql, params![project, id, instant::now()]))
        .await?;
    if gone == 0 {
        return Err(Problem::missing("Dataset item not found"));
    }
    Ok(json_answer(StatusCode::OK, &json!({"message": "Dataset item successfully deleted"})))
}

/// `GET /api/public/dataset-items?datasetName=&page=&limit=&version=`
pub(crate) async fn list_items(
    State(app): State<Arc<App>>,
    Query(asked): Asked,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let page = Page::read(&asked)?;
    let at = match asked.get("version") {
        Some(text) => {
            instant::from_text(text).ok_or_else(|| Problem::invalid("version: Invalid datetime"))?
        }
        None => i64::MAX,
    };
    let name = asked.get("datasetName").cloned();
    let answer = app
        .store
        .read(move |connection| {
            let wanted = "AND (?3 IS NULL OR d.name = ?3)";
            let sql = format!("SELECT count(*) {ITEMS_AT} {wanted}");
            let total = connection.query_row(&sql, params![project, at, name], |row| row.get(0))?;
            let sql = format!(
                "SELECT {ITEM} {ITEMS_AT} {wanted} ORDER BY i.created_at DESC, i.id LIMIT ?4 OFFSET ?5"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![project, at, name, page.limit, page.offset()], item)?;
            Ok(page.answer(rows.collect::<Result<_, _>>()?, total))
        })
        .await?;
    Ok(json_answer(StatusCode::OK, &answer))
}

/// A page of a list, counted from 1.
#[derive(Clone, Copy)]
struct Page {
    page: i64,
    limit: i64,
}

impl Page {
    fn read(asked: &HashMap<String, String>) -> Result<Self, Problem> {
        let number = |name: &str, default: i64| match asked.get(name).map(|text| text.parse::<i64>()) {
            None => Ok(default),
            Some(Ok(number)) if number >= 1 => Ok(number),
            Some(_) => Err(Problem::invalid(format!("{name}: Expected a number from 1 on"))),
        };
        Ok(Self { page: number("page", 1)?, limit: number("limit", LIMIT)?.min(MOST) })
    }

    fn offset(self) -> i64 {
        (self.page - 1).saturating_mul(self.limit)
    }

    fn answer(self, data: Vec<Value>, total: i64) -> Value {
        let pages = total.div_euclid(self.limit) + i64::from(total % self.limit != 0);
        let meta = json!({"page": self.page, "limit": self.limit, "totalItems": total, "totalPages": pages});
        json!({"data": data, "meta": meta})
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Problem::invalid("Expected object")),
        Err(_) => Err(Problem::invalid("Invalid JSON")),
    }
}

fn required(object: &Map<String, Value>, name: &str) -> Result<String, Problem> {
    match object.get(name).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Problem::invalid(format!("{name}: Required"))),
    }
}

fn parsed(row: &Row<'_>, index: usize) -> rusqlite::Result<Value> {
    Ok(serde_json::from_str(&row.get::<_, String>(index)?).unwrap_or(Value::Null))
}

fn dataset(row: &Row<'_>) -> rusqlite::Result<Value> {
    Ok(json!({
        "id": row.get::<_, String>(0)?, "name": row.get::<_, String>(1)?,
        "description": row.get::<_, Option<String>>(2)?, "metadata": parsed(row, 3)?,
        "inputSchema": parsed(row, 4)?, "expectedOutputSchema": parsed(row, 5)?,
        "projectId": row.get::<_, String>(6)?, "createdAt": instant::to_text(row.get(7)?),
        "updatedAt": instant::to_text(row.get(8)?),
    }))
}

fn item(row: &Row<'_>) -> rusqlite::Result<Value> {
    let changed = instant::to_text(row.get(10)?);
    Ok(json!({
        "id": row.get::<_, String>(0)?, "status": row.get::<_, String>(1)?, "input": parsed(row, 2)?,
        "expectedOutput": parsed(row, 3)?, "metadata": parsed(row, 4)?,
        "sourceTraceId": row.get::<_, Option<String>>(5)?,
        "sourceObservationId": row.get::<_, Option<String>>(6)?, "datasetId": row.get::<_, String>(7)?,
        "datasetName": row.get::<_, String>(8)?, "createdAt": instant::to_text(row.get(9)?),
        "updatedAt": changed, "version": changed, "mediaReferences": [],
    }))
}
