//! A player: looks at the chain and does what is due.

use crate::book::BookError;
use crate::check::Checks;
use crate::duty::{Case, Duty, GameStanding, Role, challenger_of, duties, next_duty};
use crate::health::Health;
use crate::inputs::Preimages;
use crate::jobs::{Jobs, Workers};
use crate::model::{Computed, LoadedModel};
use crate::notes::Notes;
use crate::rhythm::Rhythm;
use crate::show::GameName;
use crate::view::View;
use crate::work::{Inferences, Tamper};
use chain::{
    Deployment, Ether, Fees, Head, NodeError, Nodes, PrivateKeySigner, Store, StoreError, Wallet, WalletError,
};
use contracts::cost::Shape;
use contracts::{Address, B256, Bytes, IInferenceService, IModelRegistry, Standing, Terms, U256};
use futures_util::future::join_all;
use game::{Region, Side};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;

/// The settings of a player.
#[derive(Clone)]
pub struct Config {
    /// The contracts.
    pub deployment: Deployment,
    /// Whether it answers or challenges.
    pub role: Role,
    /// What it offers for gas.
    pub fees: Fees,
    /// The least price of gas, in wei per unit, at which it must be able to pay for all its games.
    pub reserve_price: u128,
    /// The time between two looks at the chain.
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
    /// Where it notes how it is.
    pub health: Arc<Health>,
    /// How many bytes of memory the process may hold. `None` for most of the computer's memory.
    pub max_memory: Option<u64>,
    /// Where models are run.
    pub workers: Workers,
}

/// Why a player can't start, or why a look fails.
#[derive(Debug, Error)]
pub enum PlayerError {
    /// The node failed.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The wallet failed.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The book failed.
    #[error(transparent)]
    Book(#[from] BookError),
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
    /// Two nodes differ about a request.
    #[error("the nodes differ about the request; nothing is risked until they agree")]
    Doubtful,
    /// The system provides no thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl PlayerError {
    /// The error of the store, if that is the cause.
    #[must_use]
    pub fn of_store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error)
            | Self::Book(BookError::Store(error))
            | Self::Wallet(WalletError::Store(error)) => Some(error),
            _ => None,
        }
    }

    /// Whether a contract refuses what the player wants to do.
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Wallet(WalletError::Node(NodeError::Reverted { .. })))
    }

    /// Whether another player has taken over this one's part.
    fn is_end(&self) -> bool {
        matches!(self.of_store(), Some(StoreError::Taken(_)))
    }

    /// Whether it may be over in a moment, when a player starts.
    fn passes(&self) -> bool {
        let lasts = |error: &NodeError| {
            use NodeError::{Denied, NotRpc, OtherChain, Url};
            matches!(error, OtherChain { .. } | Denied { .. } | NotRpc { .. } | Url { .. })
        };
        matches!(self, Self::Node(error) if !lasts(error))
    }
}

/// A server or a validator.
pub struct Player {
    pub(crate) node: Nodes,
    pub(crate) wallet: Wallet,
    pub(crate) store: Arc<Store>,
    pub(crate) config: Config,
    pub(crate) terms: Terms,
    pub(crate) view: View,
    pub(crate) models: HashMap<B256, Arc<LoadedModel>>,
    /// The checks of the models' images.
    pub(crate) checks: Checks,
    pub(crate) inferences: Inferences,
    /// By the hashes of requests: after a reorganization a number may belong to another request.
    pub(crate) results: HashMap<B256, Computed>,
    /// The bytes of inputs and outputs that are given by root.
    pub(crate) preimages: Preimages,
    /// Inputs that lack their bytes, by root: the earlier request whose answer may show them, and their region.
    pub(crate) wanted: HashMap<B256, (U256, Region)>,
    pub(crate) openings: HashMap<String, Vec<B256>>,
    pub(crate) replies: HashMap<String, Option<Bytes>>,
    pub(crate) jobs: Jobs,
    /// How many games may have to be paid for as the asserter and as the challenger.
    pub(crate) games: [u64; 2],
    /// What was logged and is not to be logged again.
    pub(crate) notes: Notes,
    /// The last head that was looked at, and how regularly heads come.
    last: Option<Head>,
    rhythm: Rhythm,
    /// How many looks there were at new heads.
    looks: u64,
    /// How many requests were closed since the store was made smaller.
    closed: usize,
}

