//! Keeps checkpoints of a run, so that later questions need not run it from the start.

use std::collections::BTreeMap;

/// The most pages in all checkpoints together: a gibibyte.
const MOST_PAGES: usize = 1 << 18;

/// The newest checkpoints, which are not dropped: enough for a few lists of claims.
const RECENT: u64 = 64;

/// Checkpoints by their place in a run.
///
/// A game asks for places in ever smaller parts of the run, so the last checkpoint before a place is near.
/// When there are too many, those with close neighbours are dropped first. The rest stay evenly spread over
/// the run, and dense where the latest questions were.
#[derive(Debug)]
pub struct Checkpoints<P, T> {
    kept: BTreeMap<P, Kept<T>>,
    pages: usize,
    /// The number of checkpoints kept so far.
    clock: u64,
}

#[derive(Debug)]
struct Kept<T> {
    checkpoint: T,
    /// The distance from the start of the run.
    distance: u64,
    /// The number of pages that differ from the previously kept checkpoint.
    pages: usize,
    /// The clock when it was kept.
    born: u64,
}

impl<P, T> Default for Checkpoints<P, T> {
    fn default() -> Self {
        Self { kept: BTreeMap::new(), pages: 0, clock: 0 }
    }
}

impl<P, T> Checkpoints<P, T> {
    /// The most checkpoints that are kept.
    pub const MOST: u64 = 512;
}

impl<P: Ord + Copy, T> Checkpoints<P, T> {
    /// The last checkpoint at or before a place.
    pub fn before(&self, place: P) -> Option<(P, &T)> {
        self.kept.range(..=place).next_back().map(|(&place, kept)| (place, &kept.checkpoint))
    }

    /// Whether there is a checkpoint at a place.
    pub fn has(&self, place: P) -> bool {
        self.kept.contains_key(&place)
    }

    /// Keeps a checkpoint, given its distance from the start and the number of its new pages.
    pub fn keep(&mut self, place: P, checkpoint: T, distance: u64, pages: usize) {
        self.clock += 1;
        self.forget(place);
        self.kept.insert(place, Kept { checkpoint, distance, pages, born: self.clock });
        self.pages += pages;
        while self.kept.len() as u64 > Self::MOST || self.pages > MOST_PAGES {
            let Some(place) = self.dispensable() else { break };
            self.forget(place);
        }
    }

    fn forget(&mut self, place: P) {
        self.pages -= self.kept.remove(&place).map_or(0, |kept| kept.pages);
    }

    /// The checkpoint that is cheapest to recompute. Never the first one, and a recent one only if there is
    /// no other.
    fn dispensable(&self) -> Option<P> {
        let (here, next) = (self.kept.iter().skip(1), self.kept.values().skip(2).map(Some).chain([None]));
        let gaps = self.kept.values().zip(here).zip(next).map(|((before, (&place, kept)), after)| {
            let gap = after.map_or(u64::MAX, |after| after.distance - before.distance);
            ((kept.born + RECENT > self.clock, gap, kept.born), place)
        });
        gaps.min_by_key(|&(order, _)| order).map(|(_, place)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = Checkpoints::<u64, u64>::MOST;

    #[test]
    fn the_last_before_a_place() {
        let mut checkpoints = Checkpoints::default();
        assert_eq!(checkpoints.before((9, 9)), None);
        for place in [(0, 5), (2, 0), (0, 0), (1, 7)] {
            checkpoints.keep(place, place, 10 * place.0 + place.1, 1);
        }
        let before = |place| checkpoints.before(place).map(|(place, &checkpoint)| (place, checkpoint));
        for (place, expected) in
            [((0, 0), (0, 0)), ((0, 4), (0, 0)), ((0, 5), (0, 5)), ((2, 0), (2, 0)), ((9, 9), (2, 0))]
        {
            assert_eq!(before(place), Some((expected, expected)), "{place:?}");
        }
        assert!(checkpoints.has((1, 7)) && !checkpoints.has((1, 6)));
    }

    #[test]
    fn there_are_never_too_many_and_they_lie_evenly() {
        let (mut many, mut large) = (Checkpoints::default(), Checkpoints::default());
        for place in 0..10 * MOST {
            many.keep(place, place, place, 0);
            large.keep(place, place, place, MOST_PAGES / 100);
            assert!(many.kept.len() as u64 <= MOST && large.pages <= MOST_PAGES);
            for (checkpoints, count) in [(&many, MOST), (&large, 100)] {
                let far =
                    (0..=place).map(|place| place - checkpoints.before(place).expect("the first").0).max();
                assert!(far.expect("places") <= 2 * place / (count - RECENT) + 1, "{far:?} at {place}");
            }
        }
        // One round of questions about adjacent steps: all of the latest are kept.
        for round in 0..20 {
            let places: Vec<u64> = (1..20).map(|i| 100_000 + 1000 * round + i).collect();
            for &place in &places {
                many.keep(place, place, place, 0);
            }
            assert!(places.iter().all(|&place| many.has(place)), "{round}");
        }
        assert!(many.has(0) && large.has(0));
    }

    #[test]
    fn a_checkpoint_alone_may_be_large() {
        let mut checkpoints = Checkpoints::default();
        for place in [0u64, 5, 7] {
            checkpoints.keep(place, (), place, 2 * MOST_PAGES);
        }
        assert_eq!((checkpoints.kept.len(), checkpoints.has(0)), (1, true));
        checkpoints.keep(0, (), 0, 1);
        assert_eq!(checkpoints.pages, 1);
    }
}
