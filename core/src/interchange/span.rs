//! A span of other instrumentation as text, handed over when it ends. It arrives at the server as it was made. It is read and
//! encoded by the exporter, not by the call.
//!
//! ```text
//! span      = trace-id(32 hex) span-id(16 hex) parent-id(16 hex, zeros for none) kind status remote root
//!             name END message END trace-state END start END end END lost-attributes END lost-events END lost-links END part*
//! kind      = "0" internal | "1" server | "2" client | "3" producer | "4" consumer
//! status    = "0" unset | "1" ok | "2" error
//! remote    = "1" where the parent is of another process, else "0"
//! root      = "1" where the span begins the application's part of its trace, else "0"
//! part      = "a" key END value                 an attribute: of the event or link before it, or else of the span
//!           | "e" time END name END             an event
//!           | "l" trace-id span-id remote trace-state END
//! value     = as in a record | "(" count END value*
//! envelope  = name END version END scope-schema END resource-schema END (("s" | "r") key END value)*
//! ```
//!
//! Times are nanoseconds since 1970. Attributes of the span come first. Beside it stands what the scope in which it started
//! propagates, as the beginning of a record.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::record::{ENCODED_LATER, END, Rest};
use super::scope;
use crate::attr::Field;
use crate::budget::reserve;
use crate::client::{Bound, Client};
use crate::config::ClientSettings;
use crate::destination::Destination;
use crate::encode::foreign::{Any, Foreign, ForeignEnvelope, ForeignHead, Part};
use crate::encode::otlp::{Envelope, Value};
use crate::encode::stamps::Stamps;
use crate::full::{FULL, Gated};
use crate::id::{SpanId, TraceId};
use crate::pipeline::{Item, Wrapper};
use crate::report::{DropReason, Lane};
use crate::shared::Shared;

/// Pairs of scope and resource whose encoded form is kept.
const MAX_ENVELOPES: usize = 64;

/// Scopes and resources by their text, the latest first.
#[derive(Debug)]
pub(super) struct Envelopes(Vec<(Box<str>, Arc<Envelope>)>);

impl Envelopes {
    pub(super) const EMPTY: Self = Self(Vec::new());

    fn get(&mut self, text: &str) -> Option<Arc<Envelope>> {
        if let Some(at) = self.0.iter().position(|(known, _)| **known == *text) {
            let found = self.0.get(at)?.1.clone();
            if at > 0 {
                self.0.swap(at, at - 1);
            }
            return Some(found);
        }
        let made = Arc::new(read_envelope(text)?);
        self.0.truncate(MAX_ENVELOPES - 1);
        self.0.insert(0, (text.into(), made.clone()));
        Some(made)
    }
}

/// What the exporter needs to encode a span.
#[derive(Clone, Debug)]
pub struct UnreadSpan {
    settings: Arc<ClientSettings>,
    propagated: Box<str>,
    envelope: Arc<Envelope>,
}

impl UnreadSpan {
    /// The bytes of the span; `None` where the text is none.
    pub(crate) fn encode(&self, text: &[u8]) -> Option<Box<[u8]>> {
        encode(&self.settings, &self.propagated, core::str::from_utf8(text).ok()?)
    }

    /// Bytes beside the text.
    pub(crate) fn overhead(&self) -> usize {
        size_of::<Self>() + self.propagated.len() + self.envelope.overhead()
    }
}

/// Hands a span over. Never waits; what is none is counted as `encode_failed`.
pub(super) fn take(
    client: &Client,
    envelopes: &mut Envelopes,
    envelope: &str,
    propagated: &str,
    span: String,
) {
    if !client.enabled() {
        return;
    }
    let Some((envelope, ids)) = envelopes.get(envelope).zip(Ids::read(&mut Rest(&span))) else {
        return client.refuse_foreign(DropReason::EncodeFailed);
    };
    if !client.settings().sampler.keeps(ids.trace_id) {
        return;
    }
    if let Some(bound) = client.bound() {
        bound.take_span(envelope, propagated, span, &ids);
    }
}

