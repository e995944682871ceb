//! The export thread: the only place that spawns it, stops it and runs the loop around pipeline and transport.
//!
//! It sleeps until the pipeline's next moment. Before it does it publishes that moment and looks once more whether
//! somebody asked for attention in between; whoever submits does the two in the other order, so no wake-up is lost and
//! hardly any is needed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::http::{HttpTransport, NetConfig, Wake};
use super::{clock, thread};
use crate::notice::NoticeKind;
use crate::pipeline::{Action, Pipeline};
use crate::process::{Driver, Process};
use crate::report::{DropReason, Lane};
use crate::transport::{Outcome, Slot, Transport};

/// The thread ends after this long without work.
const REST_AFTER: u64 = 30_000_000_000;
/// Commands and actions handled before the sockets are looked at again: well below a millisecond's worth.
const SLICE: usize = 128;
/// And bytes of records that are encoded in one.
const SLICE_BYTES: usize = 128 * 1024;
/// How often the cache is searched for what nobody uses.
const SWEEP: u64 = 60_000_000_000;
/// After a panic the loop goes on, but not more often than this.
const PANIC_PAUSE: u64 = 60_000_000_000;
/// Bytes that have to have been held before giving memory back is worth the milliseconds, and how long the rest has to have
/// lasted.
const TRIM_ABOVE: usize = 2 << 20;
const TRIM_AFTER: u64 = 250_000_000;
/// Where the system refuses a thread or a descriptor, data that comes later than this asks again.
const TRY_AGAIN: u64 = 1_000_000_000;
/// Enough for a TLS handshake; only touched pages cost memory.
const STACK: usize = 512 * 1024;

/// Starts, stops and wakes the export thread.
#[derive(Debug)]
pub struct Exporter {
    process: Weak<Process>,
    net: Arc<NetConfig>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
enum State {
    /// No thread. What it knew stays for the next one.
    Resting(Option<Box<Work>>),
    Running {
        run: Arc<Run>,
        thread: JoinHandle<()>,
    },
    /// Asked to hand its state back, for a fork.
    Stopping {
        run: Arc<Run>,
        thread: JoinHandle<()>,
    },
    /// It has; the thread is at its end.
    Paused {
        work: Option<Box<Work>>,
        thread: Option<JoinHandle<()>>,
    },
}

/// One life of the thread.
#[derive(Default)]
struct Run {
    wake: Mutex<Option<Wake>>,
    stop: AtomicBool,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("stop", &self.stop).finish_non_exhaustive()
    }
}

impl Run {
    fn ring(&self) {
        // Before the thread has its transport it has not looked at the inbox either.
        let wake = self.wake.lock().clone();
        if let Some(wake) = wake {
            wake();
        }
    }
}

/// What the thread owns.
struct Work {
    pipeline: Pipeline,
    transport: Option<HttpTransport>,
    finished: Vec<(Slot, Outcome)>,
    idle_since: Option<u64>,
    next_sweep: u64,
    last_panic: Option<u64>,
    renewed: Option<u64>,
    /// Bytes of the transport's that the process's budget holds.
    accounted: usize,
    /// The most that was held since memory was given back last.
    peak: usize,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work").field("in_flight", &self.pipeline.in_flight()).finish_non_exhaustive()
    }
}

impl Driver for Arc<Exporter> {
    fn wake(&self) {
        let mut state = self.state.lock();
        match &mut *state {
            State::Running { run, .. } => run.ring(),
            State::Resting(work) => {
                let work = work.take();
                *state = self.start(work);
            }
            // It looks at its inbox when it goes on.
            State::Stopping { .. } | State::Paused { .. } => {}
        }
    }
}

impl Exporter {
    pub(crate) fn new(process: &Arc<Process>, net: Arc<NetConfig>) -> Arc<Self> {
        Arc::new(Self {
            process: Arc::downgrade(process),
            net,
            state: Mutex::new(State::Resting(None)),
            changed: Condvar::new(),
        })
    }

