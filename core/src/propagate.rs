//! Trace-level attributes that every observation inside a scope carries: user, session, tags, trace name, metadata,
//! version, environment, prompt. Servers have no trace record; they read these from the observations.

use crate::attr::{Field, check_environment};
use crate::encode::otlp::Value;
use crate::json::{Json, Writer, shown};
use crate::number::{self, Digits};

/// Longest value that is propagated, in characters: a rule of the Langfuse SDKs.
const MAX_CHARS: usize = 200;

/// What the names of our entries in the `baggage` header begin with, as in the Langfuse SDKs.
pub const BAGGAGE_PREFIX: &str = "langfuse_";

/// The rest of the names.
const BAGGAGE: [(&str, Field); 8] = [
    ("user_id", Field::UserId),
    ("session_id", Field::SessionId),
    ("version", Field::Version),
    ("tags", Field::TraceTags),
    ("trace_name", Field::TraceName),
    ("environment", Field::Environment),
    ("prompt_name", Field::PromptName),
    ("prompt_version", Field::PromptVersion),
];

/// Metadata as it was before it became baggage: the newest SDKs send JSON, older ones bare text.
fn scalar(text: &str) -> Propagation {
    Json::read(text).map_or_else(|| Propagation::Str(text.to_owned()), Propagation::of)
}

/// Tags: a JSON list, or what the Langfuse SDK for Python makes of its own (`['a', 'b']`).
fn list(text: &str) -> Vec<String> {
    if let Some(tags) = Json::read(text).and_then(Json::texts) {
        return tags;
    }
    let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) else {
        return vec![text.to_owned()];
    };
    let tags = inner.split(',').map(|tag| tag.trim().trim_matches(['\'', '"']).to_owned());
    tags.filter(|tag| !tag.is_empty()).collect()
}

/// An owned attribute value.
#[derive(Clone, Debug, PartialEq)]
pub enum Propagation {
    /// Text.
    Str(String),
    /// An integer.
    Int(i64),
    /// A number.
    Double(f64),
    /// A boolean.
    Bool(bool),
    /// Text values.
    Strs(Vec<String>),
}

impl Propagation {
    /// A scalar as it is; anything else as its JSON text.
    pub(crate) fn of(json: Json<'_>) -> Self {
        match (json.text(), json.flag(), json.whole(), json.number()) {
            (Some(text), ..) => Self::Str(text.into_owned()),
            (_, Some(flag), ..) => Self::Bool(flag),
            (_, _, Some(number), _) => Self::Int(number),
            (.., Some(number)) => Self::Double(number),
            _ => Self::Str(json.get().to_owned()),
        }
    }

    /// As it is encoded.
    #[must_use]
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Str(text) => Value::Str(text),
            Self::Int(number) => Value::Int(*number),
            Self::Double(number) => Value::Double(*number),
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Strs(texts) => Value::Strs(texts),
        }
    }
}

/// What a scope propagates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Propagated {
    pub(crate) fields: Vec<(Field, Propagation)>,
    pub(crate) metadata: Vec<(String, Propagation)>,
    /// What also leaves the process, in the `baggage` header; see [`Propagated::to_baggage`].
    baggage: Vec<(String, String)>,
}

impl Propagated {
    /// What holds inside a scope of this inside another one: text replaces, tags and metadata add.
    #[must_use]
    pub fn within(&self, outer: &Self) -> Self {
        let mut all = outer.clone();
        for (field, value) in &self.fields {
            match value {
                Propagation::Strs(tags) => all.put_tags(tags.clone()),
                value => all.put(*field, value.clone()),
            }
        }
        for (key, value) in &self.metadata {
            all.metadata.retain(|(other, _)| other != key);
            all.metadata.push((key.clone(), value.clone()));
        }
        all
    }

    /// Puts everything that `other` says over what is said here.
    pub fn overlay(&mut self, other: &Self) {
        for (field, value) in &other.fields {
            self.put(*field, value.clone());
        }
        for (key, value) in &other.metadata {
            self.metadata.retain(|(mine, _)| mine != key);
            self.metadata.push((key.clone(), value.clone()));
        }
        self.baggage.clone_from(&other.baggage);
    }

