//! The readiness loop: many attempts on one thread, none of which can hold up another.
//!
//! A turn waits for sockets, timers and wake-ups, then gives every attempt that can move one slice of work: at most 64 KiB
//! read, written or compressed, or one step of a handshake. Slices that cost much (compressing, handshakes) queue apart from
//! those that cost little, and a round ends after a millisecond, so that what the network brings is always seen soon.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};

use crate::native::clock;
use crate::transport::{Failure, FailureKind, Now, Outcome, Phase, Request, Slot, Transport};

use super::attempt::{Attempt, Stage};
use super::config::NetConfig;
use super::connection::Connection;
use super::dial::drop_connection;
use super::drive::Move;
use super::pack::Compressors;
use super::pool::{Pool, SWEEP};
use super::resolver::{Lookup, Resolver, system_lookup};
use super::slab::Slab;
use super::timer::Timers;

/// Read, written or compressed per attempt and round.
pub(super) const SLICE: usize = 64 * 1024;
/// After this long a round ends and the sockets are looked at again.
const ROUND: u64 = 1_000_000;
/// Events taken in at once.
const EVENTS: usize = 256;
const WAKE: Token = Token(usize::MAX);
/// The longest sleep: where the application has closed every descriptor nothing rings, and only the next look tells.
const LONGEST: Duration = Duration::from_secs(5);

/// Rings the loop from another thread.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Moves HTTP/1.1 requests over pooled connections; see [`Transport`] for what it promises.
///
/// A forked child must not use or drop an inherited one; it leaks it (`std::mem::forget`) and makes its own.
pub struct HttpTransport {
    pub(super) net: Arc<NetConfig>,
    pub(super) poll: Poll,
    events: Events,
    waker: Wake,
    woken: bool,
    pub(super) attempts: Slab<Box<Attempt>>,
    by_slot: HashMap<Slot, usize>,
    serial: u64,
    pub(super) connections: Slab<Connection>,
    pub(super) pool: Pool,
    next_sweep: u64,
    pub(super) resolver: Resolver,
    resolver_at: Option<u64>,
    pub(super) timers: Timers,
    /// Attempts that can move a little, and those that can move at some cost.
    light: VecDeque<usize>,
    heavy: VecDeque<usize>,
    /// Attempts that wait for certificates to be read.
    pub(super) rootless: Vec<(usize, u64)>,
    pub(super) reading_roots: bool,
    pub(super) compressors: Compressors,
    pub(super) scratch: Box<[u8]>,
    pub(super) parse_scratch: Box<[u8]>,
    buffered: usize,
    lost: bool,
}

impl HttpTransport {
    /// A loop with no connections; opens an epoll or kqueue descriptor and its waker.
    ///
    /// # Errors
    ///
    /// What the system says where it grants no descriptor.
    pub fn new(net: Arc<NetConfig>) -> io::Result<Self> {
        Self::with_lookup(net, system_lookup())
    }

    /// The same with another way to look names up.
    ///
    /// # Errors
    ///
    /// As [`HttpTransport::new`].
    pub fn with_lookup(net: Arc<NetConfig>, lookup: Lookup) -> io::Result<Self> {
        let poll = Poll::new()?;
        let bell = Waker::new(poll.registry(), WAKE)?;
        let waker: Wake = Arc::new(move || drop(bell.wake()));
        Ok(Self {
            net,
            poll,
            events: Events::with_capacity(EVENTS),
            waker: Arc::clone(&waker),
            woken: false,
            attempts: Slab::new(),
            by_slot: HashMap::new(),
            serial: 0,
            connections: Slab::new(),
            pool: Pool::default(),
            next_sweep: 0,
            resolver: Resolver::new(lookup, waker),
            resolver_at: None,
            timers: Timers::default(),
            light: VecDeque::new(),
            heavy: VecDeque::new(),
            rootless: Vec::new(),
            reading_roots: false,
            compressors: Compressors::default(),
            scratch: vec![0; SLICE].into(),
            parse_scratch: vec![0; SLICE].into(),
            buffered: 0,
            lost: false,
        })
    }

