//! Traces one made-up question and answer, scores it, and says goodbye.
//!
//! Reads `LANGFUSE_PUBLIC_KEY`, `LANGFUSE_SECRET_KEY` and `LANGFUSE_BASE_URL`.

use std::process::ExitCode;
use std::time::Duration;

use tracespool_core::attr::{Field, ObservationType};
use tracespool_core::encode::otlp::Value;
use tracespool_core::score::{ScoreInput, ScoreValue};
use tracespool_core::{ClientOptions, Start, native};

fn main() -> ExitCode {
    native::describe("rust");
    let client = native::open(ClientOptions::default());
    let start = Start {
        name: "answer-question",
        kind: ObservationType::Agent,
        parent: None,
        trace_context: None,
        propagated: None,
        values: None,
        start_time: None,
    };
    let agent = client.start(&start);
    agent.set(Field::Input, Value::Str("What is a spool?"));
    let generation = client.start(&Start {
        name: "draft",
        kind: ObservationType::Generation,
        parent: Some(agent.context()),
        ..start
    });
    generation.set_all(&[
        (Field::Model, Value::Str("small-model")),
        (Field::Input, Value::Str(r#"[{"role":"user","content":"What is a spool?"}]"#)),
        (Field::Output, Value::Str("A cylinder that thread is wound on.")),
        (Field::UsageDetails, Value::Str(r#"{"input":9,"output":8}"#)),
    ]);
    generation.end(None);
    agent.set(Field::Output, Value::Str("A cylinder that thread is wound on."));
    agent.set_metadata("attempt", Value::Int(1));
    agent.end(None);
    let score = ScoreInput {
        name: "helpful".into(),
        value: Some(ScoreValue::Number(1.0)),
        trace_id: Some(agent.context().trace_id.to_string()),
        ..ScoreInput::default()
    };
    let scored = client.score(score);
    let report =
        native::exit::begin(Duration::from_secs(3)).map(|goodbye| goodbye.join()).unwrap_or_default();
    let notices = native::current().shared().notices.take(0, true);
    #[allow(clippy::print_stdout)]
    {
        for notice in &notices {
            println!("{}", notice.message);
        }
        println!(
            "delivered {} of {}",
            report.delivered,
            report.delivered + report.dropped + report.pending + report.unconfirmed
        );
    }
    if scored.is_ok() && report.complete && report.delivered > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
