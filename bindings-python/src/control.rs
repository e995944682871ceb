//! Questions that a caller asks the server and waits for, with the interpreter released.

use pyo3::prelude::*;
use tracespool_core::native::{control, net};
use tracespool_core::transport::Outcome;

use crate::handle::Handle;
use crate::home::home;
use crate::notices::{self, problem};

/// What every key may read.
const PROJECTS: &str = "/api/public/projects";

/// Whether the server takes the keys.
pub(crate) fn auth_check(py: Python<'_>, handle: &Handle) -> bool {
    let settings = handle.core.settings();
    let Some(endpoint) = &settings.endpoint else {
        return false;
    };
    // Other backends have no question for this: they are sent an export request without a span.
    let empty = settings.empty_export(&home());
    let outcome = py.detach(|| match &empty {
        Some(body) => {
            let body = ("application/x-protobuf", &body[..]);
            control::post(&net(), endpoint, &settings.otlp_path, body, settings.timeout)
        }
        None => control::get(&net(), endpoint, PROJECTS, settings.timeout),
    });
    let sentence = match outcome {
        Outcome::Response(response) if (200..300).contains(&response.status) => return true,
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
    false
}
