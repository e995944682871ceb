//! Names to addresses, without ever waiting for the system's resolver.
//!
//! A lookup blocks for as long as it likes, so each runs on a short-lived thread of its own: at most 4 at once, each given
//! up after 2 s, never joined. A thread that hangs on costs its memory and nothing else; its late answer is still welcome.
//! Answers are kept for 60 s and served stale while a refresh runs or fails: a resolver's outage stops no export.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Looks a name up, blocking. Another one can be put in for tests and for hosts with their own resolver.
pub type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

const SECOND: u64 = 1_000_000_000;
/// How long an answer is fresh.
const FRESH: u64 = 60 * SECOND;
/// How long a failure is believed: long enough to answer everyone who waited for it.
const FAILURE_FRESH: u64 = SECOND;
/// How soon a failed refresh is tried again.
const REFRESH_AGAIN: u64 = 5 * SECOND;
/// When a lookup no longer counts against [`MAX_ACTIVE`].
const GIVEN_UP: u64 = 2 * SECOND;
/// Lookups at once.
const MAX_ACTIVE: usize = 4;
/// Threads at once, those that hang included.
const MAX_THREADS: usize = 16;
/// Names remembered.
const MAX_NAMES: usize = 1024;
/// Addresses of one name that are ever tried.
const MAX_ADDRESSES: usize = 16;
/// `getaddrinfo` loads modules of the system's choosing, some of which want a real stack.
const STACK: usize = 512 * 1024;

struct Known {
    addresses: Result<Arc<[IpAddr]>, String>,
    fresh_until: u64,
}

struct Running {
    /// Zero while it waits for a thread.
    started: u64,
    waiting: Vec<(usize, u64)>,
}

/// What is known of a name.
pub(super) enum Resolved {
    Addresses(Arc<[IpAddr]>),
    Failed(String),
    /// The attempt is woken when there is more to say.
    Pending,
}

type Found = (Arc<str>, Result<Arc<[IpAddr]>, String>);

pub(super) struct Resolver {
    lookup: Lookup,
    wake: Arc<dyn Fn() + Send + Sync>,
    known: HashMap<Arc<str>, Known>,
    running: HashMap<Arc<str>, Running>,
    queue: VecDeque<Arc<str>>,
    threads: usize,
    sender: Sender<Found>,
    receiver: Receiver<Found>,
}

/// The system's resolver.
pub(super) fn system_lookup() -> Lookup {
    Arc::new(|host| Ok((host, 0_u16).to_socket_addrs()?.map(|address| address.ip()).collect()))
}

impl Resolver {
    pub(super) fn new(lookup: Lookup, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        let (sender, receiver) = channel();
        Self {
            lookup,
            wake,
            known: HashMap::new(),
            running: HashMap::new(),
            queue: VecDeque::new(),
            threads: 0,
            sender,
            receiver,
        }
    }

    /// The addresses of a name; asks for them where they are not known, and again where they are stale.
    pub(super) fn resolve(&mut self, host: &str, waiter: (usize, u64), now: u64) -> Resolved {
        if let Ok(literal) = host.parse::<IpAddr>() {
            return Resolved::Addresses([literal].into());
        }
        match self.known.get_mut(host) {
            Some(known) if known.fresh_until > now => match &known.addresses {
                Ok(addresses) => return Resolved::Addresses(Arc::clone(addresses)),
                Err(reason) => return Resolved::Failed(reason.clone()),
            },
            Some(Known { addresses: Ok(addresses), .. }) => {
                let stale = Arc::clone(addresses);
                self.ask(host, None, now);
                return Resolved::Addresses(stale);
            }
            _ => {}
        }
        self.ask(host, Some(waiter), now);
        // A thread that could not be started has failed the name at once.
        match self.known.get(host) {
            Some(Known { addresses: Err(reason), fresh_until }) if *fresh_until > now => {
                Resolved::Failed(reason.clone())
            }
            _ => Resolved::Pending,
        }
    }

    /// None of the name's addresses could be reached: they are stale, and the next attempt refreshes them behind itself.
    pub(super) fn distrust(&mut self, host: &str) {
        if let Some(known) = self.known.get_mut(host) {
            known.fresh_until = 0;
        }
    }

