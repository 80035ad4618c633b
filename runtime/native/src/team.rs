//! Threads that help with work of a few microseconds.
//!
//! A thread that sleeps takes some ten microseconds to wake up, longer than many a node of a network takes to
//! compute. So helpers look out for more work for a moment before they sleep. They take pieces of a list when they
//! come to it: one that comes late, or not at all because the computer is busy, is not waited for.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a helper looks out for more work before it sleeps.
const LOOKS_OUT: Duration = Duration::from_micros(200);

/// Work in pieces that can be done in any order, and at the same time.
pub(crate) trait Work: Send + Sync + 'static {
    /// The number of pieces.
    fn pieces(&self) -> usize;
    /// Does a piece.
    fn run(&self, piece: usize);
}

/// Some helpers, and whoever asks them. They end with it.
pub(crate) struct Team<W: Work> {
    board: Arc<Board<W>>,
    helpers: usize,
    /// Held by the one whose work is shared. Others do theirs alone meanwhile.
    turn: Mutex<()>,
}

/// Where helpers find work.
struct Board<W> {
    list: Mutex<Option<Arc<List<W>>>>,
    /// How many lists there have been.
    posted: AtomicUsize,
    over: AtomicBool,
    /// How many helpers sleep.
    asleep: Mutex<usize>,
    wake: Condvar,
}

/// Work that is being done.
struct List<W> {
    work: W,
    /// The next piece to be taken.
    next: AtomicUsize,
    /// How many pieces are over.
    over: AtomicUsize,
    panicked: AtomicBool,
}

impl<W: Work> Team<W> {
    /// A team of this many helpers. They sleep until there is work.
    pub(crate) fn new(helpers: usize) -> io::Result<Self> {
        let (list, posted, over, asleep, wake) = Default::default();
        let board = Arc::new(Board { list, posted, over, asleep, wake });
        // Dropped if a thread can't be started: those before it end.
        let team = Self { board, helpers, turn: Mutex::default() };
        for _ in 0..helpers {
            let board = Arc::clone(&team.board);
            thread::Builder::new().name("native".to_owned()).spawn(move || board.help())?;
        }
        Ok(team)
    }

    /// The number of threads that work at the same time.
    pub(crate) fn threads(&self) -> usize {
        self.helpers + 1
    }

    /// Whether a helper looks out for work.
    pub(crate) fn is_awake(&self) -> bool {
        *lock(&self.board.asleep) < self.helpers
    }

    /// Does work with the helpers that have time. All of it is done when this returns, also by a panic: then some
    /// pieces are never done, but none is being done any more.
    pub(crate) fn share(&self, work: W) {
        let (next, over, panicked) = Default::default();
        let list = Arc::new(List { work, next, over, panicked });
        let turn = match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            // A panic has ended an earlier turn.
            Err(TryLockError::Poisoned(turn)) => Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        {
            let _posted = turn.map(|turn| self.board.post(&list, turn));
            let _all = Wait(&list);
            list.help();
        }
        assert!(!list.panicked.load(Ordering::Relaxed), "a thread panicked");
    }
}

impl<W: Work> Drop for Team<W> {
    fn drop(&mut self) {
        self.board.over.store(true, Ordering::Release);
        let _asleep = lock(&self.board.asleep);
        self.board.wake.notify_all();
    }
}

impl<W: Work> Board<W> {
    /// Shows a list to the helpers until what this returns is dropped.
    fn post<'a>(&'a self, list: &Arc<List<W>>, turn: MutexGuard<'a, ()>) -> Posted<'a, W> {
        *lock(&self.list) = Some(Arc::clone(list));
        self.posted.fetch_add(1, Ordering::Release);
        if *lock(&self.asleep) > 0 {
            self.wake.notify_all();
        }
        Posted { board: self, _turn: turn }
    }

    /// Helps with every list until there are no more.
    fn help(&self) {
        let mut seen = 0;
        while self.wait(&mut seen) {
            let list = lock(&self.list).clone();
            if let Some(list) = list {
                // Who asked for it is told; this one goes on helping.
                let _ = catch_unwind(AssertUnwindSafe(|| list.help()));
            }
        }
    }

    /// Waits for another list than the last one that was seen. False if there are no more.
    fn wait(&self, seen: &mut usize) -> bool {
        let is_over = || self.over.load(Ordering::Acquire);
        let is_new = |seen: &mut usize| {
            let posted = self.posted.load(Ordering::Acquire);
            std::mem::replace(seen, posted) != posted
        };
        let start = Instant::now();
        while !is_over() && start.elapsed() < LOOKS_OUT {
            for _ in 0..64 {
                if is_new(seen) {
                    return true;
                }
                std::hint::spin_loop();
            }
            // Who has something to do comes first.
            thread::yield_now();
        }
        let mut asleep = lock(&self.asleep);
        *asleep += 1;
        // Who posts a list, or ends the team, looks for sleepers afterwards, with this lock.
        while !is_over() && !is_new(seen) {
            asleep = self.wake.wait(asleep).unwrap_or_else(PoisonError::into_inner);
        }
        *asleep -= 1;
        !is_over()
    }
}

