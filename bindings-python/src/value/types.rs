//! Classes that are told apart without ever importing the modules that define them.
//!
//! If a module is not in `sys.modules` no object of its classes can exist. Modules that are found stay known; the others are
//! looked for again only when `sys.modules` changed its size.

use std::ffi::CStr;
use std::sync::atomic::{AtomicIsize, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule, PyType};

/// A class by module and name.
pub(super) struct Known {
    module: &'static CStr,
    name: &'static CStr,
    class: PyOnceLock<Py<PyType>>,
}

impl Known {
    const fn new(module: &'static CStr, name: &'static CStr) -> Self {
        Self { module, name, class: PyOnceLock::new() }
    }

    /// The class, once its module was seen.
    pub(super) fn class<'py>(&self, py: Python<'py>) -> Option<&Bound<'py, PyType>> {
        self.class.get(py).map(|class| class.bind(py))
    }

    /// Whether `kind` is this class or derives from it. Asks no `__instancecheck__`, so it runs no code.
    #[inline]
    pub(super) fn matches(&self, py: Python<'_>, kind: *mut ffi::PyTypeObject) -> bool {
        // SAFETY: both are live classes, and the thread is attached.
        self.class
            .get(py)
            .is_some_and(|class| unsafe { ffi::PyType_IsSubtype(kind, class.as_ptr().cast()) != 0 })
    }
}

macro_rules! known {
    ($($constant:ident = $module:literal . $name:literal;)*) => {
        $(pub(super) static $constant: Known = Known::new($module, $name);)*
        static ALL: &[&Known] = &[$(&$constant),*];
    };
}

known! {
    DATETIME = c"datetime" . c"datetime";
    DATE = c"datetime" . c"date";
    TIME = c"datetime" . c"time";
    TIMEDELTA = c"datetime" . c"timedelta";
    UUID = c"uuid" . c"UUID";
    ENUM = c"enum" . c"Enum";
    PATH = c"pathlib" . c"PurePath";
    DECIMAL = c"decimal" . c"Decimal";
    SEQUENCE = c"_collections_abc" . c"Sequence";
    ASYNC_QUEUE = c"asyncio.queues" . c"Queue";
    MODEL = c"pydantic.main" . c"BaseModel";
    SECRET_STR = c"pydantic.types" . c"SecretStr";
    SECRET_BYTES = c"pydantic.types" . c"SecretBytes";
    MODEL_V1 = c"pydantic.v1.main" . c"BaseModel";
    SECRET_STR_V1 = c"pydantic.v1.types" . c"SecretStr";
    SECRET_BYTES_V1 = c"pydantic.v1.types" . c"SecretBytes";
    LANGCHAIN = c"langchain_core.load.serializable" . c"Serializable";
    MEDIA = c"tracespool.media" . c"LangfuseMedia";
    MEDIA_REFERENCE = c"tracespool.media" . c"LangfuseMediaReference";
    LANGFUSE_MEDIA = c"langfuse.media" . c"LangfuseMedia";
    LANGFUSE_MEDIA_REFERENCE = c"langfuse.media" . c"LangfuseMediaReference";
    MESSAGE = c"langchain_core.messages.base" . c"BaseMessage";
    DOCUMENT = c"langchain_core.documents.base" . c"Document";
    PROMPT_VALUE = c"langchain_core.prompt_values" . c"PromptValue";
    NUMPY_SCALAR = c"numpy" . c"generic";
    NUMPY_ARRAY = c"numpy" . c"ndarray";
}

/// Size of `sys.modules` at the last look.
static SEEN: AtomicIsize = AtomicIsize::new(-1);

/// Looks for classes whose modules were imported since the last time.
#[inline]
pub(super) fn refresh(py: Python<'_>) {
    // SAFETY: attached; the answer is borrowed from the interpreter and a dict in all but contrived programs, where
    // `PyDict_Size` says -1 and sets an exception that is cleared.
    unsafe {
        let modules = ffi::PyImport_GetModuleDict();
        let size = ffi::PyDict_Size(modules);
        if size < 0 {
            ffi::PyErr_Clear();
        } else if size != SEEN.swap(size, Ordering::Relaxed) {
            look(&Borrowed::from_ptr(py, modules));
        }
    }
}

#[cold]
fn look(modules: &Bound<'_, PyAny>) {
    let py = modules.py();
    let Ok(modules) = modules.cast::<PyDict>() else {
        return;
    };
    for known in ALL.iter().filter(|known| known.class.get(py).is_none()) {
        // By the module's dict, not by its attributes: a lazy module must not import anything for this.
        let class = modules
            .get_item(known.module)
            .ok()
            .flatten()
            .and_then(|module| module.cast_into::<PyModule>().ok())
            .and_then(|module| module.dict().get_item(known.name).ok().flatten())
            .and_then(|class| class.cast_into::<PyType>().ok());
        if let Some(class) = class {
            let _ = known.class.set(py, class.unbind());
        }
    }
}
