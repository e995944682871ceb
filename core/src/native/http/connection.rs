//! One socket, with or without TLS, as a non-blocking pipe that remembers whether it is readable or writable.
//!
//! Sockets are registered once, edge-triggered, for both directions: readiness is noted when an event tells of it and
//! forgotten when the system says "would block", so nothing is registered again for as long as the connection lives.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// A read or write that moved less than asked for has emptied or filled the socket; the next edge will tell. Where readiness
/// is emulated (Windows), only "would block" arms the next event.
const SHORT_MEANS_BLOCKED: bool = cfg!(unix);

/// What went wrong with a connection.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The system or the peer broke the connection.
    Io(io::Error),
    /// The peer's certificate or its TLS was not acceptable, or ours to it.
    Tls(rustls::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a read brought.
pub(super) enum Received {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet.
    Blocked,
    /// The peer has nothing more to say.
    End,
}

/// How far a handshake step came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shake {
    Done,
    Blocked,
    Again,
}

pub(super) struct Connection {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    readable: bool,
    writable: bool,
    /// The peer's end of stream has been announced: a short read does not mean that the socket is empty.
    hung_up: bool,
    /// The attempt that uses it; none while it is idle.
    pub(super) owner: Option<usize>,
    /// Requests that it has carried to their end.
    pub(super) served: u32,
}

