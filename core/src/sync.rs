//! Locks, channels and pointers that change hands. On a host without threads they are what they come to there: what
//! waits for another thread has no place in a module that is downloaded.

#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
mod host {
    pub use arc_swap::{ArcSwap, ArcSwapOption};
    pub use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, unbounded};
    pub use parking_lot::{Condvar, Mutex};
}
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
#[path = "sync/alone.rs"]
mod host;

pub use host::*;
