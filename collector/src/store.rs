//! The database: one thread that writes, and a few connections that read.
//!
//! Writes arrive as jobs and are committed in groups: a transaction takes what is waiting, up to [`GROUP`] jobs or
//! [`GROUP_TIME`], and a request is answered only after the commit that holds its rows.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, named_params, params};
use tokio::sync::{mpsc, oneshot};

use crate::answer::Problem;
use crate::config::Durability;
use crate::{instant, schema};

const GROUP: usize = 256;
const GROUP_TIME: Duration = Duration::from_millis(5);
/// Jobs that may wait; further requests wait for a place, which holds back their senders.
const WAITING: usize = 1024;
/// Idle reading connections that are kept open.
const READERS: usize = 4;

/// One observation, column by column; JSON columns are text already.
#[derive(Default)]
pub(crate) struct Observation {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) parent: Option<String>,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) level: &'static str,
    pub(crate) status_message: Option<String>,
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    pub(crate) completion_start: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) model_parameters: Option<String>,
    pub(crate) input: Option<String>,
    pub(crate) output: Option<String>,
    pub(crate) usage: Option<String>,
    pub(crate) cost: Option<String>,
    pub(crate) metadata: String,
    pub(crate) prompt_name: Option<String>,
    pub(crate) prompt_version: Option<i64>,
    pub(crate) trace_name: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) tags: Option<String>,
    pub(crate) public: bool,
    pub(crate) environment: String,
    pub(crate) version: Option<String>,
    pub(crate) release: Option<String>,
    pub(crate) is_app_root: bool,
    pub(crate) attributes: String,
    pub(crate) resource: String,
    pub(crate) scope: String,
    pub(crate) otel: String,
    pub(crate) sdk: String,
    pub(crate) client_port: u16,
    pub(crate) received_at: i64,
}

/// One score.
pub(crate) struct Score {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) trace_id: Option<String>,
    pub(crate) observation_id: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) dataset_run_id: Option<String>,
    pub(crate) value: Option<f64>,
    pub(crate) string_value: Option<String>,
    pub(crate) data_type: &'static str,
    pub(crate) comment: Option<String>,
    pub(crate) metadata: Option<String>,
    pub(crate) environment: String,
    pub(crate) config_id: Option<String>,
    pub(crate) source: String,
    pub(crate) timestamp_ns: i64,
    pub(crate) client_port: u16,
}

/// The rows of one accepted request.
pub(crate) struct Ingest {
    pub(crate) project: String,
    /// Size of the request's body as it was received.
    pub(crate) bytes: usize,
    pub(crate) observations: Vec<Observation>,
    pub(crate) scores: Vec<Score>,
}

type Work = Box<dyn FnOnce(&Connection) -> rusqlite::Result<()> + Send>;

struct Job {
    work: Work,
    done: oneshot::Sender<Result<(), String>>,
}

/// The handle that all requests share.
pub(crate) struct Store {
    jobs: mpsc::Sender<Job>,
    path: PathBuf,
    readers: Arc<Mutex<Vec<Connection>>>,
}

