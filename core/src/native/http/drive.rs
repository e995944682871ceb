//! What an attempt does when it can move: from its request to an answer, stage by stage.

use std::sync::Arc;

use rustls::pki_types::ServerName;

use crate::native::proxy::{Proxy, Route};
use crate::transport::{FailureKind, Outcome, Phase};

use super::answer::Answer;
use super::attempt::{Attempt, Stage};
use super::connection::{Received, Shake, Trouble};
use super::dial::{Dial, Race};
use super::head;
use super::pack::Packed;
use super::pool::MAX_IDLE;
use super::resolver::Resolved;
use super::transport::{HttpTransport, SLICE};

/// What an attempt wants after a slice.
pub(super) enum Move {
    /// Nothing until an event, a timer or a finding.
    Wait,
    /// Another slice, after the others have had theirs.
    Again,
    /// The same, at some cost.
    Heavy,
    /// Nothing more.
    Finished(Outcome),
}

/// A proxy's answer to CONNECT is looked at no further than this.
const MAX_TUNNEL_BODY: usize = 4 * 1024;

impl HttpTransport {
    /// Gives an attempt one slice of work.
    pub(super) fn drive(&mut self, place: usize, attempt: &mut Attempt, now: u64) -> Move {
        if now >= attempt.request.deadline {
            return Move::Finished(attempt.timed_out(now));
        }
        let net = Arc::clone(&self.net);
        let proxy = match net.proxies.route(&attempt.request.endpoint.url) {
            Route::Direct => None,
            Route::Via(proxy) => Some(proxy),
            Route::Refused(reason) => return Move::Finished(attempt.fail(FailureKind::Invalid, reason)),
        };
        loop {
            let next = match attempt.stage {
                Stage::New => {
                    let pack = attempt.request.gzip && !attempt.request.payload.is_empty();
                    attempt.stage = if pack { Stage::Pack } else { Stage::Acquire };
                    if pack { Some(Move::Heavy) } else { None }
                }
                Stage::Pack => self.pack(attempt),
                Stage::Acquire => self.acquire(place, attempt, proxy, now),
                Stage::Roots => self.await_roots(place, attempt),
                Stage::Resolve => self.resolve(place, attempt, proxy, now),
                Stage::Dial(_) => self.dial(place, attempt, proxy, now),
                Stage::Tunnel(_) => self.tunnel(attempt),
                Stage::Handshake => self.handshake(attempt, proxy),
                Stage::Exchange(_) => self.exchange(attempt, now),
            };
            if let Some(next) = next {
                return next;
            }
        }
    }

    fn pack(&mut self, attempt: &mut Attempt) -> Option<Move> {
        match attempt
            .packing
            .step(&attempt.request.payload, &mut self.compressors)
        {
            Packed::Again => return Some(Move::Heavy),
            // Sent as it is: the server takes either.
            Packed::Broken => attempt.packing.packed = Vec::new(),
            Packed::Done => attempt.set_packed(),
        }
        attempt.stage = Stage::Acquire;
        None
    }

    fn acquire(
        &mut self,
        place: usize,
        attempt: &mut Attempt,
        proxy: Option<&Proxy>,
        now: u64,
    ) -> Option<Move> {
        if !attempt.retried
            && let Some(idle) = self.pool.checkout(&attempt.request.endpoint.origin, now)
            && let Some(connection) = self.connections.get_mut(idle)
        {
            connection.owner = Some(place);
            attempt.connection = Some(idle);
            return self.begin_exchange(attempt, proxy);
        }
        attempt.stage = if attempt.request.endpoint.url.tls {
            Stage::Roots
        } else {
            Stage::Resolve
        };
        None
    }

    /// Certificates are files: another thread reads them, once.
    fn await_roots(&mut self, place: usize, attempt: &mut Attempt) -> Option<Move> {
        match self.net.tls.ready() {
            Some(Ok(_)) => {
                attempt.stage = Stage::Resolve;
                return None;
            }
            Some(Err(reason)) => return Some(Move::Finished(attempt.fail(FailureKind::Tls, reason))),
            None => {}
        }
        if !self.reading_roots {
            let (net, wake) = (Arc::clone(&self.net), self.waker());
            let read = move || {
                let _ = net.tls.load();
                wake();
            };
            if std::thread::Builder::new()
                .name("tracespool-tls".into())
                .spawn(read)
                .is_err()
            {
                // No thread to be had: 20 ms of delay are better than no export.
                let _ = self.net.tls.load();
                return None;
            }
            self.reading_roots = true;
        }
        self.rootless.push((place, attempt.serial));
        Some(Move::Wait)
    }

