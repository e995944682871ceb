//! Scores: checked and encoded by the call that passes them.

use serde_json::{Map, Value as Json};

use crate::admission::Fate;
use crate::id::{SpanId, TraceId};
use crate::time::rfc3339;

/// A score's value.
#[derive(Clone, Debug, PartialEq)]
pub enum ScoreValue {
    /// For NUMERIC and BOOLEAN (0 or 1).
    Number(f64),
    /// For CATEGORICAL, TEXT and CORRECTION.
    Text(String),
}

/// What a score says, and of what.
#[derive(Clone, Debug, Default)]
pub struct ScoreInput {
    /// Chosen by us where absent. The same id, name and timestamp replace the score.
    pub id: Option<String>,
    /// What is scored; not empty.
    pub name: String,
    /// The value.
    pub value: Option<ScoreValue>,
    /// NUMERIC, CATEGORICAL, BOOLEAN, TEXT or CORRECTION; absent: by the value's type.
    pub data_type: Option<String>,
    /// The trace scored.
    pub trace_id: Option<String>,
    /// The observation within that trace.
    pub observation_id: Option<String>,
    /// The session scored.
    pub session_id: Option<String>,
    /// The dataset run scored.
    pub dataset_run_id: Option<String>,
    /// A remark.
    pub comment: Option<String>,
    /// Of the project's score configurations.
    pub config_id: Option<String>,
    /// JSON text of any value but null.
    pub metadata: Option<Vec<u8>>,
    /// Nanoseconds since 1970; now where absent.
    pub timestamp: Option<u64>,
    /// Overrides the client's environment.
    pub environment: Option<String>,
    /// What admission said of the observation scored; where that is not known, it is asked now.
    pub fate: Fate,
}

/// A score's bytes and what wraps them towards the ingestion endpoint.
#[derive(Debug)]
pub(crate) struct EncodedScore {
    pub(crate) payload: Vec<u8>,
    pub(crate) wrapper: Box<[u8]>,
}

const DATA_TYPES: [&str; 5] = ["NUMERIC", "CATEGORICAL", "BOOLEAN", "TEXT", "CORRECTION"];

impl ScoreInput {
    /// The trace, where the score is of one and its id is well-formed.
    #[must_use]
    pub fn trace(&self) -> Option<TraceId> {
        self.trace_id.as_deref().and_then(TraceId::parse)
    }

