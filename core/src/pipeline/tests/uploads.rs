//! Media: three steps each, beside the data; every content is stored once, and no store holds a span up.

use std::sync::Arc;
use std::time::Duration;

use super::script::{MS, Reaction, SECOND, World, dropped};
use crate::config::Limits;
use crate::destination::Destination;
use crate::id::{SpanId, TraceId};
use crate::media::{Media, MediaField};
use crate::observation::SpanContext;
use crate::pipeline::Command;
use crate::report::{DropReason, Lane};
use crate::upload;

/// Attaches a content, as a caller would.
fn attach(world: &mut World, destination: &Arc<Destination>, content: &[u8]) -> Option<DropReason> {
    let context = SpanContext {
        fate: crate::admission::Fate::Admitted,
        trace_id: TraceId::random(),
        span_id: SpanId::random(),
        destination: 1,
        recorded: true,
    };
    let media = Media::new("image/png", content.to_vec()).unwrap();
    let timeout = Duration::from_secs(5);
    destination.counters.submitted(Lane::Media, 1);
    let (shared, now) = (world.shared.clone(), world.now);
    match upload::item(destination, &shared, &context, MediaField::Input, media, now.mono, timeout) {
        Ok(item) => {
            let command = Command::Submit { destination: destination.clone(), lane: Lane::Media, item };
            world.pipeline.handle_command(command, now);
            world.settle();
            None
        }
        Err(reason) => {
            destination.counters.dropped(Lane::Media, reason, 1);
            Some(reason)
        }
    }
}

fn count(world: &World, path: &str) -> usize {
    world.seen.iter().filter(|seen| seen.path == path).count()
}

#[test]
fn each_content_is_stored_once_and_each_use_is_announced() {
    let mut world = World::new();
    let destination = world.destination(1, "h");
    for _ in 0..20 {
        attach(&mut world, &destination, b"same");
    }
    // Twenty uses hold one content.
    assert!(destination.bytes() < 20 * 1000);
    attach(&mut world, &destination, b"other");
    world.pass(30 * SECOND);
    assert_eq!((world.puts.len(), world.stored.len()), (2, 2));
    assert_eq!(count(&world, "/api/public/media"), 21);
    assert_eq!(destination.lane(Lane::Media).delivered, 21);
    assert_eq!((destination.bytes(), world.shared.budget.used(), world.shared.contents.used()), (0, 0, 0));
    assert!(world.pipeline.is_idle());
}

#[test]
fn two_destinations_each_store_the_same_content() {
    let mut world = World::new();
    for (id, host) in [(1, "h"), (2, "i")] {
        let destination = world.destination(id, host);
        attach(&mut world, &destination, b"same");
        world.stored.clear();
        world.pass(10 * SECOND);
        assert_eq!(destination.lane(Lane::Media).delivered, 1);
    }
    assert_eq!(world.puts.len(), 2);
}

#[test]
fn a_dead_store_delays_no_span_and_the_media_expire() {
    for reaction in [Reaction::Hang, Reaction::Refuse, Reaction::Status(500, 10 * MS)] {
        let mut world = World::new();
        world.react("store", reaction.clone());
        let destination = world.destination(1, "h");
        for number in 0..200_u8 {
            attach(&mut world, &destination, &[number + 1; 1000]);
        }
        world.pass(10 * SECOND);
        let before = world.now.mono;
        let item = world.submit(&destination, Lane::Observations, 100).unwrap();
        world.pass(20 * SECOND);
        let took = world.acknowledged_at[&item] - before;
        assert!(took < 6 * SECOND, "{reaction:?}: {} ms", took / MS);
        world.pass(700 * SECOND);
        assert_eq!(dropped(&destination, Lane::Media, DropReason::Expired), 200, "{reaction:?}");
        world.pass(700 * SECOND);
        assert!(world.pipeline.is_idle());
        assert_eq!((destination.bytes(), world.shared.contents.used()), (0, 0));
    }
}

#[test]
fn media_that_wait_arm_nothing() {
    let mut world = World::new();
    world.react("store", Reaction::Hang);
    let destination = world.destination(1, "h");
    for number in 0..20_u8 {
        attach(&mut world, &destination, &[number + 1; 100]);
    }
    // As a caller does with a batch item: whoever finds it unset wakes the exporter.
    destination.armed.store(true, std::sync::atomic::Ordering::Release);
    world.submit(&destination, Lane::Observations, 10);
    world.pass(8 * SECOND);
    assert!(!destination.armed.load(std::sync::atomic::Ordering::Acquire));
    assert_eq!(destination.lane(Lane::Media).pending, 20);
}

#[test]
fn a_store_that_comes_back_gets_everything() {
    let mut world = World::new();
    world.react("store", Reaction::Refuse);
    let destination = world.destination(1, "h");
    for number in 0..50_u8 {
        attach(&mut world, &destination, &[number + 1; 100]);
    }
    world.pass(120 * SECOND);
    assert_eq!(destination.lane(Lane::Media).pending, 50);
    world.react("store", Reaction::Status(200, 20 * MS));
    world.pass(400 * SECOND);
    assert_eq!((destination.lane(Lane::Media).delivered, world.stored.len()), (50, 50));
}

