//! Observations in other dialects, from the call to the bytes that go out, read back field by field.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use prost::Message as _;

use super::dialect::Dialect;
use super::otlp::{Envelope, Value};
use crate::attr::{Field, Level, ObservationType};
use crate::config::{ClientOptions, Limits};
use crate::pipeline::Command;
use crate::process::{Clock, Process};
use crate::propagate::{Propagated, Propagation};
use crate::score::ScoreInput;
use crate::transport::Now;
use crate::{Client, Observation, Raised, Start};

const SECOND: u64 = 1_000_000_000;

struct Still;

impl Clock for Still {
    fn now(&self) -> Now {
        Now { mono: SECOND, unix: 1_767_323_050 * SECOND }
    }
}

fn home() -> Arc<Process> {
    static HOME: OnceLock<Arc<Process>> = OnceLock::new();
    let envelope = || Envelope::new(&[("service.name".into(), "process".into())], "langfuse", "1");
    HOME.get_or_init(|| Process::new(Limits::default(), envelope(), Box::new(Still))).clone()
}

/// The inbox is one for all tests of this file.
static TURN: Mutex<()> = Mutex::new(());

/// A span as a backend reads it.
#[derive(Debug)]
struct Span {
    name: String,
    kind: i32,
    attributes: BTreeMap<String, String>,
    events: Vec<(String, BTreeMap<String, String>)>,
    status: Option<(i32, String)>,
}

impl Span {
    fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

/// Attributes with their types: `i:1`, `d:0.5`, `b:true`, `["a"]`, and text as it is.
fn pairs(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    fn text(value: &AnyValue) -> String {
        match value.value.as_ref().unwrap() {
            Any::StringValue(text) => text.clone(),
            Any::BoolValue(flag) => format!("b:{flag}"),
            Any::IntValue(number) => format!("i:{number}"),
            Any::DoubleValue(number) => format!("d:{number}"),
            Any::ArrayValue(list) => format!("{:?}", list.values.iter().map(text).collect::<Vec<_>>()),
            other => panic!("{other:?} is nothing that every backend reads"),
        }
    }
    let mut found = BTreeMap::new();
    for pair in pairs {
        assert!(!pair.key.is_empty());
        let before = found.insert(pair.key.clone(), text(pair.value.as_ref().unwrap()));
        assert!(before.is_none(), "{} is there twice", pair.key);
    }
    found
}

/// Reads a span with another's decoder. What is not in the protocol would be gone on the way back.
fn read(payload: &[u8]) -> Span {
    let spans = ScopeSpans::decode(payload).unwrap().spans;
    let [span] = &spans[..] else { panic!("{} spans", spans.len()) };
    assert_eq!(span.encoded_len(), span_len(payload));
    assert_eq!((span.trace_id.len(), span.span_id.len(), span.parent_span_id.len()), (16, 8, 0));
    assert!(span.start_time_unix_nano <= span.end_time_unix_nano && !span.name.is_empty());
    Span {
        name: span.name.clone(),
        kind: span.kind,
        attributes: pairs(&span.attributes),
        events: span.events.iter().map(|event| (event.name.clone(), pairs(&event.attributes))).collect(),
        status: span.status.as_ref().map(|status| (status.code, status.message.clone())),
    }
}

/// The span's bytes, without its tag and length.
fn span_len(payload: &[u8]) -> usize {
    let mut rest = &payload[1..];
    prost::decode_length_delimiter(&mut rest).unwrap()
}

fn client(dialect: Dialect) -> Client {
    let options = ClientOptions {
        otlp_endpoint: Some("http://127.0.0.1:9".into()),
        dialect: Some(dialect),
        environment: Some("staging".into()),
        release: Some("v7".into()),
        ..ClientOptions::default()
    };
    Client::open(options, &|_| None, home)
}

/// What an observation becomes.
fn traced(dialect: Dialect, kind: ObservationType, run: impl FnOnce(&Observation)) -> Span {
    traced_in(dialect, kind, None, run)
}

fn traced_in(
    dialect: Dialect,
    kind: ObservationType,
    propagated: Option<&Propagated>,
    run: impl FnOnce(&Observation),
) -> Span {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let client = client(dialect);
    let start = Start {
        name: "step",
        kind,
        parent: None,
        trace_context: None,
        propagated,
        values: None,
        start_time: Some(1_767_323_045 * SECOND),
    };
    let observation = client.start(&start);
    run(&observation);
    observation.end(None);
    let mut last = None;
    while let Ok(command) = home().inbox().try_recv() {
        if let Command::Submit { item, .. } = command {
            last = Some(read(&item.payload));
        }
    }
    last.unwrap()
}

fn set(field: Field, text: &str) -> impl Fn(&Observation) + '_ {
    move |observation| observation.set(field, Value::Str(text))
}

