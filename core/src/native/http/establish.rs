//! How an attempt gets a new connection: addresses, the race between them, the proxy's tunnel, TLS.

use rustls::pki_types::ServerName;

use crate::native::proxy::Proxy;
use crate::transport::FailureKind;

use super::answer::Answer;
use super::attempt::{Attempt, Stage};
use super::connection::{Received, Shake};
use super::dial::{Dial, Race};
use super::drive::Move;
use super::head;
use super::resolver::Resolved;
use super::transport::HttpTransport;

/// A proxy's answer to CONNECT is looked at no further than this.
const MAX_TUNNEL_BODY: usize = 4 * 1024;

impl HttpTransport {
    pub(super) fn resolve(
        &mut self,
        place: usize,
        attempt: &mut Attempt,
        proxy: Option<&Proxy>,
        now: u64,
    ) -> Option<Move> {
        let (host, port) = peer(attempt, proxy);
        match self.resolver.resolve(host, (place, attempt.serial), now) {
            Resolved::Addresses(addresses) => {
                attempt.stage = Stage::Dial(Dial::new(&addresses, port, now));
                None
            }
            Resolved::Failed(reason) => Some(Move::Finished(attempt.fail(FailureKind::Network, reason))),
            Resolved::Pending => {
                self.note_queued_lookups(now);
                Some(Move::Wait)
            }
        }
    }

    pub(super) fn dial(
        &mut self,
        place: usize,
        attempt: &mut Attempt,
        proxy: Option<&Proxy>,
        now: u64,
    ) -> Option<Move> {
        let Stage::Dial(dial) = &mut attempt.stage else {
            return None;
        };
        match dial.step(&mut self.connections, self.poll.registry(), place, now) {
            Race::Running(at) => {
                self.timers.arm(at, place, attempt.serial);
                Some(Move::Wait)
            }
            Race::TimedOut => {
                self.resolver.distrust(peer(attempt, proxy).0);
                Some(Move::Finished(attempt.fail(FailureKind::Timeout, "no address answered within 2 s")))
            }
            Race::Lost(error) => {
                self.resolver.distrust(peer(attempt, proxy).0);
                Some(Move::Finished(attempt.fail(FailureKind::Network, error)))
            }
            Race::Won(connection) => {
                attempt.connection = Some(connection);
                match proxy {
                    Some(proxy) if attempt.request.endpoint.url.tls => self.begin_tunnel(attempt, proxy),
                    _ => self.begin_tls(attempt, proxy),
                }
            }
        }
    }

    fn begin_tunnel(&mut self, attempt: &mut Attempt, proxy: &Proxy) -> Option<Move> {
        let answer = match Answer::new(true, MAX_TUNNEL_BODY, &[]) {
            Ok(answer) => answer,
            Err(reason) => return Some(Move::Finished(attempt.fail(FailureKind::Invalid, reason))),
        };
        let user_agent = &self.net.user_agent;
        let written = attempt.begin_sending(|out, request| {
            head::write_connect(out, &request.endpoint, user_agent, proxy);
            Ok(())
        });
        if let Err(reason) = written {
            return Some(Move::Finished(attempt.fail(FailureKind::Invalid, reason)));
        }
        attempt.stage = Stage::Tunnel(Box::new(answer));
        None
    }

    pub(super) fn tunnel(&mut self, attempt: &mut Attempt) -> Option<Move> {
        let Some(connection) = attempt.connection.and_then(|place| self.connections.get_mut(place)) else {
            return Some(Move::Finished(attempt.fail(FailureKind::Network, "the connection is gone")));
        };
        if !attempt.head_sent() {
            let n = attempt.next_bytes(&mut self.scratch, false);
            match connection.send(self.scratch.get(..n).unwrap_or_default()) {
                Ok(taken) => attempt.advance(taken),
                Err(trouble) => return Some(Move::Finished(attempt.broken(&trouble))),
            }
        }
        let Stage::Tunnel(answer) = &mut attempt.stage else {
            return None;
        };
        let complete = match connection.receive(&mut self.scratch) {
            Ok(Received::Blocked) => return Some(Move::Wait),
            Ok(Received::Bytes(n)) => {
                answer.feed(self.scratch.get(..n).unwrap_or_default(), &mut self.parse_scratch)
            }
            // A refusal may have been complete enough to name its status.
            Ok(Received::End) if answer.status() != 0 => Ok(true),
            Ok(Received::End) => {
                return Some(Move::Finished(
                    attempt.fail(FailureKind::Network, "the proxy closed the connection"),
                ));
            }
            Err(trouble) => return Some(Move::Finished(attempt.broken(&trouble))),
        };
        let status = answer.status();
        match complete {
            Err(reason) => {
                Some(Move::Finished(attempt.fail(FailureKind::Protocol, format_args!("the proxy: {reason}"))))
            }
            Ok(false) if status == 0 || (200..300).contains(&status) => Some(Move::Again),
            Ok(_) if (200..300).contains(&status) => self.begin_tls(attempt, None),
            // Whatever the refusal's body says, the status is what matters.
            Ok(_) => {
                let what = format!("the proxy refused the tunnel with status {status}");
                Some(Move::Finished(attempt.fail(FailureKind::Network, what)))
            }
        }
    }

    fn begin_tls(&mut self, attempt: &mut Attempt, proxy: Option<&Proxy>) -> Option<Move> {
        if !attempt.request.endpoint.url.tls {
            return self.begin_exchange(attempt, proxy);
        }
        attempt.stage = Stage::Handshake;
        let config = match self.net.tls.load() {
            Ok(loaded) => &loaded.config,
            Err(reason) => return Some(Move::Finished(attempt.fail(FailureKind::Tls, reason))),
        };
        let name = match ServerName::try_from(attempt.request.endpoint.url.host.clone()) {
            Ok(name) => name,
            Err(error) => return Some(Move::Finished(attempt.fail(FailureKind::Invalid, error))),
        };
        let Some(connection) = attempt.connection.and_then(|place| self.connections.get_mut(place)) else {
            return Some(Move::Finished(attempt.fail(FailureKind::Network, "the connection is gone")));
        };
        if let Err(trouble) = connection.start_tls(config, name) {
            return Some(Move::Finished(attempt.broken(&trouble)));
        }
        Some(Move::Heavy)
    }

    pub(super) fn handshake(&mut self, attempt: &mut Attempt, proxy: Option<&Proxy>) -> Option<Move> {
        let Some(connection) = attempt.connection.and_then(|place| self.connections.get_mut(place)) else {
            return Some(Move::Finished(attempt.fail(FailureKind::Network, "the connection is gone")));
        };
        match connection.handshake() {
            Ok(Shake::Blocked) => Some(Move::Wait),
            Ok(Shake::Again) => Some(Move::Heavy),
            Ok(Shake::Done) => self.begin_exchange(attempt, proxy),
            Err(trouble) => Some(Move::Finished(attempt.broken(&trouble))),
        }
    }
}

/// Whom the connection leads to: the proxy or the server.
fn peer<'a>(attempt: &'a Attempt, proxy: Option<&'a Proxy>) -> (&'a str, u16) {
    let url = &attempt.request.endpoint.url;
    proxy.map_or((url.host.as_str(), url.port), |proxy| (proxy.host.as_str(), proxy.port))
}
