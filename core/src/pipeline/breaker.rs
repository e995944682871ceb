//! One server as seen by all its destinations: how many requests it holds, whether it is worth trying, and how it wants
//! its scores.

use std::sync::Arc;

use super::control::Line;
use super::queue::ScoreForm;
use super::retry;
use super::schedule::Waiting;
use crate::config::CROWDED_LINGER;
use crate::destination::nanos;
use crate::full::FULL;
use std::time::Duration;

/// Transport failures in a row that open the breaker.
const FAILURES_TO_OPEN: u32 = 5;
/// First and longest pause of an open breaker.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// A server whose breaker is open is asked by those who wait at most this often.
const QUESTION_PAUSE: u64 = 1_000_000_000;
/// How long a server's version is believed, and how long a failed probe stands.
const VERSION_TTL: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(60));

/// What is known of how a server takes scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScoreSupport {
    /// Nothing yet, or too long ago.
    Unknown,
    /// The health endpoint has been asked, by this attempt.
    Asked(u64),
    /// Known until the moment given.
    Known(ScoreForm, u64),
}

/// A server: scheme, host and port.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) name: Arc<str>,
    pub(crate) in_flight: usize,
    /// Of these, requests of destinations whose last attempt failed.
    pub(crate) suspects_in_flight: usize,
    pub(crate) waiting: Waiting,
    /// True while it stands in the rotation.
    pub(crate) rotating: bool,
    /// Control requests.
    pub(crate) controls: Line,
    pub(crate) controls_rotating: bool,
    pub(crate) spools: usize,
    pub(crate) scores: ScoreSupport,
    pub(crate) last_used: u64,
    /// How long due requests have waited for a slot here lately.
    pub(crate) crowding: u64,
    failures: u32,
    pauses: u32,
    /// When the breaker closed last.
    closed_at: u64,
    open_until: Option<u64>,
    probing: bool,
    /// Somebody asks before it is time for the probe.
    questioning: bool,
    /// When it failed last.
    failed_at: u64,
}

impl Origin {
    pub(crate) fn new(name: Arc<str>, now: u64) -> Self {
        Self {
            name,
            in_flight: 0,
            suspects_in_flight: 0,
            waiting: Waiting::default(),
            rotating: false,
            controls: Line::default(),
            controls_rotating: false,
            spools: 0,
            scores: ScoreSupport::Unknown,
            last_used: now,
            crowding: 0,
            failures: 0,
            pauses: 0,
            closed_at: 0,
            open_until: None,
            probing: false,
            questioning: false,
            failed_at: 0,
        }
    }

    /// Whether an attempt may begin now: the breaker is closed, or it is time for the one probe.
    pub(crate) fn admits(&self, now: u64) -> bool {
        self.open_until.is_none_or(|until| now >= until && !self.probing)
    }

    /// Whether somebody who waits for the answer may ask now: as [`Origin::admits`], or earlier, one at a time.
    pub(crate) fn admits_question(&self, now: u64) -> bool {
        self.admits(now) || (!self.is_being_asked() && now >= self.failed_at.saturating_add(QUESTION_PAUSE))
    }

    /// Whether the open breaker waits for an answer that decides about the others.
    pub(crate) fn is_being_asked(&self) -> bool {
        self.open_until.is_some() && (self.probing || self.questioning)
    }

    /// When the open breaker lets a probe through; `None` while it is closed.
    pub(crate) fn opens_at(&self) -> Option<u64> {
        self.open_until
    }

    /// An attempt begins.
    pub(crate) fn begin(&mut self, suspect: bool, now: u64) {
        self.in_flight += 1;
        self.suspects_in_flight += usize::from(suspect);
        self.last_used = now;
        self.probing = self.open_until.is_some();
    }

    /// A question begins. Before its time it is no probe: its failure does not lengthen the pause.
    pub(crate) fn begin_question(&mut self, now: u64) {
        let early = self.open_until.is_some_and(|until| now < until);
        let probing = self.probing;
        self.begin(false, now);
        if early {
            (self.probing, self.questioning) = (probing, true);
        }
    }