/// A list on the board. What is on it may own the team.
struct Posted<'a, W> {
    board: &'a Board<W>,
    _turn: MutexGuard<'a, ()>,
}

impl<W> Drop for Posted<'_, W> {
    fn drop(&mut self) {
        *lock(&self.board.list) = None;
    }
}

impl<W: Work> List<W> {
    /// Does pieces that nobody has taken, until there are none.
    fn help(&self) {
        /// Counts a piece as over, also if it panics.
        struct Piece<'a, W>(&'a List<W>);
        impl<W> Drop for Piece<'_, W> {
            fn drop(&mut self) {
                if thread::panicking() {
                    self.0.panicked.store(true, Ordering::Relaxed);
                }
                self.0.over.fetch_add(1, Ordering::Release);
            }
        }
        loop {
            let piece = self.next.fetch_add(1, Ordering::Relaxed);
            if piece >= self.work.pieces() {
                return;
            }
            let _over = Piece(self);
            self.work.run(piece);
        }
    }
}

/// When it is dropped, nobody takes another piece, and what was taken is over.
struct Wait<'a, W: Work>(&'a List<W>);

impl<W: Work> Drop for Wait<'_, W> {
    fn drop(&mut self) {
        let count = self.0.work.pieces();
        let taken = self.0.next.swap(count, Ordering::Relaxed).min(count);
        let mut looks = 0u32;
        while self.0.over.load(Ordering::Acquire) < taken {
            looks += 1;
            // A helper without a processor gets this one's.
            if looks.is_multiple_of(256) { thread::yield_now() } else { std::hint::spin_loop() }
        }
    }
}

/// Nothing panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts how often each piece is done; one of them panics.
    struct Counted {
        done: Vec<AtomicUsize>,
        /// How many of them helpers did.
        helped: AtomicUsize,
        panics: Option<usize>,
        pause: Duration,
    }

    impl Work for Arc<Counted> {
        fn pieces(&self) -> usize {
            self.done.len()
        }
        fn run(&self, piece: usize) {
            thread::sleep(self.pause);
            assert!(self.panics != Some(piece), "planned");
            self.done[piece].fetch_add(1, Ordering::Relaxed);
            let helped = thread::current().name() == Some("native");
            self.helped.fetch_add(usize::from(helped), Ordering::Relaxed);
        }
    }

    fn counted(pieces: usize, panics: Option<usize>, pause: u64) -> Arc<Counted> {
        let done = (0..pieces).map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Counted { done, helped: AtomicUsize::new(0), panics, pause: Duration::from_micros(pause) })
    }

    fn all_done(counted: &Counted) -> bool {
        counted.done.iter().all(|done| done.load(Ordering::Relaxed) == 1)
    }

    #[test]
    fn every_piece_is_done_once() {
        for helpers in [0, 1, 3] {
            let team = Team::new(helpers).expect("threads");
            for round in 0..500 {
                let work = counted(round % 20, None, u64::from(round % 50 == 0) * 100);
                team.share(Arc::clone(&work));
                assert!(all_done(&work), "{helpers} helpers, round {round}");
                // Now and then they fall asleep.
                if round % 100 == 0 {
                    thread::sleep(3 * LOOKS_OUT);
                }
            }
        }
    }

    #[test]
    fn several_can_ask_at_the_same_time() {
        let team = Team::new(2).expect("threads");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let work = counted(10, None, 1);
                        team.share(Arc::clone(&work));
                        assert!(all_done(&work));
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_is_told_and_nothing_is_done_afterwards() {
        let team = Team::new(2).expect("threads");
        for panics in 0..10 {
            let work = counted(10, Some(panics), 200);
            let told = catch_unwind(AssertUnwindSafe(|| team.share(Arc::clone(&work))));
            assert!(told.is_err());
            let count = || work.done.iter().map(|done| done.load(Ordering::Relaxed)).sum::<usize>();
            let before = count();
            thread::sleep(Duration::from_millis(2));
            assert_eq!(count(), before);
        }
        // The helpers go on helping, and nothing stays on the board.
        let helped = (0..100).any(|_| {
            let work = counted(40, None, 500);
            team.share(Arc::clone(&work));
            assert!(all_done(&work));
            work.helped.load(Ordering::Relaxed) > 0
        });
        assert!(helped);
        assert!(lock(&team.board.list).is_none());
    }

    #[test]
    fn helpers_end_with_the_team() {
        let team: Team<Arc<Counted>> = Team::new(3).expect("threads");
        let board = Arc::downgrade(&team.board);
        drop(team);
        let start = Instant::now();
        while board.strong_count() > 0 && start.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(board.strong_count(), 0);
    }
}
