//! One tenant never delays another.

use super::script::{MS, Reaction, SECOND, World};
use crate::report::Lane;

const OBSERVATIONS: Lane = Lane::Observations;

/// Milliseconds from submission until each destination's item was acknowledged, sorted.
fn latencies(world: &World, items: &[(u64, u64)]) -> Vec<u64> {
    let mut all: Vec<u64> = items.iter().map(|(item, at)| (world.acknowledged_at[item] - at) / MS).collect();
    all.sort_unstable();
    all
}

#[test]
fn a_dead_server_does_not_delay_the_others_on_another_origin() {
    let mut world = World::new();
    world.react("dead", Reaction::Hang);
    let dead: Vec<_> = (0..1000).map(|id| world.destination(id, "dead")).collect();
    let alive: Vec<_> = (1000..2000).map(|id| world.destination(id, "alive")).collect();
    let mut items = Vec::new();
    for round in 0..6 {
        for (dead, alive) in dead.iter().zip(&alive) {
            world.submit(dead, OBSERVATIONS, 1000);
            let at = world.now.mono;
            items.push((world.submit(alive, OBSERVATIONS, 1000).unwrap(), at));
            world.pass(5 * MS);
        }
        assert!(world.in_flight_peak <= 512, "round {round}");
    }
    world.pass(10 * SECOND);
    let latencies = latencies(&world, &items);
    let p99 = latencies[latencies.len() * 99 / 100];
    // Linger of a second for the first ten, and one round trip.
    assert!(p99 <= 1000 + 75 + 5, "{p99}");
}

#[test]
fn dead_keys_on_the_same_origin_hold_a_quarter_of_the_slots_at_most() {
    let mut world = World::new();
    // By destination, not by origin: the server hangs for some keys only, so the origin's breaker stays closed.
    let good: Vec<_> = (0..200).map(|id| world.destination(id, "mixed")).collect();
    let bad: Vec<_> = (1000..1200).map(|id| world.destination(id, "mixed")).collect();
    for _ in 0..20 {
        world.react("mixed", Reaction::Status(503, 4 * SECOND));
        for destination in &bad {
            world.submit(destination, OBSERVATIONS, 100);
        }
        world.pass(2 * SECOND);
        world.react("mixed", Reaction::Status(200, 75 * MS));
        let at = world.now.mono;
        let items: Vec<(u64, u64)> = good
            .iter()
            .map(|destination| (world.submit(destination, OBSERVATIONS, 100).unwrap(), at))
            .collect();
        world.pass(8 * SECOND);
        let latencies = latencies(&world, &items);
        assert!(latencies[latencies.len() * 99 / 100] <= 5_000 + 75 + 5, "{latencies:?}");
    }
}

#[test]
fn a_backlog_of_one_does_not_hold_the_others_place() {
    let mut world = World::new();
    let big = world.destination(1, "a");
    let small: Vec<_> = (2..50).map(|id| world.destination(id, "a")).collect();
    for _ in 0..12 {
        world.submit(&big, OBSERVATIONS, 1_000_000);
    }
    let at = world.now.mono;
    let items: Vec<(u64, u64)> =
        small.iter().map(|destination| (world.submit(destination, OBSERVATIONS, 100).unwrap(), at)).collect();
    world.pass(10 * SECOND);
    assert!(*latencies(&world, &items).last().unwrap() <= 1_080);
}

#[test]
fn origins_share_the_process_slots_in_turns() {
    let mut world = World::new();
    let hosts: Vec<String> = (0..600).map(|id| format!("h{id}")).collect();
    let destinations: Vec<_> =
        hosts.iter().enumerate().map(|(id, host)| world.destination(id as u64, host)).collect();
    for destination in &destinations {
        world.submit(destination, OBSERVATIONS, 100);
    }
    world.pass(1_000 * MS);
    assert_eq!(world.in_flight_peak, 512);
    world.pass(200 * MS);
    assert!(destinations.iter().all(|destination| destination.lane(OBSERVATIONS).delivered == 1));
}
