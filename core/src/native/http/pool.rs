//! Idle connections, kept for the next request to the same origin.
//!
//! The route to an origin (TLS, proxy) follows from the origin alone, because one configuration serves the whole process, so
//! the origin is the key. The last one returned is the first one used again: the others age and are closed. A connection
//! older than 4 s idle is never handed out: load balancers and servers close theirs from 5 s on.

use std::sync::Arc;

/// Idle time after which a connection is closed.
pub(super) const MAX_IDLE: u64 = 4_000_000_000;
/// Idle connections of all origins together.
pub(super) const MAX_IDLE_CONNECTIONS: usize = 512;
/// How often aged connections are looked for.
pub(super) const SWEEP: u64 = 500_000_000;

struct Idle {
    place: usize,
    origin: Arc<str>,
    until: u64,
}

/// In the order in which they became idle. At most [`MAX_IDLE_CONNECTIONS`], so a scan is cheap.
#[derive(Default)]
pub(super) struct Pool {
    idle: Vec<Idle>,
}

impl Pool {
    /// The most recent live connection of an origin.
    pub(super) fn checkout(&mut self, origin: &Arc<str>, now: u64) -> Option<usize> {
        let same = |idle: &Idle| Arc::ptr_eq(&idle.origin, origin) || idle.origin == *origin;
        let found = self.idle.iter().rposition(|idle| idle.until > now && same(idle))?;
        Some(self.idle.remove(found).place)
    }

    /// Keeps a connection; returns the one that must be closed in its stead.
    #[must_use]
    pub(super) fn put(&mut self, place: usize, origin: Arc<str>, until: u64) -> Option<usize> {
        let evicted = (self.idle.len() >= MAX_IDLE_CONNECTIONS).then(|| self.idle.remove(0).place);
        self.idle.push(Idle { place, origin, until });
        evicted
    }

    /// Forgets one that turned out to be dead.
    pub(super) fn forget(&mut self, place: usize) {
        if let Some(found) = self.idle.iter().position(|idle| idle.place == place) {
            self.idle.remove(found);
        }
    }

    /// One connection that is past its time; `u64::MAX` for any.
    pub(super) fn expired(&mut self, now: u64) -> Option<usize> {
        let found = self.idle.iter().position(|idle| idle.until <= now)?;
        Some(self.idle.remove(found).place)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.idle.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.idle.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_youngest_of_an_origin_comes_first_and_never_an_aged_one() {
        let (a, b): (Arc<str>, Arc<str>) = ("http://a:80".into(), "http://b:80".into());
        let mut pool = Pool::default();
        for (place, origin) in [(1, &a), (2, &b), (3, &a)] {
            assert_eq!(pool.put(place, Arc::clone(origin), 100), None);
        }
        let other_allocation: Arc<str> = "http://a:80".into();
        assert_eq!(pool.checkout(&other_allocation, 99), Some(3));
        assert_eq!(pool.checkout(&b, 100), None);
        assert_eq!(pool.expired(100), Some(1));
        pool.forget(2);
        assert_eq!(pool.len(), 0);
    }

    #[test]
    fn the_oldest_makes_room() {
        let origin: Arc<str> = "http://a:80".into();
        let mut pool = Pool::default();
        for place in 0..MAX_IDLE_CONNECTIONS {
            assert_eq!(pool.put(place, Arc::clone(&origin), 1), None);
        }
        assert_eq!(pool.put(9_999, origin, 1), Some(0));
    }
}
