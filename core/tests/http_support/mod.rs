//! Servers on loopback that behave, or misbehave, as a test wants, and a driver that turns the transport.

#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracespool_core::endpoint::{BaseUrl, Endpoint};
use tracespool_core::native::clock;
use tracespool_core::native::http::{HttpTransport, NetConfig};
use tracespool_core::transport::{Failure, Method, Outcome, Payload, Request, Response, Slot, Transport};

pub const SECOND: u64 = 1_000_000_000;

/// A listening socket whose connections each get a thread; `serve` sees the connection's number.
pub fn server(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(number, stream));
        }
    });
    address
}

/// A request as a server saw it.
#[derive(Debug)]
pub struct Seen {
    pub line: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

pub fn read_head(reader: &mut impl BufRead) -> Option<Seen> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let headers =
        lines[1..].iter().filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_owned(), v.to_owned()));
    Some(Seen { line: lines[0].clone(), headers: headers.collect(), body: Vec::new() })
}

pub fn read_request(reader: &mut impl BufRead) -> Option<Seen> {
    let mut seen = read_head(reader)?;
    let length = seen.headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    seen.body = vec![0; length];
    reader.read_exact(&mut seen.body).ok()?;
    Some(seen)
}

/// Answers every request of a connection with what `answer` makes of it.
pub fn answer_all<S: Read + Write>(stream: S, mut answer: impl FnMut(Seen) -> Vec<u8>) {
    let mut reader = BufReader::new(stream);
    while let Some(seen) = read_request(&mut reader) {
        if reader.get_mut().write_all(&answer(seen)).is_err() || reader.get_mut().flush().is_err() {
            return;
        }
    }
}

pub fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

pub fn net(vars: &[(&str, &str)]) -> Arc<NetConfig> {
    let get = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Arc::new(NetConfig::from_env(&get))
}

pub fn endpoint(base: &str) -> Arc<Endpoint> {
    let headers = vec![("authorization".to_owned(), "Basic c2VjcmV0".to_owned())];
    Arc::new(Endpoint::new(BaseUrl::parse(base).unwrap(), headers))
}

/// A POST with 5 s to live.
pub fn post(endpoint: &Arc<Endpoint>, body: &[u8]) -> Request {
    Request {
        endpoint: Arc::clone(endpoint),
        method: Method::Post,
        path: "/in".into(),
        content_type: Some("application/json"),
        headers: Arc::new([]),
        authorized: true,
        payload: Payload::new(vec![Bytes::copy_from_slice(body)]),
        gzip: false,
        deadline: clock::mono() + 5 * SECOND,
        max_response: 64 * 1024,
        keep_headers: &[],
        repeatable: true,
    }
}

/// Turns a transport and keeps what came out of it.
pub struct Driver {
    pub transport: HttpTransport,
    outcomes: HashMap<Slot, (Outcome, Instant)>,
    next: u64,
}

impl Driver {
    pub fn new(net: Arc<NetConfig>) -> Self {
        Self::of(HttpTransport::new(net).unwrap())
    }

    pub fn of(transport: HttpTransport) -> Self {
        Self { transport, outcomes: HashMap::new(), next: 0 }
    }

    pub fn start(&mut self, request: Request) -> Slot {
        self.next += 1;
        let slot = Slot(self.next);
        self.transport.start(slot, request, clock::now());
        slot
    }

    /// The outcome of an attempt, and when it came.
    pub fn wait_timed(&mut self, slot: Slot) -> (Outcome, Instant) {
        let limit = clock::mono() + 15 * SECOND;
        loop {
            if let Some(outcome) = self.outcomes.remove(&slot) {
                return outcome;
            }
            assert!(clock::mono() < limit, "no outcome");
            let mut finished = Vec::new();
            self.transport.turn(Some(limit), &mut finished);
            let now = Instant::now();
            self.outcomes.extend(finished.into_iter().map(|(slot, outcome)| (slot, (outcome, now))));
        }
    }

    pub fn wait(&mut self, slot: Slot) -> Outcome {
        self.wait_timed(slot).0
    }

    pub fn send(&mut self, request: Request) -> Outcome {
        let slot = self.start(request);
        self.wait(slot)
    }

    /// Turns for a while, for what happens besides.
    pub fn idle(&mut self, time: Duration) {
        let until = clock::mono() + time.as_nanos() as u64;
        while clock::mono() < until {
            self.transport.turn(Some(until), &mut Vec::new());
        }
    }
}

#[track_caller]
pub fn response(outcome: Outcome) -> Response {
    match outcome {
        Outcome::Response(response) => response,
        Outcome::Failed(failure) => panic!("{failure:?}"),
    }
}

#[track_caller]
pub fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Response(response) => panic!("{response:?}"),
    }
}
