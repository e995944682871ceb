//! What three nested observations of about 1 KB cost the thread that makes them, in nanoseconds. Data goes to a port
//! where nobody listens and is dropped with its client every few thousand traces, so that budgets never refuse.

#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::time::{Duration, Instant};

use tracespool_core::attr::{Field, ObservationType};
use tracespool_core::encode::otlp::Value;
use tracespool_core::{Client, ClientOptions, Start, native};

fn main() {
    let options = ClientOptions {
        public_key: Some("pk".into()),
        secret_key: Some("sk".into()),
        base_url: Some("http://127.0.0.1:9".into()),
        ..ClientOptions::default()
    };
    let client = Client::open(options, &native::env, native::current);
    let (input, output) = ("question ".repeat(60), "answer ".repeat(70));
    let mut best = f64::MAX;
    for _ in 0..40 {
        let began = Instant::now();
        for _ in 0..2000 {
            let start = |name, parent| Start {
                name,
                kind: ObservationType::Span,
                parent,
                trace_context: None,
                propagated: None,
                values: None,
                start_time: None,
            };
            let outer = client.start(&start("outer", None));
            outer.set(Field::Input, Value::Str(&input));
            let middle = client.start(&start("middle", Some(outer.context())));
            middle.set(Field::Input, Value::Str(&input));
            let inner = client.start(&start("inner", Some(middle.context())));
            inner.set(Field::Input, Value::Str(&input));
            for observation in [&inner, &middle, &outer] {
                observation.set(Field::Output, Value::Str(&output));
                observation.end(None);
            }
        }
        best = best.min(began.elapsed().as_nanos() as f64 / 2000.0);
        let _ = client.shutdown(Duration::ZERO);
    }
    println!("{best:.0} ns for three observations");
}
