//! Whole players under a simulator of everything that surrounds them: a chain with the real contracts, nodes that
//! fail in every way, crashes at any await, and time that isn't real. A run depends on its seed alone.

mod chain;
mod node;
mod scenes;

use crate::model::counter;
use ::chain::{Deployment, Fees, GWEI, Node, Nodes, PrivateKeySigner, Store};
use chain::{CHAIN_ID, Chain, START};
use contracts::{Address, B256, Bytes, IInferenceService, Standing, Terms, U256};
use game::{Change, Oracle as _};
use image::Image;
use native::Native;
use node::{Faults, Random, Sent, SimNode};
use players::{Config, LoadedModel, Player, Role, Tamper, Workers};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The seconds between two blocks.
const BLOCK: u64 = 2;
/// What an account has at the beginning.
const MONEY: u64 = 10;

/// The terms of the service.
fn terms(clock: u32) -> Terms {
    Terms {
        window: 60,
        clock,
        arity: 8,
        asserterBond: U256::from(20_000_000_000_000_000u64).to(),
        challengerBond: U256::from(10_000_000_000_000_000u64).to(),
        burned: U256::from(5_000_000_000_000_000u64).to(),
    }
}

/// The model: it counts, in a period.
fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let image = Image::new(counter(1, 5).contents()).expect("an image");
        image.verify(|_| ()).expect("a sound image");
        image
    })
}

/// Its native code.
fn native() -> &'static Native {
    static NATIVE: OnceLock<Native> = OnceLock::new();
    NATIVE.get_or_init(|| Native::of(image(), 1).expect("native code"))
}

/// A player of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Character {
    /// An honest server.
    Server,
    /// A server that lies about its result.
    Liar,
    /// A server that lies, and never moves.
    Silent,
    /// An honest validator.
    Validator,
}

/// What happens in a run.
pub struct Scene {
    pub seed: u64,
    pub cast: Vec<Character>,
    /// What is wrong with the nodes of the honest ones.
    pub nodes: Vec<Faults>,
    /// When requests are made, in seconds since the start.
    pub requests: Vec<u64>,
    /// When, and how deep, the chain is reorganized.
    pub reorganizations: Vec<(u64, usize)>,
    /// When the honest players are killed and started again.
    pub crashes: Vec<u64>,
    /// When the disks of the honest are full.
    pub full: Option<std::ops::Range<u64>>,
    /// The seconds that each side has for its moves in a game.
    pub clock: u32,
    /// When the run ends.
    pub end: u64,
}

impl Scene {
    /// A lie, and an honest validator whose node has these faults.
    pub fn lie(seed: u64, faults: Faults) -> Self {
        Self {
            seed,
            cast: vec![Character::Liar, Character::Validator],
            nodes: vec![faults],
            requests: vec![3],
            reorganizations: Vec::new(),
            crashes: Vec::new(),
            full: None,
            clock: 24,
            end: 400,
        }
    }
}

/// The outcome of a run.
pub struct Outcome {
    /// What is wrong; nothing if all is well.
    pub wrong: Vec<String>,
    /// The calls of the honest, by kind.
    pub calls: HashMap<&'static str, u64>,
    /// Those of the last hundred seconds, in which nothing happens.
    pub quiet: HashMap<&'static str, u64>,
    /// How the last answers to the requests stand.
    pub standings: Vec<Standing>,
}

/// Plays a scene. With `OPML_TRACE` set, the players' logs and all transactions are shown.
pub fn play(scene: Scene) -> Outcome {
    if std::env::var_os("OPML_TRACE").is_some() {
        let _ = tracing_subscriber::fmt().with_test_writer().with_ansi(false).without_time().try_init();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime.expect("a runtime"), act(scene))
}

/// A disk that is full at times.
#[derive(Debug, Clone)]
struct Disk {
    memory: Arc<redb::backends::InMemoryBackend>,
    full: Option<std::ops::Range<u64>>,
    start: Instant,
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> Result<u64, std::io::Error> {
        self.memory.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
        self.memory.read(offset, out)
    }
    fn set_len(&self, len: u64) -> Result<(), std::io::Error> {
        self.memory.set_len(len)
    }
    fn sync_data(&self) -> Result<(), std::io::Error> {
        self.memory.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
        if self.full.as_ref().is_some_and(|full| full.contains(&self.start.elapsed().as_secs())) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.memory.write(offset, data)
    }
}

