//! The cache in virtual time.

use super::*;
use crate::endpoint::BaseUrl;
use crate::prompt::{Kind, Which};
use crate::transport::{Failure, Phase};

const SECOND: u64 = 1_000_000_000;
const TTL: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(5);

fn destination(secret: &str) -> DestinationKey {
    DestinationKey::new(&BaseUrl::parse("http://h").unwrap(), "pk", secret, &[])
}

fn key(name: &str) -> PromptKey {
    PromptKey {
        destination: destination("sk"),
        name: name.into(),
        kind: Kind::Text,
        which: Which::production(),
    }
}

fn prompt(version: i64) -> Arc<Prompt> {
    sized(version, 100)
}

fn sized(version: i64, size: usize) -> Arc<Prompt> {
    Arc::new(Prompt {
        name: "p".into(),
        version,
        kind: Kind::Text,
        content: String::new(),
        config: "{}".into(),
        labels: Vec::new(),
        tags: Vec::new(),
        commit_message: None,
        size,
    })
}

fn refused(status: u16) -> PromptError {
    PromptError::Refused { status, body: "".into() }
}

fn timed_out() -> PromptError {
    let detail = String::new();
    PromptError::Failed(Failure { phase: Phase::Receive, kind: FailureKind::Timeout, detail })
}

/// What a caller without a fallback is told, in few words.
#[derive(Debug, PartialEq)]
enum Told {
    Hit(i64, bool),
    Failed(bool),
    Wait(bool),
}

struct Desk {
    cache: PromptCache,
    now: u64,
    flights: Vec<Arc<Flight>>,
}

impl Desk {
    fn new() -> Self {
        Self { cache: PromptCache::default(), now: SECOND, flights: Vec::new() }
    }

    fn ask(&mut self, key: &PromptKey) -> Told {
        self.ask_with(key, PATIENCE, false)
    }

    fn ask_with(&mut self, key: &PromptKey, allowance: Duration, fallback: bool) -> Told {
        match self.cache.look(key, allowance, fallback, self.now) {
            Look::Hit { prompt, refresh } => {
                let begun = refresh.is_some();
                self.flights.extend(refresh);
                Told::Hit(prompt.version, begun)
            }
            Look::Failed { refresh, .. } => {
                let begun = refresh.is_some();
                self.flights.extend(refresh);
                Told::Failed(begun)
            }
            Look::Wait { flight, begin } => {
                self.flights.push(flight);
                Told::Wait(begin)
            }
        }
    }

    /// Ends the latest fetch.
    fn land(&mut self, key: &PromptKey, answer: Answer) {
        let flight = self.flights.last().unwrap().clone();
        self.cache.land(key, &flight, answer, TTL, self.now);
    }
}

#[test]
fn one_fetch_however_many_ask_and_fresh_until_its_time() {
    let (mut desk, key) = (Desk::new(), key("p"));
    assert_eq!(desk.ask(&key), Told::Wait(true));
    for _ in 0..49 {
        assert_eq!(desk.ask(&key), Told::Wait(false));
    }
    desk.land(&key, Ok(prompt(1)));
    assert!(desk.flights.iter().all(|flight| flight.answer() == Some(Ok(prompt(1)))));
    desk.now += 60 * SECOND;
    assert_eq!(desk.ask(&key), Told::Hit(1, false));
}

#[test]
fn what_is_stale_is_given_out_while_one_refresh_runs() {
    let (mut desk, key) = (Desk::new(), key("p"));
    desk.ask(&key);
    desk.land(&key, Ok(prompt(1)));
    desk.now += 60 * SECOND + 1;
    assert_eq!(desk.ask(&key), Told::Hit(1, true));
    assert_eq!(desk.ask(&key), Told::Hit(1, false));
    // A refresh that fails keeps what there is, and is not repeated at once.
    desk.land(&key, Err(refused(500)));
    assert_eq!(desk.ask(&key), Told::Hit(1, false));
    desk.now += 5 * SECOND;
    assert_eq!(desk.ask(&key), Told::Hit(1, true));
    desk.land(&key, Ok(prompt(2)));
    assert_eq!(desk.ask(&key), Told::Hit(2, false));
    // One that was deleted is gone.
    desk.now += 60 * SECOND + 1;
    assert_eq!(desk.ask(&key), Told::Hit(2, true));
    desk.land(&key, Err(refused(404)));
    assert_eq!(desk.ask(&key), Told::Failed(false));
    desk.now += SECOND;
    assert_eq!(desk.ask(&key), Told::Wait(true));
}

#[test]
fn a_failure_is_remembered_for_a_moment() {
    for (error, seconds) in [(refused(500), 5), (refused(401), 30), (refused(404), 1), (timed_out(), 5)] {
        let (mut desk, key) = (Desk::new(), key("p"));
        desk.ask(&key);
        desk.land(&key, Err(error.clone()));
        desk.now += seconds * SECOND - 1;
        assert_eq!(desk.ask(&key), Told::Failed(false), "{error:?}");
        desk.now += 1;
        assert_eq!(desk.ask(&key), Told::Wait(true), "{error:?}");
    }
}

