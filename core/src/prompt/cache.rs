//! The cache as a state machine without I/O: it takes time and outcomes as arguments and says what to do.
//!
//! A prompt is fresh for its time to live, then still given out while one refresh runs. Whoever finds nothing waits for one
//! fetch, however many they are. A failure is remembered for a moment, so that a dead server costs one deadline and not one
//! per call. What was fetched before its name was written to, or its client closed, never comes back in.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::sync::{Condvar, Mutex};

use super::{Answer, Prompt, PromptError, PromptKey};
use crate::destination::nanos;
use crate::key::DestinationKey;
use crate::transport::FailureKind;

/// Prompts held.
pub const MAX_ENTRIES: usize = 1_000;
/// Their bytes together.
pub const MAX_BYTES: usize = 32 << 20;
/// What an entry costs besides its prompt.
const OVERHEAD: usize = 512;
/// How long a failure is remembered: no answer or an error of the server's, bad credentials, no such prompt. The server
/// holds unknown keys against their owner for 300 s, and every attempt renews that; what is missing is often just being made.
const REMEMBERED: (Duration, Duration, Duration) =
    (Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(1));
/// While it is remembered whoever has a fallback gets it at once and the server is asked in the background, up to this long.
const FALLING_BACK: Duration = Duration::from_secs(300);
/// A fetch that is this much past its deadline will never end: its exporter is gone.
const GRACE: Duration = Duration::from_millis(100);

/// A fetch under way and those who wait for it.
#[derive(Debug)]
pub struct Flight {
    /// When it has failed whatever happens, monotonic nanoseconds.
    pub deadline: u64,
    /// The time that it was given.
    allowance: Duration,
    landed: Mutex<Option<Answer>>,
    arrival: Condvar,
}

impl Flight {
    /// A fetch that begins at `now`.
    #[must_use]
    pub fn new(now: u64, allowance: Duration) -> Arc<Self> {
        let deadline = now.saturating_add(nanos(allowance));
        Arc::new(Self { deadline, allowance, landed: Mutex::new(None), arrival: Condvar::new() })
    }

    /// The answer, where it has come.
    #[must_use]
    pub fn answer(&self) -> Option<Answer> {
        self.landed.lock().clone()
    }

    /// The same, waiting for `slice` at most.
    #[must_use]
    pub fn wait(&self, slice: Duration) -> Option<Answer> {
        let mut landed = self.landed.lock();
        if landed.is_none() {
            self.arrival.wait_for(&mut landed, slice);
        }
        landed.clone()
    }

    /// Gives everybody the answer.
    pub fn land(&self, answer: Answer) {
        *self.landed.lock() = Some(answer);
        self.arrival.notify_all();
    }

    fn is_lost(&self, now: u64) -> bool {
        now > self.deadline.saturating_add(nanos(GRACE))
    }
}

/// What is to be done for a caller.
#[derive(Debug)]
pub enum Look {
    /// Give this; `refresh` is to be fetched meanwhile.
    Hit {
        /// What is known.
        prompt: Arc<Prompt>,
        /// The refresh that the caller has to begin, where it is stale and none runs.
        refresh: Option<Arc<Flight>>,
    },
    /// It failed a moment ago, or a while ago for a caller who has a fallback.
    Failed {
        /// How.
        error: PromptError,
        /// The fetch that the caller has to begin: the server may be back.
        refresh: Option<Arc<Flight>>,
    },
    /// Wait for this fetch, and begin it where `begin` says so.
    Wait {
        /// Whom to wait for.
        flight: Arc<Flight>,
        /// True for the first who asks.
        begin: bool,
    },
}

#[derive(Debug, Default)]
struct Entry {
    prompt: Option<Arc<Prompt>>,
    fresh_until: u64,
    failure: Option<Remembered>,
    flight: Option<Arc<Flight>>,
    used: u64,
}

#[derive(Debug)]
struct Remembered {
    error: PromptError,
    until: u64,
    falling_back_until: u64,
    allowance: Duration,
}

