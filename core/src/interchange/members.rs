//! A JSON object, read member by member. Code that is derived for each kind of object is fast and large; what crosses here
//! is small and rare, and WebAssembly is downloaded.

use std::borrow::Cow;

use crate::json::Json;

/// What was said, and what was wrong with it. An absent member and `null` are the same; one of another type is told and
/// counts as absent. Of members with the same name the last one stays.
pub(super) struct Members<'a> {
    all: Vec<(Cow<'a, str>, Json<'a>)>,
    pub(super) problems: Vec<String>,
}

impl<'a> Members<'a> {
    /// # Errors
    ///
    /// Where the text is no object.
    pub(super) fn read(text: &'a str) -> Result<Self, String> {
        let all = Json::read(text).and_then(Json::members).ok_or("it is no JSON object")?;
        Ok(Self { all, problems: Vec::new() })
    }

    pub(super) fn nothing() -> Self {
        Self { all: Vec::new(), problems: Vec::new() }
    }

    pub(super) fn raw(&self, name: &str) -> Option<Json<'a>> {
        let found = self.all.iter().rev().find(|(other, _)| *other == name)?;
        Some(found.1).filter(|json| !json.is_null())
    }

    fn of<T>(&mut self, name: &str, kind: &str, value: Option<Option<T>>) -> Option<T> {
        if matches!(value, Some(None)) {
            self.problems.push([name, " is no ", kind].concat());
        }
        value?
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let value = self.raw(name).map(|json| json.text().map(Cow::into_owned));
        self.of(name, "text", value)
    }

    pub(super) fn number(&mut self, name: &str) -> Option<f64> {
        let value = self.raw(name).map(Json::number);
        self.of(name, "number", value)
    }

    pub(super) fn whole(&mut self, name: &str) -> Option<i64> {
        let value = self.raw(name).map(Json::whole);
        self.of(name, "whole number", value)
    }

    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.raw(name).map(Json::flag);
        self.of(name, "boolean", value)
    }

    /// An object of texts, by key.
    pub(super) fn texts(&mut self, name: &str) -> Option<Vec<(String, String)>> {
        let value = self.raw(name).map(|json| {
            let all = json.members()?.into_iter();
            all.map(|(key, value)| Some((key.into_owned(), value.text()?.into_owned()))).collect()
        });
        self.of(name, "object of texts", value)
    }

    /// A list of texts.
    pub(super) fn list(&mut self, name: &str) -> Option<Vec<String>> {
        let value = self.raw(name).map(Json::texts);
        self.of(name, "list of texts", value)
    }

    /// The members of an object inside.
    pub(super) fn inside(&mut self, name: &str) -> Option<Self> {
        let value = self.raw(name).map(|json| Some(Self { all: json.members()?, problems: Vec::new() }));
        self.of(name, "object", value)
    }

    /// All of them.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, Json<'a>)> {
        self.all.iter().map(|(name, json)| (&**name, *json))
    }
}
