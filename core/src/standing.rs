//! For tests: a process whose clock stands still, and clients of it. Nothing drives it, so what is submitted stays where it is.

use std::sync::Arc;

use crate::client::{Client, Home};
use crate::config::{ClientOptions, Limits};
use crate::encode::otlp::Envelope;
use crate::process::{Clock, Process};
use crate::transport::Now;

struct Still;

impl Clock for Still {
    fn now(&self) -> Now {
        Now { mono: 1, unix: 1 }
    }
}

/// A new process.
pub(crate) fn process() -> Arc<Process> {
    Process::new(Limits::default(), Envelope::new(&[], "scope", "1"), Box::new(Still))
}

/// Enough to open a client with.
pub(crate) fn options(key: &str) -> ClientOptions {
    ClientOptions {
        public_key: Some(key.to_owned()),
        secret_key: Some("sk".to_owned()),
        base_url: Some("http://127.0.0.1:9".to_owned()),
        ..ClientOptions::default()
    }
}

/// A client of the process that `home` leads to, in an empty environment.
pub(crate) fn client(key: &str, home: Home) -> Client {
    Client::open(options(key), &|_| None, home)
}
