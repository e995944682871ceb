//! What LangChain tells a handler of every chain and model; see [`crate::fastcall`]. The rarer events are Python's.

use std::borrow::Cow;
use std::ffi::CStr;
use std::sync::atomic::Ordering;

use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use tracespool_core::attr::ObservationType;

use crate::answers::Answer;
use crate::arguments::{Given, plain};
use crate::calls::nul;
use crate::fastcall::{Method, install};
use crate::messages::shown_message;
use crate::names::names;
use crate::recorder::{Beginning, Recorder};
use crate::told::{Argued, Told};
use crate::value::for_each_item;

/// `method "signature" "documentation" "what could not be recorded" (handler, told) body`, each a type that implements
/// [`Method`].
macro_rules! events {
    ($($method:ident $signature:literal $doc:literal $what:literal ($of:ident, $told:ident) $body:block)*) => {
        /// Puts the methods into their class.
        ///
        /// # Errors
        ///
        /// The interpreter is out of memory.
        pub(crate) fn install_all(py: Python<'_>) -> PyResult<()> {
            $({
                struct This;
                impl Method for This {
                    type Of = Recorder;
                    type With<'a, 'py: 'a> = Told<'a, 'py>;
                    const NAME: &'static CStr = nul(concat!(stringify!($method), "\0"));
                    const DOC: &'static CStr = nul(concat!(stringify!($method), $signature, "\n--\n\n", $doc, "\0"));

                    fn call<'py>($of: &Bound<'py, Recorder>, $told: Told<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
                        let done: PyResult<()> = (|| $body)();
                        spared($of, $what, done)
                    }
                }
                install::<This>(py)?;
            })*
            Ok(())
        }
    };
}

events! {
    on_chain_start
    "($self, serialized, inputs, *, run_id, parent_run_id=None, tags=None, metadata=None, run_type=None, name=None, **kwargs)"
    "A chain, a graph or a node of one begins."
    "the start of a LangChain run"
    (of, told) {
        let serialized = told.at(0, Argued::Serialized).and_then(|serialized| serialized.cast::<PyDict>().ok());
        let name = name_of(&told, serialized)?;
        let kind = if is_agent(&name, serialized)? { ObservationType::Agent } else { ObservationType::Chain };
        let input = told.at(1, Argued::Inputs).map(|input| input.as_borrowed());
        let run = Recorder::start(of, &beginning(&told, &name, kind, Given { input, ..Given::default() })?)?;
        let prompt = match told.dict(Argued::Metadata) {
            Some(metadata) => metadata.get_item(&names(of.py()).langfuse_prompt)?,
            None => None,
        };
        if prompt.is_some() || of.get().prompts.load(Ordering::Relaxed) {
            of.get().note_prompt(&run, prompt)?;
        }
        Ok(())
    }

    on_chain_end
    "($self, outputs, *, run_id, inputs=None, **kwargs)"
    "It ends with `outputs`; a streamed one knows its whole input only now."
    "the end of a LangChain run"
    (of, told) {
        let output = told.at(0, Argued::Outputs).map(|output| output.as_borrowed());
        let input = told.get(Argued::Inputs).map(|input| input.as_borrowed());
        Recorder::end(of, run_id(&told)?, &Given { input, output, ..Given::default() })
    }

    on_chat_model_start
    "($self, serialized, messages, *, run_id, parent_run_id=None, tags=None, metadata=None, invocation_params=None, name=None, **kwargs)"
    "A chat model is asked."
    "the start of a LangChain run"
    (of, told) {
        let asked = PyList::empty(of.py());
        if let Some(batches) = told.at(1, Argued::Messages) {
            for batch in batches.try_iter()? {
                for message in batch?.try_iter()? {
                    asked.append(shown_message(&message?)?)?;
                }
            }
        }
        ask(of, &told, asked.into_any())
    }

    on_llm_start
    "($self, serialized, prompts, *, run_id, parent_run_id=None, tags=None, metadata=None, invocation_params=None, name=None, **kwargs)"
    "A completion model is asked."
    "the start of a LangChain run"
    (of, told) {
        let prompts = PyList::empty(of.py());
        if let Some(given) = told.at(1, Argued::Prompts) {
            for prompt in given.try_iter()? {
                prompts.append(prompt?)?;
            }
        }
        let asked = if prompts.len() == 1 { prompts.get_item(0)? } else { prompts.into_any() };
        ask(of, &told, asked)
    }

    on_llm_new_token
    "($self, token, *, run_id, **kwargs)"
    "The first token tells when the answer began."
    "the first token of a LangChain run"
    (of, told) {
        let first = of.get().runs.bind(of.py()).get().first(run_id(&told)?)?;
        first.map_or(Ok(()), |observation| of.call_method1("_began", (observation,)).map(drop))
    }

    on_llm_end
    "($self, response, *, run_id, inputs=None, **kwargs)"
    "It has answered."
    "the end of a LangChain run"
    (of, told) {
        let mut answer = Answer::default();
        if let Some(response) = told.at(0, Argued::Response) {
            let counts = |usage: &Bound<'py, PyAny>| of.call_method1(&names(of.py()).answer_usage, (usage,));
            let read = answer.read(response, counts);
            spared(of, "the answer of a LangChain model", read)?;
        }
        let given = Given {
            input: told.get(Argued::Inputs).map(|input| input.as_borrowed()),
            output: answer.output.as_ref().map(|output| output.as_borrowed()),
            model: answer.model.as_ref().map(|model| model.as_borrowed()),
            usage_details: answer.usage.as_ref().map(|usage| usage.as_borrowed()),
            ..Given::default()
        };
        Recorder::end(of, run_id(&told)?, &given)
    }
}