    /// True where nothing is propagated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.metadata.is_empty()
    }

    /// What is propagated under this field.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&Propagation> {
        self.fields.iter().find(|(other, _)| *other == field).map(|(_, value)| value)
    }

    /// What is propagated, in the order in which it was said.
    pub fn fields(&self) -> impl Iterator<Item = (Field, &Propagation)> {
        self.fields.iter().map(|(field, value)| (*field, value))
    }

    /// The metadata that is propagated.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &Propagation)> {
        self.metadata.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Entries for the `baggage` header (W3C Baggage), not yet percent-encoded.
    #[must_use]
    pub fn baggage(&self) -> &[(String, String)] {
        &self.baggage
    }

    /// Says that everything propagated so far also leaves the process, as baggage under the names and in the forms that
    /// the Langfuse SDKs use (`langfuse_user_id`, ..., metadata as JSON).
    pub fn to_baggage(&mut self) {
        let json = |value: &Propagation| match value {
            Propagation::Str(text) => shown(text),
            Propagation::Int(number) => number::signed(*number),
            Propagation::Double(number) => number::double(*number),
            Propagation::Bool(flag) => (if *flag { "true" } else { "false" }).to_owned(),
            Propagation::Strs(texts) => {
                let mut out = Writer::new();
                out.begin("", b'[');
                for text in texts {
                    out.text("", text);
                }
                out.end(b']');
                out.finish()
            }
        };
        let fields = self.fields.iter().filter_map(|(field, value)| {
            let name = BAGGAGE.iter().find(|(_, other)| other == field)?.0;
            let text = if let Propagation::Str(text) = value { text.clone() } else { json(value) };
            Some(([BAGGAGE_PREFIX, name].concat(), text))
        });
        let metadata = self.metadata.iter();
        let metadata =
            metadata.map(|(key, value)| ([BAGGAGE_PREFIX, "metadata_", key].concat(), json(value)));
        self.baggage = fields.chain(metadata).collect();
    }

    /// Takes an entry of the `baggage` header, percent-decoded. Other software's entries are ignored.
    ///
    /// # Errors
    ///
    /// What [`Propagated::set`] and its kin refuse.
    pub fn add_baggage(&mut self, name: &str, value: &str) -> Result<(), String> {
        let Some(name) = name.strip_prefix(BAGGAGE_PREFIX).filter(|name| *name != "trace_id") else {
            return Ok(());
        };
        if let Some(key) = name.strip_prefix("metadata_") {
            return self.add_metadata(key, scalar(value));
        }
        match BAGGAGE.iter().find(|(other, _)| *other == name) {
            Some((_, Field::TraceTags)) => self.add_tags(list(value)),
            Some((_, Field::PromptVersion)) => {
                if let Ok(version) = value.parse() {
                    self.put(Field::PromptVersion, Propagation::Int(version));
                }
                Ok(())
            }
            Some((_, field)) => self.set(*field, value),
            None => self.add_metadata(name, Propagation::Str(value.to_owned())),
        }
    }

    pub(crate) fn put(&mut self, field: Field, value: Propagation) {
        self.fields.retain(|(other, _)| *other != field);
        self.fields.push((field, value));
    }

    /// Sets a text field; the inner scope's value replaces the outer's.
    ///
    /// # Errors
    ///
    /// Over 200 characters, or an environment that servers do not take: the value is not propagated.
    pub fn set(&mut self, field: Field, value: &str) -> Result<(), String> {
        let name = field.key();
        if long(value) {
            return Err([name, " is longer than 200 characters; it is not propagated"].concat());
        }
        if field == Field::Environment {
            check_environment(value).map_err(|problem| problem + "; it is not propagated")?;
        }
        self.put(field, Propagation::Str(value.to_owned()));
        Ok(())
    }

    /// Sets a field that the SDK itself writes, such as those of an experiment: taken as it is, of any length.
    pub fn set_internal(&mut self, field: Field, value: &str) {
        self.put(field, Propagation::Str(value.to_owned()));
    }

    /// Links observations to a prompt's version.
    ///
    /// # Errors
    ///
    /// A name over 200 characters.
    pub fn set_prompt(&mut self, name: &str, version: i64) -> Result<(), String> {
        self.set(Field::PromptName, name)?;
        self.put(Field::PromptVersion, Propagation::Int(version));
        Ok(())
    }

    /// Adds tags.
    ///
    /// # Errors
    ///
    /// Names how many are over 200 characters; the others are propagated.
    pub fn add_tags(&mut self, mut tags: Vec<String>) -> Result<(), String> {
        let given = tags.len();
        tags.retain(|tag| !long(tag));
        let dropped = given - tags.len();
        self.put_tags(tags);
        if dropped > 0 {
            let dropped = Digits::of(dropped as u64);
            return Err(
                [dropped.as_str(), " tags are longer than 200 characters; they are not propagated"].concat()
            );
        }
        Ok(())
    }

    fn put_tags(&mut self, mut tags: Vec<String>) {
        let held = self.fields.iter_mut().find_map(|(field, value)| match (field, value) {
            (Field::TraceTags, Propagation::Strs(tags)) => Some(tags),
            _ => None,
        });
        match held {
            Some(held) => {
                for tag in tags {
                    if !held.contains(&tag) {
                        held.push(tag);
                    }
                }
            }
            None if tags.is_empty() => {}
            None => {
                let mut at = 1;
                while at < tags.len() {
                    if tags[..at].contains(&tags[at]) {
                        tags.remove(at);
                    } else {
                        at += 1;
                    }
                }
                self.fields.push((Field::TraceTags, Propagation::Strs(tags)));
            }
        }
    }

    /// Adds a metadata key, or replaces its value.
    ///
    /// # Errors
    ///
    /// A value over 200 characters.
    pub fn add_metadata(&mut self, key: &str, value: Propagation) -> Result<(), String> {
        if matches!(&value, Propagation::Str(text) if long(text)) {
            let key: String = key.chars().take(60).collect();
            let key = shown(&key);
            return Err(["metadata ", &key, " is longer than 200 characters; it is not propagated"].concat());
        }
        self.metadata.retain(|(other, _)| other != key);
        self.metadata.push((key.to_owned(), value));
        Ok(())
    }
}

