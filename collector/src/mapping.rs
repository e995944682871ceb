//! From an OTLP span to a row: which attribute becomes which column.
//!
//! The rules are those of the Langfuse v4 server for its direct path. Two deliberate differences: times keep their
//! nanoseconds, and the attributes, resource and scope that the server folds into the metadata have their own columns.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Map, Value, json};

use crate::attributes::{self, Attributes, as_text, first_text, flag, hex};
use crate::facets::{metadata, normalised, tags};
use crate::instant;
use crate::otlp::Refusal;
use crate::store::Observation;
use crate::usage;

/// Who sent a request, stored with each of its rows.
pub(crate) struct Sender {
    pub(crate) port: u16,
    pub(crate) sdk_name: String,
    pub(crate) sdk_version: String,
    pub(crate) ingestion_version: String,
    pub(crate) public_key: String,
    pub(crate) agent: String,
}

const USER: [&str; 5] = [
    "langfuse.user.id",
    "user.id",
    "langfuse.observation.metadata.langfuse_user_id",
    "langfuse.trace.metadata.langfuse_user_id",
    "ai.telemetry.metadata.userId",
];
const SESSION: [&str; 6] = [
    "langfuse.session.id",
    "session.id",
    "gen_ai.conversation.id",
    "langfuse.observation.metadata.langfuse_session_id",
    "langfuse.trace.metadata.langfuse_session_id",
    "ai.telemetry.metadata.sessionId",
];
const ENVIRONMENT: [&str; 3] =
    ["langfuse.environment", "deployment.environment.name", "deployment.environment"];
const NAME: [&str; 4] = ["gen_ai.tool.name", "genkit:name", "logfire.msg", "ai.toolCall.name"];
const MODEL: [&str; 7] = [
    "langfuse.observation.model.name",
    "gen_ai.response.model",
    "ai.model.id",
    "gen_ai.request.model",
    "llm.response.model",
    "llm.model_name",
    "model",
];
/// The first pair of which either is present gives both.
const INPUT_OUTPUT: [(&str, &str); 8] = [
    ("langfuse.observation.input", "langfuse.observation.output"),
    ("gcp.vertex.agent.llm_request", "gcp.vertex.agent.llm_response"),
    ("mlflow.spanInputs", "mlflow.spanOutputs"),
    ("traceloop.entity.input", "traceloop.entity.output"),
    ("input.value", "output.value"),
    ("input", "output"),
    ("gen_ai.input.messages", "gen_ai.output.messages"),
    ("gen_ai.tool.call.arguments", "gen_ai.tool.call.result"),
];
const TYPES: [&str; 10] = [
    "span",
    "generation",
    "event",
    "embedding",
    "agent",
    "tool",
    "chain",
    "retriever",
    "guardrail",
    "evaluator",
];

