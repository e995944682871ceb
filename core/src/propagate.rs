//! Trace-level attributes that every observation inside a scope carries: user, session, tags, trace name, metadata,
//! version, environment, prompt. Servers have no trace record; they read these from the observations.

use crate::attr::{Field, check_environment};

/// Longest value that is propagated, in characters: a rule of the Langfuse SDKs.
const MAX_CHARS: usize = 200;

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

/// What a scope propagates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Propagated {
    pub(crate) fields: Vec<(Field, Propagation)>,
    pub(crate) metadata: Vec<(String, Propagation)>,
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

    fn put(&mut self, field: Field, value: Propagation) {
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
            return Err(format!("{name} is longer than {MAX_CHARS} characters; it is not propagated"));
        }
        if field == Field::Environment {
            check_environment(value).map_err(|problem| format!("{problem}; it is not propagated"))?;
        }
        self.put(field, Propagation::Str(value.to_owned()));
        Ok(())
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
            return Err(format!(
                "{dropped} tags are longer than {MAX_CHARS} characters; they are not propagated"
            ));
        }
        Ok(())
    }

    fn put_tags(&mut self, tags: Vec<String>) {
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
                self.fields.push((Field::TraceTags, Propagation::Strs(Vec::with_capacity(tags.len()))));
                self.put_tags(tags);
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
            return Err(format!(
                "metadata {key:?} is longer than {MAX_CHARS} characters; it is not propagated"
            ));
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
    fn what_servers_would_not_take_is_told() {
        let mut scope = Propagated::default();
        assert!(scope.set(Field::SessionId, &"x".repeat(201)).is_err());
        assert!(scope.set(Field::Environment, "PROD").is_err());
        assert!(scope.add_tags(vec!["y".repeat(201), "ok".into()]).is_err());
        assert_eq!(scope.get(Field::TraceTags), Some(&Propagation::Strs(vec!["ok".into()])));
    }
}