#[test]
fn a_flush_waits_for_media_and_ends_by_its_deadline() {
    let mut world = World::new();
    let destination = world.destination(1, "h");
    attach(&mut world, &destination, b"one");
    let answer = world.flush(None, 5 * SECOND, false);
    assert!(answer.try_recv().is_err());
    world.pass(SECOND);
    let report = answer.try_recv().unwrap();
    assert_eq!((report.complete, report.delivered), (true, 1));

    world.react("store", Reaction::Hang);
    attach(&mut world, &destination, b"two");
    let item = world.submit(&destination, Lane::Observations, 10).unwrap();
    let answer = world.flush(None, 3 * SECOND, true);
    world.pass(3 * SECOND);
    let report = answer.try_recv().unwrap();
    assert!(world.acknowledged.contains(&item));
    assert_eq!((report.complete, report.delivered, report.unconfirmed), (false, 1, 1));
    // It was closed: nothing is left.
    assert_eq!(destination.lane(Lane::Media).unconfirmed, 1);
    assert_eq!((destination.bytes(), world.shared.budget.used()), (0, 0));
    world.pass(60 * SECOND);
    assert!(world.pipeline.is_idle());
}

#[test]
fn what_a_store_refuses_is_confirmed_as_a_failure_and_counted() {
    for (status, reason) in
        [(403, DropReason::Rejected), (301, DropReason::Rejected), (413, DropReason::TooLarge)]
    {
        let mut world = World::new();
        world.react("store", Reaction::Status(status, 10 * MS));
        let destination = world.destination(1, "h");
        attach(&mut world, &destination, b"one");
        world.pass(30 * SECOND);
        assert_eq!(dropped(&destination, Lane::Media, reason), 1, "{status}");
        let patched = world.seen.iter().filter(|seen| seen.path.starts_with("/api/public/media/")).count();
        assert_eq!((patched, world.stored.len()), (1, 0), "{status}");
    }
    for (status, reason) in
        [(400, DropReason::Rejected), (500, DropReason::Expired), (401, DropReason::Unauthorized)]
    {
        let mut world = World::new();
        world.react("h", Reaction::Status(status, 10 * MS));
        let destination = world.destination(1, "h");
        attach(&mut world, &destination, b"one");
        world.pass(1000 * SECOND);
        assert_eq!(dropped(&destination, Lane::Media, reason), 1, "{status}");
        assert!(world.puts.is_empty());
    }
}

#[test]
fn an_address_in_the_clear_is_used_only_where_the_server_is() {
    for (base, store, stored) in [
        ("http://h", "http://store", 1),
        ("https://h", "http://store", 0),
        ("https://127.0.0.1", "http://store", 1),
        ("https://h", "https://store", 1),
        ("https://h", "ftp://store", 0),
        ("https://h", "https://user:word@store", 0),
        ("https://h", "", 0),
    ] {
        let mut world = World::new();
        world.store = store.into();
        let destination = world.destination_at(1, base);
        attach(&mut world, &destination, b"one");
        world.pass(30 * SECOND);
        assert_eq!(world.puts.len(), stored, "{base} {store}");
        assert_eq!(
            dropped(&destination, Lane::Media, DropReason::Rejected),
            1 - stored as u64,
            "{base} {store}"
        );
    }
}

#[test]
fn media_never_take_all_of_the_budget() {
    let limits = Limits { destination_bytes: 1_000_000, process_bytes: 4_000_000, ..Limits::default() };
    let mut world = World::with(limits);
    world.react("h", Reaction::Hang);
    let destination = world.destination(1, "h");
    assert_eq!(attach(&mut world, &destination, &[1; 800_000]), Some(DropReason::TooLarge));
    assert_eq!(attach(&mut world, &destination, &[1; 700_000]), None);
    assert_eq!(attach(&mut world, &destination, &[2; 100_000]), Some(DropReason::QueueFull));
    assert!(world.submit(&destination, Lane::Observations, 100_000).is_some());
    for id in 2..4 {
        let other = world.destination(id, "h");
        assert_eq!(attach(&mut world, &other, &[1; 600_000]), None);
    }
    let last = world.destination(4, "h");
    assert_eq!(attach(&mut world, &last, &[1; 600_000]), Some(DropReason::ProcessBudget));
    assert!(world.submit(&last, Lane::Observations, 100_000).is_some());
}

#[test]
fn a_freeze_begins_uploads_anew() {
    let mut world = World::new();
    world.react("store", Reaction::Status(200, 3 * SECOND));
    let destination = world.destination(1, "h");
    attach(&mut world, &destination, b"one");
    world.pass(3 * SECOND);
    assert_eq!(world.puts.len(), 1);
    world.freeze(60 * SECOND);
    world.pass(20 * SECOND);
    assert_eq!((world.puts.len(), destination.lane(Lane::Media).delivered), (2, 1));
}

#[test]
fn a_server_that_goes_on_asking_gets_the_content_once() {
    // As behind Azure, whose stores answer 201, which the server does not take for an upload.
    let mut world = World::new();
    world.react("store", Reaction::Status(201, 10 * MS));
    let destination = world.destination(1, "h");
    for _ in 0..3 {
        attach(&mut world, &destination, b"same");
        world.pass(10 * SECOND);
    }
    assert_eq!((world.puts.len(), world.stored.len()), (1, 0));
    assert_eq!(count(&world, "/api/public/media"), 3);
    assert_eq!(destination.lane(Lane::Media).delivered, 3);
    // One that has lost it, although it had said that it has it, gets it again.
    world.react("store", Reaction::Status(200, 10 * MS));
    attach(&mut world, &destination, b"other");
    world.pass(10 * SECOND);
    world.stored.clear();
    attach(&mut world, &destination, b"other");
    world.pass(10 * SECOND);
    assert_eq!((world.puts.len(), world.stored.len()), (3, 1));
}
