//! The Python face of tracespool: conversions only, the core decides.
mod value;

use pyo3::prelude::*;

/// What `value` becomes in a trace: JSON text, a `str` as it is.
#[pyfunction]
#[pyo3(signature = (value, /))]
fn encode(value: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let mut scratch = value::Scratch::take();
    Ok(match value::capture_text(value, &mut scratch)? {
        value::Captured::Absent => None,
        value::Captured::Text(text) => Some(text.to_owned()),
        _ => Some(String::from_utf8_lossy(&scratch).into_owned()),
    })
}

#[pyfunction]
fn bench(value: &Bound<'_, PyAny>, n: u32) -> PyResult<f64> {
    let mut scratch = value::Scratch::take();
    let start = std::time::Instant::now();
    for _ in 0..n { scratch.clear(); value::encode(value, &mut scratch)?; }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(n))
}

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::{encode, bench};
}
