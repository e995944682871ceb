//! Whose turn it is. Destinations with due data wait at their origin in three lines; origins take turns; a destination
//! sends one request a turn. Nobody's backlog, and no dead server, holds another's place.

use std::collections::VecDeque;

/// Which line a destination waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Somebody waits for it in a flush.
    Urgent,
    /// Data is due.
    Normal,
    /// Its last attempt failed; such destinations share a quarter of the slots.
    Suspect,
}

/// The lines at one origin.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    lines: [VecDeque<u64>; 3],
}

impl Waiting {
    pub(crate) fn push(&mut self, class: Class, spool: u64) {
        self.lines[class as usize].push_back(spool);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.iter().all(VecDeque::is_empty)
    }

    /// Whose turn it is: urgent first; suspects only while `suspects` says that one more may run.
    pub(crate) fn pop(&mut self, suspects: bool) -> Option<u64> {
        let [urgent, normal, suspect] = &mut self.lines;
        urgent
            .pop_front()
            .or_else(|| normal.pop_front())
            .or_else(|| if suspects { suspect.pop_front() } else { None })
    }

    /// Takes one out of every line, wherever it stands.
    pub(crate) fn remove(&mut self, spool: u64) {
        for line in &mut self.lines {
            line.retain(|other| *other != spool);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_goes_first_and_suspects_only_where_allowed() {
        let mut waiting = Waiting::default();
        waiting.push(Class::Suspect, 1);
        waiting.push(Class::Normal, 2);
        waiting.push(Class::Urgent, 3);
        assert_eq!(
            (
                waiting.pop(true),
                waiting.pop(true),
                waiting.pop(false),
                waiting.pop(true)
            ),
            (Some(3), Some(2), None, Some(1))
        );
        assert!(waiting.is_empty());
    }
}