    fn ask(&mut self, host: &str, waiter: Option<(usize, u64)>, now: u64) {
        if let Some(running) = self.running.get_mut(host) {
            running.waiting.extend(waiter);
            return;
        }
        let host: Arc<str> = host.into();
        self.running.insert(Arc::clone(&host), Running { started: 0, waiting: waiter.into_iter().collect() });
        self.queue.push_back(host);
        self.start_queued(now);
    }

    /// Starts lookups that waited for a thread; returns when that should be tried again, if any still waits.
    pub(super) fn start_queued(&mut self, now: u64) -> Option<u64> {
        while !self.queue.is_empty() {
            let active = self.running.values().filter(|r| r.started > 0 && r.started + GIVEN_UP > now);
            let (count, oldest) = active.fold((0, u64::MAX), |(n, oldest), r| (n + 1, oldest.min(r.started)));
            if count >= MAX_ACTIVE {
                return Some(oldest + GIVEN_UP);
            }
            if self.threads >= MAX_THREADS {
                return None;
            }
            let host = self.queue.pop_front()?;
            self.start(host, now);
        }
        None
    }

    fn start(&mut self, host: Arc<str>, now: u64) {
        if let Some(running) = self.running.get_mut(&host) {
            running.started = now;
        }
        let (lookup, wake, sender) = (Arc::clone(&self.lookup), Arc::clone(&self.wake), self.sender.clone());
        let name = Arc::clone(&host);
        let body = move || {
            let found = match lookup(&name) {
                Ok(addresses) if addresses.is_empty() => Err("the name has no address".into()),
                Ok(addresses) => Ok(addresses.into_iter().take(MAX_ADDRESSES).collect()),
                Err(error) => Err(error.to_string()),
            };
            // Nobody listens any more where the transport is gone.
            if sender.send((name, found)).is_ok() {
                wake();
            }
        };
        match thread::Builder::new().name("tracespool-dns".into()).stack_size(STACK).spawn(body) {
            Ok(detached) => {
                self.threads += 1;
                drop(detached);
            }
            Err(error) => {
                self.running.remove(&host);
                self.learn(host, Err(format!("no thread for the lookup: {error}")), now);
            }
        }
    }

    /// Takes in the answers that have come; the attempts to wake are added to `woken`.
    pub(super) fn collect(&mut self, now: u64, woken: &mut Vec<(usize, u64)>) {
        while let Ok((host, found)) = self.receiver.try_recv() {
            self.threads = self.threads.saturating_sub(1);
            if let Some(running) = self.running.remove(&host) {
                woken.extend(running.waiting);
            }
            self.learn(host, found, now);
        }
    }

