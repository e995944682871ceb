//! Control requests: answered exactly once and in time, beside the data and not instead of it.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use super::script::{MS, Reaction, SECOND, World};
use crate::control::{Control, ControlRequest, MAX_WAITING};
use crate::destination::{Destination, nanos};
use crate::pipeline::Command;
use crate::report::{DropReason, Lane};
use crate::transport::{FailureKind, Method, Outcome};

const PATIENCE: Duration = Duration::from_secs(5);

fn ask(world: &mut World, destination: &Arc<Destination>, request: ControlRequest) -> Receiver<Outcome> {
    let (reply, answer) = bounded(1);
    let deadline = world.now.mono + nanos(request.timeout);
    match Control::new(destination, &world.shared, request, deadline, Box::new(reply)) {
        Ok(control) => {
            world
                .pipeline
                .handle_command(Command::Control(Box::new(control), crate::full::Full::Yes), world.now);
            world.settle();
        }
        Err((outcome, complete)) => complete.complete(outcome),
    }
    answer
}

fn get(world: &mut World, destination: &Arc<Destination>) -> Receiver<Outcome> {
    ask(world, destination, ControlRequest::get("/p", PATIENCE))
}

/// The status, or what kind of failure it is; nothing where it has not come.
fn said(answer: &Receiver<Outcome>) -> Option<Result<u16, FailureKind>> {
    answer.try_recv().ok().map(|outcome| match outcome {
        Outcome::Response(response) => Ok(response.status),
        Outcome::Failed(failure) => Err(failure.kind),
    })
}

#[test]
fn whatever_the_server_does_there_is_an_answer_by_the_deadline_and_nothing_is_left() {
    for (reaction, expected) in [
        (Reaction::Status(200, 75 * MS), Ok(200)),
        (Reaction::Status(404, 75 * MS), Ok(404)),
        (Reaction::Hang, Err(FailureKind::Timeout)),
        (Reaction::Refuse, Err(FailureKind::Network)),
        (Reaction::Throttle(60), Ok(429)),
    ] {
        let mut world = World::new();
        world.react("h", reaction.clone());
        let destination = world.destination(1, "h");
        let answer = get(&mut world, &destination);
        world.pass(5 * SECOND);
        assert_eq!(said(&answer), Some(expected), "{reaction:?}");
        assert!(world.pipeline.is_idle());
        assert_eq!(world.shared.budget.used(), 0);
    }
}

#[test]
fn what_may_be_repeated_is_repeated_within_the_deadline() {
    let repeated = |reaction: Reaction, request: ControlRequest| {
        let mut world = World::new();
        world.react("h", reaction);
        let destination = world.destination(1, "h");
        let answer = ask(&mut world, &destination, ControlRequest { attempts: 3, ..request });
        world.pass(2 * SECOND);
        (world.seen.len(), said(&answer))
    };
    let get = || ControlRequest::get("/p", PATIENCE);
    let post = || ControlRequest::json(Method::Post, "/p", b"{}".to_vec(), PATIENCE);
    assert_eq!(repeated(Reaction::Status(500, MS), get()), (3, Some(Ok(500))));
    assert_eq!(repeated(Reaction::Status(500, MS), post()), (1, Some(Ok(500))));
    assert_eq!(repeated(Reaction::Status(503, MS), post()), (3, Some(Ok(503))));
    assert_eq!(repeated(Reaction::Refuse, post()), (3, Some(Err(FailureKind::Network))));
    assert_eq!(repeated(Reaction::Status(404, MS), get()), (1, Some(Ok(404))));
    // A server that asks for more time than there is gets no second request.
    assert_eq!(repeated(Reaction::Throttle(6), get()), (1, Some(Ok(429))));
    assert_eq!(repeated(Reaction::Throttle(1), get()).0, 2);
}

#[test]
fn hung_batches_in_every_slot_keep_nobody_waiting() {
    let mut world = World::new();
    for (host, ids) in [("dead1", 0..300), ("dead2", 300..600)] {
        world.react(host, Reaction::Hang);
        for id in ids {
            let destination = world.destination(id, host);
            world.submit(&destination, Lane::Observations, 100);
        }
    }
    world.pass(2 * SECOND);
    assert_eq!(world.pipeline.in_flight(), 512);
    let alive = world.destination(1000, "alive");
    let answers: Vec<_> = (0..32).map(|_| get(&mut world, &alive)).collect();
    world.pass(4 * 75 * MS);
    assert!(answers.iter().all(|answer| said(answer) == Some(Ok(200))));
}

