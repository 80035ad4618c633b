//! The places in the code where regions may start. Stored by page, since most of a large code is never
//! reached.

use crate::Place;

/// Words per page.
const PAGE: usize = 1 << 10;

type Page = Box<[Option<Box<Place>>]>;

/// Places by their word's index in the code.
pub(crate) struct Places(Vec<Option<Page>>);

impl Places {
    /// No places for a code of this many words.
    pub fn new(words: usize) -> Self {
        Self((0..words.div_ceil(PAGE)).map(|_| None).collect())
    }

    /// The place at an index.
    pub fn get(&self, word: usize) -> Option<&Place> {
        self.0.get(word / PAGE)?.as_ref()?.get(word % PAGE)?.as_deref()
    }

    /// The place at an index, to be changed.
    pub fn get_mut(&mut self, word: usize) -> Option<&mut Place> {
        self.0.get_mut(word / PAGE)?.as_mut()?.get_mut(word % PAGE)?.as_deref_mut()
    }

    /// Removes a place.
    pub fn take(&mut self, word: usize) -> Option<Box<Place>> {
        self.0.get_mut(word / PAGE)?.as_mut()?.get_mut(word % PAGE)?.take()
    }

    /// Stores a place.
    pub fn put(&mut self, word: usize, place: Box<Place>) {
        if let Some(page) = self.0.get_mut(word / PAGE) {
            page.get_or_insert_with(|| (0..PAGE).map(|_| None).collect())[word % PAGE] = Some(place);
        }
    }
}
