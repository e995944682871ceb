//! What arrives over OTLP lands in the right columns, or is refused as the Langfuse server refuses it.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Status;
use serde_json::{Value, json};
use support::{Collector, PROTOBUF, START, TRACES, any, gzip, request, span, text};

fn only(collector: &Collector) -> Value {
    let list = collector.json("/api/v1/observations?project=alpha");
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    list["data"][0].clone()
}

#[test]
fn what_the_langfuse_sdk_sends_lands_in_its_columns() {
    let collector = Collector::start();
    let tags = ["prod", "eu"].map(|tag| Any::StringValue(tag.into()));
    let tags =
        tags.into_iter().map(|tag| opentelemetry_proto::tonic::common::v1::AnyValue { value: Some(tag) });
    let mut sent = span(
        1,
        vec![
            any("langfuse.internal.is_app_root", Any::BoolValue(true)),
            text("langfuse.observation.type", "generation"),
            text("langfuse.observation.input", r#"[{"role": "user", "content": "hi"}]"#),
            text("langfuse.observation.output", "yo"),
            text("langfuse.observation.model.name", "gpt-5.6"),
            text("langfuse.observation.model.parameters", r#"{"temperature": 0.7}"#),
            text("langfuse.observation.prompt.name", "greet"),
            any("langfuse.observation.prompt.version", Any::IntValue(3)),
            text("langfuse.observation.usage_details", r#"{"input": 10, "output": 5, "cached": 2}"#),
            text("langfuse.observation.cost_details", r#"{"input": 0.001, "total": 0.003}"#),
            text("langfuse.observation.metadata.nested", r#"{"x":[1]}"#),
            text("langfuse.observation.metadata.text", r#""plain""#),
            text("langfuse.observation.metadata.number", "7"),
            text("langfuse.trace.name", "chat"),
            any("langfuse.trace.tags", Any::ArrayValue(ArrayValue { values: tags.collect() })),
            text("user.id", "anna"),
            text("session.id", "s-1"),
            text("langfuse.environment", "PROD"),
            text("langfuse.release", "r1"),
            text("langfuse.version", "v1"),
        ],
    );
    sent.parent_span_id = vec![9; 8];
    let sdk = [
        PROTOBUF[0],
        ("content-encoding", "gzip"),
        ("x-langfuse-sdk-name", "python"),
        ("x-langfuse-sdk-version", "5.0.4"),
        ("x-langfuse-ingestion-version", "4"),
    ];
    let answer = collector.post(TRACES, "pk-a", &sdk, &gzip(&request(vec![sent])));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));

    let row = only(&collector);
    let expected = json!({
        "project": "alpha", "trace_id": "01".repeat(16), "span_id": "01".repeat(8), "parent": "09".repeat(8),
        "name": "span 1", "type": "generation", "level": "DEFAULT", "start_ns": START, "end_ns": START + 1_000_000,
        "input": r#"[{"role": "user", "content": "hi"}]"#, "output": "yo", "model": "gpt-5.6",
        "model_parameters": {"temperature": 0.7}, "prompt_name": "greet", "prompt_version": 3,
        "usage": {"input": 10, "output": 5, "cached": 2, "total": 17}, "cost": {"input": 0.001, "total": 0.003},
        "metadata": {"nested": {"x": [1]}, "text": "plain", "number": 7}, "trace_name": "chat", "user": "anna",
        "session": "s-1", "tags": ["prod", "eu"], "environment": "prod", "release": "r1", "version": "v1",
        "is_app_root": true, "received": 1,
    });
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&row[column], value, "{column}");
    }
    assert_eq!(row["sdk"]["ingestion_version"], "4");
    assert!(row["client_port"].as_u64().unwrap() > 0);

    let trace = &collector.json("/api/v1/traces")["data"][0];
    assert_eq!(
        (&trace["name"], &trace["tokens"], &trace["user"]),
        (&json!("chat"), &json!(17), &json!("anna"))
    );
}

#[test]
fn other_senders_keep_their_metadata_as_text_and_errors_come_from_the_status() {
    let collector = Collector::start();
    let mut sent =
        span(1, vec![text("langfuse.observation.metadata.n", "7"), text("gen_ai.request.model", "m")]);
    sent.status = Some(Status { message: "broke".into(), code: 2 });
    assert_eq!(collector.post_spans(vec![sent]).status, 200);
    let row = only(&collector);
    assert_eq!((&row["metadata"], &row["type"]), (&json!({"n": "7"}), &json!("generation")));
    assert_eq!((&row["level"], &row["status_message"]), (&json!("ERROR"), &json!("broke")));
    assert_eq!(collector.json("/api/v1/traces?errors=1")["data"].as_array().unwrap().len(), 1);
    assert_eq!(collector.json("/api/v1/traces?text=BROKE")["data"].as_array().unwrap().len(), 1);
    assert_eq!(collector.json("/api/v1/traces?text=other")["data"].as_array().unwrap().len(), 0);
}

#[test]
fn json_is_taken_with_hex_ids() {
    let collector = Collector::start();
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": "0123456789abcdef0123456789ABCDEF", "spanId": "0123456789abcdef", "name": "j", "kind": 1,
        "startTimeUnixNano": "1795246786306495886", "endTimeUnixNano": 1_795_246_786_306_495_887_u64,
        "attributes": [{"key": "n", "value": {"intValue": "9007199254740993"}}]}]}]}]});
    assert_eq!(collector.post_json(TRACES, &body).status, 200);
    let row = only(&collector);
    assert_eq!(row["trace_id"], "0123456789abcdef0123456789abcdef");
    assert_eq!(row["attributes"], json!({"n": 9_007_199_254_740_993_i64}));
    assert_eq!(row["end_ns"], 1_795_246_786_306_495_887_u64);
    assert_eq!(collector.post_json(TRACES, &json!({"resource_spans": [1]})).text(), "{}");
}

