//! Who takes part in a run.

use super::chain::{CHAIN_ID, Chain};
use super::disk::{Disk, Life};
use super::node::SimNode;
use crate::model::counter_of;
use ::chain::{
    Answering, Deployment, Fees, GWEI, Node, NodeError, Nodes, PrivateKeySigner, Question, Reply, Store,
};
use contracts::{Address, U256};
use game::Oracle as _;
use image::Image;
use native::Native;
use players::{Config, Health, LoadedModel, Player, Role, Tamper, Workers};
use prover::Change;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::time::sleep;

/// The elements of the state that the models compute: enough for some rounds of a game.
pub const SIZE: u64 = 200;

/// A player of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Character {
    /// An honest server.
    Server,
    /// A server that lies about its result.
    Liar,
    /// A server that lies, and never moves.
    Silent,
    /// A server that lies, and makes each move in the last second of its clock.
    Late,
    /// A server that lies, but only knows the other model.
    Elsewhere,
    /// An honest validator.
    Validator,
    /// An honest validator whose money is enough for a game or two.
    Poor,
    /// An honest validator whose money is enough for a bond, and no game.
    Poorest,
    /// A validator that challenges true answers.
    Griefer,
    /// The same in the last second of the window, and of its clock.
    LateGriefer,
    /// A validator that challenges true answers, and never moves.
    SilentGriefer,
}

use Character::{
    Elsewhere, Griefer, Late, LateGriefer, Liar, Poor, Poorest, Server, Silent, SilentGriefer, Validator,
};

impl Character {
    pub fn is_honest(self) -> bool {
        matches!(self, Server | Validator | Poor | Poorest)
    }

    /// Whether every lie that it sees must be overturned.
    pub fn is_watchful(self) -> bool {
        self == Validator
    }

    pub fn is_late(self) -> bool {
        matches!(self, Late | LateGriefer)
    }

    fn role(self) -> Role {
        match self {
            Server => Role { answers: Some(U256::ONE), challenges: false, repairs: false },
            Liar | Silent | Late | Elsewhere => {
                Role { answers: Some(U256::ZERO), challenges: false, repairs: false }
            }
            Validator | Poor | Poorest => Role { answers: None, challenges: true, repairs: true },
            Griefer | LateGriefer | SilentGriefer => Role { answers: None, challenges: true, repairs: false },
        }
    }

    /// What it has at the beginning, in wei.
    pub fn money(self) -> U256 {
        let millionths: u64 = match self {
            Poorest => 10_700,
            Poor => 20_000,
            _ => 1_000_000_000,
        };
        U256::from(millionths) * U256::from(10).pow(U256::from(12))
    }

    /// The models that it knows.
    fn models(self, others: bool) -> Vec<LoadedModel> {
        let [ours, other] = models();
        let known: &[_] = match self {
            Elsewhere => &[other],
            Validator | Poor if others => &[ours, other],
            _ => &[ours],
        };
        let loaded =
            known.iter().map(|(image, native)| LoadedModel::new(image.clone(), Some(native.clone())));
        loaded.collect::<Result<_, _>>().expect("a model")
    }
}

/// The models: they count, in a period. The other one may do so once more.
fn models() -> &'static [(Image, Native); 2] {
    static MODELS: OnceLock<[(Image, Native); 2]> = OnceLock::new();
    MODELS.get_or_init(|| {
        [5, 6].map(|most| {
            let image = Image::new(counter_of(SIZE, 1, most).contents()).expect("an image");
            image.verify(|_| ()).expect("a sound image");
            let native = Native::of(&image, 1).expect("native code");
            (image, native)
        })
    })
}

/// The registry's commitments to the models.
pub fn commitments() -> &'static [game::Model; 2] {
    static COMMITMENTS: OnceLock<[game::Model; 2]> = OnceLock::new();
    COMMITMENTS.get_or_init(|| {
        models()
            .each_ref()
            .map(|(image, _)| LoadedModel::new(image.clone(), None).expect("a model").commitment)
    })
}

