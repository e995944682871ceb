//! Things worth telling the application: queued here, bounded and merged by kind, and delivered by the language binding
//! on an application thread. The exporter never calls into a logger.

use std::collections::VecDeque;

use crate::sync::Mutex;

use crate::report::{DropReason, Lane};

/// Kinds and destinations held at most; beyond, destinations are counted together.
const MAX_KINDS: usize = 64;
/// Room for every kind of the whole process.
const OVERFLOW_KINDS: usize = 32;

/// A kind is told at most once in this many nanoseconds.
const PERIOD: u64 = 60_000_000_000;

/// What a notice is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// Data was given up.
    Dropped {
        /// Observations or scores.
        lane: Lane,
        /// Why.
        reason: DropReason,
    },
    /// A setting, argument or environment variable was not usable.
    Configuration,
    /// A server refused or failed.
    Server,
    /// The cache of clients evicts what is still in use.
    CacheThrashing,
    /// A panic was caught in the exporter.
    Panic,
}

/// One line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// The destination's public key; empty where it concerns the whole process.
    pub public_key: String,
    /// A sentence for people, without secrets.
    pub message: String,
    /// How many times (or, for drops, how many items) since the last line of this kind.
    pub count: u64,
}

#[derive(Debug)]
struct Entry {
    notice: Notice,
    told_at: Option<u64>,
    seen_at: u64,
}

/// The bounded queue of notices.
#[derive(Debug, Default)]
pub struct Notices {
    entries: Mutex<VecDeque<Entry>>,
}

impl Notices {
    /// Adds to the notice of the same kind and destination, or begins one. `now` is monotonic nanoseconds.
    pub fn add(
        &self,
        kind: NoticeKind,
        public_key: &str,
        count: u64,
        now: u64,
        message: impl Fn() -> String,
    ) {
        // Two faulty settings are two notices; two refusals by one server are one.
        let text = (kind == NoticeKind::Configuration).then(&message);
        let mut entries = self.entries.lock();
        let same = |entry: &&mut Entry| {
            entry.notice.kind == kind
                && entry.notice.public_key == public_key
                && text.as_ref().is_none_or(|text| *text == entry.notice.message)
        };
        if let Some(entry) = entries.iter_mut().find(same) {
            if entry.notice.count == 0 {
                entry.notice.message = text.unwrap_or_else(message);
            }
            entry.notice.count += count;
            entry.seen_at = now;
            return;
        }
        if entries.len() >= MAX_KINDS {
            // Make room by forgetting a kind that has been told; where none has, the oldest absorbs this one.
            if let Some(at) = entries.iter().position(|entry| entry.notice.count == 0) {
                entries.remove(at);
            } else {
                // Nobody's number is shown as another's: what does not fit is told of the whole process, by kind.
                let of_all =
                    |entry: &&mut Entry| entry.notice.kind == kind && entry.notice.public_key.is_empty();
                if let Some(entry) = entries.iter_mut().find(of_all) {
                    entry.notice.count += count;
                    return;
                }
                if entries.len() >= MAX_KINDS + OVERFLOW_KINDS {
                    return;
                }
                let message = text.unwrap_or_else(message);
                let notice = Notice { kind, public_key: String::new(), message, count };
                entries.push_back(Entry { notice, told_at: None, seen_at: now });
                return;
            }
        }
        let message = text.unwrap_or_else(message);
        let notice = Notice { kind, public_key: public_key.to_owned(), message, count };
        entries.push_back(Entry { notice, told_at: None, seen_at: now });
    }

    /// Takes what is due: the first of a kind at once, later ones once a minute with their count. `all` ignores the
    /// minute: at exit there is no later.
    #[must_use]
    pub fn take(&self, now: u64, all: bool) -> Vec<Notice> {
        let mut entries = self.entries.lock();
        let mut due = Vec::new();
        for entry in entries.iter_mut() {
            let waited = entry.told_at.is_none_or(|told| now.saturating_sub(told) >= PERIOD);
            if entry.notice.count > 0 && (waited || all) {
                due.push(entry.notice.clone());
                entry.notice.count = 0;
                entry.told_at = Some(now);
            }
        }
        entries.retain(|entry| entry.notice.count > 0 || now.saturating_sub(entry.seen_at) < PERIOD);
        due
    }

    /// True where [`Notices::take`] could have something; a cheap guess for the hot path.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.try_lock().is_some_and(|entries| entries.iter().all(|entry| entry.notice.count == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: NoticeKind = NoticeKind::Dropped { lane: Lane::Scores, reason: DropReason::Expired };

    #[test]
    fn a_kind_is_told_once_a_minute_with_its_count() {
        let notices = Notices::default();
        notices.add(KIND, "pk", 2, 0, || "first".into());
        assert_eq!(notices.take(1, false)[0].count, 2);
        notices.add(KIND, "pk", 1, 2, || "second".into());
        notices.add(KIND, "pk", 1, 3, || "third".into());
        assert!(notices.take(4, false).is_empty());
        let later = notices.take(PERIOD + 1, false);
        assert_eq!((later[0].count, later[0].message.as_str()), (2, "second"));
    }

    #[test]
    fn the_queue_is_bounded_and_counts_what_does_not_fit() {
        let notices = Notices::default();
        for key in 0..1000 {
            notices.add(KIND, &format!("pk-{key}"), 1, 0, String::new);
        }
        let told = notices.take(0, true);
        assert_eq!(told.len(), MAX_KINDS + 1);
        assert_eq!(told[MAX_KINDS].public_key, "");
        assert_eq!(told.iter().map(|notice| notice.count).sum::<u64>(), 1000);
    }
}
