//! `tracespool-collector`: receives what LLM applications trace, stores it in SQLite and shows it on a web page.
//!
//! It speaks the part of Langfuse's public API that SDKs use to send (OTLP/HTTP traces, scores, prompts, health,
//! projects), so an application can be pointed at it by its base URL alone. With faults switched on it misbehaves
//! on purpose (hangs, resets, drips, refuses): that is how the senders are tested.
//!
//! A map for the reader, in the order a request meets the files: [`server`] accepts connections (through [`wire`],
//! the socket that can be told to misbehave, and [`tls`]), [`fault`] decides about misbehaviour, [`auth`] finds the
//! project, [`otlp`] (with [`otlp_json`], [`gzip`]) or [`scores`], [`ingestion`], [`prompts`], [`datasets`], [`media`]
//! (with [`storage`]) read the body,
//! [`mapping`] (with [`attributes`], [`facets`], [`usage`]) turns a span into a row, [`store`] (with [`schema`]) writes it.
//! [`query`], [`traces`], [`observations`] and [`experiments`] read back what is stored, for tests and for [`page`]; [`guard`] keeps them private.

mod answer;
mod attributes;
mod auth;
mod config;
mod datasets;
mod experiments;
mod facets;
mod fault;
mod guard;
mod gzip;
mod ingestion;
mod instant;
mod keys;
mod mapping;
mod media;
mod observations;
mod otlp;
mod otlp_json;
mod page;
mod prompts;
mod query;
mod schema;
mod scores;
mod server;
mod storage;
mod store;
mod tls;
mod traces;
mod usage;
mod wire;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let config = match config::Config::from_args(std::env::args_os().skip(1)) {
        Ok(config::Asked::Run(config)) => *config,
        Ok(config::Asked::Say(text)) => {
            say(&text);
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            complain(&problem);
            return ExitCode::from(2);
        }
    };
    match server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
    }
}

/// A line for whoever started the collector. Flushed, because tests and scripts wait for it. A closed stdout is
/// nobody's problem: the collector keeps receiving.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// A problem, on stderr. Callers never pass secrets, tokens or bodies.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "tracespool-collector: {line}");
}
