//! What the host provides: time and randomness, passed in, because there is no other way to either.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tracespool_core::attr::SCOPE_LANGFUSE;
use tracespool_core::config::ClientOptions;
use tracespool_core::encode::otlp::Envelope;
use tracespool_core::hosted::{Hosted, LIMITS};
use tracespool_core::process::{Clock, Process};
use tracespool_core::transport::Now;
use tracespool_core::{Client, VERSION, id, resource};

static MONO: AtomicU64 = AtomicU64::new(0);
static UNIX: AtomicU64 = AtomicU64::new(0);
static SEED: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

/// Added to the host's monotonic clock, so that "now minus a little" never underflows.
const HEAD_START: f64 = 3_600_000.0;
const NANOS: f64 = 1e6;

#[derive(Debug)]
struct Told;

impl Clock for Told {
    fn now(&self) -> Now {
        Now { mono: MONO.load(Ordering::Relaxed), unix: UNIX.load(Ordering::Relaxed) }
    }
}

/// Says what time it is, in milliseconds. The monotonic clock never goes back, whatever the host's does.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
pub(crate) fn tell(mono: f64, unix: f64) {
    MONO.fetch_max(((mono + HEAD_START) * NANOS) as u64, Ordering::Relaxed);
    UNIX.store((unix * NANOS) as u64, Ordering::Relaxed);
}

/// A monotonic moment in the host's milliseconds.
#[allow(clippy::cast_precision_loss)] // to the microsecond for centuries
pub(crate) fn moment(nanos: u64) -> f64 {
    if nanos == u64::MAX { f64::INFINITY } else { nanos as f64 / NANOS - HEAD_START }
}

/// Takes the host's random bytes, from which this instance's numbers grow.
pub(crate) fn seed(bytes: &[u8]) {
    for (word, bytes) in SEED.iter().zip(bytes.chunks_exact(8)) {
        let mut word_bytes = [0; 8];
        word_bytes.copy_from_slice(bytes);
        word.store(u64::from_le_bytes(word_bytes), Ordering::Relaxed);
    }
    id::seed_from(|out| {
        for (word, bytes) in SEED.iter().zip(out.chunks_mut(8)) {
            let fresh = word.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).to_le_bytes();
            bytes.copy_from_slice(&fresh[..bytes.len()]);
        }
        true
    });
    // Numbers may have been asked for before there was any randomness.
    id::reseed();
}

static PROCESS: OnceLock<Arc<Process>> = OnceLock::new();

thread_local! {
    static DRIVER: RefCell<Option<Hosted>> = const { RefCell::new(None) };
}

/// The instance's tracing. What the first client brings of the environment is what its requests name.
pub(crate) fn process(env: &dyn Fn(&str) -> Option<String>) -> Arc<Process> {
    PROCESS.get_or_init(|| made(env)).clone()
}

/// A process without a driver.
pub(crate) fn made(env: &dyn Fn(&str) -> Option<String>) -> Arc<Process> {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    crate::numbers::lend();
    let attributes = resource::attributes("webjs", env);
    let envelope = Envelope::new(&attributes, SCOPE_LANGFUSE, VERSION);
    Process::new(LIMITS, envelope, Box::new(Told))
}

/// The same, without an environment.
pub(crate) fn home() -> Arc<Process> {
    process(&|_| None)
}

/// A client in the environment that the host hands over.
pub(crate) fn open(options: ClientOptions, env: Option<HashMap<String, String>>) -> Client {
    let env = env.unwrap_or_default();
    let get = |name: &str| env.get(name).cloned();
    let _ = process(&get);
    Client::open_known(options, fingerprint(&env), &get, home)
}

/// Of all variables, in whatever order they come: FNV-1a of each, added up.
fn fingerprint(env: &HashMap<String, String>) -> u64 {
    let hash = |(name, value): (&String, &String)| {
        let bytes = name.bytes().chain([b'=']).chain(value.bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    env.iter().map(hash).fold(0, u64::wrapping_add)
}

/// Runs `work` on the driver.
pub(crate) fn driver<T>(work: impl FnOnce(&mut Hosted) -> T) -> T {
    DRIVER.with_borrow_mut(|driver| work(driver.get_or_insert_with(|| Hosted::new(home()))))
}
