//! Connections are used again when that is safe, and never when it is not.

#![allow(clippy::unwrap_used)]

mod http_support;

use std::io::{BufReader, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http_support::*;
use tracespool_core::native::clock;
use tracespool_core::transport::{FailureKind, Payload, Phase, Transport};

/// Answers with the number of the connection that the request came on.
fn numbered(answer: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> String {
    let address = server(move |number, stream| answer_all(stream, |_| answer(number)));
    format!("http://{address}")
}

fn bodies(driver: &mut Driver, base: &str, times: usize) -> String {
    let endpoint = endpoint(base);
    (0..times)
        .map(|_| String::from_utf8(response(driver.send(post(&endpoint, b"x"))).body).unwrap())
        .collect()
}

#[test]
fn a_connection_serves_again_after_an_exact_end() {
    let mut driver = Driver::new(net(&[]));
    assert_eq!(bodies(&mut driver, &numbered(|n| ok(&n.to_string())), 3), "000");
    let chunked = |n: usize| {
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{n}\r\n0\r\n\r\n").into_bytes()
    };
    assert_eq!(bodies(&mut driver, &numbered(chunked), 3), "000");
    assert_eq!(driver.transport.connections(), 2);
    driver.transport.discard_idle();
    assert_eq!(driver.transport.connections(), 0);
}

#[test]
fn surplus_bytes_or_a_close_end_it() {
    let mut driver = Driver::new(net(&[]));
    assert_eq!(
        bodies(&mut driver, &numbered(|n| ok(&format!("{n}HTTP/1.1 200 OK\r\n")).replace_length(1)), 2),
        "01"
    );
    let closing = |n: usize| {
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n{n}").into_bytes()
    };
    assert_eq!(bodies(&mut driver, &numbered(closing), 2), "01");
    let impatient = |n: usize| {
        format!("HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 1\r\n\r\n{n}").into_bytes()
    };
    assert_eq!(bodies(&mut driver, &numbered(impatient), 2), "01");
    assert_eq!(driver.transport.connections(), 0);
}

trait ReplaceLength {
    fn replace_length(self, length: usize) -> Self;
}

impl ReplaceLength for Vec<u8> {
    fn replace_length(self, length: usize) -> Self {
        let text = String::from_utf8(self).unwrap();
        let (before, after) = text.split_once("content-length: ").unwrap();
        let (_, rest) = after.split_once("\r\n").unwrap();
        format!("{before}content-length: {length}\r\n{rest}").into_bytes()
    }
}

#[test]
fn a_connection_that_the_server_closed_is_noticed_and_left() {
    let address = server(|n, stream| {
        let mut reader = BufReader::new(stream);
        read_request(&mut reader);
        reader.get_mut().write_all(&ok(&n.to_string())).unwrap();
    });
    let mut driver = Driver::new(net(&[]));
    let base = format!("http://{address}");
    assert_eq!(bodies(&mut driver, &base, 1), "0");
    driver.idle(Duration::from_millis(50));
    assert_eq!(driver.transport.connections(), 0);
    assert_eq!(bodies(&mut driver, &base, 1), "1");
}

#[test]
fn a_connection_that_dies_on_reuse_is_retried_on_a_new_one() {
    let (seen, requests) = mpsc::channel();
    let address = server(move |n, stream| {
        let mut reader = BufReader::new(stream);
        let first = read_request(&mut reader).unwrap();
        seen.send(first.body.len()).unwrap();
        reader.get_mut().write_all(&ok(&n.to_string())).unwrap();
        // The second request arrives and finds nobody: the race that every idle connection runs.
        drop(read_request(&mut reader));
    });
    let mut driver = Driver::new(net(&[]));
    let to = endpoint(&format!("http://{address}"));
    let large = vec![b'y'; 300_000];
    assert_eq!(response(driver.send(post(&to, b"x"))).body, b"0");
    assert_eq!(response(driver.send(post(&to, &large))).body, b"1");
    assert_eq!(requests.iter().take(2).collect::<Vec<_>>(), [1, large.len()]);
}

#[test]
fn a_new_connection_that_dies_is_not_retried() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let address = server(move |_, stream| {
        counter.fetch_add(1, Ordering::SeqCst);
        drop(read_request(&mut BufReader::new(stream)));
    });
    let failed = failure(Driver::new(net(&[])).send(post(&endpoint(&format!("http://{address}")), b"x")));
    assert_eq!((failed.phase, failed.kind), (Phase::Receive, FailureKind::Network));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn an_idle_connection_is_closed_after_four_seconds() {
    let mut driver = Driver::new(net(&[]));
    let base = numbered(|n| ok(&n.to_string()));
    assert_eq!(bodies(&mut driver, &base, 1), "0");
    driver.idle(Duration::from_millis(3_500));
    assert_eq!(driver.transport.connections(), 1);
    driver.idle(Duration::from_millis(1_100));
    assert_eq!(driver.transport.connections(), 0);
}

#[test]
fn bodies_go_out_as_gzip_and_come_back_from_it() {
    let address = server(|_, stream| {
        answer_all(stream, |seen| {
            assert_eq!(seen.headers["content-encoding"], "gzip");
            assert_eq!(seen.headers["accept-encoding"], "gzip");
            let mut text = Vec::new();
            GzDecoder::new(seen.body.as_slice()).read_to_end(&mut text).unwrap();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&text).unwrap();
            let body = encoder.finish().unwrap();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            [head.into_bytes(), body].concat()
        });
    });
    let mut driver = Driver::new(net(&[]));
    let to = endpoint(&format!("http://{address}"));
    for size in [10, 4_000, 500_000] {
        let text: Vec<u8> = (0..size).map(|i| b'a' + (i * 7 % 23) as u8).collect();
        let mut request = post(&to, b"");
        request.payload = Payload::new(text.chunks(1000).map(Bytes::copy_from_slice).collect());
        request.gzip = true;
        request.max_response = size;
        assert_eq!(response(driver.send(request)).body, text);
        assert_eq!(driver.transport.buffered_bytes(), 0);
    }
    assert_eq!(driver.transport.connections(), 1);
}

#[test]
fn a_hundred_requests_at_once_take_one_round_trip() {
    let address = server(|_, stream| {
        answer_all(stream, |_| {
            thread::sleep(Duration::from_millis(75));
            ok("fine")
        });
    });
    let mut driver = Driver::new(net(&[]));
    let to = endpoint(&format!("http://{address}"));
    for _ in 0..2 {
        let began = clock::mono();
        let slots: Vec<_> = (0..100).map(|_| driver.start(post(&to, &[b'x'; 4000]))).collect();
        for slot in slots {
            assert_eq!(response(driver.wait(slot)).status, 200);
        }
        let took = (clock::mono() - began) / 1_000_000;
        assert!((75..1_000).contains(&took), "{took} ms");
    }
    assert_eq!(driver.transport.connections(), 100);
}

#[test]
fn a_large_body_does_not_delay_a_small_one() {
    let slow = server(|_, mut stream| {
        // Takes 9 MB at its own pace.
        let mut buffer = vec![0; 200_000];
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut left: usize = read_head(&mut reader).unwrap().headers["content-length"].parse().unwrap();
        while left > 0 {
            left -= reader.read(&mut buffer).unwrap();
            thread::sleep(Duration::from_millis(2));
        }
        stream.write_all(&ok("large")).unwrap();
    });
    let fast = server(|_, stream| answer_all(stream, |_| ok("small")));
    let mut driver = Driver::new(net(&[]));
    for gzip in [false, true] {
        // Not compressible, so that as much goes over the wire either way.
        let mut state = 1_u64;
        let noise: Vec<u8> = (0..9_000_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let mut request = post(&endpoint(&format!("http://{slow}")), &noise);
        request.deadline = clock::mono() + 15 * SECOND;
        request.gzip = gzip;
        let large = driver.start(request);
        let to = endpoint(&format!("http://{fast}"));
        // Not in milliseconds: an unoptimised compressor on a busy machine needs seconds for the large one.
        for _ in 0..5 {
            let mut request = post(&to, &[b'x'; 4000]);
            request.gzip = gzip;
            assert_eq!(response(driver.send(request)).body, b"small");
            assert_eq!(driver.transport.in_flight(), 1, "the large one is still under way");
        }
        assert_eq!(response(driver.wait(large)).body, b"large");
        assert_eq!(driver.transport.buffered_bytes(), 0);
    }
}
