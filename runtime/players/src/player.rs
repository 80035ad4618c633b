//! A player: polls the chain and does what is due.

use crate::book::{Asked, Book, BookError, Position};
use crate::check::Checks;
use crate::duty::{Case, Duty, GameStanding, Role, challenger_of, concerns, duties, game_id};
use crate::inputs::{Preimages, root};
use crate::model::{Computed, LoadedModel, is_by_root, region_root};
use crate::show::{Deadline, GameName, Short, action, range};
use crate::work::{Inference, Tamper, WorkError};
use chain::{
    Act, Deployment, Ether, Event, Fees, Head, NodeError, PrivateKeySigner, RpcNode, Store, StoreError,
    Wallet, WalletError,
};
use contracts::cost::Shape;
use contracts::{
    Address, Answer, B256, Bytes, IDisputeGame, IInferenceService, IModelRegistry, Input, Request,
    RequestStatus, SolCall, Source, Standing, Terms, U256,
};
use game::{Challenge, Move, Region, Side};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::JoinSet;

/// The settings of a player.
#[derive(Clone)]
pub struct Config {
    /// The contracts.
    pub deployment: Deployment,
    /// Whether it answers or challenges.
    pub role: Role,
    /// What it offers for gas.
    pub fees: Fees,
    /// The time between two polls of the chain.
    pub poll_interval: Duration,
    /// The folder with inputs of requests that give only a root, and for outputs that are answered by root. The
    /// files are named `ROOT.bin`.
    pub inputs: Option<PathBuf>,
    /// How many steps it proves at once rather than cutting them once more.
    pub at_once: u64,
    /// How it lies, for tests of other players.
    pub tamper: Option<Tamper>,
    /// Whether it never moves in a game, for tests of other players.
    pub silent: bool,
    /// How many bytes of memory the process may hold. `None` for most of the computer's memory.
    pub max_memory: Option<u64>,
}

/// Why a player can't start, or why a poll fails.
#[derive(Debug, Error)]
pub enum PlayerError {
    /// The node failed.
    #[error(transparent)]
    RpcNode(#[from] NodeError),
    /// The wallet failed.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The book failed.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The node is on another chain.
    #[error("the deployment is on chain {expected}, but the node is on chain {found}; check the node's URL")]
    Chain {
        /// The deployment's chain ID.
        expected: u64,
        /// The node's chain ID.
        found: u64,
    },
    /// Another chain with the same ID, or a reorganization has undone the deployment.
    #[error(
        "the node's block {0} is not the deployment's: it is another chain, or a test chain that was restarted"
    )]
    OtherChain(u64),
    /// An answer of the node that leaves something out, or adds something.
    #[error("the node gave {found} answers to {asked} questions in one call; is it out of order?")]
    Incomplete {
        /// The number of IDs in the call.
        asked: usize,
        /// The number of answers.
        found: usize,
    },
    /// The contracts are not on the chain.
    #[error("there is no contract at {0}")]
    NoContract(Address),
    /// The system provides no thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl PlayerError {
    /// What the operator can do about it, if the state file is the cause.
    fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Store(error)
            | Self::Book(BookError::Store(error))
            | Self::Wallet(WalletError::Store(error)) => error.advice(),
            _ => None,
        }
    }
}

/// Something to compute on another thread, and for which request or game.
#[derive(Clone)]
struct Job {
    /// The job's name. A job is started once.
    name: String,
    request: U256,
    /// The model's name.
    model: String,
}

/// The result of a job.
enum Found {
    /// The result of the request with this hash.
    Result(B256, Computed),
    Opening(Challenge),
    Reply(Option<Move>),
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
    /// The checks of the models' images.
    checks: Checks,
    inferences: HashMap<B256, Arc<Inference>>,
    /// By the hashes of requests: after a reorganization a number may belong to another request.
    results: HashMap<B256, Computed>,
    /// The bytes of inputs and outputs that are given by root.
    preimages: Preimages,
    /// Inputs that lack their bytes, by root: the earlier request whose answer may show them, and their region.
    wanted: HashMap<B256, (U256, Region)>,
    openings: HashMap<String, Challenge>,
    replies: HashMap<String, Option<Move>>,
    jobs: JoinSet<(Job, Result<Found, WorkError>)>,
    /// How many answers of the player may still be challenged.
    defending: u64,
    /// Held by every job that computes a result.
    computing: Arc<()>,
    /// The names of jobs that are running or have failed, and of messages that were logged.
    started: HashSet<String>,
}

