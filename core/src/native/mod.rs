//! Threads, sockets, fork and exit: what a native process adds to the core.
//!
//! There is one [`Process`] at a time, made at the first need. Its export thread starts with the first data, sleeps while
//! there is nothing to do, and ends after 30 s without work.

pub mod clock;
pub mod control;
pub mod exit;
pub mod exporter;
pub mod fork;
pub mod http;
pub mod proxy;
mod thread;
pub mod tls;

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

use self::exporter::Exporter;
use self::http::NetConfig;
use crate::attr::SCOPE_LANGFUSE;
use crate::config::Limits;
use crate::encode::otlp::Envelope;
use crate::notice::NoticeKind;
use crate::process::{Clock, Process};
use crate::resource;
use crate::transport::Now;

static CURRENT: ArcSwapOption<Native> = ArcSwapOption::const_empty();
static LANGUAGE: OnceLock<&'static str> = OnceLock::new();

/// A process and what runs it.
pub(crate) struct Native {
    pub(crate) process: Arc<Process>,
    pub(crate) exporter: Arc<Exporter>,
    pub(crate) net: Arc<NetConfig>,
    /// The process that made it.
    pub(crate) pid: u32,
}

/// Reads the real clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        clock::now()
    }

    fn unix(&self) -> u64 {
        clock::unix()
    }

    fn mono(&self) -> u64 {
        clock::mono()
    }
}

/// Says which language this core serves (`python`, `nodejs`, `rust`); it goes out as `telemetry.sdk.language`. To be
/// called before the first client is made; later calls change nothing.
pub fn describe(language: &'static str) {
    let _ = LANGUAGE.set(language);
    // Ids may be made, and the process forked, before there is anything to trace.
    fork::install();
}

/// Reads an environment variable; what is not Unicode is as good as unset.
#[must_use]
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A fingerprint of the environment: it changes with every variable that is set or removed. `None` where the system has
/// no cheap way to tell.
#[must_use]
pub fn env_fingerprint() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        #[allow(unsafe_code)] // a declaration of the C library's own
        unsafe extern "C" {
            static environ: *const *const libc::c_char;
        }
        let mut hash = 0u64;
        #[allow(unsafe_code)]
        // SAFETY: the C library keeps a null-terminated array here; reading it is as safe as `getenv`, which does the
        // same. Only the addresses are used: setting a variable makes a new string.
        unsafe {
            let mut at = environ;
            while !at.is_null() && !(*at).is_null() {
                hash = (hash ^ *at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
                at = at.add(1);
            }
        }
        Some(hash)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// A client in the environment of this process; see [`crate::Client::open`].
#[must_use]
pub fn open(options: crate::ClientOptions) -> crate::Client {
    match env_fingerprint() {
        Some(fingerprint) => crate::Client::open_known(options, fingerprint, &env, current),
        None => crate::Client::open(options, &env, current),
    }
}

/// The process's tracing. Made at the first call, and anew in the child of a fork.
#[must_use]
pub fn current() -> Arc<Process> {
    native().process.clone()
}

/// How this process reaches the network, for synchronous calls.
#[must_use]
pub fn net() -> Arc<NetConfig> {
    native().net.clone()
}

pub(crate) fn native() -> Arc<Native> {
    if let Some(native) = CURRENT.load_full() {
        return native;
    }
    fork::install();
    let made = Arc::new(make());
    // Where two threads made one at the same time the first stays, and the other was never used.
    let before = CURRENT.compare_and_swap(&None::<Arc<Native>>, Some(made.clone()));
    match before.as_ref() {
        Some(first) => first.clone(),
        None => made,
    }
}

/// The one there is, where there is one.
pub(crate) fn existing() -> Option<Arc<Native>> {
    CURRENT.load_full()
}

/// Leaves the one there is behind, for good.
pub(crate) fn take() -> Option<Arc<Native>> {
    CURRENT.swap(None)
}

fn make() -> Native {
    let mut problems = Vec::new();
    let limits = Limits::from_env(&env, &mut problems);
    let net = Arc::new(NetConfig::from_env(&env));
    problems.extend(net.warnings());
    let envelope = Envelope::new(
        &resource::attributes(LANGUAGE.get().copied().unwrap_or("rust"), &env),
        SCOPE_LANGFUSE,
        crate::VERSION,
    );
    let process = Process::new(limits, envelope, Box::new(SystemClock));
    for problem in problems {
        process.shared.notices.add(NoticeKind::Configuration, "", 1, clock::mono(), || problem.clone());
    }
    let exporter = Exporter::new(&process, net.clone());
    process.set_driver(Box::new(exporter.clone()));
    Native { process, exporter, net, pid: std::process::id() }
}
