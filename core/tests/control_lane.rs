//! Control requests over real sockets, through the one export thread, and across a fork. One test function, because a
//! process has one core and a fork wants to know its threads.

#![cfg(all(unix, feature = "native"))]
#![allow(clippy::unwrap_used, clippy::panic)] // a test: what does not hold shall fail it

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracespool_core::control::{Complete, ControlRequest, Target};
use tracespool_core::native::{self, fork};
use tracespool_core::transport::{FailureKind, Method, Outcome, Payload, Response};
use tracespool_core::{Client, ClientOptions};

const PATIENCE: Duration = Duration::from_secs(5);

/// A request as the server read it: the client's port, head in lower case, body.
type Seen = (u16, String, Vec<u8>);

/// Answers 200 with an etag; `/hang` never, `/die` by closing the connection.
fn server() -> (String, Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (seen, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let seen = seen.clone();
            thread::spawn(move || serve(stream, &seen));
        }
    });
    (url, requests)
}

fn serve(mut stream: TcpStream, seen: &Sender<Seen>) {
    let port = stream.peer_addr().unwrap().port();
    let (mut buffer, mut chunk) = (Vec::new(), [0; 65536]);
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..read]);
        let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |n| n.parse().unwrap());
        if buffer.len() < end + 4 + length {
            continue;
        }
        let body = buffer[end + 4..end + 4 + length].to_vec();
        buffer.drain(..end + 4 + length);
        let (hang, die) = (head.contains("/hang"), head.contains("/die"));
        let _ = seen.send((port, head, body));
        if die {
            return;
        }
        if !hang {
            let answer = b"HTTP/1.1 200 OK\r\netag: \"7\"\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
            stream.write_all(answer).unwrap();
        }
    }
}

fn client(url: &str) -> Client {
    let options = ClientOptions {
        public_key: Some("pk".into()),
        secret_key: Some("sk".into()),
        base_url: Some(format!("{url}/base")),
        ..ClientOptions::default()
    };
    Client::open(options, &|_| None, native::current)
}

#[track_caller]
fn response(outcome: Outcome) -> Response {
    let Outcome::Response(response) = outcome else { panic!("{outcome:?}") };
    response
}

#[track_caller]
fn kind(outcome: Outcome) -> FailureKind {
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    failure.kind
}

fn ask(client: &Client, request: ControlRequest) -> Outcome {
    client.control(request).unwrap().join()
}

/// Asks again from the export thread itself, as an upload in several steps does.
struct Then(Client, crossbeam_channel::Sender<Outcome>);

impl Complete for Then {
    fn complete(self: Box<Self>, outcome: Outcome) {
        let Self(client, reply) = *self;
        assert_eq!(response(outcome).status, 200);
        let ticket = client.control(ControlRequest::get("/second", PATIENCE)).unwrap();
        // Only a test may wait elsewhere for what it asked for here.
        thread::spawn(move || reply.try_send(ticket.join()));
    }
}

