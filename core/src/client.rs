//! A client: a cheap handle on a destination, with its own environment, release and sampling. Making one for a known key
//! is a lookup; dropping one does nothing. It brings its destination back silently after a clean-up, an eviction or a fork.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::sync::ArcSwapOption;
use bytes::Bytes;

use crate::admission::{self, Fate};
use crate::budget::reserve;
use crate::config::{ClientOptions, ClientSettings};
use crate::destination::Destination;
use crate::encode::otlp::Envelope;
use crate::full::{FULL, Gated};
use crate::held::Held;
use crate::id::{SpanId, TraceId};
use crate::media::{Media, MediaField};
use crate::notice::NoticeKind;
use crate::observation::{Observation, SpanContext, Start, TraceContext};
use crate::pipeline::{Item, Wrapper};
use crate::process::{Process, Ticket};
use crate::report::{DropReason, Lane, Report};
use crate::score::ScoreInput;

/// What a caller decides instead of the client when an observation starts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chosen {
    /// The trace's id where the observation begins a trace.
    pub trace_id: Option<TraceId>,
    /// The observation's id.
    pub span_id: Option<SpanId>,
    /// Another tracer's span that it starts in is not sampled there.
    pub unsampled_parent: bool,
    /// Its trace is to be shed: that was decided before; see [`Client::sheds`].
    pub shed: bool,
}

/// Finds the process that a handle belongs to; after a fork it is another one.
pub type Home = fn() -> Arc<Process>;

/// See the module. Clones share everything.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<ClientInner>,
}

/// What all clones of a handle share.
#[derive(Debug)]
pub(crate) struct ClientInner {
    settings: Arc<ClientSettings>,
    home: Home,
    bound: ArcSwapOption<Bound>,
}

/// A handle's destination as it was found last.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) process: Arc<Process>,
    pub(crate) destination: Arc<Destination>,
    pub(crate) settings: Arc<ClientSettings>,
    home: Home,
}

impl ClientInner {
    /// False for a handle that reads prompts but traces nothing: it is nobody's current client.
    pub(crate) fn enabled(&self) -> bool {
        self.settings.enabled()
    }
}

impl Bound {
    /// Whether an observation of this trace is recorded: as what it is below, else as the switch says.
    #[inline]
    fn admits(&self, parent: Option<&SpanContext>, trace_id: TraceId) -> bool {
        match parent {
            Some(parent) if parent.fate != Fate::Unasked && parent.trace_id == trace_id => {
                parent.fate == Fate::Admitted
            }
            _ => self.process.shared.admission.admits(trace_id),
        }
    }

    #[cold]
    fn shed(&self, lane: Lane) {
        self.process.refuse(&self.destination, lane, DropReason::Shed, 0);
    }

    /// Makes what is held for something `now` bytes instead of `before`.
    pub(crate) fn adjust(&self, before: usize, now: usize) {
        let (process, destination) = (&self.process.shared.budget, &self.destination.budget);
        match now.cmp(&before) {
            std::cmp::Ordering::Greater => {
                process.take_always(now - before);
                destination.take_always(now - before);
            }
            std::cmp::Ordering::Less => {
                process.release(before - now);
                destination.release(before - now);
            }
            std::cmp::Ordering::Equal => {}
        }
    }

    /// See [`Client::count_mask_failure`].
    pub(crate) fn count_mask_failure(&self) {
        self.destination.counters.stripped(Lane::Observations, 1);
        let kind = NoticeKind::Dropped { lane: Lane::Observations, reason: DropReason::MaskFailed };
        let now = self.process.mono();
        self.process.shared.notices.add(kind, &self.destination.public_key, 1, now, || {
            "the mask function failed: the value was dropped, the observation is sent without it".into()
        });
    }

    /// Counts an observation that was begun by the parent of this process.
    pub(crate) fn count_forked(&self) {
        let client = Client::with(self.settings.clone(), self.home);
        if let Some(bound) = client.bound() {
            bound.process.refuse(&bound.destination, Lane::Observations, DropReason::Forked, 0);
        }
    }
}

impl Client {
    /// Makes a handle. Never fails: what cannot be used is told as a notice of kind `Configuration`, and without usable
    /// keys or address nothing is recorded. No thread is started and no socket opened.
    #[must_use]
    pub fn open(options: ClientOptions, env: &dyn Fn(&str) -> Option<String>, home: Home) -> Self {
        let mut problems = Vec::new();
        let settings = ClientSettings::resolve(options, env, &mut problems);
        if !problems.is_empty() {
            let process = home();
            let now = process.mono();
            for problem in &problems {
                process
                    .shared()
                    .notices
                    .add(NoticeKind::Configuration, &settings.public_key, 1, now, || problem.clone());
            }
        }
        let client = Self::with(Arc::new(settings), home);
        if client.enabled() {
            // Known to the cache from now on, so that `find` and `only_live` see it.
            let _ = client.bound();
        }
        client
    }