    fn learn(&mut self, host: Arc<str>, found: Result<Arc<[IpAddr]>, String>, now: u64) {
        if found.is_err()
            && let Some(known) = self.known.get_mut(&host)
            && known.addresses.is_ok()
        {
            known.fresh_until = now + REFRESH_AGAIN;
            return;
        }
        if self.known.len() >= MAX_NAMES && !self.known.contains_key(&host) {
            let oldest = self
                .known
                .iter()
                .min_by_key(|(_, known)| known.fresh_until)
                .map(|(name, _)| Arc::clone(name));
            oldest.and_then(|oldest| self.known.remove(&oldest));
        }
        let fresh_until = now + if found.is_ok() { FRESH } else { FAILURE_FRESH };
        self.known.insert(host, Known { addresses: found, fresh_until });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    /// A resolver whose lookups are answered by hand, and the bell that its threads ring.
    fn scripted() -> (Resolver, Sender<io::Result<Vec<IpAddr>>>, Receiver<()>) {
        let (answers, script) = channel();
        let script = Mutex::new(script);
        let (ring, bell) = channel();
        let lookup: Lookup = Arc::new(move |_| script.lock().unwrap().recv().unwrap());
        (Resolver::new(lookup, Arc::new(move || ring.send(()).unwrap_or_default())), answers, bell)
    }

    fn wait(resolver: &mut Resolver, bell: &Receiver<()>, now: u64) -> Vec<(usize, u64)> {
        bell.recv_timeout(Duration::from_secs(5)).unwrap();
        let mut woken = Vec::new();
        resolver.collect(now, &mut woken);
        woken
    }

    fn addresses(resolved: Resolved) -> Vec<IpAddr> {
        match resolved {
            Resolved::Addresses(addresses) => addresses.to_vec(),
            Resolved::Failed(reason) => panic!("{reason}"),
            Resolved::Pending => panic!("pending"),
        }
    }

    #[test]
    fn an_answer_is_kept_and_served_stale() {
        let (mut resolver, answers, bell) = scripted();
        let (a, b): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        assert_eq!(addresses(resolver.resolve("10.0.0.9", (0, 0), 1)), [IpAddr::from([10, 0, 0, 9])]);
        assert!(matches!(resolver.resolve("h", (1, 10), 1), Resolved::Pending));
        assert!(matches!(resolver.resolve("h", (2, 20), 1), Resolved::Pending));
        answers.send(Ok(vec![a])).unwrap();
        assert_eq!(wait(&mut resolver, &bell, 1), [(1, 10), (2, 20)]);
        assert_eq!(addresses(resolver.resolve("h", (0, 0), FRESH)), [a]);
        // Stale: the old answer at once, one refresh behind it.
        assert_eq!(addresses(resolver.resolve("h", (0, 0), 2 + FRESH)), [a]);
        assert_eq!(addresses(resolver.resolve("h", (0, 0), 2 + FRESH)), [a]);
        answers.send(Err(io::Error::other("down"))).unwrap();
        wait(&mut resolver, &bell, 2 + FRESH);
        assert_eq!(addresses(resolver.resolve("h", (0, 0), 3 + FRESH)), [a]);
        assert!(resolver.running.is_empty(), "a failed refresh is not repeated at once");
        assert_eq!(addresses(resolver.resolve("h", (0, 0), 3 + FRESH + REFRESH_AGAIN)), [a]);
        answers.send(Ok(vec![b])).unwrap();
        wait(&mut resolver, &bell, 3 + FRESH + REFRESH_AGAIN);
        assert_eq!(addresses(resolver.resolve("h", (0, 0), 4 + FRESH + REFRESH_AGAIN)), [b]);
    }

    #[test]
    fn a_failure_reaches_everyone_who_waited_and_is_soon_forgotten() {
        let (mut resolver, answers, bell) = scripted();
        assert!(matches!(resolver.resolve("nope", (1, 1), 1), Resolved::Pending));
        answers.send(Err(io::Error::other("no such host"))).unwrap();
        assert_eq!(wait(&mut resolver, &bell, 1), [(1, 1)]);
        assert!(
            matches!(resolver.resolve("nope", (1, 1), 1), Resolved::Failed(reason) if reason == "no such host")
        );
        assert!(matches!(resolver.resolve("nope", (2, 2), 2 + FAILURE_FRESH), Resolved::Pending));
    }

    #[test]
    fn hung_lookups_are_given_up_and_never_pile_up() {
        let (mut resolver, answers, bell) = scripted();
        for i in 0..40_usize {
            assert!(matches!(resolver.resolve(&format!("h{i}"), (i, 0), 1), Resolved::Pending));
        }
        assert_eq!(resolver.threads, MAX_ACTIVE);
        assert_eq!(resolver.start_queued(1), Some(1 + GIVEN_UP));
        for round in 2..10 {
            resolver.start_queued(1 + (round - 1) * GIVEN_UP);
            assert_eq!(resolver.threads, (4 * round as usize).min(MAX_THREADS));
        }
        for _ in 0..40 {
            answers.send(Ok(vec![[10, 0, 0, 1].into()])).unwrap();
        }
        let late = 100 * SECOND;
        let mut woken = 0;
        while woken < 40 {
            woken += wait(&mut resolver, &bell, late).len();
            resolver.start_queued(late);
        }
        assert_eq!((resolver.threads, resolver.known.len()), (0, 40));
    }
}