impl Player {
    /// A player with these models.
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
        let models: HashMap<B256, Arc<LoadedModel>> =
            models.into_iter().map(|model| (model.id(), Arc::new(model))).collect();
        let book = Book::open(Arc::clone(&store), service, block, models.clone())?;
        let checks = Checks::start(Arc::clone(&store), &models)?;
        let preimages = Preimages::new(config.inputs.clone());
        let account = wallet.address();
        let eth = Ether(node.balance(account).await?);
        tracing::info!(%account, %eth, chain = chain_id, %service, role = config.role.name(), "ready");
        let new = Self {
            node,
            wallet,
            store,
            config,
            terms,
            book,
            models,
            checks,
            inferences: HashMap::new(),
            results: HashMap::new(),
            preimages,
            wanted: HashMap::new(),
            openings: HashMap::new(),
            replies: HashMap::new(),
            jobs: JoinSet::new(),
            defending: 0,
            computing: Arc::default(),
            started: HashSet::new(),
        };
        for (id, model) in &new.models {
            let runs = if model.native.is_some() { "natively" } else { "in the machine" };
            tracing::info!(model = model.name, %id, runs, "the model is ready");
            if !new.is_registered(*id, &head).await? {
                tracing::warn!(
                    model = model.name,
                    "the model is not registered yet; `opml register` registers it"
                );
            }
            new.warn_of_low_bonds(model, &head);
        }
        Ok(new)
    }

    /// Warns if a game about a model can cost more gas than there is to win.
    fn warn_of_low_bonds(&self, model: &LoadedModel, head: &Head) {
        let shape = Shape::of(&model.commitment, model.longest(), self.terms.arity.into());
        let price = U256::from(chain::bid(&self.config.fees, head.base_fee, 1, 0, false).max_fee);
        let prize = U256::from(self.terms.asserterBond).saturating_sub(U256::from(self.terms.burned));
        for (side, won) in
            [(Side::Challenger, prize), (Side::Asserter, U256::from(self.terms.challengerBond))]
        {
            let cost = U256::from(shape.most_gas(side)).saturating_mul(price);
            if cost > won {
                let (cost, won) = (Ether(cost), Ether(won));
                tracing::warn!(
                    model = model.name, ?side, %cost, %won,
                    "at this gas price, a game about the model can cost more than there is to win"
                );
            }
        }
    }

    /// Whether requests can be made for a model.
    async fn is_registered(&self, id: B256, head: &Head) -> Result<bool, PlayerError> {
        let call = IModelRegistry::cardOfCall { id };
        match self.node.call(self.config.deployment.registry, &call, head.hash).await {
            Ok(_) => Ok(true),
            Err(error) if error.is("Unknown") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Plays until `stop` completes. What fails in one poll is tried again in the next.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut failures = 0u32;
        loop {
            // Polling a long history takes long. It can stop anywhere, since a restarted player continues
            // from there.
            let polled = tokio::select! {
                () = &mut stop => return,
                polled = self.poll() => polled,
            };
            failures = if polled.is_ok() { 0 } else { failures + 1 };
            // A failing node gets longer pauses, but never longer than a running clock allows.
            let (interval, most) = (
                self.config.poll_interval,
                Duration::from_secs((u64::from(self.terms.clock) / 20).clamp(1, 30)),
            );
            let pause = (interval * 2u32.saturating_pow(failures.min(6))).min(most.max(interval));
            if let Err(error) = polled {
                let advice = error.advice();
                tracing::warn!(%error, advice, failures, ?pause, "cannot poll the chain; trying again");
                metrics::counter!("opml_failed_polls_total").increment(1);
            }
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(pause) => {}
                Some(done) = self.jobs.join_next() => self.take(done.ok()),
            }
        }
    }

    /// Polls the chain once and does what is due.
    pub async fn poll(&mut self) -> Result<(), PlayerError> {
        while let Some(done) = self.jobs.try_join_next() {
            self.take(done.ok());
        }
        self.checks.follow(&mut self.models)?;
        let head = self.node.head().await?;
        metrics::gauge!("opml_head_block").set(head.number as f64);
        self.book.follow(&self.node, head.number).await?;
        self.wallet.tend(&head).await?;
        let mut missed = false;
        let (mut games, mut nearest) = (0, u64::from(self.terms.clock));
        let open = self.book.open_requests();
        let statuses = self.statuses(&open, &head).await?;
        self.defending = statuses.iter().filter(|status| self.defends(&status.answer)).count() as u64;
        for (id, status) in open.into_iter().zip(statuses) {
            let case = self.case(id, status, &head).await?;
            for (game, standing) in &case.games {
                if let GameStanding::Open(state) = standing {
                    games += 1;
                    let place = state.place();
                    let mine = challenger_of(*game) == self.wallet.address();
                    if mine == (place.mover == Side::Challenger) {
                        nearest = nearest.min(place.deadline().saturating_sub(head.time));
                    }
                }
            }
            for duty in duties(&self.config.role, self.wallet.address(), &self.terms, head.time, &case) {
                if let Err(error) = self.perform(&duty, &case, &head).await {
                    self.report(&duty, &case, &error);
                }
            }
            self.log_outcomes(&case);
            missed |= case.misses_events(self.wallet.address());
            self.close_if_over(&case, &head)?;
        }
        if missed {
            self.book.read_again();
        }
        metrics::gauge!("opml_open_games").set(f64::from(games));
        // If nothing is due, use the whole clock: an alarm ends with its game.
        metrics::gauge!("opml_nearest_deadline_seconds").set(nearest as f64);
        self.collect(games, &head).await?;
        self.fetch_wanted().await
    }

    /// Logs once why a duty can't be done. It is tried again at every poll.
    fn report(&mut self, duty: &Duty, case: &Case, error: &PlayerError) {
        let (request, model) = (case.id, self.model_name(case));
        match error {
            // The next block will be late enough.
            PlayerError::Wallet(WalletError::RpcNode(error)) if error.is("Early") => {}
            error if self.started.insert(format!("not done/{duty:?}/{request}/{error}")) => {
                tracing::warn!(%request, model, %duty, %error, "cannot do it now; trying again at every poll");
            }
            error => tracing::debug!(%request, model, %duty, %error, "cannot do it now"),
        }
    }

    /// Logs once that an answer turned out to be right, that it was overturned, and how games ended.
    fn log_outcomes(&mut self, case: &Case) {
        let (request, model, answer) = (case.id, self.model_name(case), &case.answer);
        let (attempt, asserter, me) = (answer.attempt, answer.asserter, self.wallet.address());
        let right =
            answer.standing == Standing::Pending && case.truth == Some(answer.result) && asserter != me;
        if right && self.started.insert(format!("right/{request}/{attempt}/{}", answer.result)) {
            tracing::info!(%request, model, attempt, %asserter, "checked the answer: it is right");
        }
        let overturned = answer.standing == Standing::Overturned;
        if overturned && self.started.insert(format!("overturned/{request}/{attempt}")) {
            if asserter == me {
                let eth = Ether(self.terms.asserterBond.to());
                tracing::error!(%request, model, attempt, %eth, "our answer was overturned: its bond is lost");
            } else {
                tracing::info!(%request, model, attempt, %asserter, "the answer was overturned");
            }
        }
        for (id, standing) in &case.games {
            let GameStanding::Over(Some(winner)) = standing else { continue };
            if self.started.insert(format!("over/{id}")) {
                let (game, winner) =
                    (GameName(*id), if *winner == Side::Asserter { "asserter" } else { "challenger" });
                tracing::info!(%request, model, %game, winner, "the game is over");
            }
        }
    }

    // ---- The state of the chain

    /// What the service stores of requests, in a constant number of calls for each hundred of them.
    async fn statuses(&self, ids: &[U256], head: &Head) -> Result<Vec<RequestStatus>, PlayerError> {
        let mut found = Vec::new();
        for ids in ids.chunks(MOST_IDS) {
            let call = IInferenceService::statusOfCall { ids: ids.to_vec() };
            let answers = self.node.call(self.config.deployment.service, &call, head.hash).await?;
            found.extend(complete(ids, answers)?);
        }
        Ok(found)
    }

    /// Whether an answer is the player's and may still be challenged, or is.
    fn defends(&self, answer: &Answer) -> bool {
        answer.standing == Standing::Pending && answer.asserter == self.wallet.address()
    }

    /// The state of a request.
    async fn case(&self, id: U256, status: RequestStatus, head: &Head) -> Result<Case, PlayerError> {
        let (service, me) = (self.config.deployment.service, self.wallet.address());
        let RequestStatus { hash: stored, cancellable, answer } = status;
        let asked = self.book.request(stored);
        let mut ids: Vec<U256> = self.book.games(id);
        ids.extend(
            (1..=answer.attempt)
                .map(|attempt| game_id(id, attempt, me))
                .filter(|id| !ids.contains(id))
                .collect::<Vec<_>>(),
        );
        let mut games = Vec::new();
        for ids in ids.chunks(MOST_IDS) {
            let call = IDisputeGame::gamesOfCall { ids: ids.to_vec() };
            let stored = self.node.call(service, &call, head.hash).await?;
            for (&game, stored) in ids.iter().zip(complete(ids, stored)?) {
                let standing = self.standing(stored);
                if concerns(me, &answer, game, &standing) {
                    games.push((game, standing));
                }
            }
        }
        let answered = self.has_answered(id, stored, &answer)?;
        Ok(Case {
            id,
            hash: stored,
            request: asked.map(|asked| asked.request.clone()),
            cancellable,
            answer,
            games,
            truth: self.results.get(&stored).map(|computed| computed.result),
            answered,
            callback_data: asked.map_or(0, |asked| asked.callback_data.len()),
            gas_price: chain::bid(&self.config.fees, head.base_fee, 1, 0, false).max_fee,
        })
    }

    /// Whether the player's answer has been on the chain. One that came too late doesn't count: if the other
    /// answer is overturned, the player should answer again.
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
            over if over < U256::from(4) => GameStanding::Over(match over.to::<u8>() {
                1 => Some(Side::Asserter),
                2 => Some(Side::Challenger),
                _ => None,
            }),
            _ => match self.book.position(stored) {
                Some(position) => GameStanding::Open(Box::new(position.clone())),
                None => GameStanding::Unseen,
            },
        }
    }

    /// Forgets a request that is final or cancelled and has no game of ours left, once that is buried under
    /// more blocks.
    fn close_if_over(&mut self, case: &Case, head: &Head) -> Result<(), PlayerError> {
        /// No reorganization undoes this many blocks.
        const BURIED: u64 = 64;
        let settled = case.answer.standing == Standing::Final || case.hash == B256::ZERO;
        let playing =
            case.games.iter().any(|(_, game)| matches!(game, GameStanding::Open(_) | GameStanding::Unseen));
        let name = format!("over/{}", case.id);
        // This runs for every request in every poll, and writing is slow. Only changes are written.
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

    // ---- Duties

    async fn perform(&mut self, duty: &Duty, case: &Case, head: &Head) -> Result<(), PlayerError> {
        let id = case.id;
        match duty {
            Duty::Compute => self.compute(case),
            Duty::Answer => {
                let attempt = case.answer.attempt + 1;
                let name = format!("answer/{id}/{}/{attempt}", case.hash);
                if !self.can_show(case) {
                    return Ok(());
                }
                if let (Some(request), Some(computed)) = (&case.request, self.results.get(&case.hash)) {
                    let (fee, result) = (Ether(request.fee.to()), Short(computed.result));
                    let outputs = computed.shown(request.byRoot);
                    let call = IInferenceService::answerCall { id, request_: request.clone(), outputs };
                    let bond = U256::from(self.terms.asserterBond);
                    if self.is_new(&name)? && !self.can_defend(case, bond).await? {
                        return Ok(());
                    }
                    if self.is_new(&name)? {
                        let (model, eth) = (self.model_name(case), Ether(bond));
                        tracing::info!(request = %id, model, attempt, %result, %fee, %eth, "answering, with a bond");
                    }
                    self.act(name, format!("answer request {id}"), &call, bond, None, head).await?;
                }
            }
            Duty::Settle => {
                let name =
                    format!("settle/{id}/{}/{}/{}", case.hash, case.answer.attempt, case.answer.result);
                if let Some(asked) = self.asked(case) {
                    let request = asked.request.clone();
                    // Only a callback needs them.
                    let (outputs, callback) = match (request.callback, self.results.get(&case.hash)) {
                        (Address::ZERO, _) => Default::default(),
                        (_, Some(computed)) => (computed.shown(request.byRoot), asked.callback_data.clone()),
                        (_, None) => return Ok(()),
                    };
                    let earned = U256::from(self.terms.asserterBond).saturating_add(U256::from(request.fee));
                    let call = IInferenceService::settleCall {
                        id,
                        request_: request,
                        outputs,
                        callbackData: callback,
                    };
                    if self.is_new(&name)? {
                        let (model, eth) = (self.model_name(case), Ether(earned));
                        tracing::info!(request = %id, model, %eth, "the window is over: settling for bond and fee");
                    }
                    self.act(name, format!("settle request {id}"), &call, U256::ZERO, None, head).await?;
                }
            }
            Duty::Challenge => self.challenge(case, head).await?,
            Duty::Reply(game) => self.reply(case, *game, head).await?,
            Duty::Timeout(game) => {
                if let Some(state) = open(case, *game) {
                    let name = format!("timeout/{game}/{}", state.hash(*game));
                    let claims = state.claims_root();
                    let call = IDisputeGame::timeoutCall { id: *game, game: state.game.clone(), claims };
                    if self.is_new(&name)? {
                        let (model, game, range) =
                            (self.model_name(case), GameName(*game), range(&state.place()));
                        tracing::info!(request = %id, model, %game, range, "the opponent ran out of time: ending the game");
                    }
                    self.act(
                        name,
                        format!("end game {} by timeout", GameName(*game)),
                        &call,
                        U256::ZERO,
                        None,
                        head,
                    )
                    .await?;
                }
            }
            Duty::Reclaim(game) => {
                if let Some(state) = open(case, *game) {
                    let claims = state.claims_root();
                    let call = IInferenceService::reclaimCall { id: *game, game: state.game.clone(), claims };
                    let name = format!("reclaim/{game}/{}", state.hash(*game));
                    if self.is_new(&name)? {
                        let (model, eth) = (self.model_name(case), Ether(self.terms.challengerBond.to()));
                        let game = GameName(*game);
                        tracing::info!(request = %id, model, %game, %eth, "another game ended ours: reclaiming the bond");
                    }
                    self.act(
                        name,
                        format!("reclaim the bond of game {}", GameName(*game)),
                        &call,
                        U256::ZERO,
                        None,
                        head,
                    )
                    .await?;
                }
            }
        }
        Ok(())
    }

    /// Whether an answer can give the outputs as the request wants them.
    fn can_show(&mut self, case: &Case) -> bool {
        let (Some(request), Some(model)) = (&case.request, self.model(case)) else { return false };
        let computed = self.results.get(&case.hash);
        let can = computed.is_none_or(|computed| computed.can_be_shown(request.byRoot, model.outputs()));
        if !can && self.started.insert(format!("not shown/{}", case.hash)) {
            tracing::warn!(
                request = %case.id, model = model.name,
                "not answering: there is something behind an output in its region, so no bytes have its root"
            );
        }
        can
    }

    /// Whether the player can pay the bond of one more answer, and for a game against each answer that may
    /// still be challenged. A server that can't pay for its moves loses true answers.
    async fn can_defend(&mut self, case: &Case, bond: U256) -> Result<bool, PlayerError> {
        let Some(model) = self.model(case) else { return Ok(false) };
        let shape = Shape::of(&model.commitment, model.longest(), self.terms.arity.into());
        let game = U256::from(shape.most_gas(Side::Asserter)) * U256::from(case.gas_price);
        let needed = bond + game * U256::from(self.defending + 1);
        let balance = self.node.balance(self.wallet.address()).await?;
        if balance >= needed {
            self.defending += 1;
            return Ok(true);
        }
        if self.started.insert(format!("reserve/{}", case.id)) {
            let (needed, eth) = (Ether(needed), Ether(balance));
            tracing::warn!(
                request = %case.id, model = model.name, %needed, %eth, answers = self.defending,
                "not answering: the balance doesn't cover the bond and a game for every answer that may still be challenged"
            );
        }
        Ok(false)
    }

    async fn challenge(&mut self, case: &Case, head: &Head) -> Result<(), PlayerError> {
        let (id, attempt) = (case.id, case.answer.attempt);
        let name = format!("challenge/{id}/{}/{attempt}/{}", case.hash, case.answer.result);
        let until = case.answer.posted.to::<u64>() + u64::from(self.terms.window);
        let deadline = Deadline { at: until, now: head.time };
        let (bond, game) =
            (U256::from(self.terms.challengerBond), GameName(game_id(id, attempt, self.wallet.address())));
        if self.awaits_check(case) {
            return Ok(());
        }
        let Some(inference) = self.inference(case) else { return Ok(()) };
        let Some(opening) = self.openings.get(&name) else {
            let (job, arity) = (self.job(name, case), self.terms.arity.into());
            let (model, asserter) = (job.model.clone(), case.answer.asserter);
            if self.start(job, move || Ok(Found::Opening(inference.opening(arity)?))) {
                let (claimed, ours) = (Short(case.answer.result), Short(case.truth.unwrap_or_default()));
                tracing::info!(
                    request = %id, model, attempt, %asserter, %claimed, %ours, %deadline,
                    "the answer is wrong: preparing a challenge"
                );
            }
            return Ok(());
        };
        if let (Some(request), Some(model)) = (&case.request, self.model(case)) {
            let call = IInferenceService::challengeCall {
                id,
                request_: request.clone(),
                model: contracts::model(&model.commitment),
                asserted: case.answer.result,
                words: contracts::opening(opening),
            };
            if self.is_new(&name)? {
                let (model, eth) = (&model.name, Ether(bond));
                tracing::info!(request = %id, model, %game, round = 1, %deadline, %eth, "challenging, with a bond");
            }
            self.act(name, format!("challenge the answer to request {id}"), &call, bond, Some(until), head)
                .await?;
        }
        Ok(())
    }

    async fn reply(&mut self, case: &Case, game: U256, head: &Head) -> Result<(), PlayerError> {
        if self.config.silent {
            return Ok(());
        }
        let Some(state) = open(case, game) else { return Ok(()) };
        let (request, shown) = (case.id, GameName(game));
        let (place, hash) = (state.place(), state.hash(game));
        let deadline = Deadline { at: place.deadline(), now: head.time };
        let stake =
            if place.mover == Side::Asserter { self.terms.asserterBond } else { self.terms.challengerBond };
        let eth = Ether(stake.to());
        let name = format!("move/{game}/{hash}");
        if self.wallet.has(&name) {
            return Ok(());
        }
        // A move decided before a crash is sent unchanged, even if the decision would now differ.
        if let Some(act) = self.store.load::<Act>(&journal(&name))? {
            return Ok(self.wallet.submit(act, head).await?);
        }
        if self.awaits_check(case) {
            return Ok(());
        }
        let (Some(model), Some(inference)) = (self.model(case), self.inference(case)) else {
            if self.started.insert(format!("lacks/{game}")) {
                tracing::error!(
                    %request, game = %shown, %deadline, %eth,
                    "it is our turn, but the model or the input is missing: without it the game and the bond are lost"
                );
            }
            return Ok(());
        };
        let (arity, commitment) = (u64::from(self.terms.arity), inference.commitment());
        let rust = contracts::resume(&state.game, &commitment, arity, state.start, &state.claims);
        let round = format!("{} of at most {}", self.book.rounds(game) + 1, model.most_moves(arity));
        let Some(move_) = self.replies.get(&name) else {
            let theirs: Vec<step::Root> = state.claims.iter().map(|claim| step::Root(claim.0)).collect();
            let (job, range, model) = (self.job(name, case), range(&place), &model.name);
            let at_once = self.config.at_once;
            if self.start(job, move || Ok(Found::Reply(inference.reply(&rust, &theirs, at_once)?))) {
                tracing::info!(%request, model, game = %shown, round, range, %deadline, "our turn: computing the reply");
            }
            return Ok(());
        };
        let Some(move_) = move_ else { return Ok(()) };
        let data = contracts::calldata(game, &state.game, &contracts::program(&commitment), move_);
        let (action, model) = (action(move_), &model.name);
        tracing::info!(%request, model, game = %shown, round, %deadline, %eth, "replying: {action}");
        let act = Act {
            name: name.clone(),
            about: format!("move in game {shown}: {action}"),
            to: Some(self.config.deployment.service),
            value: U256::ZERO,
            data: data.into(),
            deadline: Some(deadline.at),
            stake: stake.to(),
        };
        self.store.save(&journal(&name), &act)?;
        metrics::counter!("opml_moves_total").increment(1);
        self.wallet.submit(act, head).await?;
        self.replies.remove(&name);
        Ok(())
    }

    /// Whether an act of this name has not been decided yet.
    fn is_new(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.store.get(&journal(name))?.is_none())
    }

    /// Sends a call under a name. If a call was already sent under this name, it sends that one again. The
    /// name must therefore contain everything that the call depends on. Otherwise a reorganization could make
    /// it send an old call for another request.
    async fn act<C: SolCall>(
        &mut self,
        name: String,
        about: String,
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
            about,
            to: Some(self.config.deployment.service),
            value,
            data: call.abi_encode().into(),
            deadline,
            stake: value.saturating_to(),
        };
        self.store.save(&journal(&name), &act)?;
        Ok(self.wallet.submit(act, head).await?)
    }

    /// Withdraws what could not be paid at once, while no games are running.
    async fn collect(&mut self, games: u32, head: &Head) -> Result<(), PlayerError> {
        let (service, account) = (self.config.deployment.service, self.wallet.address());
        let credited =
            self.node.call(service, &IInferenceService::balancesCall { account }, head.hash).await?;
        let balance = self.node.balance(account).await?;
        metrics::gauge!("opml_balance_ether").set(ether(balance));
        metrics::gauge!("opml_credited_ether").set(ether(credited));
        if credited.is_zero() || games > 0 || self.wallet.has("withdraw/") {
            return Ok(());
        }
        let act = Act {
            name: format!("withdraw/{}", head.number),
            about: "withdraw the balance".to_owned(),
            to: Some(service),
            value: U256::ZERO,
            data: IInferenceService::withdrawCall {}.abi_encode().into(),
            deadline: None,
            stake: 0,
        };
        tracing::info!(eth = %Ether(credited), "withdrawing what the service owes us");
        // An account that refused a payment may refuse this one too. All else goes on.
        if let Err(error) = self.wallet.submit(act, head).await {
            tracing::warn!(%error, "cannot withdraw what the service owes us");
        }
        Ok(())
    }

    // ---- Computations

    fn compute(&mut self, case: &Case) {
        // Requests cost their authors little, but runs take memory. Games are not limited like this, since
        // each costs a bond.
        if Arc::strong_count(&self.computing) > MOST_RESULTS || self.awaits_check(case) {
            return;
        }
        let Some(inference) = self.inference(case) else { return };
        let (request, hash) = (case.id, case.hash);
        let computing = Arc::clone(&self.computing);
        let job = self.job(format!("result/{hash}"), case);
        let model = job.model.clone();
        let started = self.start(job, move || {
            let _until_done = computing;
            Ok(Found::Result(hash, inference.result()?))
        });
        if started {
            let eth = Ether(case.request.as_ref().map_or(U256::ZERO, |request| U256::from(request.fee)));
            match case.answer.standing {
                Standing::Pending => {
                    tracing::info!(%request, model, "computing the result, to check the answer")
                }
                _ => tracing::info!(%request, model, %eth, "computing the result, to answer the request"),
            }
        }
    }

    /// A job for a request.
    fn job(&self, name: String, case: &Case) -> Job {
        Job { name, request: case.id, model: self.model_name(case) }
    }

    /// Starts a job on another thread, unless it was started before; returns whether it did.
    fn start(&mut self, job: Job, work: impl FnOnce() -> Result<Found, WorkError> + Send + 'static) -> bool {
        let new = self.started.insert(job.name.clone());
        if new {
            self.jobs.spawn_blocking(move || (job, work()));
        }
        new
    }

    /// Takes the results of jobs. A failed job is not tried again, since a run always gives the same result.
    /// Only a lack of memory may pass, when other runs end.
    fn take(&mut self, done: Option<(Job, Result<Found, WorkError>)>) {
        let Some((Job { name, request, model }, result)) = done else {
            return tracing::error!("a thread panicked; please report this");
        };
        match result {
            Ok(Found::Result(hash, mut computed)) => {
                let (result, bytes) = (Short(computed.result), computed.bytes());
                tracing::info!(%request, model, %result, bytes, "computed the result");
                let by_root = self.book.request(hash).map_or(0, |asked| asked.request.byRoot);
                self.keep_outputs(by_root, &computed);
                computed.forget(by_root);
                self.started.remove(&name);
                self.results.insert(hash, computed);
            }
            Ok(Found::Opening(opening)) => {
                self.openings.insert(name, opening);
            }
            Ok(Found::Reply(move_)) => {
                if move_.is_none() {
                    tracing::warn!(%request, model, "all claims of the opponent are true: there is no reply");
                }
                self.replies.insert(name, move_);
            }
            Err(error) => {
                tracing::error!(%request, model, %error, "the computation failed");
                let kept = self.inferences.len();
                if error.is_memory() {
                    self.inferences.retain(|_, inference| Arc::strong_count(inference) > 1);
                    if self.inferences.len() < kept || !self.jobs.is_empty() {
                        self.started.remove(&name);
                    }
                }
            }
        }
    }

    fn asked(&self, case: &Case) -> Option<&Asked> {
        self.book.request(case.hash)
    }

    fn model(&self, case: &Case) -> Option<Arc<LoadedModel>> {
        self.models.get(&case.request.as_ref()?.model).cloned()
    }

    /// Whether the model of a request may not run yet.
    fn awaits_check(&mut self, case: &Case) -> bool {
        let waits = case.request.as_ref().is_some_and(|request| !self.checks.admit(request.model));
        if waits && self.started.insert(format!("check/{}", case.hash)) {
            let (request, model) = (case.id, self.model_name(case));
            tracing::info!(%request, model, "waiting until the image is checked");
        }
        waits
    }

    /// The name of a request's model.
    fn model_name(&self, case: &Case) -> String {
        self.model(case).map_or_else(|| "unknown".to_owned(), |model| model.name.clone())
    }

    /// The inference for a request, if the model and the input are available.
    fn inference(&mut self, case: &Case) -> Option<Arc<Inference>> {
        let (model, asked) = (self.model(case)?, self.asked(case)?);
        let Request { inputs: commitment, model: id, repetitions, .. } = asked.request;
        let key = [&commitment.0[..], &id.0, &repetitions.to_be_bytes()].concat();
        let key = B256::new(step::keccak(&key).0);
        if let Some(inference) = self.inferences.get(&key) {
            return Some(Arc::clone(inference));
        }
        let mut inputs = Vec::new();
        for (region, input) in model.inputs().iter().zip(asked.inputs.clone()) {
            inputs.push(match input.source {
                Source::Bytes => input.data,
                _ => {
                    let root = contracts::word(root(region, &input)?);
                    let Some(bytes) = self.preimages.find(root, region) else {
                        self.warn_of_missing(case, &model, inputs.len(), root);
                        if let Some(earlier) = earlier(&input) {
                            self.wanted.insert(root, (earlier, *region));
                        }
                        return None;
                    };
                    bytes
                }
            });
        }
        if !Inference::are_inputs(&model, &inputs, commitment) {
            if self.started.insert(format!("input/{commitment}")) {
                tracing::warn!(request = %case.id, model = model.name, "the inputs are not those of the request");
            }
            return None;
        }
        let inference = Arc::new(Inference::new(
            model,
            repetitions,
            inputs,
            self.config.tamper.clone(),
            self.config.max_memory,
        ));
        // Machines are large, so those that no request needs are dropped.
        if self.inferences.len() >= MOST_INFERENCES {
            self.inferences.retain(|_, inference| Arc::strong_count(inference) > 1);
        }
        self.inferences.insert(key, Arc::clone(&inference));
        Some(inference)
    }

    /// Warns once of an input without which a request can't be run.
    fn warn_of_missing(&mut self, case: &Case, model: &LoadedModel, input: usize, root: B256) {
        if self.started.insert(format!("input/{root}")) {
            let folder = self.config.inputs.as_deref().unwrap_or(std::path::Path::new("DIR"));
            let file = folder.join(format!("{root}.bin"));
            tracing::warn!(
                request = %case.id, model = model.name, input, file = %file.display(),
                "the bytes of an input are missing: the request doesn't show them, and there is no file with them"
            );
        }
    }

    /// Gets the bytes of inputs that earlier answers show, a few at each poll, in any order. They are found at the
    /// next poll; what a node doesn't have now is asked for again.
    async fn fetch_wanted(&mut self) -> Result<(), PlayerError> {
        for (root, (request, region)) in std::mem::take(&mut self.wanted).into_iter().take(MOST_FETCHED) {
            let Some(block) = self.book.answered_in(request)? else { continue };
            let logs = self.node.logs(self.config.deployment.service, block, block).await?;
            let answers = logs.iter().filter_map(Event::<IInferenceService::Answered>::of);
            let outputs =
                answers.filter(|event| event.data.id == request).flat_map(|event| event.data.outputs);
            for bytes in outputs.filter(|bytes| bytes.len() as u64 <= 1 << region.subtree.bits()) {
                if contracts::word(region_root(&region, &bytes)) == root {
                    self.keep(root, &bytes);
                }
            }
        }
        Ok(())
    }

    /// Keeps the outputs that are answered by root: a later request may take them as inputs.
    fn keep_outputs(&mut self, by_root: u64, computed: &Computed) {
        for (output, _) in computed.outputs.iter().zip(0..).filter(|(_, index)| is_by_root(by_root, *index)) {
            self.keep(contracts::word(output.root), &output.bytes);
        }
    }

    fn keep(&mut self, root: B256, bytes: &Bytes) {
        if let Err(error) = self.preimages.keep(root, bytes) {
            tracing::error!(%root, %error, "cannot keep an output, which later requests may need");
        }
    }
}