    fn resolve(
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

    fn dial(&mut self, place: usize, attempt: &mut Attempt, proxy: Option<&Proxy>, now: u64) -> Option<Move> {
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
                Some(Move::Finished(
                    attempt.fail(FailureKind::Timeout, "no address answered within 2 s"),
                ))
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
        let answer = match Answer::new(true, MAX_TUNNEL_BODY) {
            Ok(answer) => answer,
            Err(reason) => return Some(Move::Finished(attempt.fail(FailureKind::Invalid, reason))),
        };
        let endpoint = Arc::clone(&attempt.request.endpoint);
        let user_agent = &self.net.user_agent;
        let written = attempt.begin_sending(|out| {
            head::write_connect(out, &endpoint, user_agent, proxy);
            Ok(())
        });
        if let Err(reason) = written {
            return Some(Move::Finished(attempt.fail(FailureKind::Invalid, reason)));
        }
        attempt.stage = Stage::Tunnel(Box::new(answer));
        None
    }

    fn tunnel(&mut self, attempt: &mut Attempt) -> Option<Move> {
        let Some(connection) = attempt
            .connection
            .and_then(|place| self.connections.get_mut(place))
        else {
            return Some(Move::Finished(
                attempt.fail(FailureKind::Network, "the connection is gone"),
            ));
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
            Err(reason) => Some(Move::Finished(
                attempt.fail(FailureKind::Protocol, format_args!("the proxy: {reason}")),
            )),
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
        let Some(connection) = attempt
            .connection
            .and_then(|place| self.connections.get_mut(place))
        else {
            return Some(Move::Finished(
                attempt.fail(FailureKind::Network, "the connection is gone"),
            ));
        };
        if let Err(trouble) = connection.start_tls(config, name) {
            return Some(Move::Finished(attempt.broken(&trouble)));
        }
        Some(Move::Heavy)
    }

    fn handshake(&mut self, attempt: &mut Attempt, proxy: Option<&Proxy>) -> Option<Move> {
        let Some(connection) = attempt
            .connection
            .and_then(|place| self.connections.get_mut(place))
        else {
            return Some(Move::Finished(
                attempt.fail(FailureKind::Network, "the connection is gone"),
            ));
        };
        match connection.handshake() {
            Ok(Shake::Blocked) => Some(Move::Wait),
            Ok(Shake::Again) => Some(Move::Heavy),
            Ok(Shake::Done) => self.begin_exchange(attempt, proxy),
            Err(trouble) => Some(Move::Finished(attempt.broken(&trouble))),
        }
    }

    fn begin_exchange(&mut self, attempt: &mut Attempt, proxy: Option<&Proxy>) -> Option<Move> {
        let answer = match Answer::new(false, attempt.request.max_response) {
            Ok(answer) => answer,
            Err(reason) => return Some(Move::Finished(attempt.fail(FailureKind::Invalid, reason))),
        };
        let request = attempt.request.clone();
        let (length, gzip) = (attempt.body_len(), attempt.is_packed());
        let user_agent = &self.net.user_agent;
        // Through a tunnel the server sees us as if there were no proxy.
        let forwarder = proxy.filter(|_| !request.endpoint.url.tls);
        let written = attempt
            .begin_sending(|out| head::write_request(out, &request, length, gzip, user_agent, forwarder));
        if let Err(reason) = written {
            return Some(Move::Finished(attempt.fail_at(
                Phase::Send,
                FailureKind::Invalid,
                reason,
            )));
        }
        attempt.stage = Stage::Exchange(Box::new(answer));
        None
    }

    fn exchange(&mut self, attempt: &mut Attempt, now: u64) -> Option<Move> {
        let Some(connection) = attempt
            .connection
            .and_then(|place| self.connections.get_mut(place))
        else {
            return Some(Move::Finished(
                attempt.fail(FailureKind::Network, "the connection is gone"),
            ));
        };
        let mut send_trouble = None;
        if attempt.all_sent() {
            // TLS may still hold the tail of the request.
            send_trouble = connection.flush().err();
        } else if connection.is_writable() {
            let n = attempt.next_bytes(&mut self.scratch, true);
            match connection.send(self.scratch.get(..n).unwrap_or_default()) {
                Ok(taken) => attempt.advance(taken),
                // A server that refuses a body may answer, close and reset: its answer, if it came, counts.
                Err(trouble) => send_trouble = Some(trouble),
            }
        }
        let mut budget = SLICE;
        while budget > 0 {
            let Stage::Exchange(answer) = &mut attempt.stage else {
                return None;
            };
            match connection.receive(&mut self.scratch) {
                Ok(Received::Bytes(n)) => {
                    budget = budget.saturating_sub(n);
                    match answer.feed(self.scratch.get(..n).unwrap_or_default(), &mut self.parse_scratch) {
                        Ok(false) => {}
                        Ok(true) => return Some(self.complete(attempt, now)),
                        Err(reason) => {
                            return Some(Move::Finished(attempt.fail_at(
                                Phase::Receive,
                                FailureKind::Protocol,
                                reason,
                            )));
                        }
                    }
                }
                Ok(Received::Blocked) => break,
                Ok(Received::End) if answer.end() => return Some(self.complete(attempt, now)),
                Ok(Received::End) => {
                    let what = if answer.started() {
                        "the connection ended in the middle of the answer"
                    } else {
                        "the connection ended before the answer"
                    };
                    let trouble = send_trouble.unwrap_or_else(|| Trouble::Io(std::io::Error::other(what)));
                    return self.broken(attempt, &trouble);
                }
                Err(trouble) => return self.broken(attempt, &trouble),
            }
        }
        if let Some(trouble) = send_trouble {
            return self.broken(attempt, &trouble);
        }
        let more = budget == 0 || (connection.is_writable() && !attempt.all_sent());
        Some(if more { Move::Again } else { Move::Wait })
    }

    /// A connection broke under an exchange. An idle one may have been closed by the server while the request was on its way
    /// to it: where nothing came back, the request goes out once more on a new connection.
    fn broken(&mut self, attempt: &mut Attempt, trouble: &Trouble) -> Option<Move> {
        let Stage::Exchange(answer) = &attempt.stage else {
            return None;
        };
        let outcome = if answer.started() {
            match attempt.broken(trouble) {
                Outcome::Failed(failure) => Outcome::Failed(crate::transport::Failure {
                    phase: Phase::Receive,
                    ..failure
                }),
                outcome => outcome,
            }
        } else {
            attempt.broken(trouble)
        };
        let served = attempt
            .connection
            .and_then(|place| self.connections.get(place))
            .is_some_and(|c| c.served > 0);
        if !served || answer.started() || attempt.retried {
            return Some(Move::Finished(outcome));
        }
        if let Some(place) = attempt.connection.take() {
            self.drop_connection(place);
        }
        attempt.retried = true;
        attempt.stage = Stage::Acquire;
        None
    }

    /// The answer is there; what remains is to decide about the connection.
    fn complete(&mut self, attempt: &mut Attempt, now: u64) -> Move {
        let all_sent = attempt.all_sent();
        let Stage::Exchange(answer) = std::mem::replace(&mut attempt.stage, Stage::Acquire) else {
            return Move::Wait;
        };
        if let Some(place) = attempt.connection.take() {
            let kept = MAX_IDLE.min(answer.keep_alive().map_or(u64::MAX, |hint| {
                // A second for the request that is on its way when the server's patience ends.
                u64::try_from(hint.as_nanos())
                    .unwrap_or(u64::MAX)
                    .saturating_sub(1_000_000_000)
            }));
            let connection = self
                .connections
                .get_mut(place)
                .filter(|_| all_sent && answer.reusable() && kept > 0);
            // A close or surplus bytes may have come with the answer, and no event would tell of them again.
            let clean = connection.and_then(|c| (!c.is_tls_pending() && c.is_quiet()).then_some(c));
            if let Some(connection) = clean {
                connection.owner = None;
                connection.served += 1;
                let origin = Arc::clone(&attempt.request.endpoint.origin);
                if let Some(evicted) = self.pool.put(place, origin, now + kept) {
                    self.drop_connection(evicted);
                }
            } else {
                self.drop_connection(place);
            }
        }
        Move::Finished(Outcome::Response(answer.into_response()))
    }
}

/// Whom the connection leads to: the proxy or the server.
fn peer<'a>(attempt: &'a Attempt, proxy: Option<&'a Proxy>) -> (&'a str, u16) {
    let url = &attempt.request.endpoint.url;
    proxy.map_or((url.host.as_str(), url.port), |proxy| {
        (proxy.host.as_str(), proxy.port)
    })
}
