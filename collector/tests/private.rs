//! The page and the query API stay private, and secrets stay secret.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::{Collector, SECRET, basic};

#[test]
fn another_host_name_gets_nothing() {
    let collector = Collector::start();
    for path in ["/", "/app.js", "/api/v1/traces", "/api/v1/faults"] {
        let answer = collector.send("GET", path, &[("host", "rebound.example:80")], b"");
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(collector.send("GET", path, &[("host", "localhost:1")], b"").status, 200, "{path}");
    }
}

#[test]
fn another_site_changes_nothing() {
    let collector = Collector::start();
    let fault = br#"[{"fault": "hang"}]"#;
    let foreign = [("origin", "https://evil.example"), ("content-type", "text/plain")];
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(collector.send(method, "/api/v1/faults", &foreign, fault).status, 403, "{method}");
    }
    assert_eq!(collector.json("/api/v1/faults"), serde_json::json!([]));
    let own = [("origin", collector.base.as_str())];
    assert_eq!(collector.send("POST", "/api/v1/faults", &own, fault).status, 200);
}

#[test]
fn a_token_protects_everything_but_the_public_api() {
    let collector = Collector::start_with(&["--any-key", "--token", "a token/+"]);
    for path in ["/", "/style.css", "/api/v1/traces", "/api/v1/projects", "/api/v1/faults", "/?token=wrong"] {
        assert_eq!(collector.get(path).status, 401, "{path}");
        let answer = collector.send("GET", path, &[("authorization", "Bearer a token/+")], b"");
        assert_eq!(answer.status, 200, "{path}");
    }
    assert_eq!(collector.send("DELETE", "/api/v1/faults", &[], b"").status, 401);
    assert_eq!(collector.get("/api/public/health").status, 200);
    let entered = collector.get("/?token=a%20token%2F%2B");
    assert_eq!((entered.status, entered.header("location")), (303, Some("/")));
    let cookie = entered.header("set-cookie").unwrap();
    assert!(cookie.contains("httponly") && cookie.contains("samesite=strict") && !cookie.contains("a token"));
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(collector.send("GET", "/api/v1/traces", &[("cookie", pair)], b"").status, 200);
    assert_eq!(collector.send("GET", "/", &[("cookie", "tracespool_page=0")], b"").status, 401);
}

#[test]
fn an_open_address_needs_a_token() {
    let data = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tracespool-collector"))
        .args(["--listen", "0.0.0.0:0", "--data"])
        .arg(data.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--token"), "{said}");
}

#[test]
fn a_made_pair_is_shown_once_and_kept_private() {
    let collector = Collector::start_with(&[]);
    let line = collector.said.lines().next().unwrap().to_owned();
    let mut words = line.rsplit(' ');
    let (secret, public) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    assert!(secret.starts_with("sk-lf-") && public.starts_with("pk-lf-"), "{line}");
    let authorization = basic(&public, &secret);
    let answer = collector.send("GET", "/api/public/projects", &[("authorization", &authorization)], b"");
    assert_eq!(answer.json()["data"][0]["id"], "default");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(collector.data.path().join("keys.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let (_, data) = collector.stop();
    let again = Collector::start_in(data, &[]);
    assert!(!again.said.contains("sk-lf-"), "shown again: {}", again.said);
    let answer = again.send("GET", "/api/public/projects", &[("authorization", &authorization)], b"");
    assert_eq!(answer.status, 200);
}

#[test]
fn no_response_holds_a_secret() {
    let collector = Collector::start();
    collector.post_spans(vec![support::span(1, vec![])]);
    collector.post_json(
        "/api/public/scores",
        &serde_json::json!({"name": "n", "value": 1, "traceId": "01".repeat(16)}),
    );
    let authorization = basic("pk-a", SECRET);
    let encoded = authorization.split(' ').nth(1).unwrap();
    let trace = format!("/api/v1/traces/{}", "01".repeat(16));
    let public = [
        "/api/public/health",
        "/api/public/projects",
        "/api/public/v2/prompts/x",
        "/nowhere",
        support::TRACES,
    ];
    let private = [
        "/",
        "/api/v1/projects",
        "/api/v1/counts",
        "/api/v1/traces",
        "/api/v1/observations",
        "/api/v1/scores",
    ];
    for path in public.into_iter().chain(private).chain([trace.as_str(), "/api/v1/faults"]) {
        let answer = collector.send("GET", path, &[("authorization", &authorization)], b"");
        for place in [answer.text(), answer.head] {
            assert!(!place.contains(SECRET) && !place.contains(encoded), "{path}");
        }
    }
    for entry in std::fs::read_dir(collector.data.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
    }
}