impl Entry {
    fn cost(&self) -> usize {
        OVERHEAD + self.prompt.as_ref().map_or(0, |prompt| prompt.size)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct PromptCache {
    entries: HashMap<PromptKey, Entry>,
    bytes: usize,
    clock: u64,
}

impl PromptCache {
    /// What to do for a caller that allows a fetch `allowance` and may have a fallback.
    pub fn look(&mut self, key: &PromptKey, allowance: Duration, fallback: bool, now: u64) -> Look {
        self.clock += 1;
        let entry = match self.entries.get_mut(key) {
            Some(entry) => entry,
            None => {
                self.bytes += OVERHEAD;
                self.entries.entry(key.clone()).or_default()
            }
        };
        entry.used = self.clock;
        if entry.flight.as_ref().is_some_and(|flight| flight.is_lost(now)) {
            entry.flight = None;
        }
        // Who has more time than it was tried for may try again.
        let failure = entry.failure.as_ref().filter(|failure| {
            let timed_out =
                matches!(&failure.error, PromptError::Failed(failure) if failure.kind == FailureKind::Timeout);
            let until = if fallback { failure.falling_back_until } else { failure.until };
            now < until && !(timed_out && failure.allowance < allowance)
        });
        let rested =
            entry.flight.is_none() && entry.failure.as_ref().is_none_or(|failure| now >= failure.until);
        if let Some(prompt) = &entry.prompt {
            let stale = now > entry.fresh_until;
            let prompt = prompt.clone();
            let refresh = (stale && rested).then(|| entry.flight.insert(Flight::new(now, allowance)).clone());
            return Look::Hit { prompt, refresh };
        }
        if let Some(failure) = failure {
            let error = failure.error.clone();
            let refresh = rested.then(|| entry.flight.insert(Flight::new(now, allowance)).clone());
            return Look::Failed { error, refresh };
        }
        match &entry.flight {
            Some(flight) if flight.allowance >= allowance => {
                Look::Wait { flight: flight.clone(), begin: false }
            }
            // Nobody is failed by another's shorter patience.
            _ => {
                let flight = entry.flight.insert(Flight::new(now, allowance)).clone();
                self.make_room(key);
                Look::Wait { flight, begin: true }
            }
        }
    }

    /// A fetch has ended: keeps what it brought where it is still the one that counts, and tells who waits.
    pub fn land(&mut self, key: &PromptKey, flight: &Arc<Flight>, answer: Answer, ttl: Duration, now: u64) {
        let entry = self.entries.get_mut(key);
        if let Some(entry) =
            entry.filter(|entry| entry.flight.as_ref().is_some_and(|f| Arc::ptr_eq(f, flight)))
        {
            entry.flight = None;
            let before = entry.cost();
            match &answer {
                Ok(prompt) => {
                    entry.prompt = Some(prompt.clone());
                    entry.fresh_until = now.saturating_add(nanos(ttl));
                    entry.failure = None;
                }
                Err(error) => {
                    if error.is_missing() {
                        entry.prompt = None;
                    }
                    let tried = entry.failure.as_ref().map_or(Duration::ZERO, |failure| failure.allowance);
                    entry.failure = Some(Remembered {
                        error: error.clone(),
                        until: now.saturating_add(nanos(remembered(error))),
                        falling_back_until: now.saturating_add(nanos(FALLING_BACK)),
                        allowance: flight.allowance.max(tried),
                    });
                }
            }
            self.bytes = self.bytes - before + entry.cost();
            self.make_room(key);
        }
        flight.land(answer);
    }

    /// Takes in what a caller fetched for itself, where the cache holds an older one.
    pub fn renew(&mut self, key: &PromptKey, prompt: &Arc<Prompt>, ttl: Duration, now: u64) {
        if let Some(entry) = self.entries.get_mut(key)
            && entry.prompt.is_some()
        {
            let before = entry.cost();
            entry.prompt = Some(prompt.clone());
            entry.fresh_until = now.saturating_add(nanos(ttl));
            self.bytes = self.bytes - before + entry.cost();
            self.make_room(key);
        }
    }

    /// Forgets every version and label of one name, fetches under way included: they may bring what was before.
    pub fn invalidate(&mut self, destination: DestinationKey, name: &str) {
        self.retain(|key| key.destination != destination || &*key.name != name);
    }

    /// Forgets everything of one destination.
    pub fn purge(&mut self, destination: DestinationKey) {
        self.retain(|key| key.destination != destination);
    }

    /// How many are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True where none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Their bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn retain(&mut self, keep: impl Fn(&PromptKey) -> bool) {
        let bytes = &mut self.bytes;
        self.entries.retain(|key, entry| {
            let kept = keep(key);
            if !kept {
                *bytes -= entry.cost();
            }
            kept
        });
    }

    /// Forgets the least recently used until the bounds hold; the newest may be what does not fit.
    fn make_room(&mut self, newest: &PromptKey) {
        while self.entries.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            let oldest = self
                .entries
                .iter()
                .filter(|(key, _)| *key != newest)
                .min_by_key(|(_, entry)| (entry.flight.is_some(), entry.used))
                .map(|(key, _)| key.clone());
            let key = oldest.unwrap_or_else(|| newest.clone());
            match self.entries.remove(&key) {
                Some(entry) => self.bytes -= entry.cost(),
                None => return,
            }
        }
    }
}

fn remembered(error: &PromptError) -> Duration {
    let (failed, unauthorized, missing) = REMEMBERED;
    match error {
        PromptError::Refused { status: 401 | 403, .. } => unauthorized,
        PromptError::Refused { status: 404, .. } => missing,
        _ => failed,
    }
}

#[cfg(test)]
mod tests;
