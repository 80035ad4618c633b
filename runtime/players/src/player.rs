//! A player: looks at the chain again and again, and does what is to be done.

use crate::book::{Asked, Book, BookError};
use crate::duty::{Case, Duty, GameStanding, Role, concerns, duties, game_id};
use crate::model::{Computed, LoadedModel};
use crate::work::{Inference, Tamper, WorkError};
use chain::{
    Act, Deployment, Fees, Head, NodeError, PrivateKeySigner, RpcNode, Store, StoreError, Wallet, WalletError,
};
use contracts::{Address, B256, Bytes, IDisputeGame, IInferenceService, IModelRegistry, SolCall, Terms, U256};
use game::{Challenge, Move};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::JoinSet;

/// What a player is told once.
#[derive(Clone)]
pub struct Config {
    /// The contracts.
    pub deployment: Deployment,
    /// What it is there for.
    pub role: Role,
    /// What it offers for gas.
    pub fees: Fees,
    /// How long it waits between two looks at the chain.
    pub poll: Duration,
    /// Where inputs are that requests give by their roots: `ROOT.bin`.
    pub inputs: Option<PathBuf>,
    /// How it lies, if it does.
    pub tamper: Option<Tamper>,
    /// Whether it never moves in a game.
    pub silent: bool,
    /// How many bytes of memory the program may hold; most of what there is if that isn't said.
    pub max_memory: Option<u64>,
}