    /// Ends the present or the next [`Transport::turn`] early; may be called from any thread.
    #[must_use]
    pub fn waker(&self) -> Wake {
        Arc::clone(&self.waker)
    }

    /// Gives back what is kept for the next requests, where there will be none for a while.
    pub fn shrink(&mut self) {
        self.compressors.shrink();
    }

    /// Open connections, idle ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// True once the system no longer knows its descriptors: the application has closed them all. By now their numbers may
    /// stand for files of others, so it must be leaked (`std::mem::forget`), not dropped.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Reports everything under way as failed.
    fn lose(&mut self, error: &io::Error, finished: &mut Vec<(Slot, Outcome)>) {
        self.lost = true;
        for (slot, _) in self.by_slot.drain() {
            let detail = format!("the connections were closed from outside ({error})");
            let failure = Failure { phase: Phase::Send, kind: FailureKind::Network, detail };
            finished.push((slot, Outcome::Failed(failure)));
        }
    }

    fn wake_attempt(&mut self, place: usize) {
        if let Some(attempt) = self.attempts.get_mut(place)
            && !attempt.queued
        {
            attempt.queued = true;
            self.light.push_back(place);
        }
    }

    fn wake_waiter(&mut self, (place, serial): (usize, u64)) {
        if self.attempts.get(place).is_some_and(|attempt| attempt.serial == serial) {
            self.wake_attempt(place);
        }
    }

    /// A lookup may be waiting for a thread.
    pub(super) fn note_queued_lookups(&mut self, now: u64) {
        self.resolver_at = self.resolver.start_queued(now);
    }

    /// Until when the loop may sleep.
    fn pause(&mut self, until: Option<u64>, now: u64) -> Option<Duration> {
        if !self.light.is_empty() || !self.heavy.is_empty() {
            return Some(Duration::ZERO);
        }
        let attempts = &self.attempts;
        let timer = self.timers.next(|place, serial| attempts.get(place).is_some_and(|a| a.serial == serial));
        let sweep = (!self.pool.is_empty()).then_some(self.next_sweep);
        let first = [until, timer, sweep, self.resolver_at].into_iter().flatten().min();
        let pause = first.map_or(LONGEST, |first| Duration::from_nanos(first.saturating_sub(now)));
        Some(pause.min(LONGEST))
    }

