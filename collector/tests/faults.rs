//! Each way to misbehave does what its name says, to those it is aimed at, and stores nothing.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Answer, Collector, PROTOBUF, SECRET, TRACES, basic, request, span};

fn export(collector: &Collector, patience: Duration) -> std::io::Result<Answer> {
    let authorization = basic("pk-a", SECRET);
    let headers = [PROTOBUF[0], ("authorization", authorization.as_str())];
    collector.try_send("POST", TRACES, &headers, &request(vec![span(1, vec![])]), patience)
}

fn stored(collector: &Collector) -> u64 {
    collector.json("/api/v1/counts")["observations"].as_u64().unwrap()
}

const LONG: Duration = Duration::from_secs(5);

#[test]
fn hang_never_answers() {
    let collector = Collector::start();
    collector.faults(&json!([{"fault": "hang"}]));
    let error = export(&collector, Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    assert_eq!(stored(&collector), 0);
    collector.faults(&json!([]));
    assert_eq!(export(&collector, LONG).unwrap().status, 200);
    assert_eq!(stored(&collector), 1);
}

#[test]
fn a_hung_request_does_not_keep_the_collector_alive() {
    let collector = Collector::start();
    collector.faults(&json!([{"fault": "hang"}]));
    let mut stream = TcpStream::connect(collector.address()).unwrap();
    stream.write_all(b"GET /api/public/health HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    assert_eq!(collector.stop().0, Some(0));
    assert!(begun.elapsed() < Duration::from_millis(2200), "{:?}", begun.elapsed());
}

#[test]
fn drip_sends_a_byte_a_second() {
    let collector = Collector::start();
    collector.faults(&json!([{"fault": "drip"}]));
    let mut stream = TcpStream::connect(collector.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(2500))).unwrap();
    stream.write_all(b"GET /api/public/health HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let (begun, mut byte) = (Instant::now(), [0; 64]);
    for expected in *b"HTT" {
        assert_eq!(stream.read(&mut byte).unwrap(), 1);
        assert_eq!(byte[0], expected);
    }
    assert!((1800..3500).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

#[test]
fn reset_and_truncate_break_the_answer() {
    let collector = Collector::start();
    collector.faults(&json!([{"fault": "reset", "count": 1}, {"fault": "truncate", "count": 1}]));
    assert_eq!(export(&collector, LONG).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let cut = export(&collector, LONG).unwrap();
    let promised: usize = cut.header("content-length").unwrap().parse().unwrap();
    assert!(cut.status == 200 && cut.body.len() < promised && !cut.body.is_empty());
    assert_eq!(stored(&collector), 0);
    assert_eq!(export(&collector, LONG).unwrap().status, 200);
}

#[test]
fn refuse_closes_the_listener_for_a_time() {
    let collector = Collector::start();
    collector.faults(&json!([{"fault": "refuse:600"}]));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(TcpStream::connect(collector.address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(export(&collector, LONG).unwrap().status, 200);
    assert_eq!(collector.json("/api/v1/faults"), json!([]));
}

#[test]
fn refuse_without_a_time_is_ended_over_the_control_address() {
    let key = format!("pk-a:{SECRET}");
    let collector = Collector::start_with(&["--key", &key, "--control", "127.0.0.1:0", "--fault", "refuse"]);
    std::thread::sleep(Duration::from_millis(100));
    assert!(TcpStream::connect(collector.address()).is_err());
    let control = collector.said.lines().next().unwrap().rsplit('/').next().unwrap().to_owned();
    let mut stream = TcpStream::connect(control).unwrap();
    let ask = "DELETE /api/v1/faults HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(ask.as_bytes()).unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(export(&collector, LONG).unwrap().status, 200);
}

#[test]
fn statuses_are_answered_as_told() {
    let collector = Collector::start();
    let met = |fault: &str| {
        collector.faults(&json!([{"fault": fault}]));
        let answer = export(&collector, LONG).unwrap();
        assert_eq!(stored(&collector), 0, "{fault}");
        answer
    };
    assert_eq!(met("500").json()["message"], "Internal Server Error");
    assert_eq!(met("401").status, 401);
    let limited = met("429:7");
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("7")));
    assert_eq!(limited.json()["details"]["retryAfterSeconds"], 7);
    let moved = met("301");
    assert_eq!(moved.status, 301);
    assert!(moved.header("location").unwrap().ends_with("/elsewhere"));
    assert_eq!(met("413:10").status, 413);
    assert_eq!(met("503:2").status, 503);
    assert_eq!(export(&collector, LONG).unwrap().status, 503);
    assert_eq!(export(&collector, LONG).unwrap().status, 200);
    collector.faults(&json!([{"fault": "413:100000"}]));
    assert_eq!(export(&collector, LONG).unwrap().status, 200);
}

#[test]
fn faults_are_aimed_by_path_and_key() {
    let key = format!("pk-a:{SECRET}");
    let collector = Collector::start_with(&["--key", &key, "--fault", "500@path=/api/public/otel@key=pk-a"]);
    assert_eq!(collector.get("/api/public/health").status, 200);
    assert_eq!(export(&collector, LONG).unwrap().status, 500);
    collector.faults(&json!([{"fault": "500", "key": "pk-other"}]));
    assert_eq!(export(&collector, LONG).unwrap().status, 200);
    let answer = collector.send("PUT", "/api/v1/faults", &[], br#"[{"fault": "explode"}]"#);
    assert_eq!(answer.status, 400);
}

#[test]
fn a_score_batch_is_rejected_in_part() {
    let collector = Collector::start();
    collector.faults(&json!([{"fault": "207:2"}]));
    let score = |id: &str| json!({"id": id, "name": "n", "value": 1, "traceId": "t"});
    let answer = collector.post_json("/api/public/scores", &json!([score("a"), score("b"), score("c")]));
    assert_eq!((answer.status, answer.json()["rejected"].as_u64()), (207, Some(2)));
    let list = collector.json("/api/v1/scores");
    assert_eq!((list["data"].as_array().unwrap().len(), &list["data"][0]["id"]), (1, &json!("c")));
}

#[test]
fn delay_stores_and_answers_late() {
    let collector = Collector::start();
    collector.faults(&json!([{"fault": "delay:400"}]));
    let begun = Instant::now();
    assert!(export(&collector, Duration::from_millis(100)).is_err());
    assert_eq!(stored(&collector), 1);
    assert_eq!(export(&collector, LONG).unwrap().status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(500));
}

#[test]
fn idle_connections_are_closed() {
    let collector = Collector::start();
    collector.faults(&json!([{"fault": "close-idle:300"}]));
    let mut stream = TcpStream::connect(collector.address()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET /api/public/health HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut buffer = [0; 1024];
        assert!(stream.read(&mut buffer).unwrap() > 0);
        std::thread::sleep(Duration::from_millis(100));
    }
    let begun = Instant::now();
    assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0, "closed by the server");
    assert!((100..1500).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}
