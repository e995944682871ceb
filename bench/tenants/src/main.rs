//! 10,000 clients of 10,000 keys on one export thread, against one server with a round trip of 75 ms.
//!
//! `tenants [--seconds N] [--rounds N] [--tenants N] [--only NAME]` runs every scenario in a process of its own, in turns,
//! prints the medians and ends with an error where a promise is broken.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program, not a library
#![allow(clippy::cast_precision_loss)]

mod load;
mod sink;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use load::{Figures, Scenario};

/// Name, TLS, gzip, one dead key in so many, a tenant with 4 MiB batches.
const SCENARIOS: [(&str, bool, bool, usize, bool); 5] = [
    ("tls", true, false, 0, false),
    ("tls+gzip", true, true, 0, false),
    ("tls, 1 in 100 dead", true, false, 100, false),
    ("tls, half dead", true, false, 2, false),
    ("tls, one with 4 MiB", true, false, 0, true),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value =
        |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1)).cloned();
    let number =
        |name: &str, default: usize| value(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let result = match arguments.first().map(String::as_str) {
        Some("--sink") => {
            let tls = value("--certificate").zip(value("--key"));
            sink::serve(Duration::from_millis(75), tls.as_ref().map(|(c, k)| (c.as_str(), k.as_str())))
                .map(|()| true)
        }
        Some("--load") => {
            let scenario = Scenario {
                url: value("--url").unwrap_or_default(),
                dead_url: value("--dead-url").unwrap_or_default(),
                dead_every: number("--dead-every", 0),
                tenants: number("--tenants", 10_000),
                gzip: arguments.iter().any(|a| a == "--gzip"),
                big: arguments.iter().any(|a| a == "--big"),
                warm_up: Duration::from_secs(25),
                measured: Duration::from_secs(number("--seconds", 15) as u64),
            };
            let Figures { rate, p50, p99, cpu, lag, lost, rss } = load::run(&scenario);
            println!("{rate} {p50} {p99} {cpu} {lag} {lost} {rss}");
            Ok(true)
        }
        _ => compare(
            number("--rounds", 3),
            number("--seconds", 15),
            number("--tenants", 10_000),
            value("--only").as_deref(),
        ),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tenants: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Kills its process when it goes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn compare(rounds: usize, seconds: usize, tenants: usize, only: Option<&str>) -> std::io::Result<bool> {
    let directory = std::env::temp_dir().join(format!("tracespool-tenants-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    certificates(&directory)?;
    // Takes connections into its backlog and never answers.
    let dead = TcpListener::bind("127.0.0.1:0")?;
    let dead_port = dead.local_addr()?.port();
    let mut measured: Vec<Vec<Vec<f64>>> = vec![Vec::new(); SCENARIOS.len()];
    for round in 0..rounds {
        for (index, (name, tls, gzip, dead_every, big)) in SCENARIOS.into_iter().enumerate() {
            if only.is_some_and(|only| only != name) {
                continue;
            }
            eprintln!("round {} of {rounds}: {name}", round + 1);
            let (_sink, port) = start_sink(&directory, tls)?;
            let scheme = if tls { "https" } else { "http" };
            let mut command = Command::new(std::env::current_exe()?);
            command
                .args(["--load", "--url", &format!("{scheme}://127.0.0.1:{port}")])
                .args([
                    "--dead-url",
                    &format!("{scheme}://127.0.0.1:{dead_port}"),
                    "--dead-every",
                    &dead_every.to_string(),
                ])
                .args(["--tenants", &tenants.to_string(), "--seconds", &seconds.to_string()])
                .env("SSL_CERT_FILE", directory.join("ca.pem"))
                .env("TRACESPOOL_MAX_CLIENTS", "20000");
            if gzip {
                command.arg("--gzip");
            }
            if big {
                command.arg("--big");
            }
            let output = command.stderr(Stdio::inherit()).output()?;
            let figures: Vec<f64> = String::from_utf8_lossy(&output.stdout)
                .split_whitespace()
                .filter_map(|text| text.parse().ok())
                .collect();
            if figures.len() == 7 {
                measured[index].push(figures);
            }
        }
    }
    std::fs::remove_dir_all(&directory)?;
    Ok(table(&measured, tenants))
}

fn start_sink(directory: &Path, tls: bool) -> std::io::Result<(Running, u16)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--sink").stdout(Stdio::piped());
    if tls {
        command
            .arg("--certificate")
            .arg(directory.join("server.der"))
            .arg("--key")
            .arg(directory.join("server.key"));
    }
    let mut child = command.spawn()?;
    let stdout = child.stdout.take();
    let running = Running(child);
    let mut line = String::new();
    if let Some(stdout) = stdout {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let port = line.trim().parse().map_err(|_| std::io::Error::other("the sink did not start"))?;
    Ok((running, port))
}

/// A private authority and a server certificate of its own.
fn certificates(directory: &Path) -> std::io::Result<()> {
    let bad = |error: rcgen::Error| std::io::Error::other(error.to_string());
    let authority_key = rcgen::KeyPair::generate().map_err(bad)?;
    let mut authority = rcgen::CertificateParams::new(Vec::new()).map_err(bad)?;
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).map_err(bad)?;
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let server_key = rcgen::KeyPair::generate().map_err(bad)?;
    let server = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).map_err(bad)?;
    let server = server.signed_by(&server_key, &issuer).map_err(bad)?;
    std::fs::write(directory.join("ca.pem"), certificate.pem())?;
    std::fs::write(directory.join("server.der"), server.der())?;
    std::fs::write(directory.join("server.key"), server_key.serialize_der())
}

/// Prints medians; true where every promise is kept.
fn table(measured: &[Vec<Vec<f64>>], tenants: usize) -> bool {
    let median = |rounds: &[Vec<f64>], at: usize| {
        let mut all: Vec<f64> = rounds.iter().map(|figures| figures[at]).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    };
    println!(
        "\n{:<22}|{:>11} |{:>8} |{:>8} |{:>7} |{:>11} |{:>6} |{:>9}",
        "scenario", "batches/s", "p50 ms", "p99 ms", "CPU %", "max lag ms", "lost", "RSS MiB"
    );
    let base = measured.first().filter(|rounds| !rounds.is_empty()).map(|rounds| median(rounds, 2));
    let mut kept = true;
    for ((name, _, gzip, dead_every, big), rounds) in SCENARIOS.into_iter().zip(measured) {
        if rounds.is_empty() {
            continue;
        }
        let figure = |at| median(rounds, at);
        println!(
            "{name:<22}|{:>11.0} |{:>8.1} |{:>8.1} |{:>7.1} |{:>11.2} |{:>6.0} |{:>9.0}",
            figure(0),
            figure(1),
            figure(2),
            figure(3),
            figure(4),
            figure(5),
            figure(6)
        );
        let alive = if dead_every > 0 { 1.0 - 1.0 / dead_every as f64 } else { 1.0 };
        let mut check = |holds: bool, what: String| {
            if !holds {
                println!("  broken: {what}");
                kept = false;
            }
        };
        check(
            figure(0) >= 1950.0 / 10_000.0 * tenants as f64 * alive,
            format!("{:.0} batches/s are fewer than promised", figure(0)),
        );
        check(figure(2) < 100.0, format!("p99 {:.1} ms is not under 100 ms", figure(2)));
        check(
            figure(5) == 0.0,
            format!("{} observations of tenants with a healthy server were lost", figure(5)),
        );
        if dead_every == 0 && !big {
            let most = if gzip { 25.0 } else { 12.0 };
            check(figure(3) <= most, format!("CPU {:.1} % is over {most} %", figure(3)));
        }
        if let Some(base) = base {
            if dead_every > 0 {
                check(
                    figure(2) <= base * 1.1 && figure(2) <= base + 5.0,
                    format!("p99 is {:.1} ms beside {base:.1} ms without dead keys", figure(2)),
                );
            }
            if big {
                check(
                    figure(2) <= base + 5.0,
                    format!("p99 is {:.1} ms beside {base:.1} ms without the big tenant", figure(2)),
                );
            }
        }
    }
    kept
}
