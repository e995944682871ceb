//! A JSON object, read member by member. Code that is derived for each kind of object is fast and large; what crosses here
//! is small and rare, and WebAssembly is downloaded.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// What was said, and what was wrong with it. An absent member and `null` are the same; one of another type is told and
/// counts as absent.
pub(super) struct Members<'a> {
    all: BTreeMap<String, &'a RawValue>,
    pub(super) problems: Vec<String>,
}

impl<'a> Members<'a> {
    /// # Errors
    ///
    /// Where the text is no object.
    pub(super) fn read(text: &'a str) -> Result<Self, String> {
        let all = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(Self { all, problems: Vec::new() })
    }

    pub(super) fn nothing() -> Self {
        Self { all: BTreeMap::new(), problems: Vec::new() }
    }

    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.all.get(name).copied().filter(|raw| raw.get() != "null")
    }

    fn of<T>(&mut self, name: &str, kind: &str, take: impl FnOnce(Value) -> Option<T>) -> Option<T> {
        let raw = self.raw(name)?;
        let value = value(raw).and_then(take);
        if value.is_none() {
            self.problems.push(format!("{name} is no {kind}"));
        }
        value
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.of(name, "text", text)
    }

    pub(super) fn number(&mut self, name: &str) -> Option<f64> {
        self.of(name, "number", |value| value.as_f64())
    }

    pub(super) fn whole(&mut self, name: &str) -> Option<i64> {
        self.of(name, "whole number", |value| value.as_i64())
    }

    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.of(name, "boolean", |value| value.as_bool())
    }

    /// An object of texts, by key.
    pub(super) fn texts(&mut self, name: &str) -> Option<Vec<(String, String)>> {
        self.of(name, "object of texts", |value| match value {
            Value::Object(all) => {
                all.into_iter().map(|(key, value)| Some((key, text(value)?))).collect::<Option<Vec<_>>>()
            }
            _ => None,
        })
    }

    /// A list of texts.
    pub(super) fn list(&mut self, name: &str) -> Option<Vec<String>> {
        self.of(name, "list of texts", |value| match value {
            Value::Array(all) => all.into_iter().map(text).collect::<Option<Vec<_>>>(),
            _ => None,
        })
    }

    /// The members of an object inside.
    pub(super) fn inside(&mut self, name: &str) -> Option<Self> {
        let inside = Members::read(self.raw(name)?.get());
        if inside.is_err() {
            self.problems.push(format!("{name} is no object"));
        }
        inside.ok()
    }

    /// All of them.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.all.iter().map(|(name, raw)| (name.as_str(), *raw))
    }
}

/// Any value.
pub(super) fn value(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}
