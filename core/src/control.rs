//! The control lane: single requests (a prompt, an upload, a question) that the one export thread carries beside the data,
//! over the same connections, with the same TLS, proxies and bounds.
//!
//! A request has one total deadline, repetitions included, and is answered exactly once: with the server's answer, or with
//! the failure that stood in its way (deadline, dead server, a bound, shutdown, fork). Whoever asks never blocks the
//! exporter: the outcome goes to a [`ControlTicket`] or to a [`Complete`] of the core's own.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::sync::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use bytes::Bytes;

use crate::client::Client;
use crate::destination::{Destination, nanos};
use crate::endpoint::{BaseUrl, Endpoint, check_header};
use crate::process::Process;
use crate::shared::Shared;
use crate::transport::{Failure, FailureKind, Method, Outcome, Payload, Phase};

/// Requests waiting or under way: of one destination, of the process. A tenant that asks in a loop finds its own bound first.
pub const MAX_WAITING: (usize, usize) = (512, 4096);
/// Bytes of their bodies, as far as nobody else has reserved them.
pub const MAX_WAITING_BYTES: usize = 16 << 20;
/// Answer bytes kept unless a request says otherwise: a prompt or a page of a list is far smaller.
pub const MAX_ANSWER: usize = 8 << 20;
/// What a request costs besides its body.
const OVERHEAD: usize = 512;
/// How long after its deadline an answer is waited for before the ticket gives its own.
const GRACE: Duration = Duration::from_millis(15);

/// Where a request goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// Below the destination's base URL, with its credentials; starts with `/`, may carry a query.
    Own(Arc<str>),
    /// To somebody else (an object store), without our credentials.
    Foreign {
        /// Where to.
        endpoint: Arc<Endpoint>,
        /// Path and query.
        path: Arc<str>,
    },
}

impl Target {
    /// An absolute `http(s)` URL, query included.
    ///
    /// # Errors
    ///
    /// What is wrong with it; never its query, which may be a signature.
    pub fn foreign(url: &str) -> Result<Self, String> {
        let after = url.find("://").map_or(0, |at| at + 3);
        let end = url[after..].find(['/', '?', '#']).map_or(url.len(), |at| after + at);
        let (host, rest) = url.split_at(end);
        let base = BaseUrl::parse(host).map_err(|problem| problem.replace("base_url", "the URL"))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let path = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
        Ok(Self::Foreign { endpoint: Arc::new(Endpoint::new(base, Vec::new())), path: path.into() })
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct ControlRequest {
    /// The method.
    pub method: Method,
    /// Where to.
    pub target: Target,
    /// Headers of its own, `content-type` included, lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Payload,
    /// True where the body's bytes have been reserved in the process's budget by whoever asks.
    pub reserved: bool,
    /// From now to the last byte of the answer, repetitions and pauses included.
    pub timeout: Duration,
    /// How often it is tried at most, 1 or more. Repeated are attempts that got no answer, 408, 429 and 5xx.
    pub attempts: u32,
    /// Whether carrying it out twice does no harm. Where it does, only what surely was not carried out is repeated.
    pub repeatable: bool,
    /// Answer bytes taken; a longer answer is a failure.
    pub max_response: usize,
    /// Response headers that are handed on, lower-case names.
    pub keep_headers: &'static [&'static str],
}

impl ControlRequest {
    /// A GET below the base URL.
    #[must_use]
    pub fn get(path: impl Into<Arc<str>>, timeout: Duration) -> Self {
        Self {
            method: Method::Get,
            target: Target::Own(path.into()),
            headers: Vec::new(),
            body: Payload::default(),
            reserved: false,
            timeout,
            attempts: 1,
            repeatable: true,
            max_response: MAX_ANSWER,
            keep_headers: &[],
        }
    }

    /// A JSON body to a path below the base URL. A POST is taken as not repeatable.
    #[must_use]
    pub fn json(method: Method, path: impl Into<Arc<str>>, body: Vec<u8>, timeout: Duration) -> Self {
        Self {
            method,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Payload::new(vec![Bytes::from(body)]),
            repeatable: method != Method::Post,
            ..Self::get(path, timeout)
        }
    }
}

/// Takes a request's outcome, on the export thread. It must be short, take no lock that somebody holds while waiting for
/// an answer, and must not reach an interpreter.
pub trait Complete: Send {
    /// Called once.
    fn complete(self: Box<Self>, outcome: Outcome);
}

impl Complete for Sender<Outcome> {
    fn complete(self: Box<Self>, outcome: Outcome) {
        // Whoever asked may have stopped listening.
        let _ = self.try_send(outcome);
    }
}

/// Sees to it that a request is answered even where it is thrown away.
pub(crate) struct Reply(Option<Box<dyn Complete>>);

impl Reply {
    pub(crate) fn new(complete: Box<dyn Complete>) -> Self {
        Self(Some(complete))
    }