/// Tells what could not be recorded. Only what is no `Exception` reaches LangChain.
fn spared<'py>(of: &Bound<'py, Recorder>, what: &str, done: PyResult<()>) -> PyResult<Bound<'py, PyAny>> {
    let py = of.py();
    match done {
        Err(error) if error.is_instance_of::<PyException>(py) => {
            of.call_method1(&names(py).failed, (what, error.into_value(py)))?;
        }
        done => done?,
    }
    Ok(py.None().into_bound(py))
}

fn run_id<'a, 'py>(told: &'a Told<'_, 'py>) -> PyResult<&'a Bound<'py, PyAny>> {
    told.get(Argued::RunId).ok_or_else(|| PyTypeError::new_err("an event without run_id"))
}

fn beginning<'a, 'py>(
    told: &'a Told<'_, 'py>,
    name: &'a str,
    kind: ObservationType,
    given: Given<'a, 'py>,
) -> PyResult<Beginning<'a, 'py>> {
    Ok(Beginning {
        id: run_id(told)?,
        parent: told.get(Argued::ParentRunId),
        name,
        kind,
        given,
        tags: told.get(Argued::Tags),
        metadata: told.dict(Argued::Metadata),
        more: None,
    })
}

/// A model is asked: which one, with which parameters and tools, linked to the prompt that was on its way.
fn ask<'py>(of: &Bound<'py, Recorder>, told: &Told<'_, 'py>, asked: Bound<'py, PyAny>) -> PyResult<()> {
    let (py, names) = (of.py(), names(of.py()));
    let serialized = told.at(0, Argued::Serialized).and_then(|serialized| serialized.cast::<PyDict>().ok());
    let metadata = told.dict(Argued::Metadata);
    let called_with = told.dict(Argued::InvocationParams);
    let mut asked = asked;
    if let Some(called_with) = called_with
        && let Some(tools) = called_with.get_item(&names.tools)?
        && tools.is_truthy()?
        && tools.is_instance_of::<PyList>()
    {
        asked = of.call_method1("_with_tools", (asked, tools))?;
    }
    let name = name_of(told, serialized)?;
    let said = metadata.map(|metadata| metadata.get_item(&names.ls_model_name)).transpose()?.flatten();
    let model = match said {
        Some(said) if said.is_truthy()? => said,
        _ => of.call_method1(&names.model_of, (serialized, metadata, called_with, &*name))?,
    };
    let parameters = parameters(py, called_with)?;
    let prompt = match told.get(Argued::ParentRunId) {
        Some(parent) if of.get().prompts.load(Ordering::Relaxed) => of.get().take_prompt(parent)?,
        _ => None,
    };
    let given = Given {
        input: Some(asked.as_borrowed()),
        model: (!model.is_none()).then(|| model.as_borrowed()),
        model_parameters: Some(parameters.as_any().as_borrowed()),
        prompt: prompt.as_ref().map(|prompt| prompt.as_borrowed()),
        ..Given::default()
    };
    Recorder::start(of, &beginning(told, &name, ObservationType::Generation, given)?).map(drop)
}

