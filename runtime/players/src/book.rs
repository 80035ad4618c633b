//! What events have said, kept on disk. Everything is found by what it hashes to, so it stays right whatever a
//! reorganisation of the chain does: the contract's storage says which of it holds.

use chain::{Event, Node, NodeError, Store, StoreError};
use contracts::{Address, B256, Bytes, Game, IDisputeGame, IInferenceService, Request, SolValue, U256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use thiserror::Error;

/// How many blocks are looked at again at each look, so that events that a reorganisation has moved are found.
const AGAIN: u64 = 32;
/// How many blocks are asked for at once.
const CHUNK: u64 = 2_000;

/// What is known of a request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The request.
    pub request: Request,
    /// The input; empty if it was given by its root.
    pub input: Bytes,
    /// What the callback is handed beside the output.
    pub callback_data: Bytes,
}

/// What is known of the state of a game.
#[derive(Debug, Clone)]
pub struct Position {
    /// The state.
    pub game: Game,
    /// The claims of the side that moved last.
    pub claims: Vec<B256>,
}

/// Everything that events have said.
#[derive(Debug)]
pub struct Book {
    store: Arc<Store>,
    service: Address,
    /// The first block that hasn't been looked at.
    next: u64,
    requests: HashMap<B256, Asked>,
    positions: HashMap<B256, Position>,
    /// All requests that may still concern somebody, and the games about each.
    open: BTreeMap<U256, BTreeSet<U256>>,
}

/// Why events aren't known.
#[derive(Debug, Error)]
pub enum BookError {
    /// The node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry that can't be read.
    #[error("the entry '{0}' of the database can't be read")]
    Entry(String),
}

type RequestEntry = (U256, Request, Bytes, Bytes);
type PositionEntry = (U256, Game, Vec<B256>);

impl Book {
    /// The book of a service whose events begin after a block.
    pub fn open(store: Arc<Store>, service: Address, block: u64) -> Result<Self, BookError> {
        let next = store.load("next block")?.unwrap_or(block);
        let (requests, positions, open) = Default::default();
        let mut new = Self { store, service, next, requests, positions, open };
        for (name, bytes) in new.store.scan::<Bytes>("request/")? {
            let entry = RequestEntry::abi_decode_params(&bytes).map_err(|_| BookError::Entry(name))?;
            new.learn_request(entry);
        }
        for (name, bytes) in new.store.scan::<Bytes>("position/")? {
            let entry = PositionEntry::abi_decode_params(&bytes).map_err(|_| BookError::Entry(name))?;
            new.learn_position(entry);
        }
        Ok(new)
    }

    /// Reads the events up to a block.
    pub async fn follow(&mut self, node: &Node, head: u64) -> Result<(), BookError> {
        let mut from = self.next.saturating_sub(AGAIN).min(head);
        while from <= head {
            let to = head.min(from.saturating_add(CHUNK - 1));
            for log in node.logs(self.service, from, to).await? {
                if let Some(Event { data, .. }) = Event::<IInferenceService::Requested>::of(&log) {
                    self.requested(data)?;
                } else if let Some(Event { data, .. }) = Event::<IDisputeGame::Moved>::of(&log) {
                    self.moved(data)?;
                }
            }
            from = to.saturating_add(1);
            // After every chunk: a long history is not read from its beginning again because a node fails in the middle.
            if self.next != from {
                self.next = from;
                self.store.save("next block", &self.next)?;
            }
            if to == u64::MAX {
                break;
            }
        }
        Ok(())
    }

    fn requested(&mut self, event: IInferenceService::Requested) -> Result<(), BookError> {
        let IInferenceService::Requested { id, request, input, callbackData, .. } = event;
        let hash = hash(&request);
        if !self.requests.contains_key(&hash) {
            let entry: RequestEntry = (id, request, input, callbackData);
            self.store.save(&format!("request/{id:020}/{hash}"), &Bytes::from(entry.abi_encode_params()))?;
            self.learn_request(entry);
        }
        Ok(())
    }

    fn moved(&mut self, event: IDisputeGame::Moved) -> Result<(), BookError> {
        let IDisputeGame::Moved { id, game, claims } = event;
        let hash = hash(&game);
        // Claims that aren't those of the state would be a lie of the node.
        let roots: Vec<step::Root> = claims.iter().map(|claim| step::Root(claim.0)).collect();
        let its = contracts::word(game::commit(&roots).root()) == game.claims;
        if its && !self.positions.contains_key(&hash) {
            let entry: PositionEntry = (id, game, claims);
            self.store.save(&format!("position/{id:064x}/{hash}"), &Bytes::from(entry.abi_encode_params()))?;
            self.learn_position(entry);
        }
        Ok(())
    }

    fn learn_request(&mut self, (id, request, input, callback_data): RequestEntry) {
        self.requests.insert(hash(&request), Asked { request, input, callback_data });
        self.open.entry(id).or_default();
    }

    fn learn_position(&mut self, (id, game, claims): PositionEntry) {
        self.positions.insert(hash(&game), Position { game, claims });
        self.open.entry(crate::game_of(id).0).or_default().insert(id);
    }

    /// The requests that may still concern somebody.
    #[must_use]
    pub fn open_requests(&self) -> Vec<U256> {
        self.open.keys().copied().collect()
    }

    /// The games about a request.
    #[must_use]
    pub fn games(&self, request: U256) -> Vec<U256> {
        self.open.get(&request).map(|games| games.iter().copied().collect()).unwrap_or_default()
    }

    /// The request with a hash.
    #[must_use]
    pub fn request(&self, hash: B256) -> Option<&Asked> {
        self.requests.get(&hash)
    }

    /// The state of a game with a hash.
    #[must_use]
    pub fn position(&self, hash: B256) -> Option<&Position> {
        self.positions.get(&hash)
    }

    /// Forgets a request that concerns nobody any more.
    pub fn close(&mut self, id: U256) -> Result<(), BookError> {
        self.open.remove(&id);
        let mut gone = Vec::new();
        for (name, _) in self.store.scan::<serde_json::Value>(&format!("request/{id:020}/"))? {
            gone.push((name, None));
        }
        for (name, _) in self.store.scan::<serde_json::Value>("position/")? {
            let game = name.split('/').nth(1).and_then(|game| U256::from_str_radix(game, 16).ok());
            if game.is_some_and(|game| crate::game_of(game).0 == id) {
                gone.push((name, None));
            }
        }
        Ok(self.store.write(&gone)?)
    }
}

/// The hash under which a contract keeps a value.
pub(crate) fn hash(value: &impl SolValue) -> B256 {
    B256::new(step::keccak(&value.abi_encode()).0)
}
