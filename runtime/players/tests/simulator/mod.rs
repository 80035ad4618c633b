//! Whole players under a simulator of everything that surrounds them: a chain with the real contracts, nodes that
//! fail in every way, kills at any moment, and time that isn't real. A run depends on its seed alone.

mod cast;
mod chain;
mod clock;
mod days;
mod disk;
mod judge;
mod log;
mod mixture;
mod node;
mod people;
mod scenes;

use crate::model::inputs;
use ::chain::{Deployment, PrivateKeySigner};
use cast::{Actor, Calls, Character, SIZE, commitments};
use chain::{CHAIN_ID, Chain, START};
use contracts::{B256, Bytes, Standing, Terms, U256};
use disk::{Disk, Life};
use judge::{Verdict, judge};
use log::{Meter, WHO};
use node::{Faults, Late, Random, Sent, SimNode};
use players::Health;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The fee of a request that pays.
const FEE: u64 = 1_000_000;

/// What happens in a run. Times are seconds since the start.
#[derive(Debug, Clone)]
pub struct Scene {
    pub seed: u64,
    pub cast: Vec<Character>,
    /// What is wrong with the nodes of the honest ones.
    pub nodes: Vec<Faults>,
    /// When requests are made.
    pub requests: Vec<u64>,
    /// The same without a fee, and for the other model.
    pub free: Vec<u64>,
    pub others: Vec<u64>,
    /// Whether each request has an input of its own, and whether the bytes of the players' logs are counted.
    pub varied: bool,
    pub metered: bool,
    /// When, and how deep, the chain is reorganized.
    pub reorganizations: Vec<(u64, usize)>,
    /// When the honest players are killed and started again.
    pub kills: Vec<u64>,
    /// When the disks of the honest are full.
    pub full: Option<Range<u64>>,
    /// When gas costs so many times as much as usual.
    pub dear: Option<(Range<u64>, u64)>,
    /// When the time of the chain leaps, and how far. Back: it stands still, with no blocks, for so long.
    pub leaps: Vec<(u64, i64)>,
    /// When the clock of the players' computers is set, and how far forward.
    pub settings: Vec<(u64, i64)>,
    /// How long an answer can be challenged, and each side has for its moves in a game, in seconds.
    pub window: u32,
    pub clock: u32,
    /// The seconds between two blocks, and the time between two looks of the players.
    pub block: u64,
    pub poll: Duration,
    /// When the run ends, and whether it ends some seconds after everything is settled.
    pub end: u64,
    pub until_settled: bool,
}

impl Scene {
    /// A lie, and an honest validator whose node has these faults.
    pub fn lie(seed: u64, faults: Faults) -> Self {
        Self {
            seed,
            cast: vec![Character::Liar, Character::Validator],
            nodes: vec![faults],
            requests: vec![3],
            free: Vec::new(),
            others: Vec::new(),
            varied: false,
            metered: false,
            reorganizations: Vec::new(),
            kills: Vec::new(),
            full: None,
            dear: None,
            leaps: Vec::new(),
            settings: Vec::new(),
            window: 60,
            clock: 24,
            block: 2,
            poll: Duration::from_millis(500),
            end: 400,
            until_settled: true,
        }
    }

    /// The terms of the service.
    fn terms(&self) -> Terms {
        Terms {
            window: self.window,
            clock: self.clock,
            arity: 8,
            asserterBond: U256::from(20_000_000_000_000_000u64).to(),
            challengerBond: U256::from(10_000_000_000_000_000u64).to(),
            burned: U256::from(5_000_000_000_000_000u64).to(),
        }
    }

    /// When the last thing happens that is not the weather of nodes.
    fn last_event(&self) -> u64 {
        let requests = self.requests.iter().chain(&self.free).chain(&self.others).chain(&self.kills).copied();
        let chain =
            self.reorganizations.iter().map(|(at, _)| *at).chain(self.leaps.iter().map(|(at, _)| *at));
        let ends = self.full.iter().map(|full| full.end).chain(self.dear.iter().map(|(when, _)| when.end));
        requests.chain(chain).chain(ends).max().unwrap_or_default()
    }

    /// What is requested, by time: the index of the model, and the fee.
    fn orders(&self) -> BTreeMap<u64, Vec<(usize, u64)>> {
        let mut orders = BTreeMap::<u64, Vec<(usize, u64)>>::new();
        let all = [(&self.requests, 0, FEE), (&self.free, 0, 0), (&self.others, 1, FEE)];
        for (times, model, fee) in all {
            times.iter().for_each(|time| orders.entry(*time).or_default().push((model, fee)));
        }
        orders
    }
}

