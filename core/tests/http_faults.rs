//! Whatever a server does, an attempt ends by its deadline with the outcome that is true, and delays nobody.

#![allow(clippy::unwrap_used)]

mod http_support;

use std::collections::HashSet;
use std::io::{BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use http_support::*;
use tracespool_core::native::clock;
use tracespool_core::native::http::HttpTransport;
use tracespool_core::transport::{FailureKind, Phase, Slot, Transport};

/// Reads one request, then does what the test wants.
fn after_request(then: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let address = server(move |_, stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        if read_request(&mut reader).is_some() {
            then(stream);
        }
    });
    format!("http://{address}")
}

fn outcome_of(base: &str) -> (Phase, FailureKind) {
    let failure = failure(Driver::new(net(&[])).send(post(&endpoint(base), b"body")));
    assert!(!failure.detail.contains("c2VjcmV0"), "{failure:?}");
    (failure.phase, failure.kind)
}

/// How far an outcome was from its deadline, which lies 300 ms ahead.
fn lateness(base: &str, phase: Phase) {
    let mut driver = Driver::new(net(&[]));
    let mut request = post(&endpoint(base), b"body");
    request.deadline = clock::mono() + 300_000_000;
    let due = Instant::now() + Duration::from_millis(300);
    let slot = driver.start(request);
    let (outcome, at) = driver.wait_timed(slot);
    let failure = failure(outcome);
    assert_eq!((failure.phase, failure.kind), (phase, FailureKind::Timeout), "{failure:?}");
    let off = at.saturating_duration_since(due).max(due.saturating_duration_since(at));
    assert!(off < Duration::from_millis(50), "{off:?} from its deadline");
    assert_eq!((driver.transport.in_flight(), driver.transport.connections()), (0, 0));
}

#[test]
fn a_server_that_hangs_costs_the_deadline_and_no_more() {
    lateness(&after_request(|_stream| thread::sleep(Duration::from_secs(2))), Phase::Receive);
}

#[test]
fn a_server_that_drips_cannot_extend_the_deadline() {
    let drip = |mut stream: TcpStream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").unwrap();
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
    };
    lateness(&after_request(drip), Phase::Receive);
}

#[test]
fn a_name_that_never_resolves_costs_the_deadline_and_no_more() {
    let (hold, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let lookup = Arc::new(move |_: &str| -> std::io::Result<Vec<IpAddr>> {
        let _ = held.lock().unwrap().recv();
        Ok(vec![[127, 0, 0, 1].into()])
    });
    let mut driver = Driver::of(HttpTransport::with_lookup(net(&[]), lookup).unwrap());
    let good = server(|_, stream| answer_all(stream, |_| ok("fine")));
    let mut request = post(&endpoint(&format!("http://hung.test:{}", good.port())), b"");
    request.deadline = clock::mono() + 300_000_000;
    let began = Instant::now();
    let hung = driver.start(request);
    // Others go on meanwhile.
    assert_eq!(response(driver.send(post(&endpoint(&format!("http://{good}")), b"x"))).status, 200);
    assert!(began.elapsed() < Duration::from_millis(250));
    let failure = failure(driver.wait(hung));
    assert_eq!((failure.phase, failure.kind), (Phase::Resolve, FailureKind::Timeout));
    // The late answer is still welcome, and then remembered.
    hold.send(()).unwrap();
    for _ in 0..2 {
        let named = endpoint(&format!("http://hung.test:{}", good.port()));
        assert_eq!(response(driver.send(post(&named, b"x"))).body, b"fine");
    }
}

#[test]
fn a_refused_connection_is_a_network_failure() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(outcome_of(&format!("http://127.0.0.1:{port}")), (Phase::Connect, FailureKind::Network));
}

#[test]
fn an_address_that_refuses_hands_over_to_the_next() {
    let good = server(|_, stream| answer_all(stream, |_| ok("fine")));
    // Nothing listens on the good server's port on the first two.
    let lookup = Arc::new(move |_: &str| {
        Ok(vec![[127, 0, 0, 77].into(), "::1".parse().unwrap(), [127, 0, 0, 1].into()])
    });
    let mut driver = Driver::of(HttpTransport::with_lookup(net(&[]), lookup).unwrap());
    let began = Instant::now();
    let named = endpoint(&format!("http://many.test:{}", good.port()));
    assert_eq!(response(driver.send(post(&named, b"x"))).status, 200);
    assert!(began.elapsed() < Duration::from_millis(200));
}