    /// Checks what servers would silently drop, and encodes.
    ///
    /// # Errors
    ///
    /// A sentence that names the argument, its value and the mend; the score is not sent.
    pub(crate) fn encode(self, environment: Option<&str>, now: u64) -> Result<EncodedScore, String> {
        let shown = |text: &str| text.chars().take(60).collect::<String>();
        if self.name.is_empty() {
            return Err("score name is empty; it needs one".into());
        }
        let targets = [&self.trace_id, &self.session_id, &self.dataset_run_id]
            .into_iter()
            .filter(|id| id.is_some())
            .count();
        if targets != 1 {
            return Err(format!(
                "score {:?} names {targets} of trace_id, session_id and dataset_run_id; it needs exactly one",
                shown(&self.name)
            ));
        }
        if self.observation_id.is_some() && self.trace_id.is_none() {
            return Err(format!(
                "score {:?} names an observation_id without its trace_id",
                shown(&self.name)
            ));
        }
        let Some(value) = self.value else {
            return Err(format!("score {:?} has no value; it takes a number or a text", shown(&self.name)));
        };
        let data_type = self.data_type.as_deref().map(str::to_ascii_uppercase);
        if let Some(data_type) = &data_type
            && !DATA_TYPES.contains(&data_type.as_str())
        {
            return Err(format!(
                "data_type {:?} of score {:?} is none of {DATA_TYPES:?}",
                shown(data_type),
                shown(&self.name)
            ));
        }
        let numeric = matches!(data_type.as_deref(), Some("NUMERIC" | "BOOLEAN"));
        let value = match (value, data_type.as_deref()) {
            (ScoreValue::Text(text), Some("NUMERIC" | "BOOLEAN")) => {
                return Err(format!(
                    "value {:?} of score {:?} is text; its data_type takes a number",
                    shown(&text),
                    shown(&self.name)
                ));
            }
            (ScoreValue::Number(number), Some(other)) if !numeric => {
                return Err(format!(
                    "value {number} of score {:?} is a number; {other} takes a text",
                    shown(&self.name)
                ));
            }
            (ScoreValue::Number(number), _) if !number.is_finite() => {
                return Err(format!("value {number} of score {:?} is not finite", shown(&self.name)));
            }
            (ScoreValue::Number(number), Some("BOOLEAN")) if number != 0.0 && number != 1.0 => {
                return Err(format!(
                    "value {number} of score {:?} is not 0 or 1, which BOOLEAN takes",
                    shown(&self.name)
                ));
            }
            (ScoreValue::Text(text), Some("TEXT")) if text.is_empty() || text.chars().count() > 500 => {
                return Err(format!(
                    "value of score {:?} has not 1 to 500 characters, which TEXT takes",
                    shown(&self.name)
                ));
            }
            (ScoreValue::Number(number), _) => Json::from(number),
            (ScoreValue::Text(text), _) => Json::from(text),
        };
        for (argument, id) in [
            ("score_id", &self.id),
            ("trace_id", &self.trace_id),
            ("observation_id", &self.observation_id),
            ("session_id", &self.session_id),
        ] {
            if id.as_ref().is_some_and(|id| id.is_empty() || id.len() > 800 || id.contains('\r')) {
                return Err(format!(
                    "{argument} of score {:?} is empty, over 800 bytes or holds a CR",
                    shown(&self.name)
                ));
            }
        }
        let id = self.id.unwrap_or_else(|| format!("{}{}", SpanId::random(), SpanId::random()));
        let timestamp = rfc3339(self.timestamp.unwrap_or(now));
        let metadata = match self.metadata {
            Some(text) => match serde_json::from_slice::<Json>(&text) {
                Ok(Json::Null) => None,
                Ok(value) => Some(value),
                Err(_) => return Err(format!("metadata of score {:?} is not JSON", shown(&self.name))),
            },
            None => None,
        };
        let mut object = Map::new();
        object.insert("id".into(), id.as_str().into());
        let texts = [
            ("traceId", self.trace_id),
            ("observationId", self.observation_id),
            ("sessionId", self.session_id),
            ("datasetRunId", self.dataset_run_id),
            ("name", Some(self.name)),
            ("comment", self.comment),
            ("configId", self.config_id),
            ("dataType", data_type),
            ("environment", self.environment.or_else(|| environment.map(str::to_owned))),
            ("timestamp", Some(timestamp.clone())),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                object.insert(key.into(), text.into());
            }
        }
        object.insert("value".into(), value);
        if let Some(metadata) = metadata {
            object.insert("metadata".into(), metadata);
        }
        let wrapper = crate::encode::scores::wrapper(&id, &timestamp);
        Ok(EncodedScore { payload: Json::Object(object).to_string().into_bytes(), wrapper })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(value: ScoreValue, data_type: &str) -> ScoreInput {
        ScoreInput {
            name: "n".into(),
            value: Some(value),
            data_type: Some(data_type.into()),
            trace_id: Some("t".into()),
            ..ScoreInput::default()
        }
    }

    #[test]
    fn ids_and_timestamps_are_always_set() {
        let encoded = score(ScoreValue::Number(0.5), "numeric").encode(Some("prod"), 0).unwrap();
        let json: Json = serde_json::from_slice(&encoded.payload).unwrap();
        assert_eq!(json["id"].as_str().unwrap().len(), 32);
        assert_eq!(
            (json["timestamp"].as_str(), json["environment"].as_str(), json["value"].as_f64()),
            (Some("1970-01-01T00:00:00.000000Z"), Some("prod"), Some(0.5))
        );
        assert_eq!(json["dataType"], "NUMERIC");
    }

    #[test]
    fn what_a_server_would_drop_in_silence_is_an_error_here() {
        let bad = [
            score(ScoreValue::Text("x".into()), "NUMERIC"),
            score(ScoreValue::Number(1.0), "CATEGORICAL"),
            score(ScoreValue::Number(2.0), "BOOLEAN"),
            score(ScoreValue::Number(f64::NAN), "NUMERIC"),
            score(ScoreValue::Number(1.0), "STARS"),
            score(ScoreValue::Text(String::new()), "TEXT"),
            ScoreInput { session_id: Some("s".into()), ..score(ScoreValue::Number(1.0), "NUMERIC") },
            ScoreInput { trace_id: None, ..score(ScoreValue::Number(1.0), "NUMERIC") },
            ScoreInput { name: String::new(), ..score(ScoreValue::Number(1.0), "NUMERIC") },
            ScoreInput { value: None, ..score(ScoreValue::Number(1.0), "NUMERIC") },
        ];
        for input in bad {
            assert!(input.clone().encode(None, 0).is_err(), "{input:?}");
        }
    }
}
