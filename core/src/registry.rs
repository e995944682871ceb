//! The cache of destinations, by key. Making a client for a known key is a lookup. What nobody uses is forgotten: idle
//! and empty destinations first; others are closed with a flush.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use crate::client::ClientInner;
use crate::config::{ClientOptions, ClientSettings, EVICTION_FLUSH, MAX_CLOSING};
use crate::destination::{Destination, nanos};
use crate::endpoint::Endpoint;
use crate::key::DestinationKey;
use crate::map::Map;
use crate::notice::NoticeKind;
use crate::number::Digits;
use crate::process::{Process, Ticket};

/// Evictions of destinations in use, within one idle TTL, that make a cache a thrashing one.
const THRASHING: u32 = 16;

/// What the cache holds.
#[derive(Debug, Default)]
pub struct Registry {
    destinations: Map<DestinationKey, Held>,
    next_id: u64,
    /// Destinations that have been evicted with data in them.
    closing: VecDeque<(Arc<Destination>, Ticket)>,
    evicted: u32,
    /// Closed destinations that somebody still holds: their counts are not yet among the retired ones.
    closed: Vec<Weak<Destination>>,
    /// Which destination options led to last, by their hash: a guess that is checked against the options themselves.
    guesses: Map<u64, DestinationKey>,
}

#[derive(Debug)]
struct Held {
    destination: Arc<Destination>,
    /// The latest handle's settings: what `get_client` brings back.
    settings: Arc<ClientInner>,
    /// What the latest handle was asked for, and in which environment.
    asked: Option<(ClientOptions, u64)>,
}

impl Registry {
    /// Every destination that still holds or counts something, closed ones included.
    pub(crate) fn all(&self) -> Vec<Arc<Destination>> {
        let held = self.destinations.values().map(|held| held.destination.clone());
        held.chain(self.closed.iter().filter_map(Weak::upgrade)).collect()
    }

    /// Takes one out for good.
    fn remove(&mut self, key: DestinationKey) -> Option<Arc<Destination>> {
        let destination = self.destinations.remove(&key)?.destination;
        destination.closed.store(true, Ordering::Release);
        if self.closed.len() >= 64 && self.closed.len().is_power_of_two() {
            self.closed.retain(|closed| closed.strong_count() > 0);
        }
        self.closed.push(Arc::downgrade(&destination));
        Some(destination)
    }

    /// The handle that the very same options gave in the very same environment.
    pub(crate) fn known(
        &mut self,
        options: &ClientOptions,
        environment: u64,
        now: u64,
    ) -> Option<Arc<ClientInner>> {
        let held = self.destinations.get(self.guesses.get(&guess(options, environment))?)?;
        let (asked, then) = held.asked.as_ref()?;
        if asked != options || *then != environment {
            return None;
        }
        held.destination.last_used.store(now, Ordering::Relaxed);
        Some(held.settings.clone())
    }

    /// Remembers what a handle was asked for.
    pub(crate) fn remember(
        &mut self,
        handle: &Arc<ClientInner>,
        key: DestinationKey,
        options: ClientOptions,
        environment: u64,
    ) {
        if self.guesses.len() > 64 + 2 * self.destinations.len() {
            self.guesses.clear();
        }
        if let Some(held) = self.destinations.get_mut(&key) {
            self.guesses.insert(guess(&options, environment), key);
            held.settings = handle.clone();
            held.asked = Some((options, environment));
        }
    }

    /// How many destinations are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.destinations.len()
    }

    /// True where none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.destinations.is_empty()
    }

    /// The latest handle of the destinations with this public key, or of all.
    pub(crate) fn handles(&self, public_key: Option<&str>) -> Vec<Arc<ClientInner>> {
        self.destinations
            .values()
            .filter(|held| held.settings.enabled())
            .filter(|held| public_key.is_none_or(|key| held.destination.public_key == key))
            .map(|held| held.settings.clone())
            .collect()
    }

    /// Takes out what matches, for closing it.
    pub(crate) fn take(&mut self, matches: impl Fn(&Destination) -> bool) -> Vec<Arc<Destination>> {
        let keys: Vec<DestinationKey> = self
            .destinations
            .iter()
            .filter(|(_, held)| matches(&held.destination))
            .map(|(key, _)| *key)
            .collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }
}

#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
type Guess = std::hash::DefaultHasher;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
type Guess = crate::pipeline::ids::IdHasher;

fn guess(options: &ClientOptions, environment: u64) -> u64 {
    // It is checked against the options themselves.
    let mut hasher = Guess::default();
    environment.hash(&mut hasher);
    options.public_key.hash(&mut hasher);
    options.base_url.hash(&mut hasher);
    options.otlp_endpoint.hash(&mut hasher);
    options.additional_headers.hash(&mut hasher);
    hasher.finish()
}

