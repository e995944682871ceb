//! What an attempt does when it can move: from its request to an answer, stage by stage.

use std::sync::Arc;

use crate::native::proxy::{Proxy, Route};
use crate::transport::{FailureKind, Outcome};

use super::attempt::{Attempt, Stage};
use super::pack::Packed;
use super::transport::HttpTransport;

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
        match attempt.packing.step(&attempt.request.payload, &mut self.compressors) {
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
            && attempt.request.repeatable
            && let Some(idle) = self.pool.checkout(&attempt.request.endpoint.origin, now)
            && let Some(connection) = self.connections.get_mut(idle)
        {
            connection.owner = Some(place);
            attempt.connection = Some(idle);
            return self.begin_exchange(attempt, proxy);
        }
        attempt.stage = if attempt.request.endpoint.url.tls { Stage::Roots } else { Stage::Resolve };
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
            if std::thread::Builder::new().name("tracespool-tls".into()).spawn(read).is_err() {
                // No thread to be had: 20 ms of delay are better than no export.
                let _ = self.net.tls.load();
                return None;
            }
            self.reading_roots = true;
        }
        self.rootless.push((place, attempt.serial));
        Some(Move::Wait)
    }
}