use ObservationType::{Agent, Chain, Embedding, Event, Generation, Retriever, Tool};
const OI: Dialect = Dialect::OpenInference;
const GA: Dialect = Dialect::GenAi;

#[test]
fn kinds_have_their_words() {
    for kind in ObservationType::ALL {
        let (oi, ga) = (traced(OI, kind, |_| ()), traced(GA, kind, |_| ()));
        let word = kind.as_str();
        assert_eq!((oi.get("tracespool.type"), ga.get("tracespool.type")), (word, word));
        let (expected, operation) = match kind {
            Generation => ("LLM", "chat"),
            Embedding => ("EMBEDDING", "embeddings"),
            Agent => ("AGENT", "invoke_agent"),
            Tool => ("TOOL", "execute_tool"),
            Retriever => ("RETRIEVER", "retrieval"),
            ObservationType::Evaluator => ("EVALUATOR", ""),
            ObservationType::Guardrail => ("GUARDRAIL", ""),
            Chain | Event | ObservationType::Span => ("CHAIN", ""),
        };
        assert_eq!(
            (oi.get("openinference.span.kind"), ga.get("gen_ai.operation.name")),
            (expected, operation)
        );
        assert_eq!(
            (oi.kind, ga.kind),
            (1, if matches!(kind, Generation | Embedding | Retriever) { 3 } else { 1 })
        );
        assert!(!format!("{oi:?}{ga:?}").contains("langfuse"));
    }
    assert_eq!(traced(OI, Agent, |_| ()).get("agent.name"), "step");
    assert_eq!(traced(OI, Tool, |_| ()).get("tool.name"), "step");
    let renamed = traced(GA, Tool, |observation| observation.set_name("hammer"));
    assert_eq!((renamed.name.as_str(), renamed.get("gen_ai.tool.name")), ("hammer", "hammer"));
}