/// A player, with what survives its crashes.
#[derive(Clone)]
struct Actor {
    character: Character,
    key: PrivateKeySigner,
    disk: Disk,
    nodes: Vec<Arc<SimNode>>,
}

impl Actor {
    fn is_honest(&self) -> bool {
        matches!(self.character, Character::Server | Character::Validator)
    }

    /// Plays until it is stopped. It is never told to: its future is dropped.
    async fn run(self, deployment: Deployment) {
        let disk = self.disk.clone();
        let store = loop {
            let disk = disk.clone();
            match Store::on(move || disk.clone()) {
                Ok(store) => break Arc::new(store),
                // A supervisor starts it again.
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        };
        let role = match self.character {
            Character::Validator => Role { answers: None, challenges: true, repairs: true },
            _ => Role { answers: Some(U256::ZERO), challenges: false, repairs: false },
        };
        let lies = matches!(self.character, Character::Liar | Character::Silent);
        let config = Config {
            deployment: deployment.clone(),
            role,
            fees: Fees { cap: 200 * GWEI, tip: GWEI },
            reserve_price: 0,
            poll_interval: Duration::from_millis(500),
            inputs: None,
            at_once: 2,
            tamper: lies.then(liar),
            silent: self.character == Character::Silent,
            max_memory: None,
            health: Arc::default(),
            workers: Workers::Here(Duration::from_millis(100)),
        };
        let model = LoadedModel::new(image().clone(), Some(native().clone())).expect("a model");
        let nodes = self.nodes.iter().map(|node| Arc::clone(node) as Arc<dyn Node>).collect();
        let anchor = Some((deployment.block, deployment.block_hash));
        let nodes = Nodes::new(nodes, CHAIN_ID, anchor, Duration::from_millis(2500));
        let started =
            Player::start(config, nodes, self.key, store, vec![model], std::future::pending::<()>()).await;
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

async fn act(scene: Scene) -> Outcome {
    let start = Instant::now();
    let mut random = Random(scene.seed);
    let model = LoadedModel::new(image().clone(), None).expect("a model");
    let id = model.id();
    let mut world = Chain::new(&model.commitment, terms(scene.clock));
    let deployment = Deployment {
        rpc: None,
        chain_id: CHAIN_ID,
        registry: world.registry,
        service: world.service,
        block: 0,
        block_hash: world.head().hash,
        consumer: None,
    };
    let money = U256::from(MONEY) * U256::from(10).pow(U256::from(18));
    let (calls, sent) = (Arc::<Mutex<HashMap<&'static str, u64>>>::default(), Sent::default());
    let keys =
        (1..).map(|number: u8| PrivateKeySigner::from_bytes(&B256::repeat_byte(number)).expect("a key"));
    let cast: Vec<(Character, PrivateKeySigner)> = scene.cast.iter().copied().zip(keys).collect();
    for (_, key) in &cast {
        world.fund(key.address(), money);
    }
    chain::set(world);
    let actors: Vec<Actor> = cast
        .into_iter()
        .map(|(character, key)| {
            let honest = matches!(character, Character::Server | Character::Validator);
            let faults = if honest { scene.nodes.clone() } else { vec![Faults::default()] };
            let nodes = faults.into_iter().enumerate().map(|(index, faults)| {
                Arc::new(SimNode {
                    name: format!("node {index}"),
                    faults: Arc::new(Mutex::new(faults)),
                    start,
                    random: Mutex::new(Random(random.next())),
                    calls: if honest { Arc::clone(&calls) } else { Arc::default() },
                    sent: if honest { Arc::clone(&sent) } else { Arc::default() },
                    recent: Mutex::default(),
                    frozen: Mutex::default(),
                })
            });
            let full = scene.full.clone().filter(|_| honest);
            let memory = Arc::new(redb::backends::InMemoryBackend::new());
            Actor { character, key, disk: Disk { memory, full, start }, nodes: nodes.collect() }
        })
        .collect();
    let mut running: Vec<_> =
        actors.iter().map(|actor| tokio::task::spawn_local(actor.clone().run(deployment.clone()))).collect();
    let inputs: Vec<Bytes> =
        crate::model::inputs(&[1.0; crate::model::SIZE as usize], 3).into_iter().map(Bytes::from).collect();
    let (mut wrong, mut before) = (Vec::new(), HashMap::new());
    for second in 1..=scene.end {
        if second + 100 == scene.end {
            before = calls.lock().expect("a lock").clone();
        }
        sleep(Duration::from_secs(1)).await;
        let time = START + second;
        for _ in scene.requests.iter().filter(|at| **at == second) {
            chain::with(|world| world.request(id, &inputs, 1_000_000));
        }
        if let Some((_, depth)) = scene.reorganizations.iter().find(|(at, _)| *at == second) {
            let keep = random.next();
            let kept = |hash: &B256| !keep.is_multiple_of(3) || hash.0[0].is_multiple_of(2);
            chain::with(|world| world.reorganize(*depth, time, |sending| kept(&sending.hash)));
        } else if second.is_multiple_of(BLOCK) {
            chain::with(|world| world.mine(time, |_| true));
        }
        if scene.crashes.contains(&second) {
            // At a random await.
            sleep(Duration::from_millis(random.below(900))).await;
            for (actor, task) in actors.iter().zip(&mut running) {
                if actor.is_honest() {
                    task.abort();
                    let _ = timeout(Duration::from_secs(1), &mut *task).await;
                    *task = tokio::task::spawn_local(actor.clone().run(deployment.clone()));
                }
            }
        }
        for (actor, task) in actors.iter().zip(&running) {
            if task.is_finished() {
                wrong.push(format!("{:?} has ended", actor.character));
                break;
            }
        }
        if !wrong.is_empty() {
            break;
        }
    }
    running.iter().for_each(tokio::task::JoinHandle::abort);
    let standings = chain::with(|world| judge(world, &actors, &sent, money, &mut wrong));
    let calls = calls.lock().expect("a lock").clone();
    let since =
        |(kind, count): (&&'static str, &u64)| (*kind, count - before.get(kind).copied().unwrap_or(0));
    let quiet = calls.iter().map(since).collect();
    Outcome { wrong, calls, quiet, standings }
}

/// Checks what must be so at the end.
fn judge(
    world: &mut Chain,
    actors: &[Actor],
    sent: &Sent,
    money: U256,
    wrong: &mut Vec<String>,
) -> Vec<Standing> {
    let count = world.ask(&IInferenceService::requestCountCall {}).to::<u64>();
    let ids: Vec<U256> = (1..=count).map(U256::from).collect();
    let statuses = world.ask(&IInferenceService::statusOfCall { ids });
    let honest: Vec<Address> =
        actors.iter().filter(|actor| actor.is_honest()).map(|actor| actor.key.address()).collect();
    for (number, status) in (1..).zip(&statuses) {
        let answer = &status.answer;
        if answer.standing == Standing::Final && !honest.contains(&answer.asserter) {
            wrong.push(format!("a lie about request {number} is final"));
        }
        if answer.standing == Standing::Overturned && honest.contains(&answer.asserter) {
            wrong.push(format!("a true answer to request {number} was overturned"));
        }
    }
    for actor in actors.iter().filter(|actor| actor.is_honest()) {
        let account = actor.key.address();
        // Nobody honest loses more than gas.
        let most = U256::from(10).pow(U256::from(18)) / U256::from(4);
        let has = world.balance(account) + world.ask(&IInferenceService::balancesCall { account });
        let bonds = statuses.iter().filter(|status| {
            status.answer.standing == Standing::Pending && status.answer.asserter == account
        });
        let bonds = U256::from(world.terms.asserterBond) * U256::from(bonds.count());
        if has + bonds + most < money {
            wrong.push(format!("{:?} has lost {} wei", actor.character, money - has - bonds));
        }
    }
    // The same state of a game never gets two different moves.
    let mut moves: HashMap<(Address, Vec<u8>), Vec<u8>> = HashMap::new();
    for (from, data) in sent.lock().expect("a lock").iter() {
        // A selector, the game's ID, and its state.
        let is_move = data.len() > 100 && contracts::function_name(data) != "answer";
        let Some(key) = data.get(4..100).filter(|_| is_move) else { continue };
        let name = contracts::function_name(data);
        if !["dissect", "enter", "prove", "proveVoid"].contains(&name.as_str()) {
            continue;
        }
        let first = moves.entry((*from, key.to_vec())).or_insert_with(|| data.clone());
        if first != data {
            wrong.push("two different moves in one state of a game".to_owned());
        }
    }
    statuses.iter().map(|status| status.answer.standing).collect()
}