    /// The same, in no more than a look where the very same options have been asked for before. `environment` is a
    /// fingerprint of the environment that `env` reads: where it differs everything is resolved anew.
    #[must_use]
    pub fn open_known(
        options: ClientOptions,
        environment: u64,
        env: &dyn Fn(&str) -> Option<String>,
        home: Home,
    ) -> Self {
        if FULL.is_none() {
            // Settings are resolved in microseconds, and bindings keep what they have opened.
            return Self::open(options, env, home);
        }
        let process = home();
        let now = process.mono();
        if let Some(inner) = process.registry.lock().known(&options, environment, now) {
            return Self { inner };
        }
        let client = Self::open(options.clone(), env, home);
        if client.enabled() {
            let key = client.inner.settings.key;
            process.registry.lock().remember(&client.inner, key, options, environment);
        }
        client
    }

    fn with(settings: Arc<ClientSettings>, home: Home) -> Self {
        Self { inner: Arc::new(ClientInner { settings, home, bound: ArcSwapOption::const_empty() }) }
    }

    /// The latest handle of each destination with this public key.
    #[must_use]
    pub fn find(process: &Process, public_key: &str) -> Vec<Self> {
        Self::find_all(process, Some(public_key))
    }

    /// The same, of all of them where no key is named.
    #[must_use]
    pub fn find_all(process: &Process, public_key: Option<&str>) -> Vec<Self> {
        process.registry.lock().handles(public_key).into_iter().map(|inner| Self { inner }).collect()
    }

    /// The only handle there is; `None` where there are none or several.
    #[must_use]
    pub fn only_live(process: &Process) -> Option<Self> {
        let registry = process.registry.lock();
        let mut handles = registry.handles(None).into_iter();
        let only = handles.next().map(|inner| Self { inner });
        only.filter(|_| handles.next().is_none())
    }

    /// The settings that it was made with.
    #[must_use]
    pub fn settings(&self) -> &ClientSettings {
        &self.inner.settings
    }

