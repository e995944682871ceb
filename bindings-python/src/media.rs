//! Fetching stored contents, for `tracespool.media`.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tracespool_core::control::{ControlRequest, Target};
use tracespool_core::native::{control, net};
use tracespool_core::transport::Outcome;

use crate::handle::Handle;
use crate::home::seconds;
use crate::waiting::wait_for;

/// A content that is larger is not fetched into memory.
const MAX_CONTENT: usize = 256 << 20;
/// How often one is asked for within the timeout.
const ATTEMPTS: u32 = 3;

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
    if let (Target::Own(_), Err(problem)) = (&target, handle.core.settings().langfuse_only("media")) {
        return Ok(said(&problem));
    }
    let timeout = seconds(timeout);
    let request = ControlRequest {
        target: target.clone(),
        max_response: MAX_CONTENT,
        attempts: ATTEMPTS,
        ..ControlRequest::get("", timeout)
    };
    let outcome = match (handle.core.control(request), target) {
        (Some(ticket), _) => {
            // The ticket answers by its own deadline; the wait's is for when it does not.
            let slack = Duration::from_secs(1);
            wait_for(py, timeout.saturating_add(slack), |slice| {
                if slice.is_zero() { ticket.poll() } else { ticket.wait(slice) }
            })?
            .unwrap_or_else(|| ticket.join())
        }
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
