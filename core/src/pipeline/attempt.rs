//! Requests under way: beginning them, and what their outcomes mean.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::breaker::{self, ScoreSupport};
use super::queue::{Batch, Entry, ScoreForm};
use super::retry::{self, Verdict, Why};
use super::spool::Fate;
use super::timer::Timer;
use super::uploads::Upload;
use super::{Action, Pipeline, control};
use crate::control::Control;
use crate::destination::nanos;
use crate::endpoint::Endpoint;
use crate::full::{FULL, Gated};
use crate::notice::NoticeKind;
use crate::number::Digits;
use crate::report::{DropReason, Lane};
use crate::transport::{Failure, FailureKind, Method, Now, Outcome, Payload, Request, Slot};

/// Response bytes worth keeping: a 207 names each refused item.
const MAX_RESPONSE: usize = 256 * 1024;
/// The health probe must not hold scores up for a request's whole timeout.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// A request under way.
#[derive(Debug)]
pub(crate) struct Attempt {
    origin: u32,
    suspect: bool,
    work: Work,
}

#[derive(Debug)]
pub(super) enum Work {
    Batch {
        spool: u64,
        batch: Batch,
    },
    /// Asks an origin for its version; these destinations' scores wait for the answer.
    Version {
        spools: Gated<BTreeSet<u64>>,
    },
    /// Somebody's request.
    Control {
        control: Gated<Box<Control>>,
        began: u64,
    },
    /// One step of an upload.
    Upload {
        spool: u64,
        upload: Gated<Box<Upload>>,
    },
}

impl Attempt {
    pub(crate) fn items(&self) -> u64 {
        self.entries().count() as u64
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let entries: &[Entry] = match &self.work {
            Work::Batch { batch, .. } => &batch.entries,
            Work::Upload { upload, .. } => std::slice::from_ref(upload.entry()),
            Work::Version { .. } | Work::Control { .. } => &[],
        };
        entries.iter()
    }

    pub(crate) fn into_entries(self) -> Option<(Lane, Vec<Entry>)> {
        match self.work {
            Work::Batch { batch, .. } => Some((batch.lane, batch.entries)),
            Work::Upload { upload, .. } => Some((Lane::Media, vec![upload.into_inner().into_entry()])),
            Work::Version { .. } | Work::Control { .. } => None,
        }
    }
}

impl Pipeline {
    /// Begins the next attempt, where somebody has something to send and there is room.
    pub(super) fn dispatch(&mut self, now: Now) -> Option<Action> {
        let limits = self.shared.limits.in_flight;
        while self.attempts.len() < limits.process {
            let id = self.rotation.pop_front()?;
            let Some(origin) = self.origins.get_mut(&id) else {
                continue;
            };
            origin.rotating = false;
            // Where it is not admitted now, its timer or its next outcome puts it back.
            if !origin.admits(now.mono) || origin.in_flight >= limits.origin {
                continue;
            }
            let room_here = origin.suspects_in_flight < (limits.origin / 4).max(1);
            let room = self.suspects_in_flight < (limits.process / 4).max(1);
            let spools = &self.spools;
            let standing = |id, stamp| {
                spools.get(&id).is_some_and(|spool| spool.queued.is_some_and(|(_, s)| s == stamp))
            };
            let Some(spool) = origin.waiting.pop(room_here && room, standing) else {
                if !origin.waiting.is_empty() && !room && !self.held_back.contains(&id) {
                    self.held_back.push(id);
                }
                continue;
            };
            let action = self.begin(spool, now);
            self.rotate(id);
            if action.is_some() {
                return action;
            }
        }
        None
    }

