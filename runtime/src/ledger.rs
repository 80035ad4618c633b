//! What an account has put into the service, got out of it and lost to it, by requests: from events alone.

use crate::events::{game, request};
use crate::history::{Played, games};
use chain::{Event, Log};
use contracts::{Address, B256, IInferenceService, Terms, U256};
use players::{challenger_of, game_id, game_of};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::AddAssign;

/// Amounts of one account, in wei.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Bonds that the service holds.
    pub bonded: U256,
    /// Fees of its requests that the service holds.
    pub offered: U256,
    /// What a call of `reclaim` pays besides its bond.
    pub due: U256,
    /// What it did not take when it was paid, whether withdrawn later or not.
    pub credited: U256,
    /// Fees of answers, and shares of others' bonds.
    pub won: U256,
    /// Its bonds that others got, or that were burned.
    pub lost: U256,
    /// Fees of its requests that were answered.
    pub paid: U256,
    /// What its transactions to the service cost.
    pub gas: U256,
}

impl Entry {
    /// What it has gained, or what it has lost.
    pub fn net(&self) -> Result<U256, U256> {
        let gone = self.lost.saturating_add(self.paid).saturating_add(self.gas);
        self.won.checked_sub(gone).ok_or_else(|| gone.saturating_sub(self.won))
    }
}

impl AddAssign<&Self> for Entry {
    fn add_assign(&mut self, other: &Self) {
        let Self { bonded, offered, due, credited, won, lost, paid, gas } = other;
        for (sum, more) in [
            (&mut self.bonded, bonded),
            (&mut self.offered, offered),
            (&mut self.due, due),
            (&mut self.credited, credited),
            (&mut self.won, won),
            (&mut self.lost, lost),
            (&mut self.paid, paid),
            (&mut self.gas, gas),
        ] {
            add(sum, *more);
        }
    }
}

/// Adds an amount. A node may report any.
pub fn add(sum: &mut U256, more: U256) {
    *sum = sum.saturating_add(more);
}

/// The amounts by requests; those that belong to none are under `None`.
pub type Entries = BTreeMap<Option<U256>, Entry>;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Open,
    Settled,
    Cancelled,
}

/// What the events say of all requests.
pub struct Ledger<'a> {
    account: Address,
    logs: &'a [Log],
    /// Requesters, fees and outcomes.
    requests: HashMap<U256, (Address, U256, Outcome)>,
    /// The asserters of all answers.
    answers: BTreeMap<(U256, u16), Address>,
    games: BTreeMap<U256, Played<'a>>,
}

impl<'a> Ledger<'a> {
    pub fn new(account: Address, logs: &'a [Log]) -> Self {
        let (mut requests, mut answers) = (HashMap::new(), BTreeMap::new());
        let end = |requests: &mut HashMap<U256, (Address, U256, Outcome)>, id, outcome| {
            if let Some(request) = requests.get_mut(&id) {
                request.2 = outcome;
            }
        };
        for log in logs {
            if let Some(Event { data, .. }) = Event::<IInferenceService::Requested>::of(log) {
                let (requester, fee) = (data.request.requester, U256::from(data.request.fee));
                requests.insert(data.id, (requester, fee, Outcome::Open));
            } else if let Some(Event { data, .. }) = Event::<IInferenceService::Answered>::of(log) {
                answers.insert((data.id, data.attempt), data.asserter);
            } else if let Some(Event { data, .. }) = Event::<IInferenceService::Settled>::of(log) {
                end(&mut requests, data.id, Outcome::Settled);
            } else if let Some(Event { data, .. }) = Event::<IInferenceService::Cancelled>::of(log) {
                end(&mut requests, data.id, Outcome::Cancelled);
            }
        }
        let games = games(logs).into_iter().map(|played| (played.id, played)).collect();
        Self { account, logs, requests, answers, games }
    }

    /// The account's challenges that nobody has won: what the service stores says whether it has their bonds back.
    pub fn undecided(&self) -> Vec<U256> {
        let mine = self.games.values().filter(|played| challenger_of(played.id) == self.account);
        mine.filter(|played| played.won.is_none()).map(|played| played.id).collect()
    }

    /// The amounts, if the bonds of these games were paid back because another game overturned the answer.
    pub fn entries(&self, terms: &Terms, reclaimed: &HashSet<U256>) -> Entries {
        let mut entries = Entries::new();
        self.of_requests(&mut entries);
        self.of_answers(terms, &mut entries);
        self.of_challenges(terms, reclaimed, &mut entries);
        for (request, amount) in self.credits() {
            add(&mut entries.entry(request).or_default().credited, amount);
        }
        entries
    }

    fn of_requests(&self, entries: &mut Entries) {
        for (id, (_, fee, outcome)) in self.requests.iter().filter(|(_, (by, ..))| *by == self.account) {
            let entry = entries.entry(Some(*id)).or_default();
            match outcome {
                Outcome::Open => add(&mut entry.offered, *fee),
                Outcome::Settled => add(&mut entry.paid, *fee),
                Outcome::Cancelled => {}
            }
        }
    }

