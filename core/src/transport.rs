//! The seam between the pipeline, which decides, and whatever moves bytes for it.
//!
//! A transport carries requests and reports one [`Outcome`] for each. It never retries on its own (but for a pooled
//! connection that died before its first response byte), never follows a redirect and never blocks for longer than it is
//! told to. Three exist: the readiness loop in `native/http`, the host's `fetch` (wasm) and a script (tests).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::endpoint::Endpoint;

/// Both clocks at one moment. Deadlines use `mono`; what is sent or shown uses `unix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now {
    /// Nanoseconds on a clock that never goes back, since an arbitrary start.
    pub mono: u64,
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub unix: u64,
}

/// Names one attempt. A late answer to a cancelled attempt carries a slot that no longer means anything, so it is
/// ignored by construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u64);

/// The request methods that the servers' interfaces use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl Method {
    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete]
            .into_iter()
            .find(|method| method.as_str() == word)
    }

    /// The method as it stands in a request line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A body in pieces, shared by every attempt at sending it, so that a retry sends the same bytes.
#[derive(Clone, Default)]
pub struct Payload {
    chunks: Arc<[Bytes]>,
    len: usize,
}

impl Payload {
    /// Takes the pieces in the order in which they are sent.
    #[must_use]
    pub fn new(chunks: Vec<Bytes>) -> Self {
        let len = chunks.iter().map(Bytes::len).sum();
        Self { chunks: chunks.into(), len }
    }

    /// Bytes in all pieces together, before compression.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True where there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, in order.
    #[must_use]
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// All pieces in one buffer. For tests and for hosts whose `fetch` wants one buffer.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len);
        for chunk in self.chunks.iter() {
            all.extend_from_slice(chunk);
        }
        all
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes in {} chunks)", self.len, self.chunks.len())
    }
}

/// One HTTP request. The transport adds `host`, `content-length`, `content-encoding` and `user-agent`.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where to, and with which credentials and fixed headers.
    pub endpoint: Arc<Endpoint>,
    /// The method.
    pub method: Method,
    /// Appended to the endpoint's base path; starts with `/`, may carry a query.
    pub path: Arc<str>,
    /// The `content-type` header, where there is a body.
    pub content_type: Option<&'static str>,
    /// Headers of this request alone, lower-case names with checked values; they outvote the endpoint's. A `content-type`
    /// that no constant can name stands here.
    pub headers: Arc<[(String, String)]>,
    /// False for the health probe, which needs no credentials: the endpoint's own headers stay away.
    pub authorized: bool,
    /// The body, uncompressed; empty for GET.
    pub payload: Payload,
    /// Whether the body goes out as gzip.
    pub gzip: bool,
    /// When the attempt is over whatever the server does, on the monotonic clock in nanoseconds. Covers name
    /// resolution, connecting, TLS, sending and the last byte of the answer.
    pub deadline: u64,
    /// Response bytes kept; the rest is read and thrown away.
    pub max_response: usize,
    /// Response headers that are handed on, lower-case names.
    pub keep_headers: &'static [&'static str],
    /// Whether carrying it out twice does no harm. A request that it harms never goes out on a connection that the server
    /// may be about to close, where nobody could tell whether it was carried out.
    pub repeatable: bool,
}

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered, whatever it said.
    Response(Response),
    /// No complete answer came.
    Failed(Failure),
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// `Retry-After`, from seconds or an HTTP date.
    pub retry_after: Option<Duration>,
    /// The `content-type` header in lower case, without its parameters; empty where absent.
    pub content_type: String,
    /// Those of the request's `keep_headers` that came, with their values.
    pub headers: Vec<(String, String)>,
    /// The body, decompressed, up to the request's `max_response`.
    pub body: Vec<u8>,
}

/// Why no complete answer came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How far the attempt had come.
    pub phase: Phase,
    /// What stopped it.
    pub kind: FailureKind,
    /// One line for people: host and system error, never a header or a body.
    pub detail: String,
}

/// How far an attempt had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking the host's name up.
    Resolve,
    /// Opening the connection, to the server or its proxy.
    Connect,
    /// The CONNECT exchange with a proxy.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// Sending the request; the server may have seen part of it.
    Send,
    /// Waiting for, or reading, the answer; the server may have acted on the request.
    Receive,
}

impl Phase {
    /// The word in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "Resolve",
            Self::Connect => "Connect",
            Self::Proxy => "Proxy",
            Self::Tls => "Tls",
            Self::Send => "Send",
            Self::Receive => "Receive",
        }
    }
}

/// What stopped an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The deadline passed.
    Timeout,
    /// Refused, reset, unreachable, unknown host.
    Network,
    /// The peer's certificate or TLS version was not acceptable.
    Tls,
    /// The peer did not speak HTTP.
    Protocol,
    /// The request could not be made (bad address, bad header).
    Invalid,
    /// It was not sent: the server has not answered others lately, or too many wait already.
    Unavailable,
}

/// Moves requests. Called from one thread only.
pub trait Transport {
    /// Begins an attempt. Its outcome comes out of a later [`Transport::turn`], never from here.
    fn start(&mut self, slot: Slot, request: Request, now: Now);

    /// Forgets an attempt; its connection is closed and no outcome is reported.
    fn cancel(&mut self, slot: Slot);

    /// Moves bytes until something finished, a wake-up came or the monotonic clock reached `until` (`None`: no limit),
    /// and appends what finished. Returns early without an outcome where that serves fairness.
    fn turn(&mut self, until: Option<u64>, finished: &mut Vec<(Slot, Outcome)>);

    /// Closes every idle connection: after a freeze or a suspend they are dead more often than not.
    fn discard_idle(&mut self);

    /// Bytes in compressed copies and receive buffers, for the process's byte budget.
    fn buffered_bytes(&self) -> usize;

    /// Attempts begun and not finished.
    fn in_flight(&self) -> usize;
}