#[test]
fn a_server_that_closes_or_resets_is_a_network_failure() {
    assert_eq!(outcome_of(&after_request(drop)), (Phase::Receive, FailureKind::Network));
    // Closing with unread bytes resets.
    let reset = server(|_, mut stream| {
        let _ = stream.read(&mut [0; 8]);
    });
    let (phase, kind) = outcome_of(&format!("http://{reset}"));
    assert!(matches!(phase, Phase::Send | Phase::Receive), "{phase:?}");
    assert_eq!(kind, FailureKind::Network);
}

#[test]
fn a_truncated_body_is_no_answer() {
    let truncated = |mut stream: TcpStream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort").unwrap()
    };
    assert_eq!(outcome_of(&after_request(truncated)), (Phase::Receive, FailureKind::Network));
}

#[test]
fn what_is_not_http_is_a_protocol_failure() {
    let other = |mut stream: TcpStream| stream.write_all(b"220 mail.example.com ESMTP\r\n").unwrap();
    assert_eq!(outcome_of(&after_request(other)), (Phase::Receive, FailureKind::Protocol));
}

#[test]
fn a_redirect_is_an_ordinary_answer() {
    let address = server(|_, stream| {
        answer_all(stream, |_| {
            b"HTTP/1.1 301 Moved\r\nlocation: http://elsewhere.test/\r\ncontent-length: 0\r\n\r\n".to_vec()
        });
    });
    let answer = response(Driver::new(net(&[])).send(post(&endpoint(&format!("http://{address}")), b"body")));
    assert_eq!((answer.status, answer.body.len()), (301, 0));
}

#[test]
fn an_answer_without_a_length_ends_with_the_connection() {
    let address =
        after_request(|mut stream| stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nuntil the end").unwrap());
    let mut driver = Driver::new(net(&[]));
    assert_eq!(response(driver.send(post(&endpoint(&address), b"body"))).body, b"until the end");
    assert_eq!(driver.transport.connections(), 0);
}

#[test]
fn an_answer_before_the_end_of_the_body_counts() {
    let address = server(|_, mut stream| {
        read_head(&mut BufReader::new(stream.try_clone().unwrap()));
        stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig").unwrap();
        // Reads on slowly, so that the request is unfinished when the answer arrives.
        thread::sleep(Duration::from_millis(500));
    });
    let mut driver = Driver::new(net(&[]));
    let answer = response(driver.send(post(&endpoint(&format!("http://{address}")), &vec![b'x'; 9_000_000])));
    assert_eq!((answer.status, answer.body.as_slice()), (413, &b"big"[..]));
    assert_eq!(driver.transport.connections(), 0, "half a request cannot be followed by another");
}

#[test]
fn what_cannot_be_a_request_fails_alone() {
    let address = server(|_, stream| answer_all(stream, |_| ok("fine")));
    let mut driver = Driver::new(net(&[]));
    let mut request = post(&endpoint(&format!("http://{address}")), b"body");
    request.path = "/a b".into();
    assert_eq!(failure(driver.send(request)).kind, FailureKind::Invalid);
    assert_eq!(driver.transport.connections(), 0);
}

#[test]
fn a_cancelled_attempt_has_no_outcome() {
    let address = after_request(|_stream| thread::sleep(Duration::from_secs(1)));
    let mut driver = Driver::new(net(&[]));
    let slot = driver.start(post(&endpoint(&address), b"body"));
    driver.idle(Duration::from_millis(30));
    assert_eq!(driver.transport.in_flight(), 1);
    driver.transport.cancel(slot);
    assert_eq!((driver.transport.in_flight(), driver.transport.connections()), (0, 0));
    assert_eq!(driver.transport.buffered_bytes(), 0);
}

#[test]
fn another_thread_can_end_a_turn() {
    let mut driver = Driver::new(net(&[]));
    let wake = driver.transport.waker();
    let began = Instant::now();
    let waking = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        wake();
    });
    driver.transport.turn(Some(clock::mono() + 5 * SECOND), &mut Vec::new());
    assert!(began.elapsed() < Duration::from_secs(1));
    waking.join().unwrap();
}