    fn of_answers(&self, terms: &Terms, entries: &mut Entries) {
        let (bond, prize) = (U256::from(terms.asserterBond), U256::from(terms.challengerBond));
        for (&(id, attempt), _) in self.answers.iter().filter(|(_, by)| **by == self.account) {
            let entry = entries.entry(Some(id)).or_default();
            let request = self.requests.get(&id);
            let is_last = !self.answers.contains_key(&(id, attempt.saturating_add(1)));
            match request {
                _ if self.has_fallen(id, attempt) => add(&mut entry.lost, bond),
                Some((_, fee, Outcome::Settled)) if is_last => add(&mut entry.won, *fee),
                _ => add(&mut entry.bonded, bond),
            }
            let won = |played: &&Played<'_>| played.won.is_some_and(|(asserter_won, _)| asserter_won);
            self.games_about(id, attempt).filter(won).for_each(|_| add(&mut entry.won, prize));
        }
    }

    fn of_challenges(&self, terms: &Terms, reclaimed: &HashSet<U256>, entries: &mut Entries) {
        let bond = U256::from(terms.challengerBond);
        let prize = U256::from(terms.asserterBond).saturating_sub(U256::from(terms.burned));
        for played in self.games.values().filter(|played| challenger_of(played.id) == self.account) {
            let (id, attempt) = game_of(played.id);
            let entry = entries.entry(Some(id)).or_default();
            // Those who were about to win as well share half of the prize; the winner gets the rest.
            let others = self.games_about(id, attempt).filter(|played| played.won.is_none()).count();
            let share = (prize / U256::from(2)).checked_div(U256::from(others)).unwrap_or_default();
            match played.won {
                Some((true, _)) => add(&mut entry.lost, bond),
                Some((false, _)) => {
                    let shared = share.saturating_mul(U256::from(others));
                    add(&mut entry.won, prize.saturating_sub(shared));
                }
                None if reclaimed.contains(&played.id) => add(&mut entry.won, share),
                None => {
                    add(&mut entry.bonded, bond);
                    if self.has_fallen(id, attempt) {
                        add(&mut entry.due, share);
                    }
                }
            }
        }
    }

    fn games_about(&self, id: U256, attempt: u16) -> impl Iterator<Item = &Played<'a>> {
        let [first, last] = [Address::ZERO, Address::repeat_byte(0xff)].map(|by| game_id(id, attempt, by));
        self.games.range(first..=last).map(|(_, played)| played)
    }

    /// Whether a challenger has won a game against an answer.
    fn has_fallen(&self, id: U256, attempt: u16) -> bool {
        self.games_about(id, attempt).any(|played| played.won.is_some_and(|(asserter_won, _)| !asserter_won))
    }

    /// What the account did not take, with the requests: the event before it in the same transaction names it.
    fn credits(&self) -> Vec<(Option<U256>, U256)> {
        let (mut credits, mut before) = (Vec::new(), None);
        for log in self.logs {
            if let Some(id) = request(log) {
                before = Some((log.transaction_hash, id));
            } else if let Some(Event { data, .. }) = Event::<IInferenceService::Credited>::of(log)
                && data.account == self.account
            {
                let its = before.filter(|(hash, _)| *hash == log.transaction_hash);
                credits.push((its.map(|(_, id)| id), data.wei_));
            }
        }
        credits
    }

    /// What the account has withdrawn.
    pub fn withdrawn(&self) -> U256 {
        let mut sum = U256::ZERO;
        let withdrawn = self.logs.iter().filter_map(Event::<IInferenceService::Withdrawn>::of);
        withdrawn
            .filter(|event| event.data.account == self.account)
            .for_each(|event| add(&mut sum, event.data.wei_));
        sum
    }

    /// The transactions that the account may have sent, with the requests that they are about: those in which it
    /// asked, answered, moved, won, was paid or withdrew.
    pub fn transactions(&self) -> BTreeMap<B256, Option<U256>> {
        let mut found = BTreeMap::new();
        for log in self.logs {
            let id = request(log);
            let withdrew = Event::<IInferenceService::Withdrawn>::of(log)
                .is_some_and(|event| event.data.account == self.account);
            if let Some(hash) =
                log.transaction_hash.filter(|_| withdrew || id.is_some_and(|id| self.concerns(id, log)))
            {
                found.insert(hash, id);
            }
        }
        found
    }

    /// Whether the account asked, answered or played in what an event about this request tells of.
    fn concerns(&self, id: U256, log: &Log) -> bool {
        let asked = self.requests.get(&id).is_some_and(|(requester, ..)| *requester == self.account);
        let game = game(log);
        let played = game.is_some_and(|game| challenger_of(game) == self.account);
        let attempts = (id, 0)..=(id, u16::MAX);
        let answered = self.answers.range(attempts).any(|((_, attempt), asserter)| {
            *asserter == self.account && game.is_none_or(|game| game_of(game).1 == *attempt)
        });
        (asked && game.is_none()) || played || answered
    }
}