    fn begin(&mut self, id: u64, now: Now) -> Option<Action> {
        let spool = self.spools.get_mut(&id)?;
        let asked = spool.queued.take().map_or(now.mono, |(at, _)| at);
        let origin_id = spool.origin;
        let origin = self.origins.get_mut(&origin_id)?;
        if !spool.suspect {
            origin.count_wait(asked, now.mono);
        }
        let form = origin.score_form(now.mono);
        if !spool.ready(now.mono, form.is_some()) {
            self.look(id, now);
            return None;
        }
        let mut batch = spool.take_batch(now.mono, form.is_some(), asked)?;
        // The first repetition is free: after a blip everybody has one.
        if batch.attempts > 1 && !self.retry_budget.retry(now.mono) {
            spool.lanes[batch.lane as usize].retries.push_front(batch);
            spool.not_before = now.mono + nanos(retry::jittered(Duration::from_secs(1), 1.0));
            self.look(id, now);
            return None;
        }
        if batch.attempts == 0 {
            self.retry_budget.request();
        } else {
            self.shared.retries.fetch_add(1, Ordering::Relaxed);
        }
        self.disarmed = true;
        batch.attempts += 1;
        let form = form.unwrap_or(ScoreForm::Ingestion);
        let destination = &spool.destination;
        let payload = match &destination.envelope {
            Some(own) => batch.payload(own, form),
            None => batch.payload(&self.shared.envelope.load(), form),
        };
        let (path, content_type, gzip): (Arc<str>, _, _) = match (batch.lane, form) {
            (Lane::Observations | Lane::Media, _) => (
                destination.otlp_path.clone(),
                "application/x-protobuf",
                destination.gzip.load(Ordering::Relaxed),
            ),
            // The servers' JSON endpoints take no compressed bodies.
            (Lane::Scores, ScoreForm::Array) => ("/api/public/scores".into(), "application/json", false),
            (Lane::Scores, ScoreForm::Ingestion) => {
                ("/api/public/ingestion".into(), "application/json", false)
            }
        };
        let request = Request {
            endpoint: destination.endpoint.clone(),
            method: Method::Post,
            path,
            content_type: Some(content_type),
            headers: Arc::new([]),
            authorized: true,
            payload,
            gzip,
            deadline: now.mono + nanos(batch.timeout()),
            max_response: MAX_RESPONSE,
            keep_headers: &[],
            repeatable: true,
        };
        let suspect = spool.suspect;
        let slot = self.next_slot;
        spool.slots.push(slot);
        let action = self.send(origin_id, suspect, Work::Batch { spool: id, batch }, request, now);
        self.look(id, now);
        Some(action)
    }

    pub(super) fn send(
        &mut self,
        origin_id: u32,
        suspect: bool,
        work: Work,
        request: Request,
        now: Now,
    ) -> Action {
        let slot = self.next_slot;
        self.next_slot += 1;
        if let Some(origin) = self.origins.get_mut(&origin_id) {
            match work {
                Work::Control { .. } => origin.begin_question(now.mono),
                Work::Batch { .. } | Work::Version { .. } | Work::Upload { .. } => {
                    origin.begin(suspect, now.mono);
                }
            }
        }
        self.suspects_in_flight += usize::from(suspect);
        self.attempts.insert(slot, Attempt { origin: origin_id, suspect, work });
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        Action::Send { slot: Slot(slot), request }
    }

    /// Asks the spool's server for its version, or waits for the answer that somebody else asked for.
    pub(super) fn ask_version(&mut self, id: u64, now: Now) {
        let Some(full) = FULL else { return };
        let Some(spool) = self.spools.get(&id) else { return };
        let (origin_id, endpoint): (u32, Arc<Endpoint>) = (spool.origin, spool.destination.endpoint.clone());
        let Some(origin) = self.origins.get_mut(&origin_id) else {
            return;
        };
        if let ScoreSupport::Asked(slot) = origin.scores {
            if let Some(Attempt { work: Work::Version { spools }, .. }) = self.attempts.get_mut(&slot) {
                spools.insert(id);
            }
            return;
        }
        if endpoint.url.host.ends_with("langfuse.com") || endpoint.has_bearer() {
            // Langfuse Cloud allows 30 score requests a minute on its smallest plan, but 1,000 ingestion requests. A page that is
            // left sends one request, and no other when that is answered.
            origin.scores = ScoreSupport::Known(ScoreForm::Ingestion, u64::MAX);
            self.look(id, now);
            return;
        }
        let limits = self.shared.limits.in_flight;
        let room = origin.in_flight < limits.origin && self.attempts.len() < limits.process;
        if !room || !origin.admits(now.mono) {
            // Look again when the breaker lets somebody through, or there is room.
            let again = origin.opens_at().unwrap_or(0).max(now.mono + nanos(Duration::from_secs(1)));
            if let Some(spool) = self.spools.get_mut(&id) {
                spool.not_before = again;
            }
            return;
        }
        origin.scores = ScoreSupport::Asked(self.next_slot);
        let request = Request {
            endpoint,
            method: Method::Get,
            path: "/api/public/health".into(),
            content_type: None,
            headers: Arc::new([]),
            authorized: false,
            payload: Payload::default(),
            gzip: false,
            deadline: now.mono + nanos(HEALTH_TIMEOUT),
            max_response: 4096,
            keep_headers: &[],
            repeatable: true,
        };
        let action = self.send(
            origin_id,
            false,
            Work::Version { spools: Gated::new(BTreeSet::from([id]), full) },
            request,
            now,
        );
        self.actions.push_back(action);
    }

