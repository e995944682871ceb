//! Fetching stored contents, for `tracespool.media`.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tracespool_core::control::{ControlRequest, Target};
use tracespool_core::native::{control, net};
use tracespool_core::transport::Outcome;

use crate::flush::patched_sleep;
use crate::handle::Handle;
use crate::home::seconds;

/// A content that is larger is not fetched into memory.
const MAX_CONTENT: usize = 256 << 20;
/// How often one is asked for within the timeout.
const ATTEMPTS: u32 = 3;
/// How long a signal may wait to be noticed, and a greenlet's pause.
const SLICE: Duration = Duration::from_millis(50);
const PAUSE: f64 = 0.005;

/// Status and content of a path below the client's base URL, or of an absolute address, which gets none of the client's
/// credentials; status 0 and a sentence where no answer came.
///
/// # Errors
///
/// What a signal handler raises.
pub(crate) fn fetch<'py>(
    py: Python<'py>,
    handle: &Handle,
    place: &str,
    timeout: f64,
) -> PyResult<(u16, Bound<'py, PyBytes>)> {
    let said = |sentence: &str| (0, PyBytes::new(py, sentence.as_bytes()));
    let target = if place.starts_with('/') { Ok(Target::Own(place.into())) } else { Target::foreign(place) };
    let target = match target {
        Ok(target) => target,
        Err(problem) => return Ok(said(&problem)),
    };
    let timeout = seconds(timeout);
    let request = ControlRequest {
        target: target.clone(),
        max_response: MAX_CONTENT,
        attempts: ATTEMPTS,
        ..ControlRequest::get("", timeout)
    };
    let outcome = match (handle.core.control(request), target) {
        (Some(ticket), _) => match patched_sleep(py) {
            Some(sleep) => loop {
                if let Some(outcome) = ticket.poll() {
                    break outcome;
                }
                sleep.call1((PAUSE,))?;
            },
            None => loop {
                if let Some(outcome) = py.detach(|| ticket.wait(SLICE)) {
                    break outcome;
                }
                py.check_signals()?;
            },
        },
        // A client that records nothing still resolves what others have stored.
        (None, Target::Foreign { endpoint, path }) => {
            py.detach(|| control::get(&net(), &endpoint, &path, timeout))
        }
        (None, Target::Own(_)) => return Ok(said("the client has no server")),
    };
    Ok(match outcome {
        Outcome::Response(response) => (response.status, PyBytes::new(py, &response.body)),
        Outcome::Failed(failure) => said(&failure.detail),
    })
}
