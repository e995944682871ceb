//! Questions that a caller asks the server and waits for, with the interpreter released.

use std::time::Duration;

use pyo3::prelude::*;
use tracespool_core::control::{ControlRequest, Target};
use tracespool_core::native::{control, net};
use tracespool_core::transport::{Method, Outcome, Payload};

use crate::handle::Handle;
use crate::home::home;
use crate::notices::{self, problem};
use crate::waiting::{in_greenlets, wait_for};

/// What every key may read.
const PROJECTS: &str = "/api/public/projects";
/// What an export request is.
const PROTOBUF: &str = "application/x-protobuf";
/// A ticket answers by its own deadline; the wait's is this much later, for when it does not.
const SLACK: Duration = Duration::from_secs(1);

/// Whether the server takes the keys.
///
/// # Errors
///
/// What a signal handler raises.
pub(crate) fn auth_check(py: Python<'_>, handle: &Handle) -> PyResult<bool> {
    let settings = handle.core.settings();
    let Some(endpoint) = &settings.endpoint else {
        return Ok(false);
    };
    // Other backends have no question for this: they are sent an export request without a span.
    let empty = settings.empty_export(&home());
    let asked = if in_greenlets(py) {
        let request = match empty.clone() {
            Some(body) => ControlRequest {
                method: Method::Post,
                target: Target::Own(settings.otlp_path.as_str().into()),
                headers: vec![("content-type".to_owned(), PROTOBUF.to_owned())],
                body: Payload::new(vec![body]),
                ..ControlRequest::get("", settings.timeout)
            },
            None => ControlRequest::get(PROJECTS, settings.timeout),
        };
        ask_exporter(py, handle, request)?
    } else {
        None
    };
    let outcome = asked.unwrap_or_else(|| {
        py.detach(|| match &empty {
            Some(body) => {
                let body = (PROTOBUF, &body[..]);
                control::post(&net(), endpoint, &settings.otlp_path, body, settings.timeout)
            }
            None => control::get(&net(), endpoint, PROJECTS, settings.timeout),
        })
    });
    let sentence = match outcome {
        Outcome::Response(response) if (200..300).contains(&response.status) => return Ok(true),
        Outcome::Response(response) => match (settings.otlp_endpoint(), response.status) {
            (Some(address), status @ (401 | 403 | 422)) => {
                format!(
                    "auth_check: {address} answered {status}; pass the headers that it asks for in headers="
                )
            }
            (Some(address), status @ (404 | 405)) => {
                format!(
                    "auth_check: {address} answered {status}; otlp_endpoint is the whole address for traces"
                )
            }
            (Some(address), status) => format!("auth_check: {address} answered {status}"),
            (None, status) => format!("auth_check: the server answered {status}"),
        },
        Outcome::Failed(failure) => format!("auth_check: {}", failure.detail),
    };
    problem(handle.public_key(), sentence);
    notices::deliver(py, false);
    Ok(false)
}

/// The same question by way of the export thread: on the caller's own thread it would stop all greenlets. `None` where the
/// client records nothing and so has no destination.
fn ask_exporter(py: Python<'_>, handle: &Handle, request: ControlRequest) -> PyResult<Option<Outcome>> {
    let timeout = request.timeout;
    let Some(ticket) = handle.core.control(request) else {
        return Ok(None);
    };
    let answer = wait_for(py, timeout.saturating_add(SLACK), |slice| {
        if slice.is_zero() { ticket.poll() } else { ticket.wait(slice) }
    })?;
    Ok(Some(answer.unwrap_or_else(|| ticket.join())))
}
