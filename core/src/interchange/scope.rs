//! What a scope propagates, as JSON from the caller and as the beginning of every record inside the scope.

use super::members::Members;
use super::record::{END, METADATA, Rest, TRACE_METADATA, field, letter};
use crate::attr::Field;
use crate::encode::otlp::Value;
use crate::full::FULL;
use crate::json::{Writer, shown};
use crate::number::{self, Digits};
use crate::propagate::{Propagated, Propagation};

/// What holds inside a scope that is said inside another one: JSON `{"record": ..., "problems": [...]}`.
#[must_use]
pub(super) fn propagate(outer: &str, said: &str) -> String {
    let mut problems = Vec::new();
    let mut own = Propagated::default();
    match Members::read(said) {
        Ok(said) => tell(said, &mut own, &mut problems),
        Err(error) => {
            problems.push(["propagateAttributes: ", &error, "; nothing of it is propagated"].concat())
        }
    }
    let all = own.within(&read(outer));
    let mut out = Writer::new();
    out.begin("", b'{').text("record", &write(&all)).begin("problems", b'[');
    for problem in &problems {
        out.text("", problem);
    }
    out.end(b']').end(b'}');
    out.finish()
}

/// What a scope says as baggage, not yet percent-encoded: a JSON object.
#[must_use]
pub(super) fn baggage(record: &str) -> String {
    let mut all = read(record);
    all.to_baggage();
    let mut out = Writer::new();
    out.begin("", b'{');
    for (name, value) in all.baggage() {
        out.text(name, value);
    }
    out.end(b'}');
    out.finish()
}

/// What a caller says; entries of an incoming `baggage` header first, so that what is said beside them wins.
fn tell(mut said: Members<'_>, own: &mut Propagated, problems: &mut Vec<String>) {
    let mut told = |outcome: Result<(), String>| problems.extend(outcome.err());
    if FULL.is_some() {
        for (name, value) in said.texts("baggage").unwrap_or_default() {
            told(own.add_baggage(&name, &value));
        }
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
            if !value.is_null() {
                told(own.add_metadata(key, Propagation::of(value)));
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
            None => told(Err(["there is no attribute ", &shown(&key), "; it is not propagated"].concat())),
        }
    }
    for problem in said.problems {
        told(Err(["propagateAttributes: ", &problem, "; it is not propagated"].concat()));
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
    match value {
        Propagation::Str(text) if text.contains(END) => {
            out.push('\'');
            out.push_str(&shown(text));
        }
        Propagation::Str(text) => {
            out.push('"');
            out.push_str(text);
        }
        Propagation::Int(number) => {
            out.push('#');
            out.push_str(&number::signed(*number));
        }
        Propagation::Double(number) => {
            out.push('#');
            out.push_str(&if number.is_finite() { number::double(*number) } else { number::text(*number) });
        }
        Propagation::Bool(flag) => return out.push(if *flag { 't' } else { 'f' }),
        Propagation::Strs(texts) => {
            out.push('[');
            out.push_str(Digits::of(texts.len() as u64).as_str());
            for text in texts {
                out.push(END);
                out.push_str(&text.replace(END, " "));
            }
        }
    }
    out.push(END);
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
