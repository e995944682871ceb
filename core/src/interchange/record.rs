//! An observation as text, handed over once, when it ends. It is read and encoded by the exporter, not by the call.
//!
//! ```text
//! head    = origin trace-id(32 hex) span-id(16 hex) [parent-id(16 hex)] type END name END
//! origin  = "0" begins a trace | "1" has a parent | "2" was given a trace and a parent in it | "3" was given a trace
//! field   = letter value | ("m" | "x") key END value | "!" type END message END stack END
//! value   = '"' text END            text, as it is
//!         | "'" json-string END     text, as a JSON string: for text that holds an END
//!         | "{" json END END        JSON; inside it END text END is a string that is not escaped yet, never empty
//!         | "#" number END
//!         | "t" | "f"
//!         | "[" count END (text END)*
//! ```
//!
//! `END` is U+001F, which JSON text never holds. A field that comes again replaces, as everywhere.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::pack::Pack;

use crate::admission::Fate;
use crate::attr::{Field, Level, ObservationType};
use crate::budget::{has_room, reserve};
use crate::client::{Bound, Client};
use crate::config::ClientSettings;
use crate::destination::Destination;
use crate::encode::otlp::Value;
use crate::id::{SpanId, TraceId};
use crate::json;
use crate::number;
use crate::observation::{Raised, SpanContext};
use crate::pipeline::{ITEM_OVERHEAD, Item};
use crate::report::{DropReason, Lane};
use crate::shared::Shared;
use crate::values::Values;

/// Ends every piece of text.
pub const END: char = '\u{1f}';
/// Larger records are encoded by the call: the exporter's steps stay short, and whoever made such a value has spent far more
/// on it.
pub(super) const ENCODED_LATER: usize = 64 * 1024;

/// The letters of the fields.
pub const LETTERS: [(u8, Field); 19] = [
    (b'i', Field::Input),
    (b'o', Field::Output),
    (b'd', Field::Metadata),
    (b'l', Field::Level),
    (b's', Field::StatusMessage),
    (b'M', Field::Model),
    (b'P', Field::ModelParameters),
    (b'u', Field::UsageDetails),
    (b'c', Field::CostDetails),
    (b'C', Field::CompletionStartTime),
    (b'p', Field::PromptName),
    (b'q', Field::PromptVersion),
    (b'v', Field::Version),
    (b'e', Field::Environment),
    (b'U', Field::UserId),
    (b'S', Field::SessionId),
    (b'N', Field::TraceName),
    (b'T', Field::TraceTags),
    (b'B', Field::TracePublic),
];
/// The first of the letters for attributes that only the SDK itself writes, in the order of [`INTERNAL`].
const FIRST_INTERNAL: u8 = b'0';
/// What an experiment puts on everything below one of its items.
const INTERNAL: [Field; 10] = [
    Field::ExperimentId,
    Field::ExperimentName,
    Field::ExperimentDescription,
    Field::ExperimentMetadata,
    Field::ExperimentDatasetId,
    Field::ExperimentItemId,
    Field::ExperimentItemVersion,
    Field::ExperimentItemExpectedOutput,
    Field::ExperimentItemMetadata,
    Field::ExperimentItemRoot,
];
/// One top-level key of the metadata, of the trace's metadata, and what was raised.
pub(super) const METADATA: u8 = b'm';
pub(super) const TRACE_METADATA: u8 = b'x';
const EXCEPTION: u8 = b'!';

/// The field of a letter.
pub(super) fn field(letter: u8) -> Option<Field> {
    if let Some((_, field)) = LETTERS.iter().find(|(other, _)| *other == letter) {
        return Some(*field);
    }
    INTERNAL.get(usize::from(letter.checked_sub(FIRST_INTERNAL)?)).copied()
}

/// The letter of a field.
#[must_use]
pub fn letter(field: Field) -> Option<u8> {
    if let Some((letter, _)) = LETTERS.iter().find(|(_, other)| *other == field) {
        return Some(*letter);
    }
    let at = INTERNAL.iter().position(|other| *other == field)?;
    Some(FIRST_INTERNAL + u8::try_from(at).ok()?)
}

