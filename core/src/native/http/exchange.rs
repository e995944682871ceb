//! Sending a request, reading what comes back, and deciding what becomes of the connection.

use std::sync::Arc;

use crate::native::proxy::Proxy;
use crate::transport::{Failure, FailureKind, Outcome, Phase};

use super::answer::Answer;
use super::attempt::{Attempt, Stage};
use super::connection::{Received, Trouble};
use super::drive::Move;
use super::head;
use super::pool::MAX_IDLE;
use super::transport::{HttpTransport, SLICE};

impl HttpTransport {
    pub(super) fn begin_exchange(&mut self, attempt: &mut Attempt, proxy: Option<&Proxy>) -> Option<Move> {
        let answer = match Answer::new(false, attempt.request.max_response, attempt.request.keep_headers) {
            Ok(answer) => answer,
            Err(reason) => return Some(Move::Finished(attempt.fail(FailureKind::Invalid, reason))),
        };
        let (length, gzip) = (attempt.body_len(), attempt.is_packed());
        let user_agent = &self.net.user_agent;
        // Through a tunnel the server sees us as if there were no proxy.
        let forwarder = proxy.filter(|_| !attempt.request.endpoint.url.tls);
        let written = attempt.begin_sending(|out, request| {
            head::write_request(out, request, length, gzip, user_agent, forwarder)
        });
        if let Err(reason) = written {
            return Some(Move::Finished(attempt.fail_at(Phase::Send, FailureKind::Invalid, reason)));
        }
        attempt.stage = Stage::Exchange(Box::new(answer));
        None
    }

    pub(super) fn exchange(&mut self, attempt: &mut Attempt, now: u64) -> Option<Move> {
        let Some(connection) = attempt.connection.and_then(|place| self.connections.get_mut(place)) else {
            return Some(Move::Finished(attempt.fail(FailureKind::Network, "the connection is gone")));
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
                Outcome::Failed(failure) => Outcome::Failed(Failure { phase: Phase::Receive, ..failure }),
                outcome => outcome,
            }
        } else {
            attempt.broken(trouble)
        };
        let served =
            attempt.connection.and_then(|place| self.connections.get(place)).is_some_and(|c| c.served > 0);
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
                u64::try_from(hint.as_nanos()).unwrap_or(u64::MAX).saturating_sub(1_000_000_000)
            }));
            let connection =
                self.connections.get_mut(place).filter(|_| all_sent && answer.reusable() && kept > 0);
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
