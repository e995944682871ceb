//! What a model of LangChain's answered: its message, the model that the provider names, and the tokens that it counted.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString};

use crate::messages::shown_message;
use crate::names::names;
use crate::value::models;

/// What is read of an `LLMResult`, each as far as it could be.
#[derive(Default)]
pub(crate) struct Answer<'py> {
    pub(crate) output: Option<Bound<'py, PyAny>>,
    pub(crate) model: Option<Bound<'py, PyAny>>,
    pub(crate) usage: Option<Bound<'py, PyAny>>,
}

impl<'py> Answer<'py> {
    /// Reads `response`; `counts` renames what providers count.
    pub(crate) fn read(
        &mut self,
        response: &Bound<'py, PyAny>,
        counts: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let names = names(response.py());
        let fields = models::fields(response);
        let generations = models::required(response, fields.as_ref(), &names.generations)?;
        self.output = Some(output(&generations.get_item(-1)?.get_item(-1)?)?);
        let said = models::required(response, fields.as_ref(), &names.llm_output)?;
        self.model = item(&said, &names.model_name)?;
        let mut usage = match item(&said, &names.token_usage)? {
            Some(usage) => Some(usage),
            None => item(&said, &names.usage)?,
        };
        for generations in generations.try_iter()? {
            for generation in generations?.try_iter()? {
                if let Some(found) = usage_of(&generation?)? {
                    usage = Some(found);
                    break;
                }
            }
        }
        self.usage = match usage {
            Some(usage) => match plain_counts(&usage)? {
                Some(counts) => Some(counts),
                None => Some(counts(&usage)?).filter(|counts| !counts.is_none()),
            },
            None => None,
        };
        Ok(())
    }
}

/// What a model answered: its message, else its text.
#[pyfunction(name = "shown_answer")]
#[pyo3(signature = (generation, /))]
pub(crate) fn output<'py>(generation: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let names = names(generation.py());
    match models::field(generation, models::fields(generation).as_ref(), &names.message)? {
        Some(message) if !message.is_none() => shown_message(&message),
        _ => {
            let text = generation.getattr(&names.text)?;
            let text = text.cast::<PyString>().map(|text| text.to_string_lossy().trim().to_owned());
            Ok(PyString::new(generation.py(), text.as_deref().unwrap_or_default()).into_any())
        }
    }
}

/// What a dict says under `key`, where that is true.
fn item<'py>(dict: &Bound<'py, PyAny>, key: &Py<PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Ok(dict) = dict.cast::<PyDict>() else { return Ok(None) };
    let Some(value) = dict.get_item(key)? else { return Ok(None) };
    Ok(value.is_truthy()?.then_some(value))
}

/// What one generation says of the tokens.
fn usage_of<'py>(generation: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let names = names(generation.py());
    let fields = models::fields(generation);
    let fields = fields.as_ref();
    if let Some(usage) =
        item(&models::required(generation, fields, &names.generation_info)?, &names.usage_metadata)?
    {
        return Ok(Some(usage));
    }
    let Some(message) = models::field(generation, fields, &names.message)? else { return Ok(None) };
    let fields = models::fields(&message);
    if let Some(said) = models::field(&message, fields.as_ref(), &names.response_metadata)? {
        for name in [&names.usage, &names.bedrock_metrics] {
            if let Some(usage) = item(&said, name)? {
                return Ok(Some(usage));
            }
        }
    }
    match models::field(&message, fields.as_ref(), &names.usage_metadata)? {
        Some(usage) if usage.is_truthy()? => Ok(Some(usage)),
        _ => Ok(None),
    }
}

/// What LangChain's own models count most of the time, under the names that Langfuse's servers price.
fn plain_counts<'py>(usage: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Ok(usage) = usage.cast_exact::<PyDict>() else { return Ok(None) };
    if usage.len() != 3 {
        return Ok(None);
    }
    let (py, names) = (usage.py(), names(usage.py()));
    let counts = PyDict::new(py);
    for (name, ours) in [
        (&names.input_tokens, &names.input),
        (&names.output_tokens, &names.output),
        (&names.total_tokens, &names.total),
    ] {
        match usage.get_item(name)? {
            Some(count) if count.is_instance_of::<PyInt>() => counts.set_item(ours, count)?,
            _ => return Ok(None),
        }
    }
    Ok(Some(counts.into_any()))
}
