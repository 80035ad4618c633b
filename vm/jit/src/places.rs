//! What is known of the places in the code where regions may start, page by page: most of a large code is never reached.

use crate::Place;

/// Words of a page.
const PAGE: usize = 1 << 10;

type Page = Box<[Option<Box<Place>>]>;

/// Places by the number of their word in the code.
pub(crate) struct Places(Vec<Option<Page>>);

impl Places {
    /// None of this many words.
    pub fn new(words: usize) -> Self {
        Self((0..words.div_ceil(PAGE)).map(|_| None).collect())
    }

    /// What is known of a place.
    pub fn get(&self, word: usize) -> Option<&Place> {
        self.0.get(word / PAGE)?.as_ref()?.get(word % PAGE)?.as_deref()
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, word: usize) -> Option<&mut Place> {
        self.0.get_mut(word / PAGE)?.as_mut()?.get_mut(word % PAGE)?.as_deref_mut()
    }

    /// Takes out what is known of a place.
    pub fn take(&mut self, word: usize) -> Option<Box<Place>> {
        self.0.get_mut(word / PAGE)?.as_mut()?.get_mut(word % PAGE)?.take()
    }

    /// Notes what is known of a place in the code.
    pub fn put(&mut self, word: usize, place: Box<Place>) {
        if let Some(page) = self.0.get_mut(word / PAGE) {
            page.get_or_insert_with(|| (0..PAGE).map(|_| None).collect())[word % PAGE] = Some(place);
        }
    }
}
