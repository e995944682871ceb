//! Handles on clients: the core's client, the mask that runs on the caller's thread, and the list that `get_client`
//! chooses from.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};
use tracespool_core::Chosen;
use tracespool_core::backend::environment_name;
use tracespool_core::config::ClientOptions;
use tracespool_core::native;

use crate::client::Client;
use crate::names::names;
use crate::notices::problem;
use crate::options::{Extras, Options};
use crate::origin::Origin;

/// Handles remembered at most; as many as the core holds destinations.
const MAX_HANDLES: usize = 1024;

/// What stands in for content whose mask failed: Langfuse's own words.
pub(crate) const MASK_FAILED: &str = "<fully masked due to failed mask function>";

/// A core client and what only Python has.
pub(crate) struct Handle {
    pub(crate) core: tracespool_core::Client,
    masked: bool,
    mask: Mutex<Option<Py<PyAny>>>,
    options: Extras,
}

impl Handle {
    pub(crate) fn new(core: tracespool_core::Client, mask: Option<Py<PyAny>>) -> Self {
        Self { core, masked: mask.is_some(), mask: Mutex::new(mask), options: Extras::default() }
    }

    /// Makes a core client from the environment and what is passed.
    pub(crate) fn open(options: ClientOptions, mask: Option<Py<PyAny>>) -> Self {
        Self::new(native::open(options), mask)
    }

    /// With what the client was given of OpenTelemetry's.
    pub(crate) fn with(self, options: Options) -> Self {
        Self { options: Extras::new(options), ..self }
    }

    /// See [`Options`].
    pub(crate) fn options(&self) -> &Extras {
        &self.options
    }

    /// Whether something of the application's looks at finished observations.
    #[inline]
    pub(crate) fn is_staged(&self) -> bool {
        self.options.staged
    }

    /// Whether ids come from the application.
    #[inline]
    pub(crate) fn has_ids(&self) -> bool {
        self.options.has_ids
    }

    /// Asks for ids.
    #[cold]
    pub(crate) fn choose_ids(&self, chosen: &mut Chosen, begins_trace: bool) {
        self.options.choose(chosen, begins_trace, self.public_key());
    }

    pub(crate) fn public_key(&self) -> &str {
        &self.core.settings().public_key
    }

    /// Whether media are taken out of values and uploaded.
    #[inline]
    pub(crate) fn media(&self) -> bool {
        self.core.settings().media
    }

    /// Whether content goes through a mask.
    #[inline]
    pub(crate) fn masked(&self) -> bool {
        self.masked
    }