/// All spans of a request as rows.
pub(crate) fn rows(request: ExportTraceServiceRequest, sender: &Sender) -> Result<Vec<Observation>, Refusal> {
    let received_at = instant::now();
    let encodes_metadata = encodes_metadata(sender);
    let sdk = json!({"name": sender.sdk_name, "version": sender.sdk_version, "public_key": sender.public_key,
        "ingestion_version": sender.ingestion_version, "user_agent": sender.agent})
    .to_string();
    let mut rows = Vec::new();
    for group in request.resource_spans {
        let resource = group.resource.map(|resource| resource.attributes).unwrap_or_default();
        let resource = attributes::decode(resource).map_err(Refusal::Otlp)?;
        let resource_text = Value::Object(resource.clone()).to_string();
        for group in group.scope_spans {
            let scope = group.scope.unwrap_or_default();
            let own = attributes::decode(scope.attributes).map_err(Refusal::Otlp)?;
            let scope_text =
                json!({"name": scope.name, "version": scope.version, "attributes": own}).to_string();
            for span in group.spans {
                let mut row = row(span, &resource, encodes_metadata).map_err(Refusal::Otlp)?;
                row.resource.clone_from(&resource_text);
                row.scope.clone_from(&scope_text);
                row.sdk.clone_from(&sdk);
                row.client_port = sender.port;
                row.received_at = received_at;
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

/// The newest Langfuse SDKs write every metadata value as JSON, text included; the server decodes it for them.
fn encodes_metadata(sender: &Sender) -> bool {
    let major = sender.sdk_version.split('.').next().and_then(|major| major.parse::<u32>().ok()).unwrap_or(0);
    matches!((sender.sdk_name.as_str(), major), ("python", 5..) | ("javascript", 6..))
}

fn row(span: Span, resource: &Attributes, encodes_metadata: bool) -> Result<Observation, String> {
    let otel = otel(&span)?;
    let attributes = attributes::decode(span.attributes)?;
    let status = span.status.unwrap_or_default();
    let (start_ns, end_ns) = times(span.start_time_unix_nano, span.end_time_unix_nano);
    let (input, output) = input_output(&attributes);
    let parent = (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id));
    let agentic = matches!(text(&attributes, "gen_ai.operation.name"), Some("invoke_agent" | "agent_step"));
    let environment = first_text(&attributes, &ENVIRONMENT)
        .or_else(|| first_text(resource, &ENVIRONMENT))
        .unwrap_or_default();
    let json = |map: Option<Map<String, Value>>| map.map(|map| Value::Object(map).to_string());
    Ok(Observation {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        is_app_root: parent.is_none() || flag(&attributes, &["langfuse.internal.is_app_root"]),
        parent,
        name: first_text(&attributes, &NAME).unwrap_or(span.name),
        kind: kind(&attributes),
        level: level(&attributes, status.code),
        status_message: first_text(&attributes, &["langfuse.observation.status_message"])
            .or_else(|| (!status.message.is_empty()).then_some(status.message)),
        start_ns,
        end_ns,
        completion_start: first_text(&attributes, &["langfuse.observation.completion_start_time"])
            .map(|text| text.trim_matches('"').to_owned()),
        model: first_text(&attributes, &MODEL).filter(|_| !agentic),
        model_parameters: model_parameters(&attributes),
        input,
        output,
        usage: json(usage::usage(&attributes).filter(|_| !agentic)),
        cost: json(usage::cost(&attributes).filter(|_| !agentic)),
        metadata: metadata(&attributes, encodes_metadata).to_string(),
        prompt_name: first_text(&attributes, &["langfuse.observation.prompt.name", "langfuse.prompt.name"]),
        prompt_version: ["langfuse.observation.prompt.version", "langfuse.prompt.version"]
            .iter()
            .find_map(|key| attributes.get(*key)?.as_i64()),
        trace_name: first_text(&attributes, &["langfuse.trace.name"]),
        user: first_text(&attributes, &USER),
        session: first_text(&attributes, &SESSION),
        tags: tags(&attributes),
        public: flag(&attributes, &["langfuse.trace.public", "langfuse.public"]),
        environment: normalised(&environment),
        version: first_text(&attributes, &["langfuse.version"])
            .or_else(|| first_text(resource, &["service.version"])),
        release: first_text(&attributes, &["langfuse.release"])
            .or_else(|| first_text(resource, &["langfuse.release"])),
        attributes: Value::Object(attributes).to_string(),
        otel,
        ..Observation::default()
    })
}

fn text<'a>(attributes: &'a Attributes, key: &str) -> Option<&'a str> {
    attributes.get(key)?.as_str()
}

/// What has no column of its own but should not be lost: kind, status, events, links and the dropped counts.
fn otel(span: &Span) -> Result<String, String> {
    let mut events = Vec::with_capacity(span.events.len());
    for event in &span.events {
        let attributes = attributes::decode(event.attributes.clone())?;
        events.push(json!({"name": event.name, "time_ns": event.time_unix_nano, "attributes": attributes}));
    }
    let link = |link: &opentelemetry_proto::tonic::trace::v1::span::Link| json!({"trace_id": hex(&link.trace_id), "span_id": hex(&link.span_id)});
    let links: Vec<Value> = span.links.iter().map(link).collect();
    let status = span.status.as_ref().map(|status| json!({"code": status.code, "message": status.message}));
    Ok(json!({"kind": span.kind, "flags": span.flags, "trace_state": span.trace_state, "status": status,
        "events": events, "links": links, "dropped_attributes": span.dropped_attributes_count,
        "dropped_events": span.dropped_events_count, "dropped_links": span.dropped_links_count})
    .to_string())
}

/// A missing time is the other one; both missing is now.
fn times(start: u64, end: u64) -> (i64, i64) {
    let read = |nanos: u64| i64::try_from(nanos).ok().filter(|nanos| *nanos != 0);
    match (read(start), read(end)) {
        (Some(start), Some(end)) => (start, end),
        (Some(only), None) | (None, Some(only)) => (only, only),
        (None, None) => {
            let now = instant::now();
            (now, now)
        }
    }
}

fn input_output(attributes: &Attributes) -> (Option<String>, Option<String>) {
    let pair = INPUT_OUTPUT
        .iter()
        .find(|(input, output)| attributes.contains_key(*input) || attributes.contains_key(*output));
    pair.map_or((None, None), |(input, output)| {
        (attributes.get(*input).map(as_text), attributes.get(*output).map(as_text))
    })
}

fn kind(attributes: &Attributes) -> String {
    let own = text(attributes, "langfuse.observation.type").filter(|own| TYPES.contains(own));
    let open_inference = || {
        Some(match text(attributes, "openinference.span.kind")? {
            "LLM" => "generation",
            "CHAIN" => "chain",
            "RETRIEVER" => "retriever",
            "EMBEDDING" => "embedding",
            "AGENT" => "agent",
            "TOOL" => "tool",
            "GUARDRAIL" => "guardrail",
            "EVALUATOR" => "evaluator",
            _ => return None,
        })
    };
    let operation = || {
        Some(match text(attributes, "gen_ai.operation.name")? {
            "chat" | "completion" | "text_completion" | "generate_content" | "generate" => "generation",
            "embeddings" => "embedding",
            "invoke_agent" | "create_agent" => "agent",
            "execute_tool" => "tool",
            _ => return None,
        })
    };
    let has = |keys: &[&str]| keys.iter().any(|key| attributes.contains_key(*key));
    let fallback = || {
        if has(&["gen_ai.tool.name", "gen_ai.tool.call.id"]) {
            "tool"
        } else if has(&["langfuse.observation.model.name", "gen_ai.request.model", "gen_ai.response.model"])
            || has(&["llm.model_name", "model"])
        {
            "generation"
        } else {
            "span"
        }
    };
    own.or_else(open_inference).or_else(operation).unwrap_or_else(fallback).to_owned()
}

fn level(attributes: &Attributes, status: i32) -> &'static str {
    let own = text(attributes, "langfuse.observation.level").map(str::to_ascii_lowercase);
    match own.as_deref() {
        Some("debug" | "trace" | "verbose") => "DEBUG",
        Some("default" | "info" | "log" | "notice" | "ok" | "success") => "DEFAULT",
        Some("warning" | "warn") => "WARNING",
        Some("error" | "fatal" | "critical") => "ERROR",
        _ if status == 2 => "ERROR",
        _ => "DEFAULT",
    }
}

fn model_parameters(attributes: &Attributes) -> Option<String> {
    for key in ["langfuse.observation.model.parameters", "llm.invocation_parameters", "model_config"] {
        if let Some(parsed @ Value::Object(_)) =
            text(attributes, key).and_then(|text| serde_json::from_str(text).ok())
        {
            return Some(Value::to_string(&parsed));
        }
    }
    let flat: Map<String, Value> = attributes
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("gen_ai.request.")?.to_owned(), value.clone())))
        .filter(|(key, _)| key != "model")
        .collect();
    (!flat.is_empty()).then(|| Value::Object(flat).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_type_is_a_span_unless_a_model_says_otherwise() {
        let of = |pairs: &[(&str, &str)]| {
            kind(&pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect())
        };
        assert_eq!(of(&[("langfuse.observation.type", "GENERATION")]), "span");
        assert_eq!(of(&[("langfuse.observation.type", "span"), ("model", "m")]), "span");
        assert_eq!(of(&[("gen_ai.operation.name", "chat")]), "generation");
        assert_eq!(of(&[("gen_ai.request.model", "m")]), "generation");
    }
}