    /// Takes an attempt's outcome. A slot that was cancelled means nothing any more. Call
    /// [`Pipeline::poll_action`] afterwards.
    pub fn handle_outcome(&mut self, slot: Slot, outcome: &Outcome, now: Now) {
        let Some(attempt) = self.attempts.remove(&slot.0) else {
            return;
        };
        self.suspects_in_flight -= usize::from(attempt.suspect);
        if let Some(origin) = self.origins.get_mut(&attempt.origin) {
            origin.end(attempt.suspect);
            match outcome {
                Outcome::Response(_) => {
                    if origin.answered(now.mono) {
                        self.mark_failing(attempt.origin, false);
                    }
                }
                // A request that could not even be made says nothing about the server.
                Outcome::Failed(failure) if failure.kind == FailureKind::Invalid => origin.abandoned(),
                Outcome::Failed(_) if !control::tells(&attempt.work, outcome, now.mono) => origin.abandoned(),
                Outcome::Failed(_) => {
                    let first = origin.opens_at().is_none();
                    if let Some(until) = origin.failed(now.mono) {
                        self.timers.set(until, Timer::Origin(attempt.origin));
                        if first {
                            self.mark_failing(attempt.origin, true);
                        }
                    }
                }
            }
        }
        match attempt.work {
            Work::Batch { spool, batch } => self.end_batch(slot, spool, batch, outcome, now),
            Work::Version { spools } => {
                let version = match outcome {
                    Outcome::Response(response) if response.status == 200 => breaker::version(&response.body),
                    _ => None,
                };
                if let Some(origin) = self.origins.get_mut(&attempt.origin) {
                    origin.learn(version, now.mono);
                }
                for spool in spools.into_inner() {
                    self.look(spool, now);
                }
            }
            Work::Control { control, .. } => {
                self.end_control(attempt.origin, control.into_inner(), outcome, now)
            }
            Work::Upload { spool, upload } => {
                self.uploads_in_flight -= 1;
                self.end_upload(slot, spool, *upload.into_inner(), outcome, now);
            }
        }
        self.make_room(attempt.origin, attempt.suspect);
    }

    /// An attempt is over: whoever waited for its slot may go on.
    fn make_room(&mut self, origin: u32, suspect: bool) {
        self.rotate(origin);
        self.rotate_controls(origin);
        if suspect {
            for origin in std::mem::take(&mut self.held_back) {
                self.rotate(origin);
            }
        }
    }

    fn end_batch(&mut self, slot: Slot, id: u64, batch: Batch, outcome: &Outcome, now: Now) {
        let Some(spool) = self.spools.get_mut(&id) else {
            return;
        };
        let destination = spool.destination.clone();
        spool.slots.retain(|other| *other != slot.0);
        let (lane, sent) = (batch.lane, batch.len());
        match retry::decide(outcome, lane, sent, spool.failures) {
            Verdict::Delivered { refused, unknown } => {
                spool.recover(now.mono);
                if batch.attempts > 1 {
                    self.retry_budget.succeeded();
                }
                spool.fraction = (spool.fraction / 2).max(1);
                spool.throttle = (spool.throttle / 2).max(1);
                if let Some(delivery) = &self.shared.delivery {
                    delivery.record(now.mono.saturating_sub(batch.ready));
                }
                let (entries, unknown) = batch.entries.split_at(usize::try_from(sent - unknown).unwrap_or(0));
                let (taken, refused) = entries
                    .split_at(entries.len() - usize::try_from(refused).unwrap_or(0).min(entries.len()));
                self.settle(&destination, lane, taken, Fate::Delivered, now);
                self.settle(&destination, lane, refused, Fate::Dropped(DropReason::Rejected), now);
                self.settle(&destination, lane, unknown, Fate::Unconfirmed, now);
            }
            Verdict::Refused => {
                // The server is well; only this batch was not to its liking.
                spool.recover(now.mono);
                self.tell(id, lane, outcome, "gave the data up", now);
                self.settle(&destination, lane, &batch.entries, Fate::Dropped(DropReason::Rejected), now);
            }
            Verdict::Split => match batch.split() {
                Ok((first, second)) => {
                    let retries = &mut spool.lanes[lane as usize].retries;
                    retries.push_front(second);
                    retries.push_front(first);
                    // What is cut from now on is cut smaller.
                    spool.fraction = (spool.fraction * 2).min(512);
                    for batch in retries.iter_mut().take(2) {
                        batch.attempts = 1;
                    }
                }
                Err(single) => {
                    self.tell(id, lane, outcome, "gave one item up", now);
                    self.settle(
                        &destination,
                        lane,
                        &single.entries,
                        Fate::Dropped(DropReason::TooLarge),
                        now,
                    );
                }
            },
            Verdict::Retry { after, why, ordered } => {
                spool.pause(now.mono, now.mono + nanos(after), ordered);
                spool.unauthorized |= why == Why::Unauthorized;
                let destination_failed = why != (Why::Transport { while_sending: false });
                let retries = &mut spool.lanes[lane as usize].retries;
                match why {
                    Why::Transport { while_sending: true } => {
                        // What could not be written in time is halved, and so is what comes after it.
                        spool.fraction = (spool.fraction * 2).min(512);
                        match batch.split() {
                            Ok((mut first, mut second)) => {
                                (first.attempts, second.attempts) = (1, 1);
                                retries.extend([first, second]);
                            }
                            Err(single) => retries.push_back(single),
                        }
                    }
                    Why::Throttled => {
                        spool.throttle = (spool.throttle * 2).min(64);
                        retries.push_back(batch);
                    }
                    _ => retries.push_back(batch),
                }
                if destination_failed || spool.failures == 3 {
                    self.tell(id, lane, outcome, "will be tried again", now);
                }
            }
        }
        destination.budget.set_failing(self.spools.get(&id).is_some_and(|spool| spool.suspect));
        self.look(id, now);
    }

