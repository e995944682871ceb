//! The pipeline: one state machine that takes time and outcomes as arguments and hands out actions. It never blocks,
//! spawns, reads a clock or opens a socket.
//!
//! A driver gives it [`Pipeline::handle_command`], [`Pipeline::handle_outcome`] and [`Pipeline::handle_timeout`], then
//! takes [`Pipeline::poll_action`] until that is empty, then sleeps until [`Pipeline::next_timeout`] at most.

mod attempt;
mod breaker;
mod control;
mod flush;
pub(crate) mod ids;
mod queue;
mod retry;
mod schedule;
mod spool;
mod timer;
mod uploads;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use self::attempt::Attempt;
use self::breaker::Origin;
use self::control::Waiting;
use self::flush::Flush;
pub use self::flush::FlushRequest;
use self::ids::IdMap;
use self::queue::Entry;
pub use self::queue::{ITEM_OVERHEAD, Item, Wrapper};
use self::retry::RetryBudget;
use self::schedule::Class;
use self::spool::{Fate, Spool};
use self::timer::{Timer, Timers};
use crate::config::CROWDED_LINGER;
use crate::control::Control;
use crate::destination::{Destination, nanos};
use crate::full::{FULL, Gated};
use crate::interchange::pack::FULL_BYTES;
use crate::interchange::record::unpack;
use crate::interchange::span::read;
use crate::map::Map;
use crate::notice::NoticeKind;
use crate::report::{DropReason, Lane};
use crate::shared::Shared;
use crate::transport::{Now, Request, Slot};

/// Standing in line for this long is no crowd yet.
const PATIENCE: u64 = 500_000_000;
/// How often unused origins are forgotten.
const SWEEP: u64 = 60_000_000_000;

/// What callers ask of the pipeline.
#[derive(Debug)]
pub enum Command {
    /// An ended observation or a score, its bytes reserved.
    Submit {
        /// Where to.
        destination: Arc<Destination>,
        /// Which lane.
        lane: Lane,
        /// The encoded item.
        item: Item,
    },
    /// Encode the oldest of a destination's packs.
    Unpack(Arc<Destination>),
    /// Send what is pending and report.
    Flush(FlushRequest),
    /// Carry a request and hand its outcome back.
    Control(Gated<Box<Control>>),
}

impl Command {
    /// Bytes that have to be worked through when it is handled.
    #[must_use]
    pub fn work(&self) -> usize {
        match self {
            Self::Submit { item: Item { wrapper: Some(Wrapper::UnreadSpan(..)), payload, .. }, .. } => {
                payload.len()
            }
            Self::Unpack(_) => FULL_BYTES,
            _ => 0,
        }
    }
}

/// What a driver has to do.
#[derive(Debug)]
pub enum Action {
    /// Begin an attempt; its outcome goes to [`Pipeline::handle_outcome`].
    Send {
        /// Names the attempt.
        slot: Slot,
        /// What to send.
        request: Request,
    },
    /// Forget an attempt.
    Cancel {
        /// Names the attempt.
        slot: Slot,
    },
    /// Close idle connections.
    DiscardIdle,
}

/// See the module.
#[derive(Debug)]
pub struct Pipeline {
    shared: Arc<Shared>,
    spools: IdMap<u64, Spool>,
    origins: IdMap<u32, Origin>,
    origin_ids: Map<Arc<str>, u32>,
    next_origin: u32,
    /// Origins that have something to send and room for it.
    rotation: VecDeque<u32>,
    /// Origins whose waiting destinations are all suspects, held back by the process's share.
    held_back: Vec<u32>,
    attempts: IdMap<u64, Attempt>,
    suspects_in_flight: usize,
    controls: IdMap<u64, Waiting>,
    next_control: u64,
    /// Origins with control requests that may go.
    control_rotation: VecDeque<u32>,
    controls_in_flight: usize,
    /// Destinations with uploads that may go.
    upload_line: VecDeque<u64>,
    uploads_in_flight: usize,
    next_slot: u64,
    flushes: IdMap<u64, Flush>,
    next_flush: u64,
    timers: Timers,
    actions: VecDeque<Action>,
    retry_budget: RetryBudget,
    last_turn: Now,
    /// Callers were told that nothing waits any more, while they may just have added something.
    disarmed: bool,
}

