//! One process's tracing: what is shared, the way to the exporter, and the cache of destinations. Everything here can be
//! called from any thread; nothing here waits for I/O.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::sync::Mutex;
use crate::sync::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use crate::config::{BATCH_BYTES, ClientSettings, Limits};
use crate::control::Control;
use crate::destination::{Destination, nanos};
use crate::encode::otlp::Envelope;
use crate::full::{FULL, Gated};
use crate::pipeline::{Command, FlushRequest, ITEM_OVERHEAD, Item};
use crate::prompt::cache::PromptCache;
use crate::registry::Registry;
use crate::report::{DestinationReport, DropReason, Lane, Report};
use crate::shared::Shared;
use crate::transport::Now;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Both clocks.
    fn now(&self) -> Now;

    /// The wall clock alone, in nanoseconds since 1970.
    fn unix(&self) -> u64 {
        self.now().unix
    }

    /// The monotonic clock alone, in nanoseconds.
    fn mono(&self) -> u64 {
        self.now().mono
    }
}

/// Runs the pipeline: the export thread, or the host's event loop.
pub trait Driver: Send + Sync {
    /// Makes the pipeline look at its inbox soon; starts it where it does not run. Never blocks on I/O.
    fn wake(&self);
}

/// See the module.
pub struct Process {
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Mutex<Registry>,
    /// May be taken while `registry` is held, never the other way round.
    pub(crate) prompts: Option<Gated<Mutex<PromptCache>>>,
    /// Set by whoever submits something that the exporter does not expect yet.
    pub(crate) attention: AtomicBool,
    commands: Sender<Command>,
    inbox: Receiver<Command>,
    clock: Box<dyn Clock>,
    driver: OnceLock<Box<dyn Driver>>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("inbox", &self.inbox.len()).finish_non_exhaustive()
    }
}

impl Process {
    /// A process without a driver: what is submitted waits until one is given.
    #[must_use]
    pub fn new(limits: Limits, envelope: Envelope, clock: Box<dyn Clock>) -> Arc<Self> {
        let (commands, inbox) = unbounded();
        Arc::new(Self {
            shared: Arc::new(Shared::new(limits, envelope)),
            registry: Mutex::default(),
            prompts: FULL.map(|full| Gated::new(Mutex::default(), full)),
            attention: AtomicBool::new(false),
            commands,
            inbox,
            clock,
            driver: OnceLock::new(),
        })
    }

    /// Gives it its driver, once.
    pub fn set_driver(&self, driver: Box<dyn Driver>) {
        let _ = self.driver.set(driver);
    }

    /// Both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// The monotonic clock alone.
    #[must_use]
    pub(crate) fn mono(&self) -> u64 {
        self.clock.mono()
    }

    /// The wall clock alone.
    #[must_use]
    pub(crate) fn unix(&self) -> u64 {
        self.clock.unix()
    }

    /// What all threads share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What drivers take commands from.
    #[must_use]
    pub fn inbox(&self) -> &Receiver<Command> {
        &self.inbox
    }

    /// Hands an encoded item to the exporter; its bytes are reserved already. Never waits.
    pub(crate) fn submit(&self, destination: &Arc<Destination>, lane: Lane, item: Item) {
        let (submitted, len, cost) = (item.submitted, item.payload.len(), item.cost());
        self.hand_over(destination, lane, (submitted, len, cost), || {
            Some(Command::Submit { destination: destination.clone(), lane, item })
        });
    }

    /// Hands a record that has yet to be encoded to the exporter; the bytes of an item are reserved for it. Never waits.
    /// `times` are its observation's start and end.
    pub(crate) fn pack(
        &self,
        destination: &Arc<Destination>,
        settings: &Arc<ClientSettings>,
        record: &str,
        times: (u64, u64),
        submitted: u64,
    ) {
        let cost = record.len() + ITEM_OVERHEAD;
        self.hand_over(destination, Lane::Observations, (submitted, record.len(), cost), || {
            let begins = destination.packs.add(settings, record, times, submitted);
            begins.then(|| Command::Unpack(destination.clone()))
        });
    }

    /// `command` puts the data where the exporter finds it, and says what to tell it.
    fn hand_over(
        &self,
        destination: &Arc<Destination>,
        lane: Lane,
        (submitted, len, cost): (u64, usize, usize),
        command: impl FnOnce() -> Option<Command>,
    ) {
        let goodbye = self.shared.goodbye.load(Ordering::Relaxed);
        if goodbye != 0 && submitted > goodbye {
            self.refuse(destination, lane, DropReason::AfterGoodbye, cost);
            return;
        }
        let media = lane == Lane::Media;
        let mut due_by_size = false;
        if !media {
            let flush_at = destination.flush_at.load(Ordering::Relaxed);
            let count = destination.waiting.fetch_add(1, Ordering::Relaxed) + 1;
            let bytes = destination.waiting_bytes.fetch_add(len, Ordering::Relaxed);
            due_by_size = count == flush_at || (bytes < BATCH_BYTES && bytes + len >= BATCH_BYTES);
        }
        destination.counters.submitted(lane, 1);
        if let Some(command) = command() {
            // The channel is unbounded in items because its bytes are bounded by the budgets.
            let _ = self.commands.send(command);
        }
        let full = goodbye != 0 || due_by_size;
        // Media may wait for a store for minutes, and say nothing about when the exporter looks for batches.
        let first = media || !destination.armed.swap(true, Ordering::AcqRel);
        destination.last_used.store(submitted, Ordering::Relaxed);
        // It said that it would have looked by now: it could not be started, or was lost.
        let look = self.shared.next_look.load(Ordering::Relaxed);
        let overdue = look != 0 && submitted > look.saturating_add(LATE);
        let full = full || overdue;
        if first || full {
            self.attend(if full { 0 } else { submitted.saturating_add(destination.linger()) });
        }
    }

