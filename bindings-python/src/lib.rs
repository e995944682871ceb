//! The Python face of tracespool: conversions only, the core decides.
//!
//! Values are encoded on the calling thread (`value`); the export thread never attaches to the interpreter. What is current
//! is one context variable (`current`). Nothing here raises into the traced code: what is not usable is told to the
//! application's logger (`notices`) and left out.

mod ahead;
mod answers;
mod arguments;
mod attributes;
mod block;
mod calls;
mod client;
mod control;
mod current;
mod events;
mod fastcall;
mod flush;
mod handle;
mod held;
mod home;
mod intake;
mod keywords;
mod lifecycle;
mod media;
mod messages;
mod names;
mod notices;
mod observation;
mod observer;
mod options;
mod origin;
mod otel;
mod prompts;
mod propagation;
mod recorder;
mod runs;
mod said;
mod scope;
mod scoring;
mod stage;
mod started;
mod stream;
mod told;
mod value;
mod waiting;

use pyo3::prelude::*;

/// What `value` becomes in a trace: text as it is, anything else as JSON, `None` for `None`.
#[pyfunction]
#[pyo3(signature = (value, /))]
fn encode(value: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let mut scratch = value::Scratch::take();
    Ok(match value::capture_text(value, &mut scratch)? {
        value::Captured::Absent => None,
        value::Captured::Text(text) => Some(text.to_owned()),
        _ => Some(scratch.text().to_owned()),
    })
}

// The GIL is relied upon: the encoder walks containers with borrowed references.
#[pymodule(gil_used = true)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::encode;
    #[pymodule_export]
    use crate::answers::output;
    #[pymodule_export]
    use crate::block::{Block, continue_trace};
    #[pymodule_export]
    use crate::client::{Client, create_trace_id};
    #[pymodule_export]
    use crate::flush::{Ticket, begin_flush_all, cleanup_all_clients, cleanup_client};
    #[pymodule_export]
    use crate::handle::{clients, default_client, get_client, on_client, register_client_class};
    #[pymodule_export]
    use crate::held::Held;
    #[pymodule_export]
    use crate::intake::{Intake, is_known_scope, is_langfuse_scope};
    #[pymodule_export]
    use crate::lifecycle::{
        admission, after_fork_child, after_fork_parent, announce_goodbye, before_fork, goodbye,
        set_admission, stats,
    };
    #[pymodule_export]
    use crate::messages::shown_message;
    #[pymodule_export]
    use crate::notices::on_drop;
    #[pymodule_export]
    use crate::observation::Observation;
    #[pymodule_export]
    use crate::observer::{Observer, Run};
    #[pymodule_export]
    use crate::origin::{
        current_observation, from_baggage, get_current_observation_id, get_current_trace_id, outgoing,
        py_current, set_current,
    };
    #[pymodule_export]
    use crate::prompts::PromptTicket;
    #[pymodule_export]
    use crate::recorder::Recorder;
    #[pymodule_export]
    use crate::runs::{OpenRun, OpenRuns};
    #[pymodule_export]
    use crate::scope::Scope;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        tracespool_core::native::describe("python");
        let py = module.py();
        crate::names::init(py);
        crate::keywords::init(py);
        crate::told::init(py);
        crate::messages::init(py);
        crate::current::init(py)?;
        crate::otel::init(py)?;
        crate::calls::install_all(py)?;
        crate::events::install_all(py)?;
        crate::fastcall::install_function::<crate::propagation::PropagateAttributes>(module)?;
        // Classes that the module does not export are made now too, for the same reason as the names.
        py.get_type::<crate::current::Record>();
        py.get_type::<crate::handle::Adopted>();
        py.get_type::<crate::scope::Ready>();
        py.get_type::<crate::origin::Moment>();
        module.add("KNOWN_SCOPES", tracespool_core::filter::KNOWN_SCOPES)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