/// A node as one process sees it: once that is killed, nothing comes back any more.
struct Line {
    node: Arc<SimNode>,
    life: Arc<Life>,
}

impl Line {
    async fn ask(&self, question: Question) -> Result<Reply, NodeError> {
        if !self.life.goes_on() {
            std::future::pending::<()>().await;
        }
        let reply = self.node.ask(question).await;
        if !self.life.goes_on() {
            std::future::pending::<()>().await;
        }
        reply
    }
}

impl Node for Line {
    fn answer(&self, question: Question) -> Answering<'_> {
        Box::pin(self.ask(question))
    }

    fn name(&self) -> String {
        self.node.name.clone()
    }
}

/// How often each kind of query was made.
pub type Calls = Arc<Mutex<HashMap<&'static str, u64>>>;

/// A player, with what survives it.
#[derive(Clone)]
pub struct Actor {
    pub character: Character,
    pub key: PrivateKeySigner,
    pub disk: Disk,
    pub nodes: Vec<Arc<SimNode>>,
    pub health: Arc<Health>,
    pub calls: Calls,
    /// Whether others are asked for the other model.
    pub others: bool,
    /// The time between two looks.
    pub poll: Duration,
}

impl Actor {
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// Plays until it is stopped. It is never told to: its future is dropped.
    pub async fn run(self, deployment: Deployment) {
        let disk = self.disk.clone();
        let store = loop {
            let disk = disk.clone();
            match Store::on(move || disk.clone()) {
                Ok(store) => break Arc::new(store),
                // A supervisor starts it again.
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        };
        let character = self.character;
        let config = Config {
            deployment: deployment.clone(),
            role: character.role(),
            fees: Fees { cap: 200 * GWEI, tip: GWEI },
            reserve_price: 0,
            poll_interval: self.poll,
            inputs: None,
            at_once: 2,
            tamper: (!character.is_honest()).then(liar),
            silent: matches!(character, Silent | SilentGriefer),
            max_memory: None,
            health: Arc::clone(&self.health),
            workers: Workers::Here(Duration::from_millis(100)),
        };
        let line = |node| Arc::new(Line { node, life: Arc::clone(&disk.life) }) as Arc<dyn Node>;
        let nodes = self.nodes.into_iter().map(line).collect();
        let anchor = Some((deployment.block, deployment.block_hash));
        let nodes = Nodes::new(nodes, CHAIN_ID, anchor, Duration::from_millis(2500));
        let models = character.models(self.others);
        let never = std::future::pending::<()>();
        let started = Player::start(config, nodes, self.key, store, models, never).await;
        let mut player = started.expect("a player").expect("it is not stopped");
        player.run(std::future::pending::<()>()).await.expect("nobody takes over");
    }
}

/// A lie about the output.
fn liar() -> Tamper {
    Arc::new(|_, fresh| {
        let mut honest = fresh()?;
        let last = honest.model().big_steps() - 1;
        let end = honest.steps(last).map_err(|error| error.to_string())?;
        let address = honest.model().outputs[0].subtree.address() + 3;
        let change = Change { place: (last, end), address, bits: 0x40 };
        let _ = honest.memory(0);
        fresh()?.with_changes(vec![change]).map_err(|error| error.to_string())
    })
}

/// The last time at which the act of a late player still counts, and which no earlier block gets.
pub fn last_time(chain: &mut Chain, data: &[u8]) -> Option<u64> {
    let word = |at: usize| data.get(at..at + 32).map(U256::from_be_slice);
    match contracts::function_name(data).as_str() {
        // The game's ID, and its state: the subject and the position.
        "dissect" | "enter" | "prove" | "proveVoid" => {
            Some(contracts::Position::unpack(word(68)?).deadline())
        }
        "challenge" => {
            let call = contracts::IInferenceService::statusOfCall { ids: vec![word(4)?] };
            let posted = chain.ask(&call).first()?.answer.posted.to::<u64>();
            Some(posted + u64::from(chain.terms.window) - 1)
        }
        _ => None,
    }
}