/// Appends the bytes of a record's span; `None` where the text is no record. `times` are its start and its end.
fn encode(out: &mut Vec<u8>, settings: &ClientSettings, text: &str, times: (u64, u64)) -> Option<()> {
    let mut rest = Rest(text);
    let head = Head::read(&mut rest)?;
    let mut values =
        Values::begin(settings, head.name, head.kind, times.0, head.is_local_root(), head.is_given());
    let mut scratch = Scratch::take();
    while let Some(letter) = rest.letter() {
        match letter {
            METADATA | TRACE_METADATA => {
                let key = rest.text()?;
                let trace = letter == TRACE_METADATA;
                rest.value(&mut scratch.0, |value| values.set_any_metadata(key, value, trace))?;
            }
            EXCEPTION => {
                let (kind, message, stack) = (rest.text()?, rest.text()?, rest.text()?);
                let status = if message.is_empty() { kind } else { message };
                values.set_exception(times.1, status, &Raised { kind, message, stack });
            }
            letter => {
                let field = field(letter)?;
                rest.value(&mut scratch.0, |value| values.set_word(field, value))?;
            }
        }
    }
    let context = SpanContext {
        trace_id: head.trace_id,
        span_id: head.span_id,
        destination: 0,
        recorded: true,
        fate: Fate::Admitted,
    };
    values.append_span(out, &context, head.parent, times);
    Some(())
}

/// Where JSON is put together; a thread keeps its own for its next record.
#[derive(Default)]
struct Scratch(String);

thread_local! {
    // Taken out and put back whole, so that nothing is borrowed while anything else runs.
    static SCRATCH: Cell<String> = const { Cell::new(String::new()) };
}

impl Scratch {
    fn take() -> Self {
        Self(SCRATCH.try_with(Cell::take).unwrap_or_default())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.capacity() <= 2 * ENCODED_LATER {
            let kept = std::mem::take(&mut self.0);
            let _ = SCRATCH.try_with(|scratch| scratch.set(kept));
        }
    }
}

impl Values {
    /// Sets a field whose value may be one of a closed vocabulary.
    fn set_word(&mut self, field: Field, value: Value<'_>) {
        if !matches!(field, Field::Level | Field::StatusMessage) {
            return self.set(field, value);
        }
        let text = match value {
            Value::Str(text) => Cow::Borrowed(text),
            Value::Utf8(text) => String::from_utf8_lossy(text),
            _ => return self.set(field, value),
        };
        if field == Field::StatusMessage {
            self.set_status_message(&text);
        } else if let Some(level) = Level::parse(&text) {
            self.set_level(level);
        }
    }
}

struct Head<'a> {
    origin: u8,
    trace_id: TraceId,
    span_id: SpanId,
    parent: Option<SpanId>,
    kind: ObservationType,
    name: &'a str,
}

impl<'a> Head<'a> {
    fn read(rest: &mut Rest<'a>) -> Option<Self> {
        let origin = rest.letter()?;
        let trace_id = TraceId::parse(rest.take(32)?)?;
        let span_id = SpanId::parse(rest.take(16)?)?;
        let parent = match origin {
            b'0' | b'3' => None,
            b'1' | b'2' => Some(SpanId::parse(rest.take(16)?)?),
            _ => return None,
        };
        let kind = ObservationType::parse(rest.text()?)?;
        Some(Self { origin, trace_id, span_id, parent, kind, name: rest.text()? })
    }

    fn is_local_root(&self) -> bool {
        self.origin != b'1'
    }

    fn is_given(&self) -> bool {
        matches!(self.origin, b'2' | b'3')
    }
}

/// What is still to be read.
pub(super) struct Rest<'a>(pub(super) &'a str);

impl<'a> Rest<'a> {
    pub(super) fn letter(&mut self) -> Option<u8> {
        let letter = *self.0.as_bytes().first()?;
        self.0 = self.0.get(1..)?;
        Some(letter)
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let (text, rest) = self.0.split_at_checked(end_of(self.0)?)?;
        self.0 = rest.get(1..)?;
        Some(text)
    }

