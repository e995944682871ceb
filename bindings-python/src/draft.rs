//! Values that were captured before their observation starts: `with client.start_as_current_observation(...)` starts it at
//! the `with`, and a decorator starts one with each call, but arguments are captured by the call that passes them.

use tracespool_core::attr::{Field, Level};
use tracespool_core::encode::otlp::Value;
use tracespool_core::media::{Media, MediaField};

use crate::arguments::Sink;

/// Captured values in one buffer.
#[derive(Default)]
pub(crate) struct Draft {
    bytes: String,
    entries: Vec<Entry>,
    media: Vec<(MediaField, Vec<Media>)>,
}

enum Slot {
    Field(Field),
    /// Metadata, by how long its key is; the key stands before the value.
    Metadata(usize),
    Level(Level),
    StatusMessage,
    Name,
}

struct Entry {
    slot: Slot,
    scalar: Scalar,
    /// Where its text ends; it begins where the last one ended.
    end: usize,
}

enum Scalar {
    Text,
    Int(i64),
    Double(f64),
    Bool(bool),
}

impl Draft {
    fn push(&mut self, slot: Slot, value: Value<'_>) {
        let scalar = match value {
            Value::Str(text) => {
                self.bytes.push_str(text);
                Scalar::Text
            }
            Value::Int(number) => Scalar::Int(number),
            Value::Double(number) => Scalar::Double(number),
            Value::Bool(flag) => Scalar::Bool(flag),
            // Captured values have no other form.
            Value::Utf8(_) | Value::Strs(_) => return,
        };
        self.entries.push(Entry { slot, scalar, end: self.bytes.len() });
    }

    /// Hands everything over.
    pub(crate) fn replay(&self, sink: &mut impl Sink) {
        let mut start = 0;
        for Entry { slot, scalar, end } in &self.entries {
            let text = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            let (key, text) = match slot {
                Slot::Metadata(len) => text.split_at(*len),
                _ => ("", text),
            };
            let value = match scalar {
                Scalar::Text => Value::Str(text),
                Scalar::Int(number) => Value::Int(*number),
                Scalar::Double(number) => Value::Double(*number),
                Scalar::Bool(flag) => Value::Bool(*flag),
            };
            match slot {
                Slot::Field(field) => sink.field(*field, value),
                Slot::Metadata(_) => sink.metadata(key, value),
                Slot::Level(level) => sink.level(*level),
                Slot::StatusMessage => sink.status_message(text),
                Slot::Name => sink.name(text),
            }
        }
        for (field, contents) in &self.media {
            sink.media(*field, contents.clone());
        }
    }
}

impl Sink for Draft {
    fn wants(&self) -> bool {
        true
    }
    fn field(&mut self, field: Field, value: Value<'_>) {
        self.push(Slot::Field(field), value);
    }
    fn metadata(&mut self, key: &str, value: Value<'_>) {
        self.bytes.push_str(key);
        self.push(Slot::Metadata(key.len()), value);
    }
    fn level(&mut self, level: Level) {
        self.push(Slot::Level(level), Value::Str(""));
    }
    fn status_message(&mut self, text: &str) {
        self.push(Slot::StatusMessage, Value::Str(text));
    }
    fn name(&mut self, text: &str) {
        self.push(Slot::Name, Value::Str(text));
    }
    fn media(&mut self, field: MediaField, contents: Vec<Media>) {
        self.media.push((field, contents));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Log(Vec<String>);

    impl Sink for Log {
        fn wants(&self) -> bool {
            true
        }
        fn field(&mut self, field: Field, value: Value<'_>) {
            self.0.push(format!("{field:?}={value:?}"));
        }
        fn metadata(&mut self, key: &str, value: Value<'_>) {
            self.0.push(format!("{key}:{value:?}"));
        }
        fn level(&mut self, level: Level) {
            self.0.push(format!("{level:?}"));
        }
        fn status_message(&mut self, text: &str) {
            self.0.push(format!("status {text}"));
        }
        fn name(&mut self, text: &str) {
            self.0.push(format!("name {text}"));
        }
        fn media(&mut self, field: MediaField, contents: Vec<Media>) {
            self.0.push(format!("{field:?} {contents:?}"));
        }
    }

    #[test]
    fn a_draft_replays_what_it_was_told() {
        fn tell(sink: &mut impl Sink) {
            sink.field(Field::Input, Value::Str("{\"é\":1}"));
            sink.metadata("key", Value::Int(3));
            sink.metadata("k2", Value::Str("v"));
            sink.level(Level::Error);
            sink.status_message("bad");
            sink.name("n");
            sink.field(Field::Output, Value::Bool(true));
            let content = Media::new("image/png", b"x".as_slice()).unwrap();
            sink.media(MediaField::Input, vec![content]);
        }
        let (mut draft, mut told, mut replayed) = (Draft::default(), Log::default(), Log::default());
        tell(&mut draft);
        tell(&mut told);
        draft.replay(&mut replayed);
        assert_eq!(told.0, replayed.0);
    }
}