impl Pipeline {
    /// An empty pipeline.
    #[must_use]
    pub fn new(shared: Arc<Shared>, now: Now) -> Self {
        let mut timers = Timers::default();
        timers.set(now.mono + SWEEP, Timer::Sweep);
        Self {
            shared,
            spools: IdMap::default(),
            origins: IdMap::default(),
            origin_ids: Map::default(),
            next_origin: 0,
            rotation: VecDeque::new(),
            held_back: Vec::new(),
            attempts: IdMap::default(),
            suspects_in_flight: 0,
            controls: IdMap::default(),
            next_control: 1,
            control_rotation: VecDeque::new(),
            controls_in_flight: 0,
            upload_line: VecDeque::new(),
            uploads_in_flight: 0,
            next_slot: 1,
            flushes: IdMap::default(),
            next_flush: 1,
            timers,
            actions: VecDeque::new(),
            retry_budget: RetryBudget::new(now.mono),
            last_turn: now,
            disarmed: false,
        }
    }

    /// Takes what a caller asks for. Call [`Pipeline::poll_action`] afterwards.
    pub fn handle_command(&mut self, command: Command, now: Now) {
        match command {
            Command::Submit { destination, lane, item } => {
                if let Some(item) = read(&self.shared, &destination, item) {
                    self.submit(&destination, lane, Some(item), now);
                }
            }
            Command::Unpack(destination) => {
                if let Some(pack) = destination.packs.take() {
                    let items = unpack(&self.shared, &destination, &pack);
                    if items.is_empty() {
                        return;
                    }
                    self.submit(&destination, Lane::Observations, items, now);
                }
            }
            Command::Flush(request) => self.begin_flush(&request, now),
            Command::Control(control) => self.begin_control(control.into_inner(), now),
        }
    }

    /// Looks at everything whose time has come. Call [`Pipeline::poll_action`] afterwards.
    ///
    /// Also notices a freeze or a suspend: where more than two seconds passed on the wall clock that did not pass on the
    /// monotonic one, or between two turns that should have been closer, idle connections are dropped and running
    /// attempts begin anew.
    pub fn handle_timeout(&mut self, now: Now) {
        self.notice_gap(now);
        while let Some((at, timer)) = self.timers.pop(now.mono) {
            match timer {
                Timer::Spool(id) => {
                    if let Some(spool) = self.spools.get_mut(&id)
                        && spool.timer == Some(at)
                    {
                        spool.timer = None;
                        self.look(id, now);
                    }
                }
                Timer::Origin(id) => self.rotate(id),
                Timer::Flush(id) => self.end_flush(id, now),
                Timer::Control(id) => self.look_at_control(id, now),
                Timer::Sweep => {
                    self.sweep(now);
                    self.timers.set(now.mono + SWEEP, Timer::Sweep);
                }
            }
        }
    }

    /// When [`Pipeline::handle_timeout`] is to be called next. Changes with every other call.
    #[must_use]
    pub fn next_timeout(&self) -> Option<u64> {
        self.timers.next()
    }

    /// The next thing to do; call until `None`, after every other call.
    pub fn poll_action(&mut self, now: Now) -> Option<Action> {
        // Dispatching may find out that something else has to be asked first, so its actions come last once more.
        self.actions
            .pop_front()
            .or_else(|| self.dispatch_control(now))
            .or_else(|| self.dispatch(now))
            .or_else(|| self.dispatch_uploads(now))
            .or_else(|| self.actions.pop_front())
    }

    /// True where callers have been told, since this was asked last, that nothing of theirs waits: the driver has to look
    /// at its inbox once more before it sleeps, because data that crossed with that has no timer.
    pub fn take_disarmed(&mut self) -> bool {
        std::mem::take(&mut self.disarmed)
    }