    /// Reads a value and hands it on; `scratch` holds what has to be put together.
    pub(super) fn value(&mut self, scratch: &mut String, take: impl FnOnce(Value<'_>)) -> Option<()> {
        match self.letter()? {
            b'"' => take(Value::Str(self.text()?)),
            b'\'' => {
                let text = json::string(self.text()?)?;
                take(Value::Str(&text));
            }
            b'{' => self.json(scratch, take)?,
            b'#' => {
                let text = self.text()?;
                match text.parse::<i64>() {
                    Ok(number) => take(Value::Int(number)),
                    Err(_) => take(Value::Double(number::parse(text)?)),
                }
            }
            b't' => take(Value::Bool(true)),
            b'f' => take(Value::Bool(false)),
            b'[' => {
                let count: usize = self.text()?.parse().ok()?;
                // Each takes a byte at least, so a wrong count asks for no more memory than the text has.
                let texts: Option<Vec<String>> =
                    (0..count.min(self.0.len())).map(|_| self.text().map(str::to_owned)).collect();
                take(Value::Strs(&texts?));
            }
            _ => return None,
        }
        Some(())
    }

    fn json(&mut self, scratch: &mut String, take: impl FnOnce(Value<'_>)) -> Option<()> {
        let first = self.text()?;
        if self.0.starts_with(END) {
            self.0 = self.0.get(1..)?;
            take(Value::Str(first));
            return Some(());
        }
        scratch.clear();
        scratch.push_str(first);
        loop {
            json::quote(scratch, self.text()?);
            scratch.push_str(self.text()?);
            if self.0.starts_with(END) {
                self.0 = self.0.get(1..)?;
                break;
            }
        }
        take(Value::Str(scratch));
        Some(())
    }
}

/// Where the next [`END`] stands.
fn end_of(text: &str) -> Option<usize> {
    #[cfg(feature = "native")]
    return memchr::memchr(END as u8, text.as_bytes());
    #[cfg(not(feature = "native"))]
    text.find(END)
}

impl Client {
    /// Hands an observation over that its binding has kept as text until it ended. Never waits; nanoseconds since 1970.
    /// What is no record is counted as `encode_failed`. False where there is no room for another trace: whoever begins one asks
    /// [`Client::has_room`] before, so that what is kept is kept whole.
    pub fn take_record(&self, record: &str, start: u64, end: u64) -> bool {
        let Some(bound) = self.bound().filter(|_| self.enabled()) else { return true };
        bound.take_record(record, start, end);
        bound.has_room()
    }

    /// Whether a trace that begins now will find room.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.bound().is_none_or(|bound| bound.has_room())
    }
}

impl Bound {
    fn has_room(&self) -> bool {
        has_room(&self.destination.budget, &self.process.shared.budget)
    }

    fn take_record(&self, record: &str, start: u64, end: u64) {
        let (process, destination) = (&self.process, &self.destination);
        let refuse = |reason| process.refuse(destination, Lane::Observations, reason, 0);
        // Where the ids stand is the same in every record. They are looked at only where something is refused.
        let Some((&origin, &digits)) = record
            .as_bytes()
            .split_first()
            .and_then(|(origin, rest)| Some((origin, rest.first_chunk::<32>()?)))
        else {
            return refuse(DropReason::EncodeFailed);
        };
        let trace = || std::str::from_utf8(&digits).ok().and_then(TraceId::parse).map(TraceId::low);
        let root = !matches!(origin, b'1' | b'2');
        if !root && destination.refuses_any() && trace().is_some_and(|trace| destination.refuses(trace)) {
            return refuse(DropReason::QueueFull);
        }
        let submitted = process.mono();
        // What the exporter encodes is counted as text, until it has.
        let encoded = if record.len() > ENCODED_LATER {
            let mut payload = Vec::new();
            if encode(&mut payload, &self.settings, record, (start, end)).is_none() {
                return refuse(DropReason::EncodeFailed);
            }
            Some(self.item(payload.into(), submitted))
        } else {
            None
        };
        let cost = encoded.as_ref().map_or(record.len() + ITEM_OVERHEAD, Item::cost);
        match reserve(&destination.budget, &process.shared.budget, cost, root) {
            Ok(()) => match encoded {
                Some(item) => process.submit(destination, Lane::Observations, item),
                None => process.pack(destination, &self.settings, record, (start, end), submitted),
            },
            Err(reason) => {
                if let Some(trace) = trace() {
                    destination.refuse(trace);
                }
                refuse(reason);
            }
        }
    }

