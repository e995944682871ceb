//! The handles and tickets of one environment (a thread of Node, an isolate of an edge host). Every method takes and gives
//! numbers and text; a handle or ticket that is not there is no error, because it may have been given back just now.

use std::collections::BTreeMap;
use std::time::Duration;

use super::members::Members;
use super::span::{self, Envelopes};
use super::{answers, options, record, scope, score};
use crate::admission::Fate;
use crate::attr::{OBSERVATION_METADATA, TRACE_METADATA};
use crate::client::{Client, Home};
use crate::config::ClientOptions;
use crate::control::{ControlRequest, ControlTicket, Target};
use crate::destination::{Wanted, seconds};
use crate::full::{FULL, Full, Gated};
use crate::id::{SpanId, TraceId, Traceparent};
use crate::json::Writer;
use crate::media::{self, Media, MediaField, MediaSource, Place, Shape};
use crate::notice::NoticeKind;
use crate::observation::SpanContext;
use crate::process::Ticket;
use crate::prompt::fetch::{PromptRequest, PromptTicket, RETRIES, disabled};
use crate::prompt::{Kind, Which};
use crate::report::{DropReason, Report};
use crate::transport::Method;

/// Longest deadline that is taken.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// Opens a client in the host's environment; the list holds its variables where the core cannot read them.
pub type Open = fn(ClientOptions, Option<Vec<(String, String)>>) -> Client;

/// See the module.
#[derive(Debug)]
pub struct Session {
    home: Home,
    open: Open,
    clients: Table<Client>,
    tickets: Table<Pending>,
    envelopes: Envelopes,
}

/// What somebody waits for.
#[derive(Debug)]
enum Pending {
    Report(Ticket),
    Prompt(Gated<PromptTicket>),
    Request(Gated<ControlTicket>),
    /// It is known already.
    Known(String),
}

