//! From values to final bytes, on the thread of the call that passes them.

mod counts;
pub mod dialect;
#[cfg(test)]
mod dialect_tests;
pub mod foreign;
mod gen_ai;
mod json;
mod messages;
mod openinference;
pub mod otlp;
pub mod protobuf;
mod provider;
pub mod reading;
pub mod scores;
pub mod stamps;
