//! What a generator yields, collected: text is joined, anything else makes a JSON list.

use pyo3::prelude::*;

use crate::value::{Captured, MAX_BYTES, Scratch, capture_text, quoted};

/// One item, encoded.
pub(crate) enum Piece {
    Text(String),
    Json(String),
}

/// Items so far.
#[derive(Default)]
pub(crate) struct Stream {
    /// All text, one after the other; JSON values with commas between once there was an item that is no text.
    joined: String,
    /// Where each text ends, while there is only text.
    ends: Vec<usize>,
    json: bool,
    items: usize,
    left_out: usize,
}

impl Stream {
    /// Encodes an item; runs the application's code.
    pub(crate) fn encode(item: &Bound<'_, PyAny>, scratch: &mut Scratch) -> PyResult<Piece> {
        scratch.clear();
        Ok(match capture_text(item, scratch)? {
            Captured::Text(text) => Piece::Text(text.to_owned()),
            Captured::Absent => Piece::Json("null".to_owned()),
            _ => Piece::Json(scratch.text().to_owned()),
        })
    }

    /// Adds an item; beyond what one value may take, items are only counted.
    pub(crate) fn add(&mut self, piece: &Piece) {
        let (Piece::Text(text) | Piece::Json(text)) = piece;
        if self.joined.len() + text.len() > MAX_BYTES {
            self.left_out += 1;
            return;
        }
        self.items += 1;
        match piece {
            Piece::Text(text) if !self.json => {
                self.joined.push_str(text);
                self.ends.push(self.joined.len());
            }
            Piece::Text(text) => self.push_json(&quoted(text)),
            Piece::Json(text) => {
                self.turn_to_json();
                self.push_json(text);
            }
        }
    }

    fn turn_to_json(&mut self) {
        if !self.json {
            self.json = true;
            let (texts, ends) = (std::mem::take(&mut self.joined), std::mem::take(&mut self.ends));
            let mut start = 0;
            for end in ends {
                self.push_json(&quoted(texts.get(start..end).unwrap_or_default()));
                start = end;
            }
        }
    }

    fn push_json(&mut self, value: &str) {
        if !self.joined.is_empty() {
            self.joined.push(',');
        }
        self.joined.push_str(value);
    }

    /// The output; `None` where nothing was yielded.
    pub(crate) fn finish(mut self) -> Option<String> {
        if self.items == 0 && self.left_out == 0 {
            return None;
        }
        if self.left_out > 0 {
            let note = format!("[truncated {} items]", self.left_out);
            if self.json { self.push_json(&quoted(&note)) } else { self.joined.push_str(&note) }
        }
        Some(if self.json { format!("[{}]", self.joined) } else { self.joined })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: Vec<Piece>) -> Option<String> {
        let mut stream = Stream::default();
        for piece in &pieces {
            stream.add(piece);
        }
        stream.finish()
    }

    #[test]
    fn text_is_joined_and_a_mixture_is_a_list() {
        let text = |text: &str| Piece::Text(text.into());
        let json = |text: &str| Piece::Json(text.into());
        assert_eq!(of(vec![]), None);
        assert_eq!(of(vec![text("a"), text("b\"")]).unwrap(), "ab\"");
        assert_eq!(of(vec![text("a"), json("1"), text("b\"")]).unwrap(), "[\"a\",1,\"b\\\"\"]");
        assert_eq!(of(vec![json("null")]).unwrap(), "[null]");
    }
}
