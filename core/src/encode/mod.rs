//! From values to final bytes, on the thread of the call that passes them.

pub mod foreign;
pub mod otlp;
pub mod protobuf;
pub mod reading;
pub mod scores;
