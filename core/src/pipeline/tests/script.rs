//! A world for the pipeline: a clock that moves when told, servers that do what a script says.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, bounded};

use crate::budget::reserve;
use crate::config::{ClientOptions, ClientSettings, Limits};
use crate::destination::Destination;
use crate::encode::otlp::Envelope;
use crate::full::{Full, Gated};
use crate::pipeline::{Action, Command, FlushRequest, Item, Pipeline, Wrapper};
use crate::report::{DropReason, Lane, Report};
use crate::shared::Shared;
use crate::transport::{Failure, FailureKind, Method, Now, Outcome, Phase, Request, Response, Slot};

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;

/// What a server does with a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reaction {
    /// Answers with this status after this long.
    Status(u16, u64),
    /// Answers 429 with this Retry-After in seconds.
    Throttle(u64),
    /// Never answers; the attempt times out.
    Hang,
    /// Fails at once.
    Refuse,
    /// Answers 413 to bodies over this many bytes, else 200.
    Limit(usize),
    /// Takes bodies of up to this many bytes; larger ones cannot be written in time.
    Slow(usize),
    /// Takes scores but refuses the first this many of each request.
    Partial(u64),
}

/// One request as a server saw it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) items: Vec<u64>,
}

pub(super) struct World {
    pub(super) now: Now,
    pub(super) shared: Arc<Shared>,
    pub(super) pipeline: Pipeline,
    pub(super) reactions: HashMap<String, Reaction>,
    pub(super) seen: Vec<Seen>,
    /// Ids of contents that were stored and confirmed; each PUT, by its path.
    pub(super) stored: HashSet<String>,
    pub(super) puts: Vec<String>,
    /// The addresses that are handed out begin so.
    pub(super) store: String,
    /// Item numbers that a server has acknowledged.
    pub(super) acknowledged: HashSet<u64>,
    /// When each item was acknowledged.
    pub(super) acknowledged_at: HashMap<u64, u64>,
    pub(super) sent_again_after_ack: u64,
    running: BTreeMap<(u64, u64), (Slot, Outcome, Vec<u64>)>,
    next_event: u64,
    pub(super) next_item: u64,
    pub(super) submitted: HashMap<Lane, u64>,
    pub(super) peak_bytes: usize,
    pub(super) in_flight_peak: usize,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(super) fn with(limits: Limits) -> Self {
        let now = Now { mono: SECOND, unix: 1_700_000_000 * SECOND };
        let shared = Arc::new(Shared::new(limits, Envelope::new(&[], "test", "1")));
        Self {
            now,
            pipeline: Pipeline::new(shared.clone(), now),
            shared,
            reactions: HashMap::new(),
            seen: Vec::new(),
            stored: HashSet::new(),
            puts: Vec::new(),
            store: "http://store".into(),
            acknowledged: HashSet::new(),
            acknowledged_at: HashMap::new(),
            sent_again_after_ack: 0,
            running: BTreeMap::new(),
            next_event: 0,
            next_item: 1,
            submitted: HashMap::new(),
            peak_bytes: 0,
            in_flight_peak: 0,
        }
    }

    pub(super) fn destination(&self, id: u64, host: &str) -> Arc<Destination> {
        self.destination_at(id, &format!("http://{host}"))
    }

    pub(super) fn destination_at(&self, id: u64, base_url: &str) -> Arc<Destination> {
        self.destination_of(id, base_url, Vec::new())
    }

    pub(super) fn destination_of(
        &self,
        id: u64,
        base_url: &str,
        additional_headers: Vec<(String, String)>,
    ) -> Arc<Destination> {
        let options = ClientOptions {
            public_key: Some(format!("pk-{id}")),
            secret_key: Some("sk".into()),
            base_url: Some(base_url.to_owned()),
            additional_headers,
            ..ClientOptions::default()
        };
        let settings = ClientSettings::resolve(options, &|_| None, &mut Vec::new());
        let endpoint = Arc::new(settings.endpoint.clone().unwrap());
        let bytes = self.shared.limits.destination_bytes;
        Arc::new(Destination::new(id, &settings, endpoint, bytes, self.shared.retired.clone(), self.now.mono))
    }