impl Connection {
    /// Begins to connect. Done when [`Connection::connected`] says so.
    pub(super) fn open(
        address: SocketAddr,
        registry: &Registry,
        place: usize,
        owner: usize,
    ) -> io::Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        registry.register(&mut socket, Token(place), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            socket,
            tls: None,
            readable: false,
            writable: false,
            hung_up: false,
            owner: Some(owner),
            served: 0,
        })
    }

    /// Notes what an event tells.
    pub(super) fn note(&mut self, event: &Event) {
        let broken = event.is_error();
        self.hung_up |= broken || event.is_read_closed();
        self.readable |= event.is_readable() || self.hung_up;
        self.writable |= broken || event.is_writable() || event.is_write_closed();
    }

    /// Whether the connection stands.
    pub(super) fn connected(&mut self) -> io::Result<bool> {
        if !self.writable {
            return Ok(false);
        }
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.peer_addr() {
            Ok(_) => {
                // Heads and small bodies leave in one write; Nagle could only delay the tail of a large one.
                self.socket.set_nodelay(true)?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => {
                self.writable = false;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Puts TLS on top of what is connected.
    pub(super) fn start_tls(
        &mut self,
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<(), Trouble> {
        let tls = ClientConnection::new(Arc::clone(config), name).map_err(Trouble::Tls)?;
        self.tls = Some(Box::new(tls));
        Ok(())
    }

    /// One step of the handshake: one flight out, one read in.
    pub(super) fn handshake(&mut self) -> Result<Shake, Trouble> {
        self.flush()?;
        let Some(tls) = self.tls.as_mut() else {
            return Ok(Shake::Done);
        };
        if !tls.is_handshaking() {
            return Ok(if tls.wants_write() { Shake::Blocked } else { Shake::Done });
        }
        if !self.readable {
            return Ok(Shake::Blocked);
        }
        match self.pull()? {
            0 if self.readable => Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            0 => Ok(Shake::Blocked),
            _ => Ok(Shake::Again),
        }
    }

    /// Takes as much of `bytes` as it can without blocking; 0 where it can take none.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<usize, Trouble> {
        let Some(tls) = self.tls.as_mut() else {
            if !self.writable {
                return Ok(0);
            }
            return loop {
                match self.socket.write(bytes) {
                    Ok(n) => {
                        self.writable = !(SHORT_MEANS_BLOCKED && n < bytes.len());
                        break Ok(n);
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.writable = false;
                        break Ok(0);
                    }
                    Err(error) => break Err(error.into()),
                }
            };
        };
        if tls.wants_write() {
            self.flush()?;
            if self.tls.as_ref().is_some_and(|tls| tls.wants_write()) {
                return Ok(0);
            }
        }
        let Some(tls) = self.tls.as_mut() else {
            return Ok(0);
        };
        let taken = tls.writer().write(bytes)?;
        self.flush()?;
        Ok(taken)
    }

    /// Writes out what TLS holds ready; true when nothing is left.
    pub(super) fn flush(&mut self) -> Result<bool, Trouble> {
        let Some(tls) = self.tls.as_mut() else {
            return Ok(true);
        };
        while tls.wants_write() {
            if !self.writable {
                return Ok(false);
            }
            let mut tap = Tap { socket: &mut self.socket, short: false };
            match tls.write_tls(&mut tap) {
                Ok(_) => self.writable = !tap.short,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Whether a write could go out now.
    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Whether TLS still holds bytes that the socket has not taken.
    pub(super) fn is_tls_pending(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Reads what is there.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Result<Received, Trouble> {
        loop {
            if let Some(tls) = self.tls.as_mut() {
                match tls.reader().read(buffer) {
                    Ok(0) => return Ok(Received::End),
                    Ok(n) => return Ok(Received::Bytes(n)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // Many servers close without saying so in TLS. Where the length was announced the reader of the answer
                    // notices; where it was not, the status has been seen and counts.
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Received::End),
                    Err(error) => return Err(error.into()),
                }
                if !self.readable {
                    return Ok(Received::Blocked);
                }
                self.pull()?;
                continue;
            }
            if !self.readable {
                return Ok(Received::Blocked);
            }
            match self.socket.read(buffer) {
                Ok(0) => return Ok(Received::End),
                Ok(n) => {
                    self.readable = self.hung_up || !(SHORT_MEANS_BLOCKED && n < buffer.len());
                    return Ok(Received::Bytes(n));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(Received::Blocked);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Moves one read's worth of TLS records in. 0 with `readable` still set is the end of the stream.
    fn pull(&mut self) -> Result<usize, Trouble> {
        let Some(tls) = self.tls.as_mut() else {
            return Ok(0);
        };
        let mut tap = Tap { socket: &mut self.socket, short: false };
        let read = match tls.read_tls(&mut tap) {
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(1),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                return Ok(0);
            }
            Err(error) => return Err(error.into()),
        };
        if tap.short && !self.hung_up {
            self.readable = false;
        }
        if let Err(error) = tls.process_new_packets() {
            // The peer deserves to know why; whether the alert gets out does not matter to us.
            drop(tls.write_tls(&mut self.socket));
            return Err(Trouble::Tls(error));
        }
        if tls.wants_write() {
            self.flush()?;
        }
        Ok(read)
    }

    /// Whether an idle connection is still what it was: nothing came in but TLS housekeeping.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0_u8; 1];
        matches!(self.receive(&mut byte), Ok(Received::Blocked))
    }

    /// Ends it. The explicit shutdown reaches the peer even where a forked child has inherited the descriptor.
    pub(super) fn close(mut self, registry: &Registry) {
        drop(registry.deregister(&mut self.socket));
        drop(self.socket.shutdown(Shutdown::Both));
    }
}

/// Lets TLS read and write the socket and notes when it moved less than asked for.
struct Tap<'a> {
    socket: &'a mut TcpStream,
    short: bool,
}

impl Read for Tap<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.socket.read(buffer)?;
        self.short = SHORT_MEANS_BLOCKED && n > 0 && n < buffer.len();
        Ok(n)
    }
}

impl Write for Tap<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.socket.write(bytes)?;
        self.short = SHORT_MEANS_BLOCKED && n < bytes.len();
        Ok(n)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let n = self.socket.write_vectored(slices)?;
        self.short = SHORT_MEANS_BLOCKED && n < slices.iter().map(|slice| slice.len()).sum();
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
