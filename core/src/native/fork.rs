//! Forking. The parent's export thread hands its state back before and goes on after; the child leaves everything that it
//! inherited where it is (no lock, no join, no destructor, no socket) and begins anew with its first data.

use std::sync::Once;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{existing, take};
use crate::id;

/// A fork does not wait longer than this for the export thread.
const PATIENCE: Duration = Duration::from_millis(50);

/// To be called in the parent before a fork, where the language offers that. Without it a fork is safe too, but the child
/// is born of a process with threads, which Python 3.12 warns of.
pub fn before() {
    if let Some(native) = existing() {
        native.exporter.pause(PATIENCE);
    }
}

/// To be called in the parent after a fork that [`before`] was called for.
pub fn after_in_parent() {
    if let Some(native) = existing() {
        native.exporter.resume();
    }
}

/// What the child does. Runs by itself inside `fork`; calling it again does nothing.
pub fn after_in_child() {
    id::reseed();
    // A hook that ran before this one may already have traced: what it made is this process's own.
    let inherited = existing().is_some_and(|native| native.pid != std::process::id());
    if inherited && let Some(native) = take() {
        native.process.shared.abandoned.store(true, Ordering::Release);
        // Its destructors would lock, join and close what belongs to the parent.
        std::mem::forget(native);
    }
}

/// Registers the child's part with the C library, so that every way to fork has it.
pub(super) fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        #[cfg(unix)]
        #[allow(unsafe_code)]
        // SAFETY: the handler is a plain function that stays valid for the life of the process, touches atomics only
        // and cannot unwind.
        unsafe {
            libc::pthread_atfork(None, None, Some(child));
        }
    });
}

#[cfg(unix)]
extern "C" fn child() {
    after_in_child();
}