    pub(super) fn react(&mut self, host: &str, reaction: Reaction) {
        self.reactions.insert(host.into(), reaction);
    }

    /// Submits one item of this many bytes, as a caller would; its number is its content.
    pub(super) fn submit(&mut self, destination: &Arc<Destination>, lane: Lane, len: usize) -> Option<u64> {
        let number = self.next_item;
        self.next_item += 1;
        let mut payload = format!("[{number}]").into_bytes();
        payload.resize(payload.len().max(len), b'.');
        let wrapper = (lane == Lane::Scores)
            .then(|| Wrapper::Event(Gated::new(crate::encode::scores::wrapper("id", "t"), Full::Yes)));
        let item = Item {
            payload: Bytes::from(payload),
            wrapper,
            content: None,
            submitted: self.now.mono,
            timeout: Duration::from_secs(5),
        };
        *self.submitted.entry(lane).or_default() += 1;
        destination.counters.submitted(lane, 1);
        if let Err(reason) = reserve(&destination.budget, &self.shared.budget, item.cost(), false) {
            destination.counters.dropped(lane, reason, 1);
            return None;
        }
        destination.waiting.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        destination.waiting_bytes.fetch_add(item.payload.len(), std::sync::atomic::Ordering::Relaxed);
        self.pipeline
            .handle_command(Command::Submit { destination: destination.clone(), lane, item }, self.now);
        self.settle();
        Some(number)
    }

    pub(super) fn flush(
        &mut self,
        destinations: Option<Vec<Arc<Destination>>>,
        timeout: u64,
        close: bool,
    ) -> Receiver<Report> {
        let (reply, answer) = bounded(1);
        let request = FlushRequest { destinations, deadline: self.now.mono + timeout, close, reply };
        self.pipeline.handle_command(Command::Flush(request), self.now);
        self.settle();
        answer
    }

    /// Carries out every action that the pipeline asks for.
    pub(super) fn settle(&mut self) {
        while let Some(action) = self.pipeline.poll_action(self.now) {
            match action {
                Action::Send { slot, request } => self.receive(slot, &request),
                Action::Cancel { slot } => self.running.retain(|_, (other, _, _)| *other != slot),
                Action::DiscardIdle => {}
            }
        }
        self.peak_bytes = self.peak_bytes.max(self.shared.budget.used());
        self.in_flight_peak = self.in_flight_peak.max(self.pipeline.in_flight());
    }

