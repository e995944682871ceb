//! Prompts over the control lane: who fetches, what comes of it, and tickets for those who wait.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::cache::{Flight, Look};
use super::{Answer, Kind, PromptError, PromptKey, Which, answer, encoded};
use crate::client::Client;
use crate::control::{Complete, ControlRequest, out_of_time, unavailable};
use crate::destination::{Destination, nanos};
use crate::key::DestinationKey;
use crate::process::Process;
use crate::transport::{Method, Outcome};

/// Repetitions unless a caller says otherwise, and the most that it may ask for: as in the Langfuse SDKs.
pub const RETRIES: (u32, u32) = (2, 4);
/// How long after its deadline a fetch's own answer is waited for.
const GRACE: Duration = Duration::from_millis(20);

/// What a caller asks for.
#[derive(Clone, Debug)]
pub struct PromptRequest {
    /// The prompt's name.
    pub name: Arc<str>,
    /// What it is taken for.
    pub kind: Kind,
    /// Which version.
    pub which: Which,
    /// How long it is fresh; zero goes past the cache. `None`: the client's setting.
    pub ttl: Option<Duration>,
    /// Repetitions after the first attempt, [`RETRIES`] at most.
    pub retries: u32,
    /// Whether the caller has something to go on with: then it never waits for a server that is known to fail.
    pub fallback: bool,
    /// A fetch's total time, repetitions included. `None`: the client's timeout.
    pub timeout: Option<Duration>,
}

/// A prompt that was found, or is on its way.
#[derive(Debug)]
pub struct PromptTicket {
    flight: Arc<Flight>,
    deadline: u64,
    process: Arc<Process>,
}

impl PromptTicket {
    /// The answer, where it has come or can no longer come.
    #[must_use]
    pub fn poll(&self) -> Option<Answer> {
        self.forked().or_else(|| self.flight.answer()).or_else(|| self.overdue())
    }

    /// Waits for `slice` at most.
    #[must_use]
    pub fn wait(&self, slice: Duration) -> Option<Answer> {
        if let Some(told) = self.forked() {
            return Some(told);
        }
        let end = self.deadline.saturating_add(nanos(GRACE));
        let left = Duration::from_nanos(end.saturating_sub(self.process.mono()));
        self.flight.wait(slice.min(left)).or_else(|| self.overdue())
    }

    /// Waits until the deadline at most.
    ///
    /// # Errors
    ///
    /// Why there is no prompt.
    pub fn join(&self) -> Answer {
        loop {
            if let Some(answer) = self.wait(Duration::from_millis(500)) {
                return answer;
            }
        }
    }

    /// What the child of a fork is told; it must not touch a lock that its parent may have held.
    fn forked(&self) -> Option<Answer> {
        let abandoned = self.process.shared().abandoned.load(Ordering::Acquire);
        abandoned.then(|| answer(unavailable("the request belongs to the parent of this process")))
    }

    fn overdue(&self) -> Option<Answer> {
        let end = self.deadline.saturating_add(nanos(GRACE));
        (self.process.mono() >= end).then(|| answer(out_of_time()))
    }
}

/// What becomes of an answer.
enum Purpose {
    /// It goes into the cache, where it is still wanted there.
    Fill(PromptKey, Duration),
    /// It renews what the cache holds.
    Renew(PromptKey, Duration),
    /// Something was written: what the cache holds by this name is no longer so.
    Write(DestinationKey, Arc<str>),
}

struct Landing {
    process: Weak<Process>,
    flight: Arc<Flight>,
    purpose: Purpose,
}

impl Complete for Landing {
    fn complete(self: Box<Self>, outcome: Outcome) {
        let Self { process, flight, purpose } = *self;
        let answer = answer(outcome);
        let Some(process) = process.upgrade() else {
            flight.land(answer);
            return;
        };
        let now = process.mono();
        let Some(prompts) = &process.prompts else { return };
        let mut cache = prompts.lock();
        match &purpose {
            Purpose::Fill(key, ttl) => {
                cache.land(key, &flight, answer, *ttl, now);
                return;
            }
            Purpose::Renew(key, ttl) => {
                if let Ok(prompt) = &answer {
                    cache.renew(key, prompt, *ttl, now);
                }
            }
            // Even a failed write may have been carried out.
            Purpose::Write(destination, name) => cache.invalidate(*destination, name),
        }
        drop(cache);
        flight.land(answer);
    }
}

fn send(
    process: &Arc<Process>,
    destination: &Arc<Destination>,
    request: ControlRequest,
    flight: &Arc<Flight>,
    purpose: Purpose,
) {
    let landing = Landing { process: Arc::downgrade(process), flight: flight.clone(), purpose };
    process.begin_control(destination, request, Box::new(landing));
}

