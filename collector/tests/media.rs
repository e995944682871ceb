//! Media are announced, uploaded to a signed address, confirmed and handed out as by the Langfuse server and an S3 store.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::{Answer, Collector, SECRET, basic};

const MEDIA: &str = "/api/public/media";
const PIXELS: &[u8] = b"\x89PNG not really";

fn hash(content: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(content))
}

fn id(content: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(content))[..22].to_owned()
}

fn notice(content: &[u8], kind: &str) -> Value {
    json!({"traceId": "t1", "observationId": "o1", "field": "input", "contentType": kind,
        "contentLength": content.len(), "sha256Hash": hash(content)})
}

fn announce(collector: &Collector, key: &str, notice: &Value) -> Answer {
    collector.post(MEDIA, key, &[("content-type", "application/json")], notice.to_string().as_bytes())
}

/// Path and query of an address that was handed out.
fn path(url: &Value, collector: &Collector) -> String {
    url.as_str().unwrap().strip_prefix(&collector.base).unwrap().to_owned()
}

fn put(collector: &Collector, path: &str, content: &[u8], kind: &str, more: &[(&str, &str)]) -> Answer {
    let hash = hash(content);
    let mut headers = vec![("content-type", kind), ("x-amz-checksum-sha256", hash.as_str())];
    headers.extend_from_slice(more);
    collector.send("PUT", path, &headers, content)
}

fn confirm(collector: &Collector, key: &str, id: &str, status: u16) -> Answer {
    let body =
        json!({"uploadedAt": "2026-11-21T07:39:50.005Z", "uploadHttpStatus": status, "uploadTimeMs": 12});
    let authorization = basic(key, SECRET);
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    collector.send("PATCH", &format!("{MEDIA}/{id}"), &headers, body.to_string().as_bytes())
}

fn fetch(collector: &Collector, key: &str, id: &str) -> Answer {
    collector.send("GET", &format!("{MEDIA}/{id}"), &[("authorization", &basic(key, SECRET))], b"")
}

fn upload(collector: &Collector, key: &str, content: &[u8], kind: &str) {
    let told = announce(collector, key, &notice(content, kind)).json();
    let place = path(&told["uploadUrl"], collector);
    assert_eq!(put(collector, &place, content, kind, &[]).status, 200);
    assert_eq!(confirm(collector, key, &id(content), 200).status, 200);
}

#[test]
fn a_content_is_uploaded_once_and_fetched_again() {
    let collector = Collector::start();
    let answer = announce(&collector, "pk-a", &notice(PIXELS, "image/png"));
    assert_eq!((answer.status, &answer.json()["mediaId"]), (201, &json!(id(PIXELS))));
    let place = path(&answer.json()["uploadUrl"], &collector);
    assert!(place.starts_with("/storage/"), "{place}");
    assert_eq!(fetch(&collector, "pk-a", &id(PIXELS)).status, 404);
    assert_eq!(put(&collector, &place, PIXELS, "image/png", &[]).status, 200);
    // Uploaded, but nobody said so yet.
    assert!(fetch(&collector, "pk-a", &id(PIXELS)).text().contains("not yet uploaded"));
    assert_eq!(confirm(&collector, "pk-a", &id(PIXELS), 200).json(), json!({"message": "OK"}));

    let told = fetch(&collector, "pk-a", &id(PIXELS)).json();
    assert_eq!((&told["contentType"], &told["contentLength"]), (&json!("image/png"), &json!(PIXELS.len())));
    assert!(told["urlExpiry"].as_str().unwrap() > "2026"); // an hour from now
    let content = collector.get(&path(&told["url"], &collector));
    assert_eq!((content.status, content.body.as_slice()), (200, PIXELS));
    assert_eq!(content.header("x-content-type-options"), Some("nosniff"));

    let mut other = notice(PIXELS, "image/png");
    other["observationId"] = json!("o2");
    assert_eq!(announce(&collector, "pk-a", &other).json()["uploadUrl"], Value::Null);
    let counts = &collector.json("/api/v1/counts")["media"];
    assert_eq!(*counts, json!({"contents": 1, "announcements": 2, "uploads": 1, "confirmations": 1}));
    let uses = collector.json("/api/v1/media?project=alpha&observation_id=o2");
    assert_eq!(uses["data"].as_array().unwrap().len(), 1);
    assert_eq!((&uses["data"][0]["field"], &uses["data"][0]["stored"]), (&json!("input"), &json!(1)));
}

