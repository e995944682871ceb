//! Random schedules against random servers: the promises that hold whatever happens.

use proptest::prelude::*;

use super::script::{MS, Reaction, SECOND, World};
use crate::config::Limits;
use crate::report::Lane;

#[derive(Clone, Debug)]
enum Step {
    Submit { destination: usize, lane: Lane, len: usize, count: usize },
    Pass(u64),
    React { host: usize, reaction: Reaction },
    Flush { destination: Option<usize>, timeout: u64, close: bool },
    Freeze,
}

const HOSTS: [&str; 3] = ["a", "b", "c"];
const DESTINATIONS: usize = 7;

fn reaction() -> impl Strategy<Value = Reaction> {
    prop_oneof![
        4 => (1..200u64).prop_map(|ms| Reaction::Status(200, ms * MS)),
        1 => Just(Reaction::Hang),
        1 => Just(Reaction::Refuse),
        1 => Just(Reaction::Status(500, MS)),
        1 => Just(Reaction::Status(503, 300 * MS)),
        1 => Just(Reaction::Status(301, MS)),
        1 => Just(Reaction::Status(401, MS)),
        1 => Just(Reaction::Status(400, MS)),
        1 => (0..60u64).prop_map(Reaction::Throttle),
        1 => (50..4000usize).prop_map(Reaction::Limit),
        1 => (0..4u64).prop_map(Reaction::Partial),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let lane = prop_oneof![3 => Just(Lane::Observations), 1 => Just(Lane::Scores)];
    prop_oneof![
        8 => (0..DESTINATIONS, lane, 1..3000usize, 1..40usize)
            .prop_map(|(destination, lane, len, count)| Step::Submit { destination, lane, len, count }),
        6 => (1..20_000u64).prop_map(|ms| Step::Pass(ms * MS)),
        2 => (0..HOSTS.len(), reaction()).prop_map(|(host, reaction)| Step::React { host, reaction }),
        2 => (proptest::option::of(0..DESTINATIONS), 0..3_000u64, proptest::bool::weighted(0.2))
            .prop_map(|(destination, ms, close)| Step::Flush { destination, timeout: ms * MS, close }),
        1 => Just(Step::Freeze),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promises_hold_under_random_schedules(steps in proptest::collection::vec(step(), 1..80)) {
        // Small budgets, so that refusals happen too.
        let limits = Limits { destination_bytes: 60_000, process_bytes: 200_000, ..Limits::default() };
        let mut world = World::with(limits);
        let destinations: Vec<_> = (0..DESTINATIONS).map(|id| world.destination(id as u64, HOSTS[id % HOSTS.len()])).collect();
        let mut flushes = Vec::new();
        for step in steps {
            match step {
                Step::Submit { destination, lane, len, count } => {
                    for _ in 0..count {
                        world.submit(&destinations[destination], lane, len);
                    }
                }
                Step::Pass(nanos) => world.pass(nanos),
                Step::React { host, reaction } => world.react(HOSTS[host], reaction),
                Step::Flush { destination, timeout, close } => {
                    let which = destination.map(|id| vec![destinations[id].clone()]);
                    let deadline = world.now.mono + timeout;
                    flushes.push((deadline, world.flush(which, timeout, close)));
                }
                Step::Freeze => world.freeze(10 * SECOND),
            }
            // The byte budget holds.
            prop_assert!(world.peak_bytes <= limits.process_bytes);
            for destination in &destinations {
                prop_assert!(destination.bytes() <= limits.destination_bytes);
            }
            // Every flush is answered by its deadline.
            let now = world.now.mono;
            flushes.retain(|(deadline, answer)| *deadline >= now || answer.is_empty());
            for (deadline, answer) in &flushes {
                prop_assert!(*deadline >= now, "a flush due {} ms ago is unanswered", (now - deadline) / MS);
                let _ = answer;
            }
            // Nothing that was acknowledged is sent again.
            prop_assert_eq!(world.sent_again_after_ack, 0);
            // The accounting sums.
            for lane in Lane::ALL {
                let submitted: u64 = destinations.iter().map(|destination| destination.lane(lane).submitted).sum();
                prop_assert_eq!(submitted, world.submitted.get(&lane).copied().unwrap_or(0));
            }
        }
        // Every destination with a healthy server makes progress: once all are well, everything ends.
        for host in HOSTS {
            world.react(host, Reaction::Status(200, 20 * MS));
        }
        world.pass(700 * SECOND);
        for destination in &destinations {
            let tally = destination.tally();
            prop_assert_eq!(tally.pending, 0, "{:?}", tally);
            prop_assert_eq!(tally.submitted, tally.delivered + tally.unconfirmed + tally.dropped_total());
            prop_assert_eq!(destination.bytes(), 0);
        }
        prop_assert_eq!(world.shared.budget.used(), 0);
        world.pass(700 * SECOND);
        prop_assert!(world.pipeline.is_idle());
        // And goes on doing so.
        for destination in &destinations {
            let before = destination.tally().delivered;
            world.submit(destination, Lane::Observations, 10);
            world.pass(20 * SECOND);
            prop_assert_eq!(destination.tally().delivered, before + 1);
        }
    }
}
