//! One attempt: a request, how far it has come, and what it holds on the way.

use crate::transport::{Failure, FailureKind, Outcome, Phase, Request, Slot};

use super::answer::Answer;
use super::connection::Trouble;
use super::dial::Dial;
use super::pack::Packing;

/// What an attempt is doing.
pub(super) enum Stage {
    /// Nothing yet.
    New,
    /// Compressing the body.
    Pack,
    /// Ready for a connection: an idle one, or a new one.
    Acquire,
    /// Waiting for certificates to be read.
    Roots,
    /// Waiting for addresses.
    Resolve,
    /// Waiting for an address to answer.
    Dial(Dial),
    /// Asking the proxy for a tunnel.
    Tunnel(Box<Answer>),
    /// Agreeing on keys.
    Handshake,
    /// Sending, and reading what comes back.
    Exchange(Box<Answer>),
}

impl Stage {
    /// What the outside is told.
    pub(super) fn phase(&self, sent: bool) -> Phase {
        match self {
            Self::New | Self::Pack | Self::Acquire | Self::Resolve => Phase::Resolve,
            Self::Dial(_) => Phase::Connect,
            Self::Tunnel(_) => Phase::Proxy,
            Self::Roots | Self::Handshake => Phase::Tls,
            Self::Exchange(_) if sent => Phase::Receive,
            Self::Exchange(_) => Phase::Send,
        }
    }
}

pub(super) struct Attempt {
    pub(super) slot: Slot,
    /// Tells this attempt from earlier ones in the same place.
    pub(super) serial: u64,
    pub(super) request: Request,
    pub(super) began: u64,
    pub(super) stage: Stage,
    /// Its place in the table of connections.
    pub(super) connection: Option<usize>,
    /// The next connection must be a new one: the idle one that it got was dead.
    pub(super) retried: bool,
    pub(super) queued: bool,
    pub(super) packing: Packing,
    head: Vec<u8>,
    /// The body to send is the compressed one.
    packed: bool,
    /// Bytes of head and body that the connection has taken.
    taken: usize,
    chunk: usize,
    offset: usize,
    /// Bytes of this attempt that the transport's total includes.
    pub(super) counted: usize,
}

impl Attempt {
    pub(super) fn new(slot: Slot, serial: u64, request: Request, began: u64) -> Self {
        Self {
            slot,
            serial,
            request,
            began,
            stage: Stage::New,
            connection: None,
            retried: false,
            queued: false,
            packing: Packing::default(),
            head: Vec::new(),
            packed: false,
            taken: 0,
            chunk: 0,
            offset: 0,
            counted: 0,
        }
    }

    /// Bytes of the body as it is sent.
    pub(super) fn body_len(&self) -> usize {
        if self.packed { self.packing.packed.len() } else { self.request.payload.len() }
    }

    pub(super) fn set_packed(&mut self) {
        self.packed = true;
    }

    pub(super) fn is_packed(&self) -> bool {
        self.packed
    }

