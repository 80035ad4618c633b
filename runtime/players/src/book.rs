//! The contents of events that a player needs, stored on disk: requests for its models, and the states of games
//! that concern it. Everything is found by the hash that the contract stores of it, IDs included, so it stays
//! right in a reorganization of the chain: the contract's storage says which hashes are current.

use crate::duty::game_of;
use crate::inputs::roots;
use crate::model::LoadedModel;
use chain::{Store, StoreError};
use contracts::{B256, Bytes, Game, IDisputeGame, IInferenceService, Input, Request, SolValue, U256};
use game::regions::commitment;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use thiserror::Error;

/// A request. Its inputs and its callback's data may be large, and stay in the store ([`Book::given`]).
#[derive(Debug, Clone)]
pub struct Asked {
    /// The request.
    pub request: Request,
    /// How many bytes the callback receives with the outputs.
    pub callback_data: usize,
}

/// What a request gives: the inputs as they were given, and the data for the callback.
pub type Given = (Vec<Input>, Bytes);

/// A state of a game with its claims.
#[derive(Debug, Clone)]
pub struct Position {
    /// The state, as the next move must pass it in.
    pub game: Game,
    /// The root on which both sides agree.
    pub start: B256,
    /// The claims of the side that moved last.
    pub claims: Vec<B256>,
}

impl Position {
    /// The state's packed word, unpacked.
    #[must_use]
    pub fn place(&self) -> contracts::Position {
        contracts::Position::unpack(self.game.position)
    }

    /// The root of the claims.
    #[must_use]
    pub fn claims_root(&self) -> B256 {
        contracts::claims_root(self.start, &self.claims)
    }

    /// The hash that the contract stores.
    #[must_use]
    pub fn hash(&self, id: U256) -> B256 {
        contracts::state_hash(id, &self.game, self.claims_root())
    }
}

/// The contents of all events that matter.
pub struct Book {
    store: Arc<Store>,
    /// The models whose requests are kept, by their IDs.
    models: HashMap<B256, Arc<LoadedModel>>,
    requests: HashMap<B256, Asked>,
    positions: HashMap<B256, Position>,
    /// For each request, the games about it and the number of states of each.
    games: BTreeMap<U256, BTreeMap<U256, u64>>,
    /// What is to be written.
    unwritten: Vec<(String, Option<Vec<u8>>)>,
}

/// Why the book can't be read or written.
#[derive(Debug, Error)]
pub enum BookError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored entry can't be decoded.
    #[error("cannot read the entry '{0}' of the state file")]
    Entry(String),
}

type RequestEntry = (U256, Request, Vec<Input>, Bytes);
type PositionEntry = (U256, Game, B256, Vec<B256>);

impl Book {
    /// The book of a player with these models. Also says whether a model is new to it: then the events before are
    /// to be read again, since they were not kept.
    pub fn open(
        store: Arc<Store>,
        models: HashMap<B256, Arc<LoadedModel>>,
    ) -> Result<(Self, bool), BookError> {
        let (requests, positions, games, unwritten) = Default::default();
        let mut new = Self { store, models, requests, positions, games, unwritten };
        for (name, bytes) in new.store.scan::<Bytes>("request/")? {
            let Ok(entry) = RequestEntry::abi_decode_params(&bytes) else {
                return Err(BookError::Entry(name));
            };
            match new.keeps(entry.1.model) {
                true => new.learn_request(&entry),
                false => new.unwritten.push((name, None)),
            }
        }
        for (name, bytes) in new.store.scan::<Bytes>("position/")? {
            let entry = PositionEntry::abi_decode_params(&bytes).map_err(|_| BookError::Entry(name))?;
            new.learn_position(entry);
        }
        let known = new.store.load::<Vec<B256>>(MODELS)?.unwrap_or_default();
        let mut models: Vec<B256> = new.models.keys().copied().collect();
        models.sort();
        let is_new = models.iter().any(|id| !known.contains(id));
        if models != known {
            new.note(MODELS.to_owned(), &models);
        }
        Ok((new, is_new))
    }

    /// Whether requests for a model are kept.
    #[must_use]
    pub fn keeps(&self, model: B256) -> bool {
        self.models.contains_key(&model)
    }

    /// Keeps a request for one of the models, if its bytes are those that it commits to: wrong ones would be a lie of
    /// the node, and must not keep out the true ones. Says whether it is whole.
    pub fn requested(&mut self, event: IInferenceService::Requested) -> bool {
        let IInferenceService::Requested { id, request, inputs, callbackData, .. } = event;
        let hash = contracts::request_hash(id, &request);
        if self.requests.contains_key(&hash) {
            return true;
        }
        let entry: RequestEntry = (id, request, inputs, callbackData);
        let whole = self.is_whole(&entry);
        if whole {
            self.learn_request(&entry);
            self.note(entry_of_request(id, hash), &Bytes::from(entry.abi_encode_params()));
        }
        whole
    }

    /// Whether the inputs and the callback data are those of the request.
    fn is_whole(&self, (_, request, inputs, callback_data): &RequestEntry) -> bool {
        self.models.get(&request.model).is_some_and(|model| {
            let roots = roots(model.inputs(), inputs);
            keccak(callback_data) == request.callbackData
                && roots.is_some_and(|roots| contracts::word(commitment(&roots)) == request.inputs)
        })
    }

