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
    /// Destinations with the stamp that they were given. Who leaves the line is not searched for: its stamp is no longer
    /// the one that it stands under.
    lines: [VecDeque<(u64, u64)>; 3],
    stamps: u64,
}

impl Waiting {
    /// Stands a destination in line and returns its stamp.
    pub(crate) fn push(&mut self, class: Class, spool: u64) -> u64 {
        self.stamps += 1;
        self.lines[class as usize].push_back((spool, self.stamps));
        self.stamps
    }

    /// Forgets who no longer stands, where that is most of a long line.
    pub(crate) fn tidy(&mut self, spools: usize, standing: impl Fn(u64, u64) -> bool) {
        for line in &mut self.lines {
            if line.len() > 64 + 2 * spools {
                line.retain(|(spool, stamp)| standing(*spool, *stamp));
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.iter().all(VecDeque::is_empty)
    }

    /// Whose turn it is, of those that still stand under their stamp: urgent first; suspects only while `suspects` says
    /// that one more may run.
    pub(crate) fn pop(&mut self, suspects: bool, standing: impl Fn(u64, u64) -> bool) -> Option<u64> {
        for (class, line) in self.lines.iter_mut().enumerate() {
            if class == Class::Suspect as usize && !suspects {
                continue;
            }
            while let Some((spool, stamp)) = line.pop_front() {
                if standing(spool, stamp) {
                    return Some(spool);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_goes_first_and_suspects_only_where_allowed() {
        let mut waiting = Waiting::default();
        for (class, spool) in [(Class::Suspect, 1), (Class::Normal, 2), (Class::Urgent, 3)] {
            waiting.push(class, spool);
        }
        let order = [true, true, false, true].map(|suspects| waiting.pop(suspects, |_, _| true));
        assert_eq!(order, [Some(3), Some(2), None, Some(1)]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn who_has_left_the_line_is_passed_over() {
        let mut waiting = Waiting::default();
        let first = waiting.push(Class::Normal, 1);
        let second = waiting.push(Class::Normal, 1);
        assert_eq!(waiting.pop(true, |_, stamp| stamp == second && stamp != first), Some(1));
        assert!(waiting.is_empty());
        for _ in 0..1000 {
            waiting.push(Class::Normal, 1);
            waiting.tidy(1, |_, _| false);
        }
        assert!(waiting.lines[1].len() <= 66);
    }
}
