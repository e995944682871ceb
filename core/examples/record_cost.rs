//! What handing an ended observation over as text costs the thread that does it, in nanoseconds; with an argument, a base URL that
//! answers, what it costs the process until it is delivered (for counting instructions by thread).

#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::time::{Duration, Instant};

use tracespool_core::{ClientOptions, native};

const COUNT: usize = 1_200;
const BLOCKS: usize = 40;

fn main() {
    let receiver = std::env::args().nth(1);
    let client = native::open(ClientOptions {
        public_key: Some("pk-lf-record".to_owned()),
        secret_key: Some("sk-lf-0123456789abcdef".to_owned()),
        base_url: Some(receiver.clone().unwrap_or_else(|| "http://127.0.0.1:9".to_owned())),
        ..ClientOptions::default()
    });
    let head = "00af7651916cd43dd8448eb211c80319cb7ad6b7169203331generation\u{1f}chat\u{1f}";
    let text = "what is the third planet ".repeat(3);
    let input = format!(
        "{{{{\"messages\":[{{\"role\":\u{1f}user\u{1f},\"content\":\u{1f}{text}\u{1f}}}]}}\u{1f}\u{1f}"
    );
    let record =
        format!("{head}i{input}M\"demo-model-1\u{1f}o{input}u{{{{\"input\":120,\"output\":48}}\u{1f}\u{1f}")
            .replace("{{", "{");
    let mut best = f64::MAX;
    for _ in 0..BLOCKS {
        let records: Vec<String> = (0..COUNT).map(|_| record.clone()).collect();
        let began = Instant::now();
        for record in records {
            std::hint::black_box(client.take_record(
                &record,
                1_700_000_000_000_000_000,
                1_700_000_000_000_100_000,
            ));
        }
        best = best.min(began.elapsed().as_nanos() as f64 / COUNT as f64);
        let wait = if receiver.is_some() { Duration::from_secs(20) } else { Duration::ZERO };
        let report = if receiver.is_some() { client.flush(wait) } else { client.shutdown(wait) };
        if receiver.is_some() && report.delivered == 0 {
            println!("nothing was delivered: {report:?}");
        }
    }
    println!("{best:.0} ns a record of {} bytes", record.len());
}
