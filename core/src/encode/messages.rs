//! Chat messages as OpenAI's and Anthropic's interfaces spell them, found in inputs and outputs.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::json::{self, Object};

/// Messages of one input or output.
#[derive(Debug, Default)]
pub(crate) struct Messages<'a> {
    pub(crate) list: Vec<Message<'a>>,
    /// Tool definitions that stood beside them.
    pub(crate) tools: Option<&'a RawValue>,
    /// True where the value holds more than this says.
    pub(crate) more: bool,
    /// The model that answered, where an answer says so.
    pub(crate) model: Option<Cow<'a, str>>,
    /// The answer's id.
    pub(crate) id: Option<Cow<'a, str>>,
}

/// One message.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) role: Cow<'a, str>,
    pub(crate) finish_reason: Option<Cow<'a, str>>,
    pub(crate) members: Object<'a>,
    /// Its own bytes.
    pub(crate) raw: &'a str,
}

/// A part of a message's content.
#[derive(Debug, PartialEq)]
pub(crate) enum Part<'a> {
    Text(Cow<'a, str>),
    Reasoning(Cow<'a, str>),
    /// An image's address or data URL.
    Image(Cow<'a, str>),
    ToolCall {
        id: Option<Cow<'a, str>>,
        name: Cow<'a, str>,
        /// JSON, or text that is none.
        arguments: Option<Cow<'a, str>>,
    },
    ToolResponse {
        id: Option<Cow<'a, str>>,
        response: &'a str,
    },
    /// Anything else, with its own bytes.
    Other(&'a str),
}

impl<'a> Messages<'a> {
    /// A list of messages, an object with a list named `messages`, or one message.
    pub(crate) fn of_input(text: &'a str) -> Option<Self> {
        if let Some(list) = json::list(text) {
            return Some(Self { list: messages(&list)?, ..Self::default() });
        }
        let object = Object::read(text)?;
        let Some(inner) = object.get("messages") else {
            return Some(Self { list: vec![Message::read(text)?], ..Self::default() });
        };
        Some(Self {
            list: messages(&json::list(inner.get())?)?,
            tools: object.get("tools").filter(|tools| tools.get().starts_with('[')),
            more: object.members().any(|(name, _)| name != "messages" && name != "tools"),
            ..Self::default()
        })
    }

    /// The same, and answers as OpenAI's (`choices`) and Anthropic's interfaces give them.
    pub(crate) fn of_output(text: &'a str) -> Option<Self> {
        let Some(object) = Object::read(text) else {
            return Self::of_input(text);
        };
        let Some(choices) = object.get("choices") else {
            let mut one = Self::of_input(text)?;
            (one.model, one.id) = (object.text("model"), object.text("id"));
            return Some(one);
        };
        let mut list = Vec::new();
        for choice in json::list(choices.get())? {
            let choice = Object::of(choice)?;
            let mut message = Message::read(choice.get("message")?.get())?;
            message.finish_reason = choice.text("finish_reason");
            list.push(message);
        }
        let told = ["choices", "model", "id"];
        Some(Self {
            more: object.members().any(|(name, _)| !told.contains(&name)),
            model: object.text("model"),
            id: object.text("id"),
            list,
            tools: None,
        })
        .filter(|messages| !messages.list.is_empty())
    }
}

fn messages<'a>(list: &[&'a RawValue]) -> Option<Vec<Message<'a>>> {
    if list.is_empty() {
        return None;
    }
    list.iter().map(|raw| Message::read(raw.get())).collect()
}

impl<'a> Message<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let members = Object::read(text)?;
        let role = members.text("role")?;
        if !["content", "parts", "tool_calls"].iter().any(|name| members.get(name).is_some()) {
            return None;
        }
        let finish_reason = members.text("finish_reason").or_else(|| members.text("stop_reason"));
        Some(Self { role, finish_reason, members, raw: text })
    }

    /// The content where it is one text.
    pub(crate) fn text(&self) -> Option<Cow<'a, str>> {
        self.members.text("content")
    }

    /// Content and tool calls, in their order.
    pub(crate) fn parts(&self) -> Vec<Part<'a>> {
        let mut parts = Vec::new();
        if let Some(content) = self.members.get("content") {
            if matches!(&*self.role, "tool" | "function") {
                parts.push(Part::ToolResponse {
                    id: self.members.text("tool_call_id"),
                    response: content.get(),
                });
            } else if let Some(text) = json::string(content) {
                parts.push(Part::Text(text));
            } else if let Some(list) = json::list(content.get()) {
                parts.extend(list.into_iter().map(part));
            } else {
                parts.push(Part::Other(content.get()));
            }
        }
        for call in
            self.members.get("tool_calls").and_then(|calls| json::list(calls.get())).unwrap_or_default()
        {
            parts.push(tool_call(call).unwrap_or(Part::Other(call.get())));
        }
        parts
    }
}