/// Why a player stops, or why a look at the chain fails.
#[derive(Debug, Error)]
pub enum PlayerError {
    /// The node.
    #[error(transparent)]
    RpcNode(#[from] NodeError),
    /// The wallet.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The book.
    #[error(transparent)]
    Book(#[from] BookError),
    /// Another chain.
    #[error("the deployment is on chain {expected}, but the node's chain is {found}")]
    Chain {
        /// The deployment's.
        expected: u64,
        /// The node's.
        found: u64,
    },
    /// Another chain with the same id, or a reorganisation that undid the deployment.
    #[error("the node's block {0} isn't the deployment's: it is another chain, or one that was started anew")]
    OtherChain(u64),
    /// No contracts.
    #[error("there is no contract at {0}")]
    NoContract(Address),
}

/// What a thread has found out.
enum Done {
    Result(U256, B256, Result<Computed, WorkError>),
    Opening(String, Result<Challenge, WorkError>),
    Reply(String, Result<Option<Move>, WorkError>),
}

/// A server or a validator.
pub struct Player {
    node: RpcNode,
    wallet: Wallet,
    store: Arc<Store>,
    config: Config,
    terms: Terms,
    book: Book,
    models: HashMap<B256, Arc<LoadedModel>>,
    /// Models that contracts have no name for yet: the verifier of their machine isn't deployed.
    nameless: Vec<Arc<LoadedModel>>,
    inferences: HashMap<B256, Arc<Inference>>,
    /// By the hashes of requests: after a reorganisation of the chain a number may be another request's.
    results: HashMap<B256, Computed>,
    openings: HashMap<String, Challenge>,
    replies: HashMap<String, Option<Move>>,
    jobs: JoinSet<Done>,
    /// Held by every job that finds out a result.
    computing: Arc<()>,
    /// The names of jobs that are running or have failed, and of complaints that were made.
    started: HashSet<String>,
}

impl Player {
    /// A player who knows these models.
    pub async fn new(
        config: Config,
        node: RpcNode,
        signer: PrivateKeySigner,
        store: Arc<Store>,
        models: Vec<LoadedModel>,
    ) -> Result<Self, PlayerError> {
        let Deployment { chain_id, service, registry, block, block_hash, .. } = config.deployment;
        if node.chain_id() != chain_id {
            return Err(PlayerError::Chain { expected: chain_id, found: node.chain_id() });
        }
        if node.block_hash(block).await? != Some(block_hash) {
            return Err(PlayerError::OtherChain(block));
        }
        for contract in [service, registry] {
            if !node.has_code(contract).await? {
                return Err(PlayerError::NoContract(contract));
            }
        }
        let head = node.head().await?;
        let terms = node.call(service, &IInferenceService::termsCall {}, head.hash).await?;
        let wallet = Wallet::open(signer, node.clone(), Arc::clone(&store), config.fees)?;
        let book = Book::open(Arc::clone(&store), service, block)?;
        let account = wallet.address();
        tracing::info!(%account, chain = chain_id, %service, role = ?config.role, "ready");
        let mut new = Self {
            node,
            wallet,
            store,
            config,
            terms,
            book,
            models: HashMap::new(),
            nameless: models.into_iter().map(Arc::new).collect(),
            inferences: HashMap::new(),
            results: HashMap::new(),
            openings: HashMap::new(),
            replies: HashMap::new(),
            jobs: JoinSet::new(),
            computing: Arc::default(),
            started: HashSet::new(),
        };
        new.name_models(&head).await?;
        for known in &new.nameless {
            tracing::warn!(machine = ?known.machine(), "a model isn't registered yet: `opml register` does it");
        }
        Ok(new)
    }

    /// Finds out what contracts call the models: that depends on the address of the verifier.
    async fn name_models(&mut self, head: &Head) -> Result<(), PlayerError> {
        for known in self.nameless.clone() {
            let verifier = self.verifier(&known, head).await?;
            if verifier != Address::ZERO {
                let hash = known.hash(verifier);
                tracing::info!(model = %hash, native = known.native.is_some(), "knows a model");
                self.nameless.retain(|other| !Arc::ptr_eq(other, &known));
                self.models.insert(hash, known);
            }
        }
        Ok(())
    }

    /// Plays until `stop` is done. What goes wrong at one look is tried again at the next.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut failures = 0u32;
        loop {
            // A look at a long history takes long; whatever it was doing, it goes on when the player is started again.
            let looked = tokio::select! {
                () = &mut stop => return,
                looked = self.look() => looked,
            };
            match looked {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, failures, "a look at the chain failed");
                    metrics::counter!("opml_failed_looks_total").increment(1);
                }
            }
            // A node in trouble is left alone for longer, but never for longer than a clock can spare.
            let most = Duration::from_secs((u64::from(self.terms.clock) / 20).clamp(1, 30));
            let pause = (self.config.poll * 2u32.saturating_pow(failures.min(6))).min(most.max(self.config.poll));
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(pause) => {}
                Some(done) = self.jobs.join_next() => self.take(done.ok()),
            }
        }
    }

    /// Looks at the chain once and does what is to be done.
    pub async fn look(&mut self) -> Result<(), PlayerError> {
        while let Some(done) = self.jobs.try_join_next() {
            self.take(done.ok());
        }
        let head = self.node.head().await?;
        metrics::gauge!("opml_head_block").set(head.number as f64);
        self.name_models(&head).await?;
        self.book.follow(&self.node, head.number).await?;
        self.wallet.tend(&head).await?;
        let mut untold = false;
        let (mut games, mut nearest) = (0, u64::from(self.terms.clock));
        for id in self.book.open_requests() {
            let case = self.case(id, &head).await?;
            for (_, standing) in &case.games {
                if let GameStanding::Open(game) = standing {
                    games += 1;
                    let mover = if game.asserterMoves { game.asserter } else { game.challenger };
                    if mover == self.wallet.address() {
                        nearest = nearest.min(deadline(game).saturating_sub(head.time));
                    }
                }
            }
            for duty in duties(&self.config.role, self.wallet.address(), &self.terms, head.time, &case) {
                if let Err(error) = self.perform(&duty, &case, &head).await {
                    self.report(&duty, id, &error);
                }
            }
            untold |= case.is_untold(self.wallet.address());
            self.close_if_over(&case, &head)?;
        }
        if untold {
            self.book.look_again();
        }
        metrics::gauge!("opml_open_games").set(f64::from(games));
        // The whole clock if nothing is to be done: an alarm ends with the game.
        metrics::gauge!("opml_nearest_deadline_seconds").set(nearest as f64);
        self.collect(games, &head).await
    }

    /// Says why something isn't done, once; it is tried again at every look.
    fn report(&mut self, duty: &Duty, request: U256, error: &PlayerError) {
        match error {
            // The next block will be late enough.
            PlayerError::Wallet(WalletError::RpcNode(error)) if error.is("Early") => {}
            error if self.started.insert(format!("not done/{duty:?}/{request}/{error}")) => {
                tracing::warn!(?duty, %request, %error, "not done");
            }
            error => tracing::debug!(?duty, %request, %error, "not done"),
        }
    }

    // ---- What the chain says

    /// How a request stands.
    async fn case(&self, id: U256, head: &Head) -> Result<Case, PlayerError> {
        let (service, me) = (self.config.deployment.service, self.wallet.address());
        let stored = self.node.call(service, &IInferenceService::requestsCall { id }, head.hash).await?;
        let answer = self.node.call(service, &IInferenceService::provisionalAnswerCall { id }, head.hash).await?;
        let asked = self.book.request(stored);
        let mut ids: Vec<U256> = self.book.games(id);
        ids.extend(
            (1..=answer.attempt)
                .map(|attempt| game_id(id, attempt, me))
                .filter(|id| !ids.contains(id))
                .collect::<Vec<_>>(),
        );
        let mut games = Vec::new();
        for game in ids {
            let stored = self.node.call(service, &IDisputeGame::gamesCall { id: game }, head.hash).await?;
            let standing = self.standing(stored);
            if concerns(me, &answer, game, &standing) {
                games.push((game, standing));
            }
        }
        let answered = self.has_answered(id, stored, &answer)?;
        Ok(Case {
            id,
            hash: stored,
            request: asked.map(|asked| asked.request.clone()),
            answer,
            games,
            truth: self.results.get(&stored).map(|computed| computed.root),
            answered,
            callback_data: asked.map_or(0, |asked| asked.callback_data.len()),
            gas_price: chain::bid(&self.config.fees, head.base_fee, 1, 0, false).max_fee,
        })
    }

    /// Whether an answer of the player's has been on the chain. One that came too late to be there doesn't count: if the other
    /// falls, the player's is wanted.
    fn has_answered(&self, id: U256, request: B256, answer: &contracts::Answer) -> Result<bool, StoreError> {
        let name = answered(id, request);
        if self.store.get(&name)?.is_some() {
            return Ok(true);
        }
        let now = answer.asserter == self.wallet.address();
        if now {
            self.store.save(&name, &true)?;
        }
        Ok(now)
    }

    fn standing(&self, stored: B256) -> GameStanding {
        match U256::from_be_bytes(stored.0) {
            U256::ZERO => GameStanding::None,
            over if over < U256::from(4) => GameStanding::Over,
            _ => match self.book.position(stored) {
                Some(position) => GameStanding::Open(Box::new(position.game.clone())),
                None => GameStanding::Unseen,
            },
        }
    }

    /// A request that is final or cancelled, with no game of ours left, is forgotten once that is buried.
    fn close_if_over(&mut self, case: &Case, head: &Head) -> Result<(), PlayerError> {
        /// Blocks that no reorganisation undoes.
        const BURIED: u64 = 64;
        let settled = case.answer.standing == contracts::Standing::Final || case.hash == B256::ZERO;
        let playing = case.games.iter().any(|(_, game)| matches!(game, GameStanding::Open(_) | GameStanding::Unseen));
        let name = format!("over/{}", case.id);
        // Every request passes here at every look, and a write takes the disk's time: only what is news is written.
        match (self.store.load::<u64>(&name)?, settled && !playing) {
            (None, false) => {}
            (Some(_), false) => self.store.write(&[(name, None)])?,
            (None, true) => self.store.save(&name, &head.number)?,
            (Some(since), true) if head.number < since.saturating_add(BURIED) => {}
            (Some(_), true) => {
                self.book.close(case.id)?;
                self.results.remove(&case.hash);
                self.store.write(&[(name, None)])?;
            }
        }
        Ok(())
    }

    // ---- What is to be done

    async fn perform(&mut self, duty: &Duty, case: &Case, head: &Head) -> Result<(), PlayerError> {
        let id = case.id;
        match duty {
            Duty::Compute => self.compute(case),
            Duty::Answer => {
                let name = format!("answer/{id}/{}/{}", case.hash, case.answer.attempt + 1);
                if let (Some(request), Some(computed)) = (&case.request, self.results.get(&case.hash)) {
                    let (request, output) = (request.clone(), computed.output.clone());
                    let call = IInferenceService::answerCall { id, request, output };
                    let bond = self.terms.asserterBond;
                    self.act(name, &call, U256::from(bond), None, head).await?;
                }
            }
            Duty::Settle => {
                let name = format!("settle/{id}/{}/{}/{}", case.hash, case.answer.attempt, case.answer.outputRoot);
                if let (Some(asked), Some(computed)) = (self.asked(case), self.results.get(&case.hash)) {
                    let (request, callback) = (asked.request.clone(), asked.callback_data.clone());
                    let output = computed.output.clone();
                    let call = IInferenceService::settleCall { id, request, output, callbackData: callback };
                    self.act(name, &call, U256::ZERO, None, head).await?;
                }
            }
            Duty::Challenge => self.challenge(case, head).await?,
            Duty::Reply(game) => self.reply(case, *game, head).await?,
            Duty::Timeout(game) => {
                if let Some(state) = open(case, *game) {
                    let name = format!("timeout/{game}/{}", hash(state));
                    let call = IDisputeGame::timeoutCall { id: *game, game: state.clone() };
                    self.act(name, &call, U256::ZERO, None, head).await?;
                }
            }
            Duty::Reclaim(game) => {
                if let Some(state) = open(case, *game) {
                    let call = IInferenceService::reclaimCall { game: *game, state: state.clone() };
                    let name = format!("reclaim/{game}/{}", hash(state));
                    self.act(name, &call, U256::ZERO, None, head).await?;
                }
            }
        }
        Ok(())
    }

    async fn challenge(&mut self, case: &Case, head: &Head) -> Result<(), PlayerError> {
        let (id, attempt) = (case.id, case.answer.attempt);
        let name = format!("challenge/{id}/{}/{attempt}/{}", case.hash, case.answer.outputRoot);
        let Some(inference) = self.inference(case) else { return Ok(()) };
        let Some(opening) = self.openings.get(&name) else {
            let (job, arity) = (name.clone(), self.terms.arity.into());
            self.start(&name, move || Done::Opening(job, inference.opening(arity)));
            return Ok(());
        };
        if let (Some(request), Some(known)) = (&case.request, self.known(case)) {
            tracing::info!(request = %id, attempt, asserted = %case.answer.outputRoot, truth = ?case.truth, "the answer is wrong");
            let call = IInferenceService::challengeCall {
                id,
                request: request.clone(),
                model: self.contract_model(&known, request.model, head).await?,
                asserted: case.answer.outputRoot,
                opening: contracts::opening(opening),
            };
            let until = case.answer.posted.to::<u64>() + u64::from(self.terms.window);
            self.act(name, &call, U256::from(self.terms.challengerBond), Some(until), head).await?;
        }
        Ok(())
    }

    async fn reply(&mut self, case: &Case, game: U256, head: &Head) -> Result<(), PlayerError> {
        if self.config.silent {
            return Ok(());
        }
        let Some(state) = open(case, game) else { return Ok(()) };
        let (Some(known), Some(inference)) = (self.known(case), self.inference(case)) else {
            if self.started.insert(format!("lacks/{game}")) {
                tracing::error!(%game, "it is our turn, but the model or the input is not there: the game will be lost");
            }
            return Ok(());
        };
        let name = format!("move/{game}/{}", hash(state));
        if self.wallet.has(&name) {
            return Ok(());
        }
        // A move that was decided before a crash stands, whatever would be decided now.
        if let Some(act) = self.store.load::<Act>(&journal(&name))? {
            return Ok(self.wallet.submit(act, head).await?);
        }
        let Some(position) = self.book.position(hash(state)) else { return Ok(()) };
        let rust = contracts::resume(state, &known.model);
        let Some(move_) = self.replies.get(&name) else {
            let theirs: Vec<step::Root> = position.claims.iter().map(|claim| step::Root(claim.0)).collect();
            let job = name.clone();
            self.start(&name, move || Done::Reply(job, inference.reply(&rust, &theirs)));
            return Ok(());
        };
        let Some(move_) = move_ else { return Ok(()) };
        let model = self.contract_model(&known, state.model, head).await?;
        let data = contracts::calldata(game, state, &model, move_);
        let stake = if state.asserterMoves { self.terms.asserterBond } else { self.terms.challengerBond };
        let act = Act {
            name: name.clone(),
            to: Some(self.config.deployment.service),
            value: U256::ZERO,
            data: data.into(),
            deadline: Some(deadline(state)),
            stake: stake.to(),
        };
        self.store.save(&journal(&name), &act)?;
        metrics::counter!("opml_moves_total").increment(1);
        self.wallet.submit(act, head).await?;
        self.replies.remove(&name);
        Ok(())
    }

    /// Sends a call under a name. What was sent under it before is sent again as it was; so a name says everything that the
    /// call depends on, or after a reorganisation an old call would be sent about another request.
    async fn act<C: SolCall>(
        &mut self,
        name: String,
        call: &C,
        value: U256,
        deadline: Option<u64>,
        head: &Head,
    ) -> Result<(), PlayerError> {
        if let Some(act) = self.store.load(&journal(&name))? {
            return Ok(self.wallet.submit(act, head).await?);
        }
        let act = Act {
            name: name.clone(),
            to: Some(self.config.deployment.service),
            value,
            data: call.abi_encode().into(),
            deadline,
            stake: value.saturating_to(),
        };
        self.store.save(&journal(&name), &act)?;
        Ok(self.wallet.submit(act, head).await?)
    }

    /// Takes what has been credited, when nothing else is going on.
    async fn collect(&mut self, games: u32, head: &Head) -> Result<(), PlayerError> {
        let (service, account) = (self.config.deployment.service, self.wallet.address());
        let credited = self.node.call(service, &IInferenceService::balancesCall { account }, head.hash).await?;
        let balance = self.node.balance(account).await?;
        metrics::gauge!("opml_balance_ether").set(ether(balance));
        metrics::gauge!("opml_credited_ether").set(ether(credited));
        if credited.is_zero() || games > 0 || self.wallet.has("withdraw/") {
            return Ok(());
        }
        let act = Act {
            name: format!("withdraw/{}", head.number),
            to: Some(service),
            value: U256::ZERO,
            data: IInferenceService::withdrawCall {}.abi_encode().into(),
            deadline: None,
            stake: 0,
        };
        tracing::info!(wei = %credited, "withdrawing");
        Ok(self.wallet.submit(act, head).await?)
    }

    // ---- What has to be computed for it

    fn compute(&mut self, case: &Case) {
        // Requests cost little and runs take memory; games go on beside them, each of which costs a bond.
        if Arc::strong_count(&self.computing) > MOST_RESULTS {
            return;
        }
        let Some(inference) = self.inference(case) else { return };
        let (id, hash) = (case.id, case.hash);
        let computing = Arc::clone(&self.computing);
        self.start(&format!("result/{hash}"), move || {
            let _until_done = computing;
            Done::Result(id, hash, inference.result())
        });
    }

    /// Starts a job, once.
    fn start(&mut self, name: &str, job: impl FnOnce() -> Done + Send + 'static) {
        if self.started.insert(name.to_owned()) {
            self.jobs.spawn_blocking(job);
        }
    }

    /// Takes what a job has found out. One that failed is not tried again: a run is the same every time. Only memory that
    /// others have taken may be there later.
    fn take(&mut self, done: Option<Done>) {
        let mut failed = |name: &str, error: &WorkError| {
            tracing::error!(job = name, %error, "cannot be computed");
            let kept = self.inferences.len();
            if error.is_memory() {
                self.inferences.retain(|_, inference| Arc::strong_count(inference) > 1);
                if self.inferences.len() < kept || !self.jobs.is_empty() {
                    self.started.remove(name);
                }
            }
        };
        match done {
            Some(Done::Result(id, hash, Ok(computed))) => {
                tracing::info!(request = %id, root = %computed.root, "computed");
                self.started.remove(&format!("result/{hash}"));
                self.results.insert(hash, computed);
            }
            Some(Done::Opening(name, Ok(opening))) => {
                self.openings.insert(name, opening);
            }
            Some(Done::Reply(name, Ok(move_))) => {
                if move_.is_none() {
                    tracing::warn!(name, "there is nothing to disagree with");
                }
                self.replies.insert(name, move_);
            }
            Some(Done::Result(_, hash, Err(error))) => failed(&format!("result/{hash}"), &error),
            Some(Done::Opening(name, Err(error)) | Done::Reply(name, Err(error))) => failed(&name, &error),
            None => tracing::error!("a thread has panicked"),
        }
    }

    fn asked(&self, case: &Case) -> Option<&Asked> {
        self.book.request(hash(case.request.as_ref()?))
    }

    fn known(&self, case: &Case) -> Option<Arc<LoadedModel>> {
        self.models.get(&case.request.as_ref()?.model).cloned()
    }

    /// The inference that a request asks for, if the model and the input are known.
    fn inference(&mut self, case: &Case) -> Option<Arc<Inference>> {
        let (known, asked) = (self.known(case)?, self.asked(case)?);
        let (root, model) = (asked.request.inputRoot, asked.request.model);
        let key = B256::new(step::keccak(&[root.0, model.0].concat()).0);
        if let Some(inference) = self.inferences.get(&key) {
            return Some(Arc::clone(inference));
        }
        let input = if asked.input.is_empty() { self.stored_input(root) } else { Some(asked.input.clone()) };
        let Some(input) = input else {
            if self.started.insert(format!("input/{root}")) {
                tracing::warn!(request = %case.id, %root, "the input is not in the folder for those that are given by root");
            }
            return None;
        };
        if !Inference::is_input(&known, &input, root) {
            if self.started.insert(format!("input/{root}")) {
                tracing::warn!(request = %case.id, %root, "the input isn't the one with this root");
            }
            return None;
        }
        let inference = Arc::new(Inference::new(known, input, self.config.tamper.clone(), self.config.max_memory));
        // Machines are large; those that no request needs go.
        if self.inferences.len() >= MOST_INFERENCES {
            self.inferences.retain(|_, inference| Arc::strong_count(inference) > 1);
        }
        self.inferences.insert(key, Arc::clone(&inference));
        Some(inference)
    }

    /// The input with this root, from the folder for such.
    fn stored_input(&self, root: B256) -> Option<Bytes> {
        let path = self.config.inputs.as_ref()?.join(format!("{root}.bin"));
        std::fs::read(path).ok().map(Bytes::from)
    }

    /// A model as the contracts have it.
    async fn contract_model(
        &self,
        known: &LoadedModel,
        hash: B256,
        head: &Head,
    ) -> Result<contracts::Model, PlayerError> {
        let verifier = self.verifier(known, head).await?;
        debug_assert_eq!(known.hash(verifier), hash);
        Ok(contracts::model(&known.model, verifier))
    }

    /// The verifier of a model's machine; zero if it isn't deployed.
    async fn verifier(&self, known: &LoadedModel, head: &Head) -> Result<Address, PlayerError> {
        let call = IModelRegistry::verifierOfCall { machine: known.machine() };
        Ok(self.node.call(self.config.deployment.registry, &call, head.hash).await?)
    }
}

/// How many results are computed at once.
const MOST_RESULTS: usize = 4;

/// How many runs are kept.
const MOST_INFERENCES: usize = 16;

/// The time by which the side to move must have moved.
fn deadline(game: &contracts::Game) -> u64 {
    let clock = if game.asserterMoves { game.asserterClock } else { game.challengerClock };
    game.since.saturating_add(clock.into())
}

/// The state of a game that goes on.
fn open(case: &Case, game: U256) -> Option<&contracts::Game> {
    case.games.iter().find_map(|(id, standing)| match standing {
        GameStanding::Open(state) if *id == game => Some(&**state),
        _ => None,
    })
}

fn ether(wei: U256) -> f64 {
    f64::from(wei) / 1e18
}

fn hash(value: &impl contracts::SolValue) -> B256 {
    crate::book::hash(value)
}

/// The name under which an act is kept.
fn journal(name: &str) -> String {
    format!("act/{name}")
}

/// The name under which is kept that a request was answered.
fn answered(id: U256, request: B256) -> String {
    format!("answered/{id}/{request}")
}
