//! What making a client costs, for a key that is known and for new ones, in nanoseconds.

#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::time::Instant;

use tracespool_core::{Client, ClientOptions, native};

fn open(key: &str) -> Client {
    let options = ClientOptions {
        public_key: Some(key.to_owned()),
        secret_key: Some("sk-lf-0123456789abcdef".to_owned()),
        base_url: Some("http://127.0.0.1:9".to_owned()),
        ..ClientOptions::default()
    };
    native::open(options)
}

fn main() {
    let known = open("pk-known");
    let (mut best, mut new) = (f64::MAX, f64::MAX);
    for round in 0..50 {
        let began = Instant::now();
        for _ in 0..1000 {
            std::hint::black_box(open("pk-known"));
        }
        best = best.min(began.elapsed().as_nanos() as f64 / 1000.0);
        let keys: Vec<String> = (0..10).map(|key| format!("pk-{round}-{key}")).collect();
        let began = Instant::now();
        for key in &keys {
            std::hint::black_box(open(key));
        }
        new = new.min(began.elapsed().as_nanos() as f64 / 10.0);
    }
    println!("known key {best:.0} ns, new key {new:.0} ns ({})", known.settings().public_key);
}