    /// Puts a head in front of the body (or alone, for CONNECT) and starts at its first byte.
    pub(super) fn begin_sending(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, &Request) -> Result<(), String>,
    ) -> Result<(), String> {
        self.head.clear();
        self.head.reserve(768);
        self.taken = 0;
        self.chunk = 0;
        self.offset = 0;
        write(&mut self.head, &self.request)
    }

    /// Copies the next bytes to send into `buffer`: a small request leaves in one write this way, and 64 KiB are copied in
    /// a few microseconds.
    pub(super) fn next_bytes(&self, buffer: &mut [u8], with_body: bool) -> usize {
        let mut filled = 0;
        let mut put = |bytes: &[u8]| {
            let n = bytes.len().min(buffer.len() - filled);
            if let (Some(to), Some(from)) = (buffer.get_mut(filled..filled + n), bytes.get(..n)) {
                to.copy_from_slice(from);
            }
            filled += n;
            n == bytes.len()
        };
        let fits = put(self.head.get(self.taken..).unwrap_or_default());
        if !fits || !with_body {
            return filled;
        }
        if self.packed {
            put(self.packing.packed.get(self.taken.saturating_sub(self.head.len())..).unwrap_or_default());
            return filled;
        }
        let mut offset = self.offset;
        for chunk in self.request.payload.chunks().iter().skip(self.chunk) {
            if !put(chunk.get(offset..).unwrap_or_default()) {
                break;
            }
            offset = 0;
        }
        filled
    }

    /// Notes that the connection took so many of them.
    pub(super) fn advance(&mut self, n: usize) {
        let before = self.taken;
        self.taken += n;
        if self.packed || self.taken <= self.head.len() {
            return;
        }
        self.offset += self.taken - self.head.len().max(before);
        while let Some(chunk) = self.request.payload.chunks().get(self.chunk)
            && self.offset >= chunk.len()
        {
            self.offset -= chunk.len();
            self.chunk += 1;
        }
    }

    /// Whether the connection has taken the whole head.
    pub(super) fn head_sent(&self) -> bool {
        self.taken >= self.head.len()
    }

    /// Whether it has taken the body too.
    pub(super) fn all_sent(&self) -> bool {
        self.taken >= self.head.len() + self.body_len()
    }

    /// Bytes held besides the request itself.
    pub(super) fn held(&self) -> usize {
        let answer = match &self.stage {
            Stage::Exchange(answer) | Stage::Tunnel(answer) => answer.held(),
            _ => 0,
        };
        self.packing.packed.capacity() + answer
    }

    /// A failure at the present stage.
    pub(super) fn fail(&self, kind: FailureKind, what: impl std::fmt::Display) -> Outcome {
        let sent = matches!(self.stage, Stage::Exchange(_)) && self.all_sent();
        self.fail_at(self.stage.phase(sent), kind, what)
    }

    /// A failure at a given stage.
    pub(super) fn fail_at(&self, phase: Phase, kind: FailureKind, what: impl std::fmt::Display) -> Outcome {
        let url = &self.request.endpoint.url;
        Outcome::Failed(Failure { phase, kind, detail: format!("{}: {what}", url.authority()) })
    }

    /// The failure that a broken connection is.
    pub(super) fn broken(&self, trouble: &Trouble) -> Outcome {
        match trouble {
            Trouble::Io(error) => self.fail(FailureKind::Network, error),
            Trouble::Tls(error) => self.fail_at(Phase::Tls, FailureKind::Tls, error),
        }
    }

    /// The failure that the deadline is.
    pub(super) fn timed_out(&self, now: u64) -> Outcome {
        let doing = match self.stage.phase(self.all_sent()) {
            Phase::Resolve if matches!(self.stage, Stage::Resolve) => "looking its name up",
            Phase::Resolve => "preparing the request",
            Phase::Connect => "connecting",
            Phase::Proxy => "asking the proxy for a tunnel",
            Phase::Tls => "agreeing on TLS",
            Phase::Send => "sending",
            Phase::Receive => "waiting for the answer",
        };
        let spent = now.saturating_sub(self.began) / 1_000_000;
        self.fail(FailureKind::Timeout, format_args!("out of time after {spent} ms, while {doing}"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::endpoint::{BaseUrl, Endpoint};
    use crate::transport::{Method, Payload};

    #[test]
    fn head_and_chunks_leave_in_order_whatever_the_socket_takes() {
        let pieces = ["one", "", "two", "three", ""].map(|text| Bytes::from_static(text.as_bytes()));
        let request = Request {
            endpoint: Arc::new(Endpoint::new(BaseUrl::parse("http://h").unwrap(), Vec::new())),
            method: Method::Post,
            path: "/".into(),
            content_type: None,
            headers: Arc::new([]),
            authorized: false,
            payload: Payload::new(pieces.to_vec()),
            gzip: false,
            deadline: 0,
            max_response: 0,
            keep_headers: &[],
            repeatable: true,
        };
        for (window, step) in [(4, 1), (5, 3), (5, 5), (100, 7), (100, 100)] {
            let mut attempt = Attempt::new(Slot(1), 1, request.clone(), 0);
            attempt
                .begin_sending(|head, _| {
                    head.extend_from_slice(b"head:");
                    Ok(())
                })
                .unwrap();
            let (mut wire, mut buffer) = (Vec::new(), vec![0; window]);
            while !attempt.all_sent() {
                let n = attempt.next_bytes(&mut buffer, true).min(step);
                assert!(n > 0);
                wire.extend_from_slice(&buffer[..n]);
                attempt.advance(n);
            }
            assert_eq!(wire, b"head:onetwothree");
        }
    }
}
