//! The core for Node: conversions only.
//!
//! Carries ids and W3C trace context so far; clients and observations come with the TypeScript API.

use napi_derive::napi;
use tracespool_core::id::{TraceId, Traceparent};

/// This package's version.
#[napi]
#[must_use]
pub fn version() -> String {
    tracespool_core::VERSION.to_owned()
}

/// A trace id of 32 lower-case hexadecimal digits: random, or the one that a seed stands for.
#[napi]
#[must_use]
pub fn create_trace_id(seed: Option<String>) -> String {
    seed.map_or_else(TraceId::random, |seed| TraceId::from_seed(&seed)).to_string()
}

/// The trace id of a `traceparent` header; `null` where the W3C specification says to ignore the header.
#[napi]
#[must_use]
pub fn trace_id_of(traceparent: String) -> Option<String> {
    Traceparent::parse(&traceparent).map(|parsed| parsed.trace_id.to_string())
}
