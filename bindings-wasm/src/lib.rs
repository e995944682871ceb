//! The core for edge runtimes and browsers: conversions only.
//!
//! Carries ids and W3C trace context so far; the pipeline itself builds for this target and is driven by the host's
//! `fetch` in a later release.

use tracespool_core::id::{TraceId, Traceparent};
use wasm_bindgen::prelude::wasm_bindgen;

/// Runs when the module is instantiated.
#[wasm_bindgen(start)]
pub fn start() {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    tracespool_core::id::seed_from(|bytes| getrandom::fill(bytes).is_ok());
}

/// This package's version.
#[wasm_bindgen]
#[must_use]
pub fn version() -> String {
    tracespool_core::VERSION.to_owned()
}

/// A trace id of 32 lower-case hexadecimal digits: random, or the one that a seed stands for.
#[wasm_bindgen(js_name = createTraceId)]
#[must_use]
pub fn create_trace_id(seed: Option<String>) -> String {
    seed.map_or_else(TraceId::random, |seed| TraceId::from_seed(&seed)).to_string()
}

/// The trace id of a `traceparent` header; `undefined` where the W3C specification says to ignore the header.
#[wasm_bindgen(js_name = traceIdOf)]
#[must_use]
pub fn trace_id_of(traceparent: &str) -> Option<String> {
    Traceparent::parse(traceparent).map(|parsed| parsed.trace_id.to_string())
}
