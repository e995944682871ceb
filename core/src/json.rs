//! JSON as far as what crosses a binding and what servers answer need it: a text is checked once and read in place, member
//! by member. Small, because WebAssembly is downloaded.

use std::borrow::Cow;

use crate::number;

/// What is nested deeper is not read.
const DEPTH: usize = 128;

/// A value, as it stands in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// A whole text; `None` where it is no JSON.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let mut reader = Reader { text, at: 0 };
        reader.space();
        let value = reader.value(DEPTH)?;
        reader.space();
        (reader.at == text.len()).then_some(value)
    }

    /// Its own bytes.
    pub(crate) fn get(self) -> &'a str {
        self.0
    }

    fn begins(self, with: u8) -> bool {
        self.0.as_bytes().first() == Some(&with)
    }

    /// True for `null`.
    pub(crate) fn is_null(self) -> bool {
        self.begins(b'n')
    }

    /// An object's members, in their order.
    pub(crate) fn members(self) -> Option<Vec<(Cow<'a, str>, Self)>> {
        let mut all = Vec::new();
        self.begins(b'{')
            .then(|| self.parts(&mut |name, value| all.push((name.unwrap_or_default(), value))))?;
        Some(all)
    }

    /// A list's elements.
    pub(crate) fn elements(self) -> Option<Vec<Self>> {
        let mut all = Vec::new();
        self.begins(b'[').then(|| self.parts(&mut |_, value| all.push(value)))?;
        Some(all)
    }

    fn parts(self, each: &mut dyn FnMut(Option<Cow<'a, str>>, Self)) {
        let _ = Reader { text: self.0, at: 0 }.parts(DEPTH, each);
    }

    /// A text.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        string(self.0)
    }

    /// A number.
    pub(crate) fn number(self) -> Option<f64> {
        self.is_number().then(|| number::parse(self.0))?
    }

    /// A whole number that 64 bits hold.
    pub(crate) fn whole(self) -> Option<i64> {
        self.0.parse().ok().filter(|_| self.is_number() && self.0 != "-0")
    }

    fn is_number(self) -> bool {
        self.0.bytes().next().is_some_and(|first| first == b'-' || first.is_ascii_digit())
    }

    /// `true` or `false`.
    pub(crate) fn flag(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A list of texts.
    pub(crate) fn texts(self) -> Option<Vec<String>> {
        self.elements()?.into_iter().map(|element| element.text().map(Cow::into_owned)).collect()
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Passes over a value.
    fn value(&mut self, depth: usize) -> Option<Json<'a>> {
        let start = self.at;
        match self.peek()? {
            b'"' => drop(self.string()?),
            b'{' | b'[' => self.parts(depth.checked_sub(1)?, &mut |_, _| {})?,
            _ => {
                while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
                    self.at += 1;
                }
                let word = Json(self.text.get(start..self.at)?);
                if !matches!(word.0, "true" | "false" | "null") {
                    word.number()?;
                }
            }
        }
        Some(Json(self.text.get(start..self.at)?))
    }

    /// Passes over a text with its quotes; true where it holds escapes.
    fn string(&mut self) -> Option<bool> {
        let mut escaped = false;
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 1;
                }
                0..=0x1f => return None,
                _ => {}
            }
            self.at += 1;
        }
        self.at += 1;
        Some(escaped)
    }

    /// Passes over an object or a list.
    fn parts(&mut self, depth: usize, each: &mut dyn FnMut(Option<Cow<'a, str>>, Json<'a>)) -> Option<()> {
        let end = if self.take(b'{') { b'}' } else { b']' };
        if end == b']' {
            self.at += 1;
        }
        self.space();
        if self.take(end) {
            return Some(());
        }
        loop {
            self.space();
            let name = if end == b'}' {
                let start = self.at;
                if self.peek() != Some(b'"') {
                    return None;
                }
                self.string()?;
                let name = string(self.text.get(start..self.at)?)?;
                self.space();
                if !self.take(b':') {
                    return None;
                }
                self.space();
                Some(name)
            } else {
                None
            };
            each(name, self.value(depth)?);
            self.space();
            if self.take(end) {
                return Some(());
            }
            if !self.take(b',') {
                return None;
            }
        }
    }
}