    /// True where nothing waits, nothing is in flight and nobody flushes or asks: the exporter may end.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.spools.is_empty()
            && self.attempts.is_empty()
            && self.flushes.is_empty()
            && self.controls.is_empty()
            && self.actions.is_empty()
    }

    /// Attempts under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.attempts.len()
    }

    /// Gives up everything, where the exporter cannot go on: the items are dropped with this reason.
    pub fn abort(&mut self, reason: DropReason, now: Now) {
        let ids: Vec<u64> = self.spools.keys().copied().collect();
        for id in ids {
            self.close_spool(id, reason, now);
        }
        let flushes: Vec<u64> = self.flushes.keys().copied().collect();
        for id in flushes {
            self.end_flush(id, now);
        }
        let rest: Vec<u64> = self.attempts.keys().copied().collect();
        for slot in rest {
            self.restart(slot, now);
        }
        self.abort_controls();
    }

    fn notice_gap(&mut self, now: Now) {
        let mono = now.mono.saturating_sub(self.last_turn.mono);
        let wall = now.unix.saturating_sub(self.last_turn.unix);
        // A turn ends at the next timer at the latest, so a longer one means that the process stood still. The wall
        // clock alone may also have been set; starting attempts anew is harmless then.
        let planned = self.next_timeout().map_or(0, |at| at.saturating_sub(self.last_turn.mono));
        let frozen =
            wall > mono.saturating_add(2_000_000_000) || mono > planned.saturating_add(2_000_000_000);
        self.last_turn = now;
        if !frozen || self.attempts.is_empty() {
            if frozen {
                self.actions.push_back(Action::DiscardIdle);
            }
            return;
        }
        self.actions.push_back(Action::DiscardIdle);
        let slots: Vec<u64> = self.attempts.keys().copied().collect();
        for slot in slots {
            self.restart(slot, now);
        }
    }

    /// Items of one destination and lane, in their order.
    fn submit(
        &mut self,
        destination: &Arc<Destination>,
        lane: Lane,
        items: impl IntoIterator<Item = Item>,
        now: Now,
    ) {
        let id = destination.id;
        // After the goodbye nobody knows how long there is still time.
        let base = if self.shared.goodbye.load(Ordering::Relaxed) == 0 { destination.linger() } else { 0 };
        if !self.spools.contains_key(&id) {
            let origin = self.origin(&destination.endpoint.origin, now);
            let down = self.origins.get(&origin).is_some_and(|origin| origin.opens_at().is_some());
            destination.budget.set_failing(down);
            self.spools.insert(id, Spool::new(destination.clone(), origin));
        }
        let Some(spool) = self.spools.get_mut(&id) else { return };
        let crowding = self.origins.get(&spool.origin).map_or(0, |origin| origin.crowding);
        let crowded = if base == 0 {
            0
        } else {
            base.max(
                nanos(CROWDED_LINGER)
                    .min(base.saturating_add(crowding.saturating_sub(PATIENCE).saturating_mul(4))),
            )
        };
        let throttled = base
            .saturating_mul(u64::from(spool.throttle))
            .min(nanos(crate::config::THROTTLED_LINGER).max(base));
        for item in items {
            spool.push(lane, item, crowded.max(throttled));
        }
        if lane == Lane::Media {
            return self.look(id, now);
        }
        let full = spool.lane_due(lane, now.mono);
        let due = spool.lanes[lane as usize].due.max(spool.not_before);
        // Most submissions join data that already has its timer. The timer may also be one for expiry only.
        let timed = spool.queued.is_some() || spool.is_saturated() || spool.timer.is_some_and(|at| at <= due);
        if !timed || (full && spool.queued.is_none()) {
            self.look(id, now);
        }
    }

    /// The origin's number, for one more spool.
    fn origin(&mut self, name: &Arc<str>, now: Now) -> u32 {
        let id = self.origin_id(name, now);
        if let Some(origin) = self.origins.get_mut(&id) {
            origin.spools += 1;
        }
        id
    }

    /// The origin's number; made on first sight.
    fn origin_id(&mut self, name: &Arc<str>, now: Now) -> u32 {
        let id = match self.origin_ids.get(name) {
            Some(id) => *id,
            None => {
                let id = self.next_origin;
                self.next_origin += 1;
                self.origin_ids.insert(name.clone(), id);
                self.origins.insert(id, Origin::new(name.clone(), now.mono));
                id
            }
        };
        if let Some(origin) = self.origins.get_mut(&id) {
            origin.last_used = now.mono;
        }
        id
    }

    /// Looks at one spool: gives up what is too old, stands it in line where it has something to send, sets its timer,
    /// and forgets it where there is nothing left.
    fn look(&mut self, id: u64, now: Now) {
        let max_age = nanos(self.shared.limits.max_age);
        let Some(spool) = self.spools.get_mut(&id) else {
            return;
        };
        if spool.expires(max_age).is_some_and(|at| at <= now.mono) {
            let (unauthorized, media_too) = (spool.unauthorized, spool.uploads.unauthorized);
            let destination = spool.destination.clone();
            self.disarmed = true;
            for (lane, entries) in spool.expire(now.mono.saturating_sub(max_age)) {
                let refused = unauthorized || (media_too && lane == Lane::Media);
                let reason = if refused { DropReason::Unauthorized } else { DropReason::Expired };
                self.settle(&destination, lane, &entries, Fate::Dropped(reason), now);
            }
        }
        let Some(spool) = self.spools.get_mut(&id) else {
            return;
        };
        if spool.is_empty() && spool.waiters.is_empty() && now.mono >= spool.not_before {
            self.forget_spool(id);
            return;
        }
        let form = self.origins.get(&spool.origin).and_then(|origin| origin.score_form(now.mono));
        if FULL.is_some()
            && form.is_none()
            && spool.lane_due(Lane::Scores, now.mono)
            && now.mono >= spool.not_before
        {
            self.ask_version(id, now);
        }
        let Some(spool) = self.spools.get_mut(&id) else {
            return;
        };
        if spool.queued.is_none() && spool.ready(now.mono, form.is_some()) {
            let class = match (spool.suspect, spool.waiters.is_empty()) {
                (true, _) => Class::Suspect,
                (false, false) => Class::Urgent,
                (false, true) => Class::Normal,
            };
            let origin = spool.origin;
            let line =
                self.origins.get_mut(&origin).map(|origin| (origin.waiting.push(class, id), origin.spools));
            if let (Some((stamp, spools)), Some(spool)) = (line, self.spools.get_mut(&id)) {
                spool.queued = Some((now.mono, stamp));
                self.tidy_line(origin, spools);
            }
            self.rotate(origin);
        }
        self.queue_uploads(id, now);
        self.set_timer(id, now);
        self.give_up_hopeless(id, now);
    }

    /// Forgets timers that nobody waits for any more, where they are most of a long list.
    fn tidy_timers(&mut self) {
        let (spools, flushes, controls) = (&self.spools, &self.flushes, &self.controls);
        self.timers.tidy(|at, timer| match timer {
            Timer::Spool(id) => spools.get(&id).is_some_and(|spool| spool.timer == Some(at)),
            Timer::Flush(id) => flushes.contains_key(&id),
            Timer::Control(id) => controls.contains_key(&id),
            Timer::Origin(_) | Timer::Sweep => true,
        });
    }

    fn set_timer(&mut self, id: u64, now: Now) {
        self.tidy_timers();
        let max_age = nanos(self.shared.limits.max_age);
        let Some(spool) = self.spools.get_mut(&id) else {
            return;
        };
        let when = |lane: Lane| match &spool.lanes[lane as usize] {
            queue if queue.is_empty() => None,
            _ if spool.lane_due(lane, now.mono) => Some(now.mono),
            queue => Some(queue.due),
        };
        let due = Lane::BATCHED.iter().copied().filter_map(when).min();
        // Where nothing is pending, the pause itself is what to wait for.
        let due = due.unwrap_or(spool.not_before).max(spool.not_before);
        let sending = spool.queued.is_some() || spool.is_saturated();
        let upload = spool.uploads.when(!spool.waiters.is_empty()).filter(|at| *at > now.mono);
        let due = (!sending && due > now.mono).then_some(due);
        let at = spool.expires(max_age).into_iter().chain(due).chain(upload).min();
        if let Some(at) = at
            && spool.timer.is_none_or(|set| at < set)
        {
            spool.timer = Some(at);
            self.timers.set(at, Timer::Spool(id));
        }
    }

    fn forget_spool(&mut self, id: u64) {
        if let Some(spool) = self.spools.remove(&id)
            && let Some(origin) = self.origins.get_mut(&spool.origin)
        {
            origin.spools -= 1;
            // Nothing is left to find out with: the next data has to be let in.
            spool.destination.budget.set_failing(false);
        }
    }

    /// Clears an origin's lines of those who have left them, where they are most of it.
    fn tidy_line(&mut self, origin: u32, spools: usize) {
        let all = &self.spools;
        if let Some(origin) = self.origins.get_mut(&origin) {
            let stands = |id, stamp| {
                all.get(&id).is_some_and(|spool| spool.queued.is_some_and(|(_, standing)| standing == stamp))
            };
            origin.waiting.tidy(spools, stands);
        }
    }

    /// Counts what became of items, gives their bytes back and tells the flushes that wait for them.
    fn settle(&mut self, destination: &Destination, lane: Lane, entries: &[Entry], fate: Fate, now: Now) {
        if entries.is_empty() {
            return;
        }
        let id = destination.id;
        let count = entries.len() as u64;
        let cost: usize = entries.iter().map(|entry| entry.item.cost()).sum();
        destination.budget.release(cost);
        self.shared.budget.release(cost);
        match fate {
            Fate::Delivered => destination.counters.delivered(lane, count),
            Fate::Unconfirmed => destination.counters.unconfirmed(lane, count),
            Fate::Dropped(reason) => {
                destination.counters.dropped(lane, reason, count);
                let url = &destination.endpoint.url;
                self.shared.notices.add(
                    NoticeKind::Dropped { lane, reason },
                    &destination.public_key,
                    count,
                    now.mono,
                    || [lane.as_str(), " for ", &url.text(), " dropped: ", reason.as_str()].concat(),
                );
            }
        }
        let waiters = self.spools.get(&id).map(|spool| spool.waiters.clone()).unwrap_or_default();
        for flush_id in waiters {
            let finished =
                self.flushes.get_mut(&flush_id).is_some_and(|flush| flush.settle(id, entries, fate));
            if finished {
                self.finish_part(flush_id, id, now);
            }
        }
    }

    /// Gives up everything of one destination: what waits is dropped, what is in flight stays unconfirmed.
    fn close_spool(&mut self, id: u64, reason: DropReason, now: Now) {
        let Some(spool) = self.spools.get_mut(&id) else {
            return;
        };
        let destination = spool.destination.clone();
        let reason = if spool.unauthorized { DropReason::Unauthorized } else { reason };
        // Everything is taken out before anything is counted: counting may end flushes, which may close it once more.
        let waiting = spool.drain();
        self.disarmed = true;
        let slots = [std::mem::take(&mut spool.slots), spool.uploads.forget_slots()].concat();
        let sent: Vec<_> = slots.into_iter().filter_map(|slot| self.withdraw(slot)).collect();
        for (lane, entries) in waiting {
            self.settle(&destination, lane, &entries, Fate::Dropped(reason), now);
        }
        for attempt in sent {
            if let Some((lane, entries)) = attempt.into_entries() {
                self.settle(&destination, lane, &entries, Fate::Unconfirmed, now);
            }
        }
        if self.spools.get(&id).is_some_and(|spool| spool.waiters.is_empty() && spool.is_empty()) {
            self.forget_spool(id);
        }
    }

    /// Puts an origin into the rotation where it has somebody waiting.
    fn rotate(&mut self, id: u32) {
        if let Some(origin) = self.origins.get_mut(&id)
            && !origin.rotating
            && !origin.waiting.is_empty()
        {
            origin.rotating = true;
            self.rotation.push_back(id);
        }
    }

    fn sweep(&mut self, now: Now) {
        const UNUSED: u64 = 10 * SWEEP;
        let ids = &mut self.origin_ids;
        self.origins.retain(|_, origin| {
            let keep = origin.spools > 0
                || origin.in_flight > 0
                || origin.rotating
                || origin.controls_rotating
                || !origin.controls.is_empty()
                || now.mono.saturating_sub(origin.last_used) < UNUSED;
            if !keep {
                ids.remove(&origin.name);
            }
            keep
        });
    }
}