    /// `value` as the mask lets it pass; `None` where the mask failed, which is counted.
    ///
    /// # Errors
    ///
    /// What the mask raised that is no `Exception`.
    pub(crate) fn mask<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = value.py();
        let mask = self.mask.lock().as_ref().map(|mask| mask.clone_ref(py));
        let answer = match mask {
            Some(mask) => {
                let data = PyDict::new(py);
                data.set_item(names(py).data.bind(py), value)?;
                mask.bind(py).call((), Some(&data))
            }
            // The collector took the mask away from a client that nobody can reach; its observations still live.
            None => Err(PyException::new_err("the mask is gone")),
        };
        match answer {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_instance_of::<PyException>(py) => {
                self.core.count_mask_failure();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn traverse(&self, visit: &pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        // A lock that is taken means that somebody uses the client: not garbage. No thread can be waiting inside it.
        self.options.traverse(visit)?;
        self.mask.try_lock().and_then(|mask| mask.as_ref().map(|mask| visit.call(mask))).unwrap_or(Ok(()))
    }

    pub(crate) fn clear(&self) {
        let mask = self.mask.lock().take();
        drop(mask);
        self.options.clear();
    }
}

struct Held {
    client: Py<Client>,
    destination: u64,
    public_key: String,
}

/// Oldest first. The lock is held for looking and for moving references only.
static HANDLES: Mutex<Vec<Held>> = Mutex::new(Vec::new());
static CLIENT_CLASS: Mutex<Option<Py<PyType>>> = Mutex::new(None);
static DISABLED: Mutex<Option<Py<Client>>> = Mutex::new(None);

/// Remembers a client as the latest of its destination. One that is switched off stands for its key until one that is
/// not is made: what is traced without naming a client is meant to be off too.
pub(crate) fn remember(client: &Bound<'_, Client>) {
    let handle = &client.get().handle;
    let enabled = handle.core.enabled();
    if handle.public_key().is_empty() {
        return;
    }
    let destination = handle.core.destination_key();
    let held =
        Held { client: client.clone().unbind(), destination, public_key: handle.public_key().to_owned() };
    // What is not kept is let go of after the lock.
    let forgotten = {
        let mut handles = HANDLES.lock();
        let same_key = |other: &Held| other.public_key == held.public_key;
        if !enabled && handles.iter().any(same_key) {
            Some(held)
        } else {
            let at = handles.iter().position(|other| {
                (enabled && other.destination == destination)
                    || (same_key(other) && !other.client.get().handle.core.enabled())
            });
            let surplus = at.or_else(|| (handles.len() >= MAX_HANDLES).then_some(0));
            let forgotten = surplus.map(|at| handles.remove(at));
            handles.push(held);
            forgotten
        }
    };
    drop(forgotten);
}

/// Forgets the clients that match.
pub(crate) fn forget(matches: impl Fn(&Handle) -> bool) {
    let mut forgotten = Vec::new();
    {
        let mut handles = HANDLES.lock();
        let (gone, kept) =
            std::mem::take(&mut *handles).into_iter().partition(|held| matches(&held.client.get().handle));
        *handles = kept;
        forgotten.extend(gone.into_iter().map(|held: Held| held.client));
    }
    drop(forgotten);
}

/// The latest client of this public key.
fn find<'py>(py: Python<'py>, public_key: &str) -> Option<Bound<'py, Client>> {
    let handles = HANDLES.lock();
    handles.iter().rev().find(|held| held.public_key == public_key).map(|held| held.client.bind(py).clone())
}

/// The clients that are remembered, oldest first: the latest of each destination.
#[pyfunction]
pub(crate) fn clients(py: Python<'_>) -> Vec<Py<Client>> {
    HANDLES.lock().iter().map(|held| held.client.clone_ref(py)).collect()
}

fn only<'py>(py: Python<'py>) -> Option<Bound<'py, Client>> {
    match HANDLES.lock().as_slice() {
        [held] => Some(held.client.bind(py).clone()),
        _ => None,
    }
}

/// The Python object of a handle: the one it was made with where that is still known.
pub(crate) fn object<'py>(py: Python<'py>, handle: &Arc<Handle>) -> PyResult<Bound<'py, Client>> {
    let known = {
        let handles = HANDLES.lock();
        handles
            .iter()
            .rev()
            .map(|held| held.client.bind(py))
            .find(|client| Arc::ptr_eq(&client.get().handle, handle))
            .cloned()
    };
    match known {
        Some(client) => Ok(client),
        None => wrap(py, Adopted { handle: handle.clone() }),
    }
}

/// A handle on its way into a new object of the public class.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct Adopted {
    pub(crate) handle: Arc<Handle>,
}