    fn start(self: &Arc<Self>, work: Option<Box<Work>>) -> State {
        let Some(process) = self.process.upgrade() else {
            return State::Resting(work);
        };
        let work = work.unwrap_or_else(|| Box::new(Work::new(&process)));
        let run = Arc::new(Run::default());
        // The work crosses by a cell, so that it is not lost where the system refuses a thread.
        let cell = Arc::new(Mutex::new(Some(work)));
        let (exporter, theirs, their_cell) = (self.clone(), run.clone(), cell.clone());
        let spawned = thread::spawn("tracespool", STACK, move || {
            let work = their_cell.lock().take();
            if let Some(work) = work {
                exporter.run(&theirs, &process, work);
            }
        });
        match spawned {
            Ok(thread) => State::Running { run, thread },
            Err(error) => {
                if let Some(process) = self.process.upgrade() {
                    process.shared.notices.add(NoticeKind::Server, "", 1, clock::mono(), || {
                        format!("the export thread could not be started ({error}); it is tried again with the next data")
                    });
                }
                if let Some(process) = self.process.upgrade() {
                    process.shared.next_look.store(clock::mono() + TRY_AGAIN, Ordering::SeqCst);
                }
                State::Resting(cell.lock().take())
            }
        }
    }

    /// Makes the thread hand its state back and end, for a fork; gives up after `within`. No lock is held afterwards.
    pub(crate) fn pause(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let mut state = self.state.lock();
        *state = match std::mem::replace(&mut *state, State::Resting(None)) {
            State::Running { run, thread } => {
                run.stop.store(true, Ordering::Release);
                run.ring();
                State::Stopping { run, thread }
            }
            // A thread that was never started, or has ended, stays as it is.
            other => other,
        };
        while matches!(&*state, State::Stopping { .. }) {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
        let ended = match &mut *state {
            State::Paused { thread, .. } => thread.take(),
            _ => None,
        };
        drop(state);
        if let Some(thread) = ended {
            // It has nothing left to do but to return, and the system must not count it any more.
            let _ = thread.join();
        }
    }

    /// Goes on after a fork, in the parent.
    pub(crate) fn resume(self: &Arc<Self>) {
        let mut state = self.state.lock();
        *state = match std::mem::replace(&mut *state, State::Resting(None)) {
            State::Paused { work: Some(work), .. } => self.start(Some(work)),
            State::Paused { work: None, .. } => State::Resting(None),
            State::Stopping { run, thread } => {
                // It did not stop in time; it looks at this flag under the lock before it does.
                run.stop.store(false, Ordering::Release);
                State::Running { run, thread }
            }
            other => other,
        };
    }

    fn run(self: Arc<Self>, run: &Arc<Run>, process: &Arc<Process>, mut work: Box<Work>) {
        loop {
            if work.transport.is_none() {
                match HttpTransport::new(self.net.clone()) {
                    Ok(transport) => work.transport = Some(transport),
                    Err(error) => {
                        process.shared.notices.add(NoticeKind::Server, "", 1, clock::mono(), || {
                            format!("the system grants no descriptors for sending ({error}); it is tried again with the next data")
                        });
                        self.rest(process, work, true);
                        return;
                    }
                }
            }
            if let Some(transport) = &work.transport {
                *run.wake.lock() = Some(transport.waker());
            }
            let ended = catch_unwind(AssertUnwindSafe(|| work.turns(process, run)));
            match ended {
                Ok(End::Stop) => {
                    let mut state = self.state.lock();
                    if run.stop.load(Ordering::Acquire) {
                        process.shared.next_look.store(u64::MAX, Ordering::SeqCst);
                        Self::hand_back(&mut state, work);
                        self.changed.notify_all();
                        return;
                    }
                }
                Ok(End::Rest) => match self.rest(process, work, false) {
                    Some(back) => work = back,
                    None => return,
                },
                Ok(End::Renew) => {
                    let now = clock::mono();
                    if work.renewed.replace(now).is_some_and(|last| now - last < TRY_AGAIN) {
                        self.rest(process, work, true);
                        return;
                    }
                }
                Err(_) => work.recover(process),
            }
        }
    }

    fn hand_back(state: &mut State, work: Box<Work>) {
        let thread = match std::mem::replace(state, State::Resting(None)) {
            State::Stopping { thread, .. } | State::Running { thread, .. } => Some(thread),
            State::Resting(_) | State::Paused { .. } => None,
        };
        *state = State::Paused { work: Some(work), thread };
    }

    /// Ends the thread's life, unless somebody wants something: then the work comes back.
    fn rest(&self, process: &Process, mut work: Box<Work>, anyway: bool) -> Option<Box<Work>> {
        let mut state = self.state.lock();
        process.shared.next_look.store(u64::MAX, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let wanted = process.attention.load(Ordering::SeqCst) || !process.inbox().is_empty();
        if wanted && !anyway {
            return Some(work);
        }
        work.transport = None;
        work.account(process, 0);
        if anyway {
            process.shared.next_look.store(clock::mono() + TRY_AGAIN, Ordering::SeqCst);
        }
        if let State::Running { .. } = &*state {
            *state = State::Resting(Some(work));
        } else {
            Self::hand_back(&mut state, work);
            self.changed.notify_all();
        }
        None
    }
}

/// Gives freed memory back to the system. An allocator keeps what a burst has used, in pieces between what is in use, and
/// a service's memory would seem to have grown for good. Takes milliseconds, hence only at rest.
fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: takes no pointer; the allocator guards itself.
    unsafe {
        libc::malloc_trim(0);
    }
}

enum End {
    Stop,
    Rest,
    /// The transport's descriptors are gone.
    Renew,
}

impl Work {
    fn new(process: &Process) -> Self {
        let now = clock::now();
        Self {
            pipeline: Pipeline::new(process.shared.clone(), now),
            transport: None,
            finished: Vec::new(),
            idle_since: None,
            next_sweep: now.mono + SWEEP,
            last_panic: None,
            renewed: None,
            accounted: 0,
            peak: 0,
        }
    }

