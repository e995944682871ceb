//! A score as JSON.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::admission::Fate;
use crate::score::{ScoreInput, ScoreValue};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Said<'a> {
    id: Option<String>,
    name: String,
    value: Option<Value>,
    data_type: Option<String>,
    trace_id: Option<String>,
    observation_id: Option<String>,
    session_id: Option<String>,
    dataset_run_id: Option<String>,
    comment: Option<String>,
    config_id: Option<String>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    timestamp: Option<f64>,
    environment: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Bool(bool),
    Number(f64),
    Text(String),
}

/// Reads one; `timestamp` is milliseconds since 1970.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn read(text: &str) -> Result<ScoreInput, String> {
    let said: Said<'_> =
        serde_json::from_str(text).map_err(|error| format!("the score could not be read: {error}"))?;
    Ok(ScoreInput {
        id: said.id,
        name: said.name,
        value: said.value.map(|value| match value {
            Value::Bool(flag) => ScoreValue::Number(f64::from(u8::from(flag))),
            Value::Number(number) => ScoreValue::Number(number),
            Value::Text(text) => ScoreValue::Text(text),
        }),
        data_type: said.data_type,
        trace_id: said.trace_id,
        observation_id: said.observation_id,
        session_id: said.session_id,
        dataset_run_id: said.dataset_run_id,
        comment: said.comment,
        config_id: said.config_id,
        metadata: said.metadata.map(|raw| raw.get().as_bytes().to_vec()),
        timestamp: said.timestamp.map(super::session::nanos),
        environment: said.environment,
        fate: Fate::Unasked,
    })
}