impl Store {
    /// Opens the database in the directory and starts the writer, which ends after the last handle is gone.
    pub(crate) fn open(data: &Path, durability: Durability) -> Result<(Self, JoinHandle<()>), String> {
        let path = data.join("traces.db");
        let connection = schema::open_writer(&path, durability)?;
        let (jobs, waiting) = mpsc::channel(WAITING);
        let writer = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || write(&connection, waiting))
            .map_err(|error| format!("writer thread: {error}"))?;
        Ok((Self { jobs, path, readers: Arc::default() }, writer))
    }

    /// Stores the rows of a request; returns after their commit.
    pub(crate) async fn ingest(&self, ingest: Ingest) -> Result<(), Problem> {
        self.write(move |connection| insert(connection, ingest)).await
    }

    /// Runs a change inside a transaction and returns what it gave, after the commit.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let (value, changed) = oneshot::channel();
        let (done, committed) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            // The receiver is gone when the sender hung up; its rows are stored all the same.
            let _ = value.send(change(connection)?);
            Ok(())
        });
        let gone = || Problem::Internal("database: the writer has ended".into());
        self.jobs.send(Job { work, done }).await.map_err(|_| gone())?;
        committed.await.map_err(|_| gone())?.map_err(Problem::Internal)?;
        changed.await.map_err(|_| gone())
    }

    /// Runs a query on a reading connection, on a thread that may block.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let path = self.path.clone();
        let readers = Arc::clone(&self.readers);
        let work = move || {
            let idle = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match idle {
                Some(connection) => connection,
                None => schema::open_reader(&path)?,
            };
            let answer = query(&connection);
            let mut idle = readers.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < READERS {
                idle.push(connection);
            }
            answer
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| Problem::Internal(format!("query: {error}")))?
    }
}

fn write(connection: &Connection, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.blocking_recv() {
        let started = Instant::now();
        let mut answers = Vec::new();
        let mut outcome = connection.execute_batch("BEGIN IMMEDIATE");
        let mut next = Some(first);
        while let Some(Job { work, done }) = next.take() {
            if outcome.is_ok() {
                outcome = work(connection);
            }
            answers.push(done);
            if outcome.is_ok() && answers.len() < GROUP && started.elapsed() < GROUP_TIME {
                next = jobs.try_recv().ok();
            }
        }
        let outcome = outcome.and_then(|()| connection.execute_batch("COMMIT")).map_err(|error| {
            if !connection.is_autocommit() {
                let _ = connection.execute_batch("ROLLBACK");
            }
            format!("database: {error}")
        });
        for done in answers {
            let _ = done.send(outcome.clone());
        }
    }
    let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
}

const INSERT_OBSERVATION: &str = "
INSERT INTO observations (project, trace_id, span_id, parent, name, type, level, status_message, start_ns, end_ns,
  completion_start, model, model_parameters, input, output, usage, cost, metadata, prompt_name, prompt_version,
  trace_name, user, session, tags, public, environment, version, release, is_app_root, attributes, resource, scope,
  otel, sdk, client_port, received_at)
VALUES (:project, :trace_id, :span_id, :parent, :name, :type, :level, :status_message, :start_ns, :end_ns,
  :completion_start, :model, :model_parameters, :input, :output, :usage, :cost, :metadata, :prompt_name,
  :prompt_version, :trace_name, :user, :session, :tags, :public, :environment, :version, :release, :is_app_root,
  :attributes, :resource, :scope, :otel, :sdk, :client_port, :received_at)
ON CONFLICT (project, trace_id, span_id) DO UPDATE SET parent = excluded.parent, name = excluded.name,
  type = excluded.type, level = excluded.level, status_message = excluded.status_message,
  start_ns = excluded.start_ns, end_ns = excluded.end_ns, completion_start = excluded.completion_start,
  model = excluded.model, model_parameters = excluded.model_parameters, input = excluded.input,
  output = excluded.output, usage = excluded.usage, cost = excluded.cost, metadata = excluded.metadata,
  prompt_name = excluded.prompt_name, prompt_version = excluded.prompt_version, trace_name = excluded.trace_name,
  user = excluded.user, session = excluded.session, tags = excluded.tags, public = excluded.public,
  environment = excluded.environment, version = excluded.version, release = excluded.release,
  is_app_root = excluded.is_app_root, attributes = excluded.attributes, resource = excluded.resource,
  scope = excluded.scope, otel = excluded.otel, sdk = excluded.sdk, client_port = excluded.client_port,
  received_at = excluded.received_at, received = received + 1";

const INSERT_TRACE: &str = "
INSERT INTO traces (project, trace_id, start_ns) VALUES (?1, ?2, ?3)
ON CONFLICT (project, trace_id) DO UPDATE SET start_ns = excluded.start_ns WHERE excluded.start_ns < start_ns";