/// `{"id", "function": {"name", "arguments"}}`.
fn tool_call(raw: &RawValue) -> Option<Part<'_>> {
    let call = Object::of(raw)?;
    let function = Object::of(call.get("function")?)?;
    Some(Part::ToolCall {
        id: call.text("id"),
        name: function.text("name")?,
        arguments: function.get("arguments").map(json::plain),
    })
}

fn part(raw: &RawValue) -> Part<'_> {
    if let Some(text) = json::string(raw) {
        return Part::Text(text);
    }
    known(raw).unwrap_or(Part::Other(raw.get()))
}

fn known(raw: &RawValue) -> Option<Part<'_>> {
    let members = Object::of(raw)?;
    Some(match &*members.text("type")? {
        "text" | "input_text" | "output_text" => Part::Text(members.text("text")?),
        "thinking" => Part::Reasoning(members.text("thinking")?),
        "reasoning" => Part::Reasoning(members.text("text").or_else(|| members.text("content"))?),
        "image_url" => {
            let image = members.get("image_url")?;
            Part::Image(json::string(image).or_else(|| Object::of(image)?.text("url"))?)
        }
        "tool_use" => Part::ToolCall {
            id: members.text("id"),
            name: members.text("name")?,
            arguments: members.get("input").map(|input| Cow::Borrowed(input.get())),
        },
        "tool_result" => {
            Part::ToolResponse { id: members.text("tool_use_id"), response: members.get("content")?.get() }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_where_interfaces_put_them() {
        let list = r#"[{"role":"user","content":"hi"}]"#;
        assert_eq!(Messages::of_input(list).unwrap().list[0].text().unwrap(), "hi");
        let with_tools = format!(r#"{{"messages":{list},"tools":[{{"name":"t"}}],"seed":1}}"#);
        let found = Messages::of_input(&with_tools).unwrap();
        assert!(found.more && found.tools.is_some() && found.list.len() == 1);
        let answer = r#"{"id":"c-1","model":"gpt-4o-2024","choices":[{"finish_reason":"stop","message":{"role":"assistant","content":"yes"}}]}"#;
        let found = Messages::of_output(answer).unwrap();
        assert_eq!(
            (found.model.as_deref(), found.id.as_deref(), found.more),
            (Some("gpt-4o-2024"), Some("c-1"), false)
        );
        assert_eq!(found.list[0].finish_reason.as_deref(), Some("stop"));
        for other in [
            "hello",
            "[]",
            "[1,2]",
            r#"{"role":"x"}"#,
            r#"{"question":"?"}"#,
            r#"[{"role":"user","content":"a"},3]"#,
        ] {
            assert!(Messages::of_input(other).is_none(), "{other}");
        }
    }

    #[test]
    fn parts_keep_what_they_hold() {
        let text = r#"[{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"http://i"}},
            {"type":"tool_use","id":"1","name":"f","input":{"b":1,"a":2}},{"type":"odd","x":1},"b"],
            "tool_calls":[{"id":"2","type":"function","function":{"name":"g","arguments":"{\"q\": 1}"}},7]},
            {"role":"tool","tool_call_id":"2","content":"done"}]"#;
        let found = Messages::of_input(text).unwrap();
        let parts = found.list[0].parts();
        assert_eq!(parts.len(), 7);
        assert_eq!(parts[1], Part::Image("http://i".into()));
        assert!(
            matches!(&parts[2], Part::ToolCall { arguments: Some(json), .. } if json == r#"{"b":1,"a":2}"#)
        );
        assert_eq!(parts[3], Part::Other(r#"{"type":"odd","x":1}"#));
        assert!(matches!(&parts[5], Part::ToolCall { arguments: Some(json), .. } if json == "{\"q\": 1}"));
        assert_eq!(parts[6], Part::Other("7"));
        assert!(
            matches!(&found.list[1].parts()[0], Part::ToolResponse { id: Some(id), response } if id == "2" && *response == "\"done\"")
        );
    }
}