impl Bound {
    fn take_span(&self, envelope: Arc<Envelope>, propagated: &str, span: String, ids: &Ids) {
        let Some(full) = FULL else { return };
        let (process, destination) = (&self.process, &self.destination);
        let refuse = |reason| process.refuse(destination, Lane::Observations, reason, 0);
        let (trace, root) = (ids.trace_id.low(), ids.is_root());
        if !root && destination.refuses(trace) {
            return refuse(DropReason::QueueFull);
        }
        let unread = UnreadSpan { settings: self.settings.clone(), propagated: propagated.into(), envelope };
        let (payload, wrapper) = if span.len() > ENCODED_LATER {
            let Some(payload) = unread.encode(span.as_bytes()) else {
                return refuse(DropReason::EncodeFailed);
            };
            (Bytes::from(payload), Wrapper::Envelope(Gated::new(unread.envelope, full)))
        } else {
            (Bytes::from(span), Wrapper::UnreadSpan(Gated::new(Box::new(unread), full)))
        };
        let submitted = process.mono();
        let item = Item {
            payload,
            wrapper: Some(wrapper),
            content: None,
            submitted,
            timeout: self.settings.timeout,
        };
        match reserve(&destination.budget, &process.shared.budget, item.cost(), root) {
            Ok(()) => process.submit(destination, Lane::Observations, item),
            Err(reason) => {
                destination.refuse(trace);
                refuse(reason);
            }
        }
    }
}

/// Encodes an item that is still text, on the exporter's side; `None` where it is no span, which is counted.
pub(crate) fn read(shared: &Shared, destination: &Destination, mut item: Item) -> Option<Item> {
    let (Some(Wrapper::UnreadSpan(span)), Some(full)) = (&item.wrapper, FULL) else { return Some(item) };
    let encoded = span
        .encode(&item.payload)
        .map(|payload| (payload, Wrapper::Envelope(Gated::new(span.envelope.clone(), full))));
    let (before, len) = (item.cost(), item.payload.len());
    let Some((payload, wrapper)) = encoded else {
        destination.waiting.fetch_sub(1, Ordering::Relaxed);
        destination.waiting_bytes.fetch_sub(len, Ordering::Relaxed);
        destination.budget.release(before);
        shared.budget.release(before);
        destination.counters.dropped(Lane::Observations, DropReason::EncodeFailed, 1);
        return None;
    };
    (item.payload, item.wrapper) = (payload.into(), Some(wrapper));
    let (now, grown) = (item.cost(), item.payload.len());
    // What was taken in is kept, although it may have become somewhat larger.
    for budget in [&shared.budget, &destination.budget] {
        budget.take_always(now.saturating_sub(before));
        budget.release(before.saturating_sub(now));
    }
    // Wraps where it has become smaller, and the sum is right all the same.
    destination.waiting_bytes.fetch_add(grown.wrapping_sub(len), Ordering::Relaxed);
    Some(item)
}

/// What stands at the beginning of every span.
struct Ids {
    trace_id: TraceId,
    span_id: SpanId,
    parent: Option<SpanId>,
    kind: u8,
    status: u8,
    remote_parent: bool,
    app_root: bool,
}

impl Ids {
    fn read(rest: &mut Rest<'_>) -> Option<Self> {
        Some(Self {
            trace_id: TraceId::parse(rest.take(32)?)?,
            span_id: SpanId::parse(rest.take(16)?)?,
            parent: SpanId::parse(rest.take(16)?),
            kind: digit(rest)?,
            status: digit(rest)?,
            remote_parent: digit(rest)? == 1,
            app_root: digit(rest)? == 1,
        })
    }

    /// The first of its trace here.
    fn is_root(&self) -> bool {
        self.parent.is_none() || self.app_root
    }
}

