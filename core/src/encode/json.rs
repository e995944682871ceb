//! JSON that a caller has encoded already, looked into without being read whole: members keep their own bytes, so that
//! nothing is rounded or reordered on its way into another shape.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Larger texts are not looked into: they are sent as they are.
pub(crate) const LOOKED_INTO: usize = 1 << 20;
/// Elements of a list, or members of an object, that are looked at.
pub(crate) const MAX_MEMBERS: usize = 1024;

/// An object's members, in their order. Of members with the same name the last one stays.
#[derive(Debug, Default)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Reads an object; `None` for anything else.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        if text.len() > LOOKED_INTO || !text.trim_start().starts_with('{') {
            return None;
        }
        serde_json::from_str(text).ok()
    }

    pub(crate) fn of(raw: &'a RawValue) -> Option<Self> {
        Self::read(raw.get())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| *value)
            .filter(|raw| raw.get() != "null")
    }

    /// The first of these names that there is.
    pub(crate) fn first(&self, names: &[&str]) -> Option<(usize, &'a RawValue)> {
        names.iter().enumerate().find_map(|(at, name)| Some((at, self.get(name)?)))
    }

    /// A member that is text.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        string(self.get(name)?)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    if let Some((_, value)) = members.iter_mut().find(|(other, _)| *other == name) {
                        *value = map.next_value()?;
                    } else if members.len() < MAX_MEMBERS {
                        members.push((name, map.next_value()?));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Self)
    }
}

/// A name that is borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Text).map(Self)
    }
}

/// A list's elements; `None` for anything else, and for lists that are too long to be looked at.
pub(crate) fn list(text: &str) -> Option<Vec<&RawValue>> {
    if text.len() > LOOKED_INTO || !text.trim_start().starts_with('[') {
        return None;
    }
    serde_json::from_str::<Vec<&RawValue>>(text).ok().filter(|elements| elements.len() <= MAX_MEMBERS)
}

/// A text without its quotes and escapes; `None` for anything else.
pub(crate) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    if !raw.get().starts_with('"') {
        return None;
    }
    serde_json::from_str::<Name<'_>>(raw.get()).ok().map(|Name(text)| text)
}

/// A text as it is, anything else as JSON.
pub(crate) fn plain(raw: &RawValue) -> Cow<'_, str> {
    string(raw).unwrap_or(Cow::Borrowed(raw.get()))
}

/// A whole number.
pub(crate) fn whole(raw: &RawValue) -> Option<i64> {
    let text = raw.get();
    text.parse().ok().or_else(|| {
        let number = text.parse::<f64>().ok()?;
        #[allow(clippy::cast_possible_truncation)]
        (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
    })
}

/// A finite number.
pub(crate) fn number(raw: &RawValue) -> Option<f64> {
    raw.get().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Whether a text is a JSON object or list.
pub(crate) fn is_structure(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_own_bytes() {
        let object =
            Object::read(r#" {"a":1.50,"b":{"z":1,"y":[2]},"\u00e9":"x\n","n":null,"a":9007199254740993} "#)
                .unwrap();
        assert_eq!(object.get("a").unwrap().get(), "9007199254740993");
        assert_eq!(object.get("b").unwrap().get(), r#"{"z":1,"y":[2]}"#);
        assert_eq!(object.text("é").unwrap(), "x\n");
        assert!(object.get("n").is_none());
        assert_eq!(object.members().count(), 4);
        assert!(Object::read("[1]").is_none() && Object::read("{").is_none());
    }

    #[test]
    fn what_is_large_or_broken_is_not_looked_into() {
        assert_eq!(list("[1,2]").unwrap().len(), 2);
        assert!(list("[1,2").is_none() && list("{}").is_none());
        assert!(list(&format!("[{}0]", "0,".repeat(MAX_MEMBERS))).is_none());
        assert!(list(&format!("[\"{}\"]", "x".repeat(LOOKED_INTO))).is_none());
        assert!(is_structure("{\"a\":[]}") && !is_structure("[x]") && !is_structure("3"));
        let deep = "[".repeat(100_000);
        assert!(list(&deep).is_none());
    }

    #[test]
    fn numbers_are_read_as_such() {
        let whole = |text: &str| whole(&RawValue::from_string(text.into()).unwrap());
        assert_eq!(
            (whole("12"), whole("12.0"), whole("1.5"), whole("\"1\"")),
            (Some(12), Some(12), None, None)
        );
    }
}
