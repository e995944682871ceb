//! Flushes are answered by their deadline, with the truth.

use std::sync::atomic::Ordering;

use super::script::{MS, Reaction, SECOND, World, dropped};
use crate::report::{DropReason, Lane};

const OBSERVATIONS: Lane = Lane::Observations;

#[test]
fn a_healthy_flush_is_answered_when_the_server_has_answered() {
    let mut world = World::new();
    let destination = world.destination(1, "a");
    for _ in 0..50 {
        world.submit(&destination, OBSERVATIONS, 100);
    }
    for _ in 0..45 {
        world.submit(&destination, Lane::Scores, 50);
    }
    let answer = world.flush(None, 5 * SECOND, false);
    world.pass(100 * MS);
    world.pass(100 * MS);
    let report = answer.try_recv().unwrap();
    assert!(report.complete);
    assert_eq!((report.delivered, report.dropped, report.pending, report.unconfirmed), (95, 0, 0, 0));
}

#[test]
fn a_flush_does_not_send_one_by_one_what_may_go_one_by_one() {
    let mut world = World::new();
    world.react("a", Reaction::Status(200, 300 * MS));
    let destination = world.destination(1, "a");
    destination.flush_at.store(1, Ordering::Relaxed);
    for _ in 0..200 {
        world.submit(&destination, OBSERVATIONS, 100);
        world.submit(&destination, Lane::Scores, 50);
    }
    world.pass(100 * MS); // the first ones are under way
    let answer = world.flush(None, SECOND, false);
    world.pass(SECOND);
    let report = answer.try_recv().unwrap();
    assert!(report.complete && report.delivered == 400, "{report:?}");
}

#[test]
fn a_flush_keeps_large_observations_apart_all_the_same() {
    let mut world = World::new();
    let destination = world.destination(1, "a");
    destination.flush_at.store(2, Ordering::Relaxed);
    for _ in 0..8 {
        world.submit(&destination, OBSERVATIONS, 600_000);
    }
    let answer = world.flush(None, SECOND, false);
    world.pass(SECOND);
    assert!(answer.try_recv().unwrap().complete);
    assert!(world.seen.iter().all(|seen| seen.items.len() == 2), "two at once, as asked for, and no more");
}

#[test]
fn whatever_the_server_does_a_flush_is_answered_by_its_deadline() {
    let reactions = [
        Reaction::Hang,
        Reaction::Refuse,
        Reaction::Status(500, MS),
        Reaction::Status(301, MS),
        Reaction::Status(401, MS),
        Reaction::Throttle(30),
        Reaction::Status(200, 3 * SECOND),
    ];
    for reaction in reactions {
        let mut world = World::new();
        world.react("a", reaction.clone());
        let destination = world.destination(1, "a");
        for _ in 0..50 {
            world.submit(&destination, OBSERVATIONS, 100);
        }
        for _ in 0..45 {
            world.submit(&destination, Lane::Scores, 50);
        }
        let answer = world.flush(None, SECOND, false);
        world.pass(SECOND);
        let report = answer.try_recv().unwrap_or_else(|_| panic!("{reaction:?}"));
        let sum = report.delivered + report.dropped + report.pending + report.unconfirmed;
        assert_eq!(sum, 95, "{reaction:?} {report:?}");
        assert_eq!(report.delivered, 0, "{reaction:?}");
        assert_eq!(report.complete, report.pending + report.unconfirmed == 0, "{reaction:?}");
    }
}

#[test]
fn a_flush_of_one_never_waits_for_another() {
    let mut world = World::new();
    world.react("dead", Reaction::Hang);
    let dead = world.destination(1, "dead");
    let alive = world.destination(2, "alive");
    world.submit(&dead, OBSERVATIONS, 100);
    world.submit(&alive, OBSERVATIONS, 100);
    let all = world.flush(Some(vec![dead]), 2 * SECOND, false);
    let one = world.flush(Some(vec![alive]), 2 * SECOND, false);
    world.pass(80 * MS);
    assert!(one.try_recv().unwrap().complete);
    assert!(all.try_recv().is_err());
    world.pass(2 * SECOND);
    assert_eq!(all.try_recv().unwrap().unconfirmed, 1);
}

#[test]
fn what_is_submitted_after_the_call_is_not_waited_for() {
    let mut world = World::new();
    let destination = world.destination(1, "a");
    world.submit(&destination, OBSERVATIONS, 100);
    let answer = world.flush(None, 5 * SECOND, false);
    world.react("a", Reaction::Hang);
    world.submit(&destination, OBSERVATIONS, 100);
    world.pass(100 * MS);
    assert_eq!(answer.try_recv().unwrap().delivered, 1);
}

#[test]
fn a_flush_cuts_our_own_pause_short_but_not_one_that_the_server_asked_for() {
    let mut world = World::new();
    world.react("a", Reaction::Status(503, MS));
    let destination = world.destination(1, "a");
    world.submit(&destination, OBSERVATIONS, 100);
    world.pass(20 * SECOND);
    world.react("a", Reaction::Status(200, MS));
    let answer = world.flush(None, 100 * MS, false);
    world.pass(10 * MS);
    assert!(answer.try_recv().unwrap().complete);
    world.react("a", Reaction::Throttle(60));
    world.submit(&destination, OBSERVATIONS, 100);
    world.pass(6 * SECOND);
    let seen = world.seen.len();
    let answer = world.flush(None, 5 * SECOND, false);
    // It cannot be delivered in time, so nobody is kept waiting for it.
    assert_eq!(answer.try_recv().unwrap().pending, 1);
    assert_eq!(world.seen.len(), seen);
}

#[test]
fn closing_gives_up_what_is_left_and_its_bytes() {
    let mut world = World::new();
    world.react("a", Reaction::Hang);
    let destination = world.destination(1, "a");
    world.submit(&destination, OBSERVATIONS, 100);
    world.pass(2 * SECOND);
    world.submit(&destination, OBSERVATIONS, 100);
    world.submit(&destination, Lane::Scores, 100);
    let answer = world.flush(Some(vec![destination.clone()]), 500 * MS, true);
    world.pass(500 * MS);
    let report = answer.try_recv().unwrap();
    assert_eq!((report.unconfirmed + report.dropped, report.pending), (3, 0));
    let tally = destination.tally();
    assert_eq!(tally.pending, 0);
    assert_eq!(
        tally.unconfirmed
            + dropped(&destination, OBSERVATIONS, DropReason::Evicted)
            + dropped(&destination, Lane::Scores, DropReason::Evicted),
        3
    );
    assert_eq!((destination.bytes(), world.shared.budget.used()), (0, 0));
    world.pass(3 * SECOND);
    assert!(world.pipeline.is_idle());
}

#[test]
fn nothing_to_flush_is_answered_at_once() {
    let mut world = World::new();
    let answer = world.flush(None, SECOND, false);
    assert!(answer.try_recv().unwrap().complete);
}