    /// False where nothing is recorded.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.inner.settings.enabled()
    }

    /// What its observations' contexts name as their destination.
    #[must_use]
    pub fn destination_key(&self) -> u64 {
        self.inner.settings.key.short()
    }

    /// Its destination; `None` where nothing is recorded.
    #[must_use]
    pub fn destination(&self) -> Option<Arc<Destination>> {
        self.bound().map(|bound| bound.destination.clone())
    }

    /// The process that it belongs to now.
    #[must_use]
    pub fn process(&self) -> Arc<Process> {
        self.bound().map_or_else(self.inner.home, |bound| bound.process.clone())
    }

    /// Its destination, found again where that was closed or left behind by a fork.
    pub(crate) fn bound(&self) -> Option<Arc<Bound>> {
        if let Some(bound) = self.inner.bound.load_full()
            && !bound.destination.closed.load(Ordering::Acquire)
            && !bound.process.shared.abandoned.load(Ordering::Acquire)
        {
            return Some(bound);
        }
        let endpoint = self.inner.settings.endpoint.as_ref()?;
        let process = (self.inner.home)();
        let destination = process.destination(&self.inner.settings, endpoint, &self.inner);
        let bound = Arc::new(Bound {
            process,
            destination,
            settings: self.inner.settings.clone(),
            home: self.inner.home,
        });
        if let Some(old) = self.inner.bound.swap(Some(bound.clone()))
            && old.process.shared.abandoned.load(Ordering::Acquire)
        {
            // The parent's: its destructors must not run here.
            std::mem::forget(old);
        }
        Some(bound)
    }

    /// Starts an observation. Always returns one; where nothing is recorded it still has ids, so that what runs inside
    /// stays together.
    #[must_use]
    pub fn start(&self, start: &Start<'_>) -> Observation {
        self.start_as(start, Chosen::default())
    }

    /// The same with what the caller has chosen itself.
    #[must_use]
    pub fn start_as(&self, start: &Start<'_>, chosen: Chosen) -> Observation {
        let destination = self.inner.settings.key.short();
        let (trace_id, parent) = match (start.trace_context, start.parent) {
            (Some(named), _) => (named.trace_id, named.parent),
            // A parent that goes elsewhere, or nowhere, will never reach our server.
            (None, Some(parent)) if parent.destination != destination || !parent.recorded => {
                (parent.trace_id, None)
            }
            (None, Some(parent)) => (parent.trace_id, Some(parent.span_id)),
            (None, None) => (chosen.trace_id.unwrap_or_else(TraceId::random), None),
        };
        let span_id = chosen.span_id.unwrap_or_else(SpanId::random);
        let mut context =
            SpanContext { trace_id, span_id, destination, recorded: false, fate: Fate::Unasked };
        let kept = self.enabled()
            && self.inner.settings.sampler.keeps(trace_id)
            && !self.is_unsampled(start.parent, start.trace_context, chosen);
        if !kept {
            return Observation::unrecorded(context);
        }
        let Some(bound) = self.bound() else {
            return Observation::unrecorded(context);
        };
        if chosen.shed || !bound.admits(start.parent, trace_id) {
            bound.shed(Lane::Observations);
            context.fate = Fate::Shed;
            return Observation::unrecorded(context);
        }
        context.recorded = true;
        context.fate = Fate::Admitted;
        let now = if start.start_time.is_some() { 0 } else { bound.process.unix() };
        Observation::begin(bound, context, parent, start, now)
    }

    /// Whether every trace that begins now is recorded, as far as admission says.
    #[must_use]
    pub fn admits_all(&self) -> bool {
        !admission::used() || self.bound().is_none_or(|bound| bound.process.shared.admission.admits_all())
    }

    /// Whether what starts here, in this trace, would be shed now: whoever captures values before the start need not do so
    /// then. What is not recorded for another reason is not shed.
    #[must_use]
    pub fn sheds(
        &self,
        parent: Option<&SpanContext>,
        trace_context: Option<TraceContext>,
        chosen: Chosen,
        trace_id: TraceId,
    ) -> bool {
        admission::used()
            && self.enabled()
            && self.inner.settings.sampler.keeps(trace_id)
            && !self.is_unsampled(parent, trace_context, chosen)
            && self.bound().is_some_and(|bound| !bound.admits(parent, trace_id))
    }

    /// Whether its parent, of whatever tracer, is not sampled and that is to be followed. What was shed was sampled.
    fn is_unsampled(
        &self,
        parent: Option<&SpanContext>,
        trace_context: Option<TraceContext>,
        chosen: Chosen,
    ) -> bool {
        let ours = |parent: &SpanContext| {
            parent.destination == self.destination_key() && !parent.recorded && parent.fate != Fate::Shed
        };
        self.inner.settings.follow_parent_sampling
            && match trace_context {
                Some(named) => !named.sampled,
                None => chosen.unsampled_parent || parent.is_some_and(ours),
            }
    }

    /// Hands a score of an observation, or of its trace, over. What is not recorded has none; what was shed is counted.
    ///
    /// # Errors
    ///
    /// See [`Client::score`].
    pub fn score_on(&self, observation: &SpanContext, score: ScoreInput) -> Result<(), String> {
        let ours = observation.destination == self.destination_key();
        if ours && !observation.recorded && observation.fate != Fate::Shed {
            return Ok(());
        }
        self.score(score)
    }

    /// Hands a score over.
    ///
    /// # Errors
    ///
    /// What is wrong with it and how to mend it; it is not sent. Scores of traces that are sampled out are not sent
    /// either, which is no error; nor are those for an OTLP backend, which are counted as `unsupported`, nor those that
    /// admission keeps out, which are counted as `shed`.
    pub fn score(&self, score: ScoreInput) -> Result<(), String> {
        let Some(full) = FULL else { return Err("this build takes no scores".into()) };
        if !self.enabled() {
            return Ok(());
        }
        let Some(bound) = self.bound() else { return Ok(()) };
        if let Err(sentence) = self.inner.settings.langfuse_only("scores") {
            // Told with the first one, and counted: nothing is said to whoever scores.
            let kind = NoticeKind::Dropped { lane: Lane::Scores, reason: DropReason::Unsupported };
            let now = bound.process.mono();
            bound
                .process
                .shared
                .notices
                .add(kind, &bound.destination.public_key, 1, now, || sentence.clone());
            bound.destination.counters.submitted(Lane::Scores, 1);
            bound.destination.counters.dropped(Lane::Scores, DropReason::Unsupported, 1);
            return Ok(());
        }
        if score.trace().is_some_and(|trace| !self.inner.settings.sampler.keeps(trace)) {
            return Ok(());
        }
        let admission = &bound.process.shared.admission;
        let admitted = match (score.fate, score.trace()) {
            (Fate::Admitted, _) => true,
            (Fate::Shed, _) => false,
            (Fate::Unasked, Some(trace)) => admission.admits(trace),
            (Fate::Unasked, None) => admission.admits_any(),
        };
        if !admitted {
            bound.shed(Lane::Scores);
            return Ok(());
        }
        let now = bound.process.now();
        let encoded = score.encode(self.inner.settings.environment.as_deref(), now.unix)?;
        let item = Item {
            payload: Bytes::from(encoded.payload),
            wrapper: Some(Wrapper::Event(Gated::new(encoded.wrapper, full))),
            content: None,
            submitted: now.mono,
            timeout: self.inner.settings.timeout,
        };
        let cost = item.cost();
        match reserve(&bound.destination.budget, &bound.process.shared.budget, cost, true) {
            Ok(()) => bound.process.submit(&bound.destination, Lane::Scores, item),
            Err(reason) => bound.process.refuse(&bound.destination, Lane::Scores, reason, 0),
        }
        Ok(())
    }

    /// Takes a span of other instrumentation, encoded by [`crate::encode::foreign`]. `None` where it is not kept: sampled
    /// out, or refused, which is counted.
    #[must_use]
    pub fn take_foreign(
        &self,
        payload: Box<[u8]>,
        envelope: Arc<Envelope>,
        trace_id: TraceId,
        root: bool,
    ) -> Option<Held> {
        if !self.enabled() || !self.inner.settings.sampler.keeps(trace_id) {
            return None;
        }
        let bound = self.bound()?;
        let item = Item {
            payload: payload.into(),
            wrapper: Some(Wrapper::Envelope(Gated::new(envelope, FULL?))),
            content: None,
            submitted: bound.process.mono(),
            timeout: self.inner.settings.timeout,
        };
        let trace = trace_id.low();
        let reserved = if !root && bound.destination.refuses(trace) {
            Err(DropReason::QueueFull)
        } else {
            reserve(&bound.destination.budget, &bound.process.shared.budget, item.cost(), root)
        };
        if let Err(reason) = reserved {
            bound.destination.refuse(trace);
            bound.process.refuse(&bound.destination, Lane::Observations, reason, 0);
            return None;
        }
        Some(Held::new(bound, item))
    }

    /// Counts a span that could not be taken.
    pub fn refuse_foreign(&self, reason: DropReason) {
        if let Some(bound) = self.bound() {
            bound.process.refuse(&bound.destination, Lane::Observations, reason, 0);
        }
    }

    /// Uploads a content that a field of the observation refers to. Never waits.
    pub fn attach(&self, context: &SpanContext, field: MediaField, content: Media) {
        if let Some(bound) = self.bound().filter(|_| self.enabled()) {
            bound.attach(context, field, content);
        }
    }

    /// Counts content that a mask function failed on: the observation goes out without it.
    pub fn count_mask_failure(&self) {
        if let Some(bound) = self.bound() {
            bound.count_mask_failure();
        }
    }

    /// Begins to send what is pending for this client's destination; never waits for another's.
    #[must_use]
    pub fn begin_flush(&self, timeout: Duration, close: bool) -> Option<(Arc<Process>, Ticket)> {
        let bound = self.bound()?;
        let ticket = bound.process.begin_flush_of(vec![bound.destination.clone()], timeout, close);
        Some((bound.process.clone(), ticket))
    }

    /// Sends what is pending and waits for `timeout` at most, whatever the server does. What is not delivered by then
    /// stays pending and is sent later.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> Report {
        match self.begin_flush(timeout, false) {
            Some((process, ticket)) => ticket.join(&process),
            None => Report::of(Vec::new()),
        }
    }

    /// Sends what is pending for `timeout` at most and forgets the destination; what is left is dropped as `evicted`. A
    /// handle used again brings the destination back.
    #[must_use]
    pub fn shutdown(&self, timeout: Duration) -> Report {
        match self.begin_shutdown(timeout) {
            Some((process, ticket)) => ticket.join(&process),
            None => Report::of(Vec::new()),
        }
    }

    /// Begins to do so and returns at once.
    #[must_use]
    pub fn begin_shutdown(&self, timeout: Duration) -> Option<(Arc<Process>, Ticket)> {
        let bound = self.bound()?;
        let key = bound.destination.key;
        let ticket = bound.process.cleanup(|destination| destination.key == key, timeout);
        Some((bound.process.clone(), ticket))
    }

    /// The counters of one lane of its destination.
    #[must_use]
    pub fn tally(&self, lane: Lane) -> crate::report::Tally {
        self.bound().map(|bound| bound.destination.lane(lane)).unwrap_or_default()
    }
}

impl Process {
    /// Closes every destination that matches: sends what is pending until the deadline, drops the rest as `evicted`,
    /// forgets them and their prompts.
    #[must_use]
    pub fn cleanup(&self, matches: impl Fn(&Destination) -> bool, timeout: Duration) -> Ticket {
        let taken = self.registry.lock().take(matches);
        for destination in &taken {
            self.forget_prompts(destination.key);
        }
        self.begin_flush_of(taken, timeout, true)
    }
}
