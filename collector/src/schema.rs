//! The tables, and how connections to the database are opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::config::Durability;

/// Raised with every change of the tables; a database of another version is refused, never altered.
const VERSION: i64 = 2;

const TABLES: &str = "
CREATE TABLE observations (
  seq INTEGER PRIMARY KEY,
  project TEXT NOT NULL, trace_id TEXT NOT NULL, span_id TEXT NOT NULL, parent TEXT,
  name TEXT NOT NULL, type TEXT NOT NULL, level TEXT NOT NULL, status_message TEXT,
  start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, completion_start TEXT,
  model TEXT, model_parameters TEXT, input TEXT, output TEXT, usage TEXT, cost TEXT, metadata TEXT NOT NULL,
  prompt_name TEXT, prompt_version INTEGER,
  trace_name TEXT, user TEXT, session TEXT, tags TEXT, public INTEGER NOT NULL,
  environment TEXT NOT NULL, version TEXT, release TEXT, is_app_root INTEGER NOT NULL,
  attributes TEXT NOT NULL, resource TEXT NOT NULL, scope TEXT NOT NULL, otel TEXT NOT NULL, sdk TEXT NOT NULL,
  client_port INTEGER NOT NULL, received_at INTEGER NOT NULL,
  received INTEGER NOT NULL DEFAULT 1,
  UNIQUE (project, trace_id, span_id)
);
CREATE TABLE traces (
  project TEXT NOT NULL, trace_id TEXT NOT NULL, start_ns INTEGER NOT NULL,
  PRIMARY KEY (project, trace_id)
) WITHOUT ROWID;
CREATE INDEX traces_by_start ON traces (start_ns DESC, trace_id DESC);
CREATE INDEX traces_by_project_and_start ON traces (project, start_ns DESC, trace_id DESC);
CREATE TABLE scores (
  seq INTEGER PRIMARY KEY,
  project TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, day INTEGER NOT NULL,
  trace_id TEXT, observation_id TEXT, session_id TEXT, dataset_run_id TEXT,
  value REAL, string_value TEXT, data_type TEXT NOT NULL, comment TEXT, metadata TEXT, environment TEXT NOT NULL,
  config_id TEXT, source TEXT NOT NULL, timestamp_ns INTEGER NOT NULL,
  client_port INTEGER NOT NULL, received_at INTEGER NOT NULL,
  received INTEGER NOT NULL DEFAULT 1,
  UNIQUE (project, id, name, day)
);
CREATE INDEX scores_by_trace ON scores (project, trace_id);
CREATE TABLE prompts (
  project TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
  id TEXT NOT NULL, type TEXT NOT NULL, prompt TEXT NOT NULL, config TEXT NOT NULL,
  labels TEXT NOT NULL, tags TEXT NOT NULL, commit_message TEXT,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (project, name, version)
) WITHOUT ROWID;
CREATE TABLE media (
  seq INTEGER PRIMARY KEY,
  project TEXT NOT NULL, id TEXT NOT NULL, hash TEXT NOT NULL, content_type TEXT NOT NULL, content_length INTEGER NOT NULL,
  content BLOB, uploaded_at INTEGER, status INTEGER, error TEXT, upload_ms INTEGER, created_at INTEGER NOT NULL,
  announcements INTEGER NOT NULL DEFAULT 1, uploads INTEGER NOT NULL DEFAULT 0, confirmations INTEGER NOT NULL DEFAULT 0,
  UNIQUE (project, id)
);
CREATE TABLE media_links (
  project TEXT NOT NULL, media_id TEXT NOT NULL, trace_id TEXT NOT NULL, observation_id TEXT NOT NULL, field TEXT NOT NULL,
  received INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (project, media_id, trace_id, observation_id, field)
) WITHOUT ROWID;
CREATE INDEX media_links_by_trace ON media_links (project, trace_id);
CREATE TABLE grants (
  token TEXT PRIMARY KEY, project TEXT NOT NULL, media_id TEXT NOT NULL, method TEXT NOT NULL, expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX grants_by_expiry ON grants (expires_at);
CREATE TABLE datasets (
  project TEXT NOT NULL, name TEXT NOT NULL, id TEXT NOT NULL, description TEXT, metadata TEXT NOT NULL,
  input_schema TEXT NOT NULL, expected_output_schema TEXT NOT NULL,
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  PRIMARY KEY (project, name)
) WITHOUT ROWID;
CREATE TABLE dataset_items (
  seq INTEGER PRIMARY KEY,
  project TEXT NOT NULL, id TEXT NOT NULL, dataset TEXT NOT NULL, status TEXT NOT NULL,
  input TEXT NOT NULL, expected_output TEXT NOT NULL, metadata TEXT NOT NULL,
  source_trace_id TEXT, source_observation_id TEXT,
  created_at INTEGER NOT NULL, changed_at INTEGER NOT NULL
);
CREATE INDEX dataset_items_by_id ON dataset_items (project, id, seq);
CREATE TABLE requests (
  project TEXT PRIMARY KEY, requests INTEGER NOT NULL, bytes INTEGER NOT NULL, first_at INTEGER NOT NULL
) WITHOUT ROWID;
";

/// Opens the database for its one writer, making it if it is not there.
pub(crate) fn open_writer(path: &Path, durability: Durability) -> Result<Connection, String> {
    let wrong = |error: rusqlite::Error| format!("{}: {error}", path.display());
    let connection = Connection::open(path).map_err(wrong)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(wrong)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(wrong)?;
    let synchronous = match durability {
        Durability::Off => "OFF",
        Durability::Normal => "NORMAL",
        Durability::Full => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous).map_err(wrong)?;
    connection.pragma_update(None, "cache_size", -16_000).map_err(wrong)?;
    connection.set_prepared_statement_cache_capacity(32);
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(wrong)?;
    match version {
        VERSION => {}
        0 => {
            let script = format!("BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;");
            connection.execute_batch(&script).map_err(wrong)?;
        }
        other => {
            return Err(format!(
                "{}: database version {other}, this program knows {VERSION}; use another --data directory",
                path.display()
            ));
        }
    }
    Ok(connection)
}

/// Opens a connection that can only read.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}