#[test]
fn the_store_is_as_particular_as_the_real_ones() {
    let collector = Collector::start();
    let told = announce(&collector, "pk-a", &notice(PIXELS, "image/png")).json();
    let place = path(&told["uploadUrl"], &collector);
    let ours = basic("pk-a", SECRET);
    let both = put(&collector, &place, PIXELS, "image/png", &[("authorization", &ours)]);
    assert_eq!(both.status, 400, "{}", both.text());
    assert!(both.text().contains("Only one auth mechanism allowed"));
    assert_eq!(put(&collector, &place, PIXELS, "image/gif", &[]).status, 403);
    assert_eq!(put(&collector, &place, b"other", "image/png", &[]).status, 403);
    let lying = [("content-type", "image/png"), ("x-amz-checksum-sha256", &*hash(PIXELS))];
    let swapped = vec![b'x'; PIXELS.len()];
    assert_eq!(collector.send("PUT", &place, &lying, &swapped).status, 400);
    let bare = [("content-type", "image/png")];
    assert_eq!(collector.send("PUT", &place, &bare, PIXELS).status, 403);
    assert_eq!(put(&collector, "/storage/guessed", PIXELS, "image/png", &[]).status, 403);
    // An address for writing does not read.
    assert_eq!(collector.get(&place).status, 403);
    assert_eq!(collector.json("/api/v1/counts")["media"]["uploads"], 0);
    assert_eq!(put(&collector, &place, PIXELS, "image/png", &[]).status, 200);
}

#[test]
fn a_failed_upload_is_asked_for_again() {
    let collector = Collector::start();
    let first = announce(&collector, "pk-a", &notice(PIXELS, "image/png")).json();
    assert!(first["uploadUrl"].is_string());
    assert_eq!(confirm(&collector, "pk-a", &id(PIXELS), 503).status, 200);
    assert_eq!(fetch(&collector, "pk-a", &id(PIXELS)).status, 404);
    assert!(announce(&collector, "pk-a", &notice(PIXELS, "image/png")).json()["uploadUrl"].is_string());
    assert_eq!(confirm(&collector, "pk-a", "never-announced", 200).status, 404);
}

#[test]
fn projects_do_not_see_each_other() {
    let keys = [format!("pk-a:{SECRET}:alpha"), format!("pk-b:{SECRET}:beta")];
    let collector = Collector::start_with(&["--key", &keys[0], "--key", &keys[1]]);
    upload(&collector, "pk-a", PIXELS, "image/png");
    assert_eq!(fetch(&collector, "pk-b", &id(PIXELS)).status, 404);
    assert_eq!(collector.get(&format!("/api/v1/media/beta/{}", id(PIXELS))).status, 404);
    assert!(announce(&collector, "pk-b", &notice(PIXELS, "image/png")).json()["uploadUrl"].is_string());
    assert_eq!(confirm(&collector, "pk-c", &id(PIXELS), 200).status, 401);
    let unsigned = collector.send("POST", MEDIA, &[], notice(PIXELS, "image/png").to_string().as_bytes());
    assert_eq!(unsigned.status, 401);
}

#[test]
fn what_a_browser_could_run_is_only_saved() {
    let collector = Collector::start();
    for (kind, content) in [("text/html", &b"<script>1</script>"[..]), ("image/svg+xml", b"<svg onload=1>")] {
        upload(&collector, "pk-a", content, kind);
        let shown = collector.get(&format!("/api/v1/media/alpha/{}", id(content)));
        assert_eq!((shown.status, shown.body.as_slice()), (200, content));
        assert_eq!(shown.header("content-type"), Some("application/octet-stream"));
        assert_eq!(shown.header("content-disposition"), Some("attachment"));
        assert!(shown.header("content-security-policy").unwrap().starts_with("sandbox;"));
    }
    upload(&collector, "pk-a", PIXELS, "image/png");
    let shown = collector.get(&format!("/api/v1/media/alpha/{}", id(PIXELS)));
    assert_eq!(shown.header("content-type"), Some("image/png"));
    assert!(shown.header("content-security-policy").unwrap().starts_with("sandbox;"));
    let host = [("host", "evil.example")];
    assert_eq!(collector.send("GET", &format!("/api/v1/media/alpha/{}", id(PIXELS)), &host, b"").status, 403);
}

#[test]
fn sizes_are_bounded_faults_apply_and_the_storage_may_be_elsewhere() {
    let key = format!("pk-a:{SECRET}:alpha");
    let elsewhere = ["--max-media", "1000", "--storage-url", "http://storage.test:9/"];
    let collector = Collector::start_with(&[&["--key", &key][..], &elsewhere].concat());
    let large = vec![1; 1001];
    assert_eq!(announce(&collector, "pk-a", &notice(&large, "image/png")).status, 400);
    let url = announce(&collector, "pk-a", &notice(PIXELS, "image/png")).json()["uploadUrl"].clone();
    let token = url.as_str().unwrap().strip_prefix("http://storage.test:9/storage/").unwrap().to_owned();
    collector.faults(&json!([{"fault": "503:1", "path": "/storage/"}]));
    let place = format!("/storage/{token}");
    assert_eq!(put(&collector, &place, PIXELS, "image/png", &[]).status, 503);
    assert_eq!(put(&collector, &place, PIXELS, "image/png", &[]).status, 200);
    assert_eq!(put(&collector, &place, &large, "image/png", &[]).status, 400);
}
