//! Records of one destination on their way to the exporter, end to end in one text: neither side allocates for each of them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::sync::Mutex;

use crate::config::ClientSettings;

/// Bytes of text that a pack holds at most.
pub(crate) const FULL_BYTES: usize = 64 * 1024;
/// A larger record is a pack of its own: what grows to take it would be copied more than once.
const LARGE: usize = FULL_BYTES / 4;
/// And so many records: what one of them pins when it is delivered late stays small.
const FULL_RECORDS: usize = 256;

/// A destination's packs, the oldest first. Each was announced to the exporter by one command when it was begun, so that
/// what joins it needs no other.
#[derive(Debug, Default)]
pub(crate) struct Packs(Mutex<VecDeque<Pack>>);

#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) settings: Arc<ClientSettings>,
    text: String,
    records: Vec<Record>,
}

/// One record and when its observation started and ended, nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    end_of_text: u32,
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Monotonic nanoseconds.
    pub(crate) submitted: u64,
}

impl Packs {
    /// Adds a record. True where it begins a pack, which has to be announced.
    #[must_use]
    pub(crate) fn add(
        &self,
        settings: &Arc<ClientSettings>,
        record: &str,
        (start, end): (u64, u64),
        submitted: u64,
    ) -> bool {
        let mut packs = self.0.lock();
        let open = packs.back_mut().filter(|pack| pack.takes(settings, record.len()));
        let begins = open.is_none();
        let pack = match open {
            Some(pack) => pack,
            None => {
                packs.push_back(Pack {
                    settings: settings.clone(),
                    text: String::with_capacity(record.len()),
                    records: Vec::new(),
                });
                let Some(pack) = packs.back_mut() else { return false };
                pack
            }
        };
        pack.text.push_str(record);
        // Not above FULL_BYTES.
        let end_of_text = u32::try_from(pack.text.len()).unwrap_or(u32::MAX);
        pack.records.push(Record { end_of_text, start, end, submitted });
        begins
    }

    /// Takes the oldest.
    pub(crate) fn take(&self) -> Option<Pack> {
        let mut packs = self.0.lock();
        let pack = packs.pop_front();
        if packs.is_empty() {
            *packs = VecDeque::new();
        }
        pack
    }
}

impl Pack {
    fn takes(&self, settings: &Arc<ClientSettings>, len: usize) -> bool {
        len <= LARGE
            && (self.records.len() > 1 || self.text.len() <= LARGE)
            && self.text.len() + len <= FULL_BYTES
            && self.records.len() < FULL_RECORDS
            && Arc::ptr_eq(&self.settings, settings)
    }

    /// Bytes of text.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// How many records.
    pub(crate) fn count(&self) -> usize {
        self.records.len()
    }

    /// The records and their texts.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&Record, &str)> {
        let mut from = 0;
        self.records.iter().map(move |record| {
            let to = record.end_of_text as usize;
            let text = self.text.get(from..to).unwrap_or_default();
            from = to;
            (record, text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientOptions;
    use crate::config::ClientSettings;

    fn settings() -> Arc<ClientSettings> {
        Arc::new(ClientSettings::resolve(ClientOptions::default(), &|_| None, &mut Vec::new()))
    }

    fn texts(pack: &Pack) -> Vec<&str> {
        pack.records().map(|(_, text)| text).collect()
    }

    #[test]
    fn what_joins_a_pack_is_not_announced() {
        let (packs, one, other) = (Packs::default(), settings(), settings());
        assert!(packs.add(&one, "a", (1, 2), 3));
        assert!(!packs.add(&one, "é", (1, 2), 3));
        assert!(packs.add(&other, "c", (1, 2), 3), "other settings are another pack");
        let first = packs.take().unwrap();
        assert_eq!((texts(&first), first.count(), first.len()), (vec!["a", "é"], 2, 3));
        assert!(!packs.add(&other, "d", (1, 2), 3));
        assert_eq!(texts(&packs.take().unwrap()), ["c", "d"]);
        assert!(packs.take().is_none());
        assert!(packs.add(&other, "e", (1, 2), 3), "what was taken takes no more");
    }

    #[test]
    fn a_pack_is_bounded_in_bytes_and_records() {
        let (packs, settings) = (Packs::default(), settings());
        let large = "x".repeat(LARGE + 1);
        for text in ["x", &large, &large, "x"] {
            assert!(packs.add(&settings, text, (0, 0), 0), "large ones stand alone");
        }
        let most = "x".repeat(LARGE);
        let begun = (0..8).filter(|_| packs.add(&settings, &most, (0, 0), 0)).count();
        assert_eq!(begun, 2, "of 64 KiB with what was there");
        let begun = (0..2 * FULL_RECORDS).filter(|_| packs.add(&settings, "x", (0, 0), 0)).count();
        assert_eq!(begun, 2);
    }
}