#[test]
fn a_resent_span_replaces_its_row_and_is_counted() {
    let collector = Collector::start();
    for output in ["first", "second", "third"] {
        collector.post_spans(vec![span(1, vec![text("langfuse.observation.output", output)])]);
    }
    let row = only(&collector);
    assert_eq!((&row["output"], &row["received"]), (&json!("third"), &json!(3)));
    let counts = collector.json("/api/v1/counts?project=alpha");
    assert_eq!((&counts["observations"], &counts["duplicates_observations"]), (&json!(1), &json!(2)));
    assert_eq!(counts["requests"], 3);
}

#[test]
fn malformed_exports_are_refused_whole() {
    let collector =
        Collector::start_with(&["--key", &format!("pk-a:{}", support::SECRET), "--max-body", "100000"]);
    let good = request(vec![span(1, vec![])]);
    let refused = |headers: &[(&str, &str)], body: &[u8], words: &str| {
        let answer = collector.post(TRACES, "pk-a", headers, body);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.json()["error"].as_str().unwrap().contains(words), "{}", answer.text());
    };
    refused(&[("content-type", "application/protobuf")], &good, "Invalid content type");
    refused(&[PROTOBUF[0], ("content-encoding", "gzip")], &good, "Failed to decompress");
    refused(PROTOBUF, b"\xff\xff\xff", "Failed to parse OTel Protobuf");
    refused(&[("content-type", "application/json")], b"{", "Failed to parse OTel JSON");
    refused(&[PROTOBUF[0], ("x-langfuse-ingestion-version", "5")], &good, "Maximum supported: \"4\"");
    refused(&[PROTOBUF[0], ("x-langfuse-ingestion-version", "four")], &good, "Unsupported");
    let mut short = span(2, vec![]);
    short.trace_id.pop();
    refused(PROTOBUF, &request(vec![span(1, vec![]), short]), "1 of 2 span(s)");
    let mut absent = span(2, vec![]);
    absent.span_id.clear();
    refused(PROTOBUF, &request(vec![absent]), "spanId:absent");
    let empty = KeyValue { key: "hollow".into(), value: None, ..KeyValue::default() };
    refused(PROTOBUF, &request(vec![span(1, vec![empty])]), "hollow");

    let large = request(vec![span(3, vec![text("x", &"x".repeat(200_000))])]);
    assert_eq!(collector.post(TRACES, "pk-a", PROTOBUF, &large).status, 413);
    let bomb = [PROTOBUF[0], ("content-encoding", "gzip")];
    assert_eq!(collector.post(TRACES, "pk-a", &bomb, &gzip(&large)).status, 413);
    assert_eq!(collector.json("/api/v1/counts")["observations"], 0);
}

#[test]
fn script_in_a_trace_stays_data() {
    let collector = Collector::start();
    let script = "<script>alert(1)</script>\u{0}\u{202e}";
    collector.post_spans(vec![span(1, vec![text("langfuse.observation.input", script)])]);
    let answer = collector.get("/api/v1/observations");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.json()["data"][0]["input"], script);
    let page = collector.get("/");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
    for file in ["/", "/app.js", "/trace.js"] {
        let source = collector.get(file).text();
        for hole in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!source.contains(hole), "{file}: {hole}");
        }
    }
}

#[test]
fn lists_are_paged() {
    let collector = Collector::start();
    collector.post_spans((1..=5).map(|number| span(number, vec![])).collect());
    for list in ["traces", "observations"] {
        let (mut seen, mut cursor) = (0, String::new());
        for _ in 0..3 {
            let page = collector.json(&format!("/api/v1/{list}?limit=2&cursor={cursor}"));
            seen += page["data"].as_array().unwrap().len();
            cursor = page["next"].as_str().map_or_else(|| page["next"].to_string(), str::to_owned);
        }
        assert_eq!((seen, cursor.as_str()), (5, "null"), "{list}");
    }
}

#[test]
fn data_survives_a_restart() {
    let collector = Collector::start();
    collector.post_spans(vec![span(1, vec![])]);
    let begun = std::time::Instant::now();
    let (code, data) = collector.stop();
    assert_eq!(code, Some(0));
    assert!(begun.elapsed() < std::time::Duration::from_secs(2));
    let again = Collector::start_in(data, &["--any-key"]);
    assert_eq!(again.json("/api/v1/counts?project=alpha")["observations"], 1);
}

#[test]
fn a_trace_is_found_by_its_id_alone() {
    let collector = Collector::start();
    let sent = span(1, vec![text("langfuse.observation.type", "span")]);
    let id: String = sent.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    collector.post(TRACES, "pk-a", PROTOBUF, &request(vec![sent]));
    let found = collector.get(&format!("/trace/{id}"));
    assert_eq!((found.status, found.header("location")), (303, Some(&*format!("/#/trace/alpha/{id}"))));
    assert_eq!(collector.get(&format!("/trace/{}", "0".repeat(32))).status, 404);
    assert_eq!(collector.get("/trace/%2e%2e").status, 404);
}