impl Client {
    /// The answer of a client whose server has no prompts, where this is one.
    fn without_prompts(&self, process: &Arc<Process>) -> Option<PromptTicket> {
        let sentence = self.settings().langfuse_only("prompts").err()?;
        let now = process.mono();
        let flight = Flight::new(now, Duration::ZERO);
        flight.land(Err(PromptError::Refused { status: 400, body: sentence.into() }));
        Some(PromptTicket { flight, deadline: now, process: process.clone() })
    }

    /// Looks a prompt up, and fetches it where it is not known. Returns at once; `None` for a client without usable keys.
    #[must_use]
    pub fn prompt(&self, asked: &PromptRequest) -> Option<PromptTicket> {
        let bound = self.bound()?;
        let (process, destination) = (&bound.process, &bound.destination);
        if let Some(told) = self.without_prompts(process) {
            return Some(told);
        }
        let now = process.mono();
        destination.last_used.store(now, Ordering::Relaxed);
        let ttl = asked.ttl.unwrap_or(bound.settings.prompt_ttl);
        let allowance = asked.timeout.unwrap_or(bound.settings.timeout);
        let key = PromptKey {
            destination: destination.key,
            name: asked.name.clone(),
            kind: asked.kind,
            which: asked.which.clone(),
        };
        let request = |key: &PromptKey| ControlRequest {
            attempts: asked.retries.min(RETRIES.1) + 1,
            ..ControlRequest::get(key.path(), allowance)
        };
        let ticket = |flight: Arc<Flight>| PromptTicket {
            flight,
            deadline: now.saturating_add(nanos(allowance)),
            process: process.clone(),
        };
        if ttl.is_zero() {
            let flight = Flight::new(now, allowance);
            let request = request(&key);
            let purpose = Purpose::Renew(key, bound.settings.prompt_ttl);
            send(process, destination, request, &flight, purpose);
            return Some(ticket(flight));
        }
        let look = process.prompts.as_ref()?.lock().look(&key, allowance, asked.fallback, now);
        let begin = |flight: &Arc<Flight>| {
            send(process, destination, request(&key), flight, Purpose::Fill(key.clone(), ttl));
        };
        let known = |answer: Answer| {
            let flight = Flight::new(now, allowance);
            flight.land(answer);
            flight
        };
        Some(ticket(match look {
            Look::Hit { prompt, refresh } => {
                if let Some(flight) = refresh {
                    begin(&flight);
                }
                known(Ok(prompt))
            }
            Look::Failed { error, refresh } => {
                if let Some(flight) = refresh {
                    begin(&flight);
                }
                known(Err(error))
            }
            Look::Wait { flight, begin: first } => {
                if first {
                    begin(&flight);
                }
                flight
            }
        }))
    }

    /// Makes a version of a prompt, from the JSON that the server takes. Forgets what is cached by this name.
    #[must_use]
    pub fn create_prompt(&self, name: &str, body: Vec<u8>) -> Option<PromptTicket> {
        self.write_prompt(name, Method::Post, "/api/public/v2/prompts".to_owned(), body)
    }

    /// Gives labels to a version of a prompt, from the JSON that the server takes. Forgets what is cached by this name.
    #[must_use]
    pub fn update_prompt(&self, name: &str, version: i64, body: Vec<u8>) -> Option<PromptTicket> {
        let path = format!("/api/public/v2/prompts/{}/versions/{version}", encoded(name));
        self.write_prompt(name, Method::Patch, path, body)
    }

    fn write_prompt(&self, name: &str, method: Method, path: String, body: Vec<u8>) -> Option<PromptTicket> {
        let bound = self.bound()?;
        let (process, destination) = (&bound.process, &bound.destination);
        if let Some(told) = self.without_prompts(process) {
            return Some(told);
        }
        let (now, allowance) = (process.mono(), bound.settings.timeout);
        let flight = Flight::new(now, allowance);
        let request =
            ControlRequest { attempts: RETRIES.0 + 1, ..ControlRequest::json(method, path, body, allowance) };
        send(process, destination, request, &flight, Purpose::Write(destination.key, name.into()));
        Some(PromptTicket { deadline: flight.deadline, flight, process: process.clone() })
    }

    /// Forgets every cached prompt of this client's destination.
    pub fn clear_prompts(&self) {
        if let Some(bound) = self.bound() {
            bound.process.forget_prompts(bound.destination.key);
        }
    }
}

/// The failure of a client without usable keys.
#[must_use]
pub fn disabled() -> PromptError {
    PromptError::Refused {
        status: 400,
        body: "the client has no usable keys or address; see the warning that it was made with".into(),
    }
}
