//! What a player sees of the chain: its requests, their answers and its games, kept by IDs.
//!
//! Events say what has changed, and have the contents of requests and moves. What the service stores says
//! what is so. A look asks for the last block, for the events since the one before, and for the state of what
//! changed; in the same call, for the state of some that seem unchanged. What was missed is therefore found
//! out: a request, since their numbers are sequential; an answer or a game, since the state tells of it.
//! Then the events are read again, backwards and by other nodes if there are any, until nothing is missing.

use crate::book::{Book, Position};
use crate::duty::{Case, GameStanding, challenger_of, concerns, game_id, game_of};
use crate::model::LoadedModel;
use crate::player::PlayerError;
use chain::{Event, Head, Log, Nodes, Store, StoreError};
use contracts::{Address, B256, IDisputeGame, IInferenceService, RequestStatus, U256};
use game::Side;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How many blocks are read again if the last head isn't the parent of the new one.
const AGAIN: u64 = 32;
/// How many IDs are asked about in one call.
const MOST_IDS: usize = 100;
/// How many queries for new events a look makes at most. The next look goes on.
const MOST_QUERIES: usize = 40;
/// How many queries for missed events a look makes at most.
const MOST_SEARCHES: usize = 6;
/// How many blocks are searched one by one.
const MOST_BLOCKS: u64 = 64;
/// After so many blocks, an old head is compared with the chain.
const COMPARED_EVERY: u64 = 32;
/// How many old heads are known.
const MOST_HEADS: usize = 64;
/// How many of the last requests have their blocks known.
const MOST_RECENT: usize = 5_000;
/// A final request is forgotten when so many blocks have followed.
const BURIED: u64 = 64;
/// The block from which on events are read is written after so many blocks.
const SAVED_EVERY: u64 = 16;

/// The requests, answers and games that concern a player.
pub(crate) struct View {
    /// The contents of events.
    pub book: Book,
    store: Arc<Store>,
    service: Address,
    me: Address,
    /// How long an answer can be challenged, in seconds.
    window: u64,
    /// The block after which events can occur.
    first: u64,
    /// The first block whose events haven't been read, and what the store has of that.
    next: u64,
    saved: u64,
    /// Old heads, by number. The highest is the last.
    heads: BTreeMap<u64, B256>,
    /// The block at which old heads were last compared.
    compared: u64,
    /// The requests that may still concern the player.
    cases: BTreeMap<U256, Case>,
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

/// A search for missed events, from the last block backwards.
struct Search {
    /// The last block that hasn't been searched.
    to: u64,
}

/// The searches so far that have found nothing.
#[derive(Default)]
struct Vain {
    count: u32,
    /// No other one begins before this block.
    until: u64,
}

impl View {
    /// What a player with these models remembers of a service whose events begin after a block.
    pub(crate) fn open(
        store: Arc<Store>,
        service: Address,
        me: Address,
        window: u64,
        first: u64,
        models: HashMap<B256, Arc<LoadedModel>>,
    ) -> Result<Self, PlayerError> {
        let (book, new_models) = Book::open(Arc::clone(&store), models)?;
        // The events from before have all about a new model.
        let fresh = (first, U256::ONE);
        let (next, unknown) =
            if new_models { fresh } else { store.load::<(u64, U256)>(READ)?.unwrap_or(fresh) };
        let cases: BTreeMap<U256, Case> = book.ids().into_iter().map(|id| (id, Case::unseen(id))).collect();
        Ok(Self {
            store,
            service,
            me,
            window,
            first,
            next,
            saved: next,
            heads: BTreeMap::new(),
            compared: 0,
            over: HashMap::new(),
            unknown,
            known: cases.keys().filter(|id| **id >= unknown).copied().collect(),
            recent: BTreeMap::new(),
            others: BTreeMap::new(),
            missing: BTreeSet::new(),
            changed: cases.keys().copied().collect(),
            examined: U256::ZERO,
            search: None,
            vain: Vain::default(),
            credited: true,
            cases,
            book,
        })
    }

    /// The requests that may concern the player, those with the nearest deadline first.
    pub(crate) fn ids(&self) -> Vec<U256> {
        let mut ids: Vec<(u64, U256)> =
            self.cases.values().map(|case| (case.deadline(self.window), case.id)).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// Takes a request out, to work on it.
    pub(crate) fn take(&mut self, id: U256) -> Option<Case> {
        self.cases.remove(&id)
    }

    /// Puts a request back.
    pub(crate) fn put(&mut self, case: Case) {
        self.cases.insert(case.id, case);
    }

    /// All of them.
    pub(crate) fn cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.values()
    }