#[test]
fn handles_and_scopes_stamp_their_attributes() {
    let mut scope = Propagated::default();
    scope.set(Field::UserId, "u").unwrap();
    scope.set(Field::SessionId, "s").unwrap();
    scope.set(Field::TraceName, "t").unwrap();
    scope.add_tags(vec!["a".into(), "b".into()]).unwrap();
    scope.set_prompt("p", 3).unwrap();
    scope.add_metadata("k", Propagation::Int(1)).unwrap();
    let (oi, ga) = (traced_in(OI, Chain, Some(&scope), |_| ()), traced_in(GA, Chain, Some(&scope), |_| ()));
    for span in [&oi, &ga] {
        assert_eq!(
            (span.get("user.id"), span.get("session.id"), span.get("tracespool.trace.name")),
            ("u", "s", "t")
        );
        assert_eq!((span.get("deployment.environment.name"), span.get("service.version")), ("staging", "v7"));
    }
    assert_eq!(ga.get("gen_ai.conversation.id"), "s");
    assert_eq!((oi.get("tag.tags"), ga.get("tracespool.trace.tags")), (r#"["a", "b"]"#, r#"["a", "b"]"#));
    assert_eq!((oi.get("prompt.id"), oi.get("llm.prompt_template.version")), ("p", "3"));
    assert_eq!((ga.get("gen_ai.prompt.name"), ga.get("tracespool.prompt.version")), ("p", "i:3"));
    assert_eq!((oi.get("metadata"), ga.get("tracespool.trace.metadata.k")), (r#"{"k":1}"#, "i:1"));
}

#[test]
fn metadata_merges_by_key_and_loses_nothing() {
    let mut scope = Propagated::default();
    scope.add_metadata("both", Propagation::Str("trace".into())).unwrap();
    let run = |observation: &Observation| {
        observation.set_metadata("a", Value::Int(1));
        observation.set_metadata("quo\"te", Value::Str("te\"xt"));
        observation.set_metadata("object", Value::Str(r#"{"z":1,"a":[1.50]}"#));
        observation.set_metadata("a", Value::Double(f64::NAN));
        observation.set_metadata("flag", Value::Bool(true));
        observation.set_metadata("both", Value::Str("own"));
        for turn in 0..500 {
            observation.set_metadata("loop", Value::Str(&format!("{turn:0100}")));
        }
        observation.set(Field::Metadata, Value::Str("loose"));
    };
    let oi = traced_in(OI, Chain, Some(&scope), run);
    let said: serde_json::Value = serde_json::from_str(oi.get("metadata")).unwrap();
    assert_eq!(
        (said["a"].as_str(), said["quo\"te"].as_str(), said["flag"].as_bool()),
        (Some("NaN"), Some("te\"xt"), Some(true))
    );
    assert_eq!(
        (said["both"].as_str(), said["loop"].as_str()),
        (Some("own"), Some(&*format!("{:0100}", 499)))
    );
    assert!(oi.get("metadata").contains(r#""object":{"z":1,"a":[1.50]}"#));
    assert_eq!(
        (oi.get("tracespool.trace.metadata.both"), oi.get("tracespool.metadata")),
        ("\"trace\"", "loose")
    );
    let ga = traced_in(GA, Chain, Some(&scope), run);
    assert_eq!((ga.get("tracespool.metadata.a"), ga.get("tracespool.metadata.both")), ("NaN", "own"));
    assert_eq!((ga.get("tracespool.trace.metadata.both"), ga.get("tracespool.metadata")), ("trace", "loose"));
}

#[test]
fn inputs_say_what_they_are() {
    for (given, mime) in [
        ("plain", "text/plain"),
        (r#"{"a":1}"#, "application/json"),
        ("[1]", "application/json"),
        ("{x", "text/plain"),
    ] {
        let span = traced(OI, Chain, set(Field::Input, given));
        assert_eq!((span.get("input.value"), span.get("input.mime_type")), (given, mime));
        let span = traced(OI, Chain, set(Field::Output, given));
        assert_eq!((span.get("output.value"), span.get("output.mime_type")), (given, mime));
        assert_eq!(traced(GA, Chain, set(Field::Input, given)).get("tracespool.input"), given);
        assert_eq!(traced(GA, Chain, set(Field::Output, given)).get("tracespool.output"), given);
    }
}

const CHAT: &str = r#"[{"role":"system","content":"be kind"},{"role":"user","name":"ann","content":[{"type":"text","text":"look"},
{"type":"image_url","image_url":{"url":"http://i/1.png"}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",
"function":{"name":"add","arguments":"{\"b\": 2, \"a\": 1}"}}]},{"role":"tool","tool_call_id":"c1","content":"3"}]"#;

#[test]
fn openinference_flattens_messages() {
    let span = traced(OI, Generation, set(Field::Input, CHAT));
    let get = |key: &str| span.get(&format!("llm.input_messages.{key}"));
    assert_eq!(span.get("input.value"), CHAT);
    assert_eq!((get("0.message.role"), get("0.message.content")), ("system", "be kind"));
    assert_eq!((get("1.message.name"), get("1.message.contents.0.message_content.text")), ("ann", "look"));
    assert_eq!(get("1.message.contents.1.message_content.type"), "image");
    assert_eq!(get("1.message.contents.1.message_content.image.image.url"), "http://i/1.png");
    assert_eq!(get("2.message.tool_calls.0.tool_call.function.name"), "add");
    assert_eq!(get("2.message.tool_calls.0.tool_call.function.arguments"), r#"{"b": 2, "a": 1}"#);
    assert_eq!((get("3.message.tool_call_id"), get("3.message.content")), ("c1", "3"));
    // Only a model's input is a conversation.
    assert_eq!(traced(OI, Agent, set(Field::Input, CHAT)).get("llm.input_messages.0.message.role"), "");
    let output = r#"{"role":"assistant","content":"yes"}"#;
    let span = traced(OI, Generation, set(Field::Output, output));
    assert_eq!(span.get("llm.output_messages.0.message.content"), "yes");
    let tools = r#"{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]}"#;
    assert_eq!(
        traced(OI, Generation, set(Field::Input, tools)).get("llm.tools.0.tool.json_schema"),
        r#"{"type":"function"}"#
    );
}

#[test]
fn gen_ai_writes_messages_in_its_schema() {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let span = traced(GA, Generation, set(Field::Input, CHAT));
    let said = json(span.get("gen_ai.input.messages"));
    assert_eq!(said[0], json(r#"{"role":"system","parts":[{"type":"text","content":"be kind"}]}"#));
    assert_eq!(said[1]["name"], "ann");
    assert_eq!(said[1]["parts"][1], json(r#"{"type":"uri","modality":"image","uri":"http://i/1.png"}"#));
    assert_eq!(
        said[2]["parts"],
        json(r#"[{"type":"tool_call","id":"c1","name":"add","arguments":{"b":2,"a":1}}]"#)
    );
    assert_eq!(said[3]["parts"], json(r#"[{"type":"tool_call_response","id":"c1","response":"3"}]"#));
    let answer = r#"{"id":"r1","model":"m-2","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"y"}}],"usage":{}}"#;
    let span = traced(GA, Generation, set(Field::Output, answer));
    assert_eq!(
        json(span.get("gen_ai.output.messages")),
        json(r#"[{"role":"assistant","parts":[{"type":"text","content":"y"}],"finish_reason":"stop"}]"#)
    );
    assert_eq!((span.get("gen_ai.response.model"), span.get("gen_ai.response.id")), ("m-2", "r1"));
    assert_eq!(
        (span.get("gen_ai.response.finish_reasons"), span.get("tracespool.output")),
        (r#"["stop"]"#, answer)
    );
    let span = traced(GA, Agent, |observation| {
        observation.set(Field::Input, Value::Str("hi \"you\""));
        observation.set(Field::Output, Value::Str(r#"{"price":1}"#));
    });
    assert_eq!(
        json(span.get("gen_ai.input.messages")),
        json(r#"[{"role":"user","parts":[{"type":"text","content":"hi \"you\""}]}]"#)
    );
    assert_eq!(json(span.get("gen_ai.output.messages"))[0]["parts"][0]["content"], r#"{"price":1}"#);
    assert_eq!(span.get("gen_ai.agent.name"), "step");
    let image = r#"[{"role":"user","content":[{"type":"image_url","image_url":"data:image/png;base64,AAAA"},{"odd":1}]}]"#;
    let said = json(traced(GA, Generation, set(Field::Input, image)).get("gen_ai.input.messages"));
    assert_eq!(
        said[0]["parts"][0],
        json(r#"{"type":"blob","modality":"image","mime_type":"image/png","content":"AAAA"}"#)
    );
    assert_eq!(said[0]["parts"][1], json(r#"{"type":"json","content":{"odd":1}}"#));
}

#[test]
fn tools_and_retrievals_have_fields_of_their_own() {
    let documents = r#"[{"id":"d1","text":"one","score":0.5,"title":"T","n":1.50},{"page_content":"two"}]"#;
    let oi = traced(OI, Retriever, set(Field::Output, documents));
    let get = |key: &str| oi.get(&format!("retrieval.documents.{key}"));
    assert_eq!(
        (get("0.document.id"), get("0.document.content"), get("0.document.score")),
        ("d1", "one", "d:0.5")
    );
    assert_eq!((get("0.document.metadata"), get("1.document.content")), (r#"{"title":"T","n":1.50}"#, "two"));
    assert_eq!(
        traced(OI, Retriever, set(Field::Output, r#"["a"]"#)).get("retrieval.documents.0.document.content"),
        "a"
    );
    let ga = traced(GA, Retriever, |observation| {
        observation.set(Field::Input, Value::Str("why"));
        observation.set(Field::Output, Value::Str(documents));
    });
    assert_eq!(
        (ga.get("gen_ai.retrieval.query.text"), ga.get("gen_ai.retrieval.documents")),
        ("why", documents)
    );
    let ga = traced(GA, Retriever, |observation| {
        observation.set(Field::Input, Value::Str(r#"{"query":"why","k":3}"#));
        observation.set(Field::Output, Value::Str(r#"["a"]"#));
    });
    assert_eq!(
        (ga.get("gen_ai.retrieval.query.text"), ga.get("tracespool.input")),
        ("why", r#"{"query":"why","k":3}"#)
    );
    assert_eq!(ga.get("tracespool.output"), r#"["a"]"#);
    let ga = traced(GA, Tool, |observation| {
        observation.set(Field::Input, Value::Str(r#"{"a":1}"#));
        observation.set(Field::Output, Value::Str("done"));
    });
    assert_eq!(
        (ga.get("gen_ai.tool.call.arguments"), ga.get("gen_ai.tool.call.result")),
        (r#"{"a":1}"#, "done")
    );
    let oi = traced(OI, Embedding, |observation| {
        observation.set(Field::Input, Value::Str(r#"["x","y"]"#));
        observation.set(Field::Model, Value::Str("text-embedding-3-small"));
    });
    assert_eq!(
        (oi.get("embedding.embeddings.1.embedding.text"), oi.get("embedding.model_name")),
        ("y", "text-embedding-3-small")
    );
}

#[test]
fn models_parameters_and_numbers() {
    let run = |observation: &Observation| {
        observation.set(Field::Model, Value::Str("azure/gpt-4o"));
        observation.set(
            Field::ModelParameters,
            Value::Str(r#"{"temperature":0,"max_tokens":256,"max_completion_tokens":9,"stop":["a"],"stream":true,"seed":"x","tools":[1],"gone":null}"#),
        );
        observation.set(
            Field::UsageDetails,
            Value::Str(r#"{"input":10,"prompt_tokens":11,"output":5.0,"total":15,"input_cached_tokens":4,"completion_tokens_details":{"reasoning_tokens":2,"odd":1},"images":3}"#),
        );
        observation.set(Field::CostDetails, Value::Str(r#"{"input":0.5,"total":1,"tax":0.1}"#));
        observation.set(Field::CompletionStartTime, Value::Str("\"2026-01-02T03:04:06.500000Z\""));
    };
    let oi = traced(OI, Generation, run);
    assert_eq!(
        (oi.get("llm.model_name"), oi.get("llm.provider"), oi.get("llm.system")),
        ("azure/gpt-4o", "azure", "openai")
    );
    assert!(oi.get("llm.invocation_parameters").contains("\"seed\":\"x\""));
    let counts =
        ["prompt", "completion", "total", "prompt_details.cache_read", "completion_details.reasoning"]
            .map(|key| oi.get(&format!("llm.token_count.{key}")).to_owned());
    assert_eq!(counts, ["i:10", "i:5", "i:15", "i:4", "i:2"]);
    assert_eq!(
        (oi.get("tracespool.usage.prompt_tokens"), oi.get("tracespool.usage.images")),
        ("i:11", "i:3")
    );
    assert_eq!(oi.get("tracespool.usage.completion_tokens_details.odd"), "i:1");
    assert_eq!(
        (oi.get("llm.cost.prompt"), oi.get("llm.cost.total"), oi.get("tracespool.cost.tax")),
        ("d:0.5", "d:1", "d:0.1")
    );
    let ga = traced(GA, Generation, run);
    assert_eq!(
        (ga.get("gen_ai.request.model"), ga.get("gen_ai.provider.name")),
        ("azure/gpt-4o", "azure.ai.openai")
    );
    let requests = ["temperature", "max_tokens", "stop_sequences", "stream"]
        .map(|key| ga.get(&format!("gen_ai.request.{key}")).to_owned());
    assert_eq!(requests, ["d:0", "i:256", r#"["a"]"#, "b:true"]);
    let others = ["max_completion_tokens", "seed", "tools", "gone"]
        .map(|key| ga.get(&format!("tracespool.model_parameters.{key}")).to_owned());
    assert_eq!(others, ["i:9", "x", "[1]", ""]);
    let counts = ["input_tokens", "output_tokens", "cache_read.input_tokens", "reasoning.output_tokens"]
        .map(|key| ga.get(&format!("gen_ai.usage.{key}")).to_owned());
    assert_eq!(counts, ["i:10", "i:5", "i:4", "i:2"]);
    assert_eq!((ga.get("tracespool.usage.total"), ga.get("tracespool.cost.input")), ("i:15", "d:0.5"));
    assert_eq!(ga.get("gen_ai.response.time_to_first_chunk"), "d:1.5");
    assert_eq!(ga.get("tracespool.completion_start_time"), "2026-01-02T03:04:06.500000Z");
}

#[test]
fn a_field_replaces_all_that_it_was() {
    for dialect in [OI, GA] {
        let span = traced(dialect, Generation, |observation| {
            for _ in 0..200 {
                set(Field::Input, CHAT)(observation);
                set(Field::UsageDetails, r#"{"input":1,"images":2}"#)(observation);
            }
            set(Field::Input, r#"[{"role":"user","content":"last"}]"#)(observation);
            set(Field::UsageDetails, r#"{"output":1}"#)(observation);
        });
        let text = format!("{span:?}");
        assert!(text.contains("last") && !text.contains("be kind") && !text.contains("images"), "{text}");
    }
}

#[test]
fn errors_have_a_status_a_type_and_an_event() {
    for dialect in [OI, GA] {
        let span = traced(dialect, Tool, |observation| {
            observation.record_exception("first", &Raised { kind: "KeyError", message: "first", stack: "" });
            let stack = &format!("{}é\nValueError: bad", "x".repeat(70_000));
            observation.record_exception("bad", &Raised { kind: "ValueError", message: "bad", stack });
        });
        assert_eq!(span.status, Some((2, "bad".into())));
        assert_eq!((span.get("error.type"), span.get("tracespool.level")), ("ValueError", "ERROR"));
        assert_eq!(span.get("tracespool.status_message"), "bad");
        let [(name, event)] = &span.events[..] else { panic!("{:?}", span.events) };
        assert_eq!(
            (name.as_str(), &*event["exception.type"], &*event["exception.message"]),
            ("exception", "ValueError", "bad")
        );
        let stack = &event["exception.stacktrace"];
        assert!(stack.len() <= 16 * 1024 && stack.ends_with("ValueError: bad"));
        let span = traced(dialect, Tool, |observation| {
            observation.set_level(Level::Error);
            observation.set_status_message("untyped");
        });
        assert_eq!((span.get("error.type"), span.status.clone()), ("_OTHER", Some((2, "untyped".into()))));
        let span = traced(dialect, Tool, |observation| observation.set_level(Level::Warning));
        assert_eq!(
            (span.get("error.type"), span.get("tracespool.level"), span.status.clone()),
            ("", "WARNING", None)
        );
    }
}

#[test]
fn what_is_too_large_is_cut_and_not_doubled() {
    let long = format!(r#"[{{"role":"user","content":"{}"}}]"#, "x".repeat(2_000_000));
    let span = traced(OI, Generation, set(Field::Input, &long));
    assert_eq!(
        (span.get("input.value").len(), span.get("llm.input_messages.0.message.role")),
        (long.len(), "")
    );
    let huge = "y".repeat(10_000_000);
    for dialect in [OI, GA] {
        let span = traced(dialect, Chain, set(Field::Input, &huge));
        let said = span.get(if dialect == OI { "input.value" } else { "tracespool.input" });
        assert!(said.len() < 9_100_000 && said.contains("[truncated "));
    }
}

#[test]
fn langfuse_attributes_may_go_to_any_endpoint() {
    let span = traced(Dialect::Langfuse, Generation, set(Field::Input, CHAT));
    assert_eq!(span.get("langfuse.observation.input"), CHAT);
    assert_eq!(span.get("langfuse.observation.type"), "generation");
}

#[test]
fn scores_are_counted_and_told() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let client = client(GA);
    let before = client.tally(crate::report::Lane::Scores);
    client.score(ScoreInput { name: "s".into(), ..ScoreInput::default() }).unwrap();
    let after = client.tally(crate::report::Lane::Scores);
    assert_eq!(after.submitted - before.submitted, 1);
    assert_eq!(after.pending, 0);
    let notices = home().shared().notices.take(u64::MAX, true);
    let told =
        notices.iter().find(|notice| notice.message.starts_with("scores need a Langfuse server")).unwrap();
    assert!(told.message.contains("http://127.0.0.1:9/v1/traces") && told.message.contains("public_key"));
}
