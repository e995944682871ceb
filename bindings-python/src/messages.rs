//! LangChain's messages as Langfuse shows them: the shape of OpenAI's chat API.

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

use crate::names::names;
use crate::value::models;

/// Roles by the name of a class or of one that it is derived from.
const ROLES: [(&str, &str); 5] = [
    ("HumanMessage", "user"),
    ("AIMessage", "assistant"),
    ("SystemMessage", "system"),
    ("ToolMessage", "tool"),
    ("FunctionMessage", "function"),
];

/// Roles by class, `None` for those that say it themselves; as many as there are classes of messages, so it needs no bound.
static KNOWN: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

/// At import; see [`crate::names`].
pub(crate) fn init(py: Python<'_>) {
    let _ = KNOWN.set(py, PyDict::new(py).unbind());
}

/// One message. What is no message of LangChain's stays as it is.
#[pyfunction]
#[pyo3(signature = (message, /))]
pub(crate) fn shown_message<'py>(message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match shown(message) {
        Ok(shown) => Ok(shown.into_any()),
        Err(error) if error.is_instance_of::<PyAttributeError>(message.py()) => Ok(message.clone()),
        Err(error) => Err(error),
    }
}

fn shown<'py>(message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let py = message.py();
    let names = names(py);
    let mut role = role_of(message)?;
    if role.is_none() {
        role = match message.getattr_opt(&names.role)? {
            Some(role) if role.is_truthy()? => role,
            _ => message.getattr(&names.type_)?,
        };
    }
    let fields = models::fields(message);
    let fields = fields.as_ref();
    let shown = PyDict::new(py);
    shown.set_item(&names.role, &role)?;
    shown.set_item(&names.content, models::required(message, fields, &names.content)?)?;
    let more = models::required(message, fields, &names.additional_kwargs)?;
    match role.cast::<PyString>().ok().and_then(|role| role.to_str().ok()) {
        Some("assistant") => {
            for name in [&names.tool_calls, &names.invalid_tool_calls] {
                if let Some(calls) = models::field(message, fields, name)?
                    && calls.is_truthy()?
                {
                    shown.set_item(name, calls)?;
                }
            }
        }
        Some("tool") => {
            shown.set_item(&names.tool_call_id, models::field(message, fields, &names.tool_call_id)?)?
        }
        _ => {}
    }
    if more.is_truthy()? {
        if more.contains(&names.name)? {
            shown.set_item(&names.name, more.get_item(&names.name)?)?;
        }
        shown.set_item(&names.additional_kwargs, more)?;
    }
    Ok(shown)
}

/// The role of a message's class, `None` where it is none of LangChain's own.
fn role_of<'py>(message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = message.py();
    let class = message.get_type();
    let known = KNOWN.get(py).map(|known| known.bind(py));
    if let Some(known) = known
        && let Some(role) = known.get_item(&class)?
    {
        return Ok(role);
    }
    let mut role = py.None().into_bound(py);
    for base in class.getattr(&names(py).mro)?.try_iter()? {
        let name = base?.getattr(&names(py).type_name)?;
        let name = name.cast::<PyString>()?.to_str()?.to_owned();
        if let Some((_, found)) = ROLES.iter().find(|(other, _)| *other == name) {
            role = PyString::new(py, found).into_any();
            break;
        }
    }
    if let Some(known) = known {
        known.set_item(&class, &role)?;
    }
    Ok(role)
}
