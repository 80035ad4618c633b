//! What a player sees of the chain: its requests, their answers and its games, kept by IDs.
//!
//! Events say what has changed, and have the contents of requests and moves. What the service stores says
//! what is so. A look asks for the last block, for the events since the one before, and for the state of what
//! changed; in the same call, for the state of some that seem unchanged. What was missed is therefore found
//! out: a request, since their numbers are sequential; an answer or a game, since the state tells of it.
//! Then the events are read again, backwards and by other nodes if there are any, until nothing is missing.

mod cases;
mod events;
mod search;
mod states;

use crate::book::Book;
use crate::duty::{Case, GameStanding};
use crate::model::LoadedModel;
use crate::player::PlayerError;
use cases::Cases;
use chain::{Head, Nodes, Store, StoreError};
use contracts::{Address, B256, Terms, U256};
use search::{Search, Vain};
pub use states::{statuses, stored};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How many blocks are read again if the last head isn't the parent of the new one.
const AGAIN: u64 = 32;
/// After so many blocks, an old head is compared with the chain.
const COMPARED_EVERY: u64 = 32;
/// A final request is forgotten when so many blocks have followed.
const BURIED: u64 = 64;
/// The block from which on events are read is written after so many blocks.
const SAVED_EVERY: u64 = 16;
/// What seems unchanged is read after this part of a clock, or after so many seconds if that is less.
const EXAMINED: (u64, u64) = (40, 60);

/// The requests, answers and games that concern a player.
pub(crate) struct View {
    /// The contents of events.
    pub book: Book,
    store: Arc<Store>,
    service: Address,
    me: Address,
    /// The seconds between two calls that only ask about what seems unchanged, and the time of the last one.
    pause: u64,
    examined_at: u64,
    /// The block after which events can occur.
    first: u64,
    /// The first block whose events haven't been read, and what the store has of that.
    next: u64,
    saved: u64,
    /// Whether there are more new events than the last look has read.
    behind: bool,
    /// Old heads, by number. The highest is the last.
    heads: BTreeMap<u64, B256>,
    /// The block at which old heads were last compared.
    compared: u64,
    /// The requests that may still concern the player.
    cases: Cases,
    /// Since which block a request is final or cancelled.
    over: HashMap<U256, u64>,
    /// The lowest number of which no request is known.
    unknown: U256,
    /// The numbers above it whose requests are known.
    known: BTreeSet<U256>,
    /// The blocks of the last requests.
    recent: BTreeMap<U256, u64>,
    /// Requests for other models, by the hashes that the contract should have.
    others: BTreeMap<U256, B256>,
    /// Requests that exist, but whose event wasn't seen.
    missing: BTreeSet<U256>,
    /// The requests whose state is to be read.
    changed: BTreeSet<U256>,
    /// Where the next examination of seemingly unchanged requests begins.
    examined: U256,
    search: Option<Search>,
    vain: Vain,
    /// Whether the service has noted a payment that the player did not take.
    pub credited: bool,
}

impl View {
    /// What a player with these models remembers of a service whose events begin after a block.
    pub(crate) fn open(
        store: Arc<Store>,
        service: Address,
        me: Address,
        terms: &Terms,
        first: u64,
        models: HashMap<B256, Arc<LoadedModel>>,
    ) -> Result<Self, PlayerError> {
        let (book, new_models) = Book::open(Arc::clone(&store), models)?;
        // The events from before have all about a new model.
        let fresh = (first, U256::ONE);
        let (next, unknown) =
            if new_models { fresh } else { store.load::<(u64, U256)>(READ)?.unwrap_or(fresh) };
        let ids = book.ids();
        let (parts, most) = EXAMINED;
        Ok(Self {
            store,
            service,
            me,
            pause: (u64::from(terms.clock) / parts).min(most),
            examined_at: 0,
            first,
            next,
            saved: next,
            behind: false,
            heads: BTreeMap::new(),
            compared: 0,
            over: HashMap::new(),
            unknown,
            known: ids.iter().filter(|id| **id >= unknown).copied().collect(),
            recent: BTreeMap::new(),
            others: BTreeMap::new(),
            missing: BTreeSet::new(),
            changed: ids.iter().copied().collect(),
            examined: U256::ZERO,
            search: None,
            vain: Vain::default(),
            credited: true,
            cases: Cases::new(me, terms.window.into(), ids),
            book,
        })
    }

    /// The requests in which something may be due, those with the nearest deadline first.
    pub(crate) fn in_need(&mut self, now: u64) -> Vec<U256> {
        self.cases.due(now)
    }

    /// A request that may concern the player.
    pub(crate) fn case(&self, id: U256) -> Option<&Case> {
        self.cases.get(id)
    }

    /// Has a request looked at from this time on, or as soon as it has changed.
    pub(crate) fn wake_at(&mut self, id: U256, time: u64) {
        self.cases.wake_at(id, time);
    }

    /// How many requests may concern the player.
    pub(crate) fn open_cases(&self) -> usize {
        self.cases.len()
    }

    /// The running games.
    pub(crate) fn games(&self) -> impl Iterator<Item = (U256, &GameStanding)> {
        self.cases.running_games()
    }

