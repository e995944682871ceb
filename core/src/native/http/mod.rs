//! HTTP/1.1 on one thread: the native [`Transport`](crate::transport::Transport).
//!
//! `transport` is the loop, `attempt` what moves in it, by `drive`, `establish` and `exchange`. Around them, one noun each:
//! `connection` (socket and TLS), `dial` (which address), `resolver` (which addresses), `pool` (idle connections), `head`
//! (bytes out), `answer` (bytes in), `pack` (gzip), `timer`, `slab`. `config` is how the process reaches the network.
//!
//! Whatever a server does (hang, drip, reset, refuse, redirect, lie about a length), an attempt ends by its deadline with one
//! outcome, and delays no other attempt.

mod answer;
mod attempt;
mod config;
mod connection;
mod dial;
mod drive;
mod establish;
mod exchange;
mod head;
mod pack;
mod pool;
mod resolver;
mod response_headers;
mod slab;
mod timer;
mod transport;

pub use config::NetConfig;
pub use resolver::Lookup;
pub(crate) use response_headers::response_headers;
pub use transport::{HttpTransport, Wake};
