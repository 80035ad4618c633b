//! What the events of the chain contain, stored on disk. Everything is found by the hash that the contract
//! stores of it, IDs included, so it stays right in a reorganization of the chain: the contract's storage says
//! which hashes are current.

use crate::inputs::roots;
use crate::model::LoadedModel;
use chain::{Event, NodeError, RpcNode, Store, StoreError};
use contracts::{
    Address, B256, Bytes, Game, IDisputeGame, IInferenceService, Input, Request, SolValue, U256,
};
use game::regions::commitment;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use thiserror::Error;

/// How many blocks each poll reads again, to find events moved by a reorganization.
const AGAIN: u64 = 32;
/// How many blocks one query covers.
const CHUNK: u64 = 2_000;

/// A request with its inputs.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The request.
    pub request: Request,
    /// The inputs as they were given.
    pub inputs: Vec<Input>,
    /// The data that the callback receives with the output.
    pub callback_data: Bytes,
}

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

/// The contents of all events.
pub struct Book {
    store: Arc<Store>,
    service: Address,
    /// The models whose requests are checked, by their IDs.
    models: HashMap<B256, Arc<LoadedModel>>,
    /// The first block that hasn't been read.
    next: u64,
    /// The block after which events can occur.
    first: u64,
    requests: HashMap<B256, Asked>,
    positions: HashMap<B256, Position>,
    /// The requests that may still concern a player, the games about each, and the number of states of each
    /// game.
    open: BTreeMap<U256, BTreeMap<U256, u64>>,
}