/// How an honest player was during a run.
pub struct Trace {
    pub character: Character,
    /// Its number in the cast.
    who: usize,
    /// How long the run took.
    pub seconds: u64,
    /// Its calls by kind, and those of the last hundred seconds.
    pub calls: HashMap<&'static str, u64>,
    pub quiet: HashMap<&'static str, u64>,
    /// What it kept in memory at the end, and the bytes on its disk.
    pub kept: Vec<(&'static str, usize)>,
    pub disk: u64,
    /// What its health was red for: the first words of the reasons, and when that was.
    pub red: BTreeMap<String, Vec<u64>>,
    /// The bytes of its log, if they are counted.
    pub logged: u64,
}

/// The outcome of a run.
pub struct Outcome {
    pub verdict: Verdict,
    /// The honest players.
    pub traces: Vec<Trace>,
    /// How many of their processes were killed.
    pub kills: u64,
}

impl Outcome {
    pub fn is_well(&self) -> bool {
        self.verdict.wrong.is_empty()
    }

    /// How the last answers to the requests stand.
    pub fn standings(&self) -> &[Standing] {
        &self.verdict.standings
    }
}

/// Plays a scene. With `OPML_TRACE` set, the players' logs and all transactions are shown.
pub fn play(scene: Scene) -> Outcome {
    if std::env::var_os("OPML_TRACE").is_some() {
        let _ = tracing_subscriber::fmt().with_test_writer().with_ansi(false).without_time().try_init();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let (local, meter) = (tokio::task::LocalSet::new(), Meter::default());
    let _guard = scene.metered.then(|| {
        let log =
            tracing_subscriber::fmt().with_ansi(false).with_target(false).with_writer(meter.clone()).finish();
        tracing::subscriber::set_default(log)
    });
    let mut outcome = local.block_on(&runtime.expect("a runtime"), act(scene));
    outcome.traces.iter_mut().for_each(|trace| trace.logged = meter.of(trace.who));
    outcome
}

/// The players of a run, and those that are running.
struct Company {
    actors: Vec<Actor>,
    running: Vec<JoinHandle<()>>,
    deployment: Deployment,
    sent: Sent,
    kills: u64,
}

impl Company {
    /// Funds the players of a scene, and starts them.
    fn new(scene: &Scene, world: &mut Chain, random: &mut Random, start: Instant) -> Self {
        let deployment = Deployment {
            rpc: None,
            chain_id: CHAIN_ID,
            registry: world.registry,
            service: world.service,
            block: 0,
            block_hash: world.head().hash,
            consumer: None,
        };
        let sent = Sent::default();
        let keys =
            (1..).map(|number: u8| PrivateKeySigner::from_bytes(&B256::repeat_byte(number)).expect("a key"));
        let actors = scene.cast.iter().zip(keys).map(|(&character, key)| {
            world.fund(key.address(), character.money());
            let (honest, calls) = (character.is_honest(), Calls::default());
            let faults = if honest { scene.nodes.clone() } else { vec![Faults::default()] };
            let nodes = faults.into_iter().enumerate().map(|(index, faults)| {
                Arc::new(SimNode {
                    name: format!("node {index}"),
                    faults,
                    start,
                    random: Mutex::new(Random(random.next())),
                    calls: Arc::clone(&calls),
                    sent: if honest { Arc::clone(&sent) } else { Arc::default() },
                    recent: Mutex::default(),
                    frozen: Mutex::default(),
                    late: character.is_late().then_some(Late { block: scene.block }),
                })
            });
            let disk = Disk {
                memory: Arc::new(redb::backends::InMemoryBackend::new()),
                full: scene.full.clone().filter(|_| honest),
                start,
                life: Life::new(),
            };
            let (nodes, others, poll) = (nodes.collect(), !scene.others.is_empty(), scene.poll);
            let health = Arc::new(Health::with_clock(clock::time));
            Actor { character, key, disk, nodes, health, calls, others, poll }
        });
        Self { actors: actors.collect(), running: Vec::new(), deployment, sent, kills: 0 }
    }

    fn start(&mut self) {
        self.running = (0..self.actors.len()).map(|who| self.spawn(who)).collect();
    }

    fn spawn(&self, who: usize) -> JoinHandle<()> {
        tokio::task::spawn_local(WHO.scope(who, self.actors[who].clone().run(self.deployment.clone())))
    }

    /// Kills the honest players at a random point, and starts them again.
    async fn kill(&mut self, random: &mut Random) {
        for actor in self.actors.iter().filter(|actor| actor.character.is_honest()) {
            actor.disk.life.end_after(random.below(50));
        }
        sleep(Duration::from_millis(random.below(900))).await;
        for who in 0..self.actors.len() {
            if self.actors[who].character.is_honest() {
                let task = &mut self.running[who];
                task.abort();
                let _ = timeout(Duration::from_millis(10), task).await;
                self.actors[who].disk.life = Life::new();
                self.running[who] = self.spawn(who);
                self.kills += 1;
            }
        }
    }

    /// The calls of each so far.
    fn calls(&self) -> Vec<HashMap<&'static str, u64>> {
        self.actors.iter().map(|actor| actor.calls.lock().expect("a lock").clone()).collect()
    }

    /// Notes what the honest are red for.
    fn note_red(&self, second: u64, red: &mut [BTreeMap<String, Vec<u64>>]) {
        for (actor, red) in self.actors.iter().zip(red) {
            for reason in actor.health.report().reasons {
                let word = reason.split(':').next().unwrap_or_default().to_owned();
                red.entry(word).or_default().push(second);
            }
        }
    }

    fn traces(
        &self,
        before: Vec<HashMap<&'static str, u64>>,
        red: Vec<BTreeMap<String, Vec<u64>>>,
    ) -> impl Iterator<Item = Trace> {
        let all = self.actors.iter().enumerate().zip(self.calls()).zip(before).zip(red);
        let honest = all.filter(|((((_, actor), _), _), _)| actor.character.is_honest());
        honest.map(|((((who, actor), calls), before), red)| {
            let since = |(kind, count): (&&'static str, &u64)| {
                (*kind, count - before.get(kind).copied().unwrap_or(0))
            };
            Trace {
                character: actor.character,
                who,
                seconds: 0,
                quiet: calls.iter().map(since).collect(),
                calls,
                kept: actor.health.kept(),
                disk: redb::StorageBackend::len(&*actor.disk.memory).expect("a length"),
                red,
                logged: 0,
            }
        })
    }
}

async fn act(scene: Scene) -> Outcome {
    let start = Instant::now();
    clock::start(start);
    let mut random = Random(scene.seed);
    let [ours, other] = commitments();
    let mut world = Chain::new(&[ours, other], scene.terms());
    let mut company = Company::new(&scene, &mut world, &mut random, start);
    chain::set(world);
    company.start();
    let (mut wrong, mut before) = (Vec::new(), company.calls());
    let mut red = vec![BTreeMap::new(); company.actors.len()];
    let (mut requested, mut offset, orders) = (0, 0, scene.orders());
    let busy = scene.last_event();
    for second in 1..=scene.end {
        if second + 100 == scene.end {
            before = company.calls();
        }
        sleep_until(start + Duration::from_secs(second)).await;
        offset += scene.leaps.iter().filter(|(at, _)| *at == second).map(|(_, leap)| leap).sum::<i64>();
        let time = (START + second).saturating_add_signed(offset);
        scene.settings.iter().filter(|(at, _)| *at == second).for_each(|(_, by)| clock::set_forward(*by));
        for &(model, fee) in orders.get(&second).into_iter().flatten() {
            requested += 1;
            let number = if scene.varied { requested } else { 1 };
            let inputs: Vec<Bytes> =
                inputs(&[number as f32; SIZE as usize], 3).into_iter().map(Bytes::from).collect();
            let id = contracts::model_id(&commitments()[model]);
            chain::with(|world| world.request(id, &inputs, fee));
        }
        chain::with(|world| turn(world, &scene, second, time, &mut random));
        if scene.kills.contains(&second) {
            company.kill(&mut random).await;
        }
        let ended = company.actors.iter().zip(&company.running).find(|(_, task)| task.is_finished());
        if let Some((actor, _)) = ended {
            wrong.push(format!("{:?} has ended", actor.character));
            break;
        }
        if second.is_multiple_of(10) {
            company.note_red(second, &mut red);
            if scene.until_settled && second > busy && chain::with(|world| world.is_settled(30)) {
                break;
            }
        }
    }
    company.running.iter().for_each(JoinHandle::abort);
    let verdict = chain::with(|world| judge(world, &company.actors, &company.sent, wrong));
    let seconds = start.elapsed().as_secs();
    let traces = company.traces(before, red).map(|trace| Trace { seconds, ..trace }).collect();
    Outcome { verdict, traces, kills: company.kills }
}

/// What happens to the chain in a second.
fn turn(world: &mut Chain, scene: &Scene, second: u64, time: u64, random: &mut Random) {
    if time <= world.head().time {
        return;
    }
    let dear = scene.dear.as_ref().filter(|(when, _)| when.contains(&second));
    world.base_fee = chain::BASE_FEE * u128::from(dear.map_or(1, |(_, times)| *times));
    if let Some((_, depth)) = scene.reorganizations.iter().find(|(at, _)| *at == second) {
        let keep = random.next();
        let kept = |hash: &B256| !keep.is_multiple_of(3) || hash.0[0].is_multiple_of(2);
        world.reorganize(*depth, time, |sending| kept(&sending.hash));
    } else if second.is_multiple_of(scene.block) {
        world.mine(time, |_| true);
    }
}