    pub(crate) fn answer(mut self, outcome: Outcome) {
        if let Some(complete) = self.0.take() {
            complete.complete(outcome);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(complete) = self.0.take() {
            complete.complete(unavailable("the exporter gave the request up"));
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// The failure of a request that was never sent.
pub(crate) fn unavailable(detail: impl Into<String>) -> Outcome {
    Outcome::Failed(Failure { phase: Phase::Resolve, kind: FailureKind::Unavailable, detail: detail.into() })
}

/// How many wait, and their bytes.
#[derive(Debug, Default)]
pub(crate) struct Load {
    count: AtomicUsize,
    bytes: AtomicUsize,
}

impl Load {
    fn take(&self, bytes: usize, max_count: usize, max_bytes: usize) -> bool {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = count < max_count && held.saturating_add(bytes) <= max_bytes;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A request's place among those that wait; given back when it is answered.
#[derive(Debug)]
pub(crate) struct Place {
    destination: Arc<Destination>,
    shared: Arc<Shared>,
    bytes: usize,
}

impl Place {
    fn take(
        destination: &Arc<Destination>,
        shared: &Arc<Shared>,
        request: &ControlRequest,
    ) -> Result<Self, &'static str> {
        let bytes = OVERHEAD + if request.reserved { 0 } else { request.body.len() };
        if !destination.controls.take(bytes, MAX_WAITING.0, MAX_WAITING_BYTES) {
            return Err("too many requests of this client wait for an answer");
        }
        if !shared.controls.take(bytes, MAX_WAITING.1, MAX_WAITING_BYTES) {
            destination.controls.give_back(bytes);
            return Err("too many requests of this process wait for an answer");
        }
        // Bounded above, and too small to be refused because a dead server's data fills the process.
        shared.budget.take_always(bytes);
        Ok(Self { destination: destination.clone(), shared: shared.clone(), bytes })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.destination.controls.give_back(self.bytes);
        self.shared.controls.give_back(self.bytes);
        self.shared.budget.release(self.bytes);
    }
}

/// A request on its way to the exporter.
#[derive(Debug)]
pub struct Control {
    pub(crate) request: ControlRequest,
    /// Whose it is; requests of one destination wait in a line of their own.
    pub(crate) tenant: u64,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) path: Arc<str>,
    pub(crate) deadline: u64,
    /// Attempts begun.
    pub(crate) tried: u32,
    pub(crate) reply: Reply,
    place: Place,
}

impl Control {
    pub(crate) fn new(
        destination: &Arc<Destination>,
        shared: &Arc<Shared>,
        request: ControlRequest,
        deadline: u64,
        complete: Box<dyn Complete>,
    ) -> Result<Self, (Outcome, Box<dyn Complete>)> {
        let bad_header = request.headers.iter().find_map(|(name, value)| check_header(name, value).err());
        if let Some(detail) = bad_header {
            let failure = Failure { phase: Phase::Send, kind: FailureKind::Invalid, detail };
            return Err((Outcome::Failed(failure), complete));
        }
        let place = match Place::take(destination, shared, &request) {
            Ok(place) => place,
            Err(reason) => return Err((unavailable(reason), complete)),
        };
        let (endpoint, path) = match &request.target {
            Target::Own(path) => (destination.endpoint.clone(), path.clone()),
            Target::Foreign { endpoint, path } => (endpoint.clone(), path.clone()),
        };
        let tenant = destination.id;
        Ok(Self { request, tenant, endpoint, path, deadline, tried: 0, reply: Reply::new(complete), place })
    }

    /// Ends it.
    pub(crate) fn answer(self, outcome: Outcome) {
        let Self { reply, place, .. } = self;
        // Whoever asked may ask again at once and must find the place free.
        drop(place);
        reply.answer(outcome);
    }
}

impl Process {
    /// Hands a request to the exporter and returns at once; `complete` gets the outcome, where the request is refused on
    /// this thread and now.
    pub fn begin_control(
        &self,
        destination: &Arc<Destination>,
        request: ControlRequest,
        complete: Box<dyn Complete>,
    ) {
        let now = self.mono();
        let deadline = now.saturating_add(nanos(request.timeout));
        destination.last_used.store(now, Ordering::Relaxed);
        match Control::new(destination, &self.shared, request, deadline, complete) {
            Ok(control) => self.send_control(control),
            Err((outcome, complete)) => complete.complete(outcome),
        }
    }
}

impl Client {
    /// Sends a request to this client's destination; `None` where nothing is recorded, so that there is no destination.
    #[must_use]
    pub fn control(&self, request: ControlRequest) -> Option<ControlTicket> {
        let bound = self.bound()?;
        let (reply, answer) = bounded(1);
        let deadline = bound.process.mono().saturating_add(nanos(request.timeout));
        bound.process.begin_control(&bound.destination, request, Box::new(reply));
        Some(ControlTicket { process: bound.process.clone(), answer, deadline })
    }
}

/// A request under way. Its outcome comes out once.
#[derive(Debug)]
pub struct ControlTicket {
    process: Arc<Process>,
    answer: Receiver<Outcome>,
    deadline: u64,
}

impl ControlTicket {
    /// The outcome, where it has come or can no longer come.
    #[must_use]
    pub fn poll(&self) -> Option<Outcome> {
        if let Some(told) = self.forked() {
            return Some(told);
        }
        match self.answer.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Disconnected) => Some(unavailable("the exporter gave the request up")),
            Err(TryRecvError::Empty) => self.overdue(),
        }
    }

    /// Waits for `slice` at most. A binding calls this without its interpreter's lock, then looks for signals.
    #[must_use]
    pub fn wait(&self, slice: Duration) -> Option<Outcome> {
        if let Some(told) = self.forked() {
            return Some(told);
        }
        let end = self.deadline.saturating_add(nanos(GRACE));
        let left = Duration::from_nanos(end.saturating_sub(self.process.mono()));
        match self.answer.recv_timeout(slice.min(left)) {
            Ok(outcome) => Some(outcome),
            Err(RecvTimeoutError::Disconnected) => Some(unavailable("the exporter gave the request up")),
            Err(RecvTimeoutError::Timeout) => self.overdue(),
        }
    }

    /// Waits until the deadline at most.
    #[must_use]
    pub fn join(&self) -> Outcome {
        loop {
            if let Some(outcome) = self.wait(Duration::from_millis(500)) {
                return outcome;
            }
        }
    }

    /// What the child of a fork is told; it must not touch a channel that its parent may have been in.
    fn forked(&self) -> Option<Outcome> {
        let abandoned = self.process.shared().abandoned.load(Ordering::Acquire);
        abandoned.then(|| unavailable("the request belongs to the parent of this process"))
    }

    /// What is said where the exporter says nothing: it could not be started, or was lost.
    fn overdue(&self) -> Option<Outcome> {
        let end = self.deadline.saturating_add(nanos(GRACE));
        (self.process.mono() >= end).then(out_of_time)
    }
}

/// The failure of a request whose deadline passed before it was sent.
pub(crate) fn out_of_time() -> Outcome {
    Outcome::Failed(Failure {
        phase: Phase::Resolve,
        kind: FailureKind::Timeout,
        detail: "out of time before the request could be sent".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_url_is_taken_apart_and_keeps_its_signature() {
        let target = Target::foreign("https://S3.example:9000/b/k%2Fx?X-Sig=a@b/c#top").unwrap();
        let Target::Foreign { endpoint, path } = target else { panic!("{target:?}") };
        assert_eq!((endpoint.url.host.as_str(), endpoint.url.port), ("s3.example", 9000));
        assert_eq!(&*path, "/b/k%2Fx?X-Sig=a@b/c");
        assert!(endpoint.headers.is_empty());
        for (url, path) in [("http://h", "/"), ("http://h?x=1", "/?x=1"), ("http://[::1]:1/a", "/a")] {
            let Ok(Target::Foreign { path: got, .. }) = Target::foreign(url) else { panic!("{url}") };
            assert_eq!(&*got, path);
        }
        for bad in ["", "ftp://h/x", "/only/a/path", "http://user:pass@h/x"] {
            let error = Target::foreign(bad).unwrap_err();
            assert!(!error.contains("pass@"), "{error}");
        }
    }
}