impl Process {
    /// The destination for these settings: the one held, or a new one.
    pub(crate) fn destination(
        &self,
        settings: &ClientSettings,
        endpoint: &Endpoint,
        handle: &Arc<ClientInner>,
    ) -> Arc<Destination> {
        let now = self.mono();
        let mut registry = self.registry.lock();
        if let Some(held) = registry.destinations.get_mut(&settings.key) {
            held.destination.adopt(settings, now);
            if !Arc::ptr_eq(&held.settings, handle) && handle.enabled() {
                held.settings = handle.clone();
                held.asked = None;
            }
            return held.destination.clone();
        }
        registry.next_id += 1;
        let limits = &self.shared.limits;
        let destination = Destination::new(
            registry.next_id,
            settings,
            Arc::new(endpoint.clone()),
            limits.destination_bytes,
            self.shared.retired.clone(),
            now,
        );
        let destination = destination.within(settings.envelope(&self.shared.envelope.load()));
        let destination = Arc::new(destination.growing_to(limits.borrowed_bytes));
        registry.destinations.insert(
            settings.key,
            Held { destination: destination.clone(), settings: handle.clone(), asked: None },
        );
        if registry.destinations.len() > limits.max_destinations {
            self.evict(&mut registry, &destination, now);
        }
        destination
    }

    /// Forgets destinations beyond the limit, a sixteenth more than necessary, so that a full cache is not searched for
    /// every new key.
    fn evict(&self, registry: &mut Registry, newest: &Arc<Destination>, now: u64) {
        let limits = &self.shared.limits;
        let keep = limits.max_destinations - limits.max_destinations / 16;
        let mut oldest: Vec<(bool, u64, DestinationKey)> = registry
            .destinations
            .iter()
            .filter(|(_, held)| !Arc::ptr_eq(&held.destination, newest))
            .map(|(key, held)| {
                let busy = held.destination.bytes() > 0 || held.destination.tally().pending > 0;
                (busy, held.destination.last_used.load(Ordering::Relaxed), *key)
            })
            .collect();
        let surplus = registry.destinations.len().saturating_sub(keep.max(1));
        oldest.sort_unstable_by_key(|(busy, used, _)| (*busy, *used));
        for (busy, used, key) in oldest.into_iter().take(surplus) {
            if now.saturating_sub(used) < nanos(limits.idle_ttl) / 30 {
                registry.evicted += 1;
            }
            self.close(registry, key, busy);
        }
        if registry.evicted >= THRASHING {
            registry.evicted = 0;
            self.shared.notices.add(NoticeKind::CacheThrashing, "", 1, now, || {
                let most = Digits::of(limits.max_destinations as u64);
                ["more than ", most.as_str(), " clients are in use at once; raise TRACESPOOL_MAX_CLIENTS"]
                    .concat()
            });
        }
    }

    pub(crate) fn forget_prompts(&self, key: DestinationKey) {
        if let Some(prompts) = &self.prompts {
            prompts.lock().purge(key);
        }
    }

    fn close(&self, registry: &mut Registry, key: DestinationKey, busy: bool) {
        let Some(destination) = registry.remove(key) else {
            return;
        };
        self.forget_prompts(key);
        if !busy {
            return;
        }
        registry.closing.retain(|(_, ticket)| ticket.poll().is_none());
        while registry.closing.len() >= MAX_CLOSING {
            if let Some((oldest, _)) = registry.closing.pop_front() {
                drop(self.begin_flush_of(vec![oldest], std::time::Duration::ZERO, true));
            }
        }
        let ticket = self.begin_flush_of(vec![destination.clone()], EVICTION_FLUSH, true);
        registry.closing.push_back((destination, ticket));
    }

    /// Forgets what has been idle for its time. Drivers call this now and then.
    pub fn sweep(&self) {
        let now = self.mono();
        let ttl = nanos(self.shared.limits.idle_ttl);
        let mut registry = self.registry.lock();
        registry.closing.retain(|(_, ticket)| ticket.poll().is_none());
        let idle: Vec<(DestinationKey, bool)> = registry
            .destinations
            .iter()
            .filter_map(|(key, held)| {
                let busy = held.destination.bytes() > 0;
                let unused = now.saturating_sub(held.destination.last_used.load(Ordering::Relaxed));
                // Data that still waits for its server has its own age to live.
                let after = if busy { ttl.saturating_add(nanos(self.shared.limits.max_age)) } else { ttl };
                (unused >= after).then_some((*key, busy))
            })
            .collect();
        for (key, busy) in idle {
            self.close(&mut registry, key, busy);
        }
    }
}