/// The request whose result an input is taken from.
fn earlier(input: &Input) -> Option<U256> {
    let first = input.data.get(..32).filter(|_| input.source == Source::Result)?;
    Some(U256::from_be_slice(first))
}

/// The answers to a call about these IDs. A request that is left out would go unseen.
fn complete<T>(ids: &[U256], answers: Vec<T>) -> Result<Vec<T>, PlayerError> {
    let (asked, found) = (ids.len(), answers.len());
    if asked == found { Ok(answers) } else { Err(PlayerError::Incomplete { asked, found }) }
}

/// How many IDs are asked about in one call.
const MOST_IDS: usize = 100;

/// How many earlier answers are looked for at each poll.
const MOST_FETCHED: usize = 4;

/// How many results are computed at the same time.
const MOST_RESULTS: usize = 4;

/// The maximum number of runs that are kept.
const MOST_INFERENCES: usize = 16;

/// The state of a running game.
fn open(case: &Case, game: U256) -> Option<&Position> {
    case.games.iter().find_map(|(id, standing)| match standing {
        GameStanding::Open(state) if *id == game => Some(&**state),
        _ => None,
    })
}

fn ether(wei: U256) -> f64 {
    f64::from(wei) / 1e18
}

/// The name under which a decided act is stored.
fn journal(name: &str) -> String {
    format!("act/{name}")
}

/// The name under which the store notes that a request was answered.
fn answered(id: U256, request: B256) -> String {
    format!("answered/{id}/{request}")
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