    fn take_events(&mut self) {
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            if event.token() == WAKE {
                self.woken = true;
                continue;
            }
            let place = event.token().0;
            let Some(connection) = self.connections.get_mut(place) else {
                continue;
            };
            connection.note(event);
            match connection.owner {
                Some(owner) => self.wake_attempt(owner),
                None => {
                    if !connection.is_quiet() {
                        self.pool.forget(place);
                        self.drop_connection(place);
                    }
                }
            }
        }
        self.events = events;
    }

    fn fire_timers(&mut self, now: u64) {
        while let Some(waiter) = self.timers.due(now) {
            self.wake_waiter(waiter);
        }
        if self.resolver_at.is_some_and(|at| at <= now) {
            self.resolver_at = self.resolver.start_queued(now);
        }
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP;
            while let Some(place) = self.pool.expired(now) {
                self.drop_connection(place);
            }
            let attempts = &self.attempts;
            self.timers.compact(attempts.len(), |place, serial| {
                attempts.get(place).is_some_and(|a| a.serial == serial)
            });
        }
    }

    /// What helper threads have found.
    fn take_findings(&mut self, now: u64) {
        let mut ready = Vec::new();
        self.resolver.collect(now, &mut ready);
        self.resolver_at = self.resolver.start_queued(now);
        if self.reading_roots && self.net.tls.ready().is_some() {
            self.reading_roots = false;
            ready.append(&mut self.rootless);
        }
        for waiter in ready {
            self.wake_waiter(waiter);
        }
    }

    /// One slice for everyone who can move; true where time ran out first.
    fn round(&mut self, began: u64, finished: &mut Vec<(Slot, Outcome)>) -> bool {
        let mut now = began;
        for _ in 0..self.light.len() {
            let Some(place) = self.light.pop_front() else {
                break;
            };
            self.step(place, now, finished);
            now = clock::mono();
            if now - began >= ROUND {
                break;
            }
        }
        // At least one costly slice per round, or a flood of cheap ones would starve them.
        for _ in 0..self.heavy.len() {
            let Some(place) = self.heavy.pop_front() else {
                break;
            };
            self.step(place, now, finished);
            now = clock::mono();
            if now - began >= ROUND {
                break;
            }
        }
        now - began >= ROUND
    }

    fn step(&mut self, place: usize, now: u64, finished: &mut Vec<(Slot, Outcome)>) {
        let Some(mut attempt) = self.attempts.take(place) else {
            return;
        };
        attempt.queued = false;
        match self.drive(place, &mut attempt, now) {
            Move::Finished(outcome) => {
                finished.push((attempt.slot, outcome));
                self.by_slot.remove(&attempt.slot);
                self.release(place, attempt);
                return;
            }
            Move::Wait => {}
            Move::Again => {
                attempt.queued = true;
                self.light.push_back(place);
            }
            Move::Heavy => {
                attempt.queued = true;
                self.heavy.push_back(place);
            }
        }
        let held = attempt.held();
        self.buffered = self.buffered - attempt.counted + held;
        attempt.counted = held;
        self.attempts.put(place, attempt);
    }

    /// Gives back everything that an attempt holds.
    fn release(&mut self, place: usize, mut attempt: Box<Attempt>) {
        self.buffered -= attempt.counted;
        attempt.packing.abandon(&mut self.compressors);
        if let Stage::Dial(dial) = &mut attempt.stage {
            dial.abandon(&mut self.connections, self.poll.registry());
        }
        if let Some(connection) = attempt.connection.take() {
            self.drop_connection(connection);
        }
        self.attempts.free(place);
    }

    pub(super) fn drop_connection(&mut self, place: usize) {
        drop_connection(&mut self.connections, self.poll.registry(), place);
    }
}

impl Transport for HttpTransport {
    fn start(&mut self, slot: Slot, request: Request, now: Now) {
        // A slot names one attempt; a caller that uses it twice means the later one.
        self.cancel(slot);
        self.serial += 1;
        let place = self.attempts.reserve();
        self.timers.arm(request.deadline, place, self.serial);
        self.attempts.put(place, Box::new(Attempt::new(slot, self.serial, request, now.mono)));
        self.by_slot.insert(slot, place);
        self.wake_attempt(place);
    }

    fn cancel(&mut self, slot: Slot) {
        if let Some(place) = self.by_slot.remove(&slot)
            && let Some(attempt) = self.attempts.take(place)
        {
            self.release(place, attempt);
        }
    }

    fn turn(&mut self, until: Option<u64>, finished: &mut Vec<(Slot, Outcome)>) {
        let before = finished.len();
        let mut now = clock::mono();
        loop {
            let pause = self.pause(until, now);
            match self.poll.poll(&mut self.events, pause) {
                Ok(()) => self.take_events(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.woken = true,
                Err(error) => return self.lose(&error, finished),
            }
            now = clock::mono();
            if self.woken {
                self.take_findings(now);
            }
            self.fire_timers(now);
            let cut = self.round(now, finished);
            if std::mem::take(&mut self.woken) || cut || finished.len() > before {
                return;
            }
            now = clock::mono();
            if until.is_some_and(|until| until <= now) {
                return;
            }
        }
    }

    fn discard_idle(&mut self) {
        while let Some(place) = self.pool.expired(u64::MAX) {
            self.drop_connection(place);
        }
    }

    fn buffered_bytes(&self) -> usize {
        self.buffered
    }

    fn in_flight(&self) -> usize {
        self.attempts.len()
    }
}
