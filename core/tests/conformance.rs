//! The same observations give the same bytes in every language: `tests/conformance/otlp/vectors.json` is what Rust, the native module
//! and WebAssembly are held to. `TRACESPOOL_WRITE_VECTORS=1` writes what Rust gives.

#![allow(clippy::unwrap_used, clippy::panic)] // a test: what does not hold shall fail it

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::Value;
use tracespool_core::attr::SCOPE_LANGFUSE;
use tracespool_core::encode::otlp::Envelope;
use tracespool_core::hosted::{Hosted, LIMITS};
use tracespool_core::pipeline::Action;
use tracespool_core::process::{Clock, Process};
use tracespool_core::transport::{Now, Outcome, Response};
use tracespool_core::{Client, ClientOptions, VERSION, resource};

struct Still;
impl Clock for Still {
    fn now(&self) -> Now {
        Now { mono: 1_000_000_000, unix: 1_767_323_046_000_000_000 }
    }
}

static RESOURCE: OnceLock<String> = OnceLock::new();

fn home() -> Arc<Process> {
    static PROCESS: OnceLock<Arc<Process>> = OnceLock::new();
    PROCESS
        .get_or_init(|| {
            let env = |name: &str| match name {
                "OTEL_RESOURCE_ATTRIBUTES" => RESOURCE.get().cloned(),
                _ => None,
            };
            let envelope = Envelope::new(&resource::attributes("rust", &env), SCOPE_LANGFUSE, VERSION);
            Process::new(LIMITS, envelope, Box::new(Still))
        })
        .clone()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn nanos(milliseconds: &Value) -> u64 {
    ((milliseconds.as_f64().unwrap() * 1e3).round() as u64) * 1000
}

#[test]
fn the_bytes_are_those_of_the_vectors() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/otlp/vectors.json");
    let mut all: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    RESOURCE.set(all["resource"].as_str().unwrap().to_owned()).unwrap();
    let mut hosted = Hosted::new(home());
    let write = std::env::var_os("TRACESPOOL_WRITE_VECTORS").is_some();
    let vectors = all["vectors"].as_array_mut().unwrap();
    assert!(vectors.len() >= 5);
    for (number, vector) in vectors.iter_mut().enumerate() {
        let text = |name: &str| vector["options"][name].as_str().map(str::to_owned);
        let options = ClientOptions {
            public_key: Some(format!("pk-{number}")),
            secret_key: Some("sk".into()),
            base_url: Some("http://h".into()),
            environment: text("environment"),
            release: text("release"),
            ..ClientOptions::default()
        };
        let client = Client::open(options, &|_| None, home);
        for record in vector["records"].as_array().unwrap() {
            let text = record["record"].as_str().unwrap();
            client.take_record(text, nanos(&record["start"]), nanos(&record["end"]));
        }
        let _flush = client.begin_flush(Duration::from_secs(1), false).unwrap();
        hosted.turn();
        let Some(Action::Send { slot, request }) = hosted.poll_action() else {
            panic!("nothing is sent for {}", vector["name"]);
        };
        hosted.finish(slot, &Outcome::Response(Response { status: 200, ..Response::default() }));
        let mut hex = String::new();
        for byte in request.payload.to_vec() {
            write!(hex, "{byte:02x}").unwrap();
        }
        if write {
            vector["otlp"] = hex.into();
        } else {
            assert_eq!(vector["otlp"].as_str().unwrap(), hex, "{}", vector["name"]);
        }
    }
    if write {
        std::fs::write(path, serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
    }
}