    fn item(&self, payload: Bytes, submitted: u64) -> Item {
        Item { payload, wrapper: None, content: None, submitted, timeout: self.settings.timeout }
    }
}

/// Bytes that a span needs beyond its record, for attributes with short values: the keys.
const KEYS: usize = 512;

/// Encodes what a pack holds, on the exporter's side, into one block that the items share. What is no record is counted.
pub(crate) fn unpack(shared: &Shared, destination: &Destination, pack: &Pack) -> Vec<Item> {
    let mut block = Vec::with_capacity(pack.len() + pack.count() * KEYS);
    let ends: Vec<Option<usize>> = pack
        .records()
        .map(|(record, text)| {
            let before = block.len();
            let read = encode(&mut block, &pack.settings, text, (record.start, record.end));
            if read.is_none() {
                block.truncate(before);
            }
            read.map(|()| block.len())
        })
        .collect();
    if block.capacity() - block.len() > block.len() / 4 {
        block.shrink_to_fit();
    }
    let block = Bytes::from(block);
    let mut from = 0;
    let items: Vec<Item> = pack
        .records()
        .zip(ends)
        .filter_map(|((record, _), end)| {
            let payload = block.slice(from..end?);
            from += payload.len();
            let (submitted, timeout) = (record.submitted, pack.settings.timeout);
            Some(Item { payload, wrapper: None, content: None, submitted, timeout })
        })
        .collect();
    let failed = pack.count() - items.len();
    if failed > 0 {
        #[allow(clippy::cast_possible_truncation)] // a pack holds few
        destination.waiting.fetch_sub(failed as u32, Ordering::Relaxed);
        destination.counters.dropped(Lane::Observations, DropReason::EncodeFailed, failed as u64);
    }
    let before = pack.len() + pack.count() * ITEM_OVERHEAD;
    let after = block.len() + items.len() * ITEM_OVERHEAD;
    // What was taken in is kept, although it may have become somewhat larger.
    for budget in [&shared.budget, &destination.budget] {
        budget.take_always(after.saturating_sub(before));
        budget.release(before.saturating_sub(after));
    }
    // Wraps where it has become smaller, and the sum is right all the same.
    destination.waiting_bytes.fetch_add(block.len().wrapping_sub(pack.len()), Ordering::Relaxed);
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Process;
    use crate::standing;
    use std::sync::{Arc, OnceLock};

    fn home() -> Arc<Process> {
        static HOME: OnceLock<Arc<Process>> = OnceLock::new();
        HOME.get_or_init(standing::process).clone()
    }

    fn client(key: &str) -> Client {
        standing::client(key, home)
    }

    const HEAD: &str =
        "10af7651916cd43dd8448eb211c80319cb7ad6b716920333100f067aa0ba902b7generation\u{1f}chat\u{1f}";

    fn encoded(fields: &str) -> Option<String> {
        let client = client("pk-record");
        let mut span = Vec::new();
        encode(&mut span, client.settings(), &format!("{HEAD}{fields}").replace('|', "\u{1f}"), (5, 7))?;
        Some(String::from_utf8_lossy(&span).into_owned())
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let span = encoded(
            "i\"plain \"text\"|o{{\"a\":|say \"hi\"\n|,\"b\":[1,|two|]}||mkey|#12|mhalf|#0.5|myes|tM\"gpt|T[2|a|b|\
             s'\"x\\u001fy\"|l\"ERROR|xtenant|\"acme|",
        )
        .unwrap();
        for part in [
            "plain \"text\"",
            r#"{"a":"say \"hi\"\n","b":[1,"two"]}"#,
            "langfuse.observation.metadata.key",
            "langfuse.observation.metadata.half",
            "langfuse.trace.metadata.tenant",
            "acme",
            "gpt",
            "x\u{1f}y",
            "ERROR",
            "generation",
        ] {
            assert!(span.contains(part), "{part} in {span}");
        }
        assert!(!span.contains("is_app_root"));
    }

    #[test]
    fn what_is_no_record_is_refused_and_counted() {
        for bad in
            ["i", "i\"never ended", "i{{\"a\":|x", "i#twelve|", "~\"x|", "m", "mkey|", "T[9|a|", "!a|b|"]
        {
            assert!(encoded(bad).is_none(), "{bad}");
        }
        assert!(encoded("").is_some());
        let client = client("pk-record-bad");
        client.take_record("nonsense", 1, 2);
        client.take_record(&format!("{HEAD}i\"x").replace('|', "\u{1f}"), 1, 2);
        let process = home();
        let mut pipeline = crate::pipeline::Pipeline::new(process.shared().clone(), process.now());
        while let Ok(command) = process.inbox().try_recv() {
            pipeline.handle_command(command, process.now());
        }
        let tally = client.tally(Lane::Observations);
        assert_eq!((tally.submitted, tally.dropped[DropReason::EncodeFailed as usize]), (2, 2));
    }

    #[test]
    fn letters_are_unique_and_lead_back() {
        for (letter_, field_) in LETTERS {
            assert_eq!((field(letter_), letter(field_)), (Some(field_), Some(letter_)));
        }
        for field_ in INTERNAL {
            assert_eq!(letter(field_).and_then(field), Some(field_));
        }
        assert!(field(METADATA).is_none() && field(TRACE_METADATA).is_none() && field(EXCEPTION).is_none());
    }
}
