//! A persistent map of pages. A copy costs nothing and shares with the original what neither has changed
//! since.
//!
//! It is a radix tree over page numbers. A change copies the shared nodes on the path to its page, 128 bytes
//! each. Comparing two maps skips the nodes that they share.

use std::sync::Arc;

/// Bits of a page number per level.
const BITS: u32 = 4;
const FANOUT: usize = 1 << BITS;

/// A map from page numbers to values.
#[derive(Debug, Clone)]
pub struct PageMap<T> {
    root: Link<T>,
    /// The level of the root. Values are at level 0.
    top: u32,
    len: usize,
}

type Link<T> = Option<Arc<Node<T>>>;

#[derive(Debug, Clone)]
enum Node<T> {
    Inner([Link<T>; FANOUT]),
    Values([Option<T>; FANOUT]),
}

impl<T> Node<T> {
    fn new(level: u32) -> Self {
        if level == 0 {
            Self::Values([const { None }; FANOUT])
        } else {
            Self::Inner([const { None }; FANOUT])
        }
    }

    fn child(&self, slot: usize) -> Option<&Arc<Self>> {
        match self {
            Self::Inner(children) => children[slot].as_ref(),
            Self::Values(_) => None,
        }
    }

    fn value(&self, slot: usize) -> Option<&T> {
        match self {
            Self::Inner(_) => None,
            Self::Values(values) => values[slot].as_ref(),
        }
    }
}

impl<T: Clone + PartialEq> PageMap<T> {
    /// An empty map for numbers below 2^bits.
    pub fn new(bits: u32) -> Self {
        Self { root: None, top: bits.div_ceil(BITS).saturating_sub(1), len: 0 }
    }

    /// The number of pages with a value.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The value of a page.
    pub fn get(&self, page: u64) -> Option<&T> {
        let mut node = self.root.as_ref()?;
        for level in (1..=self.top).rev() {
            node = node.child(slot(page, level))?;
        }
        node.value(slot(page, 0))
    }

    /// Sets the value of a page.
    pub fn insert(&mut self, page: u64, value: T) {
        let (mut link, mut level) = (&mut self.root, self.top);
        loop {
            match Arc::make_mut(link.get_or_insert_with(|| Arc::new(Node::new(level)))) {
                Node::Inner(children) => link = &mut children[slot(page, level)],
                Node::Values(values) => {
                    self.len += usize::from(values[slot(page, 0)].replace(value).is_none());
                    return;
                }
            }
            level -= 1;
        }
    }

    /// Removes the value of a page.
    pub fn remove(&mut self, page: u64) {
        // If the page has no value, shared nodes need not be copied.
        if self.get(page).is_some() {
            remove(&mut self.root, page, self.top);
            self.len -= 1;
        }
    }

    /// The pages whose values differ between two maps of the same size, in order.
    pub fn differences(&self, other: &Self) -> Vec<u64> {
        let mut pages = Vec::new();
        compare(self.root.as_ref(), other.root.as_ref(), 0, self.top, &mut pages);
        pages
    }
}

/// The index of a page in a node of a level.
fn slot(page: u64, level: u32) -> usize {
    (page >> (BITS * level)) as usize % FANOUT
}

/// Removes a page, and the nodes that become empty.
fn remove<T: Clone>(link: &mut Link<T>, page: u64, level: u32) {
    let Some(node) = link else { return };
    let is_empty = match Arc::make_mut(node) {
        Node::Inner(children) => {
            remove(&mut children[slot(page, level)], page, level - 1);
            children.iter().all(Option::is_none)
        }
        Node::Values(values) => {
            values[slot(page, 0)] = None;
            values.iter().all(Option::is_none)
        }
    };
    if is_empty {
        *link = None;
    }
}

/// Adds the pages that differ below two nodes of a level. `above` is the prefix of their numbers.
fn compare<T: PartialEq>(
    a: Option<&Arc<Node<T>>>,
    b: Option<&Arc<Node<T>>>,
    above: u64,
    level: u32,
    pages: &mut Vec<u64>,
) {
    match (a, b) {
        (None, None) => return,
        (Some(a), Some(b)) if Arc::ptr_eq(a, b) => return,
        _ => {}
    }
    for slot in 0..FANOUT {
        let page = above << BITS | slot as u64;
        if level > 0 {
            let [a, b] = [a, b].map(|node| node.and_then(|node| node.child(slot)));
            compare(a, b, page, level - 1, pages);
        } else if a.and_then(|node| node.value(slot)) != b.and_then(|node| node.value(slot)) {
            pages.push(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn maps_and_their_copies_are_what_ordered_maps_are(
            bits in 0u32..12,
            changes in prop::collection::vec((any::<u64>(), 0..4u8, any::<bool>()), 1..200),
        ) {
            let (mut map, mut model) = (PageMap::new(bits), BTreeMap::new());
            let mut kept = vec![(map.clone(), model.clone())];
            for (page, value, keep) in changes {
                let page = page % (1 << bits);
                match value {
                    0 => {
                        map.remove(page);
                        model.remove(&page);
                    }
                    value => {
                        map.insert(page, value);
                        model.insert(page, value);
                    }
                }
                if keep {
                    kept.push((map.clone(), model.clone()));
                }
            }
            kept.push((map.clone(), model.clone()));
            for (old, old_model) in &kept {
                prop_assert_eq!(old.len(), old_model.len());
                prop_assert_eq!(old.root.is_none(), old_model.is_empty());
                for page in 0..1 << bits {
                    prop_assert_eq!(old.get(page), old_model.get(&page));
                }
                let differs = |page: &u64| model.get(page) != old_model.get(page);
                let expected: Vec<u64> = (0..1 << bits).filter(differs).collect();
                prop_assert_eq!(&map.differences(old), &expected);
                prop_assert_eq!(old.differences(&map), expected);
            }
        }
    }

    #[test]
    fn copies_share_what_is_not_changed() {
        let mut map = PageMap::new(33);
        (0..10_000).for_each(|page| map.insert(page * 7, Arc::new(page)));
        let old = map.clone();
        map.insert(70, Arc::new(0));
        map.remove((1 << 33) - 1);
        let (a, b) = (map.root.as_ref().expect("nodes"), old.root.as_ref().expect("nodes"));
        assert!(!Arc::ptr_eq(a, b));
        let shared = |a: &Node<_>, b: &Node<_>| {
            (0..FANOUT)
                .filter(|&i| a.child(i).zip(b.child(i)).is_some_and(|(a, b)| Arc::ptr_eq(a, b)))
                .count()
        };
        // There is one path to all pages. Where it forks, all branches but one are shared.
        let (mut a, mut b) = (a.clone(), b.clone());
        while let Some((x, y)) = a.child(0).cloned().zip(b.child(0).cloned()).filter(|_| shared(&a, &b) == 0)
        {
            (a, b) = (x, y);
        }
        assert!(shared(&a, &b) > 0, "nothing is shared");
        assert_eq!(map.differences(&old), [70]);
    }
}