/// Why events can't be read.
#[derive(Debug, Error)]
pub enum BookError {
    /// The node failed.
    #[error(transparent)]
    RpcNode(#[from] NodeError),
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
    /// The book of a service whose events begin after a block, for a player with these models.
    pub fn open(
        store: Arc<Store>,
        service: Address,
        block: u64,
        models: HashMap<B256, Arc<LoadedModel>>,
    ) -> Result<Self, BookError> {
        let next = store.load("next block")?.unwrap_or(block);
        let (requests, positions, open) = Default::default();
        let mut new = Self { store, service, models, next, first: block, requests, positions, open };
        let mut lacking = Vec::new();
        for (name, bytes) in new.store.scan::<Bytes>("request/")? {
            let Ok(entry) = RequestEntry::abi_decode_params(&bytes) else {
                return Err(BookError::Entry(name));
            };
            match new.is_whole(&entry) {
                true => new.learn_request(entry),
                false => lacking.push((name, None)),
            }
        }
        if !lacking.is_empty() {
            // The model is new to the player. The events have all of it.
            new.next = block;
            new.store.save("next block", &new.next)?;
            new.store.write(&lacking)?;
        }
        for (name, bytes) in new.store.scan::<Bytes>("position/")? {
            let entry = PositionEntry::abi_decode_params(&bytes).map_err(|_| BookError::Entry(name))?;
            new.learn_position(entry);
        }
        Ok(new)
    }

    /// Makes the next poll go back further. A node may have answered for the last blocks before it had their
    /// events.
    pub fn read_again(&mut self) {
        self.next = self.next.saturating_sub(CHUNK).max(self.first);
    }

    /// Reads the events up to a block.
    pub async fn follow(&mut self, node: &RpcNode, head: u64) -> Result<(), BookError> {
        let mut from = self.next.saturating_sub(AGAIN).min(head);
        while from <= head {
            let to = head.min(from.saturating_add(CHUNK - 1));
            for log in node.logs(self.service, from, to).await? {
                if let Some(Event { data, .. }) = Event::<IInferenceService::Requested>::of(&log) {
                    self.requested(data)?;
                } else if let Some(Event { data, .. }) = Event::<IDisputeGame::Moved>::of(&log) {
                    self.moved(data)?;
                } else if let Some(Event { data, block }) = Event::<IInferenceService::Answered>::of(&log) {
                    self.answered(data.id, block)?;
                }
            }
            from = to.saturating_add(1);
            // Saved after every chunk. If a node fails during a long history, the next poll continues here.
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
        let IInferenceService::Requested { id, request, inputs, callbackData, .. } = event;
        let hash = contracts::request_hash(id, &request);
        let mut entry: RequestEntry = (id, request, inputs, callbackData);
        // Wrong bytes would be a lie of the node. They must not keep out the true ones.
        if self.is_whole(&entry) && !self.requests.contains_key(&hash) {
            if !self.models.contains_key(&entry.1.model) {
                // Nothing is done about other models, and the bytes could be many.
                (entry.2, entry.3) = Default::default();
            }
            self.store.save(&format!("request/{id:020}/{hash}"), &Bytes::from(entry.abi_encode_params()))?;
            self.learn_request(entry);
        }
        Ok(())
    }

    /// Whether the inputs and the callback data are those of the request. Those of other models are not looked at.
    fn is_whole(&self, (_, request, inputs, callback_data): &RequestEntry) -> bool {
        self.models.get(&request.model).is_none_or(|model| {
            let roots = roots(model.inputs(), inputs);
            keccak(callback_data) == request.callbackData
                && roots.is_some_and(|roots| contracts::word(commitment(&roots)) == request.inputs)
        })
    }

    fn moved(&mut self, event: IDisputeGame::Moved) -> Result<(), BookError> {
        let IDisputeGame::Moved { id, game, start, claims } = event;
        let position = Position { game, start, claims };
        // If the node lies about any of it, the hash is one that the contract doesn't have.
        let hash = position.hash(id);
        if !self.positions.contains_key(&hash) {
            let Position { game, start, claims } = position;
            let entry: PositionEntry = (id, game, start, claims);
            self.store
                .save(&format!("position/{id:064x}/{hash}"), &Bytes::from(entry.abi_encode_params()))?;
            self.learn_position(entry);
        }
        Ok(())
    }

    fn learn_request(&mut self, (id, request, inputs, callback_data): RequestEntry) {
        let hash = contracts::request_hash(id, &request);
        self.requests.insert(hash, Asked { request, inputs, callback_data });
        self.open.entry(id).or_default();
    }

    fn learn_position(&mut self, (id, game, start, claims): PositionEntry) {
        let position = Position { game, start, claims };
        self.positions.insert(position.hash(id), position);
        *self.open.entry(crate::game_of(id).0).or_default().entry(id).or_default() += 1;
    }

    /// Notes where an answer is. Each poll reads the last blocks again, and writing is slow, so only changes are
    /// written.
    fn answered(&self, request: U256, block: u64) -> Result<(), StoreError> {
        let known = self.answered_in(request)? == Some(block);
        if known { Ok(()) } else { self.store.save(&answered_in(request), &block) }
    }

    /// The block with the last answer to a request, which has its outputs.
    pub fn answered_in(&self, request: U256) -> Result<Option<u64>, StoreError> {
        self.store.load(&answered_in(request))
    }

    /// The requests that may still concern a player.
    #[must_use]
    pub fn open_requests(&self) -> Vec<U256> {
        self.open.keys().copied().collect()
    }

    /// The games about a request.
    #[must_use]
    pub fn games(&self, request: U256) -> Vec<U256> {
        self.open.get(&request).map(|games| games.keys().copied().collect()).unwrap_or_default()
    }

    /// The number of moves seen in a game, including the challenge.
    #[must_use]
    pub fn rounds(&self, game: U256) -> u64 {
        self.open.get(&crate::game_of(game).0).and_then(|games| games.get(&game)).copied().unwrap_or(0)
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

    /// Forgets a request that no longer concerns any player.
    pub fn close(&mut self, id: U256) -> Result<(), BookError> {
        self.open.remove(&id);
        let mut gone = Vec::new();
        // Names end with hashes.
        let hash = |name: &str| {
            name.rsplit('/').next().and_then(|hash| hash.parse::<B256>().ok()).unwrap_or_default()
        };
        for (name, _) in self.store.scan::<serde_json::Value>(&format!("request/{id:020}/"))? {
            self.requests.remove(&hash(&name));
            gone.push((name, None));
        }
        for (name, _) in self.store.scan::<serde_json::Value>("position/")? {
            let game = name.split('/').nth(1).and_then(|game| U256::from_str_radix(game, 16).ok());
            if game.is_some_and(|game| crate::game_of(game).0 == id) {
                self.positions.remove(&hash(&name));
                gone.push((name, None));
            }
        }
        Ok(self.store.write(&gone)?)
    }
}

/// The name under which the store has the block of the last answer to a request.
fn answered_in(request: U256) -> String {
    format!("answered in/{request:020}")
}

fn keccak(bytes: &[u8]) -> B256 {
    B256::new(step::keccak(bytes).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use compiler::Options;
    use contracts::Source;
    use std::path::Path;

    const SERVICE: Address = Address::repeat_byte(9);

    fn model() -> Arc<LoadedModel> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mnist-mlp/model.onnx");
        let image = compiler::compile(&path, &Options::default()).expect("an image").image;
        Arc::new(LoadedModel::new(image, None).expect("a model"))
    }

    fn book(store: &Arc<Store>, models: &[Arc<LoadedModel>]) -> Book {
        let models = models.iter().map(|model| (model.id(), Arc::clone(model))).collect();
        Book::open(Arc::clone(store), SERVICE, 0, models).expect("a book")
    }

    /// The event of a request about these bytes.
    fn event(model: &LoadedModel, bytes: Vec<u8>) -> IInferenceService::Requested {
        let bytes = Bytes::from(bytes);
        let inputs = crate::model::inputs_commitment(model.inputs(), std::slice::from_ref(&bytes));
        let request = Request {
            model: model.id(),
            inputs: inputs.expect("bytes that fit"),
            callbackData: keccak(b"more"),
            ..Request::default()
        };
        IInferenceService::Requested {
            id: U256::from(3),
            model: model.id(),
            request,
            inputs: vec![Input { source: Source::Bytes, data: bytes }],
            callbackData: Bytes::from_static(b"more"),
        }
    }

    #[test]
    fn a_node_that_lies_about_bytes_does_not_keep_out_the_true_ones() {
        let model = model();
        let mut book = book(&Arc::new(Store::in_memory().expect("a store")), &[Arc::clone(&model)]);
        let event = event(&model, vec![7; model.inputs()[0].bytes as usize]);
        let hash = contracts::request_hash(event.id, &event.request);
        let other = Bytes::from_static(b"other");
        let lies = [
            vec![],
            vec![Input { source: Source::Bytes, data: other.clone() }],
            vec![Input { source: Source::Root, data: other.clone() }],
            vec![Input { source: Source::Result, data: other.clone() }],
            vec![Input { source: Source::Root, data: Bytes::from(vec![1; 32]) }],
            [event.inputs.clone(), event.inputs.clone()].concat(),
        ];
        for inputs in lies {
            book.requested(IInferenceService::Requested { inputs, ..event.clone() }).expect("an event");
            assert!(book.request(hash).is_none());
        }
        let lie = IInferenceService::Requested { callbackData: other, ..event.clone() };
        book.requested(lie).expect("an event");
        assert!(book.request(hash).is_none());
        book.requested(event.clone()).expect("an event");
        assert_eq!(book.request(hash).map(|asked| &asked.inputs), Some(&event.inputs));
    }

    #[test]
    fn of_other_models_no_bytes_are_kept_and_events_are_read_again_once_they_are_known() {
        let (store, model) = (Arc::new(Store::in_memory().expect("a store")), model());
        let event = event(&model, vec![7; model.inputs()[0].bytes as usize]);
        let hash = contracts::request_hash(event.id, &event.request);
        let mut before = book(&store, &[]);
        before.requested(event.clone()).expect("an event");
        before.store.save("next block", &77u64).expect("a write");
        assert_eq!(before.open_requests(), [event.id]);
        let asked = before.request(hash).expect("a request");
        assert!(asked.inputs.is_empty() && asked.callback_data.is_empty());
        assert_eq!(book(&store, &[]).next, 77);
        let mut after = book(&store, &[Arc::clone(&model)]);
        assert_eq!((after.next, after.request(hash).is_none()), (0, true));
        after.requested(event.clone()).expect("an event");
        after.store.save("next block", &78u64).expect("a write");
        let again = book(&store, &[model]);
        assert_eq!(
            (again.next, again.request(hash).map(|asked| asked.inputs.clone())),
            (78, Some(event.inputs))
        );
    }

    #[test]
    fn closed_requests_are_forgotten_on_disk_and_in_memory() {
        let (store, model) = (Arc::new(Store::in_memory().expect("a store")), model());
        let mut book = book(&store, &[]);
        let event = event(&model, vec![1; 40]);
        let hash = contracts::request_hash(event.id, &event.request);
        book.requested(event).expect("an event");
        let again = || Book::open(Arc::clone(&store), SERVICE, 0, HashMap::new()).expect("a book");
        assert_eq!(again().open_requests(), [U256::from(3)]);
        book.close(U256::from(3)).expect("a write");
        assert!(book.open_requests().is_empty() && book.request(hash).is_none());
        assert!(again().request(hash).is_none());
    }
}
