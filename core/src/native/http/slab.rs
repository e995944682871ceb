//! Numbered places for attempts and connections: a number stays valid until it is freed, and freed numbers are used again.
//!
//! A value can be taken out while it is being worked on without its number being given away.

/// Values by small numbers.
pub(super) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// Reserves a number; [`Slab::put`] fills its place.
    pub(super) fn reserve(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        })
    }

    pub(super) fn put(&mut self, index: usize, value: T) {
        if let Some(place) = self.places.get_mut(index) {
            *place = Some(value);
        }
    }

    /// Takes a value out and keeps its number.
    pub(super) fn take(&mut self, index: usize) -> Option<T> {
        self.places.get_mut(index)?.take()
    }

    /// Gives a number up, with the value that may still stand there.
    pub(super) fn free(&mut self, index: usize) -> Option<T> {
        let value = self.places.get_mut(index)?.take();
        self.free.push(index);
        value
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.places.get(index)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.places.get_mut(index)?.as_mut()
    }

    /// Numbers in use.
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}