    /// Counts what cannot be taken.
    pub(crate) fn refuse(&self, destination: &Destination, lane: Lane, reason: DropReason, reserved: usize) {
        destination.budget.release(reserved);
        self.shared.budget.release(reserved);
        destination.counters.submitted(lane, 1);
        destination.counters.dropped(lane, reason, 1);
        let kind = crate::notice::NoticeKind::Dropped { lane, reason };
        self.shared.notices.add(kind, &destination.public_key, 1, self.mono(), || {
            [lane.as_str(), " for ", &destination.endpoint.url.text(), " dropped: ", reason.as_str()].concat()
        });
    }

    /// Hands a control request to the exporter. Never waits.
    pub(crate) fn send_control(&self, control: Control) {
        let Some(full) = FULL else { return };
        // The channel is unbounded because places among those that wait are not.
        let _ = self.commands.send(Command::Control(Gated::new(Box::new(control), full)));
        self.attend(0);
    }

    /// Sees to it that the exporter looks at its inbox by `due`. At most one wake-up a wait: an exporter that will look
    /// in time by itself is left asleep.
    fn attend(&self, due: u64) {
        self.attention.store(true, Ordering::SeqCst);
        // Pairs with the exporter, which publishes when it will look and then reads `attention` once more.
        fence(Ordering::SeqCst);
        if due < self.shared.next_look.load(Ordering::SeqCst)
            && let Some(driver) = self.driver.get()
        {
            driver.wake();
        }
    }

    /// Begins a flush of these destinations (`None`: all) and returns at once.
    #[must_use]
    pub fn begin_flush(
        &self,
        destinations: Option<Vec<Arc<Destination>>>,
        timeout: Duration,
        close: bool,
    ) -> Ticket {
        let asked = destinations.unwrap_or_else(|| self.registry.lock().all());
        self.begin_flush_of(asked, timeout, close)
    }

    /// The same for destinations that are known; takes no lock.
    pub(crate) fn begin_flush_of(
        &self,
        asked: Vec<Arc<Destination>>,
        timeout: Duration,
        close: bool,
    ) -> Ticket {
        let (reply, answer) = bounded(1);
        let deadline = self.mono().saturating_add(nanos(timeout));
        let pending: Vec<Arc<Destination>> =
            asked.into_iter().filter(|destination| destination.tally().pending > 0).collect();
        if pending.is_empty() {
            let _ = reply.try_send(Report::of(Vec::new()));
        } else {
            let request = FlushRequest { destinations: Some(pending.clone()), deadline, close, reply };
            let _ = self.commands.send(Command::Flush(request));
            self.attend(0);
        }
        Ticket { answer, deadline, asked: pending }
    }
}

/// A flush under way.
#[derive(Debug)]
pub struct Ticket {
    answer: Receiver<Report>,
    deadline: u64,
    asked: Vec<Arc<Destination>>,
}

/// An exporter that is later than this by its own word is asked once more. Its sleep is measured in milliseconds.
const LATE: u64 = 100_000_000;
/// How long after its deadline a flush waits for the exporter's own report before it makes one from the counters.
const GRACE: Duration = Duration::from_millis(15);

impl Ticket {
    /// The report, where it has come.
    #[must_use]
    pub fn poll(&self) -> Option<Report> {
        self.answer.try_recv().ok()
    }

    /// Monotonic nanoseconds at which the flush is over whatever happens.
    #[must_use]
    pub fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Waits for `slice` at most. The binding calls this without its interpreter's lock, then looks for signals.
    #[must_use]
    pub fn wait(&self, slice: Duration, process: &Process) -> Option<Report> {
        let now = process.mono();
        let end = self.deadline.saturating_add(nanos(GRACE));
        let left = Duration::from_nanos(end.saturating_sub(now));
        match self.answer.recv_timeout(slice.min(left)) {
            Ok(report) => return Some(report),
            // Whoever was to answer is gone.
            Err(RecvTimeoutError::Disconnected) => return Some(self.give_up()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        (process.mono() >= end).then(|| self.give_up())
    }

    /// Waits until the deadline at most.
    #[must_use]
    pub fn join(&self, process: &Process) -> Report {
        loop {
            if let Some(report) = self.wait(Duration::from_millis(500), process) {
                return report;
            }
        }
    }

    /// A report from the counters, for when the exporter did not answer in time.
    #[must_use]
    pub fn give_up(&self) -> Report {
        let part = |destination: &Arc<Destination>| DestinationReport {
            public_key: destination.public_key.clone(),
            base_url: destination.endpoint.url.text(),
            pending: destination.tally().pending,
            ..DestinationReport::default()
        };
        Report::of(self.asked.iter().map(part).collect())
    }
}