#[test]
fn who_has_a_fallback_waits_for_a_dead_server_once() {
    let (mut desk, key) = (Desk::new(), key("p"));
    assert_eq!(desk.ask_with(&key, PATIENCE, true), Told::Wait(true));
    desk.now += 5 * SECOND;
    desk.land(&key, Err(timed_out()));
    let mut questions = 0;
    for _ in 0..600 {
        desk.now += SECOND;
        match desk.ask_with(&key, PATIENCE, true) {
            Told::Failed(false) => {}
            Told::Failed(true) => {
                questions += 1;
                desk.now += 5 * SECOND;
                desk.land(&key, Err(timed_out()));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(questions, 120);
    // It is back: the question of one call brings the prompt to the next.
    desk.now += 5 * SECOND;
    assert_eq!(desk.ask_with(&key, PATIENCE, true), Told::Failed(true));
    assert_eq!(desk.ask_with(&key, PATIENCE, true), Told::Failed(false));
    // Who has none waits for it.
    assert_eq!(desk.ask(&key), Told::Wait(false));
    desk.land(&key, Ok(prompt(1)));
    assert_eq!(desk.ask(&key), Told::Hit(1, false));
}

#[test]
fn nobody_is_failed_by_anothers_shorter_patience() {
    let (mut desk, key) = (Desk::new(), key("p"));
    let short = Duration::from_millis(50);
    assert_eq!(desk.ask_with(&key, short, false), Told::Wait(true));
    assert_eq!(desk.ask(&key), Told::Wait(true));
    // The first fetch is nobody's any more; the second serves those with less time too.
    let first = desk.flights[0].clone();
    desk.cache.land(&key, &first, Err(timed_out()), TTL, desk.now);
    assert_eq!(desk.ask_with(&key, short, false), Told::Wait(false));
    desk.land(&key, Ok(prompt(1)));
    assert_eq!(desk.ask(&key), Told::Hit(1, false));

    let (mut desk, key) = (Desk::new(), key);
    desk.ask_with(&key, short, false);
    desk.land(&key, Err(timed_out()));
    assert_eq!(desk.ask_with(&key, short, false), Told::Failed(false));
    assert_eq!(desk.ask(&key), Told::Wait(true));
}

#[test]
fn what_was_fetched_before_a_write_does_not_come_back() {
    let mut desk = Desk::new();
    let (old, version, other) = (key("p"), PromptKey { which: Which::Version(1), ..key("p") }, key("p2"));
    for key in [&version, &other] {
        desk.ask(key);
        desk.land(key, Ok(prompt(1)));
    }
    desk.ask(&old);
    desk.cache.invalidate(old.destination, "p");
    desk.land(&old, Ok(prompt(1)));
    assert_eq!(desk.flights.last().unwrap().answer(), Some(Ok(prompt(1))));
    assert_eq!(desk.ask(&old), Told::Wait(true));
    assert_eq!(desk.ask(&version), Told::Wait(true));
    // Exactly that name.
    assert_eq!(desk.ask(&other), Told::Hit(1, false));
}

#[test]
fn a_destination_sees_and_loses_its_own_only() {
    let mut desk = Desk::new();
    let (right, wrong) = (key("p"), PromptKey { destination: destination("sk-wrong"), ..key("p") });
    desk.ask(&right);
    desk.land(&right, Ok(prompt(1)));
    assert_eq!(desk.ask(&wrong), Told::Wait(true));
    desk.land(&wrong, Err(refused(401)));
    assert_eq!(desk.ask(&right), Told::Hit(1, false));
    desk.cache.purge(wrong.destination);
    assert_eq!(desk.ask(&right), Told::Hit(1, false));
    desk.cache.purge(right.destination);
    assert_eq!((desk.cache.len(), desk.cache.bytes()), (0, 0));
}

#[test]
fn what_a_caller_fetched_for_itself_renews_what_is_there() {
    let (mut desk, key) = (Desk::new(), key("p"));
    desk.cache.renew(&key, &prompt(7), TTL, desk.now);
    assert!(desk.cache.is_empty());
    desk.ask(&key);
    desk.land(&key, Ok(prompt(1)));
    desk.cache.renew(&key, &prompt(2), TTL, desk.now);
    assert_eq!(desk.ask(&key), Told::Hit(2, false));
}

#[test]
fn a_fetch_that_nobody_will_end_is_begun_anew() {
    let (mut desk, key) = (Desk::new(), key("p"));
    desk.ask(&key);
    desk.now += 5 * SECOND;
    assert_eq!(desk.ask(&key), Told::Wait(false));
    desk.now += SECOND;
    assert_eq!(desk.ask(&key), Told::Wait(true));
}

#[test]
fn entries_and_bytes_are_bounded_and_the_oldest_goes() {
    let mut desk = Desk::new();
    let first = key("first");
    for name in std::iter::once("first".to_owned()).chain((0..2 * MAX_ENTRIES).map(|n| n.to_string())) {
        let key = key(&name);
        desk.ask(&key);
        desk.land(&key, Ok(prompt(1)));
        // In use, so it stays.
        assert_eq!(desk.ask(&first), Told::Hit(1, false));
    }
    assert_eq!(desk.cache.len(), MAX_ENTRIES);
    assert_eq!(desk.ask(&key("0")), Told::Wait(true));
    desk.cache.purge(first.destination);
    assert_eq!(desk.cache.bytes(), 0);
    for name in ["a", "b", "c"] {
        desk.ask(&key(name));
        desk.land(&key(name), Ok(sized(1, MAX_BYTES / 2)));
        assert!(desk.cache.bytes() <= MAX_BYTES);
    }
    assert_eq!(desk.cache.len(), 1);
    desk.ask(&key("huge"));
    desk.land(&key("huge"), Ok(sized(1, MAX_BYTES)));
    assert!(desk.cache.bytes() <= MAX_BYTES);
    for name in ["d", "e"] {
        desk.ask(&key(name));
        desk.land(&key(name), Ok(prompt(1)));
        desk.cache.renew(&key(name), &sized(2, MAX_BYTES * 2 / 3), TTL, desk.now);
        assert!(desk.cache.bytes() <= MAX_BYTES);
    }
    assert!(matches!(desk.flights.last().unwrap().answer(), Some(Ok(_))));
}
