//! What a scope propagates, as JSON from the caller and as the beginning of every record inside the scope.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use serde_json::value::RawValue;

use super::members::{Members, value};
use super::record::{END, METADATA, Rest, TRACE_METADATA, field, letter};
use crate::attr::Field;
use crate::encode::otlp::Value;
use crate::propagate::{Propagated, Propagation};

/// What comes of it.
#[derive(Serialize)]
struct Made {
    record: String,
    problems: Vec<String>,
}

/// What holds inside a scope that is said inside another one: JSON `{"record": ..., "problems": [...]}`.
#[must_use]
pub(super) fn propagate(outer: &str, said: &str) -> String {
    let mut problems = Vec::new();
    let mut own = Propagated::default();
    match Members::read(said) {
        Ok(said) => tell(said, &mut own, &mut problems),
        Err(error) => problems.push(format!("propagateAttributes: {error}; nothing of it is propagated")),
    }
    let all = own.within(&read(outer));
    serde_json::to_string(&Made { record: write(&all), problems }).unwrap_or_default()
}

/// What a scope says as baggage, not yet percent-encoded: a JSON object.
#[must_use]
pub(super) fn baggage(record: &str) -> String {
    let mut all = read(record);
    all.to_baggage();
    let entries: BTreeMap<&str, &str> =
        all.baggage().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    serde_json::to_string(&entries).unwrap_or_default()
}

/// What a caller says; entries of an incoming `baggage` header first, so that what is said beside them wins.
fn tell(mut said: Members<'_>, own: &mut Propagated, problems: &mut Vec<String>) {
    let mut told = |outcome: Result<(), String>| problems.extend(outcome.err());
    for (name, value) in said.texts("baggage").unwrap_or_default() {
        told(own.add_baggage(&name, &value));
    }
    let texts = [
        (Field::UserId, "user_id"),
        (Field::SessionId, "session_id"),
        (Field::Version, "version"),
        (Field::TraceName, "trace_name"),
        (Field::Environment, "environment"),
    ];
    for (field, name) in texts {
        if let Some(text) = said.text(name) {
            told(own.set(field, &text));
        }
    }
    if let Some(tags) = said.list("tags") {
        told(own.add_tags(tags));
    }
    if let Some(metadata) = said.inside("metadata") {
        for (key, value) in metadata.each() {
            if value.get() != "null" {
                told(own.add_metadata(key, scalar(value)));
            }
        }
    }
    if let Some(mut prompt) = said.inside("prompt") {
        match (prompt.text("name"), prompt.whole("version")) {
            (Some(name), Some(version)) => told(own.set_prompt(&name, version)),
            _ => told(Err("prompt has no name and version; it is not propagated".into())),
        }
    }
    // Of the SDK's own, by attribute key.
    for (key, value) in said.texts("experiment").unwrap_or_default() {
        match Field::parse(&key) {
            Some(field) => own.set_internal(field, &value),
            None => told(Err(format!("there is no attribute {key:?}; it is not propagated"))),
        }
    }
    for problem in said.problems {
        told(Err(format!("propagateAttributes: {problem}; it is not propagated")));
    }
}

/// A scalar as it is; anything else as its JSON text.
fn scalar(raw: &RawValue) -> Propagation {
    use serde_json::Value as Json;
    match value(raw) {
        Some(Json::String(text)) => Propagation::Str(text),
        Some(Json::Bool(flag)) => Propagation::Bool(flag),
        Some(Json::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Propagation::Int(number),
            (None, Some(number)) => Propagation::Double(number),
            (None, None) => Propagation::Str(number.to_string()),
        },
        _ => Propagation::Str(raw.get().to_owned()),
    }
}

fn write(all: &Propagated) -> String {
    let mut out = String::new();
    for (field, value) in all.fields() {
        if let Some(letter) = letter(field) {
            out.push(char::from(letter));
            write_value(&mut out, value);
        }
    }
    for (key, value) in all.metadata() {
        if key.contains(END) {
            continue;
        }
        out.push(char::from(TRACE_METADATA));
        out.push_str(key);
        out.push(END);
        write_value(&mut out, value);
    }
    out
}

