//! Datasets, their items at any time, and the experiments that are read from observations.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Answer, Collector, SECRET, basic, span, text};

const DATASETS: &str = "/api/public/v2/datasets";
const ITEMS: &str = "/api/public/dataset-items";

fn ask(collector: &Collector, method: &str, path: &str) -> Answer {
    collector.send(method, path, &[("authorization", &basic("pk-a", SECRET))], b"")
}

fn get(collector: &Collector, path: &str) -> Value {
    let answer = ask(collector, "GET", path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

#[test]
fn datasets_are_made_changed_and_listed() {
    let collector = Collector::start();
    let made = collector
        .post_json(DATASETS, &json!({"name": "folder/a b", "description": "d", "metadata": {"m": 1}}));
    assert_eq!(made.status, 200, "{}", made.text());
    let id = made.json()["id"].clone();
    let changed = collector
        .post_json(DATASETS, &json!({"name": "folder/a b", "inputSchema": {"type": "object"}}))
        .json();
    assert_eq!(
        (&changed["id"], &changed["description"], &changed["metadata"]),
        (&id, &json!("d"), &json!({"m": 1}))
    );
    assert_eq!(
        get(&collector, &format!("{DATASETS}/folder%2Fa%20b"))["inputSchema"],
        json!({"type": "object"})
    );
    assert_eq!(get(&collector, &format!("{DATASETS}/folder%2Fa%20b"))["projectId"], "alpha");
    collector.post_json(DATASETS, &json!({"name": "second"}));
    let page = get(&collector, &format!("{DATASETS}?limit=1&page=2"));
    assert_eq!(page["meta"], json!({"page": 2, "limit": 1, "totalItems": 2, "totalPages": 2}));
    assert_eq!(page["data"][0]["name"], "folder/a b");
    assert_eq!(ask(&collector, "GET", &format!("{DATASETS}/missing")).status, 404);
    assert_eq!(ask(&collector, "GET", &format!("{DATASETS}?page=0")).status, 400);
    assert_eq!(collector.post_json(DATASETS, &json!({})).status, 400);
    assert_eq!(collector.get(DATASETS).status, 401);
}

#[test]
fn items_are_kept_as_they_were() {
    let collector = Collector::start();
    collector.post_json(DATASETS, &json!({"name": "d"}));
    collector.post_json(DATASETS, &json!({"name": "other"}));
    let made = collector
        .post_json(ITEMS, &json!({"datasetName": "d", "id": "i", "input": {"q": 1}, "expectedOutput": "x"}));
    assert_eq!(made.status, 200, "{}", made.text());
    let first = made.json();
    assert_eq!(
        (&first["status"], &first["datasetName"], &first["mediaReferences"]),
        (&json!("ACTIVE"), &json!("d"), &json!([]))
    );
    std::thread::sleep(Duration::from_millis(5));
    let second = collector
        .post_json(ITEMS, &json!({"datasetName": "d", "id": "i", "input": 2, "status": "ARCHIVED"}))
        .json();
    assert_eq!(
        (&second["input"], &second["expectedOutput"], &second["status"]),
        (&json!(2), &json!("x"), &json!("ARCHIVED"))
    );
    assert_eq!(second["createdAt"], first["createdAt"]);
    // Times are told in milliseconds, and the change came within the first one's.
    let between = second["version"].as_str().unwrap();
    let then = get(&collector, &format!("{ITEMS}?datasetName=d&version={between}"));
    assert_eq!(then["data"][0]["input"], json!({"q": 1}));
    assert_eq!(get(&collector, &format!("{ITEMS}?datasetName=d"))["data"][0]["input"], 2);
    assert_eq!(get(&collector, &format!("{ITEMS}/i"))["input"], 2);

    for number in 0..3 {
        assert_eq!(collector.post_json(ITEMS, &json!({"datasetName": "d", "input": number})).status, 200);
    }
    assert_eq!(get(&collector, &format!("{ITEMS}?datasetName=d&limit=3"))["meta"]["totalPages"], 2);
    assert_eq!(get(&collector, &format!("{ITEMS}?datasetName=other"))["data"], json!([]));
    assert_eq!(collector.post_json(ITEMS, &json!({"datasetName": "other", "id": "i"})).status, 409);
    assert_eq!(collector.post_json(ITEMS, &json!({"datasetName": "missing"})).status, 404);
    assert_eq!(collector.post_json(ITEMS, &json!({"datasetName": "d", "status": "x"})).status, 400);
    assert_eq!(ask(&collector, "DELETE", &format!("{ITEMS}/i")).status, 200);
    assert_eq!(ask(&collector, "DELETE", &format!("{ITEMS}/i")).status, 404);
    assert_eq!(ask(&collector, "GET", &format!("{ITEMS}/i")).status, 404);
    assert_eq!(get(&collector, &format!("{ITEMS}?datasetName=d"))["meta"]["totalItems"], 3);
}

#[test]
fn experiments_are_read_from_their_items() {
    let collector = Collector::start();
    let item = |number: u8, experiment: &str| {
        let root = format!("{number:02x}").repeat(8);
        span(
            number,
            vec![
                text("langfuse.experiment.id", experiment),
                text("langfuse.experiment.name", "nightly"),
                text("langfuse.experiment.dataset.id", "d"),
                text("langfuse.experiment.item.id", &format!("item {number}")),
                text("langfuse.experiment.item.root_observation_id", &root),
                text("langfuse.observation.output", "done"),
            ],
        )
    };
    let below = span(
        9,
        vec![text("langfuse.experiment.id", "e"), text("langfuse.experiment.item.root_observation_id", "x")],
    );
    assert_eq!(collector.post_spans(vec![item(1, "e"), item(2, "e"), item(3, "f"), below]).status, 200);
    let from = "fromStartTime=2026-01-01T00:00:00Z";
    let experiments = get(&collector, &format!("/api/public/experiments?{from}&id=e"));
    assert_eq!(experiments["data"][0]["itemCount"], 2, "{experiments}");
    assert_eq!(experiments["data"][0]["name"], "nightly");
    assert_eq!(
        get(&collector, &format!("/api/public/experiments?{from}"))["data"].as_array().unwrap().len(),
        2
    );
    let items = get(&collector, &format!("/api/public/experiment-items?{from}&experimentId=e"));
    assert_eq!(items["data"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&items["data"][0]["output"], &items["data"][0]["experimentDatasetId"]),
        (&json!("done"), &json!("d"))
    );
    assert_eq!(ask(&collector, "GET", "/api/public/experiments").status, 400);
}

#[test]
fn observations_are_listed_page_by_page() {
    let collector = Collector::start();
    let generation = |number: u8| {
        span(
            number,
            vec![text("langfuse.observation.type", "generation"), text("langfuse.observation.output", "o")],
        )
    };
    assert_eq!(collector.post_spans(vec![generation(1), span(2, vec![]), generation(3)]).status, 200);
    let path = "/api/public/v2/observations";
    let filter = "filter=%5B%7B%22type%22%3A%22string%22%2C%22column%22%3A%22type%22%2C%22operator%22%3A%22%3D%22%2C%22value%22%3A%22GENERATION%22%7D%5D";
    let first = get(&collector, &format!("{path}?limit=1&{filter}"));
    assert_eq!((&first["data"][0]["name"], &first["data"][0]["output"]), (&json!("span 3"), &json!("o")));
    let cursor = first["meta"]["cursor"].as_str().unwrap();
    let second = get(&collector, &format!("{path}?limit=1&type=GENERATION&cursor={cursor}"));
    assert_eq!((&second["data"][0]["name"], &second["meta"]), (&json!("span 1"), &json!({})));
    assert_eq!(get(&collector, path)["data"].as_array().unwrap().len(), 3);
    assert_eq!(get(&collector, &format!("{path}?traceId={}", "02".repeat(16)))["data"][0]["type"], "SPAN");
    for wrong in [
        "limit=0",
        "cursor=x",
        "filter=x",
        "filter=%5B%7B%22column%22%3A%22x%22%2C%22operator%22%3A%22%3D%22%7D%5D",
    ] {
        assert_eq!(ask(&collector, "GET", &format!("{path}?{wrong}")).status, 400, "{wrong}");
    }
}
