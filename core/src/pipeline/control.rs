//! Control requests in the pipeline: who goes next, what is tried again, and when there is no point in asking.
//!
//! They have a line of their own at each origin, in which destinations take turns, and go before batches; but they hold a
//! quarter of the slots at most, so neither kind starves the other. They may go a sixteenth over the bounds, so that hung
//! batches never keep a caller waiting.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::attempt::Work;
use super::retry;
use super::timer::Timer;
use super::{Action, Pipeline};
use crate::control::{Control, Target, out_of_time, unavailable};
use crate::destination::nanos;
use crate::full::FULL;
use crate::transport::{Failure, FailureKind, Now, Outcome, Phase, Request};

/// Requests of one destination in flight at one origin.
const PER_TENANT: usize = 8;
/// First and longest pause between two attempts; people wait for these.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A timeout shorter than this is the caller's impatience and says nothing about the server.
const TELLING: u64 = 1_000_000_000;

/// The requests that wait at one origin.
#[derive(Debug, Default)]
pub(crate) struct Line {
    tenants: HashMap<u64, Tenant>,
    /// Tenants with somebody waiting and room, in the order of their turns.
    turns: VecDeque<u64>,
    pub(crate) in_flight: usize,
}

#[derive(Debug, Default)]
struct Tenant {
    waiting: VecDeque<u64>,
    in_flight: usize,
    has_turn: bool,
}

impl Line {
    fn push(&mut self, tenant: u64, id: u64) {
        self.tenants.entry(tenant).or_default().waiting.push_back(id);
        self.give_turn(tenant);
    }

    fn give_turn(&mut self, id: u64) {
        let Some(tenant) = self.tenants.get_mut(&id) else { return };
        if !tenant.has_turn && !tenant.waiting.is_empty() && tenant.in_flight < PER_TENANT {
            tenant.has_turn = true;
            self.turns.push_back(id);
        }
    }

    /// Takes the next one, with its tenant; it counts as in flight from now on.
    fn pop(&mut self) -> Option<(u64, u64)> {
        while let Some(id) = self.turns.pop_front() {
            let Some(tenant) = self.tenants.get_mut(&id) else { continue };
            tenant.has_turn = false;
            let Some(next) = tenant.waiting.pop_front() else { continue };
            tenant.in_flight += 1;
            self.in_flight += 1;
            self.give_turn(id);
            return Some((id, next));
        }
        None
    }

    fn end(&mut self, id: u64) {
        self.in_flight -= 1;
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.in_flight -= 1;
        }
        self.give_turn(id);
        self.forget(id);
    }

    fn remove(&mut self, tenant: u64, id: u64) {
        if let Some(tenant) = self.tenants.get_mut(&tenant) {
            tenant.waiting.retain(|other| *other != id);
        }
        self.forget(tenant);
    }

    fn forget(&mut self, id: u64) {
        if let Some(tenant) = self.tenants.get(&id)
            && tenant.waiting.is_empty()
            && tenant.in_flight == 0
        {
            if tenant.has_turn {
                self.turns.retain(|other| *other != id);
            }
            self.tenants.remove(&id);
        }
    }

    fn drain(&mut self) -> Vec<u64> {
        self.turns.clear();
        let mut all = Vec::new();
        self.tenants.retain(|_, tenant| {
            all.extend(tenant.waiting.drain(..));
            tenant.has_turn = false;
            tenant.in_flight > 0
        });
        all
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.in_flight == 0 && self.tenants.is_empty()
    }

    fn has_waiting(&self) -> bool {
        !self.turns.is_empty()
    }
}

/// A request that is not under way: in line, or pausing before its next attempt.
#[derive(Debug)]
pub(crate) struct Waiting {
    control: Box<Control>,
    origin: u32,
    /// When its pause ends; `None` in line.
    resumes: Option<u64>,
}

impl Pipeline {
    pub(super) fn begin_control(&mut self, control: Box<Control>, now: Now) {
        let origin = self.origin_id(&control.endpoint.origin, now);
        self.await_turn(control, origin, None, now);
    }

    /// Stands a request in line, or lets it pause until `resumes` first.
    fn await_turn(&mut self, control: Box<Control>, origin: u32, resumes: Option<u64>, now: Now) {
        let id = self.next_control;
        self.next_control += 1;
        if now.mono >= control.deadline {
            control.answer(out_of_time());
            return;
        }
        self.tidy_timers();
        self.timers.set(resumes.map_or(control.deadline, |at| at.min(control.deadline)), Timer::Control(id));
        let tenant = control.tenant;
        self.controls.insert(id, Waiting { control, origin, resumes });
        if resumes.is_none() {
            self.stand_in_line(origin, tenant, id);
        }
    }

