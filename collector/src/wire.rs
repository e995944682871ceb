//! The accepted socket, which can be told to misbehave while a response is written to it.
//!
//! It sits below TLS and HTTP, so that what it does (a byte a second, a reset, an early end) happens on the wire
//! whatever is spoken above.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// How the response now being written is treated, when not as usual (which is stored as zero).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Manner {
    /// One byte a second.
    Drip = 1,
    /// RST instead of a response.
    Reset = 2,
    /// All but the last bytes, then the end.
    Truncate = 3,
    /// Nothing more is written.
    Ended = 4,
}

/// Bytes of a response that are never sent when it is truncated.
const WITHHELD: usize = 16;
const DRIP: Duration = Duration::from_secs(1);

/// What a connection's handlers know and decide about it.
pub(crate) struct Control {
    peer: SocketAddr,
    manner: AtomicU8,
    /// Requests whose response is not begun.
    busy: AtomicUsize,
    /// Milliseconds after which an idle connection is closed; zero: never.
    idle_limit: AtomicU64,
}

impl Control {
    pub(crate) fn new(peer: SocketAddr) -> Self {
        Self { peer, manner: AtomicU8::new(0), busy: AtomicUsize::new(0), idle_limit: AtomicU64::new(0) }
    }

    /// The other end of the connection.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Decides how the response is written.
    pub(crate) fn behave(&self, manner: Manner) {
        self.manner.store(manner as u8, Ordering::Relaxed);
    }

    /// From now on the connection is closed when it is idle for so long.
    pub(crate) fn close_when_idle(&self, limit: Duration) {
        let millis = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1);
        self.idle_limit.store(millis, Ordering::Relaxed);
    }

    /// Counts a request that is being worked on.
    pub(crate) fn begin(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    /// The response begins.
    pub(crate) fn finish(&self) {
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }

    fn idle_limit(&self) -> Option<Duration> {
        let idle = self.busy.load(Ordering::Relaxed) == 0;
        let millis = self.idle_limit.load(Ordering::Relaxed);
        (idle && millis > 0).then(|| Duration::from_millis(millis))
    }
}

/// A socket and what it is told.
pub(crate) struct Wire {
    stream: TcpStream,
    control: std::sync::Arc<Control>,
    idle: Option<Pin<Box<Sleep>>>,
    last_use: Instant,
    drip: Pin<Box<Sleep>>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, control: std::sync::Arc<Control>) -> Self {
        let now = Instant::now();
        Self { stream, control, idle: None, last_use: now, drip: Box::pin(tokio::time::sleep_until(now)) }
    }

    fn poll_drip(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.drip.as_mut().poll(context));
        let written =
            std::task::ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[..bytes.len().min(1)]));
        self.drip.as_mut().reset(Instant::now() + DRIP);
        Poll::Ready(written)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(context, buffer) {
            this.last_use = Instant::now();
            this.idle = None;
            return Poll::Ready(read);
        }
        let Some(limit) = this.control.idle_limit() else {
            return Poll::Pending;
        };
        let last_use = this.last_use;
        let idle = this.idle.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(last_use + limit)));
        loop {
            std::task::ready!(idle.as_mut().poll(context));
            let due = this.last_use + limit;
            if due <= Instant::now() {
                return Poll::Ready(Ok(()));
            }
            idle.as_mut().reset(due);
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.last_use = Instant::now();
        if this.control.idle_limit().is_some() {
            // HTTP does not read again by itself after a response; the idle time starts with a read.
            context.waker().wake_by_ref();
        }
        match this.control.manner.load(Ordering::Relaxed) {
            1 => this.poll_drip(context, bytes),
            2 => {
                let _ = socket2::SockRef::from(&this.stream).set_linger(Some(Duration::ZERO));
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            3 => {
                let part = &bytes[..bytes.len().saturating_sub(WITHHELD)];
                let written = std::task::ready!(Pin::new(&mut this.stream).poll_write(context, part));
                this.control.behave(Manner::Ended);
                Poll::Ready(written)
            }
            4 => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            _ => Pin::new(&mut this.stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