fn encode(settings: &ClientSettings, propagated: &str, text: &str) -> Option<Box<[u8]>> {
    let mut rest = Rest(text);
    let ids = Ids::read(&mut rest)?;
    let (name, message, trace_state) = (rest.text()?, rest.text()?, rest.text()?);
    let (start, end) = (rest.text()?.parse().ok()?, rest.text()?.parse().ok()?);
    let mut lost = [0u32; 3];
    for lost in &mut lost {
        *lost = rest.text()?.parse().unwrap_or(0);
    }
    let head = ForeignHead {
        trace_id: ids.trace_id,
        span_id: ids.span_id,
        parent: ids.parent,
        trace_state,
        name,
        // OpenTelemetry's API counts from 0, its wire from 1.
        kind: ids.kind.min(4) + 1,
        start,
        end,
        status: (ids.status.min(2), message),
        remote_parent: ids.remote_parent,
        dropped: lost,
    };
    let propagated = (!propagated.is_empty()).then(|| scope::read(propagated));
    let stamps = Stamps::new(settings, propagated.as_ref());
    let app_root = ids.app_root;
    Parts { stamps, foreign: Foreign::new(), open: None, prompt: false, stamped: false, app_root }
        .read(rest, head)
}

/// The parts of a span on their way into bytes.
struct Parts<'a> {
    stamps: Stamps<'a>,
    foreign: Foreign,
    /// The event or link whose attributes follow, and whether it is a link.
    open: Option<(Part, bool)>,
    /// The span names a prompt itself.
    prompt: bool,
    stamped: bool,
    app_root: bool,
}

impl Parts<'_> {
    fn read(mut self, mut rest: Rest<'_>, mut head: ForeignHead<'_>) -> Option<Box<[u8]>> {
        let mut scratch = String::new();
        while let Some(letter) = rest.letter() {
            if letter != b'a' {
                self.stamp();
                self.close(&mut head.dropped);
            }
            match letter {
                b'a' => {
                    let key = rest.text()?;
                    value(&mut rest, &mut scratch, |any| self.attribute(key, any))?;
                }
                b'e' => {
                    let time = rest.text()?.parse().ok()?;
                    self.open = Some((Foreign::event(rest.text()?, time), false));
                }
                b'l' => {
                    let (trace_id, span_id) =
                        (TraceId::parse(rest.take(32)?)?, SpanId::parse(rest.take(16)?)?);
                    let remote = digit(&mut rest)? == 1;
                    self.open = Some((Foreign::link(trace_id, span_id, rest.text()?, remote), true));
                }
                _ => return None,
            }
        }
        self.stamp();
        self.close(&mut head.dropped);
        Some(self.foreign.finish(&head))
    }

    fn attribute(&mut self, key: &str, value: Any<'_>) {
        match &mut self.open {
            Some((part, _)) => part.attribute(key, value),
            None => {
                self.prompt |= key == Field::PromptName.key();
                if !self.stamps.replaces(key) {
                    self.foreign.attribute(key, None, value);
                }
            }
        }
    }

    /// After the span's own attributes, once.
    fn stamp(&mut self) {
        if std::mem::replace(&mut self.stamped, true) {
            return;
        }
        self.stamps.write(&mut self.foreign, self.prompt);
        if self.app_root {
            self.foreign.attribute(Field::AppRoot.key(), None, Any::One(Value::Bool(true)));
        }
    }

    fn close(&mut self, lost: &mut [u32; 3]) {
        if let Some((part, is_link)) = self.open.take()
            && !self.foreign.add(&part)
            && let Some(lost) = lost.get_mut(1 + usize::from(is_link))
        {
            *lost = lost.saturating_add(1);
        }
    }
}

