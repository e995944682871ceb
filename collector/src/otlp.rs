//! `POST /api/public/otel/v1/traces`.
//!
//! The answer to an accepted request is, as on the real server, the JSON of a queued job and not an
//! `ExportTraceServiceResponse`; it is given after the spans are committed.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;

use crate::answer::{Problem, json_answer, text_answer};
use crate::auth::{self, Need};
use crate::gzip::{self, Unpack};
use crate::mapping::{self, Sender};
use crate::server::App;
use crate::store::Ingest;
use crate::wire::Control;

/// Above this a body is decoded on a thread that may block, so that other connections go on.
const DECODE_ASIDE: usize = 256 * 1024;

pub(crate) async fn receive(
    State(app): State<Arc<App>>,
    Extension(control): Extension<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let kind = text(header::CONTENT_TYPE.as_str()).to_ascii_lowercase();
    let encoding = if kind.contains("application/x-protobuf") {
        Encoding::Protobuf
    } else if kind.contains("application/json") {
        Encoding::Json
    } else {
        return Err(Problem::Otlp("Invalid content type".into()));
    };
    check_version(&headers)?;
    let packed = text(header::CONTENT_ENCODING.as_str()).contains("gzip");
    let sender = Sender {
        port: control.peer().port(),
        sdk_name: text("x-langfuse-sdk-name"),
        sdk_version: text("x-langfuse-sdk-version"),
        ingestion_version: text("x-langfuse-ingestion-version"),
        public_key: text("x-langfuse-public-key"),
        agent: text(header::USER_AGENT.as_str()),
    };
    let bytes = body.len();
    let limit = app.max_body;
    let work =
        move || decode(&body, encoding, packed, limit).and_then(|request| mapping::rows(request, &sender));
    let decoded = if bytes > DECODE_ASIDE {
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| Problem::Internal(format!("decoding: {error}")))?
    } else {
        work()
    };
    let observations = match decoded {
        Ok(observations) => observations,
        Err(Refusal::Otlp(text)) => return Err(Problem::Otlp(text)),
        Err(Refusal::TooLarge) => return Ok(too_large(limit)),
    };
    let empty = observations.is_empty();
    app.store.ingest(Ingest { project, bytes, observations, scores: Vec::new() }).await?;
    let job = if empty {
        json!({})
    } else {
        json!({"id": crate::keys::random_hex().ok(), "name": "otel-ingestion-job"})
    };
    Ok(json_answer(StatusCode::OK, &job))
}

/// `POST /api/public/otel/v1/metrics`: accepted and dropped, as on the real server.
pub(crate) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    auth::project(&app.keys, &headers, Need::Pair)?;
    Ok(json_answer(StatusCode::OK, &json!({"message": "OK"})))
}

/// The 413 for trace bodies.
pub(crate) fn too_large(limit: usize) -> Response {
    text_answer(StatusCode::PAYLOAD_TOO_LARGE, format!("Body exceeded {limit} bytes limit"))
}

/// Why a body was not taken; always all of it.
#[derive(Debug)]
pub(crate) enum Refusal {
    Otlp(String),
    TooLarge,
}

#[derive(Clone, Copy)]
enum Encoding {
    Protobuf,
    Json,
}

fn check_version(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get("x-langfuse-ingestion-version") else {
        return Ok(());
    };
    let text = value.to_str().unwrap_or_default();
    if text.trim().parse::<u64>().is_ok_and(|version| version <= 4) {
        return Ok(());
    }
    Err(Problem::Otlp(format!(
        r#"Unsupported x-langfuse-ingestion-version: "{text}". Maximum supported: "4"."#
    )))
}

fn decode(
    body: &[u8],
    encoding: Encoding,
    packed: bool,
    limit: usize,
) -> Result<ExportTraceServiceRequest, Refusal> {
    let unpacked;
    let plain = if packed {
        unpacked = gzip::unpack(body, limit).map_err(|why| match why {
            Unpack::Broken => Refusal::Otlp("Failed to decompress request body".into()),
            Unpack::TooLarge => Refusal::TooLarge,
        })?;
        unpacked.as_slice()
    } else {
        body
    };
    let request = match encoding {
        Encoding::Protobuf => ExportTraceServiceRequest::decode(plain)
            .map_err(|_| Refusal::Otlp("Failed to parse OTel Protobuf Trace".into()))?,
        Encoding::Json => crate::otlp_json::read(plain)
            .ok_or_else(|| Refusal::Otlp("Failed to parse OTel JSON Trace".into()))?,
    };
    validate(&request)?;
    Ok(request)
}

/// One span with a bad id refuses the whole export.
fn validate(request: &ExportTraceServiceRequest) -> Result<(), Refusal> {
    let spans = || request.resource_spans.iter().flat_map(|rs| &rs.scope_spans).flat_map(|ss| &ss.spans);
    let bad: Vec<String> = spans().filter_map(bad_id).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(Refusal::Otlp(format!(
        "Invalid OTLP trace export: {} of {} span(s) cannot be processed ({}). \
         The entire export was rejected and no spans were ingested.",
        bad.len(),
        spans().count(),
        bad.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ")
    )))
}

fn bad_id(span: &Span) -> Option<String> {
    let word = |name: &str, id: &[u8], wanted: usize| match id.len() {
        length if length == wanted && id.iter().any(|byte| *byte != 0) => None,
        length if length == wanted => Some(format!("{name}:zero")),
        0 => Some(format!("{name}:absent")),
        length => Some(format!("{name}:{length} bytes")),
    };
    let parent = (!span.parent_span_id.is_empty()).then_some(span.parent_span_id.as_slice());
    word("traceId", &span.trace_id, 16)
        .or_else(|| word("spanId", &span.span_id, 8))
        .or_else(|| parent.filter(|id| id.len() != 8).map(|id| format!("parentSpanId:{} bytes", id.len())))
}
