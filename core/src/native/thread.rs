//! The export thread, and those for look-ups, which it starts itself, take no signals: those are for the application's threads. A signal that the system hands to the
//! export thread instead interrupts nobody, and a Python program that sleeps would learn of its SIGTERM when it wakes.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread with a small stack.
///
/// # Errors
///
/// Where the system grants none.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    stack: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    // The new thread begins with the mask of the one that starts it, so there is no moment in between.
    let _masked = Masked::new();
    Builder::new().name(name.to_owned()).stack_size(stack).spawn(work)
}

/// Signals are kept from this thread for as long as this lives.
struct Masked {
    #[cfg(unix)]
    before: Option<libc::sigset_t>,
}

impl Masked {
    #[cfg(unix)]
    #[allow(unsafe_code)]
    fn new() -> Self {
        // What a thread does to itself is not kept from it: a crash is to be seen where it happens.
        const OWN: [libc::c_int; 6] =
            [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT];
        // SAFETY: both sets are ours and are written before they are read; the calls touch nothing else.
        unsafe {
            let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&raw mut all);
            for signal in OWN {
                libc::sigdelset(&raw mut all, signal);
            }
            let failed = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before);
            Self { before: (failed == 0).then_some(before) }
        }
    }

    #[cfg(not(unix))]
    fn new() -> Self {
        Self {}
    }
}

#[cfg(unix)]
impl Drop for Masked {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // SAFETY: the set was filled by the call that it undoes.
            unsafe {
                libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut());
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    fn blocked() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    }

    #[test]
    fn its_signals_go_to_the_applications_threads() {
        let before = blocked();
        let inside = spawn("masked", 64 * 1024, blocked).unwrap().join().unwrap();
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGCHLD, libc::SIGPROF] {
            assert_ne!(inside & (1 << (signal - 1)), 0, "{signal}");
        }
        assert_eq!(inside & (1 << (libc::SIGSEGV - 1)), 0);
        assert_eq!(blocked(), before);
    }
}
