//! tracespool's core: LLM tracing that costs a request microseconds and never memory, threads or a hang.
//!
//! A [`Client`] is a cheap handle on a destination (base URL, keys and headers). Its [`Observation`]s and scores are
//! encoded by the thread that passes them and handed to one [`pipeline::Pipeline`] for the whole process, a state machine
//! without I/O that decides what is sent when. With the `native` feature one export thread drives it over sockets; see
//! [`native`]. No other thread exists but short-lived name look-ups.
//!
//! Nothing here knows a language: bindings convert values and call this crate, so that a rule exists once.

pub mod admission;
pub mod attr;
pub mod backend;
pub mod budget;
pub mod client;
pub mod config;
pub mod control;
pub mod destination;
pub mod encode;
pub mod endpoint;
pub mod filter;
pub mod full;
pub mod held;
pub mod histogram;
pub mod hosted;
pub mod id;
pub mod interchange;
mod json;
pub mod key;
mod limits;
pub mod media;
#[cfg(feature = "native")]
pub mod native;
pub mod notice;
pub mod number;
pub mod observation;
pub mod pipeline;
pub mod process;
pub mod prompt;
pub mod propagate;
pub mod registry;
pub mod report;
pub mod resource;
pub mod retry_after;
pub mod sample;
pub mod score;
pub mod shared;
#[cfg(test)]
mod standing;
pub mod stats;
pub mod sync;
pub mod time;
pub mod transport;
mod upload;
pub mod values;

pub use client::{Chosen, Client};
pub use config::ClientOptions;
pub use encode::dialect::Dialect;
pub use held::Held;
pub use observation::{Observation, Raised, SpanContext, Start, TraceContext};
pub use report::Report;
pub use values::Values;

/// This crate's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
