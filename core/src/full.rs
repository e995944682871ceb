//! Whether this build has everything, or is for tracing alone: WebAssembly is downloaded, and most that trace need no more.
//!
//! What a build for tracing alone leaves out (prompts, requests, media, scores, other dialects, spans of other
//! instrumentation) can only be made with a [`Full`], which is not to be had there: so the compiler sees that it never exists,
//! and leaves out what would be done with it.

/// Comes with whatever only a full build has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Full {
    /// It has.
    #[cfg(feature = "full")]
    Yes,
}

/// To be had in a full build alone.
#[cfg(feature = "full")]
pub const FULL: Option<Full> = Some(Full::Yes);
/// To be had in a full build alone.
#[cfg(not(feature = "full"))]
pub const FULL: Option<Full> = None;
