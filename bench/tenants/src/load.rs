//! The tenants: each ends three observations of about 1.3 KB every five seconds, all of them spread evenly.

use std::time::{Duration, Instant};

use tracespool_core::attr::{Field, ObservationType};
use tracespool_core::encode::otlp::Value;
use tracespool_core::report::Lane;
use tracespool_core::{Client, ClientOptions, Start, native};

/// What one run is about.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) url: String,
    /// A server that never answers, for one key in this many; 0 for none.
    pub(crate) dead_url: String,
    pub(crate) dead_every: usize,
    pub(crate) tenants: usize,
    pub(crate) gzip: bool,
    /// One more tenant that sends 4 MiB batches without pause.
    pub(crate) big: bool,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// What it came to.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) cpu: f64,
    pub(crate) lag: f64,
    pub(crate) lost: u64,
    pub(crate) rss: u64,
}

const WORDS: [&str; 48] = [
    "invoice",
    "customer",
    "refund",
    "policy",
    "shipment",
    "delayed",
    "warehouse",
    "agent",
    "answer",
    "question",
    "context",
    "retrieval",
    "document",
    "summary",
    "because",
    "therefore",
    "please",
    "contact",
    "support",
    "within",
    "business",
    "days",
    "order",
    "number",
    "status",
    "pending",
    "approved",
    "rejected",
    "amount",
    "currency",
    "euro",
    "dollar",
    "account",
    "login",
    "password",
    "reset",
    "email",
    "address",
    "phone",
    "mobile",
    "region",
    "country",
    "language",
    "english",
    "german",
    "model",
    "token",
    "usage",
];

/// Text of a small vocabulary: gzips about three times, as prompts do.
struct Text(u64);

impl Text {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn of(&mut self, len: usize) -> String {
        let mut text = String::with_capacity(len + 16);
        while text.len() < len {
            let number = self.next();
            text.push_str(WORDS[(number % 48) as usize]);
            if number & 0x700 == 0 {
                text.push_str(&(number >> 40).to_string());
            }
            text.push(' ');
        }
        text
    }
}

fn trace(client: &Client, text: &mut Text, len: usize) {
    let start = |name, kind, parent| Start {
        name,
        kind,
        parent,
        trace_context: None,
        propagated: None,
        values: None,
        start_time: None,
    };
    let agent = client.start(&start("agent", ObservationType::Agent, None));
    agent.set(Field::Input, Value::Str(&text.of(len / 2)));
    let tool = client.start(&start("search", ObservationType::Tool, Some(agent.context())));
    tool.set(Field::Input, Value::Str(&text.of(len / 2)));
    tool.set(Field::Output, Value::Str(&text.of(len / 2)));
    tool.end(None);
    let generation = client.start(&start("draft", ObservationType::Generation, Some(agent.context())));
    generation.set(Field::Input, Value::Str(&text.of(len / 2)));
    generation.set(Field::Output, Value::Str(&text.of(len / 2)));
    generation.end(None);
    agent.set(Field::Output, Value::Str(&text.of(len / 2)));
    agent.end(None);
}

fn client(key: usize, url: &str, gzip: bool) -> Client {
    let options = ClientOptions {
        public_key: Some(format!("pk-lf-{key}")),
        secret_key: Some(format!("sk-lf-{key}")),
        base_url: Some(url.to_owned()),
        gzip: Some(gzip),
        // A little less than the tenants' period, so that each batch is one trace.
        flush_interval: Some(4.5),
        ..ClientOptions::default()
    };
    Client::open(options, &native::env, native::current)
}

/// Runs one scenario in this process; the limits and trust come from its environment.
pub(crate) fn run(scenario: &Scenario) -> Figures {
    let clients: Vec<Client> = (0..scenario.tenants)
        .map(|key| {
            let dead = scenario.dead_every > 0 && key % scenario.dead_every == 0;
            client(key, if dead { &scenario.dead_url } else { &scenario.url }, scenario.gzip)
        })
        .collect();
    let big = scenario.big.then(|| client(usize::MAX, &scenario.url, scenario.gzip));
    let process = native::current();
    let mut text = Text(0x9e37_79b9_7f4a_7c15);
    // Prepared, so that making text does not compete with what is measured.
    let giant = scenario.big.then(|| text.of(1 << 20));
    let pause = Duration::from_secs(5).div_f64(scenario.tenants as f64);
    let began = Instant::now();
    let mut measuring: Option<(Instant, f64)> = None;
    for turn in 0usize.. {
        let due = began + pause.mul_f64(turn as f64);
        let now = Instant::now();
        if due > now {
            std::thread::sleep(due - now);
        }
        if measuring.is_none() && began.elapsed() >= scenario.warm_up {
            process.shared().delivery.iter().for_each(|delivery| delivery.clear());
            measuring = Some((Instant::now(), exporter_cpu()));
        }
        if measuring.is_some_and(|(since, ..)| since.elapsed() >= scenario.measured) {
            break;
        }
        trace(&clients[turn % clients.len()], &mut text, 1100);
        if let (Some(big), Some(giant)) = (&big, &giant)
            && turn % 400 == 0
        {
            // Four observations of 1 MiB: 4 MiB a batch, five times a second.
            for _ in 0..4 {
                let start = Start {
                    name: "big",
                    kind: ObservationType::Span,
                    parent: None,
                    trace_context: None,
                    propagated: None,
                    values: None,
                    start_time: None,
                };
                let observation = big.start(&start);
                observation.set(Field::Input, Value::Str(giant));
                observation.end(None);
            }
        }
    }
    let (since, cpu) = measuring.unwrap_or((began, 0.0));
    let seconds = since.elapsed().as_secs_f64();
    let cpu = (exporter_cpu() - cpu) / seconds;
    let rate = process.shared().delivery.as_ref().map_or(0, |delivery| delivery.count()) as f64 / seconds;
    let stats = process.stats();
    let dropped: u64 = clients
        .iter()
        .enumerate()
        .filter(|(key, _)| scenario.dead_every == 0 || key % scenario.dead_every != 0)
        .map(|(_, client)| client.tally(Lane::Observations).dropped_total())
        .sum();
    let millis = |share| {
        process
            .shared()
            .delivery
            .as_ref()
            .and_then(|delivery| delivery.quantile(share))
            .map_or(f64::NAN, |duration| duration.as_secs_f64() * 1e3)
    };
    Figures {
        rate,
        p50: millis(0.5),
        p99: millis(0.99),
        cpu: cpu * 100.0,
        lag: stats.largest_lag * 1e3,
        lost: dropped,
        rss: rss(),
    }
}

/// CPU seconds of the export thread, from the kernel's own account of it (nanoseconds on the run queue's CPU).
fn exporter_cpu() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return f64::NAN;
    };
    for task in tasks.flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if name.trim() == "tracespool" {
            let account = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            return account.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or(f64::NAN)
                / 1e9;
        }
    }
    f64::NAN
}

fn rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.trim().split(' ').next())
        .and_then(|digits| digits.parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}
