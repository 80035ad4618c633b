//! The requests that may concern a player, in the orders in which they are needed: a look must cost what has changed
//! and what is due, not what is open.

use crate::duty::{Case, GameStanding, challenger_of};
use contracts::{Address, Standing, U256};
use std::collections::{BTreeMap, BTreeSet};

/// The requests that may concern a player.
pub(super) struct Cases {
    me: Address,
    /// How long an answer can be challenged, in seconds.
    window: u64,
    all: BTreeMap<U256, (Case, Marks)>,
    /// Those with a running game.
    playing: BTreeSet<U256>,
    /// Those of which events were missed.
    lacking: BTreeSet<U256>,
    /// Those with a deadline, and when it is.
    urgent: BTreeSet<(u64, U256)>,
    /// When something may be due in which: at once in those that have changed.
    agenda: BTreeSet<(u64, U256)>,
    /// The time of the last look at the agenda.
    now: u64,
    /// How many games the player may have to pay for as the asserter, and as the challenger.
    games: [u64; 2],
}

/// What has to be known of a case to find it.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    playing: bool,
    lacking: bool,
    deadline: u64,
    /// When something may be due.
    wakes: u64,
    games: [u64; 2],
}

impl Marks {
    fn of(case: &Case, me: Address, window: u64) -> Self {
        let running = case.games.iter().filter(|(_, game)| game.is_running());
        // As the asserter, one for every answer that may be challenged and those that are.
        let mine = case.answer.standing == Standing::Pending && case.answer.asserter == me;
        let defended = if mine { case.answer.openGames.to::<u64>().max(1) } else { 0 };
        Self {
            playing: running.clone().next().is_some(),
            lacking: case.misses_events(me),
            deadline: case.deadline(window),
            wakes: 0,
            games: [defended, running.filter(|(id, _)| challenger_of(*id) == me).count() as u64],
        }
    }
}

impl Cases {
    /// Requests of whose state nothing is known yet.
    pub fn new(me: Address, window: u64, ids: impl IntoIterator<Item = U256>) -> Self {
        let (all, playing, lacking, urgent, agenda) = Default::default();
        let mut new = Self { me, window, all, playing, lacking, urgent, agenda, now: 0, games: [0, 0] };
        ids.into_iter().for_each(|id| new.add(id));
        new
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The numbers of all, from this one on.
    pub fn ids(&self, first: U256) -> impl Iterator<Item = U256> {
        self.all.range(first..).map(|(id, _)| *id)
    }

    pub fn contains(&self, id: U256) -> bool {
        self.all.contains_key(&id)
    }

    pub fn get(&self, id: U256) -> Option<&Case> {
        self.all.get(&id).map(|(case, _)| case)
    }

    /// Adds a request of whose state nothing is known yet, unless it is there.
    pub fn add(&mut self, id: U256) {
        if !self.contains(id) {
            self.put(Case::unseen(id));
        }
    }

    /// Changes a case, if there is one. Something may be due in it at once.
    pub fn change(&mut self, id: U256, f: impl FnOnce(&mut Case)) {
        if let Some(mut case) = self.remove(id) {
            f(&mut case);
            self.put(case);
        }
    }

    pub fn remove(&mut self, id: U256) -> Option<Case> {
        let (case, marks) = self.all.remove(&id)?;
        self.playing.remove(&id);
        self.lacking.remove(&id);
        self.urgent.remove(&(marks.deadline, id));
        self.agenda.remove(&(marks.wakes, id));
        for (sum, games) in self.games.iter_mut().zip(marks.games) {
            *sum -= games;
        }
        Some(case)
    }

    fn put(&mut self, case: Case) {
        let (id, marks) = (case.id, Marks::of(&case, self.me, self.window));
        if marks.playing {
            self.playing.insert(id);
        }
        if marks.lacking {
            self.lacking.insert(id);
        }
        if marks.deadline < u64::MAX {
            self.urgent.insert((marks.deadline, id));
        }
        self.agenda.insert((marks.wakes, id));
        for (sum, games) in self.games.iter_mut().zip(marks.games) {
            *sum += games;
        }
        self.all.insert(id, (case, marks));
    }

    /// Has a case looked at from this time on, or at the latest when it has changed; never, for the end of time.
    pub fn wake_at(&mut self, id: U256, time: u64) {
        if let Some((_, marks)) = self.all.get_mut(&id) {
            self.agenda.remove(&(marks.wakes, id));
            marks.wakes = time;
            if time < u64::MAX {
                self.agenda.insert((time, id));
            }
        }
    }

    /// The cases in which something may be due, those with the nearest deadline first.
    pub fn due(&mut self, now: u64) -> Vec<U256> {
        if now < self.now {
            // In a reorganization. What was over may not be so any more.
            let all: Vec<U256> = self.ids(U256::ZERO).collect();
            all.into_iter().for_each(|id| self.wake_at(id, 0));
        }
        self.now = now;
        let due = self.agenda.range(..=(now, U256::MAX));
        let deadline = |id: &U256| self.all.get(id).map_or(u64::MAX, |(_, marks)| marks.deadline);
        let mut due: Vec<(u64, U256)> = due.map(|(_, id)| (deadline(id), *id)).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// Those with a running game.
    pub fn playing(&self) -> &BTreeSet<U256> {
        &self.playing
    }

    /// Those of which events were missed.
    pub fn lacking(&self) -> &BTreeSet<U256> {
        &self.lacking
    }

    /// Those with a deadline, the nearest first.
    pub fn urgent(&self) -> impl Iterator<Item = U256> {
        self.urgent.iter().map(|(_, id)| *id)
    }

    /// The games that are running.
    pub fn running_games(&self) -> impl Iterator<Item = (U256, &GameStanding)> {
        let games = self.playing.iter().filter_map(|id| self.get(*id)).flat_map(|case| &case.games);
        games.map(|(id, game)| (*id, game)).filter(|(_, game)| game.is_running())
    }

    /// How many games may have to be paid for, as the asserter and as the challenger.
    pub fn games(&self) -> [u64; 2] {
        self.games
    }
}
