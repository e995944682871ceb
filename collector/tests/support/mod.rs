//! A running collector and the requests that tests send to it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::Value;

pub const SECRET: &str = "sk-lf-never-to-be-seen";
pub const TRACES: &str = "/api/public/otel/v1/traces";
pub const START: u64 = 1_795_246_786_306_495_886;

/// The binary on a free port with its own data directory, ended when dropped.
pub struct Collector {
    child: Child,
    pub base: String,
    pub said: String,
    pub data: tempfile::TempDir,
}

impl Collector {
    /// One key pair, `pk-a` in the project `alpha`.
    pub fn start() -> Self {
        Self::start_with(&["--key", &format!("pk-a:{SECRET}:alpha")])
    }

    pub fn start_with(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    pub fn start_in(data: tempfile::TempDir, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tracespool-collector"))
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        let base = loop {
            let mut line = String::new();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the collector ended: {said}");
            said.push_str(&line);
            if let Some(base) = line.trim().strip_prefix("tracespool-collector listening on ") {
                break base.to_owned();
            }
        };
        Self { child, base, said, data }
    }

    pub fn address(&self) -> &str {
        self.base.split("//").nth(1).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM; gives the exit code and the data directory.
    pub fn stop(mut self) -> (Option<i32>, tempfile::TempDir) {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        let code = self.child.wait().unwrap().code();
        let data = std::mem::replace(&mut self.data, tempfile::tempdir().unwrap());
        (code, data)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    pub fn post(&self, path: &str, key: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let authorization = basic(key, SECRET);
        let mut all = vec![("authorization", authorization.as_str())];
        all.extend_from_slice(headers);
        self.send("POST", path, &all, body)
    }

    pub fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.post(path, "pk-a", &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    pub fn post_spans(&self, spans: Vec<Span>) -> Answer {
        self.post(TRACES, "pk-a", PROTOBUF, &request(spans))
    }

    pub fn faults(&self, list: &Value) {
        let answer = self.send("PUT", "/api/v1/faults", &[], list.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, headers, body, Duration::from_secs(10)).unwrap()
    }

    /// One request on its own connection, without any cleverness in between.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        patience: Duration,
    ) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(self.address())?;
        stream.set_read_timeout(Some(patience))?;
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "host") {
            head.push_str(&format!("host: {}\r\n", self.address()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        // A server that refuses a large body early may close before it has read all of it.
        let _ = stream.write_all(body);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(Answer::read(&bytes))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a response head");
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

pub const PROTOBUF: &[(&str, &str)] = &[("content-type", "application/x-protobuf")];

pub fn basic(public: &str, secret: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{public}:{secret}")))
}

pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(plain).unwrap();
    packer.finish().unwrap()
}

/// A span with an id made from a number.
pub fn span(number: u8, attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: vec![number; 16],
        span_id: vec![number; 8],
        name: format!("span {number}"),
        start_time_unix_nano: START,
        end_time_unix_nano: START + 1_000_000,
        attributes,
        ..Span::default()
    }
}

pub fn text(key: &str, value: &str) -> KeyValue {
    any(key, Any::StringValue(value.into()))
}

pub fn any(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub fn request(spans: Vec<Span>) -> Vec<u8> {
    let scope =
        InstrumentationScope { name: "langfuse-sdk".into(), version: "5.0.4".into(), ..Default::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}
