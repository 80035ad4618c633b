//! What is computed about a model on its inputs, what it comes to, and both as bytes for other machines.

use crate::model::{Computed, LoadedModel, region_root};
use contracts::cost::Kind;
use contracts::{B256, Bytes, Game, IDisputeGame, SolInterface as _, U256, VOID};
use game::regions::commitment;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use step::Root;

/// Something to compute about a model on its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// The result.
    Result,
    /// The first move of a challenger, in games that cut segments into so many parts.
    Opening {
        /// How many parts.
        arity: u64,
    },
    /// The next move in a game.
    Reply(Turn),
}

/// A state of a game in which it is our turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The game's ID.
    pub game: U256,
    /// The two words of its state.
    pub state: (B256, U256),
    /// The root on which both sides agree.
    pub start: B256,
    /// The claims of the side that moved last.
    pub claims: Vec<B256>,
    /// How many parts a segment is cut into.
    pub arity: u64,
    /// How many steps may be proved at once.
    pub at_once: u64,
}

impl Turn {
    /// The state in the contracts' type.
    #[must_use]
    pub fn state(&self) -> Game {
        Game { subject: self.state.0, position: self.state.1 }
    }
}

/// What a task comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// The result, with the outputs.
    Result(Computed),
    /// The words that a challenge brings.
    Opening(Vec<B256>),
    /// The calldata of a move; none if there is nothing to disagree with.
    Reply(Option<Bytes>),
}

impl Found {
    /// The bytes for another machine.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        pack(self)
    }

    /// What another machine has packed; `None` if it hasn't.
    #[must_use]
    pub fn unpack(bytes: &[u8]) -> Option<Self> {
        unpack(bytes)
    }

    /// Whether it can be what a task about a model comes to, as far as that shows. What comes from another machine may
    /// be damaged.
    #[must_use]
    pub fn fits(&self, task: &Task, model: &LoadedModel) -> bool {
        match (self, task) {
            (Self::Result(computed), Task::Result) => is_consistent(computed, model),
            (Self::Opening(words), Task::Opening { .. }) => words.len() * 32 <= chain::MOST_BYTES,
            (Self::Reply(None), Task::Reply(_)) => true,
            (Self::Reply(Some(data)), Task::Reply(turn)) => read_move(data, turn).is_some(),
            _ => false,
        }
    }
}

/// Whether a result is that of its outputs.
fn is_consistent(computed: &Computed, model: &LoadedModel) -> bool {
    let outputs = &computed.outputs;
    let roots: Vec<Root> = outputs.iter().map(|output| output.root).collect();
    let same = outputs.iter().zip(model.outputs()).all(|(output, region)| {
        output.bytes.len() as u64 <= 1 << region.subtree.bits()
            && region_root(region, &output.bytes) == output.root
    });
    match outputs.is_empty() {
        true => computed.result == VOID,
        false => {
            same && outputs.len() == model.outputs().len()
                && computed.result == contracts::word(commitment(&roots))
        }
    }
}

/// What calldata does, for people, and the kind of transaction that it is; none if it isn't a move in this state of a
/// game.
pub(crate) fn read_move(data: &[u8], turn: &Turn) -> Option<(&'static str, Kind)> {
    use IDisputeGame::IDisputeGameCalls as Calls;
    if data.len() > chain::MOST_BYTES {
        return None;
    }
    let (id, state, read) = match Calls::abi_decode(data).ok()? {
        Calls::dissect(call) => (call.id, call.game, ("dissect", Kind::Dissect)),
        Calls::enter(call) => (call.id, call.game, ("enter a big step", Kind::Enter)),
        Calls::proveVoid(call) => (call.id, call.game, ("prove void", Kind::Dissect)),
        Calls::prove(call) => {
            let steps = call.witnesses.len() as u64;
            let what = if steps == 1 { "prove a step" } else { "prove several steps" };
            (call.id, call.game, (what, Kind::Prove(steps)))
        }
        _ => return None,
    };
    (id == turn.game && state == turn.state()).then_some(read)
}

/// A task with all that a machine needs for it besides the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// The model's ID.
    pub model: B256,
    /// How often the model's period is repeated.
    pub repetitions: u64,
    /// The bytes of each input.
    pub inputs: Vec<Bytes>,
    /// The task.
    pub task: Task,
}

impl Parcel {
    /// The bytes for another machine.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        pack(self)
    }

    /// What another machine has packed; `None` if it hasn't.
    #[must_use]
    pub fn unpack(bytes: &[u8]) -> Option<Self> {
        unpack(bytes)
    }
}

/// Bytes for another machine.
fn pack<T: Serialize>(value: &T) -> Vec<u8> {
    // Numbers, bytes and lists can always be written.
    postcard::to_stdvec(value).unwrap_or_default()
}

/// What another machine has packed; `None` if it hasn't.
fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(value)
}

/// Roots among what is packed.
pub(crate) mod root {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use step::Root;

    pub(crate) fn serialize<S: Serializer>(root: &Root, serializer: S) -> Result<S::Ok, S::Error> {
        root.0.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Root, D::Error> {
        <[u8; 32]>::deserialize(deserializer).map(Root)
    }
}
