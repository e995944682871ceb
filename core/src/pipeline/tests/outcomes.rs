//! What becomes of data under each kind of answer.

use super::script::{MS, Reaction, SECOND, World, dropped};
use crate::report::{DropReason, Lane};

const OBSERVATIONS: Lane = Lane::Observations;

#[test]
fn the_first_observations_go_after_a_second_and_later_ones_after_five() {
    let mut world = World::new();
    let destination = world.destination(1, "a");
    for _ in 0..3 {
        world.submit(&destination, OBSERVATIONS, 100);
    }
    world.pass(999 * MS);
    assert!(world.seen.is_empty());
    world.pass(2 * MS);
    assert_eq!(world.seen[0].items, [1, 2, 3]);
    for _ in 0..10 {
        world.submit(&destination, OBSERVATIONS, 100);
    }
    world.pass(2 * SECOND);
    let early = world.seen.len();
    for _ in 0..5 {
        world.submit(&destination, OBSERVATIONS, 100);
    }
    world.pass(4 * SECOND);
    assert_eq!(world.seen.len(), early, "the linger of five seconds stands");
    world.pass(2 * SECOND);
    assert_eq!(destination.lane(OBSERVATIONS).delivered, 18);
    assert!(world.pipeline.is_idle() && world.shared.budget.used() == 0 && destination.bytes() == 0);
}

#[test]
fn a_full_batch_goes_at_once() {
    let mut world = World::new();
    let destination = world.destination(1, "a");
    for _ in 0..512 {
        world.submit(&destination, OBSERVATIONS, 10);
    }
    assert_eq!(world.seen.len(), 1);
    assert_eq!(world.seen[0].items.len(), 512);
    for _ in 0..3 {
        world.submit(&destination, OBSERVATIONS, 400_000);
    }
    assert_eq!(world.seen.len(), 2, "by bytes");
}

#[test]
fn errors_of_the_server_are_tried_again_with_the_same_items() {
    for reaction in [
        Reaction::Status(500, MS),
        Reaction::Status(503, MS),
        Reaction::Status(408, MS),
        Reaction::Refuse,
        Reaction::Hang,
    ] {
        let mut world = World::new();
        world.react("a", reaction.clone());
        let destination = world.destination(1, "a");
        world.submit(&destination, OBSERVATIONS, 100);
        world.submit(&destination, OBSERVATIONS, 100);
        world.pass(8 * SECOND);
        assert!(world.seen.len() >= 2, "{reaction:?}");
        assert!(world.seen.iter().all(|seen| seen.items == [1, 2]), "{reaction:?}");
        assert_eq!(destination.lane(OBSERVATIONS).pending, 2);
        world.react("a", Reaction::Status(200, MS));
        world.pass(70 * SECOND);
        assert_eq!(destination.lane(OBSERVATIONS).delivered, 2, "{reaction:?}");
    }
}

#[test]
fn refusals_are_final_and_counted() {
    for status in [301, 302, 400, 404, 422] {
        let mut world = World::new();
        world.react("a", Reaction::Status(status, MS));
        let destination = world.destination(1, "a");
        world.submit(&destination, OBSERVATIONS, 100);
        world.pass(20 * SECOND);
        assert_eq!(world.seen.len(), 1, "{status}");
        assert_eq!(dropped(&destination, OBSERVATIONS, DropReason::Rejected), 1, "{status}");
        let notices = world.shared.notices.take(world.now.mono, true);
        assert!(notices.iter().any(|notice| notice.message.contains(&status.to_string())), "{notices:?}");
    }
}

#[test]
fn bad_credentials_are_probed_after_five_and_a_half_minutes_and_expire_as_unauthorized() {
    let mut world = World::new();
    world.react("a", Reaction::Status(401, MS));
    let destination = world.destination(1, "a");
    world.submit(&destination, OBSERVATIONS, 100);
    world.pass(320 * SECOND);
    assert_eq!(world.seen.len(), 1);
    world.pass(60 * SECOND);
    assert_eq!(world.seen.len(), 2);
    world.pass(250 * SECOND);
    assert_eq!(dropped(&destination, OBSERVATIONS, DropReason::Unauthorized), 1);
    // New data does not renew the server's memory of the bad key before its time.
    let seen = world.seen.len();
    world.submit(&destination, OBSERVATIONS, 100);
    world.pass(10 * SECOND);
    assert_eq!(world.seen.len(), seen);
}

