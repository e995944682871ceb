//! Node's environments: the main thread's, and one for each worker that has loaded the module.
//!
//! What they trace lives in the process, so that a worker that ends loses nothing. Where the last environment ends and the
//! main thread never loaded the module, nobody else would say goodbye.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use napi::{Env, Result};
use napi_derive::{module_init, napi};
use tracespool_core::config::GOODBYE;

use crate::exit;

/// Environments that hold the module.
static LOADED: AtomicUsize = AtomicUsize::new(0);
/// One of them is the main thread's: its exit hook says goodbye for all.
static HAS_MAIN: AtomicBool = AtomicBool::new(false);

#[module_init]
fn init() {
    // Before anything is traced, so that it is told in every request.
    tracespool_core::native::describe("nodejs");
}

/// To be called once by each environment, `main` for the main thread's. Its end is counted; a worker's last observations
/// are sent before the last one's end where there is no main thread to do it.
///
/// # Errors
///
/// Where Node takes no hook.
#[napi]
pub fn enter(env: Env, main: bool) -> Result<()> {
    if main {
        HAS_MAIN.store(true, Ordering::Release);
    }
    LOADED.fetch_add(1, Ordering::AcqRel);
    let hook = env.add_env_cleanup_hook((), |()| {
        let last = LOADED.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && !HAS_MAIN.load(Ordering::Acquire) {
            exit::drain(GOODBYE);
        }
    });
    hook.map(drop)
}

/// True where the main thread has loaded the module and says goodbye.
#[napi]
#[must_use]
pub fn has_main() -> bool {
    HAS_MAIN.load(Ordering::Acquire)
}