    /// Keeps a state of a game.
    pub fn moved(&mut self, event: IDisputeGame::Moved) {
        let IDisputeGame::Moved { id, game, start, claims } = event;
        // If the node lies about any of it, the hash is one that the contract doesn't have.
        let position = Position { game, start, claims };
        let hash = position.hash(id);
        if !self.positions.contains_key(&hash) {
            let Position { game, start, claims } = position;
            let entry: PositionEntry = (id, game, start, claims);
            self.note(format!("position/{id:064x}/{hash}"), &Bytes::from(entry.abi_encode_params()));
            self.learn_position(entry);
        }
    }

    fn learn_request(&mut self, (id, request, _, callback_data): &RequestEntry) {
        let hash = contracts::request_hash(*id, request);
        let asked = Asked { request: request.clone(), callback_data: callback_data.len() };
        self.requests.insert(hash, asked);
        self.games.entry(*id).or_default();
    }

    fn learn_position(&mut self, (id, game, start, claims): PositionEntry) {
        let position = Position { game, start, claims };
        self.positions.insert(position.hash(id), position);
        *self.games.entry(game_of(id).0).or_default().entry(id).or_default() += 1;
    }

    /// Notes where an answer is, for requests that take it as an input. Of very many, the oldest are forgotten.
    pub fn answered(&mut self, request: U256, block: u64) {
        const MOST: u64 = 50_000;
        self.note(answered_in(request), &block);
        if let Some(old) = request.checked_sub(U256::from(MOST)) {
            self.unwritten.push((answered_in(old), None));
        }
    }

    /// Has something written with what is new.
    pub fn note<T: serde::Serialize>(&mut self, name: String, value: &T) {
        // Bytes and numbers can always be written as JSON.
        let bytes = serde_json::to_vec(value).unwrap_or_default();
        self.unwritten.push((name, Some(bytes)));
    }

    /// Writes what is new, with these entries, at once.
    pub fn save(&mut self, more: Vec<(String, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        self.unwritten.extend(more);
        if !self.unwritten.is_empty() {
            self.store.write(&self.unwritten)?;
            self.unwritten.clear();
        }
        Ok(())
    }

    /// The block with the last answer to a request, which has its outputs.
    pub fn answered_in(&self, request: U256) -> Result<Option<u64>, StoreError> {
        self.store.load(&answered_in(request))
    }

    /// The requests that are kept, by their IDs and hashes.
    #[must_use]
    pub fn ids(&self) -> Vec<U256> {
        self.games.keys().copied().collect()
    }

    /// The games about a request.
    #[must_use]
    pub fn games(&self, request: U256) -> Vec<U256> {
        self.games.get(&request).map(|games| games.keys().copied().collect()).unwrap_or_default()
    }

    /// The number of moves seen in a game, including the challenge.
    #[must_use]
    pub fn rounds(&self, game: U256) -> u64 {
        self.games.get(&game_of(game).0).and_then(|games| games.get(&game)).copied().unwrap_or(0)
    }

    /// The request with a hash.
    #[must_use]
    pub fn request(&self, hash: B256) -> Option<&Asked> {
        self.requests.get(&hash)
    }

    /// What the request with a hash gives.
    pub fn given(&self, id: U256, hash: B256) -> Result<Option<Given>, BookError> {
        let name = entry_of_request(id, hash);
        let Some(bytes) = self.store.load::<Bytes>(&name)? else { return Ok(None) };
        let (_, _, inputs, callback_data) =
            RequestEntry::abi_decode_params(&bytes).map_err(|_| BookError::Entry(name))?;
        Ok(Some((inputs, callback_data)))
    }

    /// The state of a game with a hash.
    #[must_use]
    pub fn position(&self, hash: B256) -> Option<&Position> {
        self.positions.get(&hash)
    }

    /// How many requests, states of games, and requests that have games are kept.
    #[must_use]
    pub fn kept(&self) -> [usize; 3] {
        [self.requests.len(), self.positions.len(), self.games.len()]
    }

    /// Forgets a request that no longer concerns any player, and its games. Returns the hashes that it has had.
    pub fn close(&mut self, id: U256) -> Result<Vec<B256>, StoreError> {
        let games = self.games.get(&id).cloned().unwrap_or_default();
        let requests = format!("request/{id:020}/");
        let positions = games.keys().map(|game| format!("position/{game:064x}/"));
        // What can fail comes first: nothing is forgotten by halves.
        let mut names = Vec::new();
        for prefix in [requests.clone()].into_iter().chain(positions) {
            names.extend(self.store.names(&prefix)?);
        }
        self.games.remove(&id);
        let mut hashes = Vec::new();
        for name in names {
            // Names end with hashes.
            if let Some(hash) = name.rsplit('/').next().and_then(|hash| hash.parse::<B256>().ok()) {
                self.requests.remove(&hash);
                self.positions.remove(&hash);
                hashes.extend(name.starts_with(&requests).then_some(hash));
            }
            self.unwritten.push((name, None));
        }
        Ok(hashes)
    }
}

/// The name under which the store has the IDs of all models whose requests it keeps.
const MODELS: &str = "models";

fn entry_of_request(id: U256, hash: B256) -> String {
    format!("request/{id:020}/{hash}")
}

/// The name under which the store has the block of the last answer to a request.
fn answered_in(request: U256) -> String {
    format!("answered in/{request:020}")
}

fn keccak(bytes: &[u8]) -> B256 {
    B256::new(step::keccak(bytes).0)
}