fn read_envelope(text: &str) -> Option<Envelope> {
    let mut rest = Rest(text);
    let (name, version, scope_schema, resource_schema) =
        (rest.text()?, rest.text()?, rest.text()?, rest.text()?);
    let mut envelope = ForeignEnvelope::default();
    let mut scratch = String::new();
    while let Some(letter) = rest.letter() {
        let key = rest.text()?;
        value(&mut rest, &mut scratch, |any| match letter {
            b's' => envelope.scope(key, any),
            _ => envelope.resource(key, any),
        })?;
    }
    Some(envelope.finish(name, version, scope_schema, resource_schema))
}

fn digit(rest: &mut Rest<'_>) -> Option<u8> {
    rest.letter()?.checked_sub(b'0').filter(|digit| *digit <= 9)
}

/// One element of a list that is not yet read to its end.
enum Element {
    Str(String),
    Int(i64),
    Double(f64),
    Bool(bool),
}

impl Element {
    fn of(value: Value<'_>) -> Self {
        match value {
            Value::Str(text) => Self::Str(text.to_owned()),
            Value::Utf8(text) => Self::Str(String::from_utf8_lossy(text).into_owned()),
            Value::Int(number) => Self::Int(number),
            Value::Double(number) => Self::Double(number),
            Value::Bool(flag) => Self::Bool(flag),
            Value::Strs(texts) => Self::Str(texts.join(&END.to_string())),
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            Self::Str(text) => Value::Str(text),
            Self::Int(number) => Value::Int(*number),
            Self::Double(number) => Value::Double(*number),
            Self::Bool(flag) => Value::Bool(*flag),
        }
    }
}

