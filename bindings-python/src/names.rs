//! Attribute and keyword names as interned objects, all made at import.
//!
//! PyO3's `intern!` makes each at its first use, inside a once-cell that lets go of the interpreter's lock meanwhile: a fork
//! in that moment would leave the cell "being filled" in the child for ever. Nothing in this crate is made lazily that way.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

macro_rules! names {
    ($($name:ident $text:literal),* $(,)?) => {
        /// The names.
        #[allow(missing_docs)]
        pub(crate) struct Names {
            $(pub(crate) $name: Py<PyString>,)*
        }

        impl Names {
            fn new(py: Python<'_>) -> Self {
                Self { $($name: PyString::intern(py, $text).unbind(),)* }
            }
        }
    };
}

names! {
    args "args", astimezone "astimezone", body_iterator "body_iterator", data "data", dataclass_fields "__dataclass_fields__",
    dict "__dict__", dict_v1 "dict", extra "__pydantic_extra__", int "int", field_type "_field_type", isoformat "isoformat", item "item", kwargs "kwargs",
    langfuse_parent_observation_id "langfuse_parent_observation_id", langfuse_public_key "langfuse_public_key",
    langfuse_trace_id "langfuse_trace_id", model_dump "model_dump", module "__module__", size "size", slots "__slots__", to_json "to_json",
    tolist "tolist", tzinfo "tzinfo", value "_value_",
}

static NAMES: PyOnceLock<Names> = PyOnceLock::new();

/// Makes the names: at import.
pub(crate) fn init(py: Python<'_>) {
    let _ = NAMES.set(py, Names::new(py));
}

/// The names.
#[inline]
pub(crate) fn names(py: Python<'_>) -> &'static Names {
    NAMES.get_or_init(py, || Names::new(py))
}