/// A text without its quotes and escapes; `None` for anything else.
pub(crate) fn string(json: &str) -> Option<Cow<'_, str>> {
    let mut reader = Reader { text: json, at: 0 };
    if reader.peek() != Some(b'"') {
        return None;
    }
    let escaped = reader.string()?;
    let inner = json.get(1..reader.at - 1).filter(|_| reader.at == json.len())?;
    if !escaped {
        return Some(Cow::Borrowed(inner));
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let kind = *after.as_bytes().first()?;
        rest = after.get(1..)?;
        out.push(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = unit(&mut rest)?;
                let mut code = high;
                if (0xd800..0xdc00).contains(&high) {
                    rest = rest.strip_prefix("\\u")?;
                    let low = unit(&mut rest)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    code = 0x10000 + ((high - 0xd800) << 10) + low;
                }
                // Half of a pair is no character.
                char::from_u32(code)?
            }
            _ => return None,
        });
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

fn unit(rest: &mut &str) -> Option<u32> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
}

/// Where JSON is written.
pub(crate) trait Written {
    fn put(&mut self, text: &str);
    fn make_room(&mut self, bytes: usize);
}

impl Written for String {
    fn put(&mut self, text: &str) {
        self.push_str(text);
    }

    fn make_room(&mut self, bytes: usize) {
        self.reserve(bytes);
    }
}

impl Written for Vec<u8> {
    fn put(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }

    fn make_room(&mut self, bytes: usize) {
        self.reserve(bytes);
    }
}

/// Appends a text with quotes and escapes, as `serde_json` writes it.
pub(crate) fn quote(out: &mut impl Written, text: &str) {
    const CONTROLS: [&str; 32] = [
        "\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007", "\\b", "\\t",
        "\\n", "\\u000b", "\\f", "\\r", "\\u000e", "\\u000f", "\\u0010", "\\u0011", "\\u0012", "\\u0013",
        "\\u0014", "\\u0015", "\\u0016", "\\u0017", "\\u0018", "\\u0019", "\\u001a", "\\u001b", "\\u001c",
        "\\u001d", "\\u001e", "\\u001f",
    ];
    out.make_room(text.len() + 2);
    out.put("\"");
    let mut rest = text;
    while let Some((plain, tail)) = first_special(rest.as_bytes()).and_then(|at| rest.split_at_checked(at)) {
        out.put(plain);
        let (Some(&special), Some(after)) = (tail.as_bytes().first(), tail.get(1..)) else { break };
        out.put(match special {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            control => CONTROLS.get(usize::from(control)).copied().unwrap_or_default(),
        });
        rest = after;
    }
    out.put(rest);
    out.put("\"");
}

/// Where the first byte stands that JSON's texts do not hold as it is.
fn first_special(bytes: &[u8]) -> Option<usize> {
    const fn special(byte: u8) -> bool {
        (byte < 0x20) | (byte == b'"') | (byte == b'\\')
    }
    // Without a way out of the middle a block is looked at in a few vector instructions.
    let (blocks, _) = bytes.as_chunks::<16>();
    let clean = blocks.iter().take_while(|block| !block.iter().fold(false, |any, &byte| any | special(byte)));
    let from = clean.count() * 16;
    bytes.get(from..)?.iter().position(|&byte| special(byte)).map(|at| from + at)
}

