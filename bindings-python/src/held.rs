//! `Held`: a finished span on its way through the application's own filter, mask or exporter.

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tracespool_core::encode::foreign::Foreign;
use tracespool_core::encode::reading::{Read, Reading};
use tracespool_core::report::DropReason;

use crate::attributes;
use crate::value::for_each_item;

/// See the module. Each span can be handed over once; dropping it counts it as `after_goodbye`.
#[pyclass(frozen, module = "tracespool._native")]
pub(crate) struct Held(pub(crate) Mutex<Option<tracespool_core::Held>>);

impl Held {
    pub(crate) fn new(held: tracespool_core::Held) -> Self {
        Self(Mutex::new(Some(held)))
    }
}

#[pymethods]
impl Held {
    /// The span as `(name, trace_id, span_id, parent_id, kind, start, end, status, message, attributes)`: ids as numbers, 0
    /// for no parent. `None` once it has been handed over.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let payload = match &*self.0.lock() {
            Some(held) => held.payload().to_vec(),
            None => return Ok(None),
        };
        let Some(reading) = Reading::of(&payload) else {
            return Ok(None);
        };
        let attributes = PyDict::new(py);
        for (key, value) in &reading.attributes {
            attributes.set_item(*key, read(py, value)?)?;
        }
        let parent = reading.parent.map_or(0, |parent| u64::from_be_bytes(parent.0));
        let fields = (
            reading.name,
            u128::from_be_bytes(reading.trace_id.0),
            u64::from_be_bytes(reading.span_id.0),
            parent,
            reading.kind,
            reading.start,
            reading.end,
            reading.status.0,
            reading.status.1,
            attributes,
        );
        fields.into_pyobject(py).map(Some)
    }

    /// False once it has been handed over.
    #[getter]
    fn waits(&self) -> bool {
        self.0.lock().is_some()
    }

    /// Takes attributes out and sets others. Values that no server reads are left out; their keys are returned.
    #[pyo3(signature = (without, added, /))]
    fn patch(&self, without: Vec<String>, added: &Bound<'_, PyDict>) -> PyResult<Vec<String>> {
        // Encoded without the lock: that may run the application's code.
        let mut keys = without;
        let (mut foreign, mut wrong) = (Foreign::new(), Vec::new());
        for_each_item(added, |key, value| {
            let key: String = key.extract()?;
            if value.is_none() || !attributes::attribute(&mut foreign, &key, value)? {
                wrong.push(key.clone());
            }
            keys.push(key);
            Ok(())
        })?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        if let Some(held) = self.0.lock().as_mut() {
            held.patch(&keys, foreign.attributes());
        }
        Ok(wrong)
    }

    /// Leaves only what is no content: a mask failed, which is counted.
    fn strip(&self) {
        if let Some(held) = self.0.lock().as_mut() {
            held.strip();
        }
    }

    /// Sends it.
    pub(crate) fn submit(&self) {
        if let Some(held) = self.take() {
            held.submit();
        }
    }

    /// Counts it as delivered by somebody else.
    fn delivered(&self) {
        if let Some(held) = self.take() {
            held.delivered();
        }
    }

    /// Lets go of it uncounted: it was not to be sent.
    pub(crate) fn discard(&self) {
        if let Some(held) = self.take() {
            held.discard();
        }
    }

    /// Gives it up: another exporter did not take it.
    pub(crate) fn rejected(&self) {
        if let Some(held) = self.take() {
            held.refuse(DropReason::Rejected);
        }
    }
}

impl Held {
    fn take(&self) -> Option<tracespool_core::Held> {
        self.0.lock().take()
    }
}

fn read<'py>(py: Python<'py>, value: &Read<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Read::Str(text) => text.into_pyobject(py)?.into_any(),
        Read::Bool(flag) => flag.into_pyobject(py)?.to_owned().into_any(),
        Read::Int(number) => number.into_pyobject(py)?.into_any(),
        Read::Double(number) => number.into_pyobject(py)?.into_any(),
        Read::List(values) => {
            let values: Vec<Bound<'py, PyAny>> =
                values.iter().map(|value| read(py, value)).collect::<PyResult<_>>()?;
            PyTuple::new(py, values)?.into_any()
        }
    })
}