fn wrap(py: Python<'_>, adopted: Adopted) -> PyResult<Bound<'_, Client>> {
    let options = PyDict::new(py);
    options.set_item("_handle", Py::new(py, adopted)?)?;
    let class = CLIENT_CLASS.lock().as_ref().map(|class| class.bind(py).clone());
    let class = class.unwrap_or_else(|| py.get_type::<Client>());
    Ok(class.call((), Some(&options))?.cast_into::<Client>()?)
}

/// Names the public class, which adds to the native one.
#[pyfunction]
#[pyo3(signature = (class_, /))]
pub(crate) fn register_client_class(class_: Py<PyType>) {
    *CLIENT_CLASS.lock() = Some(class_);
}

/// The client for a call that names none (or only a key): see the Python function of this name.
///
/// # Errors
///
/// None in practice: making an object failed.
pub(crate) fn resolve(py: Python<'_>, public_key: Option<&str>) -> PyResult<Arc<Handle>> {
    if public_key.is_none()
        && let Some(handle) = Origin::read(py)?.handle()
    {
        return Ok(handle.clone());
    }
    resolve_root(py, public_key).map(|client| client.get().handle.clone())
}

/// The same outside of any observation. `Err` says whether the environment names a client that cannot be used.
fn known<'py>(py: Python<'py>, public_key: Option<&str>) -> PyResult<Result<Bound<'py, Client>, bool>> {
    let mut environment = std::env::var("LANGFUSE_PUBLIC_KEY").ok().filter(|key| !key.trim().is_empty());
    let mut found = public_key.or(environment.as_deref()).and_then(|key| find(py, key));
    if found.is_none() {
        // Looked for only here: an endpoint in the environment is rare, and reading it is not free.
        environment = environment_name(&native::env);
        found = match (public_key, environment.as_deref()) {
            (Some(_), _) => None,
            (None, Some(name)) => find(py, name),
            (None, None) => only(py),
        };
    }
    if let Some(client) = found {
        return Ok(Ok(client));
    }
    let named = environment.as_deref().is_some_and(|key| public_key.is_none_or(|wanted| wanted == key));
    if named {
        let client = wrap(py, Adopted { handle: Arc::new(Handle::open(ClientOptions::default(), None)) })?;
        remember(&client);
        if client.get().handle.core.enabled() {
            return Ok(Ok(client));
        }
    }
    Ok(Err(named))
}

/// The same, and a client that records nothing where there is none.
fn resolve_root<'py>(py: Python<'py>, public_key: Option<&str>) -> PyResult<Bound<'py, Client>> {
    let unusable = match known(py, public_key)? {
        Ok(client) => return Ok(client),
        Err(unusable) => unusable,
    };
    if unusable {
        // That has been told.
    } else if let Some(key) = public_key {
        problem(
            key,
            "there is no client of this public key: nothing is traced. Make one with Client(public_key=..., secret_key=...) first",
        );
    } else {
        problem(
            "",
            "there is no client, or several, and none is named: nothing is traced. Pass public_key, or use one with `with client.use():`",
        );
    }
    disabled(py)
}

fn disabled(py: Python<'_>) -> PyResult<Bound<'_, Client>> {
    let known = DISABLED.lock().as_ref().map(|client| client.bind(py).clone());
    if let Some(client) = known {
        return Ok(client);
    }
    let options = ClientOptions { tracing_enabled: Some(false), ..ClientOptions::default() };
    let client = wrap(py, Adopted { handle: Arc::new(Handle::open(options, None)) })?;
    let before = DISABLED.lock().replace(client.clone().unbind());
    drop(before);
    Ok(client)
}

/// What `get_client` gives outside of any observation; `None` where that would record nothing for want of a client.
#[pyfunction]
#[pyo3(signature = (public_key = None, /))]
pub(crate) fn default_client<'py>(
    py: Python<'py>,
    public_key: Option<&str>,
) -> PyResult<Option<Bound<'py, Client>>> {
    Ok(known(py, public_key)?.ok())
}

/// Called whenever a client has been made that has no tracer provider of its own.
static ON_CLIENT: Mutex<Option<Py<PyAny>>> = Mutex::new(None);

/// Sets what is called, `None` for nothing.
#[pyfunction]
#[pyo3(signature = (callback, /))]
pub(crate) fn on_client(callback: Option<Py<PyAny>>) {
    let before = std::mem::replace(&mut *ON_CLIENT.lock(), callback);
    drop(before);
}

/// A client has been made.
pub(crate) fn made(py: Python<'_>) -> PyResult<()> {
    let callback = ON_CLIENT.lock().as_ref().map(|callback| callback.clone_ref(py));
    callback.map_or(Ok(()), |callback| callback.bind(py).call0().map(drop))
}

/// See `tracespool.get_client`.
#[pyfunction]
#[pyo3(signature = (*, public_key = None))]
pub(crate) fn get_client<'py>(
    py: Python<'py>,
    public_key: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, Client>> {
    let public_key = match public_key {
        Some(key) => match key.extract::<&str>() {
            Ok(key) => Some(key),
            Err(_) => {
                problem("", "get_client: public_key is no str; it is ignored");
                None
            }
        },
        None => None,
    };
    if public_key.is_none()
        && let Some(handle) = Origin::read(py)?.handle()
    {
        return object(py, handle);
    }
    resolve_root(py, public_key)
}