/// Whether a text has more characters than are propagated.
fn long(text: &str) -> bool {
    text.len() > MAX_CHARS && text.chars().count() > MAX_CHARS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_scopes_replace_text_and_add_tags_and_metadata() {
        let mut outer = Propagated::default();
        outer.set(Field::UserId, "u1").unwrap();
        outer.add_tags(vec!["a".into()]).unwrap();
        outer.add_metadata("k", Propagation::Int(1)).unwrap();
        let mut own = Propagated::default();
        own.set(Field::UserId, "u2").unwrap();
        own.add_tags(vec!["b".into(), "a".into(), "b".into()]).unwrap();
        own.add_metadata("l", Propagation::Bool(true)).unwrap();
        let inner = own.within(&outer);
        assert_eq!(inner.get(Field::UserId), Some(&Propagation::Str("u2".into())));
        assert_eq!(inner.get(Field::TraceTags), Some(&Propagation::Strs(vec!["a".into(), "b".into()])));
        assert_eq!(inner.metadata.len(), 2);
        assert_eq!(outer.metadata.len(), 1);
    }

    #[test]
    fn baggage_comes_back_as_it_was_said() {
        let mut said = Propagated::default();
        said.set(Field::UserId, "u 1").unwrap();
        said.add_tags(vec!["a".into(), "b,c".into()]).unwrap();
        said.set_prompt("p", 3).unwrap();
        for value in [Propagation::Str("12".into()), Propagation::Int(12), Propagation::Bool(true)] {
            said.add_metadata("k", value.clone()).unwrap();
            said.to_baggage();
            let mut read = Propagated::default();
            for (name, text) in said.baggage() {
                read.add_baggage(name, text).unwrap();
            }
            read.to_baggage();
            assert_eq!(read.get(Field::UserId), said.get(Field::UserId));
            assert_eq!(read.get(Field::TraceTags), said.get(Field::TraceTags));
            assert_eq!(read.get(Field::PromptVersion), Some(&Propagation::Int(3)));
            assert_eq!(read.metadata, [("k".to_owned(), value)]);
        }
        let mut read = Propagated::default();
        read.add_baggage("langfuse_tags", "['t1', 't2']").unwrap();
        read.add_baggage("langfuse_metadata_bare", "acme").unwrap();
        read.add_baggage("other", "x").unwrap();
        assert!(read.add_baggage("langfuse_environment", "NOT GOOD").is_err());
        assert_eq!(read.get(Field::TraceTags), Some(&Propagation::Strs(vec!["t1".into(), "t2".into()])));
        assert_eq!(read.metadata, [("bare".to_owned(), Propagation::Str("acme".into()))]);
    }

    #[test]
    fn what_servers_would_not_take_is_told() {
        let mut scope = Propagated::default();
        assert!(scope.set(Field::SessionId, &"x".repeat(201)).is_err());
        assert!(scope.set(Field::Environment, "PROD").is_err());
        assert!(scope.add_tags(vec!["y".repeat(201), "ok".into()]).is_err());
        assert_eq!(scope.get(Field::TraceTags), Some(&Propagation::Strs(vec!["ok".into()])));
    }
}
