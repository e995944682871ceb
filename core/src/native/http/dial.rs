//! Opening a connection to the first of several addresses that answers.
//!
//! The families take turns, 250 ms apart (RFC 8305), so that a broken IPv6 path costs a quarter of a second and not the
//! request; an address that refuses hands over to the next at once. All together have 2 s.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::Registry;

use super::connection::Connection;
use super::slab::Slab;

/// How long one address may keep the next waiting.
const HEAD_START: u64 = 250_000_000;
/// How long all of them may take.
const LIMIT: u64 = 2_000_000_000;

pub(super) struct Dial {
    targets: VecDeque<SocketAddr>,
    racing: Vec<usize>,
    next_at: u64,
    until: u64,
    last: Option<io::Error>,
}

/// How a race stands.
pub(super) enum Race {
    /// This connection won; the others are closed.
    Won(usize),
    /// Look again at this time, or when a socket says something.
    Running(u64),
    /// No address answered in time.
    TimedOut,
    /// Every address was refused; the last reason.
    Lost(io::Error),
}

impl Dial {
    pub(super) fn new(addresses: &[IpAddr], port: u16, now: u64) -> Self {
        Self {
            targets: take_turns(addresses).map(|ip| SocketAddr::new(ip, port)).collect(),
            racing: Vec::new(),
            next_at: now,
            until: now + LIMIT,
            last: None,
        }
    }

    /// Moves the race on.
    pub(super) fn step(
        &mut self,
        connections: &mut Slab<Connection>,
        registry: &Registry,
        owner: usize,
        now: u64,
    ) -> Race {
        let mut at = 0;
        while let Some(&place) = self.racing.get(at) {
            match connections.get_mut(place).map(Connection::connected) {
                Some(Ok(true)) => {
                    self.racing.swap_remove(at);
                    self.abandon(connections, registry);
                    return Race::Won(place);
                }
                Some(Ok(false)) => at += 1,
                Some(Err(error)) => {
                    self.racing.swap_remove(at);
                    drop_connection(connections, registry, place);
                    self.last = Some(error);
                    self.next_at = now;
                }
                None => {
                    self.racing.swap_remove(at);
                }
            }
        }
        if now >= self.until {
            self.abandon(connections, registry);
            return Race::TimedOut;
        }
        while now >= self.next_at
            && let Some(target) = self.targets.pop_front()
        {
            let place = connections.reserve();
            match Connection::open(target, registry, place, owner) {
                Ok(connection) => {
                    connections.put(place, connection);
                    self.racing.push(place);
                    self.next_at = now + HEAD_START;
                }
                Err(error) => {
                    connections.free(place);
                    self.last = Some(error);
                }
            }
        }
        if self.racing.is_empty() {
            let none = || io::Error::new(io::ErrorKind::AddrNotAvailable, "no address to connect to");
            return Race::Lost(self.last.take().unwrap_or_else(none));
        }
        Race::Running(if self.targets.is_empty() { self.until } else { self.until.min(self.next_at) })
    }

    /// Closes everything that still races.
    pub(super) fn abandon(&mut self, connections: &mut Slab<Connection>, registry: &Registry) {
        for place in self.racing.drain(..) {
            drop_connection(connections, registry, place);
        }
    }
}

/// Closes a connection and gives its place up.
pub(super) fn drop_connection(connections: &mut Slab<Connection>, registry: &Registry, place: usize) {
    if let Some(connection) = connections.free(place) {
        connection.close(registry);
    }
}

/// The resolver's order (it knows the routing table), but no family twice in a row while the other has addresses left.
fn take_turns(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (mut a, mut b): (VecDeque<_>, VecDeque<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == first_is_v6);
    std::iter::from_fn(move || {
        let next = a.pop_front().or_else(|| b.pop_front());
        if !b.is_empty() {
            std::mem::swap(&mut a, &mut b);
        }
        next
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let of = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let mixed = of(&["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"]);
        assert_eq!(
            take_turns(&mixed).collect::<Vec<_>>(),
            of(&["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"])
        );
        let mixed = of(&["10.0.0.1", "10.0.0.2", "::1"]);
        assert_eq!(take_turns(&mixed).collect::<Vec<_>>(), of(&["10.0.0.1", "::1", "10.0.0.2"]));
        assert_eq!(take_turns(&of(&["10.0.0.1", "10.0.0.2"])).count(), 2);
    }
}