    /// An attempt ended, however it did.
    pub(crate) fn end(&mut self, suspect: bool) {
        self.in_flight -= 1;
        self.suspects_in_flight -= usize::from(suspect);
    }

    /// The server answered: whatever it said, it is there. True where that closes an open breaker.
    pub(crate) fn answered(&mut self, now: u64) -> bool {
        (self.failures, self.pauses, self.probing, self.questioning) = (0, 0, false, false);
        let was_open = self.open_until.take().is_some();
        if was_open {
            self.closed_at = now;
        }
        was_open
    }

    /// Counts how long somebody stood in line. An outage is no crowd.
    pub(crate) fn count_wait(&mut self, since: u64, now: u64) {
        let waited = now.saturating_sub(since.max(self.closed_at)).min(nanos(CROWDED_LINGER));
        self.crowding = (self.crowding * 7 + waited) / 8;
    }

    /// No answer came. Returns when to look again, where that opens the breaker or keeps it open.
    pub(crate) fn failed(&mut self, now: u64) -> Option<u64> {
        self.failures += 1;
        (self.questioning, self.failed_at) = (false, now);
        let was_probe = std::mem::take(&mut self.probing);
        let still_open = self.open_until.is_some_and(|until| now < until);
        // Attempts that were under way when the breaker opened say nothing new.
        if self.failures < FAILURES_TO_OPEN || (still_open && !was_probe) {
            return None;
        }
        let (first, longest) = PAUSE;
        let pause = first.saturating_mul(1 << self.pauses.min(16)).min(longest);
        self.pauses += 1;
        let until = now + nanos(retry::jittered(pause, 0.2));
        self.open_until = Some(until);
        Some(until)
    }

    /// An attempt was given up without an outcome.
    pub(crate) fn abandoned(&mut self) {
        (self.probing, self.questioning) = (false, false);
    }

    /// How scores go, where that is known and fresh.
    pub(crate) fn score_form(&self, now: u64) -> Option<ScoreForm> {
        FULL?;
        match self.scores {
            ScoreSupport::Known(form, until) if now < until => Some(form),
            _ => None,
        }
    }

    /// Takes in what the health endpoint said. Without a readable version the ingestion endpoint it is: every server
    /// has that one.
    pub(crate) fn learn(&mut self, version: Option<(u32, u32)>, now: u64) {
        let (long, short) = VERSION_TTL;
        self.scores = match version {
            Some(version) if version >= (4, 59) => ScoreSupport::Known(ScoreForm::Array, now + nanos(long)),
            Some(_) => ScoreSupport::Known(ScoreForm::Ingestion, now + nanos(long)),
            None => ScoreSupport::Known(ScoreForm::Ingestion, now + nanos(short)),
        };
    }
}

/// Reads `{"version":"4.59.0"}`.
pub(crate) fn version(body: &[u8]) -> Option<(u32, u32)> {
    #[derive(serde::Deserialize)]
    struct Health {
        version: String,
    }
    let health: Health = serde_json::from_slice(body).ok()?;
    let mut parts = health.version.trim_start_matches('v').split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn five_failures_open_it_and_one_probe_goes_through() {
        let mut origin = Origin::new("http://h:80".into(), 0);
        for _ in 0..4 {
            origin.begin(false, 0);
            origin.end(false);
            assert_eq!(origin.failed(0), None);
        }
        origin.begin(false, 0);
        origin.end(false);
        let until = origin.failed(0).unwrap();
        assert!((SECOND..=SECOND * 12 / 10).contains(&until));
        assert!(!origin.admits(until - 1) && origin.admits(until));
        origin.begin(true, until);
        assert!(!origin.admits(until));
        origin.end(true);
        let again = origin.failed(until).unwrap();
        assert!(again - until >= 2 * SECOND);
        origin.begin(true, again);
        origin.end(true);
        assert!(origin.answered(again));
        assert!(origin.admits(again));
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(version(br#"{"status":"OK","version":"4.59.0"}"#), Some((4, 59)));
        assert_eq!(version(br#"{"version":"v3.98.1-rc.1"}"#), Some((3, 98)));
        assert_eq!(version(b"<html>"), None);
    }
}
