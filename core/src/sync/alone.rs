//! For hosts without threads. The names and signatures are those of the crates that stand here elsewhere.

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

/// Never waits: nobody else can hold it.
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

#[allow(missing_docs)]
impl<T> Mutex<T> {
    pub const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }
}

/// Whoever would wait for another thread learns at once that there is none.
#[derive(Debug, Default)]
pub struct Condvar;

#[allow(missing_docs)]
impl Condvar {
    pub const fn new() -> Self {
        Self
    }

    pub fn wait_for<T>(&self, _: &mut MutexGuard<'_, T>, _: Duration) {}

    pub fn notify_all(&self) {}
}

/// A pointer that can be replaced.
#[derive(Debug)]
pub struct ArcSwap<T>(Mutex<Arc<T>>);

#[allow(missing_docs)]
impl<T> ArcSwap<T> {
    pub fn from_pointee(value: T) -> Self {
        Self(Mutex::new(Arc::new(value)))
    }

    pub fn load(&self) -> Arc<T> {
        self.0.lock().clone()
    }

    pub fn store(&self, value: Arc<T>) {
        *self.0.lock() = value;
    }
}

/// The same, or nothing.
#[derive(Debug)]
pub struct ArcSwapOption<T>(Mutex<Option<Arc<T>>>);

#[allow(missing_docs)]
impl<T> ArcSwapOption<T> {
    pub const fn const_empty() -> Self {
        Self(Mutex::new(None))
    }

    pub fn load_full(&self) -> Option<Arc<T>> {
        self.0.lock().clone()
    }

    pub fn swap(&self, value: Option<Arc<T>>) -> Option<Arc<T>> {
        std::mem::replace(&mut *self.0.lock(), value)
    }
}

type Queue<T> = Arc<Mutex<VecDeque<T>>>;

/// One end of a channel.
#[derive(Debug)]
pub struct Sender<T>(Queue<T>);

/// The other end.
#[derive(Debug)]
pub struct Receiver<T>(Queue<T>);

#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    Empty,
    Disconnected,
}

#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvTimeoutError {
    Timeout,
    Disconnected,
}

/// A channel.
#[must_use]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    let queue = Queue::<T>::default();
    (Sender(queue.clone()), Receiver(queue))
}

/// The same: what is sent over one that holds one answer is sent once.
#[must_use]
pub fn bounded<T>(_: usize) -> (Sender<T>, Receiver<T>) {
    unbounded()
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[allow(missing_docs, clippy::missing_errors_doc)]
impl<T> Sender<T> {
    pub fn send(&self, value: T) -> Result<(), ()> {
        self.0.lock().push_back(value);
        Ok(())
    }

    pub fn try_send(&self, value: T) -> Result<(), ()> {
        self.send(value)
    }
}

#[allow(missing_docs, clippy::missing_errors_doc)]
impl<T> Receiver<T> {
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let next = self.0.lock().pop_front();
        let alone = Arc::strong_count(&self.0) == 1;
        next.ok_or(if alone { TryRecvError::Disconnected } else { TryRecvError::Empty })
    }

    pub fn recv_timeout(&self, _: Duration) -> Result<T, RecvTimeoutError> {
        self.try_recv().map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }
}
