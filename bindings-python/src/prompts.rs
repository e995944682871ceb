//! Prompts: what is asked of the core, and tickets for the answers. Python makes the objects that applications see.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use tracespool_core::prompt::fetch::{PromptRequest, PromptTicket as CoreTicket, disabled};
use tracespool_core::prompt::{Answer, Kind, Prompt, PromptError, Which};
use tracespool_core::transport::FailureKind;

use crate::handle::Handle;
use crate::waiting::wait_for;

/// A ticket answers by its own deadline; this is for when it does not.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// A prompt that was found, or is on its way.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct PromptTicket {
    /// `None` for a client without usable keys.
    under_way: Option<CoreTicket>,
}

impl PromptTicket {
    fn look(&self, slice: Duration) -> Option<Answer> {
        match &self.under_way {
            Some(ticket) if slice.is_zero() => ticket.poll(),
            Some(ticket) => ticket.wait(slice),
            None => Some(Err(disabled())),
        }
    }
}

#[pymethods]
impl PromptTicket {
    /// The answer once it has come, else `None`.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        self.look(Duration::ZERO).map(|answer| dict(py, &answer)).transpose()
    }

    /// Waits for the answer, by the request's deadline at most.
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let answer = wait_for(py, FOREVER, |slice| self.look(slice))?;
        dict(py, &answer.unwrap_or_else(|| Err(disabled())))
    }
}

/// Begins to look a prompt up.
#[allow(clippy::too_many_arguments)] // as many as the request has parts
pub(crate) fn get(
    handle: &Handle,
    name: &str,
    chat: bool,
    version: Option<i64>,
    label: Option<&str>,
    ttl: Option<f64>,
    fallback: bool,
    retries: u32,
    timeout: Option<f64>,
) -> PromptTicket {
    let duration = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(FOREVER);
    let request = PromptRequest {
        name: name.into(),
        kind: if chat { Kind::Chat } else { Kind::Text },
        which: match (version, label) {
            (Some(version), _) => Which::Version(version),
            (None, Some(label)) => Which::Label(label.into()),
            (None, None) => Which::production(),
        },
        ttl: ttl.map(duration),
        retries,
        fallback,
        timeout: timeout.map(duration),
    };
    PromptTicket { under_way: handle.core.prompt(&request) }
}

/// Begins to make a version.
pub(crate) fn create(handle: &Handle, name: &str, body: &str) -> PromptTicket {
    PromptTicket { under_way: handle.core.create_prompt(name, body.into()) }
}

/// Begins to label a version.
pub(crate) fn update(handle: &Handle, name: &str, version: i64, body: &str) -> PromptTicket {
    PromptTicket { under_way: handle.core.update_prompt(name, version, body.into()) }
}

fn dict<'py>(py: Python<'py>, answer: &Answer) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    match answer {
        Ok(prompt) => {
            let Prompt { name, version, kind, content, config, labels, tags, commit_message, size: _ } =
                &**prompt;
            out.set_item("name", name)?;
            out.set_item("version", version)?;
            out.set_item("type", if *kind == Kind::Chat { "chat" } else { "text" })?;
            out.set_item("prompt", content)?;
            out.set_item("config", config)?;
            out.set_item("labels", PyList::new(py, labels)?)?;
            out.set_item("tags", PyList::new(py, tags)?)?;
            out.set_item("commit_message", commit_message.as_deref())?;
        }
        Err(PromptError::Refused { status, body }) => {
            out.set_item("error", "refused")?;
            out.set_item("status", status)?;
            out.set_item("detail", &**body)?;
        }
        Err(PromptError::Failed(failure)) => {
            out.set_item("error", if failure.kind == FailureKind::Timeout { "timeout" } else { "failed" })?;
            out.set_item("detail", &failure.detail)?;
        }
    }
    Ok(out)
}
