//! How much of a core the transport needs: an open-loop load on a sink in another process that answers after 75 ms.
//!
//! `cargo run --release -p tracespool-core --example transport_load -- [--tls] [--gzip] [--rate 2000] [--seconds 6] [--size 4096] [--lag] [--fresh]`
//!
//! `--fresh` keeps no connection, as where every tenant has its own host and sends less often than every 4 s.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tracespool_core::endpoint::{BaseUrl, Endpoint};
use tracespool_core::native::clock;
use tracespool_core::native::http::{HttpTransport, NetConfig};
use tracespool_core::transport::{Method, Outcome, Payload, Request, Slot, Transport};

const DELAY: Duration = Duration::from_millis(75);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| args.iter().any(|arg| arg == name);
    let number = |name: &str, default: u64| {
        let at = args.iter().position(|arg| arg == name);
        at.and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    if flag("--sink") {
        sink(flag("--tls"));
        return;
    }
    let (rate, seconds, size) = (number("--rate", 2000), number("--seconds", 6), number("--size", 4096));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--sink").args(flag("--tls").then_some("--tls"));
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (port, ca) = line.trim().split_once(' ').unwrap();
    load(
        port,
        ca,
        flag("--tls"),
        flag("--gzip"),
        [flag("--lag"), flag("--fresh")],
        (rate, seconds, size as usize),
    );
    drop(child.stdin.take());
    child.wait().unwrap();
}

fn load(
    port: &str,
    ca: &str,
    tls: bool,
    gzip: bool,
    [lag, fresh]: [bool; 2],
    (rate, seconds, size): (u64, u64, usize),
) {
    let ca = ca.to_owned();
    let net = NetConfig::from_env(&|name| (name == "SSL_CERT_FILE").then(|| ca.clone()));
    let mut transport = HttpTransport::new(Arc::new(net)).unwrap();
    let base = format!("{}://localhost:{port}", if tls { "https" } else { "http" });
    let headers = [
        ("authorization", "Basic cGstbGYtMTIzNDU2NzgtMTIzNDpzay1sZi0xMjM0NTY3OC0xMjM0"),
        ("x-langfuse-ingestion-version", "4"),
        ("x-langfuse-sdk-name", "tracespool"),
        ("x-langfuse-sdk-version", "0.1.0"),
        ("x-langfuse-public-key", "pk-lf-12345678-1234"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let endpoint = Arc::new(Endpoint::new(BaseUrl::parse(&base).unwrap(), headers));
    let payload = Payload::new(body(size));
    let (gap, total) = (1_000_000_000 / rate, rate * seconds);
    let (mut started, mut latencies, mut failed) = (0, Vec::new(), 0);
    let mut began_at: HashMap<Slot, u64> = HashMap::new();
    let mut finished = Vec::new();
    let (cpu, begun) = (thread_cpu(), clock::mono());
    let (mut longest_turn, mut turns) = (0, 0_u64);
    while started < total || transport.in_flight() > 0 {
        let now = clock::now();
        while started < total && begun + started * gap <= now.mono {
            let request = Request {
                endpoint: Arc::clone(&endpoint),
                method: Method::Post,
                path: "/api/public/otel/v1/traces".into(),
                content_type: Some("application/x-protobuf"),
                headers: Arc::new([]),
                authorized: true,
                payload: payload.clone(),
                gzip,
                deadline: now.mono + 5_000_000_000,
                max_response: 64 * 1024,
                keep_headers: &[],
                repeatable: true,
            };
            transport.start(Slot(started), request, now);
            began_at.insert(Slot(started), now.mono);
            started += 1;
        }
        let until = if started < total { begun + started * gap } else { now.mono + 1_000_000_000 };
        // Reading the processor's time costs as much as a request's share of a turn, so only on demand.
        let cpu_before = if lag { thread_cpu() } else { 0 };
        transport.turn(Some(until), &mut finished);
        if lag {
            longest_turn = longest_turn.max(thread_cpu() - cpu_before);
        }
        turns += 1;
        if fresh {
            transport.discard_idle();
        }
        let now = clock::mono();
        for (slot, outcome) in finished.drain(..) {
            latencies.push(now - began_at.remove(&slot).unwrap());
            if !matches!(outcome, Outcome::Response(ref response) if response.status == 200) {
                failed += 1;
                if failed < 4 {
                    println!("{outcome:?}");
                }
            }
        }
    }
    let spent = (clock::mono() - begun) as f64 / 1e9;
    let cpu = (thread_cpu() - cpu) as f64 / 1e9;
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] as f64 / 1e6;
    println!(
        "tls={tls} gzip={gzip} size={size}: {total} requests, {failed} failed, {:.0}/s, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms, \
         cpu {:.1} % of a core = {:.1} us/request, {} connections, {turns} turns, longest turn {:.2} ms of cpu",
        total as f64 / spent,
        at(0.5),
        at(0.99),
        at(1.0),
        cpu / spent * 100.0,
        cpu * 1e6 / total as f64,
        transport.connections(),
        longest_turn as f64 / 1e6,
    );
}

/// Something like a batch of observations: text with repetition, in a few pieces.
fn body(size: usize) -> Vec<Bytes> {
    let mut text = String::new();
    let mut state = 7_u64;
    while text.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(&format!(
            "{{\"id\":\"{state:016x}\",\"input\":\"Summarise the meeting of {}\",\"model\":\"m-4\"}}",
            state >> 40
        ));
    }
    text.truncate(size);
    text.as_bytes().chunks(1024).map(Bytes::copy_from_slice).collect()
}

/// Processor time of this thread in nanoseconds; Linux only.
fn thread_cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// Prints its port and its authority's file, then answers until its standard input ends.
fn sink(tls: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (config, ca) = certificates();
    let path = std::env::temp_dir().join(format!("transport_load-{port}.pem"));
    std::fs::write(&path, ca).unwrap();
    println!("{port} {}", path.display());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_nodelay(true).unwrap();
            let config = Arc::clone(&config);
            let serve = move || {
                if tls {
                    let connection = rustls::ServerConnection::new(config).unwrap();
                    serve(rustls::StreamOwned::new(connection, stream));
                } else {
                    serve(stream);
                }
            };
            thread::Builder::new().stack_size(256 * 1024).spawn(serve).unwrap();
        }
    });
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    std::fs::remove_file(path).unwrap();
}

fn serve(stream: impl Read + Write) {
    let mut reader = BufReader::with_capacity(16 * 1024, stream);
    let mut body = Vec::new();
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        body.resize(length, 0);
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        thread::sleep(DELAY);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nkeep-alive: timeout=5\r\ncontent-length: 2\r\n\r\n{}";
        if reader.get_mut().write_all(answer).is_err() || reader.get_mut().flush().is_err() {
            return;
        }
    }
}

fn certificates() -> (Arc<rustls::ServerConfig>, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(params, ca_key)).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (Arc::new(config), ca)
}
