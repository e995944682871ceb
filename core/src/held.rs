//! A finished span that is not yet on its way: somebody still has to look at it, change it or send it elsewhere. Its
//! bytes are reserved, so that however many are held the budgets stand.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::attr::Field;
use crate::client::Bound;
use crate::encode::otlp::{field, read_varint, take};
use crate::encode::protobuf::bytes_field;
use crate::pipeline::Item;
use crate::report::{DropReason, Lane};

/// Attributes that are no content: they stay where a mask failed. What is not here is dropped.
const SHELL: [Field; 11] = [
    Field::Type,
    Field::Level,
    Field::Model,
    Field::UsageDetails,
    Field::CostDetails,
    Field::CompletionStartTime,
    Field::Version,
    Field::Release,
    Field::Environment,
    Field::AppRoot,
    Field::AsRoot,
];

// Span.attributes = 9, events 11, links 13, status 15.
const ATTRIBUTES: u64 = 9;
const EVENTS: u64 = 11;
const LINKS: u64 = 13;
const STATUS: u64 = 15;

/// See the module. Dropping it counts it as `after_goodbye`: whoever held it never came back to it.
#[derive(Debug)]
pub struct Held {
    bound: Arc<Bound>,
    item: Option<Item>,
}

impl Held {
    pub(crate) fn new(bound: Arc<Bound>, item: Item) -> Self {
        Self { bound, item: Some(item) }
    }

    fn abandoned(&self) -> bool {
        self.bound.process.shared.abandoned.load(Ordering::Acquire)
    }

    /// The encoded span: one element of `ScopeSpans.spans`, tag and length included. Empty once it has been handed over.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.item.as_ref().map_or(&[], |item| &item.payload)
    }

    /// Sends it.
    pub fn submit(mut self) {
        if let Some(item) = self.item.take().filter(|_| !self.abandoned()) {
            self.bound.process.submit(&self.bound.destination, Lane::Observations, item);
        }
    }

    /// Lets go of it uncounted: it was never meant to be sent.
    pub fn discard(mut self) {
        if let Some(item) = self.item.take().filter(|_| !self.abandoned()) {
            self.bound.adjust(item.cost(), 0);
        }
    }

    /// Gives it up for a reason.
    pub fn refuse(mut self, reason: DropReason) {
        self.refuse_with(reason);
    }

    fn refuse_with(&mut self, reason: DropReason) {
        if let Some(item) = self.item.take().filter(|_| !self.abandoned()) {
            self.bound.process.refuse(&self.bound.destination, Lane::Observations, reason, item.cost());
        }
    }

    /// Counts it as delivered: somebody else has sent it.
    pub fn delivered(mut self) {
        if let Some(item) = self.item.take().filter(|_| !self.abandoned()) {
            self.bound.adjust(item.cost(), 0);
            let counters = &self.bound.destination.counters;
            counters.submitted(Lane::Observations, 1);
            counters.delivered(Lane::Observations, 1);
        }
    }

    /// Takes the attributes of these keys out and adds encoded ones.
    pub fn patch(&mut self, without: &[&str], added: &[u8]) {
        self.rewrite(|number, content| match number {
            ATTRIBUTES => !key_of(content).is_some_and(|key| without.contains(&key)),
            _ => true,
        });
        self.append(added);
    }

    /// Leaves only what is no content (ids, times, name, kind of work) because a mask failed, which is counted.
    pub fn strip(&mut self) {
        self.rewrite(|number, content| match number {
            ATTRIBUTES => key_of(content).is_some_and(|key| SHELL.iter().any(|field| field.key() == key)),
            EVENTS | LINKS | STATUS => false,
            _ => true,
        });
        if !self.abandoned() {
            self.bound.count_mask_failure();
        }
    }

    fn append(&mut self, added: &[u8]) {
        if added.is_empty() {
            return;
        }
        let Some(Ok(span)) = field(self.payload(), 2) else { return };
        let span = [span, added].concat();
        self.replace(&span);
    }

    /// Keeps the fields of the span for which `keep` says so.
    fn rewrite(&mut self, keep: impl Fn(u64, &[u8]) -> bool) {
        let Some(Ok(mut rest)) = field(self.payload(), 2) else { return };
        let mut kept = Vec::with_capacity(rest.len());
        while !rest.is_empty() {
            let whole = rest;
            let Some((number, content)) = next_field(&mut rest) else { return };
            if keep(number, content) {
                kept.extend_from_slice(&whole[..whole.len() - rest.len()]);
            }
        }
        self.replace(&kept);
    }

    fn replace(&mut self, span: &[u8]) {
        let Some(item) = &mut self.item else { return };
        let before = item.cost();
        let mut payload = Vec::with_capacity(span.len() + 8);
        bytes_field(&mut payload, 0x12, span);
        item.payload = payload.into();
        let now = item.cost();
        if !self.abandoned() {
            self.bound.adjust(before, now);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.abandoned() {
            // The parent's; see `Observation`.
            std::mem::forget(self.item.take());
            std::mem::forget(self.bound.clone());
            return;
        }
        self.refuse_with(DropReason::AfterGoodbye);
    }
}

