//! What handing an ended observation over as text costs the thread that does it, in nanoseconds.

#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::time::{Duration, Instant};

use tracespool_core::{ClientOptions, native};

const COUNT: usize = 2_000;

fn main() {
    let client = native::open(ClientOptions {
        public_key: Some("pk-lf-record".to_owned()),
        secret_key: Some("sk-lf-0123456789abcdef".to_owned()),
        base_url: Some("http://127.0.0.1:9".to_owned()),
        ..ClientOptions::default()
    });
    let head = "00af7651916cd43dd8448eb211c80319cb7ad6b7169203331span\u{1f}chat\u{1f}";
    let record = format!("{head}i\"{}\u{1f}o\"{}\u{1f}", "x".repeat(100), "y".repeat(100));
    let mut best = f64::MAX;
    for _ in 0..40 {
        let records: Vec<String> = (0..COUNT).map(|_| record.clone()).collect();
        let began = Instant::now();
        for record in records {
            std::hint::black_box(client.take_record(
                record,
                1_700_000_000_000_000_000,
                1_700_000_000_000_100_000,
            ));
        }
        best = best.min(began.elapsed().as_nanos() as f64 / COUNT as f64);
        let _ = client.shutdown(Duration::ZERO);
    }
    println!("{best:.0} ns a record of {} bytes", record.len());
}
