//! Whether this build has everything, or is for tracing alone: WebAssembly is downloaded, and most that trace need no more.
//!
//! What a build for tracing alone leaves out (prompts, requests, media, scores, other dialects, spans of other
//! instrumentation) stands in a [`Gated`], which takes a [`Full`] to make, and that is not to be had there: so the compiler
//! sees that it never exists, and leaves out what would be done with it.

use std::fmt;
use std::ops::{Deref, DerefMut};

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

/// What exists in a full build alone.
#[cfg(feature = "full")]
#[derive(Clone)]
pub struct Gated<T>(T);
/// What exists in a full build alone.
#[cfg(not(feature = "full"))]
#[derive(Clone)]
pub struct Gated<T>(Full, std::marker::PhantomData<T>);

#[cfg(feature = "full")]
impl<T> Gated<T> {
    /// Makes it.
    pub fn new(inner: T, _: Full) -> Self {
        Self(inner)
    }

    /// Takes it out.
    pub fn into_inner(self) -> T {
        self.0
    }
}

#[cfg(feature = "full")]
impl<T> Deref for Gated<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(feature = "full")]
impl<T> DerefMut for Gated<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

#[cfg(not(feature = "full"))]
impl<T> Gated<T> {
    /// Never called.
    pub fn new(_: T, full: Full) -> Self {
        match full {}
    }

    /// Never called.
    pub fn into_inner(self) -> T {
        match self.0 {}
    }
}

#[cfg(not(feature = "full"))]
impl<T> Deref for Gated<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self.0 {}
    }
}

#[cfg(not(feature = "full"))]
impl<T> DerefMut for Gated<T> {
    fn deref_mut(&mut self) -> &mut T {
        match self.0 {}
    }
}

impl<T: fmt::Debug> fmt::Debug for Gated<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