#[test]
fn a_throttled_destination_waits_as_long_as_it_was_told() {
    let mut world = World::new();
    world.react("a", Reaction::Throttle(40));
    let destination = world.destination(1, "a");
    world.submit(&destination, OBSERVATIONS, 100);
    world.pass(2 * SECOND);
    world.react("a", Reaction::Status(200, MS));
    world.pass(37 * SECOND);
    assert_eq!(world.seen.len(), 1);
    world.pass(6 * SECOND);
    assert_eq!(destination.lane(OBSERVATIONS).delivered, 1);
}

#[test]
fn a_body_that_is_too_large_is_split_until_it_fits() {
    let mut world = World::new();
    world.react("a", Reaction::Limit(1_000));
    let destination = world.destination(1, "a");
    for _ in 0..16 {
        world.submit(&destination, OBSERVATIONS, 200);
    }
    let giant = world.submit(&destination, OBSERVATIONS, 5_000).unwrap();
    world.pass(60 * SECOND);
    assert_eq!(destination.lane(OBSERVATIONS).delivered, 16);
    assert_eq!(dropped(&destination, OBSERVATIONS, DropReason::TooLarge), 1);
    assert!(!world.acknowledged.contains(&giant));
}

#[test]
fn data_expires_after_ten_minutes() {
    let mut world = World::new();
    world.react("a", Reaction::Status(503, MS));
    let destination = world.destination(1, "a");
    world.submit(&destination, OBSERVATIONS, 100);
    world.pass(599 * SECOND);
    assert_eq!(destination.lane(OBSERVATIONS).pending, 1);
    world.pass(2 * SECOND);
    assert_eq!(dropped(&destination, OBSERVATIONS, DropReason::Expired), 1);
    assert_eq!(destination.bytes(), 0);
    world.pass(120 * SECOND);
    assert!(world.pipeline.is_idle());
}

#[test]
fn scores_go_as_the_servers_version_wants_them_and_207_is_counted_per_item() {
    let mut world = World::new();
    world.react("a", Reaction::Partial(2));
    let destination = world.destination(1, "a");
    for _ in 0..5 {
        world.submit(&destination, Lane::Scores, 50);
    }
    world.pass(3 * SECOND);
    let paths: Vec<&str> = world.seen.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!(paths, ["/api/public/health", "/api/public/scores"]);
    assert_eq!(destination.lane(Lane::Scores).delivered, 3);
    assert_eq!(dropped(&destination, Lane::Scores, DropReason::Rejected), 2);
    let cloud = world.destination(2, "cloud.langfuse.com");
    world.submit(&cloud, Lane::Scores, 50);
    world.pass(3 * SECOND);
    assert_eq!(world.seen.last().unwrap().path, "/api/public/ingestion");
}

#[test]
fn a_page_that_may_be_left_at_any_time_needs_one_request_for_its_scores() {
    let mut world = World::new();
    let page = world.destination_of(1, "http://a", vec![("authorization".into(), "Bearer pk-1".into())]);
    world.submit(&page, Lane::Scores, 50);
    world.pass(3 * SECOND);
    let paths: Vec<&str> = world.seen.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!(paths, ["/api/public/ingestion"]);
}

#[test]
fn scores_are_not_stuck_behind_a_server_that_does_not_tell_its_version() {
    for reaction in [Reaction::Hang, Reaction::Refuse] {
        let mut world = World::new();
        world.react("a", reaction);
        let destination = world.destination(1, "a");
        for _ in 0..3 {
            world.submit(&destination, Lane::Scores, 50);
        }
        world.pass(30 * SECOND);
        world.react("a", Reaction::Status(200, MS));
        world.pass(120 * SECOND);
        assert_eq!(destination.lane(Lane::Scores).delivered, 3);
    }
}