#[test]
fn requests_are_carried_by_the_export_thread() {
    let (url, seen) = server();
    let (store, stored) = server();
    let client = client(&url);

    // Below the base URL, with our credentials; the headers that were asked for come back.
    let get = ControlRequest { keep_headers: &["etag", "x-none"], ..ControlRequest::get("/p?v=1", PATIENCE) };
    let answer = response(ask(&client, get));
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"{}"[..]));
    assert_eq!(answer.headers, [("etag".to_owned(), "\"7\"".to_owned())]);
    let (first, head, _) = seen.recv().unwrap();
    assert!(head.starts_with("get /base/p?v=1 http/1.1"), "{head}");
    assert!(head.contains("authorization: basic"), "{head}");

    // A connection is used again, but not for what must not happen twice.
    assert_eq!(response(ask(&client, ControlRequest::get("/again", PATIENCE))).status, 200);
    assert_eq!(seen.recv().unwrap().0, first);
    let post = ControlRequest::json(Method::Post, "/new", b"{\"a\":1}".to_vec(), PATIENCE);
    assert_eq!(response(ask(&client, post)).status, 200);
    let (port, head, body) = seen.recv().unwrap();
    assert!(port != first && head.contains("content-type: application/json"), "{head}");
    assert_eq!(body, b"{\"a\":1}");

    // Elsewhere, without our credentials; a body in pieces.
    let put = ControlRequest {
        method: Method::Put,
        target: Target::foreign(&format!("{store}/bucket/key?sig=a%2Fb")).unwrap(),
        headers: vec![("content-type".into(), "image/png".into()), ("x-checksum".into(), "c".into())],
        body: Payload::new(vec![Bytes::from_static(b"one"), Bytes::from(vec![7; 300_000])]),
        ..ControlRequest::get("", PATIENCE)
    };
    assert_eq!(response(ask(&client, put)).status, 200);
    let (_, head, body) = stored.recv().unwrap();
    assert!(
        head.starts_with("put /bucket/key?sig=a%2fb http/1.1") && head.contains("x-checksum: c"),
        "{head}"
    );
    assert!(head.contains("content-type: image/png") && !head.contains("authorization"), "{head}");
    assert_eq!(body.len(), 300_003);

    // A deadline is total, and the failure says what it is.
    let began = Instant::now();
    let hang = ControlRequest { attempts: 3, ..ControlRequest::get("/hang", Duration::from_millis(300)) };
    assert_eq!(kind(ask(&client, hang)), FailureKind::Timeout);
    assert!((290..400).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let died = ControlRequest::json(Method::Post, "/die", b"{}".to_vec(), PATIENCE);
    assert_eq!(kind(ask(&client, ControlRequest { attempts: 3, ..died })), FailureKind::Network);
    assert_eq!(seen.try_iter().filter(|(_, head, _)| head.contains("/die")).count(), 1);
    let long = ControlRequest { max_response: 1, ..ControlRequest::get("/long", PATIENCE) };
    assert_eq!(kind(ask(&client, long)), FailureKind::Protocol);
    let bad = ControlRequest {
        headers: vec![("x".into(), "a\r\nb".into())],
        ..ControlRequest::get("/x", PATIENCE)
    };
    assert_eq!(kind(ask(&client, bad)), FailureKind::Invalid);

    // A completion may ask for more.
    let (reply, answer) = crossbeam_channel::bounded(1);
    let process = native::current();
    let destination = client.destination().unwrap();
    let request = ControlRequest::get("/first", PATIENCE);
    process.begin_control(&destination, request, Box::new(Then(client.clone(), reply)));
    assert_eq!(response(answer.recv_timeout(PATIENCE).unwrap()).status, 200);

    // Many at once, on as many threads.
    let client_ref = &client;
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(move || {
                assert_eq!(response(ask(client_ref, ControlRequest::get("/many", PATIENCE))).status, 200);
            });
        }
    });

    // The child of a fork is told at once that its parent's request is not its own; its own work.
    let inherited = client.control(ControlRequest::get("/hang", Duration::from_secs(2))).unwrap();
    fork::before();
    #[allow(unsafe_code)]
    // SAFETY: the child runs this crate's code only and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            fork::after_in_child();
            let began = Instant::now();
            let told = kind(inherited.wait(Duration::from_millis(10)).unwrap());
            let own = response(ask(&client, ControlRequest::get("/child", PATIENCE))).status;
            let quick = began.elapsed() < Duration::from_secs(1);
            std::mem::forget(inherited);
            i32::from(!(told == FailureKind::Unavailable && own == 200 && quick))
        }));
        #[allow(unsafe_code)]
        // SAFETY: ends the process.
        unsafe {
            libc::_exit(code.unwrap_or(2))
        }
    }
    fork::after_in_parent();
    let mut status = 0;
    #[allow(unsafe_code)]
    // SAFETY: waits for the child that was just made.
    unsafe {
        libc::waitpid(child, &raw mut status, 0);
    }
    assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 0));
    assert_eq!(kind(inherited.join()), FailureKind::Timeout);
    assert_eq!(response(ask(&client, ControlRequest::get("/parent", PATIENCE))).status, 200);
    assert_eq!(native::current().stats().bytes, 0);
}