/// Parameters of an invocation that say how the model answers.
const PARAMETERS: [&str; 11] = [
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "request_timeout",
    "decoding_method",
    "min_new_tokens",
    "max_new_tokens",
    "stop_sequences",
];
/// Those that were given; IBM watsonx has them in `params`.
fn parameters<'py>(
    py: Python<'py>,
    called_with: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    let Some(called_with) = called_with else { return Ok(found) };
    let mut inner = None;
    if let Some(kind) = called_with.get_item(&names(py).kind_of_model)?
        && kind.cast::<PyString>().is_ok_and(|kind| kind.to_str().is_ok_and(|kind| kind == "IBM watsonx.ai"))
        && let Some(params) = called_with.get_item("params")?
    {
        inner = params.cast_into::<PyDict>().ok();
    }
    let mut given: [Option<Bound<'py, PyAny>>; PARAMETERS.len()] = Default::default();
    for dict in [inner.as_ref(), Some(called_with)].into_iter().flatten() {
        for_each_item(dict, |name, value| {
            let name = name.cast::<PyString>().ok().and_then(|name| name.to_str().ok());
            let at = name.and_then(|name| PARAMETERS.iter().position(|known| *known == name));
            if let Some(at) = at {
                given[at].get_or_insert_with(|| value.clone());
            }
            Ok(())
        })?;
    }
    for (name, value) in PARAMETERS.iter().zip(given) {
        if let Some(value) = value.filter(|value| !value.is_none()) {
            found.set_item(name, value)?;
        }
    }
    Ok(found)
}

/// What a run is called: as it is told, else as what runs is.
fn name_of<'a>(told: &'a Told<'_, '_>, serialized: Option<&Bound<'_, PyDict>>) -> PyResult<Cow<'a, str>> {
    if let Some(name) = told.get(Argued::Name) {
        return match name.cast::<PyString>().ok().and_then(|name| name.to_str().ok()) {
            Some(name) => Ok(name.into()),
            None => plain(name).map(Cow::from),
        };
    }
    let Some(serialized) = serialized else { return Ok("<unknown>".into()) };
    let names = names(serialized.py());
    if let Some(name) = serialized.get_item(&names.name)?.filter(|name| !name.is_none()) {
        return plain(&name).map(Cow::from);
    }
    match serialized.get_item(&names.id)? {
        Some(path) if path.is_truthy()? => plain(&path.get_item(-1)?).map(Cow::from),
        _ => Ok("<unknown>".into()),
    }
}

/// Whether the name or the class's path has the word "agent" in it.
fn is_agent(name: &str, serialized: Option<&Bound<'_, PyDict>>) -> PyResult<bool> {
    const WORD: &[u8] = b"agent";
    let has = |text: &str| text.as_bytes().windows(WORD.len()).any(|part| part.eq_ignore_ascii_case(WORD));
    if has(name) {
        return Ok(true);
    }
    let Some(serialized) = serialized else { return Ok(false) };
    if let Some(path) = serialized.get_item(&names(serialized.py()).id)?.filter(|path| !path.is_none()) {
        for part in path.try_iter()? {
            if has(&part?.str()?.to_string_lossy()) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
