//! What a binding hands over as text where its values live in another heap: a whole observation at once, options, scores,
//! scopes, and what comes back for them. Crossing once with a text costs less than crossing for every field, and the
//! native module and WebAssembly read the very same bytes.
//!
//! [`session::Session`] is all of it: the handles and tickets of one JavaScript environment.

pub mod answers;
mod members;
pub mod options;
pub(crate) mod pack;
pub mod record;
pub mod scope;
pub mod score;
pub mod session;
pub mod span;
