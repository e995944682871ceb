//! A server in a process of its own: answers every request after a round trip's time, over TLS or not. One thread a
//! connection is enough for the few hundred that one exporter opens.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
const HEALTH: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-length: 36\r\n\r\n{\"status\":\"OK\", \"version\":\"4.60.0\"} ";

/// Serves until the process is killed; prints its port first.
pub(crate) fn serve(round_trip: Duration, tls: Option<(&str, &str)>) -> std::io::Result<()> {
    let config = tls.map(|(certificate, key)| server_config(certificate, key)).transpose()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        let config = config.clone();
        std::thread::Builder::new().stack_size(128 * 1024).spawn(move || {
            // A client that leaves is no error of ours.
            let _ = match config {
                Some(config) => match ServerConnection::new(config) {
                    Ok(connection) => answer(StreamOwned::new(connection, stream), round_trip),
                    Err(_) => Ok(()),
                },
                None => answer(stream, round_trip),
            };
        })?;
    }
    Ok(())
}

fn server_config(certificate: &str, key: &str) -> std::io::Result<Arc<ServerConfig>> {
    let bad = |error: rustls::Error| std::io::Error::other(error.to_string());
    let chain = vec![CertificateDer::from(std::fs::read(certificate)?)];
    let key = PrivateKeyDer::try_from(std::fs::read(key)?).map_err(std::io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(bad)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(bad)?;
    Ok(Arc::new(config))
}

fn answer(mut stream: impl Read + Write, round_trip: Duration) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut chunk = [0; 64 * 1024];
    loop {
        let began = loop {
            if let Some((head, length)) = head(&buffer) {
                let began = Instant::now();
                let mut missing = (head + length).saturating_sub(buffer.len());
                let health = buffer.starts_with(b"GET");
                while missing > 0 {
                    let read = stream.read(&mut chunk)?;
                    if read == 0 {
                        return Ok(());
                    }
                    missing = missing.saturating_sub(read);
                }
                buffer.clear();
                if health {
                    stream.write_all(HEALTH)?;
                    stream.flush()?;
                    continue;
                }
                break began;
            }
            let read = stream.read(&mut chunk)?;
            if read == 0 {
                return Ok(());
            }
            buffer.extend_from_slice(&chunk[..read]);
        };
        std::thread::sleep(round_trip.saturating_sub(began.elapsed()));
        stream.write_all(ANSWER)?;
        stream.flush()?;
    }
}

/// Length of the head and of the body that it announces.
fn head(buffer: &[u8]) -> Option<(usize, usize)> {
    let end = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..end]).ok()?;
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .and_then(|digits| digits.trim().parse().ok());
    Some((end, length.unwrap_or(0)))
}