    /// Takes turns until there is a reason to end.
    fn turns(&mut self, process: &Process, run: &Run) -> End {
        let shared = &process.shared;
        loop {
            if run.stop.load(Ordering::Acquire) {
                return End::Stop;
            }
            shared.next_look.store(0, Ordering::SeqCst);
            process.attention.store(false, Ordering::SeqCst);
            let now = clock::now();
            let Some(transport) = self.transport.as_mut() else {
                return End::Rest;
            };
            let mut more = false;
            let mut work = 0;
            for taken in 0.. {
                let Ok(command) = process.inbox().try_recv() else {
                    break;
                };
                work += command.work();
                self.pipeline.handle_command(command, now);
                if taken >= SLICE || work >= SLICE_BYTES {
                    more = true;
                    break;
                }
            }
            self.pipeline.handle_timeout(now);
            for taken in 0.. {
                match self.pipeline.poll_action(now) {
                    Some(Action::Send { slot, request }) => {
                        transport.start(slot, request, now);
                    }
                    Some(Action::Cancel { slot }) => transport.cancel(slot),
                    Some(Action::DiscardIdle) => transport.discard_idle(),
                    None => break,
                }
                if taken >= SLICE {
                    more = true;
                    break;
                }
            }
            if now.mono >= self.next_sweep {
                self.next_sweep = now.mono + SWEEP;
                process.sweep();
            }
            let idle = self.pipeline.is_idle() && transport.in_flight() == 0 && !more;
            let idle_since = *self.idle_since.get_or_insert(now.mono);
            if !idle {
                self.idle_since = None;
            } else if now.mono.saturating_sub(idle_since) >= REST_AFTER {
                return End::Rest;
            }
            self.peak = self.peak.max(shared.budget.used());
            if idle && self.peak >= TRIM_ABOVE {
                if now.mono.saturating_sub(idle_since) >= TRIM_AFTER {
                    self.peak = 0;
                    transport.shrink();
                    trim();
                } else {
                    self.next_sweep = self.next_sweep.min(idle_since + TRIM_AFTER);
                }
            }
            let next = self.pipeline.next_timeout().unwrap_or(u64::MAX).min(self.next_sweep);
            let mut until = if idle { next.min(idle_since + REST_AFTER) } else { next };
            let lag = clock::mono().saturating_sub(now.mono);
            shared.lag.fetch_max(lag, Ordering::Relaxed);
            shared.next_look.store(until, Ordering::SeqCst);
            // Pairs with `Process::attend`.
            fence(Ordering::SeqCst);
            // Data that was taken away from under a submission in flight has no timer yet.
            let crossed = self.pipeline.take_disarmed() && !process.inbox().is_empty();
            if more || crossed || process.attention.load(Ordering::SeqCst) {
                until = 0;
            }
            transport.turn(Some(until), &mut self.finished);
            shared.next_look.store(0, Ordering::SeqCst);
            let held = transport.buffered_bytes();
            self.account(process, held);
            if !self.finished.is_empty() {
                let now = clock::now();
                for (slot, outcome) in self.finished.drain(..) {
                    self.pipeline.handle_outcome(slot, &outcome, now);
                }
            }
            if let Some(lost) = self.transport.take_if(|transport| transport.is_lost()) {
                std::mem::forget(lost);
                self.account(process, 0);
                return End::Renew;
            }
        }
    }