fn write_value(out: &mut String, value: &Propagation) {
    // Writing into a text cannot fail.
    let _ = match value {
        Propagation::Str(text) if text.contains(END) => {
            write!(out, "'{}{END}", serde_json::Value::from(text.as_str()))
        }
        Propagation::Str(text) => write!(out, "\"{text}{END}"),
        Propagation::Int(number) => write!(out, "#{number}{END}"),
        Propagation::Double(number) => write!(out, "#{number:?}{END}"),
        Propagation::Bool(flag) => write!(out, "{}", if *flag { 't' } else { 'f' }),
        Propagation::Strs(texts) => {
            let texts: Vec<String> = texts.iter().map(|text| text.replace(END, " ")).collect();
            write!(
                out,
                "[{}{END}{}",
                texts.len(),
                texts.iter().fold(String::new(), |all, text| all + text + "\u{1f}")
            )
        }
    };
}

/// What a record's beginning says; nothing where it is none.
pub(super) fn read(record: &str) -> Propagated {
    let mut all = Propagated::default();
    let mut rest = Rest(record);
    let mut scratch = String::new();
    while let Some(letter) = rest.letter() {
        let key = match letter {
            TRACE_METADATA | METADATA => rest.text(),
            _ => Some(""),
        };
        let mut taken = None;
        let Some(key) = key else { break };
        if rest.value(&mut scratch, |value| taken = Some(owned(value))).is_none() {
            break;
        }
        match (letter, field(letter), taken) {
            (TRACE_METADATA, _, Some(value)) => drop(all.add_metadata(key, value)),
            (_, Some(field), Some(value)) => all.put(field, value),
            _ => {}
        }
    }
    all
}

fn owned(value: Value<'_>) -> Propagation {
    match value {
        Value::Str(text) => Propagation::Str(text.to_owned()),
        Value::Utf8(text) => Propagation::Str(String::from_utf8_lossy(text).into_owned()),
        Value::Int(number) => Propagation::Int(number),
        Value::Double(number) => Propagation::Double(number),
        Value::Bool(flag) => Propagation::Bool(flag),
        Value::Strs(texts) => Propagation::Strs(texts.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(outer: &str, said: &str) -> (String, Vec<String>) {
        let made: serde_json::Value = serde_json::from_str(&propagate(outer, said)).unwrap();
        let problems =
            made["problems"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
        (made["record"].as_str().unwrap().to_owned(), problems.collect())
    }

    #[test]
    fn an_inner_scope_replaces_text_and_adds_tags_and_metadata() {
        let (outer, problems) = made(
            "",
            r#"{"user_id":"u1","tags":["a"],"metadata":{"k":1,"half":0.5,"o":{"x":1}},"prompt":{"name":"p","version":3}}"#,
        );
        assert!(problems.is_empty());
        let (inner, _) = made(&outer, r#"{"user_id":"u2","tags":["b","a"],"metadata":{"l":true}}"#);
        let all = read(&inner);
        assert_eq!(all.get(Field::UserId), Some(&Propagation::Str("u2".into())));
        assert_eq!(all.get(Field::TraceTags), Some(&Propagation::Strs(vec!["a".into(), "b".into()])));
        assert_eq!(all.get(Field::PromptVersion), Some(&Propagation::Int(3)));
        let metadata: Vec<_> = all.metadata().collect();
        assert!(
            metadata.contains(&("k", &Propagation::Int(1)))
                && metadata.contains(&("l", &Propagation::Bool(true)))
        );
        assert!(metadata.contains(&("o", &Propagation::Str("{\"x\":1}".into()))));
        assert!(metadata.contains(&("half", &Propagation::Double(0.5))));
    }

    #[test]
    fn what_servers_would_not_take_is_told_and_what_ends_text_survives() {
        let (record, problems) =
            made("", &format!(r#"{{"user_id":"{}","session_id":"s\u001ft"}}"#, "x".repeat(201)));
        assert_eq!(problems.len(), 1);
        assert_eq!(read(&record).get(Field::SessionId), Some(&Propagation::Str("s\u{1f}t".into())));
        assert_eq!(made("", "[").1.len(), 1);
    }

    #[test]
    fn a_scope_becomes_baggage_and_comes_back() {
        let (record, _) = made("", r#"{"user_id":"u","tags":["a"]}"#);
        let baggage = baggage(&record);
        let (again, problems) = made("", &format!(r#"{{"baggage":{baggage}}}"#));
        assert!(problems.is_empty());
        for field in [Field::UserId, Field::TraceTags] {
            assert!(read(&record).get(field).is_some());
            assert_eq!(read(&record).get(field), read(&again).get(field));
        }
    }
}
