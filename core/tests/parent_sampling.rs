//! `follow_parent_sampling`: what a parent's own tracer has not sampled takes the observations below it with it.
#![allow(clippy::unwrap_used)]

use tracespool_core::attr::ObservationType;
use tracespool_core::id::{SpanId, TraceId, Traceparent};
use tracespool_core::score::{ScoreInput, ScoreValue};
use tracespool_core::{Chosen, Client, ClientOptions, SpanContext, Start, TraceContext, native};

fn client(key: &str, follow_parent_sampling: bool) -> Client {
    let options = ClientOptions {
        public_key: Some(key.into()),
        secret_key: Some("sk".into()),
        base_url: Some("http://127.0.0.1:9".into()),
        follow_parent_sampling,
        ..ClientOptions::default()
    };
    Client::open(options, &|_| None, native::current)
}

fn start<'a>(parent: Option<&'a SpanContext>, trace_context: Option<TraceContext>) -> Start<'a> {
    Start {
        name: "one",
        kind: ObservationType::Span,
        parent,
        trace_context,
        propagated: None,
        values: None,
        start_time: None,
    }
}

fn header(flags: &str) -> TraceContext {
    let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
    Traceparent::parse(&text).unwrap().into()
}

#[test]
fn a_named_parent_is_followed_where_asked() {
    for (follow, flags, recorded) in [
        (true, "00", false),
        (true, "01", true),
        (true, "02", false),
        (false, "00", true),
        (false, "01", true),
    ] {
        let client = client("pk-named", follow);
        let observation = client.start(&start(None, Some(header(flags))));
        assert_eq!(observation.context().recorded, recorded, "{follow} {flags}");
        assert_eq!(observation.context().trace_id, header(flags).trace_id);
        // What is below follows it whatever it was told of other tracers.
        let below = client.start_as(
            &start(Some(observation.context()), None),
            Chosen { unsampled_parent: false, ..Chosen::default() },
        );
        assert_eq!(below.context().recorded, recorded);
        observation.end(None);
        below.end(None);
    }
}

#[test]
fn ids_without_a_flag_count_as_sampled() {
    let named = TraceContext::new(TraceId::random(), Some(SpanId::random()));
    let observation = client("pk-ids", true).start(&start(None, Some(named)));
    assert!(observation.context().recorded);
    observation.end(None);
}

#[test]
fn what_is_named_wins_over_what_is_current() {
    let client = client("pk-wins", true);
    let unsampled = Chosen { unsampled_parent: true, ..Chosen::default() };
    let named = client.start_as(&start(None, Some(header("01"))), unsampled);
    assert!(named.context().recorded);
    named.end(None);
    assert!(!client.start_as(&start(None, None), unsampled).context().recorded);
}

#[test]
fn a_parent_of_another_client_decides_nothing() {
    let (one, other) = (client("pk-one", true), client("pk-other", true));
    let unsampled = one.start(&start(None, Some(header("00"))));
    let observation = other.start(&start(Some(unsampled.context()), None));
    assert!(observation.context().recorded);
    observation.end(None);
}

#[test]
fn what_is_not_recorded_has_no_scores() {
    let client = client("pk-scores", true);
    let lane = || client.tally(tracespool_core::report::Lane::Scores).submitted;
    let score = || ScoreInput {
        name: "quality".into(),
        value: Some(ScoreValue::Number(1.0)),
        trace_id: Some(header("00").trace_id.to_string()),
        ..ScoreInput::default()
    };
    let unsampled = client.start(&start(None, Some(header("00"))));
    client.score_on(unsampled.context(), score()).unwrap();
    assert_eq!(lane(), 0);
    let sampled = client.start(&start(None, Some(header("01"))));
    client.score_on(sampled.context(), score()).unwrap();
    assert_eq!(lane(), 1);
    sampled.end(None);
}