    fn stand_in_line(&mut self, origin: u32, tenant: u64, id: u64) {
        if let Some(origin) = self.origins.get_mut(&origin) {
            origin.controls.push(tenant, id);
        }
        self.rotate_controls(origin);
    }

    /// Puts an origin into the rotation of those that have control requests waiting.
    pub(super) fn rotate_controls(&mut self, id: u32) {
        if FULL.is_none() {
            return;
        }
        if let Some(origin) = self.origins.get_mut(&id)
            && !origin.controls_rotating
            && origin.controls.has_waiting()
        {
            origin.controls_rotating = true;
            self.control_rotation.push_back(id);
        }
    }

    /// A pause is over, or a deadline has come.
    pub(super) fn look_at_control(&mut self, id: u64, now: Now) {
        if FULL.is_none() {
            return;
        }
        let Some(waiting) = self.controls.get_mut(&id) else { return };
        if now.mono >= waiting.control.deadline {
            self.end_waiting(id, out_of_time());
        } else if waiting.resumes.take_if(|at| *at <= now.mono).is_some() {
            let (origin, tenant) = (waiting.origin, waiting.control.tenant);
            self.timers.set(waiting.control.deadline, Timer::Control(id));
            self.stand_in_line(origin, tenant, id);
        }
    }

    fn end_waiting(&mut self, id: u64, outcome: Outcome) {
        let Some(Waiting { control, origin, .. }) = self.controls.remove(&id) else { return };
        if let Some(origin) = self.origins.get_mut(&origin) {
            origin.controls.remove(control.tenant, id);
        }
        control.answer(outcome);
    }

    /// Begins the next control request, where one waits and there is room.
    pub(super) fn dispatch_control(&mut self, now: Now) -> Option<Action> {
        FULL?;
        let limits = self.shared.limits.in_flight;
        let share = |limit: usize| (limit / 4).max(1);
        let bound = |limit: usize| limit + limit / 16;
        let room = |pipeline: &Self| {
            pipeline.attempts.len() < bound(limits.process)
                && pipeline.controls_in_flight < share(limits.process)
        };
        while room(self) {
            let id = self.control_rotation.pop_front()?;
            let Some(origin) = self.origins.get_mut(&id) else { continue };
            origin.controls_rotating = false;
            let full =
                origin.in_flight >= bound(limits.origin) || origin.controls.in_flight >= share(limits.origin);
            // Its next outcome puts it back.
            if full || origin.is_being_asked() {
                continue;
            }
            if !origin.admits_question(now.mono) {
                self.refuse_line(id, now);
                continue;
            }
            let Some((tenant, next)) = origin.controls.pop() else { continue };
            let action = self.begin_attempt(id, next, now);
            if action.is_none() {
                self.leave_line(id, tenant);
            }
            self.rotate_controls(id);
            if action.is_some() {
                return action;
            }
        }
        None
    }

    /// The server was asked a moment ago and did not answer: nobody is kept waiting for the same.
    fn refuse_line(&mut self, origin_id: u32, now: Now) {
        let Some(origin) = self.origins.get_mut(&origin_id) else { return };
        let seconds = origin.opens_at().unwrap_or(0).saturating_sub(now.mono).div_ceil(1_000_000_000);
        let name = origin.name.clone();
        for id in origin.controls.drain() {
            if let Some(waiting) = self.controls.remove(&id) {
                let detail =
                    format!("{name} does not answer; it is tried again in {seconds} s at the latest");
                waiting.control.answer(unavailable(detail));
            }
        }
    }

    fn begin_attempt(&mut self, origin_id: u32, id: u64, now: Now) -> Option<Action> {
        let full = FULL?;
        let Waiting { mut control, .. } = self.controls.remove(&id)?;
        if now.mono >= control.deadline {
            control.answer(out_of_time());
            return None;
        }
        if control.tried == 0 {
            self.retry_budget.request();
        }
        control.tried += 1;
        let asked = &control.request;
        let request = Request {
            endpoint: control.endpoint.clone(),
            method: asked.method,
            path: control.path.clone(),
            content_type: None,
            headers: asked.headers.as_slice().into(),
            authorized: matches!(asked.target, Target::Own(_)),
            payload: asked.body.clone(),
            gzip: false,
            deadline: control.deadline,
            // One more than is taken, to tell an answer that is too long.
            max_response: asked.max_response.saturating_add(1),
            keep_headers: asked.keep_headers,
            repeatable: asked.repeatable,
        };
        self.controls_in_flight += 1;
        Some(self.send(origin_id, false, Work::Control { control, began: now.mono, full }, request, now))
    }

