//! The whole core against a real server on loopback: threads, deadlines, clean-up and forks. One test function, because
//! a process has one core and a fork wants to know its threads.

#![cfg(all(unix, feature = "native"))]
#![allow(clippy::unwrap_used)] // a test: what does not hold shall fail it

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tracespool_core::attr::{Field, ObservationType};
use tracespool_core::encode::otlp::Value;
use tracespool_core::native::{self, fork};
use tracespool_core::report::{DropReason, Lane};
use tracespool_core::{Client, ClientOptions, Observation, Start};

/// One request as the server read it.
struct Seen {
    port: u16,
    spans: usize,
}

/// Answers every request with 200, or reads and never answers.
fn server(hang: bool) -> (String, Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (seen, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = seen.clone();
            thread::spawn(move || serve(stream, hang, &seen));
        }
    });
    (url, requests)
}

fn serve(mut stream: TcpStream, hang: bool, seen: &Sender<Seen>) {
    let port = stream.peer_addr().unwrap().port();
    let (mut buffer, mut chunk) = (Vec::new(), [0; 65536]);
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..read]);
        let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |n| n.parse().unwrap());
        if buffer.len() < end + 4 + length {
            continue;
        }
        let body = buffer[end + 4..end + 4 + length].to_vec();
        buffer.drain(..end + 4 + length);
        let spans = body.windows(6).filter(|six| six == b"marker").count();
        let _ = seen.send(Seen { port, spans });
        if !hang {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        }
    }
}

fn client(url: &str, key: &str) -> Client {
    let options = ClientOptions {
        public_key: Some(key.into()),
        secret_key: Some("sk".into()),
        base_url: Some(url.into()),
        gzip: Some(false),
        ..ClientOptions::default()
    };
    Client::open(options, &|_| None, native::current)
}

fn begin(client: &Client) -> Observation {
    let start = Start {
        name: "marker",
        kind: ObservationType::Span,
        parent: None,
        trace_context: None,
        propagated: None,
        values: None,
        start_time: None,
    };
    let observation = client.start(&start);
    observation.set(Field::Input, Value::Str("x"));
    observation
}

fn export_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks
        .filter(|task| {
            std::fs::read_to_string(task.path().join("comm")).unwrap_or_default().starts_with("tracespool")
        })
        .count()
}

fn spans(requests: &Receiver<Seen>) -> HashMap<u16, usize> {
    let mut by_port = HashMap::new();
    while let Ok(seen) = requests.recv_timeout(Duration::from_millis(200)) {
        *by_port.entry(seen.port).or_default() += seen.spans;
    }
    by_port
}

#[test]
fn a_process_lives_flushes_forks_and_says_goodbye() {
    let (url, requests) = server(false);
    let (hung, _keep) = server(true);

    // Making clients starts nothing; neither do observations of a disabled one.
    let disabled = Client::open(
        ClientOptions { tracing_enabled: Some(false), ..ClientOptions::default() },
        &|_| None,
        native::current,
    );
    assert!(!begin(&disabled).end(None));
    let well = client(&url, "pk-well");
    assert_eq!(export_threads(), 0);

    // A flush delivers, and waits for nobody else.
    let dead = client(&hung, "pk-dead");
    begin(&dead).end(None);
    for _ in 0..20 {
        begin(&well).end(None);
    }
    let began = Instant::now();
    let report = well.flush(Duration::from_secs(5));
    assert!(report.complete && report.delivered == 20, "{report:?}");
    assert!(began.elapsed() < Duration::from_millis(500));
    assert_eq!(spans(&requests).values().sum::<usize>(), 20);
    assert_eq!(export_threads(), 1);

    // A hung server costs the deadline and no more.
    let began = Instant::now();
    let report = dead.flush(Duration::from_millis(300));
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(290) && took < Duration::from_millis(400), "{took:?}");
    assert_eq!((report.delivered, report.pending + report.unconfirmed), (0, 1));

    // Nothing is lost or doubled by a fork, and the child's connections are its own.
    let kept = begin(&well);
    begin(&well).end(None);
    fork::before();
    // A joined thread may still be listed for some microseconds.
    let gone = (0..100).any(|_| {
        thread::sleep(Duration::from_micros(200));
        export_threads() == 0
    });
    assert!(gone, "the thread hands its state back");
    #[allow(unsafe_code)]
    // SAFETY: the child runs this crate's code only and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // Panics in the child must not unwind into the test harness's copy.
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            fork::after_in_child();
            kept.end(None);
            for _ in 0..3 {
                begin(&well).end(None);
            }
            let report = well.flush(Duration::from_secs(5));
            let forked = well.tally(Lane::Observations).dropped[DropReason::Forked as usize];
            i32::from(!(report.complete && report.delivered == 3 && forked == 1))
        }));
        #[allow(unsafe_code)]
        // SAFETY: ends the process.
        unsafe {
            libc::_exit(code.unwrap_or(2))
        }
    }
    fork::after_in_parent();
    kept.end(None);
    let mut status = 0;
    #[allow(unsafe_code)]
    // SAFETY: waits for the child that was just made.
    unsafe {
        libc::waitpid(child, &raw mut status, 0);
    }
    assert_eq!(libc::WEXITSTATUS(status), 0);
    let report = well.flush(Duration::from_secs(5));
    assert!(report.complete, "{report:?}");
    assert_eq!(well.tally(Lane::Observations).delivered, 22);
    let by_port = spans(&requests);
    assert_eq!(by_port.values().sum::<usize>(), 5, "two of the parent's, three of the child's: {by_port:?}");
    assert!(by_port.values().any(|spans| *spans == 3), "{by_port:?}");

    // A clean-up forgets, and a handle used again works again.
    let report = well.shutdown(Duration::from_secs(3));
    assert!(report.complete);
    begin(&well).end(None);
    assert!(well.flush(Duration::from_secs(5)).complete);
    let report = native::current()
        .cleanup(|destination| destination.public_key() == "pk-dead", Duration::from_millis(100));
    let report = report.join(&native::current());
    assert_eq!(report.delivered, 0);
    assert_eq!(native::current().stats().clients, 1);

    // Everything that was submitted has ended somewhere; a flush answers at its deadline even where the exporter is late.
    let until = Instant::now() + Duration::from_secs(5);
    while native::current().stats().observations.pending > 0 && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    let stats = native::current().stats();
    let ended = stats.observations.delivered
        + stats.observations.dropped.iter().map(|(_, count)| count).sum::<u64>()
        + stats.observations.unconfirmed;
    assert_eq!((stats.observations.pending, stats.observations.submitted), (0, ended));
    assert_eq!(stats.bytes, 0);

    // The goodbye has one deadline; what comes after it is counted.
    begin(&client(&hung, "pk-dead-too")).end(None);
    begin(&well).end(None);
    let began = Instant::now();
    let report = native::exit::begin(Duration::from_millis(400)).unwrap().join();
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!((report.delivered, report.pending + report.unconfirmed), (1, 1));
    assert_eq!(native::exit::announce(Duration::from_secs(60)), Some(Duration::ZERO));
    let again = Instant::now();
    let _ = native::exit::begin(Duration::from_secs(60)).unwrap().join();
    assert!(again.elapsed() < Duration::from_millis(100), "{:?}", again.elapsed());
    thread::sleep(Duration::from_millis(20)); // past the deadline on the real clock
    begin(&well).end(None);
    assert_eq!(well.tally(Lane::Observations).dropped[DropReason::AfterGoodbye as usize], 1);
}