/// The number and content of the first field; empty content for what is no bytes.
pub fn next_field<'a>(message: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let tag = read_varint(message)?;
    let before = *message;
    let content = match tag & 7 {
        0 => {
            read_varint(message)?;
            &before[..before.len() - message.len()]
        }
        1 => take(message, 8)?,
        2 => {
            let len = usize::try_from(read_varint(message)?).ok()?;
            take(message, len)?
        }
        5 => take(message, 4)?,
        _ => return None,
    };
    Some((tag >> 3, content))
}

fn key_of(attribute: &[u8]) -> Option<&str> {
    std::str::from_utf8(field(attribute, 1)?.ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::foreign::{Any, Foreign, ForeignEnvelope, ForeignHead};
    use crate::encode::otlp::{Value, attribute};
    use crate::id::{SpanId, TraceId};
    use crate::process::Process;
    use crate::{Client, standing};
    use std::sync::OnceLock;

    fn home() -> Arc<Process> {
        static HOME: OnceLock<Arc<Process>> = OnceLock::new();
        HOME.get_or_init(standing::process).clone()
    }

    fn client(key: &str) -> Client {
        standing::client(key, home)
    }

    fn held(client: &Client, text: &str) -> Held {
        let mut foreign = Foreign::new();
        foreign.attribute("langfuse.observation.type", None, Any::One(Value::Str("tool")));
        foreign.attribute("input.value", None, Any::One(Value::Str(text)));
        foreign.add(&Foreign::event("content", 1));
        let head = ForeignHead {
            trace_id: TraceId([1; 16]),
            span_id: SpanId([2; 8]),
            parent: None,
            trace_state: "",
            name: "n",
            kind: 1,
            start: 1,
            end: 2,
            status: (2, "content"),
            remote_parent: false,
            dropped: [0; 3],
        };
        let envelope = Arc::new(ForeignEnvelope::default().finish("x", "", "", ""));
        client.take_foreign(foreign.finish(&head), envelope, TraceId([1; 16]), true).unwrap()
    }

    fn contains(held: &Held, text: &str) -> bool {
        held.payload().windows(text.len()).any(|window| window == text.as_bytes())
    }

    #[test]
    fn patches_replace_attributes_and_a_shell_has_no_content() {
        let client = client("pk-patch");
        let mut span = held(&client, "secret");
        let mut added = Vec::new();
        attribute(&mut added, "input.value", None, Value::Str("***"));
        span.patch(&["input.value"], &added);
        assert!(contains(&span, "***") && contains(&span, "tool") && !contains(&span, "secret"));
        span.strip();
        assert!(contains(&span, "tool") && !contains(&span, "***") && !contains(&span, "content"));
        span.submit();
        let tally = client.tally(Lane::Observations);
        assert_eq!((tally.submitted, tally.pending, tally.stripped), (1, 1, 1));
    }

    #[test]
    fn whatever_becomes_of_it_the_bytes_come_back_and_the_sums_hold() {
        let client = client("pk-fates");
        let bytes =
            || home().registry.lock().all().iter().find(|d| d.public_key == "pk-fates").unwrap().bytes();
        held(&client, "a").discard();
        held(&client, "b").delivered();
        held(&client, "c").refuse(DropReason::Rejected);
        drop(held(&client, "d"));
        let tally = client.tally(Lane::Observations);
        assert_eq!((tally.submitted, tally.delivered, tally.dropped_total(), tally.pending), (3, 1, 2, 0));
        assert_eq!(tally.dropped[DropReason::AfterGoodbye as usize], 1);
        assert_eq!(bytes(), 0);
    }
}