/// A caller's text as it may stand in a message: in quotes and on one line.
pub(crate) fn shown(text: &str) -> String {
    let mut out = Vec::new();
    quote(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

/// An object or a list that is being written.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// What goes before a value: a comma where there is one before it, and its name where it has one.
    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !matches!(self.0.last(), None | Some(b'{' | b'[' | b':')) {
            self.0.push(b',');
        }
        if !name.is_empty() {
            quote(&mut self.0, name);
            self.0.push(b':');
        }
        &mut self.0
    }

    /// Begins an object (`{`) or a list (`[`), without a name inside of a list.
    pub(crate) fn begin(&mut self, name: &str, bracket: u8) -> &mut Self {
        self.name(name).push(bracket);
        self
    }

    pub(crate) fn end(&mut self, bracket: u8) -> &mut Self {
        self.0.push(bracket);
        self
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        quote(self.name(name), text);
        self
    }

    /// JSON as it is; `null` where it is empty.
    pub(crate) fn raw(&mut self, name: &str, json: &str) -> &mut Self {
        self.name(name).extend_from_slice(if json.is_empty() { "null" } else { json }.as_bytes());
        self
    }

    /// A text, or `null`.
    pub(crate) fn maybe(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.raw(name, ""),
        }
    }

    pub(crate) fn flag(&mut self, name: &str, flag: bool) -> &mut Self {
        self.raw(name, if flag { "true" } else { "false" })
    }

    pub(crate) fn whole(&mut self, name: &str, number: u64) -> &mut Self {
        self.raw(name, number::Digits::of(number).as_str())
    }

    /// A finite number.
    pub(crate) fn number(&mut self, name: &str, number: f64) -> &mut Self {
        self.raw(name, &number::text(number))
    }

    pub(crate) fn finish(self) -> String {
        // It is made of texts.
        String::from_utf8(self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_json_is_refused() {
        for bad in [
            "",
            " ",
            "{",
            "}",
            "{]",
            "[}",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "[1 2]",
            "tru",
            "nulll",
            "1x",
            "--1",
            "+1",
            "\"",
            "\"a",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"\n\"",
            "{} {}",
            "infinity",
            "NaN",
            "\"\\u+123\"",
        ] {
            let read = Json::read(bad);
            assert!(read.is_none_or(|json| json.text().is_none() && json.get().starts_with('"')), "{bad:?}");
            assert!(serde_json::from_str::<serde_json::Value>(bad).is_err(), "{bad:?}");
        }
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Json::read(&deep(128)).is_some() && Json::read(&deep(100_000)).is_none());
    }

    #[test]
    fn members_and_elements_are_read_in_place() {
        let json = Json::read(
            " {\"a\" : [1, -2.5e3 ,\"x\\ty\"], \"\\u00e9\\ud83d\\ude00\":null,\"b\":true,\"z\":{}} ",
        )
        .unwrap();
        let members = json.members().unwrap();
        let names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["a", "é😀", "b", "z"]);
        let elements = members[0].1.elements().unwrap();
        assert_eq!((elements[0].whole(), elements[0].number()), (Some(1), Some(1.0)));
        assert_eq!((elements[1].whole(), elements[1].number()), (None, Some(-2500.0)));
        assert_eq!(elements[2].text().as_deref(), Some("x\ty"));
        assert!(members[1].1.is_null() && members[2].1.flag() == Some(true));
        assert_eq!(members[3].1.members(), Some(Vec::new()));
        assert!(json.elements().is_none() && json.text().is_none() && json.number().is_none());
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut out = Writer::new();
        out.begin("", b'{')
            .text("a\n", "\u{1}\"\\")
            .whole("n", 12)
            .number("f", 0.5)
            .maybe("no", None)
            .flag("t", true);
        out.begin("l", b'[').text("", "x").text("", "y").begin("", b'{').end(b'}').end(b']').end(b'}');
        let text = out.finish();
        assert_eq!(text, r#"{"a\n":"\u0001\"\\","n":12,"f":0.5,"no":null,"t":true,"l":["x","y",{}]}"#);
        assert!(Json::read(&text).is_some());
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                prop::collection::vec((any::<String>(), inner), 0..8)
                    .prop_map(|all| serde_json::Value::Object(all.into_iter().collect())),
            ]
        })
    }

    fn same(json: Json<'_>, value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::Null => json.is_null(),
            serde_json::Value::Bool(flag) => json.flag() == Some(*flag),
            serde_json::Value::Number(number) => {
                json.number() == number.as_f64() && json.whole() == number.as_i64()
            }
            serde_json::Value::String(text) => json.text().as_deref() == Some(text),
            serde_json::Value::Array(all) => {
                let elements = json.elements().unwrap();
                elements.len() == all.len()
                    && elements.into_iter().zip(all).all(|(json, value)| same(json, value))
            }
            serde_json::Value::Object(all) => {
                let members = json.members().unwrap();
                members.len() == all.len() && members.into_iter().all(|(name, json)| same(json, &all[&*name]))
            }
        }
    }

    #[test]
    fn strings_are_escaped_as_serde_does() {
        let every = (0..=0x80u32).filter_map(char::from_u32).chain(['é', '\u{2028}', '😀']);
        // Each at each place of a block, and after it.
        for special in every {
            for at in 0..40 {
                let text = format!("{}{special}é and {special}{special} more", "x".repeat(at));
                let mut out = String::from("before");
                quote(&mut out, &text);
                assert_eq!(out.strip_prefix("before"), serde_json::to_string(&text).ok().as_deref());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn reads_what_others_write(value in any_json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert!(same(Json::read(&text).unwrap(), &value), "{text}");
        }

        #[test]
        fn writes_texts_as_others_do(text in any::<String>()) {
            let mut out = Vec::new();
            quote(&mut out, &text);
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn never_panics(text in "[\\[\\]{}\",:\\\\u0-9a-e \\-.]{0,24}") {
            if let Some(json) = Json::read(&text) {
                let _ = (json.members(), json.elements(), json.text(), json.number(), json.whole());
            }
            let _ = string(&text);
        }
    }
}