#[test]
fn an_endless_answer_is_cut_and_taken() {
    let address = after_request(|mut stream| {
        stream.write_all(b"HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        let chunk = [&b"10000\r\n"[..], &vec![b'x'; 0x10000], b"\r\n"].concat();
        while stream.write_all(&chunk).is_ok() {}
    });
    let mut driver = Driver::new(net(&[]));
    let mut request = post(&endpoint(&address), b"body");
    request.max_response = 1000;
    let answer = response(driver.send(request));
    assert_eq!((answer.status, answer.body.len()), (500, 1000));
    assert_eq!(driver.transport.connections(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn an_address_that_never_answers_costs_a_quarter_of_a_second() {
    // A listener whose queue is full drops further attempts to connect, as a dead host does.
    let full = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = full.local_addr().unwrap().port();
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&full.local_addr().unwrap(), Duration::from_millis(100))
    {
        queue.push(stream);
        assert!(queue.len() < 10_000);
    }
    let good = TcpListener::bind(("127.0.0.1", port)).unwrap();
    thread::spawn(move || answer_all(good.accept().unwrap().0, |_| ok("fine")));
    let to = endpoint(&format!("http://half-dead.test:{port}"));
    let timed = |addresses: Vec<IpAddr>| {
        let lookup = Arc::new(move |_: &str| Ok(addresses.clone()));
        let mut driver = Driver::of(HttpTransport::with_lookup(net(&[]), lookup).unwrap());
        let began = Instant::now();
        let outcome = driver.send(post(&to, b"x"));
        assert_eq!(driver.transport.in_flight(), 0);
        (outcome, began.elapsed().as_millis())
    };
    let (outcome, took) = timed(vec![[127, 0, 0, 2].into(), [127, 0, 0, 1].into()]);
    assert_eq!(response(outcome).body, b"fine");
    assert!((250..400).contains(&took), "{took} ms");
    let (outcome, took) = timed(vec![[127, 0, 0, 2].into()]);
    let failed = failure(outcome);
    assert_eq!((failed.phase, failed.kind), (Phase::Connect, FailureKind::Timeout));
    assert!((2_000..2_100).contains(&took), "{took} ms");
}

#[test]
fn whatever_happens_every_attempt_ends_once_and_nothing_is_left_behind() {
    // Seven ways to serve a connection, by its number.
    let address = server(|number, mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        match number % 7 {
            0 | 1 => answer_all(stream, |_| ok("fine")),
            2 => thread::sleep(Duration::from_millis(200)),
            3 => drop(read_head(&mut reader)),
            4 => {
                if read_request(&mut reader).is_some() {
                    let _ = stream.write_all(&ok("surplus HTTP/1.1 200 OK\r\n\r\n"));
                    let _ = read_request(&mut reader);
                }
            }
            5 => drop(stream.write_all(b"HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n")),
            _ => {
                while read_request(&mut reader).is_some() && stream.write_all(b"HTTP/1.1 200 OK\r\n").is_ok()
                {
                    thread::sleep(Duration::from_millis(5));
                    let _ = stream.write_all(b"transfer-encoding: chunked\r\n\r\n4\r\nslow\r\n0\r\n\r\n");
                }
            }
        }
    });
    let mut driver = Driver::new(net(&[]));
    let to = endpoint(&format!("http://{address}"));
    let mut state = 42_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (mut open, mut ended, mut cancelled, total) = (HashSet::new(), 0, 0, 600);
    let mut finished = Vec::new();
    let limit = Instant::now() + Duration::from_secs(30);
    for number in 0.. {
        if number < total {
            let mut request = post(&to, &vec![b'z'; random(200_000) as usize]);
            request.deadline = clock::mono() + random(100) * 1_000_000;
            request.gzip = random(2) == 0;
            driver.transport.start(Slot(number), request, clock::now());
            open.insert(Slot(number));
        } else if open.is_empty() {
            break;
        }
        if random(10) == 0
            && let Some(slot) = open.iter().next().copied()
        {
            open.remove(&slot);
            driver.transport.cancel(slot);
            cancelled += 1;
        }
        driver.transport.turn(Some(clock::mono() + random(3) * 1_000_000), &mut finished);
        for (slot, _) in finished.drain(..) {
            assert!(open.remove(&slot), "{slot:?} ended twice or after it was cancelled");
            ended += 1;
        }
        assert_eq!(driver.transport.in_flight(), open.len());
        assert!(Instant::now() < limit);
    }
    assert_eq!((ended + cancelled, driver.transport.buffered_bytes()), (total, 0));
    driver.transport.discard_idle();
    assert_eq!(driver.transport.connections(), 0);
}
