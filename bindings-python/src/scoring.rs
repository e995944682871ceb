//! Scores: keywords to the core's input.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};
use tracespool_core::attr::Field;
use tracespool_core::propagate::{Propagated, Propagation};
use tracespool_core::score::{ScoreInput, ScoreValue};

use crate::arguments::{plain, shown};
use crate::handle::Handle;
use crate::notices::problem;
use crate::observation::Observation;
use crate::value::{Scratch, encode, for_each_item};

/// Scores an observation, or its trace. The environment is that of the scope which it started in, or which is current.
pub(crate) fn submit_of(
    handle: &Handle,
    observation: &Observation,
    propagated: Option<&Arc<Propagated>>,
    whole_trace: bool,
    keywords: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let context = observation.core.context();
    let environment =
        propagated.or(observation.propagated.as_ref()).and_then(|all| all.get(Field::Environment));
    let input = ScoreInput {
        trace_id: Some(context.trace_id.to_string()),
        observation_id: (!whole_trace).then(|| context.span_id.to_string()),
        environment: match environment {
            Some(Propagation::Str(environment)) => Some(environment.clone()),
            _ => None,
        },
        fate: context.fate,
        ..ScoreInput::default()
    };
    let input = read(handle, keywords, input)?;
    told(handle, handle.core.score_on(context, input));
    Ok(())
}

/// Hands a score over. What is wrong with it is told once, and it is not sent; nothing is raised.
pub(crate) fn submit(handle: &Handle, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let input = read(handle, keywords, ScoreInput::default())?;
    told(handle, handle.core.score(input));
    Ok(())
}

fn told(handle: &Handle, outcome: Result<(), String>) {
    if let Err(sentence) = outcome {
        problem(handle.public_key(), sentence);
    }
}

fn read(
    handle: &Handle,
    keywords: Option<&Bound<'_, PyDict>>,
    mut input: ScoreInput,
) -> PyResult<ScoreInput> {
    if let Some(keywords) = keywords {
        for_each_item(keywords, |name, value| {
            if value.is_none() {
                Ok(())
            } else {
                take(&mut input, handle, name.extract::<&str>().unwrap_or_default(), value)
            }
        })?;
    }
    Ok(input)
}

fn take(input: &mut ScoreInput, handle: &Handle, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let slot = match name {
        "name" => {
            input.name = plain(value)?;
            return Ok(());
        }
        "value" => {
            input.value = score_value(value, handle)?;
            return Ok(());
        }
        "timestamp" => {
            input.timestamp = timestamp(value, handle);
            return Ok(());
        }
        "metadata" => {
            let mut scratch = Scratch::take();
            encode(value, &mut scratch)?;
            input.metadata = Some(scratch.text().as_bytes().to_vec());
            return Ok(());
        }
        "score_id" | "id" => &mut input.id,
        "data_type" => &mut input.data_type,
        "comment" => &mut input.comment,
        "config_id" => &mut input.config_id,
        "trace_id" => &mut input.trace_id,
        "observation_id" => &mut input.observation_id,
        "session_id" => &mut input.session_id,
        "dataset_run_id" => &mut input.dataset_run_id,
        "environment" => &mut input.environment,
        _ => {
            problem(handle.public_key(), format!("a score has no argument {:?}; it is ignored", shown(name)));
            return Ok(());
        }
    };
    *slot = Some(plain(value)?);
    Ok(())
}

/// Numbers and booleans as numbers, text as text, anything with a `__float__` (numpy, Decimal) as a number.
fn score_value(value: &Bound<'_, PyAny>, handle: &Handle) -> PyResult<Option<ScoreValue>> {
    if value.is_instance_of::<PyString>() {
        return Ok(Some(ScoreValue::Text(plain(value)?)));
    }
    let number = if value.is_instance_of::<PyBool>() {
        value.is_truthy().ok().map(f64::from)
    } else if value.is_instance_of::<PyFloat>()
        || value.is_instance_of::<PyInt>()
        || value.hasattr("__float__").unwrap_or(false)
    {
        value.extract::<f64>().ok()
    } else {
        None
    };
    if number.is_none() {
        let kind = value.get_type().name()?;
        problem(handle.public_key(), format!("a score's value is a number, a bool or a str, not {kind}"));
    }
    Ok(number.map(ScoreValue::Number))
}

/// Nanoseconds since 1970 of a `datetime`; a naive one is UTC, as in Langfuse's SDK for scores.
fn timestamp(value: &Bound<'_, PyAny>, handle: &Handle) -> Option<u64> {
    let py = value.py();
    let read = || -> PyResult<f64> {
        let zoned = if value.getattr("tzinfo")?.is_none() {
            let utc = py.import("datetime")?.getattr("timezone")?.getattr("utc")?;
            let options = PyDict::new(py);
            options.set_item("tzinfo", utc)?;
            value.call_method("replace", (), Some(&options))?
        } else {
            value.clone()
        };
        zoned.call_method0("timestamp")?.extract()
    };
    match read() {
        // Microseconds are all that a datetime has and that a double can hold.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(seconds) if (0.0..1e10).contains(&seconds) => Some((seconds * 1e6).round() as u64 * 1000),
        _ => {
            problem(handle.public_key(), "a score's timestamp is a datetime from 1970 on; now is used");
            None
        }
    }
}