    fn receive(&mut self, slot: Slot, request: &Request) {
        let host = request.endpoint.url.host.clone();
        let body = request.payload.to_vec();
        let items = numbers(&body);
        self.sent_again_after_ack +=
            items.iter().filter(|item| self.acknowledged.contains(item)).count() as u64;
        let path = request.path.to_string();
        let reaction = match path.as_str() {
            "/api/public/health" => match self.reactions.get(&host) {
                Some(Reaction::Hang | Reaction::Refuse) => self.reactions[&host].clone(),
                _ => Reaction::Status(200, MS),
            },
            _ => self.reactions.get(&host).cloned().unwrap_or(Reaction::Status(200, 75 * MS)),
        };
        let answer = |status: u16| Response { status, ..Response::default() };
        let failed = |phase, kind| Outcome::Failed(Failure { phase, kind, detail: "scripted".into() });
        let (after, outcome) = match reaction {
            Reaction::Status(status, after) => {
                let body = if path.ends_with("health") {
                    br#"{"status":"OK","version":"4.60.0"}"#.to_vec()
                } else if status < 300 {
                    self.media(request, &body)
                } else {
                    Vec::new()
                };
                (after, Outcome::Response(Response { body, ..answer(status) }))
            }
            Reaction::Throttle(seconds) => (
                10 * MS,
                Outcome::Response(Response {
                    retry_after: Some(Duration::from_secs(seconds)),
                    ..answer(429)
                }),
            ),
            Reaction::Hang => {
                (request.deadline - self.now.mono, failed(Phase::Receive, FailureKind::Timeout))
            }
            Reaction::Refuse => (MS, failed(Phase::Connect, FailureKind::Network)),
            Reaction::Limit(most) => {
                (10 * MS, Outcome::Response(answer(if body.len() > most { 413 } else { 200 })))
            }
            Reaction::Slow(most) if body.len() > most => {
                (request.deadline - self.now.mono, failed(Phase::Send, FailureKind::Timeout))
            }
            Reaction::Slow(_) => (10 * MS, Outcome::Response(answer(200))),
            Reaction::Partial(refused) if path.ends_with("scores") => {
                let body = format!(r#"{{"accepted":0,"rejected":{refused},"errors":[]}}"#).into_bytes();
                (10 * MS, Outcome::Response(Response { body, ..answer(207) }))
            }
            Reaction::Partial(_) => (10 * MS, Outcome::Response(answer(200))),
        };
        let after = after.min(request.deadline - self.now.mono);
        self.seen.push(Seen { path, items: items.clone() });
        self.next_event += 1;
        self.running.insert((self.now.mono + after, self.next_event), (slot, outcome, items));
    }

    /// What a server of media, or a store, does and says.
    fn media(&mut self, request: &Request, body: &[u8]) -> Vec<u8> {
        let json = || serde_json::from_slice::<serde_json::Value>(body).unwrap();
        match (request.method, &*request.path) {
            (Method::Post, "/api/public/media") => {
                let hash = json()["sha256Hash"].as_str().unwrap().replace('+', "-").replace('/', "_");
                let id = &hash[..22];
                let url = (!self.stored.contains(id)).then(|| format!("{}/{id}?signed=1", self.store));
                serde_json::json!({"mediaId": id, "uploadUrl": url}).to_string().into_bytes()
            }
            (Method::Put, path) => {
                assert!(!request.authorized && request.endpoint.headers.is_empty());
                self.puts.push(path.to_owned());
                Vec::new()
            }
            (Method::Patch, path) => {
                if json()["uploadHttpStatus"] == 200 {
                    self.stored.insert(path.rsplit('/').next().unwrap().to_owned());
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Lets time pass: every timer and every answer comes at its moment.
    pub(super) fn pass(&mut self, nanos: u64) {
        let end = self.now.mono + nanos;
        loop {
            let answer = self.running.keys().next().map(|(at, _)| *at);
            let timer = self.pipeline.next_timeout();
            let next = [answer, timer].into_iter().flatten().min().unwrap_or(u64::MAX);
            if next > end {
                break;
            }
            self.advance(next.max(self.now.mono));
            while let Some(entry) = self.running.first_entry() {
                if entry.key().0 > self.now.mono {
                    break;
                }
                let (slot, outcome, items) = entry.remove();
                if matches!(&outcome, Outcome::Response(response) if (200..300).contains(&response.status)) {
                    for item in items {
                        self.acknowledged.insert(item);
                        self.acknowledged_at.insert(item, self.now.mono);
                    }
                }
                self.pipeline.handle_outcome(slot, &outcome, self.now);
                self.settle();
            }
            self.pipeline.handle_timeout(self.now);
            self.settle();
        }
        self.advance(end);
        self.pipeline.handle_timeout(self.now);
        self.settle();
    }

    fn advance(&mut self, to: u64) {
        self.now.unix += to - self.now.mono;
        self.now.mono = to;
    }

    /// A freeze: the wall clock moves, nobody is asked.
    pub(super) fn freeze(&mut self, nanos: u64) {
        self.now.unix += nanos;
        self.pipeline.handle_timeout(self.now);
        self.settle();
    }
}

/// The item numbers in a body: `[17]....`.
fn numbers(body: &[u8]) -> Vec<u64> {
    let mut found = Vec::new();
    let mut rest = body;
    while let Some(open) = rest.iter().position(|byte| *byte == b'[') {
        rest = &rest[open + 1..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 && rest.get(digits) == Some(&b']') {
            found.push(std::str::from_utf8(&rest[..digits]).unwrap().parse().unwrap());
        }
    }
    found
}

pub(super) fn dropped(destination: &Destination, lane: Lane, reason: DropReason) -> u64 {
    destination.lane(lane).dropped[reason as usize]
}