const INSERT_SCORE: &str = "
INSERT INTO scores (project, id, name, day, trace_id, observation_id, session_id, dataset_run_id, value, string_value,
  data_type, comment, metadata, environment, config_id, source, timestamp_ns, client_port, received_at)
VALUES (:project, :id, :name, :day, :trace_id, :observation_id, :session_id, :dataset_run_id, :value, :string_value,
  :data_type, :comment, :metadata, :environment, :config_id, :source, :timestamp_ns, :client_port, :received_at)
ON CONFLICT (project, id, name, day) DO UPDATE SET trace_id = excluded.trace_id,
  observation_id = excluded.observation_id, session_id = excluded.session_id,
  dataset_run_id = excluded.dataset_run_id, value = excluded.value, string_value = excluded.string_value,
  data_type = excluded.data_type, comment = excluded.comment, metadata = excluded.metadata,
  environment = excluded.environment, config_id = excluded.config_id, source = excluded.source,
  timestamp_ns = excluded.timestamp_ns, client_port = excluded.client_port, received_at = excluded.received_at,
  received = received + 1";

const COUNT_REQUEST: &str = "
INSERT INTO requests (project, requests, bytes, first_at) VALUES (?1, 1, ?2, ?3)
ON CONFLICT (project) DO UPDATE SET requests = requests + 1, bytes = bytes + excluded.bytes";

fn insert(connection: &Connection, ingest: Ingest) -> rusqlite::Result<()> {
    let project = &ingest.project;
    let now = instant::now();
    let bytes = i64::try_from(ingest.bytes).unwrap_or(i64::MAX);
    connection.prepare_cached(COUNT_REQUEST)?.execute(params![project, bytes, now])?;
    let mut statement = connection.prepare_cached(INSERT_OBSERVATION)?;
    let mut trace = connection.prepare_cached(INSERT_TRACE)?;
    for row in &ingest.observations {
        trace.execute(params![project, row.trace_id, row.start_ns])?;
        statement.execute(named_params! {
            ":project": project, ":trace_id": row.trace_id, ":span_id": row.span_id, ":parent": row.parent,
            ":name": row.name, ":type": row.kind, ":level": row.level, ":status_message": row.status_message,
            ":start_ns": row.start_ns, ":end_ns": row.end_ns, ":completion_start": row.completion_start,
            ":model": row.model, ":model_parameters": row.model_parameters, ":input": row.input,
            ":output": row.output, ":usage": row.usage, ":cost": row.cost, ":metadata": row.metadata,
            ":prompt_name": row.prompt_name, ":prompt_version": row.prompt_version, ":trace_name": row.trace_name,
            ":user": row.user, ":session": row.session, ":tags": row.tags, ":public": row.public,
            ":environment": row.environment, ":version": row.version, ":release": row.release,
            ":is_app_root": row.is_app_root, ":attributes": row.attributes, ":resource": row.resource,
            ":scope": row.scope, ":otel": row.otel, ":sdk": row.sdk, ":client_port": row.client_port,
            ":received_at": row.received_at,
        })?;
    }
    if ingest.scores.is_empty() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(INSERT_SCORE)?;
    for row in &ingest.scores {
        statement.execute(named_params! {
            ":project": project, ":id": row.id, ":name": row.name,
            ":day": row.timestamp_ns.div_euclid(86_400_000_000_000), ":trace_id": row.trace_id,
            ":observation_id": row.observation_id, ":session_id": row.session_id,
            ":dataset_run_id": row.dataset_run_id, ":value": row.value, ":string_value": row.string_value,
            ":data_type": row.data_type, ":comment": row.comment, ":metadata": row.metadata,
            ":environment": row.environment, ":config_id": row.config_id, ":source": row.source,
            ":timestamp_ns": row.timestamp_ns, ":client_port": row.client_port, ":received_at": now,
        })?;
    }
    Ok(())
}