    /// Has the state of a request read at the next look, whatever the events say.
    pub(crate) fn doubt(&mut self, id: U256) {
        self.touch(id);
    }

    /// Whether there is something to find out even if there is no new block.
    pub(crate) fn is_curious(&self) -> bool {
        !self.changed.is_empty() || !self.others.is_empty() || self.lacks() > 0
    }

    /// How many events are known to be missing.
    pub(crate) fn lacks(&self) -> usize {
        self.missing.len() + self.cases.values().filter(|case| case.misses_events(self.me)).count()
    }

    /// Looks at the chain as of a head. What fails is tried again at the next look, and doesn't hold up the rest.
    /// `spare` is whether this look may ask for what seems unchanged.
    pub(crate) async fn look(&mut self, nodes: &Nodes, head: &Head, spare: bool) -> Vec<PlayerError> {
        let mut troubles = Vec::new();
        let mut note = |result: Result<(), PlayerError>| troubles.extend(result.err());
        let mut spare = spare;
        let late = if self.is_playing() { 2 * COMPARED_EVERY } else { COMPARED_EVERY };
        if head.number >= self.compared.saturating_add(late) {
            spare = false;
            note(self.compare(nodes, head).await);
        }
        // What doesn't depend on each other is asked for at the same time: a round trip may take a second.
        let (service, ids, games) = (self.service, self.due(spare), self.running_games());
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

    // ---- Events

    /// Compares an old head with the chain, to find a reorganization that is deeper than what is read again.
    async fn compare(&mut self, nodes: &Nodes, head: &Head) -> Result<(), PlayerError> {
        let old = |number: &u64| number.saturating_add(COMPARED_EVERY / 2) <= head.number;
        let numbers: Vec<u64> = self.heads.keys().copied().filter(old).collect();
        for (back, &number) in numbers.iter().rev().enumerate() {
            if nodes.block_hash(number).await? == self.heads.get(&number).copied() {
                if back > 0 {
                    tracing::warn!(
                        block = number,
                        "a deep reorganization: reading all events after this block again"
                    );
                    self.undo(number);
                }
                self.compared = head.number;
                return Ok(());
            }
        }
        if let Some(&oldest) = numbers.first() {
            tracing::warn!(
                block = oldest,
                "a reorganization deeper than all known blocks: reading all events again"
            );
            self.undo(self.first);
        }
        self.compared = head.number;
        Ok(())
    }

    /// Forgets what was read after a block.
    fn undo(&mut self, block: u64) {
        self.heads.retain(|number, _| *number <= block);
        self.next = self.next.min(block.saturating_add(1)).max(self.first);
        let undone: Vec<U256> =
            self.recent.iter().filter(|(_, at)| **at > block).map(|(id, _)| *id).collect();
        self.forget(&undone);
        // The state of all others may have changed too.
        let all: Vec<U256> = self.cases.keys().copied().collect();
        all.into_iter().for_each(|id| self.touch(id));
    }

    /// Makes requests unknown: their events seem to be gone.
    fn forget(&mut self, ids: &[U256]) {
        for id in ids {
            self.recent.remove(id);
            self.others.remove(id);
            if self.cases.contains_key(id) {
                self.touch(*id);
            } else if *id < self.unknown {
                // It can't be told from a number that was never given.
                self.missing.insert(*id);
            } else {
                self.known.remove(id);
            }
        }
    }

    /// Whether the last head is an ancestor of this one.
    async fn goes_on(&self, nodes: &Nodes, head: &Head) -> bool {
        let Some((&number, &hash)) = self.heads.last_key_value() else { return false };
        match head.number.checked_sub(number) {
            Some(0) => head.hash == hash,
            Some(1) => head.parent == hash,
            Some(_) => nodes.block_hash(number).await.is_ok_and(|found| found == Some(hash)),
            None => false,
        }
    }

    /// Notes the first new events, and reads the others.
    async fn follow(
        &mut self,
        nodes: &Nodes,
        head: &Head,
        start: u64,
        mut events: Option<(Vec<Log>, u64)>,
    ) -> Result<(), PlayerError> {
        // Without the first events, all of them are read again.
        let again = events.is_none();
        let (mut from, mut found) = (start, BTreeSet::new());
        for _ in 0..MOST_QUERIES {
            if from > head.number {
                break;
            }
            let (logs, to) = match events.take() {
                Some(events) => events,
                None => nodes.logs(self.service, from, head.number, 0).await?,
            };
            for log in &logs {
                found.extend(self.read(log));
            }
            from = to.saturating_add(1);
            self.next = self.next.max(from);
        }
        if from <= head.number {
            // The next look goes on from there.
            return Ok(());
        }
        if again {
            let gone = |(_, block): &(&U256, &u64)| (start..=head.number).contains(*block);
            let gone = self.recent.iter().filter(gone).map(|(id, _)| *id).filter(|id| !found.contains(id));
            let gone: Vec<U256> = gone.collect();
            self.forget(&gone);
            self.heads.retain(|number, _| *number < head.number);
        }
        self.heads.insert(head.number, head.hash);
        self.thin_heads(head.number);
        Ok(())
    }

    /// Keeps the last heads, and of those before one for every few dozen blocks.
    fn thin_heads(&mut self, last: u64) {
        let mut spaced: Option<u64> = None;
        self.heads.retain(|&number, _| {
            let keep = number + COMPARED_EVERY > last || spaced.is_none_or(|before| number >= before + AGAIN);
            if keep {
                spaced = Some(number);
            }
            keep
        });
        while self.heads.len() > MOST_HEADS {
            self.heads.pop_first();
        }
    }

    /// Notes what an event says. Returns the ID of a request whose event it is.
    fn read(&mut self, log: &Log) -> Option<U256> {
        let block = log.block_number?;
        if let Some(Event { data, .. }) = Event::<IInferenceService::Requested>::of(log) {
            return Some(self.requested(data, block));
        }
        if let Some(Event { data, .. }) = Event::<IDisputeGame::Moved>::of(log) {
            let (request, attempt) = game_of(data.id);
            if let Some(case) = self.cases.get(&request) {
                let against_me = case.answer.asserter == self.me && case.answer.attempt == attempt;
                if against_me || challenger_of(data.id) == self.me {
                    self.book.moved(data);
                }
            }
            self.touch(request);
        } else if let Some(Event { data, .. }) = Event::<IInferenceService::Answered>::of(log) {
            self.book.answered(data.id, block);
            if let Some(case) = self.cases.get_mut(&data.id) {
                // Until its state is read. A game against it may be in the same block.
                (case.answer.asserter, case.answer.attempt) = (data.asserter, data.attempt);
            }
            self.touch(data.id);
        } else if let Some(Event { data, .. }) = Event::<IDisputeGame::Won>::of(log) {
            self.touch(game_of(data.id).0);
        } else if let Some(Event { data, .. }) = Event::<IInferenceService::Settled>::of(log) {
            self.touch(data.id);
        } else if let Some(Event { data, .. }) = Event::<IInferenceService::CancelNotice>::of(log) {
            self.touch(data.id);
        } else if let Some(Event { data, .. }) = Event::<IInferenceService::Cancelled>::of(log) {
            self.touch(data.id);
        } else if let Some(Event { data, .. }) = Event::<IInferenceService::Credited>::of(log) {
            self.credited |= data.account == self.me;
        }
        None
    }

    /// Has the state of a request read.
    fn touch(&mut self, request: U256) {
        if let Some(case) = self.cases.get_mut(&request) {
            case.unread = true;
            self.changed.insert(request);
        }
    }

    fn requested(&mut self, event: IInferenceService::Requested, block: u64) -> U256 {
        let id = event.id;
        self.recent.insert(id, block);
        while self.recent.len() > MOST_RECENT {
            self.recent.pop_first();
        }
        if self.book.keeps(event.request.model) {
            if self.book.requested(event) {
                self.cases.entry(id).or_insert_with(|| Case::unseen(id));
                self.touch(id);
                self.know(id);
            }
        } else if id >= self.unknown && !self.known.contains(&id) || self.missing.contains(&id) {
            // It counts as known once the contract has it too.
            self.others.insert(id, contracts::request_hash(id, &event.request));
        }
        id
    }

    /// Notes that a request is known.
    fn know(&mut self, id: U256) {
        self.missing.remove(&id);
        self.others.remove(&id);
        if id >= self.unknown {
            self.known.insert(id);
        }
        while self.known.remove(&self.unknown) {
            self.unknown += U256::ONE;
        }
    }

    // ---- States

    /// The requests whose state is to be read, and in the same call some that seem not to have changed.
    fn due(&mut self, spare: bool) -> Vec<U256> {
        let mut ids: BTreeSet<U256> = self.changed.iter().copied().collect();
        ids.extend(self.others.keys());
        ids.extend(&self.missing);
        ids.extend(self.playing());
        let room = MOST_IDS.saturating_sub(ids.len());
        if (spare || !ids.is_empty()) && room > 0 {
            ids.extend(self.examine(room));
        }
        ids.into_iter().collect()
    }

    /// The requests about which the player has a running game.
    fn playing(&self) -> Vec<U256> {
        let playing = |case: &&Case| case.games.iter().any(|(_, game)| game.is_running());
        self.cases.values().filter(playing).map(|case| case.id).collect()
    }

    /// Whether there is a running game.
    pub(crate) fn is_playing(&self) -> bool {
        self.cases.values().any(|case| case.games.iter().any(|(_, game)| game.is_running()))
    }

    /// The running games.
    fn running_games(&self) -> Vec<U256> {
        let games = self.cases.values().flat_map(|case| &case.games);
        games.filter(|(_, game)| game.is_running()).map(|(id, _)| *id).collect()
    }

    /// Takes the states that were read, and reads those of what has changed since and of its games.
    async fn refresh(
        &mut self,
        nodes: &Nodes,
        head: &Head,
        states: Result<Vec<(U256, RequestStatus)>, PlayerError>,
        games: Result<HashMap<U256, B256>, PlayerError>,
    ) -> Result<(), PlayerError> {
        let mut failure = None;
        let mut cases: BTreeSet<U256> = self.playing().into_iter().collect();
        let mut states = states.unwrap_or_else(|error| note(&mut failure, error));
        let read: BTreeSet<U256> = states.iter().map(|(id, _)| *id).collect();
        let rest: Vec<U256> = self.changed.iter().filter(|id| !read.contains(*id)).copied().collect();
        let rest = statuses(nodes, self.service, &rest, head).await;
        states.extend(rest.unwrap_or_else(|error| note(&mut failure, error)));
        for (id, status) in states {
            let taken = self.take_status(id, status, head);
            cases.extend(taken.unwrap_or_else(|error| note(&mut failure, error.into())));
        }
        let games = games.unwrap_or_else(|error| note(&mut failure, error));
        if let Err(error) = self.refresh_games(nodes, head, &cases, games).await {
            self.changed.extend(cases);
            failure = Some(error);
        }
        failure.map_or(Ok(()), Err)
    }

    /// Numbers that may have been given without an event, and requests whose turn it is.
    fn examine(&mut self, room: usize) -> Vec<U256> {
        // One that was cancelled looks like one that was never made, so several numbers are tried.
        let probes = (0..6).map(|power: u32| self.unknown + U256::from((1u64 << power) - 1));
        let mut ids: Vec<U256> = probes.filter(|id| !self.known.contains(id)).collect();
        ids.extend(self.gaps().take(room / 4));
        let urgent = self.cases.values().filter(|case| case.deadline(self.window) < u64::MAX);
        ids.extend(urgent.map(|case| case.id).take(room / 2));
        let after = self.cases.range(self.examined..).map(|(&id, _)| id);
        let turn: Vec<U256> = after.take(room.saturating_sub(ids.len())).collect();
        self.examined = turn.last().map_or(U256::ZERO, |last| *last + U256::ONE);
        if turn.len() + ids.len() < room {
            self.examined = U256::ZERO;
        }
        ids.extend(turn);
        ids.truncate(room);
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Numbers below a known one of which no request is known.
    fn gaps(&self) -> impl Iterator<Item = U256> {
        let end = self.known.last().copied().unwrap_or(self.unknown);
        std::iter::successors(Some(self.unknown), |id| Some(*id + U256::ONE))
            .take_while(move |id| *id < end)
            .filter(|id| !self.known.contains(id))
    }

    /// Takes what the service stores of a request. Returns the request if the state of its games is to be read.
    fn take_status(
        &mut self,
        id: U256,
        status: RequestStatus,
        head: &Head,
    ) -> Result<Option<U256>, StoreError> {
        let RequestStatus { hash, cancellable, answer } = status;
        // What can fail comes first: nothing is noted by halves.
        let before = match self.cases.contains_key(&id) {
            true => self.store.load::<u16>(&answered(id, hash))?,
            false => None,
        };
        if let Some(expected) = self.others.get(&id).copied() {
            if hash == expected || hash == B256::ZERO {
                self.know(id);
            } else {
                self.others.remove(&id);
                self.missing.insert(id);
            }
        }
        let changed = self.changed.remove(&id);
        let Some(case) = self.cases.get_mut(&id) else {
            if hash != B256::ZERO && id >= self.unknown && !self.known.contains(&id) {
                // Those before it were made too.
                self.known.insert(id);
                let gaps: Vec<U256> = self.gaps().take(MOST_IDS).collect();
                self.known.remove(&id);
                self.missing.extend(gaps.into_iter().filter(|gap| !self.others.contains_key(gap)));
                self.missing.insert(id);
            } else if hash == B256::ZERO && self.known.last().is_some_and(|last| id < *last) {
                // It was cancelled.
                self.know(id);
            } else if hash == B256::ZERO {
                self.missing.remove(&id);
            }
            return Ok(None);
        };
        let is_new = changed || case.hash != hash || case.answer != answer || case.cancellable != cancellable;
        if !is_new {
            return Ok(None);
        }
        if hash != B256::ZERO && self.book.request(hash).is_none() {
            // After a reorganization, the number belongs to another request.
            self.missing.insert(id);
        } else {
            self.missing.remove(&id);
        }
        let asked = self.book.request(hash);
        case.request = asked.map(|asked| asked.request.clone());
        case.callback_data = asked.map_or(0, |asked| asked.callback_data);
        (case.hash, case.cancellable, case.answer) = (hash, cancellable, answer);
        // An answer that came too late doesn't count, nor one that a reorganization has undone: if the other answer
        // is overturned, the player should answer again.
        let (attempt, mine) = (case.answer.attempt, case.answer.asserter == self.me);
        if mine && before != Some(attempt) {
            self.book.note(answered(id, hash), &attempt);
        }
        case.answered = mine || before.is_some_and(|before| before < attempt);
        if case.is_settled() {
            self.over.entry(id).or_insert(head.number);
        } else {
            self.over.remove(&id);
        }
        Ok(Some(id))
    }

    /// Takes the states of the games about these requests that may concern the player, and reads those that are not
    /// among them.
    async fn refresh_games(
        &mut self,
        nodes: &Nodes,
        head: &Head,
        requests: &BTreeSet<U256>,
        mut found: HashMap<U256, B256>,
    ) -> Result<(), PlayerError> {
        let mut ids = BTreeSet::new();
        for case in requests.iter().filter_map(|id| self.cases.get(id)) {
            let own = (1..=case.answer.attempt).map(|attempt| game_id(case.id, attempt, self.me));
            ids.extend(self.book.games(case.id).into_iter().chain(own));
        }
        let rest: Vec<U256> = ids.iter().filter(|id| !found.contains_key(*id)).copied().collect();
        found.extend(stored(nodes, self.service, &rest, head).await?);
        for id in requests {
            let Some(case) = self.cases.get_mut(id) else { continue };
            let its = ids.range(*id << 176..(*id + U256::ONE) << 176);
            let (answer, me) = (&case.answer, self.me);
            let standings = its.filter_map(|game| {
                let standing = standing(&self.book, *found.get(game)?);
                concerns(me, answer, *game, &standing).then_some((*game, standing))
            });
            case.games = standings.collect();
            case.unread = self.changed.contains(id);
        }
        Ok(())
    }

    // ---- What was missed

    /// Searches a few ranges of blocks for missed events, if there are any.
    async fn search(&mut self, nodes: &Nodes, head: &Head) -> Result<(), PlayerError> {
        if self.lacks() == 0 {
            (self.search, self.vain) = (None, Vain::default());
            return Ok(());
        }
        if self.search.is_none() {
            if head.number < self.vain.until {
                return Ok(());
            }
            let (missing, searched) = (self.lacks(), self.vain.count);
            tracing::warn!(missing, searched, "events were missed: reading the last blocks again");
            self.search = Some(Search { to: head.number });
        }
        let (bottom, turn) = (self.bottom(), self.vain.count as usize);
        // A node may have lost them for its index of events, but still have them in the blocks themselves.
        let by_block = turn % 2 == 1;
        let bottom = if by_block { bottom.max(head.number.saturating_sub(MOST_BLOCKS)) } else { bottom };
        for _ in 0..MOST_SEARCHES {
            let Some(Search { to }) = self.search else { break };
            let from = if by_block { to } else { to.saturating_sub(nodes.range(turn / 2) - 1).max(bottom) };
            let (logs, reached) = match by_block {
                true => (nodes.block_logs(self.service, to).await?, to),
                false => nodes.logs(self.service, from, to, turn / 2).await?,
            };
            for log in &logs {
                self.read(log);
            }
            // If the node wanted a smaller range, the next step is one.
            if reached >= to {
                self.search = (from > bottom).then(|| Search { to: from - 1 });
            }
        }
        if self.search.is_none() {
            // Whether something was found shows at the next look.
            let count = self.vain.count.saturating_add(1);
            let pause = 2u64.pow(count.saturating_sub(4).min(8)) - 1;
            self.vain = Vain { count, until: head.number.saturating_add(pause) };
        }
        Ok(())
    }

    /// The block before which no missed event can be: requests are made in the order of their numbers.
    fn bottom(&self) -> u64 {
        let misses = |case: &&Case| case.misses_events(self.me);
        let cases = self.cases.values().filter(misses).map(|case| case.id);
        let Some(lowest) = self.missing.iter().copied().chain(cases).min() else { return self.first };
        let before = self.recent.range(..=lowest).next_back();
        before.map_or(self.first, |(_, block)| *block)
    }

    // ---- Ends

    /// The requests that are final or cancelled and have no game of the player's left, once that is buried.
    pub(crate) fn over(&self, head: &Head) -> Vec<U256> {
        let buried = self.over.iter().filter(|(_, since)| head.number >= since.saturating_add(BURIED));
        let playing = |id: &U256| {
            self.cases.get(id).is_some_and(|case| case.games.iter().any(|(_, game)| game.is_running()))
        };
        buried.map(|(id, _)| *id).filter(|id| !playing(id)).collect()
    }

    /// Forgets a request, and removes these entries of the store with it.
    pub(crate) fn close(&mut self, id: U256, gone: Vec<(String, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        self.book.close(id)?;
        self.book.save(gone)?;
        self.over.remove(&id);
        self.cases.remove(&id);
        self.changed.remove(&id);
        self.missing.remove(&id);
        Ok(())
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

fn standing(book: &Book, stored: B256) -> GameStanding {
    match U256::from_be_bytes(stored.0) {
        U256::ZERO => GameStanding::None,
        over if over < U256::from(4) => GameStanding::Over(match over.to::<u8>() {
            1 => Some(Side::Asserter),
            2 => Some(Side::Challenger),
            _ => None,
        }),
        _ => match book.position(stored) {
            Some(position) => GameStanding::Open(Box::new(Position::clone(position))),
            None => GameStanding::Unseen,
        },
    }
}

/// Notes an error and goes on with nothing.
fn note<T: Default>(failure: &mut Option<PlayerError>, error: PlayerError) -> T {
    *failure = Some(error);
    T::default()
}

/// What the service stores of requests.
async fn statuses(
    nodes: &Nodes,
    service: Address,
    ids: &[U256],
    head: &Head,
) -> Result<Vec<(U256, RequestStatus)>, PlayerError> {
    let mut found = Vec::new();
    for ids in ids.chunks(MOST_IDS) {
        let call = IInferenceService::statusOfCall { ids: ids.to_vec() };
        let statuses = nodes.call(service, &call, head.hash).await?;
        found.extend(ids.iter().copied().zip(complete(ids, statuses)?));
    }
    Ok(found)
}

/// What the service stores of games.
async fn stored(
    nodes: &Nodes,
    service: Address,
    ids: &[U256],
    head: &Head,
) -> Result<HashMap<U256, B256>, PlayerError> {
    let mut found = HashMap::new();
    for ids in ids.chunks(MOST_IDS) {
        let call = IDisputeGame::gamesOfCall { ids: ids.to_vec() };
        let stored = nodes.call(service, &call, head.hash).await?;
        found.extend(ids.iter().copied().zip(complete(ids, stored)?));
    }
    Ok(found)
}

/// The answers to a call about these IDs. A request that is left out would go unseen.
fn complete<T>(ids: &[U256], answers: Vec<T>) -> Result<Vec<T>, PlayerError> {
    let (asked, found) = (ids.len(), answers.len());
    if asked == found { Ok(answers) } else { Err(PlayerError::Incomplete { asked, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_leaves_something_out_is_an_error() {
        let ids = [U256::from(1), U256::from(2)];
        assert!(complete(&ids, vec![7, 8]).is_ok());
        for answers in [vec![], vec![7], vec![7, 8, 9]] {
            let found = answers.len();
            let error = complete(&ids, answers).expect_err("another number of answers");
            assert!(matches!(error, PlayerError::Incomplete { asked: 2, found: same } if same == found));
        }
    }
}