    /// Counts what the forgotten pipeline held as dropped, and lets its destinations ask for attention again.
    fn write_off(process: &Process) {
        for destination in process.registry.lock().all() {
            destination.armed.store(false, Ordering::Release);
            destination.waiting.store(0, Ordering::Relaxed);
            destination.waiting_bytes.store(0, Ordering::Relaxed);
            for lane in Lane::ALL {
                let pending = destination.lane(lane).pending;
                destination.counters.dropped(lane, DropReason::Evicted, pending);
            }
        }
    }

    /// Brings the process's budget in line with what the transport holds.
    fn account(&mut self, process: &Process, held: usize) {
        let before = std::mem::replace(&mut self.accounted, held);
        if held > before {
            process.shared.budget.take_always(held - before);
        } else {
            process.shared.budget.release(before - held);
        }
    }

    /// After a panic: nothing of what was under way can be trusted, so all of it is given up and counted, and the loop
    /// begins anew, at most once a minute.
    fn recover(&mut self, process: &Process) {
        let now = clock::now();
        process.shared.panics.fetch_add(1, Ordering::Relaxed);
        process.shared.notices.add(NoticeKind::Panic, "", 1, now.mono, || {
            "the exporter panicked; what was waiting is dropped and it begins anew".into()
        });
        self.transport = None;
        self.account(process, 0);
        self.finished.clear();
        let pipeline = &mut self.pipeline;
        let given_up = catch_unwind(AssertUnwindSafe(|| {
            pipeline.abort(DropReason::Evicted, now);
            while pipeline.poll_action(now).is_some() {}
        }));
        if given_up.is_err() || self.last_panic.is_some_and(|last| now.mono - last < PANIC_PAUSE) {
            // Neither its destructors nor its counts can be trusted.
            let broken = std::mem::replace(&mut self.pipeline, Pipeline::new(process.shared.clone(), now));
            std::mem::forget(broken);
            Self::write_off(process);
            if self.last_panic.is_some_and(|last| now.mono - last < PANIC_PAUSE) {
                std::thread::sleep(Duration::from_nanos(PANIC_PAUSE));
            }
        }
        self.last_panic = Some(now.mono);
    }
}
