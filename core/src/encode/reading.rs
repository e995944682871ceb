//! Reads a span that [`super::otlp`] or [`super::foreign`] has encoded: for filters and exporters of the application's own.

use super::otlp::{read_varint, take};
use crate::id::{SpanId, TraceId};

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Read<'a> {
    /// Text.
    Str(&'a str),
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number.
    Double(f64),
    /// Several of one kind.
    List(Vec<Self>),
}

/// A span read back.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Its parent.
    pub parent: Option<SpanId>,
    /// Its name.
    pub name: &'a str,
    /// `SpanKind` as a number.
    pub kind: u64,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// `StatusCode` as a number and its message.
    pub status: (u64, &'a str),
    /// Its attributes, in the order in which they were written.
    pub attributes: Vec<(&'a str, Read<'a>)>,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Content<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(_) => &[],
        }
    }

    fn text(self) -> &'a str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Bytes(bytes) => bytes.try_into().map(u64::from_le_bytes).unwrap_or_default(),
        }
    }
}

fn next<'a>(message: &mut &'a [u8]) -> Option<(u64, Content<'a>)> {
    let tag = read_varint(message)?;
    let content = match tag & 7 {
        0 => Content::Number(read_varint(message)?),
        1 => Content::Bytes(take(message, 8)?),
        2 => {
            let len = usize::try_from(read_varint(message)?).ok()?;
            Content::Bytes(take(message, len)?)
        }
        5 => Content::Bytes(take(message, 4)?),
        _ => return None,
    };
    Some((tag >> 3, content))
}

fn value(mut message: &[u8]) -> Option<Read<'_>> {
    let (number, content) = next(&mut message)?;
    #[allow(clippy::cast_possible_wrap)]
    Some(match number {
        1 => Read::Str(content.text()),
        2 => Read::Bool(content.number() != 0),
        3 => Read::Int(content.number() as i64),
        4 => Read::Double(f64::from_bits(content.number())),
        5 => {
            let mut array = content.bytes();
            let mut values = Vec::new();
            while let Some((1, item)) = next(&mut array) {
                values.extend(value(item.bytes()));
            }
            Read::List(values)
        }
        _ => return None,
    })
}

impl<'a> Reading<'a> {
    /// Reads one element of `ScopeSpans.spans`. `None` where it is none.
    #[must_use]
    pub fn of(mut payload: &'a [u8]) -> Option<Self> {
        let (2, span) = next(&mut payload)? else { return None };
        let mut span = span.bytes();
        let mut reading = Self {
            trace_id: TraceId([0; 16]),
            span_id: SpanId([0; 8]),
            parent: None,
            name: "",
            kind: 0,
            start: 0,
            end: 0,
            status: (0, ""),
            attributes: Vec::new(),
        };
        while let Some((number, content)) = next(&mut span) {
            match number {
                1 => reading.trace_id = TraceId(content.bytes().try_into().ok()?),
                2 => reading.span_id = SpanId(content.bytes().try_into().ok()?),
                4 => reading.parent = content.bytes().try_into().ok().map(SpanId),
                5 => reading.name = content.text(),
                6 => reading.kind = content.number(),
                7 => reading.start = content.number(),
                8 => reading.end = content.number(),
                9 => {
                    let mut pair = content.bytes();
                    if let (Some((1, key)), Some((2, any))) = (next(&mut pair), next(&mut pair))
                        && let Some(value) = value(any.bytes())
                    {
                        reading.attributes.push((key.text(), value));
                    }
                }
                15 => {
                    let mut status = content.bytes();
                    while let Some((number, content)) = next(&mut status) {
                        match number {
                            2 => reading.status.1 = content.text(),
                            3 => reading.status.0 = content.number(),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Some(reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::otlp::{SpanHead, Value, attribute, span};

    #[test]
    fn what_was_encoded_is_read_back() {
        let mut attributes = Vec::new();
        for (key, value) in [("s", Value::Str("é")), ("i", Value::Int(-3)), ("b", Value::Bool(true))] {
            attribute(&mut attributes, key, None, value);
        }
        attribute(&mut attributes, "d", None, Value::Double(0.5));
        attribute(&mut attributes, "l", None, Value::Strs(&["x".into(), "y".into()]));
        let head = SpanHead {
            trace_id: TraceId([1; 16]),
            span_id: SpanId([2; 8]),
            parent: Some(SpanId([3; 8])),
            name: "n",
            kind: 1,
            start: 5,
            end: 6,
            error: Some("bad"),
        };
        let payload = span(&head, &[&attributes]);
        let reading = Reading::of(&payload).unwrap();
        assert_eq!(
            (reading.trace_id, reading.span_id, reading.parent),
            (head.trace_id, head.span_id, head.parent)
        );
        assert_eq!((reading.name, reading.kind, reading.start, reading.end), ("n", 1, 5, 6));
        assert_eq!(reading.status, (2, "bad"));
        let list = Read::List(vec![Read::Str("x"), Read::Str("y")]);
        let wanted = [Read::Str("é"), Read::Int(-3), Read::Bool(true), Read::Double(0.5), list];
        assert_eq!(reading.attributes.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), wanted);
        assert!(Reading::of(b"garbage").is_none() && Reading::of(b"").is_none());
    }
}