    /// How many games may have to be paid for, as the asserter and as the challenger.
    pub(crate) fn paid_games(&self) -> [u64; 2] {
        self.cases.games()
    }

    /// Has the state of a request read at the next look, whatever the events say.
    pub(crate) fn doubt(&mut self, id: U256) {
        self.changed.insert(id);
    }

    /// Whether there is something to find out even if there is no new block.
    pub(crate) fn is_curious(&self) -> bool {
        self.behind || !self.changed.is_empty() || !self.others.is_empty() || self.lacks() > 0
    }

    /// How many events are known to be missing.
    pub(crate) fn lacks(&self) -> usize {
        self.missing.len() + self.cases.lacking().len()
    }

    /// Looks at the chain as of a head. What fails is tried again at the next look, and doesn't hold up the rest.
    /// `spare` is whether this look may ask for what seems unchanged.
    pub(crate) async fn look(&mut self, nodes: &Nodes, head: &Head, spare: bool) -> Vec<PlayerError> {
        let mut troubles = Vec::new();
        let mut note = |result: Result<(), PlayerError>| troubles.extend(result.err());
        // The last time may have been that of a block that was yet to come.
        let mut spare = spare && head.time.abs_diff(self.examined_at) >= self.pause;
        // A node may have told of a block that is yet to come.
        self.compared = self.compared.min(head.number);
        self.next = self.next.min(head.number.saturating_add(1));
        let late = if self.is_playing() { 2 * COMPARED_EVERY } else { COMPARED_EVERY };
        if head.number >= self.compared.saturating_add(late) {
            spare = false;
            note(self.compare(nodes, head).await);
        }
        // What doesn't depend on each other is asked for at the same time: a round trip may take a second.
        let (service, ids, games) = (self.service, self.due(spare, head), self.running_games());
        let next = self.next.clamp(self.first.min(head.number), head.number);
        let is_read = self.heads.get(&head.number) == Some(&head.hash) && self.next > head.number;
        let events = async {
            match is_read {
                true => Ok(None),
                false => nodes.logs(service, next, head.number, 0).await.map(Some),
            }
        };
        let states = statuses(nodes, service, &ids, head);
        let games = stored(nodes, service, &games, head);
        let (events, states, games, goes_on) = tokio::join!(events, states, games, self.goes_on(nodes, head));
        note(match events {
            Ok(None) => Ok(()),
            Ok(events) if goes_on => self.follow(nodes, head, next, events).await,
            // The last blocks may be others.
            Ok(_) => {
                let again = next.saturating_sub(AGAIN).max(self.first.min(head.number));
                self.follow(nodes, head, again, None).await
            }
            Err(error) => Err(error.into()),
        });
        note(self.refresh(nodes, head, states, games).await);
        note(self.search(nodes, head).await);
        note(self.save());
        metrics::gauge!("opml_missing_events").set(self.lacks() as f64);
        metrics::gauge!("opml_open_requests").set(self.cases.len() as f64);
        troubles
    }

    /// The requests that are final or cancelled and have no game of the player's left, once that is buried.
    pub(crate) fn over(&self, head: &Head) -> Vec<U256> {
        let buried = self.over.iter().filter(|(_, since)| head.number >= since.saturating_add(BURIED));
        buried.map(|(id, _)| *id).filter(|id| !self.cases.playing().contains(id)).collect()
    }

    /// Forgets a request, and removes these entries of the store with it. Returns the hashes that it has had.
    pub(crate) fn close(
        &mut self,
        id: U256,
        gone: Vec<(String, Option<Vec<u8>>)>,
    ) -> Result<Vec<B256>, StoreError> {
        let hashes = self.book.close(id)?;
        self.book.save(gone)?;
        self.over.remove(&id);
        self.cases.remove(id);
        self.changed.remove(&id);
        self.missing.remove(&id);
        Ok(hashes)
    }

    /// How many entries of each kind are kept in memory.
    pub(crate) fn kept(&self) -> [(&'static str, usize); 10] {
        let [requests, positions, games] = self.book.kept();
        [
            ("requests", requests),
            ("positions", positions),
            ("games", games),
            ("cases", self.cases.len()),
            ("over", self.over.len()),
            ("known", self.known.len()),
            ("others", self.others.len()),
            ("missing", self.missing.len()),
            ("changed", self.changed.len()),
            ("heads", self.heads.len()),
        ]
    }

    /// Writes what is new, and from time to time how far the events were read.
    fn save(&mut self) -> Result<(), PlayerError> {
        let mut more = Vec::new();
        let next = self.next;
        // Those that are known but not yet in order are found again.
        if next >= self.saved.saturating_add(SAVED_EVERY) || next < self.saved {
            let entry = serde_json::to_vec(&(next, self.unknown)).unwrap_or_default();
            more.push((READ.to_owned(), Some(entry)));
        }
        let wrote = !more.is_empty();
        self.book.save(more)?;
        if wrote {
            self.saved = next;
        }
        Ok(())
    }
}

/// The name under which the store has the first block whose events haven't been read, and the lowest number of
/// which no request is known.
const READ: &str = "read";

/// The name under which the store notes that a request was answered.
pub(crate) fn answered(id: U256, request: B256) -> String {
    format!("answered/{id:020}/{request}")
}
