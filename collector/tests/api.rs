//! Scores, prompts, ingestion, health and authentication answer as the Langfuse server does.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use serde_json::json;
use support::{Collector, SECRET, basic};

const SCORES: &str = "/api/public/scores";

#[test]
fn scores_come_as_arrays_or_alone() {
    let collector = Collector::start();
    let score = json!({"id": "s1", "name": "n", "value": 0.5, "traceId": "t", "observationId": "o", "comment": "c",
        "metadata": {"a": 1}, "environment": "prod", "timestamp": "2026-11-21T07:39:50.005749Z"});
    let answer = collector.post_json(
        SCORES,
        &json!([score, {"id": "s2", "name": "b", "value": 1, "traceId": "t",
        "dataType": "BOOLEAN", "timestamp": "2026-11-21T07:39:50Z"}]),
    );
    assert_eq!((answer.status, answer.json()), (202, json!({"message": "Accepted"})));
    assert_eq!(collector.post_json(SCORES, &json!([score])).status, 202);
    let list = collector.json("/api/v1/scores?project=alpha&trace_id=t");
    let row = &list["data"][0];
    assert_eq!(
        (&row["value"], &row["received"], &row["data_type"]),
        (&json!(0.5), &json!(2), &json!("NUMERIC"))
    );
    assert_eq!((&row["metadata"], &row["timestamp"]), (&json!({"a": 1}), &json!("2026-11-21T07:39:50.005Z")));
    assert_eq!(list["data"][1]["string_value"], "True");
    assert_eq!(collector.json("/api/v1/counts")["duplicates_scores"], 1);

    let alone = collector.post_json(SCORES, &json!({"name": "n", "value": "good", "sessionId": "s"}));
    assert_eq!(alone.status, 200);
    assert!(!alone.json()["id"].as_str().unwrap().is_empty());
}

#[test]
fn a_207_names_what_was_rejected_and_keeps_the_rest() {
    let collector = Collector::start();
    let body = json!([{"id": "a", "name": "n", "value": 1, "traceId": "t"}, {"id": "b", "name": "n", "value": true,
        "traceId": "t"}, {"id": "c", "name": "n", "value": 1}]);
    let answer = collector.post_json(SCORES, &body);
    let told = answer.json();
    assert_eq!((answer.status, &told["accepted"], &told["rejected"]), (207, &json!(1), &json!(2)));
    assert_eq!(told["errors"].as_array().unwrap().len(), 2);
    assert_eq!(collector.json("/api/v1/counts")["scores"], 1);
}

#[test]
fn an_older_server_takes_no_arrays() {
    let key = format!("pk-a:{SECRET}");
    let collector = Collector::start_with(&["--key", &key, "--server-version", "4.16.0"]);
    assert_eq!(collector.json("/api/public/health"), json!({"status": "OK", "version": "4.16.0"}));
    let score = json!({"id": "a", "name": "n", "value": 1, "traceId": "t"});
    assert_eq!(collector.post_json(SCORES, &json!([score])).status, 400);
    assert_eq!(collector.post_json(SCORES, &score).status, 200);
}

#[test]
fn ingestion_takes_scores_and_rejects_traces() {
    let collector = Collector::start();
    let event = |id: &str, kind: &str, body: serde_json::Value| {
        json!({"id": id, "type": kind,
        "timestamp": "2026-11-21T07:39:50Z", "body": body})
    };
    let body = json!({"batch": [
        event("1", "score-create", json!({"id": "s", "name": "n", "value": 1, "traceId": "t"})),
        event("2", "trace-create", json!({"id": "t"})),
        event("3", "score-create", json!({"name": "without id", "value": 1, "traceId": "t"})),
        event("4", "sdk-log", json!({"log": "x"})),
        event("5", "score-create", json!({"id": "s", "name": "n", "traceId": "t"})),
    ]});
    let answer = collector.post_json("/api/public/ingestion", &body);
    let told = answer.json();
    assert_eq!(answer.status, 207);
    assert_eq!(told["successes"], json!([{"id": "1", "status": 201}, {"id": "3", "status": 201}]));
    assert_eq!(told["errors"][0]["id"], "2");
    assert_eq!(told["errors"][0]["message"], "Event type not accepted");
    assert_eq!(told["errors"][1]["id"], "5");
    assert_eq!(
        collector.json("/api/v1/counts")["scores"],
        1,
        "a score without an id is lost, as on the server"
    );
    let large = json!({"batch": [], "x": "x".repeat(5 << 20)});
    assert_eq!(collector.post_json("/api/public/ingestion", &large).status, 413);
    assert_eq!(collector.post_json(SCORES, &json!(["x".repeat(1 << 20)])).status, 413);
}