#[test]
fn a_flood_of_requests_neither_holds_up_data_nor_other_tenants() {
    let mut world = World::new();
    world.react("h", Reaction::Status(200, 200 * MS));
    let greedy = world.destination(1, "h");
    let flood: Vec<_> = (0..500).map(|_| get(&mut world, &greedy)).collect();
    let modest = world.destination(2, "h");
    world.submit(&modest, Lane::Observations, 100);
    let answer = get(&mut world, &modest);
    world.pass(200 * MS);
    assert_eq!(said(&answer), Some(Ok(200)));
    world.pass(SECOND);
    assert_eq!(modest.lane(Lane::Observations).delivered, 1);
    world.pass(5 * SECOND);
    let answered = flood.iter().filter_map(said).filter(|said| *said == Ok(200)).count();
    // Eight at a time, five times a second, for five seconds; the rest has an answer too.
    assert!((190..=210).contains(&answered), "{answered}");
    assert!(world.pipeline.is_idle());
}

#[test]
fn too_many_are_refused_at_once() {
    let mut world = World::new();
    world.react("h", Reaction::Hang);
    let destination = world.destination(1, "h");
    let waiting: Vec<_> = (0..MAX_WAITING.0).map(|_| get(&mut world, &destination)).collect();
    let refused = get(&mut world, &destination);
    assert_eq!(said(&refused), Some(Err(FailureKind::Unavailable)));
    let other = world.destination(2, "other");
    let answer = get(&mut world, &other);
    world.pass(5 * SECOND);
    assert_eq!(said(&answer), Some(Ok(200)));
    assert!(waiting.iter().all(|answer| said(answer).is_some()));
}

#[test]
fn a_dead_server_is_asked_once_a_second_and_one_answer_brings_it_back() {
    let mut world = World::new();
    world.react("h", Reaction::Refuse);
    let destination = world.destination(1, "h");
    for _ in 0..5 {
        let answer = get(&mut world, &destination);
        world.pass(MS);
        assert_eq!(said(&answer), Some(Err(FailureKind::Network)));
    }
    let asked = world.seen.len();
    for _ in 0..100 {
        let answers = [get(&mut world, &destination), get(&mut world, &destination)];
        world.pass(MS);
        for answer in answers {
            assert!(matches!(said(&answer), Some(Err(_))));
        }
        world.pass(49 * MS);
    }
    let questions = world.seen.len() - asked;
    assert!((3..=6).contains(&questions), "{questions}");
    world.react("h", Reaction::Status(200, MS));
    world.pass(SECOND);
    let answers: Vec<_> = (0..20).map(|_| get(&mut world, &destination)).collect();
    world.pass(20 * MS);
    assert!(answers.iter().all(|answer| said(answer) == Some(Ok(200))));
}

#[test]
fn questions_do_not_lengthen_the_pause_of_the_data() {
    let mut world = World::new();
    world.react("h", Reaction::Refuse);
    let destination = world.destination(1, "h");
    world.submit(&destination, Lane::Observations, 100);
    for _ in 0..60 {
        let _answer = get(&mut world, &destination);
        world.pass(SECOND / 2);
    }
    world.react("h", Reaction::Status(200, MS));
    world.pass(70 * SECOND);
    assert_eq!(destination.lane(Lane::Observations).delivered, 1);
}

#[test]
fn impatience_of_a_caller_does_not_open_the_breaker() {
    let mut world = World::new();
    world.react("h", Reaction::Hang);
    let destination = world.destination(1, "h");
    for _ in 0..10 {
        let answer = ask(&mut world, &destination, ControlRequest::get("/p", Duration::from_millis(20)));
        world.pass(20 * MS);
        assert_eq!(said(&answer), Some(Err(FailureKind::Timeout)));
    }
    assert_eq!(world.seen.len(), 10);
}

#[test]
fn after_a_freeze_only_what_does_no_harm_goes_out_again() {
    let mut world = World::new();
    world.react("h", Reaction::Status(200, SECOND));
    let destination = world.destination(1, "h");
    let read = get(&mut world, &destination);
    let write =
        ask(&mut world, &destination, ControlRequest::json(Method::Post, "/p", b"{}".to_vec(), PATIENCE));
    world.freeze(60 * SECOND);
    assert_eq!(said(&write), Some(Err(FailureKind::Network)));
    world.pass(SECOND);
    assert_eq!(said(&read), Some(Ok(200)));
    assert_eq!(world.seen.len(), 3);
}

#[test]
fn an_exporter_that_gives_up_answers_everybody() {
    let mut world = World::new();
    world.react("h", Reaction::Hang);
    world.react("busy", Reaction::Throttle(1));
    let (hung, busy) = (world.destination(1, "h"), world.destination(2, "busy"));
    let mut answers: Vec<_> = (0..20).map(|_| get(&mut world, &hung)).collect();
    answers.push(ask(
        &mut world,
        &busy,
        ControlRequest { attempts: 3, ..ControlRequest::get("/p", PATIENCE) },
    ));
    world.pass(100 * MS);
    world.pipeline.abort(DropReason::Evicted, world.now);
    assert!(answers.iter().all(|answer| said(answer) == Some(Err(FailureKind::Unavailable))));
    world.settle();
    assert!(world.pipeline.is_idle());
    let answer = get(&mut world, &hung);
    drop(world);
    assert_eq!(said(&answer), Some(Err(FailureKind::Unavailable)));
}