fn value(rest: &mut Rest<'_>, scratch: &mut String, take: impl FnOnce(Any<'_>)) -> Option<()> {
    if !rest.0.starts_with('(') {
        return rest.value(scratch, |value| take(Any::One(value)));
    }
    rest.letter()?;
    let count: usize = rest.text()?.parse().ok()?;
    let mut elements = Vec::new();
    for _ in 0..count {
        // Each takes a byte at least, so a wrong count ends with the text.
        rest.value(scratch, |value| elements.push(Element::of(value)))?;
    }
    let values: Vec<Value<'_>> = elements.iter().map(Element::value).collect();
    take(Any::List(&values));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ClientOptions;
    use crate::encode::otlp::field;
    use crate::process::Process;
    use crate::standing;
    use std::sync::OnceLock;

    const IDS: &str = "0af7651916cd43dd8448eb211c80319cb7ad6b716920333100f067aa0ba902b7";

    fn home() -> Arc<Process> {
        static HOME: OnceLock<Arc<Process>> = OnceLock::new();
        HOME.get_or_init(standing::process).clone()
    }

    fn settings() -> ClientSettings {
        let options =
            ClientOptions { environment: Some("testing".to_owned()), ..standing::options("pk-span") };
        Client::open(options, &|_| None, home).settings().clone()
    }

    fn bytes(message: &[u8], number: u64) -> &[u8] {
        field(message, number).unwrap().unwrap()
    }

    fn span(propagated: &str, parts: &str) -> Option<Box<[u8]>> {
        let text =
            format!("{IDS}2211chat\u{1f}bad\u{1f}v=1\u{1f}5\u{1f}7\u{1f}0\u{1f}300\u{1f}0\u{1f}{parts}");
        let settings = settings();
        encode(&settings, propagated, &text)
    }

    fn holds(span: &[u8], text: &str) -> bool {
        span.windows(text.len()).any(|window| window == text.as_bytes())
    }

    #[test]
    fn every_part_arrives_at_its_place() {
        let payload = span(
            "",
            "an\u{1f}(3\u{1f}#1\u{1f}#0.5\u{1f}taflag\u{1f}faj\u{1f}{{\"a\":\u{1f}b\u{1f}}\u{1f}\u{1f}\
             e9\u{1f}exception\u{1f}aexception.type\u{1f}\"TypeError\u{1f}\
             l0af7651916cd43dd8448eb211c80319cb7ad6b71692033311a=b\u{1f}alinked\u{1f}#2\u{1f}",
        )
        .unwrap();
        let span = bytes(&payload, 2);
        assert_eq!(bytes(span, 4).len(), 8);
        assert_eq!(field(span, 6), Some(Err(3)), "a client's");
        assert_eq!(bytes(span, 3), b"v=1");
        assert_eq!(field(span, 12), Some(Err(300)));
        let list = bytes(bytes(bytes(span, 9), 2), 5);
        assert_eq!(field(bytes(list, 1), 3), Some(Err(1)));
        let event = bytes(span, 11);
        assert_eq!(bytes(bytes(event, 3), 1), b"exception.type");
        assert_eq!(bytes(bytes(bytes(span, 13), 4), 1), b"linked");
        assert_eq!(field(bytes(span, 15), 3), Some(Err(2)));
        assert!(holds(span, "langfuse.internal.is_app_root") && holds(span, "testing"));
    }

    #[test]
    fn what_the_scope_propagates_replaces_the_span_s_own() {
        let propagated = "U\"u-scope\u{1f}p\"from-scope\u{1f}q#3\u{1f}xk\u{1f}#1\u{1f}";
        let own =
            "auser.id\u{1f}\"u-span\u{1f}alangfuse.observation.prompt.name\u{1f}\"own\u{1f}e1\u{1f}n\u{1f}";
        let span = span(propagated, own).unwrap();
        assert!(holds(&span, "u-scope") && !holds(&span, "u-span"));
        assert!(holds(&span, "own") && !holds(&span, "from-scope"));
        assert!(holds(&span, "langfuse.trace.metadata.k"));
    }

    #[test]
    fn what_is_no_span_is_none() {
        for parts in ["z", "a", "an\u{1f}", "an\u{1f}(9\u{1f}#1\u{1f}", "ex\u{1f}n\u{1f}", "l0"] {
            assert!(span("", parts).is_none(), "{parts:?}");
        }
        assert!(encode(&settings(), "", "").is_none());
        assert!(read_envelope("n\u{1f}").is_none());
    }

    #[test]
    fn a_span_waits_as_text_and_what_begins_as_none_is_counted_at_once() {
        let client = standing::client("pk-span-waits", home);
        let mut envelopes = Envelopes::EMPTY;
        let head = format!("{IDS}2001chat\u{1f}\u{1f}\u{1f}5\u{1f}7\u{1f}0\u{1f}0\u{1f}0\u{1f}");
        let long = "x".repeat(ENCODED_LATER);
        let envelope = "ai\u{1f}\u{1f}\u{1f}\u{1f}";
        for span in [head.clone(), format!("{head}ak\u{1f}\"{long}\u{1f}")] {
            take(&client, &mut envelopes, envelope, "", span);
        }
        for none in ["", "x", &head[..60], &format!("{head}z{long}")] {
            take(&client, &mut envelopes, envelope, "", none.to_owned());
        }
        take(&client, &mut envelopes, "", "", head);
        let tally = client.tally(Lane::Observations);
        assert_eq!((tally.pending, tally.dropped[DropReason::EncodeFailed as usize]), (2, 5));
    }

    #[test]
    fn envelopes_are_made_once_and_are_bounded() {
        let mut envelopes = Envelopes::EMPTY;
        let text = "ai\u{1f}1\u{1f}\u{1f}\u{1f}rservice.name\u{1f}\"shop\u{1f}sa\u{1f}t";
        let first = envelopes.get(text).unwrap();
        assert!(Arc::ptr_eq(&first, &envelopes.get(text).unwrap()));
        assert!(holds(&first.prefix(0), "service.name"));
        for number in 0..3 * MAX_ENVELOPES {
            envelopes.get(&format!("{number}\u{1f}\u{1f}\u{1f}\u{1f}"));
        }
        assert_eq!(envelopes.0.len(), MAX_ENVELOPES);
        assert!(envelopes.get("no envelope").is_none());
    }
}