/// What a player must know of the chain before it starts.
struct Setting {
    terms: Terms,
    head: Head,
    balance: U256,
    unregistered: Vec<B256>,
}

impl Player {
    /// A player with these models. If no node answers, it waits until one does, or until `stop` completes; then
    /// there is none.
    pub async fn start(
        config: Config,
        node: Nodes,
        signer: PrivateKeySigner,
        store: Arc<Store>,
        models: Vec<LoadedModel>,
        stop: impl Future<Output = ()>,
    ) -> Result<Option<Self>, PlayerError> {
        tokio::pin!(stop);
        let ids: Vec<B256> = models.iter().map(LoadedModel::id).collect();
        let mut pause = Duration::from_millis(500);
        let setting = loop {
            let found = tokio::select! {
                () = &mut stop => return Ok(None),
                found = Self::explore(&config, &node, signer.address(), &ids) => found,
            };
            match found {
                Ok(setting) => break setting,
                Err(error) if error.passes() => {
                    tracing::warn!(%error, ?pause, "no node answers yet; trying again");
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = &mut stop => return Ok(None),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (2 * pause).min(Duration::from_secs(10));
        };
        Self::with(config, node, signer, store, models, setting).map(Some)
    }

    /// Finds out what a player must know.
    async fn explore(
        config: &Config,
        node: &Nodes,
        account: Address,
        models: &[B256],
    ) -> Result<Setting, PlayerError> {
        let Deployment { service, registry, .. } = config.deployment;
        let head = node.head().await?;
        let terms = IInferenceService::termsCall {};
        let cards = models.iter().map(|&id| async move {
            (id, node.call(registry, &IModelRegistry::cardOfCall { id }, head.hash).await)
        });
        let (at_service, at_registry, terms, balance, cards) = tokio::join!(
            node.has_code(service),
            node.has_code(registry),
            node.call(service, &terms, head.hash),
            node.balance(account),
            join_all(cards)
        );
        for (contract, exists) in [(service, at_service?), (registry, at_registry?)] {
            if !exists {
                return Err(PlayerError::NoContract(contract));
            }
        }
        let (terms, balance) = (terms?, balance?);
        let mut unregistered = Vec::new();
        for (id, card) in cards {
            match card {
                Ok(_) => {}
                Err(error) if error.is("Unknown") => unregistered.push(id),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Setting { terms, head, balance, unregistered })
    }

    fn with(
        config: Config,
        node: Nodes,
        signer: PrivateKeySigner,
        store: Arc<Store>,
        models: Vec<LoadedModel>,
        setting: Setting,
    ) -> Result<Self, PlayerError> {
        let Setting { terms, head, balance, unregistered } = setting;
        let Deployment { chain_id, service, block, .. } = config.deployment;
        config.health.clock(terms.clock.into());
        let wallet = Wallet::open(signer, node.clone(), Arc::clone(&store), config.fees)?;
        let models: HashMap<B256, Arc<LoadedModel>> =
            models.into_iter().map(|model| (model.id(), Arc::new(model))).collect();
        let (account, eth) = (wallet.address(), Ether(balance));
        let view = View::open(Arc::clone(&store), service, account, &terms, block, models.clone())?;
        let checks = Checks::start(Arc::clone(&store), &models, Arc::clone(&config.health))?;
        let preimages = Preimages::new(config.inputs.clone());
        tracing::info!(%account, %eth, chain = chain_id, %service, role = config.role.name(), "ready");
        let jobs = Jobs::new(config.workers.clone());
        let new = Self {
            node,
            wallet,
            store,
            config,
            terms,
            view,
            models,
            checks,
            inferences: Inferences::default(),
            results: HashMap::new(),
            preimages,
            wanted: HashMap::new(),
            openings: HashMap::new(),
            replies: HashMap::new(),
            jobs,
            games: [0, 0],
            notes: Notes::default(),
            last: None,
            rhythm: Rhythm::default(),
            looks: 0,
            closed: 0,
        };
        for (id, model) in &new.models {
            let runs = if model.native.is_some() { "natively" } else { "in the machine" };
            tracing::info!(model = model.name, %id, runs, "the model is ready");
            if unregistered.contains(id) {
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

    /// Plays until `stop` completes, or another player has taken over. What else fails in one look is tried again in the
    /// next.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) -> Result<(), PlayerError> {
        tokio::pin!(stop);
        let mut failures = 0u32;
        loop {
            // Reading a long history takes long. It can stop anywhere, since a restarted player continues from
            // there.
            let looked = tokio::select! {
                () = &mut stop => return Ok(()),
                looked = self.look() => looked,
            };
            if looked.as_ref().is_err_and(PlayerError::is_end) {
                return looked;
            }
            failures = if looked.is_ok() { 0 } else { failures + 1 };
            // A failing node gets longer pauses, but never longer than a running clock allows.
            let (interval, most) = (
                self.config.poll_interval,
                Duration::from_secs((u64::from(self.terms.clock) / 20).clamp(1, 30)),
            );
            let longer = interval * 2u32.saturating_pow(failures.min(6));
            let pause = longer.max(self.quiet(failures)).min(most.max(interval));
            if let Err(error) = looked {
                self.config.health.poll_failed(&error);
                metrics::counter!("opml_failed_polls_total").increment(1);
                // Every line is worth reading: not each of a thousand equal ones.
                if failures.is_power_of_two() {
                    let advice = error.of_store().and_then(StoreError::advice);
                    tracing::warn!(%error, advice, failures, ?pause, "a look at the chain is incomplete; trying again");
                }
            }
            let pause = tokio::time::sleep(pause);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut stop => return Ok(()),
                    () = &mut pause => break,
                    done = self.jobs.next() => self.take(done),
                }
                // What was computed may be urgent. The next look would take several round trips.
                if let Some(head) = self.last {
                    tokio::select! {
                        () = &mut stop => return Ok(()),
                        _ = self.do_duties(&head) => {}
                    }
                }
            }
        }
    }

    /// For how long nothing can be seen on the chain, if nothing else waits for a look.
    fn quiet(&self, failures: u32) -> Duration {
        let is_pressed = self.view.is_curious() || self.wallet.is_pressed();
        let until =
            self.rhythm.quiet_until(self.config.poll_interval).filter(|_| failures == 0 && !is_pressed);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Looks at the chain once and does what is due. It goes on where something fails, and returns the first
    /// error.
    pub async fn look(&mut self) -> Result<(), PlayerError> {
        self.store.check()?;
        while let Some(done) = self.jobs.try_next() {
            self.take(done);
        }
        let mut troubles = Vec::new();
        troubles.extend(self.checks.follow(&mut self.models).err().map(PlayerError::from));
        let asked = Instant::now();
        let head = self.node.head().await?;
        self.rhythm.note(&head, asked);
        metrics::gauge!("opml_head_block").set(head.number as f64);
        metrics::gauge!("opml_head_standstill_seconds").set(self.node.standstill().as_secs_f64());
        let is_new = self.last.is_none_or(|last| last.hash != head.hash);
        if is_new || self.view.is_curious() {
            self.looks += 1;
            // One call of a look is for what can wait.
            let spare = !self.ask_for_money(&head, &mut troubles).await;
            let (seen, mined) =
                tokio::join!(self.view.look(&self.node, &head, spare), self.wallet.tend(&head));
            troubles.extend(seen);
            mined.map_or_else(|error| troubles.push(error.into()), |mined| self.note_mined(&mined));
        } else if self.wallet.is_pressed() {
            self.wallet.tend(&head).await?;
        }
        self.last = Some(head);
        troubles.extend(self.do_duties(&head).await);
        for id in self.view.over(&head) {
            troubles.extend(self.close(id, &head).await.err());
        }
        troubles.extend(self.compact().err());
        troubles.extend(self.fetch_wanted().await.err());
        let health = &self.config.health;
        health.keeps(self.kept());
        health.store(troubles.iter().find_map(PlayerError::of_store).map(ToString::to_string));
        // Nothing comes of going on when somebody else does.
        if let Some(end) = troubles.iter().position(PlayerError::is_end) {
            return Err(troubles.swap_remove(end));
        }
        match troubles.into_iter().next() {
            None => {
                health.polled(head.number, head.time);
                Ok(())
            }
            Some(error) => Err(error),
        }
    }

    /// Does what is due in every case, those with the nearest deadline first.
    async fn do_duties(&mut self, head: &Head) -> Option<PlayerError> {
        let gas_price = chain::bid(&self.config.fees, head.base_fee, 1, 0, false).max_fee;
        let mut trouble = None;
        let (role, me) = (self.config.role, self.wallet.address());
        self.games = self.view.paid_games();
        for id in self.view.in_need(head.time) {
            let Some(mut case) = self.view.case(id).cloned() else { continue };
            case.gas_price = gas_price;
            case.truth = self.results.get(&case.hash).map(|computed| computed.result);
            let duties = duties(&role, me, &self.terms, head.time, &case);
            let mut refused = false;
            for duty in &duties {
                if let Err(error) = self.perform(duty, &case, head).await {
                    refused |= error.is_refusal();
                    self.report(duty, &case, &error);
                    trouble = trouble.or(matches!(error, PlayerError::Node(_)).then_some(error));
                }
            }
            self.log_outcomes(&case);
            // What the contract refuses it refuses until the next block. If there is a deadline, the node may be behind.
            let next = match refused && duties.iter().all(Duty::can_wait) {
                true => head.time.saturating_add(1),
                false => next_duty(&role, me, &self.terms, head.time, &case),
            };
            self.view.wake_at(id, next);
        }
        // Everything at once: in several games, every second counts.
        trouble = trouble.or(self.wallet.flush().await.err().map(PlayerError::from));
        self.tell_deadline(head);
        trouble
    }

    /// Notes when the nearest clock ends that runs against the player.
    fn tell_deadline(&self, head: &Head) {
        let (mut open, mut nearest, clock) = (0u32, u64::MAX, u64::from(self.terms.clock));
        for (game, standing) in self.view.games() {
            let GameStanding::Open(state) = standing else { continue };
            let (place, mine) = (state.place(), challenger_of(game) == self.wallet.address());
            open += 1;
            if mine == (place.mover == Side::Challenger) {
                nearest = nearest.min(place.deadline().saturating_sub(head.time));
            }
        }
        metrics::gauge!("opml_open_games").set(f64::from(open));
        // If nothing is due, use the whole clock: an alarm ends with its game.
        metrics::gauge!("opml_nearest_deadline_seconds").set(nearest.min(clock) as f64);
        let pressed = nearest < clock;
        self.config.health.deadline(pressed.then_some(head.time.saturating_add(nearest)));
    }

    /// Logs once why a duty can't be done. It is tried again.
    fn report(&mut self, duty: &Duty, case: &Case, error: &PlayerError) {
        // The next block will be late enough.
        if matches!(error, PlayerError::Wallet(WalletError::Node(error)) if error.is("Early")) {
            return;
        }
        let (request, model) = (case.id, self.model_name(case));
        let deadline = Some(case.deadline(self.terms.window.into())).filter(|at| *at < u64::MAX);
        self.config.health.waits(request, duty, deadline, error);
        if self.notes.is_new(case.id, &format!("not done/{duty:?}/{error}")) {
            tracing::warn!(%request, model, %duty, %error, "cannot do it now; trying again");
        }
    }

    /// Logs once that an answer turned out to be right, that it was overturned, and how games ended.
    fn log_outcomes(&mut self, case: &Case) {
        let (request, model, answer) = (case.id, self.model_name(case), &case.answer);
        let (attempt, asserter, me) = (answer.attempt, answer.asserter, self.wallet.address());
        let right =
            answer.standing == Standing::Pending && case.truth == Some(answer.result) && asserter != me;
        if right && self.notes.is_new(request, &format!("right/{attempt}/{}", answer.result)) {
            tracing::info!(%request, model, attempt, %asserter, "checked the answer: it is right");
        }
        let overturned = answer.standing == Standing::Overturned;
        if overturned && self.notes.is_new(request, &format!("overturned/{attempt}")) {
            if asserter == me {
                let eth = Ether(self.terms.asserterBond.to());
                tracing::error!(%request, model, attempt, %eth, "our answer was overturned: its bond is lost");
            } else {
                tracing::info!(%request, model, attempt, %asserter, "the answer was overturned");
            }
        }
        for (id, standing) in &case.games {
            let GameStanding::Over(Some(winner)) = standing else { continue };
            if self.notes.is_new(request, &format!("over/{id}")) {
                let (game, winner) =
                    (GameName(*id), if *winner == Side::Asserter { "asserter" } else { "challenger" });
                tracing::info!(%request, model, %game, winner, "the game is over");
            }
        }
    }

    /// Forgets a request that is over, and everything that was kept for it.
    async fn close(&mut self, id: U256, head: &Head) -> Result<(), PlayerError> {
        if let Some(case) = self.view.case(id).cloned() {
            let certain = self.is_certain(&case, head).await;
            // It is believed for ever. If a node has lied, its state is read again.
            if !certain? {
                return Ok(());
            }
        }
        let mut gone = Vec::new();
        for prefix in [format!("act/{id:020}/"), format!("answered/{id:020}/")] {
            gone.extend(self.store.names(&prefix)?.into_iter().map(|name| (name, None)));
        }
        // After a reorganization, there may be several.
        for hash in self.view.close(id, gone)? {
            self.results.remove(&hash);
        }
        self.closed += 1;
        self.notes.forget(id);
        self.jobs.forget(id);
        let challenge = format!("challenge/{id}/");
        self.openings.retain(|name, _| !name.starts_with(&challenge));
        let move_ = format!("move/{id}/");
        self.replies.retain(|name, _| !name.starts_with(&move_));
        Ok(())
    }

    /// Makes the store smaller once as many requests were closed as are open, so that it is never much larger than what
    /// is in it, and that costs little for each.
    fn compact(&mut self) -> Result<(), PlayerError> {
        const LEAST: usize = 100;
        if self.closed >= self.view.open_cases().max(LEAST) {
            // If it fails, not at every look: it can wait.
            self.closed = 0;
            self.store.compact()?;
        }
        Ok(())
    }

    /// How many entries of each kind the player keeps in memory.
    fn kept(&self) -> Vec<(&'static str, usize)> {
        let mut kept = vec![
            ("inferences", self.inferences.len()),
            ("results", self.results.len()),
            ("preimages", self.preimages.kept()),
            ("wanted", self.wanted.len()),
            ("openings", self.openings.len()),
            ("replies", self.replies.len()),
            ("notes", self.notes.kept()),
            ("failed jobs", self.jobs.failed()),
            ("acts", self.wallet.kept()),
        ];
        kept.extend(self.view.kept());
        kept
    }

    /// Whether it is this look's turn to ask for the player's money.
    pub(crate) fn is_turn(&self, of: u64) -> bool {
        /// So many looks have one for each thing that can wait.
        const TURNS: u64 = 32;
        self.looks % TURNS == of
    }

    pub(crate) fn model(&self, case: &Case) -> Option<Arc<LoadedModel>> {
        self.models.get(&case.request.as_ref()?.model).cloned()
    }

    /// The name of a request's model.
    pub(crate) fn model_name(&self, case: &Case) -> String {
        self.model(case).map_or_else(|| "unknown".to_owned(), |model| model.name.clone())
    }
}
