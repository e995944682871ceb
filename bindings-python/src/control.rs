//! Questions that a caller asks the server and waits for, with the interpreter released.

use pyo3::prelude::*;
use tracespool_core::native::{control, net};
use tracespool_core::transport::Outcome;

use crate::handle::Handle;
use crate::notices::{self, problem};

/// What every key may read.
const PROJECTS: &str = "/api/public/projects";

/// Whether the server takes the keys.
pub(crate) fn auth_check(py: Python<'_>, handle: &Handle) -> bool {
    let settings = handle.core.settings();
    let Some(endpoint) = &settings.endpoint else {
        return false;
    };
    let outcome = py.detach(|| control::get(&net(), endpoint, PROJECTS, settings.timeout));
    let sentence = match outcome {
        Outcome::Response(response) if (200..300).contains(&response.status) => return true,
        Outcome::Response(response) => format!("auth_check: the server answered {}", response.status),
        Outcome::Failed(failure) => format!("auth_check: {}", failure.detail),
    };
    problem(handle.public_key(), sentence);
    notices::deliver(py, false);
    false
}