    pub(super) fn leave_line(&mut self, origin: u32, tenant: u64) {
        if let Some(origin) = self.origins.get_mut(&origin) {
            origin.controls.end(tenant);
        }
        self.rotate_controls(origin);
    }

    /// An attempt is over: the request is answered, or tried again after a pause.
    pub(super) fn end_control(&mut self, origin: u32, control: Box<Control>, outcome: &Outcome, now: Now) {
        self.controls_in_flight -= 1;
        self.leave_line(origin, control.tenant);
        let again = repetition(outcome, control.request.repeatable)
            .filter(|_| control.tried < control.request.attempts.max(1))
            .map(|told| {
                let (first, longest) = BACKOFF;
                let pause = first.saturating_mul(1 << (control.tried - 1).min(10)).min(longest);
                now.mono.saturating_add(nanos(retry::jittered(pause, 0.5).max(told)))
            })
            .filter(|at| *at < control.deadline);
        match again {
            // The first repetition is free: after a blip everybody has one.
            Some(at) if control.tried == 1 || self.retry_budget.retry(now.mono) => {
                self.shared.retries.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                self.await_turn(control, origin, Some(at), now);
            }
            _ => {
                let most = control.request.max_response;
                let outcome = match outcome {
                    Outcome::Response(response) if response.body.len() > most => Outcome::Failed(Failure {
                        phase: Phase::Receive,
                        kind: FailureKind::Protocol,
                        detail: format!(
                            "{}: the answer is longer than {most} bytes",
                            control.endpoint.url.authority()
                        ),
                    }),
                    outcome => outcome.clone(),
                };
                control.answer(outcome);
            }
        }
    }

    /// The connection that it was on is not to be trusted: it goes out again where that does no harm.
    pub(super) fn restart_control(&mut self, origin: u32, control: Box<Control>, now: Now) {
        self.controls_in_flight -= 1;
        self.leave_line(origin, control.tenant);
        if control.request.repeatable && now.mono < control.deadline {
            self.await_turn(control, origin, None, now);
        } else {
            let detail = "the process stood still while the request was under way";
            let failure =
                Failure { phase: Phase::Receive, kind: FailureKind::Network, detail: detail.to_owned() };
            control.answer(Outcome::Failed(failure));
        }
    }

    /// Answers everybody who waits, where the exporter cannot go on.
    pub(super) fn abort_controls(&mut self) {
        let ids: Vec<u64> = self.controls.keys().copied().collect();
        for id in ids {
            self.end_waiting(id, unavailable("the exporter gave the request up"));
        }
    }
}

/// How long the server wants to be left alone, where the request may go out once more.
fn repetition(outcome: &Outcome, repeatable: bool) -> Option<Duration> {
    match outcome {
        Outcome::Response(response) => {
            // What answers these has not carried anything out.
            let untouched = matches!(response.status, 429 | 503);
            let passing = untouched || matches!(response.status, 408 | 500 | 502 | 504);
            (untouched || (passing && repeatable)).then(|| response.retry_after.unwrap_or_default())
        }
        Outcome::Failed(failure) => {
            let sent = matches!(failure.phase, Phase::Send | Phase::Receive);
            let lasting = matches!(failure.kind, FailureKind::Invalid | FailureKind::Tls);
            (!lasting && (repeatable || !sent)).then_some(Duration::ZERO)
        }
    }
}

/// Whether an outcome says that the server is not there.
pub(super) fn tells(work: &Work, outcome: &Outcome, now: u64) -> bool {
    match (work, outcome) {
        (Work::Control { began, .. }, Outcome::Failed(failure)) => {
            failure.kind != FailureKind::Timeout || now.saturating_sub(*began) >= TELLING
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_take_turns_and_none_holds_more_than_its_share() {
        let mut line = Line::default();
        for id in 0..100 {
            line.push(1, id);
        }
        line.push(2, 100);
        assert_eq!((line.pop(), line.pop()), (Some((1, 0)), Some((2, 100))));
        let rest: Vec<u64> = std::iter::from_fn(|| line.pop()).map(|(_, id)| id).collect();
        assert_eq!(rest, (1..8).collect::<Vec<u64>>());
        line.end(1);
        assert_eq!((line.pop(), line.pop()), (Some((1, 8)), None));
        line.remove(1, 9);
        line.end(1);
        assert_eq!(line.pop(), Some((1, 10)));
        assert_eq!(line.drain().len(), 89);
        for tenant in [1, 1, 1, 1, 1, 1, 1, 1, 2] {
            line.end(tenant);
        }
        assert!(line.is_empty() && !line.has_waiting());
    }
}