/// Things by number, from 1.
#[derive(Debug)]
struct Table<T> {
    places: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Table<T> {
    const EMPTY: Self = Self { places: Vec::new(), free: Vec::new() };

    fn add(&mut self, thing: T) -> u32 {
        if let Some(number) = self.free.pop() {
            if let Some(place) = self.places.get_mut(number as usize - 1) {
                *place = Some(thing);
            }
            return number;
        }
        self.places.push(Some(thing));
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    #[inline]
    fn get(&self, number: u32) -> Option<&T> {
        self.places.get((number as usize).wrapping_sub(1))?.as_ref()
    }

    fn remove(&mut self, number: u32) -> Option<T> {
        let thing = self.places.get_mut((number as usize).wrapping_sub(1))?.take()?;
        self.free.push(number);
        Some(thing)
    }
}

/// Milliseconds since 1970 as nanoseconds, to the microsecond. What is no moment is 1970.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
pub(super) fn nanos(milliseconds: f64) -> u64 {
    ((milliseconds * 1e3).round() as u64).saturating_mul(1_000)
}

fn duration(milliseconds: f64) -> Duration {
    seconds(milliseconds / 1e3).min(FOREVER)
}

impl Session {
    /// An empty one.
    #[must_use]
    pub const fn new(home: Home, open: Open) -> Self {
        Self { home, open, clients: Table::EMPTY, tickets: Table::EMPTY, envelopes: Envelopes::EMPTY }
    }

    /// A handle on a client; see [`options`] for what is asked.
    pub fn open(&mut self, options: &str) -> u32 {
        let mut problems = Vec::new();
        let (asked, env) = options::read(options, &mut problems);
        let client = (self.open)(asked, env);
        if !problems.is_empty() {
            let process = (self.home)();
            let now = process.mono();
            for problem in problems {
                let key = &client.settings().public_key;
                process.shared().notices.add(NoticeKind::Configuration, key, 1, now, || problem.clone());
            }
        }
        self.clients.add(client)
    }

    /// What a handle came to be: JSON, empty where there is none.
    #[must_use]
    pub fn settings(&self, handle: u32) -> String {
        self.clients.get(handle).map(options::settings).unwrap_or_default()
    }

    /// New handles on what the cache holds under this public key, or on everything.
    pub fn find(&mut self, public_key: Option<&str>) -> Vec<u32> {
        let found = Client::find_all(&(self.home)(), public_key);
        found.into_iter().map(|client| self.clients.add(client)).collect()
    }

    /// Gives a handle back.
    pub fn release(&mut self, handle: u32) {
        self.clients.remove(handle);
    }

    /// Whether a trace is kept by the client's sample rate.
    #[must_use]
    pub fn keeps(&self, handle: u32, trace_id: &str) -> bool {
        let trace_id = TraceId::parse(trace_id);
        self.clients.get(handle).zip(trace_id).is_none_or(|(client, id)| client.settings().sampler.keeps(id))
    }

    /// Takes an ended observation; see [`record`]. False where there is no room for another trace; see [`Session::has_room`].
    #[inline]
    #[must_use]
    pub fn end(&self, handle: u32, start: f64, end: f64, record: &str) -> bool {
        self.clients.get(handle).is_none_or(|client| client.take_record(record, nanos(start), nanos(end)))
    }

    /// Whether a trace that begins now will find room. Where it does not, its observations are counted by
    /// [`Session::refused`] instead of being handed over.
    #[must_use]
    pub fn has_room(&self, handle: u32) -> bool {
        self.clients.get(handle).is_none_or(Client::has_room)
    }

    /// Counts observations of traces for which there was no room when they began.
    pub fn refused(&self, handle: u32, count: u32) {
        if let Some(client) = self.clients.get(handle) {
            (0..count).for_each(|_| client.refuse_foreign(DropReason::QueueFull));
        }
    }

    /// Takes an ended span of other instrumentation; see [`span`].
    pub fn span(&mut self, handle: u32, envelope: &str, propagated: &str, span: impl Into<String>) {
        if let Some(client) = self.clients.get(handle) {
            span::take(client, &mut self.envelopes, envelope, propagated, span.into());
        }
    }

    /// Counts observations that were started and given up.
    pub fn never_ended(&self, handle: u32, count: u32) {
        if let Some(client) = self.clients.get(handle) {
            for _ in 0..count {
                client.refuse_foreign(DropReason::NeverEnded);
            }
        }
    }

    /// Counts content that a mask failed on.
    pub fn mask_failed(&self, handle: u32) {
        if let Some(client) = self.clients.get(handle) {
            client.count_mask_failure();
        }
    }

    /// Hands a score over; what is wrong with it, or `None`.
    #[must_use]
    pub fn score(&self, handle: u32, score: &str) -> Option<String> {
        let client = self.clients.get(handle)?;
        score::read(score).and_then(|score| client.score(score)).err()
    }

    /// Takes a content out of a value; the reference that stands for it. `None` where it is none, or media are not uploaded.
    #[must_use]
    pub fn media(
        &self,
        handle: u32,
        ids: (&str, &str),
        field: &str,
        content_type: &str,
        content: Content<'_>,
    ) -> Option<String> {
        let client = self.clients.get(handle).filter(|client| client.enabled() && client.settings().media)?;
        let field = [MediaField::Input, MediaField::Output, MediaField::Metadata]
            .into_iter()
            .find(|known| known.as_str() == field)?;
        let (content, source) = match content {
            Content::Bytes(bytes) => (Media::new(content_type, bytes.to_vec())?, MediaSource::Bytes),
            Content::Text(text) => {
                let (kind, text) = media::data_uri(text).unwrap_or((content_type, text));
                (Media::new(kind, media::decode(text)?)?, MediaSource::DataUri)
            }
        };
        let context = SpanContext {
            trace_id: TraceId::parse(ids.0)?,
            span_id: SpanId::parse(ids.1)?,
            destination: client.destination_key(),
            recorded: true,
            fate: Fate::Admitted,
        };
        let reference = content.reference(source);
        client.attach(&context, field, content);
        Some(reference)
    }

    /// The content type of the member `data` of a provider's message.
    #[must_use]
    pub fn media_type(shape: &str) -> Option<String> {
        let mut said = Members::read(shape).ok()?;
        let [kind, media_type, mime_type, format, place] =
            ["type", "media_type", "mime_type", "format", "place"].map(|name| said.text(name));
        let shape = Shape {
            kind: kind.as_deref(),
            media_type: media_type.as_deref(),
            mime_type: mime_type.as_deref(),
            format: format.as_deref(),
            transcript: said.flag("transcript").unwrap_or_default(),
        };
        let place = place.as_deref().map_or(Place::Anywhere, |name| Place::inside(name.as_bytes()));
        media::provider_type(place, &shape).map(str::to_owned)
    }

    /// What holds inside a scope: see [`scope::propagate`].
    #[must_use]
    pub fn propagate(outer: &str, said: &str) -> String {
        scope::propagate(outer, said)
    }

    /// What a scope says as baggage: a JSON object.
    #[must_use]
    pub fn baggage(record: &str) -> String {
        scope::baggage(record)
    }

    /// Begins to send what a client, or with 0 every client, has pending.
    pub fn flush(&mut self, handle: u32, timeout: f64, close: bool) -> u32 {
        let timeout = duration(timeout);
        let ticket = match handle {
            0 => Some((self.home)().begin_flush(None, timeout, close)),
            _ => self.clients.get(handle).and_then(|client| {
                let begun =
                    if close { client.begin_shutdown(timeout) } else { client.begin_flush(timeout, false) };
                begun.map(|(_, ticket)| ticket)
            }),
        };
        self.report(ticket)
    }

    /// Closes every destination that matches: JSON `{"public_key", "base_url", "secret_key"}`, all where it says nothing.
    pub fn cleanup(&mut self, which: &str, timeout: f64) -> u32 {
        let wanted = Members::read(which).ok().and_then(|mut which| {
            let [public, base_url, secret] =
                ["public_key", "base_url", "secret_key"].map(|name| which.text(name));
            // What cannot be read must not become "all of them".
            which
                .problems
                .is_empty()
                .then(|| Wanted::new(public.as_deref(), base_url.as_deref(), secret.as_deref()))
        });
        let ticket = wanted.map(|wanted| {
            (self.home)()
                .cleanup(|held| wanted.matches(held.public_key(), held.endpoint()), duration(timeout))
        });
        self.report(ticket)
    }

    fn report(&mut self, ticket: Option<Ticket>) -> u32 {
        let pending =
            ticket.map_or_else(|| Pending::Known(Report::of(Vec::new()).to_json()), Pending::Report);
        self.tickets.add(pending)
    }

    /// Begins to look a prompt up.
    pub fn prompt(&mut self, handle: u32, request: &str) -> u32 {
        let pending = match wish(request) {
            Ok(wish) => {
                let ticket = self.clients.get(handle).and_then(|client| client.prompt(&wish));
                Self::of_prompt(ticket)
            }
            Err(error) => {
                Pending::Known(answers::refused(&format!("the prompt could not be asked for: {error}")))
            }
        };
        self.tickets.add(pending)
    }

    /// Begins to make a version of a prompt, or to label the one that is given.
    pub fn write_prompt(&mut self, handle: u32, name: &str, version: Option<i64>, body: &str) -> u32 {
        let ticket = self.clients.get(handle).and_then(|client| match version {
            Some(version) => client.update_prompt(name, version, body.into()),
            None => client.create_prompt(name, body.into()),
        });
        self.tickets.add(Self::of_prompt(ticket))
    }

    fn of_prompt(ticket: Option<PromptTicket>) -> Pending {
        ticket.zip(FULL).map_or_else(
            || Pending::Known(answers::prompt(&Err(disabled()))),
            |(ticket, full)| Pending::Prompt(Gated::new(ticket, full)),
        )
    }

    /// Forgets a client's prompts.
    pub fn clear_prompts(&self, handle: u32) {
        if let Some(client) = self.clients.get(handle) {
            client.clear_prompts();
        }
    }

    /// Begins a request to the client's server (a path), or to another address without credentials.
    pub fn request(&mut self, handle: u32, method: &str, target: &str, body: &str, timeout: f64) -> u32 {
        let pending = match self.control(handle, method, target, body, duration(timeout)) {
            Ok((ticket, full)) => Pending::Request(Gated::new(ticket, full)),
            Err(sentence) => Pending::Known(answers::refused(&sentence)),
        };
        self.tickets.add(pending)
    }

    fn control(
        &self,
        handle: u32,
        method: &str,
        target: &str,
        body: &str,
        timeout: Duration,
    ) -> Result<(ControlTicket, Full), String> {
        let client = self.clients.get(handle).ok_or("there is no such client")?;
        let method =
            Method::parse(method).ok_or_else(|| format!("method {method:?} is none that is sent"))?;
        let target =
            if target.starts_with('/') { Target::Own(target.into()) } else { Target::foreign(target)? };
        if matches!(target, Target::Own(_)) {
            client.settings().langfuse_only("requests")?;
        }
        let request = match method {
            Method::Get => ControlRequest::get("", timeout),
            _ => ControlRequest::json(method, "", body.into(), timeout),
        };
        let request = ControlRequest { target, ..request };
        let ticket = client.control(request).zip(FULL);
        ticket.ok_or_else(|| "the client has no usable keys or address".to_owned())
    }

    /// What a ticket waited for, once.
    pub fn poll(&mut self, ticket: u32) -> Option<String> {
        let answer = match self.tickets.get(ticket)? {
            Pending::Report(pending) => {
                let overdue = || {
                    let late = pending.deadline().saturating_add(LATE);
                    ((self.home)().mono() >= late).then(|| pending.give_up())
                };
                pending.poll().or_else(overdue)?.to_json()
            }
            Pending::Prompt(pending) => answers::prompt(&pending.poll()?),
            Pending::Request(pending) => answers::outcome(&pending.poll()?),
            Pending::Known(answer) => answer.clone(),
        };
        self.tickets.remove(ticket);
        Some(answer)
    }

    /// The counters: JSON.
    #[must_use]
    pub fn stats(&self) -> String {
        (self.home)().stats().to_json()
    }

    /// Lines for the log: JSON, empty for none.
    #[must_use]
    pub fn notices(&self, all: bool) -> String {
        let process = (self.home)();
        answers::notices(&process.shared().notices.take(process.mono(), all))
    }

    /// What a `traceparent` header says: JSON.
    #[must_use]
    pub fn traceparent(header: &str) -> Option<String> {
        let Traceparent { trace_id, span_id, sampled } = Traceparent::parse(header)?;
        let mut out = Writer::new();
        out.begin("", b'{').text("traceId", trace_id.hex().as_str()).text("spanId", span_id.hex().as_str());
        out.flag("sampled", sampled).end(b'}');
        Some(out.finish())
    }

    /// A trace id.
    #[must_use]
    pub fn trace_id(seed: Option<&str>) -> String {
        seed.map_or_else(TraceId::random, TraceId::from_seed).hex().as_str().to_owned()
    }

    /// The letters of a record: JSON, with the attribute keys that they stand for.
    #[must_use]
    pub fn fields() -> String {
        let mut fields: BTreeMap<String, &str> = record::LETTERS
            .iter()
            .map(|(letter, field)| (char::from(*letter).to_string(), field.key()))
            .collect();
        fields.insert(char::from(record::METADATA).to_string(), OBSERVATION_METADATA);
        fields.insert(char::from(record::TRACE_METADATA).to_string(), TRACE_METADATA);
        serde_json::to_string(&fields).unwrap_or_default()
    }
}

/// How long after its deadline a report is made from the counters.
const LATE: u64 = 15_000_000;

/// A content as it was passed.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// Base64, or a whole data URI.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// A prompt as it is asked for; durations in milliseconds.
fn wish(request: &str) -> Result<PromptRequest, String> {
    let mut said = Members::read(request)?;
    let name = said.text("name").ok_or("it has no name")?;
    Ok(PromptRequest {
        name: name.into(),
        kind: if said.text("type").as_deref() == Some("chat") { Kind::Chat } else { Kind::Text },
        which: match (said.whole("version"), said.text("label")) {
            (Some(version), _) => Which::Version(version),
            (None, Some(label)) => Which::Label(label.into()),
            (None, None) => Which::production(),
        },
        ttl: said.number("ttl").map(duration),
        retries: said.whole("retries").and_then(|count| u32::try_from(count).ok()).unwrap_or(RETRIES.0),
        fallback: said.flag("fallback").unwrap_or_default(),
        timeout: said.number("timeout").map(duration),
    })
}