#[test]
fn prompts_have_versions_and_labels() {
    let collector = Collector::start();
    let path = "/api/public/v2/prompts";
    let authorization = basic("pk-a", SECRET);
    let get = |rest: &str| {
        collector.send("GET", &format!("{path}/{rest}"), &[("authorization", &authorization)], b"")
    };
    let first = collector.post_json(
        path,
        &json!({"name": "folder/greet me", "prompt": "hi {{a}}", "config": {"m": 1},
        "labels": ["production"], "tags": ["t"], "commitMessage": "cm"}),
    );
    assert_eq!(first.status, 200, "{}", first.text());
    let told = first.json();
    assert_eq!(
        (&told["version"], &told["type"], &told["labels"]),
        (&json!(1), &json!("text"), &json!(["latest", "production"]))
    );
    let second = collector.post_json(path, &json!({"name": "folder/greet me", "prompt": "hello"}));
    assert_eq!((&second.json()["version"], &second.json()["tags"]), (&json!(2), &json!(["t"])));

    assert_eq!(get("folder%2Fgreet%20me").json()["prompt"], "hi {{a}}");
    assert_eq!(get("folder%2Fgreet%20me?label=latest").json()["version"], 2);
    assert_eq!(get("folder%2Fgreet%20me?version=1").json()["labels"], json!(["production"]));
    assert_eq!(get("folder%2Fgreet%20me?version=1&label=x").status, 400);
    let missing = get("missing");
    assert_eq!(missing.status, 404);
    assert_eq!(
        missing.json(),
        json!({"message": "Prompt not found: 'missing' with label 'production'",
        "error": "LangfuseNotFoundError"})
    );

    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let patch = |version: u8, labels: &str| {
        let body = format!(r#"{{"newLabels": {labels}}}"#);
        collector.send(
            "PATCH",
            &format!("{path}/folder%2Fgreet%20me/versions/{version}"),
            &headers,
            body.as_bytes(),
        )
    };
    assert_eq!(patch(2, r#"["production"]"#).json()["isActive"], true);
    assert_eq!(get("folder%2Fgreet%20me").json()["version"], 2);
    assert_eq!(patch(2, r#"["latest"]"#).status, 400);
    assert_eq!(patch(9, r#"["x"]"#).status, 404);

    let chat = json!({"name": "chat", "type": "chat", "labels": ["production"],
        "prompt": [{"role": "user", "content": "hi"}, {"type": "placeholder", "name": "h"}]});
    assert_eq!(collector.post_json(path, &chat).status, 200);
    assert_eq!(get("chat").json()["prompt"], chat["prompt"]);
    assert_eq!(collector.post_json(path, &json!({"name": "chat", "prompt": "text now"})).status, 400);
    assert_eq!(collector.post_json(path, &json!({"name": "a|b", "prompt": "x"})).status, 400);
}

#[test]
fn keys_open_their_own_project_only() {
    let first = format!("pk-a:{SECRET}:alpha");
    let collector = Collector::start_with(&["--key", &first, "--key", "pk-b:sk-b:beta"]);
    let ask = |authorization: &str| {
        collector.send("GET", "/api/public/projects", &[("authorization", authorization)], b"")
    };
    assert_eq!(ask(&basic("pk-a", SECRET)).json()["data"][0]["id"], "alpha");
    assert_eq!(ask(&basic("pk-b", "sk-b")).json()["data"][0]["id"], "beta");
    let wrong = "Invalid credentials. Confirm that you've configured the correct host.";
    for bad in [
        basic("pk-a", "sk-b"),
        basic("pk-a", ""),
        basic("pk-a", SECRET).replace("Basic", "basic"),
        "Basic ?".into(),
    ] {
        let answer = ask(&bad);
        assert_eq!((answer.status, &answer.json()["message"]), (401, &json!(wrong)), "{bad}");
    }
    assert_eq!(collector.get("/api/public/projects").json()["message"], "No authorization header");
    assert_eq!(ask("Bearer pk-a").status, 403);
    let score = json!({"name": "n", "value": 1, "traceId": "t"}).to_string();
    let bearer = [("authorization", "Bearer pk-b")];
    assert_eq!(collector.send("POST", SCORES, &bearer, score.as_bytes()).status, 200);
    let event = json!({"id": "e", "type": "score-create", "timestamp": "2026-01-01T00:00:00Z",
        "body": {"id": "s", "name": "n", "value": 1, "traceId": "t"}});
    let batch = json!({"batch": [event]}).to_string();
    let headers = [bearer[0], ("content-type", "application/json")];
    let answer = collector.send("POST", "/api/public/ingestion", &headers, batch.as_bytes());
    assert_eq!((answer.status, &answer.json()["successes"][0]["status"]), (207, &json!(201)));
    assert_eq!(collector.json("/api/v1/counts?project=beta")["scores"], 2);
    assert_eq!(collector.json("/api/v1/counts?project=alpha")["scores"], 0);
}

#[test]
fn any_key_makes_a_project_per_public_key() {
    let collector = Collector::start_with(&["--any-key"]);
    for number in 0..20 {
        let answer = collector.post(
            support::TRACES,
            &format!("pk-{number}"),
            support::PROTOBUF,
            &support::request(vec![support::span(1, vec![])]),
        );
        assert_eq!(answer.status, 200);
    }
    let projects = collector.json("/api/v1/projects");
    assert_eq!(projects["data"].as_array().unwrap().len(), 20);
    assert_eq!(collector.json("/api/v1/counts?project=pk-7")["observations"], 1);
}

#[test]
fn other_methods_and_paths_are_told_apart() {
    let collector = Collector::start();
    assert_eq!(collector.get(support::TRACES).status, 405);
    assert_eq!(collector.get("/api/public/otel/v1/logs").status, 404);
    assert_eq!(collector.get("/api/public/ready").status, 200);
}
