//! A score as JSON.

use super::members::Members;
use crate::admission::Fate;
use crate::score::{ScoreInput, ScoreValue};

/// Reads one; `timestamp` is milliseconds since 1970.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn read(text: &str) -> Result<ScoreInput, String> {
    let mut said = Members::read(text).map_err(|error| format!("the score could not be read: {error}"))?;
    let value = match said.raw("value") {
        Some(json) => match (json.flag(), json.number(), json.text()) {
            (Some(flag), ..) => Some(ScoreValue::Number(f64::from(u8::from(flag)))),
            (_, Some(number), _) => Some(ScoreValue::Number(number)),
            (.., Some(text)) => Some(ScoreValue::Text(text.into_owned())),
            _ => return Err("the score's value is neither number, text nor boolean".into()),
        },
        None => None,
    };
    let score = ScoreInput {
        id: said.text("id"),
        name: said.text("name").unwrap_or_default(),
        value,
        data_type: said.text("data_type"),
        trace_id: said.text("trace_id"),
        observation_id: said.text("observation_id"),
        session_id: said.text("session_id"),
        dataset_run_id: said.text("dataset_run_id"),
        comment: said.text("comment"),
        config_id: said.text("config_id"),
        metadata: said.raw("metadata").map(|raw| raw.get().as_bytes().to_vec()),
        timestamp: said.number("timestamp").map(super::session::nanos),
        environment: said.text("environment"),
        fate: Fate::Unasked,
    };
    match said.problems.pop() {
        Some(problem) => Err(format!("the score's {problem}")),
        None => Ok(score),
    }
}