    /// Tells the callers' side of an origin's destinations that it is down, or up again.
    fn mark_failing(&self, origin: u32, failing: bool) {
        for spool in self.spools.values().filter(|spool| spool.origin == origin) {
            spool.destination.budget.set_failing(failing || spool.suspect);
        }
    }

    fn tell(&self, id: u64, lane: Lane, outcome: &Outcome, what: &str, now: Now) {
        let Some(spool) = self.spools.get(&id) else { return };
        let destination = &spool.destination;
        self.shared.notices.add(NoticeKind::Server, &destination.public_key, 1, now.mono, || {
            let url = &destination.endpoint.url;
            let lane = lane.as_str();
            match outcome {
                Outcome::Response(response) => {
                    let status = Digits::of(response.status.into());
                    [&url.text(), " answered ", status.as_str(), " to ", lane, ": ", what].concat()
                }
                Outcome::Failed(failure) => {
                    let Failure { phase, detail, .. } = failure;
                    let why = [" (", phase.as_str(), ": ", detail, "): "].concat();
                    [&url.text(), " did not take ", lane, &why, what].concat()
                }
            }
        });
    }

    /// Forgets an attempt and puts its batch back to the front: the connection it was on is not to be trusted.
    pub(super) fn restart(&mut self, slot: u64, now: Now) {
        let Some(attempt) = self.withdraw(slot) else {
            return;
        };
        match attempt.work {
            Work::Batch { spool: id, batch } => {
                if let Some(spool) = self.spools.get_mut(&id) {
                    spool.slots.retain(|other| *other != slot);
                    spool.lanes[batch.lane as usize].retries.push_front(batch);
                }
                self.look(id, now);
            }
            Work::Version { spools } => {
                if let Some(origin) = self.origins.get_mut(&attempt.origin) {
                    origin.scores = ScoreSupport::Unknown;
                }
                for spool in spools.into_inner() {
                    self.look(spool, now);
                }
            }
            Work::Control { control, .. } => self.restart_control(attempt.origin, control.into_inner(), now),
            Work::Upload { spool: id, upload } => {
                if let Some(spool) = self.spools.get_mut(&id) {
                    spool.uploads.end(slot, &upload);
                    spool.uploads.put_back(*upload.into_inner());
                }
                self.look(id, now);
            }
        }
    }

    /// Takes an attempt out; an outcome that still comes means nothing.
    pub(super) fn withdraw(&mut self, slot: u64) -> Option<Attempt> {
        let attempt = self.attempts.remove(&slot)?;
        self.suspects_in_flight -= usize::from(attempt.suspect);
        self.uploads_in_flight -= usize::from(matches!(attempt.work, Work::Upload { .. }));
        if let Some(origin) = self.origins.get_mut(&attempt.origin) {
            origin.end(attempt.suspect);
            origin.abandoned();
        }
        self.actions.push_back(Action::Cancel { slot: Slot(slot) });
        self.make_room(attempt.origin, attempt.suspect);
        Some(attempt)
    }
}