#[test]
fn a_freeze_begins_running_attempts_anew() {
    let mut world = World::new();
    world.react("a", Reaction::Hang);
    let destination = world.destination(1, "a");
    world.submit(&destination, OBSERVATIONS, 100);
    world.pass(2 * SECOND);
    assert_eq!(world.seen.len(), 1);
    world.react("a", Reaction::Status(200, MS));
    world.freeze(60 * SECOND);
    world.pass(SECOND);
    assert_eq!(world.seen.len(), 2);
    assert_eq!(destination.lane(OBSERVATIONS).delivered, 1);
}

#[test]
fn a_close_gives_up_nothing_that_was_submitted_after_it() {
    let mut world = World::new();
    let destination = world.destination(1, "a");
    world.submit(&destination, OBSERVATIONS, 100);
    let answer = world.flush(Some(vec![destination.clone()]), 5 * SECOND, true);
    for _ in 0..5 {
        world.submit(&destination, OBSERVATIONS, 100);
    }
    world.pass(100 * MS);
    assert!(answer.try_recv().unwrap().complete);
    world.pass(10 * SECOND);
    assert_eq!(destination.lane(OBSERVATIONS).delivered, 6);
}

#[test]
fn the_second_slot_is_used_while_the_first_request_hangs() {
    let mut world = World::new();
    world.react("a", Reaction::Hang);
    let destination = world.destination(1, "a");
    world.submit(&destination, OBSERVATIONS, 100);
    world.pass(1_100 * MS);
    assert_eq!(world.seen.len(), 1);
    world.submit(&destination, OBSERVATIONS, 100);
    world.pass(1_100 * MS);
    assert_eq!(world.seen.len(), 2);
}

#[test]
fn a_pause_that_the_server_ordered_outlives_another_failure() {
    let mut world = World::new();
    world.react("a", Reaction::Throttle(60));
    let destination = world.destination(1, "a");
    world.submit(&destination, OBSERVATIONS, 100);
    world.pass(1_001 * MS);
    world.react("a", Reaction::Status(500, 40 * MS));
    for _ in 0..512 {
        world.submit(&destination, OBSERVATIONS, 10);
    }
    world.pass(50 * SECOND);
    assert!(world.seen.len() <= 2, "{}", world.seen.len());
}

#[test]
fn a_request_that_cannot_be_written_in_time_is_halved() {
    let mut world = World::new();
    world.react("a", Reaction::Slow(250_000));
    let destination = world.destination(1, "a");
    for _ in 0..16 {
        world.submit(&destination, OBSERVATIONS, 50_000);
    }
    world.pass(200 * SECOND);
    assert_eq!(destination.lane(OBSERVATIONS).delivered, 16);
}

#[test]
fn a_blip_of_a_thousand_destinations_is_soon_over() {
    let mut world = World::new();
    world.react("a", Reaction::Status(503, MS));
    let destinations: Vec<_> = (0..1000).map(|id| world.destination(id, "a")).collect();
    for destination in &destinations {
        world.submit(destination, OBSERVATIONS, 100);
    }
    world.pass(10 * SECOND);
    world.react("a", Reaction::Status(200, 20 * MS));
    world.pass(25 * SECOND);
    let waiting = destinations.iter().filter(|destination| destination.tally().pending > 0).count();
    assert_eq!(waiting, 0);
}

#[test]
fn timers_that_nobody_waits_for_do_not_pile_up() {
    let mut world = World::new();
    let destinations: Vec<_> = (0..100).map(|id| world.destination(id, "a")).collect();
    for _ in 0..200 {
        for destination in &destinations {
            world.submit(destination, OBSERVATIONS, 10);
        }
        world.pass(6 * SECOND);
    }
    assert!(world.pipeline.timers.len() < 3000, "{}", world.pipeline.timers.len());
}

#[test]
fn health_probes_keep_to_the_slots() {
    let mut world = World::new();
    let hosts: Vec<String> = (0..1500).map(|id| format!("h{id}")).collect();
    let destinations: Vec<_> =
        hosts.iter().enumerate().map(|(id, host)| world.destination(id as u64, host)).collect();
    for destination in &destinations {
        world.react(&destination.endpoint.url.host.clone(), Reaction::Hang);
        world.submit(destination, Lane::Scores, 10);
    }
    world.pass(20 * SECOND);
    assert!(world.in_flight_peak <= 512, "{}", world.in_flight_peak);
}
