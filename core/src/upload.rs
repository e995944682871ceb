//! Contents on their way to a server: their bytes, held once however many observations refer to them, and what the server
//! is known to have.
//!
//! Media share the byte budgets of the data, but may never fill them: a store that takes nothing must not cost the spans
//! their place.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::sync::Mutex;
use bytes::Bytes;

use crate::budget::{Budget, reserve};
use crate::client::Bound;
use crate::destination::Destination;
use crate::full::{FULL, Gated};
use crate::media::{Media, MediaField};
use crate::observation::SpanContext;
use crate::pipeline::{ITEM_OVERHEAD, Item};
use crate::report::{DropReason, Lane};
use crate::shared::Shared;

/// Contents that a destination's server is known to have; enough for what one process sends again and again.
const MAX_KNOWN: usize = 4096;

/// The share of a destination's bytes that media may hold.
pub(crate) const fn of_destination(bytes: usize) -> usize {
    bytes / 4 * 3
}

/// The share of the process's bytes.
pub(crate) const fn of_process(bytes: usize) -> usize {
    bytes / 2
}

type Digest = [u8; 32];

/// A content that waits for its upload; its bytes are given back with the last item that refers to it.
pub(crate) struct Content {
    pub(crate) media: Media,
    cost: usize,
    destination: Arc<Destination>,
    shared: Arc<Shared>,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.media.fmt(f)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if self.shared.abandoned.load(Ordering::Acquire) {
            // The parent's; another thread may have held the lock when the process was copied.
            return;
        }
        self.destination.budget.release(self.cost);
        self.shared.budget.release(self.cost);
        self.destination.contents.budget.release(self.cost);
        self.shared.contents.release(self.cost);
        self.destination.contents.forget(&self.media.digest);
    }
}

/// A destination's contents.
#[derive(Debug)]
pub(crate) struct Contents {
    budget: Budget,
    book: Option<Gated<Mutex<Book>>>,
}

#[derive(Debug, Default)]
struct Book {
    held: HashMap<Digest, Weak<Content>>,
    /// What the server said that it has, or took with a status after which it will go on asking.
    known: HashSet<Digest>,
    order: VecDeque<Digest>,
}

impl Contents {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { budget: Budget::new(bytes), book: FULL.map(|full| Gated::new(Mutex::default(), full)) }
    }

    /// The content as it is held already, or held from now on.
    fn hold(
        destination: &Arc<Destination>,
        shared: &Arc<Shared>,
        media: Media,
    ) -> Result<Arc<Content>, DropReason> {
        let contents = &destination.contents;
        let Some(book) = &contents.book else { return Err(DropReason::Unsupported) };
        let known = book.lock().held.get(&media.digest).and_then(Weak::upgrade);
        if let Some(content) = known.filter(|content| content.media.is_same(&media)) {
            return Ok(content);
        }
        let cost = media.len() + ITEM_OVERHEAD;
        if cost > contents.budget.limit() {
            return Err(DropReason::TooLarge);
        }
        reserve(&contents.budget, &shared.contents, cost, true)?;
        if let Err(reason) = reserve(&destination.budget, &shared.budget, cost, false) {
            contents.budget.release(cost);
            shared.contents.release(cost);
            return Err(reason);
        }
        let content =
            Arc::new(Content { media, cost, destination: destination.clone(), shared: shared.clone() });
        book.lock().held.insert(content.media.digest, Arc::downgrade(&content));
        Ok(content)
    }

    fn forget(&self, digest: &Digest) {
        let Some(book) = &self.book else { return };
        let mut book = book.lock();
        // Somebody else may hold the same content meanwhile.
        if book.held.get(digest).is_some_and(|content| content.strong_count() == 0) {
            book.held.remove(digest);
        }
    }

    /// Remembers that the server has it; the one that was learnt first goes when there are too many.
    pub(crate) fn learn(&self, digest: Digest) {
        let Some(book) = &self.book else { return };
        let mut book = book.lock();
        if book.known.insert(digest) {
            book.order.push_back(digest);
            if book.order.len() > MAX_KNOWN
                && let Some(oldest) = book.order.pop_front()
            {
                book.known.remove(&oldest);
            }
        }
    }

    pub(crate) fn knows(&self, digest: &Digest) -> bool {
        self.book.as_ref().is_some_and(|book| book.lock().known.contains(digest))
    }
}

impl Bound {
    /// Hands a content over that the observation's field refers to. Never waits; what cannot be held is counted.
    pub(crate) fn attach(&self, context: &SpanContext, field: MediaField, media: Media) {
        let (process, destination) = (&self.process, &self.destination);
        let now = process.mono();
        match item(destination, &process.shared, context, field, media, now, self.settings.timeout) {
            Ok(item) => process.submit(destination, Lane::Media, item),
            Err(reason) => process.refuse(destination, Lane::Media, reason, 0),
        }
    }
}

/// One use of a content, with its bytes reserved.
pub(crate) fn item(
    destination: &Arc<Destination>,
    shared: &Arc<Shared>,
    context: &SpanContext,
    field: MediaField,
    media: Media,
    submitted: u64,
    timeout: Duration,
) -> Result<Item, DropReason> {
    // The content type holds no character that JSON escapes.
    let body = format!(
        "{{\"traceId\":\"{}\",\"observationId\":\"{}\",\"field\":\"{}\",\"contentType\":\"{}\",\"contentLength\":{},\"sha256Hash\":\"{}\"}}",
        context.trace_id,
        context.span_id,
        field.as_str(),
        media.content_type,
        media.len(),
        media.sha256(),
    );
    let content = Contents::hold(destination, shared, media)
        .map(|content| FULL.map(|full| Gated::new(content, full)))?;
    let item = Item { payload: Bytes::from(body), wrapper: None, content, submitted, timeout };
    reserve(&destination.budget, &shared.budget, item.cost(), true)?;
    Ok(item)
}
