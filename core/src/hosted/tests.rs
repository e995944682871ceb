use std::sync::Mutex;
use std::sync::OnceLock;

use super::*;
use crate::Client;
use crate::encode::otlp::Envelope;
use crate::process::Clock;
use crate::report::Lane;
use crate::standing;
use crate::transport::{Method, Request, Response};

const SECOND: u64 = 1_000_000_000;

/// Each test has the one process that its clients find to itself.
static TURN: Mutex<()> = Mutex::new(());
static NOW: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(SECOND);

#[derive(Debug)]
struct Told;
impl Clock for Told {
    fn now(&self) -> Now {
        let mono = NOW.load(Ordering::Relaxed);
        Now { mono, unix: 1_700_000_000 * SECOND + mono }
    }
}

fn pass(nanos: u64) {
    NOW.fetch_add(nanos, Ordering::Relaxed);
}

static PROCESS: OnceLock<Arc<Process>> = OnceLock::new();

fn home() -> Arc<Process> {
    PROCESS.get_or_init(|| Process::new(LIMITS, Envelope::new(&[], "scope", "1"), Box::new(Told))).clone()
}

static HOSTED: OnceLock<Mutex<Hosted>> = OnceLock::new();

fn hosted() -> &'static Mutex<Hosted> {
    HOSTED.get_or_init(|| Mutex::new(Hosted::new(home())))
}

fn client(key: &str) -> Client {
    standing::client(key, home)
}

fn trace(client: &Client, number: u64) {
    let record = format!("0{:032x}{:016x}span\u{1f}s\u{1f}", number + 1, number + 1);
    client.take_record(&record, 1, 2);
}

#[test]
fn what_was_handed_over_before_there_was_a_driver_is_looked_at() {
    let process = Process::new(LIMITS, Envelope::new(&[], "scope", "1"), Box::new(Told));
    let hosted = Hosted::new(process);
    assert!(hosted.rang());
    assert!(!hosted.rang());
}

fn begun(hosted: &mut Hosted) -> Vec<(Slot, Request)> {
    std::iter::from_fn(|| hosted.poll_action())
        .filter_map(|action| match action {
            Action::Send { slot, request } => Some((slot, request)),
            _ => None,
        })
        .collect()
}

fn answer(status: u16) -> Outcome {
    Outcome::Response(Response { status, ..Response::default() })
}

#[test]
fn what_is_traced_goes_out_in_one_request_when_somebody_flushes() {
    let _turn = TURN.lock();
    let mut hosted = hosted().lock().unwrap();
    let client = client("pk-one");
    for number in 0..200 {
        trace(&client, number);
    }
    hosted.turn();
    assert!(begun(&mut hosted).is_empty(), "it waits for company");
    let (_, ticket) = client.begin_flush(Duration::from_secs(5), false).unwrap();
    assert!(hosted.rang());
    hosted.turn();
    let requests = begun(&mut hosted);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].1.method, Method::Post);
    let held = home().shared().budget.used();
    assert!(held > requests[0].1.payload.len(), "what is on its way is counted");
    hosted.finish(requests[0].0, &answer(200));
    assert_eq!(ticket.poll().unwrap().delivered, 200);
    hosted.turn();
    assert!(hosted.is_idle());
    assert_eq!(home().shared().budget.used(), 0);
}

#[test]
fn a_request_whose_host_is_gone_is_given_up_and_sent_again() {
    let _turn = TURN.lock();
    let mut hosted = hosted().lock().unwrap();
    let client = client("pk-gone");
    trace(&client, 1);
    let (_, ticket) = client.begin_flush(Duration::from_secs(30), false).unwrap();
    hosted.turn();
    let first = begun(&mut hosted);
    assert_eq!((first.len(), hosted.in_flight()), (1, 1));
    // Nobody ever tells of it, and turns come often.
    let next = hosted.turn();
    assert!(next <= first[0].1.deadline + LOST_AFTER);
    for _ in 0..8 {
        pass(SECOND);
        hosted.turn();
    }
    let second = begun(&mut hosted);
    assert_eq!(second.len(), 1);
    // What comes late from the first means nothing.
    hosted.finish(first[0].0, &answer(500));
    assert_eq!(hosted.in_flight(), 1);
    hosted.finish(second[0].0, &answer(200));
    assert_eq!(ticket.poll().unwrap().delivered, 1);
    assert_eq!(client.tally(Lane::Observations).pending, 0);
    hosted.turn();
    assert_eq!(home().shared().budget.used(), 0);
}

#[test]
fn at_most_four_requests_are_under_way() {
    let _turn = TURN.lock();
    let mut hosted = hosted().lock().unwrap();
    let clients: Vec<Client> = (0..10).map(|number| client(&format!("pk-many-{number}"))).collect();
    for client in &clients {
        trace(client, 1);
    }
    let ticket = home().begin_flush(None, Duration::from_secs(5), false);
    hosted.turn();
    let mut sent = 0;
    loop {
        let requests = begun(&mut hosted);
        if requests.is_empty() {
            break;
        }
        sent += requests.len();
        assert!(hosted.in_flight() <= LIMITS.in_flight.process);
        for (slot, _) in requests {
            hosted.finish(slot, &answer(200));
        }
        hosted.turn();
    }
    assert_eq!(sent, 10);
    assert_eq!(ticket.poll().unwrap().delivered, 10);
}
