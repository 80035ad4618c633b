//! How a player does its duties: what it sends, under which name, and whether it can pay for what may follow.

use crate::book::Position;
use crate::duty::{Case, Duty, GameStanding, game_id};
use crate::player::{Player, PlayerError};
use crate::show::{Deadline, GameName, Short, range};
use crate::task::{Task, Turn, read_move};
use chain::{Act, Ether, Head, Mined, StoreError};
use contracts::cost::{Kind, Schedule, Shape};
use contracts::{Address, IDisputeGame, IInferenceService, SolCall, U256};
use game::Side;

/// An act to be sent.
struct Sending<'a, C> {
    /// The request that it is about.
    case: &'a Case,
    /// The act's name. It contains everything that the call depends on. Otherwise a reorganization could make the
    /// player send an old call for another request.
    name: String,
    /// What the act does, for people.
    about: String,
    call: &'a C,
    value: U256,
    deadline: Option<u64>,
    /// The most gas that it can need; zero if that isn't known.
    gas: u64,
}

impl Player {
    pub(crate) async fn perform(&mut self, duty: &Duty, case: &Case, head: &Head) -> Result<(), PlayerError> {
        match duty {
            Duty::Compute => self.compute(case),
            Duty::Answer => self.answer(case, head).await,
            Duty::Settle => self.settle(case, head).await,
            Duty::Challenge => self.challenge(case, head).await,
            Duty::Reply(game) => self.reply(case, *game, head).await,
            Duty::Timeout(game) => self.end_game(case, *game, head).await,
            Duty::Reclaim(game) => self.reclaim(case, *game, head).await,
        }
    }

    async fn answer(&mut self, case: &Case, head: &Head) -> Result<(), PlayerError> {
        let (id, attempt) = (case.id, case.answer.attempt.saturating_add(1));
        let name = format!("answer/{id}/{}/{attempt}", case.hash);
        if !self.can_show(case) {
            return Ok(());
        }
        let (Some(request), Some(computed)) = (&case.request, self.results.get(&case.hash)) else {
            return Ok(());
        };
        let (fee, result) = (Ether(request.fee.to()), Short(computed.result));
        let outputs = computed.shown(request.byRoot);
        let call = IInferenceService::answerCall { id, request_: request.clone(), outputs };
        let bond = U256::from(self.terms.asserterBond);
        if self.is_new(case, &name)? {
            if !self.can_pay(case, bond, Side::Asserter, head).await? || !self.is_certain(case, head).await? {
                return Ok(());
            }
            let (model, eth) = (self.model_name(case), Ether(bond));
            tracing::info!(request = %id, model, attempt, %result, %fee, %eth, "answering, with a bond");
        }
        let about = format!("answer request {id}");
        self.act(Sending { case, name, about, call: &call, value: bond, deadline: None, gas: 0 }, head).await
    }

    async fn settle(&mut self, case: &Case, head: &Head) -> Result<(), PlayerError> {
        let (id, answer) = (case.id, &case.answer);
        let name = format!("settle/{id}/{}/{}/{}", case.hash, answer.attempt, answer.result);
        let Some(request) = case.request.clone() else { return Ok(()) };
        // Only a callback needs the outputs.
        let (outputs, data) = match (request.callback, self.results.get(&case.hash)) {
            (Address::ZERO, _) => Default::default(),
            (_, Some(computed)) => match self.view.book.given(id, case.hash)? {
                Some((_, data)) => (computed.shown(request.byRoot), data),
                None => return Ok(()),
            },
            (_, None) => return Ok(()),
        };
        let earned = U256::from(self.terms.asserterBond).saturating_add(U256::from(request.fee));
        let call = IInferenceService::settleCall { id, request_: request, outputs, callbackData: data };
        if self.is_new(case, &name)? {
            let (model, eth) = (self.model_name(case), Ether(earned));
            tracing::info!(request = %id, model, %eth, "the window is over: settling for bond and fee");
        }
        let about = format!("settle request {id}");
        self.act(Sending { case, name, about, call: &call, value: U256::ZERO, deadline: None, gas: 0 }, head)
            .await
    }

    async fn end_game(&mut self, case: &Case, game: U256, head: &Head) -> Result<(), PlayerError> {
        let Some(state) = open(case, game) else { return Ok(()) };
        let id = case.id;
        let name = format!("timeout/{game}/{}", state.hash(game));
        let call =
            IDisputeGame::timeoutCall { id: game, game: state.game.clone(), claims: state.claims_root() };
        let shown = GameName(game);
        if self.is_new(case, &name)? {
            let (model, range) = (self.model_name(case), range(&state.place()));
            tracing::info!(request = %id, model, game = %shown, range, "the opponent ran out of time: ending the game");
        }
        let about = format!("end game {shown} by timeout");
        let gas = self.most_gas(case, Kind::Timeout);
        self.act(Sending { case, name, about, call: &call, value: U256::ZERO, deadline: None, gas }, head)
            .await
    }

    async fn reclaim(&mut self, case: &Case, game: U256, head: &Head) -> Result<(), PlayerError> {
        let Some(state) = open(case, game) else { return Ok(()) };
        let id = case.id;
        let claims = state.claims_root();
        let call = IInferenceService::reclaimCall { id: game, game: state.game.clone(), claims };
        let (name, shown) = (format!("reclaim/{game}/{}", state.hash(game)), GameName(game));
        if self.is_new(case, &name)? {
            let (model, eth) = (self.model_name(case), Ether(self.terms.challengerBond.to()));
            tracing::info!(request = %id, model, game = %shown, %eth, "another game ended ours: reclaiming the bond");
        }
        let about = format!("reclaim the bond of game {shown}");
        self.act(Sending { case, name, about, call: &call, value: U256::ZERO, deadline: None, gas: 0 }, head)
            .await
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
        let (Some(model), Some(inference)) = (self.model(case), self.inference(case)?) else { return Ok(()) };
        let Some(opening) = self.openings.get(&name) else {
            let (job, arity) = (self.job(name, case), self.terms.arity.into());
            let asserter = case.answer.asserter;
            if self.start_job(job, inference, Task::Opening { arity }) {
                let (claimed, ours) = (Short(case.answer.result), Short(case.truth.unwrap_or_default()));
                tracing::info!(
                    request = %id, model = model.name, attempt, %asserter, %claimed, %ours, %deadline,
                    "the answer is wrong: preparing a challenge"
                );
            }
            return Ok(());
        };
        let Some(request) = &case.request else { return Ok(()) };
        let call = IInferenceService::challengeCall {
            id,
            request_: request.clone(),
            model: contracts::model(&model.commitment),
            asserted: case.answer.result,
            words: opening.clone(),
        };
        if self.is_new(case, &name)? {
            if !self.can_pay(case, bond, Side::Challenger, head).await?
                || !self.is_certain(case, head).await?
            {
                return Ok(());
            }
            let (model, eth) = (&model.name, Ether(bond));
            tracing::info!(request = %id, model, %game, round = 1, %deadline, %eth, "challenging, with a bond");
        }
        let (about, deadline) = (format!("challenge the answer to request {id}"), Some(until));
        let gas = self.most_gas(case, Kind::Challenge);
        self.act(Sending { case, name, about, call: &call, value: bond, deadline, gas }, head).await
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
        let name = format!("move/{request}/{game}/{hash}");
        // A move decided before a crash is sent unchanged, even if the decision would now differ.
        if let Some(act) = self.store.load::<Act>(&journal(case.id, &name))? {
            return Ok(self.wallet.prepare(act, head).await?);
        }
        if self.awaits_check(case) {
            return Ok(());
        }
        let (Some(model), Some(inference)) = (self.model(case), self.inference(case)?) else {
            if self.notes.is_new(request, &format!("lacks/{game}")) {
                tracing::error!(
                    %request, game = %shown, %deadline, %eth,
                    "it is our turn, but the model or the input is missing: without it the game and the bond are lost"
                );
            }
            return Ok(());
        };
        let arity = u64::from(self.terms.arity);
        let round = format!("{} of at most {}", self.view.book.rounds(game) + 1, model.most_moves(arity));
        let turn = Turn {
            game,
            state: (state.game.subject, state.game.position),
            start: state.start,
            claims: state.claims.clone(),
            arity,
            at_once: self.config.at_once,
        };
        let Some(data) = self.replies.get(&name) else {
            let (job, range, model) = (self.job(name, case), range(&place), &model.name);
            if self.start_job(job, inference, Task::Reply(turn)) {
                tracing::info!(%request, model, game = %shown, round, range, %deadline, "our turn: computing the reply");
            }
            return Ok(());
        };
        let Some(data) = data.clone() else { return Ok(()) };
        let Some((action, kind)) = read_move(&data, &turn) else { return Ok(()) };
        let model = &model.name;
        tracing::info!(%request, model, game = %shown, round, %deadline, %eth, "replying: {action}");
        let act = Act {
            name: name.clone(),
            about: format!("move in game {shown}: {action}"),
            to: Some(self.config.deployment.service),
            value: U256::ZERO,
            data,
            deadline: Some(deadline.at),
            stake: stake.to(),
            gas: self.most_gas(case, kind),
        };
        self.store.save(&journal(case.id, &name), &act)?;
        metrics::counter!("opml_moves_total").increment(1);
        self.wallet.prepare(act, head).await?;
        self.replies.remove(&name);
        Ok(())
    }

    /// Whether an answer can give the outputs as the request wants them.
    fn can_show(&mut self, case: &Case) -> bool {
        let (Some(request), Some(model)) = (&case.request, self.model(case)) else { return false };
        let computed = self.results.get(&case.hash);
        let can = computed.is_none_or(|computed| computed.can_be_shown(request.byRoot, model.outputs()));
        if !can && self.notes.is_new(case.id, "not shown") {
            tracing::warn!(
                request = %case.id, model = model.name,
                "not answering: there is something behind an output in its region, so no bytes have its root"
            );
        }
        can
    }

    // ---- Money

    /// Whether the player can pay a bond, and for every game that may follow: one against each answer of its own that
    /// may still be challenged, and each that it has opened. Whoever can't pay for its moves loses true answers.
    async fn can_pay(
        &mut self,
        case: &Case,
        bond: U256,
        side: Side,
        head: &Head,
    ) -> Result<bool, PlayerError> {
        let Some(shape) = self.shape(case) else { return Ok(false) };
        let price = U256::from(case.gas_price.max(self.config.reserve_price));
        let cost = |side| U256::from(shape.most_gas(side)) * price;
        let [asserter, challenger] = self.games.map(U256::from);
        let open = asserter * cost(Side::Asserter) + challenger * cost(Side::Challenger);
        let needed = bond.saturating_add(cost(side)).saturating_add(open);
        // Asked for once per head: what can't be paid for is tried at every look.
        let balance = self.wallet.available(needed, head).await?;
        if balance >= needed {
            self.games[usize::from(side == Side::Challenger)] += 1;
            self.config.health.money(what(side), None);
            return Ok(true);
        }
        metrics::counter!("opml_unaffordable_total").increment(1);
        let lacks = format!("{} ETH are needed, but there are {}", Ether(needed), Ether(balance));
        self.config.health.money(what(side), Some(lacks));
        if self.notes.is_new(case.id, "reserve") {
            let (needed, eth, games) = (Ether(needed), Ether(balance), asserter + challenger);
            let (what, model) = (what(side), self.model_name(case));
            tracing::warn!(
                request = %case.id, model, %needed, %eth, %games,
                "not {what}: the balance doesn't cover the bond and the games that may follow"
            );
        }
        Ok(false)
    }

    fn shape(&self, case: &Case) -> Option<Shape> {
        let model = self.model(case)?;
        Some(Shape::of(&model.commitment, model.longest(), self.terms.arity.into()))
    }

    /// The most gas that a move can need.
    fn most_gas(&self, case: &Case, kind: Kind) -> u64 {
        let Some(shape) = self.shape(case) else { return 0 };
        Schedule::ALL.iter().map(|schedule| shape.bound(kind, schedule).gas).max().unwrap_or_default()
    }

    /// Whether another node agrees with what is known of a request, if there is another one. A bond must not hang on
    /// what a single node says.
    pub(crate) async fn is_certain(&mut self, case: &Case, head: &Head) -> Result<bool, PlayerError> {
        if self.node.count() < 2 {
            return Ok(true);
        }
        let call = IInferenceService::statusOfCall { ids: vec![case.id] };
        let service = self.config.deployment.service;
        let Some(found) = self.node.confirm_call(service, &call, head.hash).await? else { return Ok(true) };
        let same =
            found.first().is_some_and(|status| status.hash == case.hash && status.answer == case.answer);
        if !same {
            self.view.doubt(case.id);
        }
        Ok(same)
    }

    /// Asks for the player's balance and for what the service owes it, each from time to time, and has the latter
    /// paid out if that is worth the gas. Says whether anything was asked for.
    pub(crate) async fn ask_for_money(&mut self, head: &Head, troubles: &mut Vec<PlayerError>) -> bool {
        let account = self.wallet.address();
        // While a clock runs, every round trip counts.
        if self.view.is_playing() {
            return false;
        }
        if self.is_turn(3) {
            match self.node.balance(account).await {
                Ok(balance) => metrics::gauge!("opml_balance_ether").set(ether(balance)),
                Err(error) => troubles.push(error.into()),
            }
            return true;
        }
        if !self.view.credited && !self.is_turn(5) {
            return false;
        }
        let call = IInferenceService::balancesCall { account };
        match self.node.call(self.config.deployment.service, &call, head.hash).await {
            Ok(owed) => {
                metrics::gauge!("opml_credited_ether").set(ether(owed));
                self.view.credited = false;
                troubles.extend(self.withdraw(owed, head).await.err());
            }
            Err(error) => troubles.push(error.into()),
        }
        true
    }

    /// Has the service pay out what it owes the player, unless the gas costs more.
    async fn withdraw(&mut self, owed: U256, head: &Head) -> Result<(), PlayerError> {
        /// What a withdrawal costs at most. An account with code may need more; then the contract refuses.
        const GAS: u64 = 80_000;
        let price = chain::bid(&self.config.fees, head.base_fee, GAS, 0, false).max_fee;
        if owed <= U256::from(GAS) * U256::from(price) || self.wallet.has("withdraw/") {
            return Ok(());
        }
        let act = Act {
            name: format!("withdraw/{}", head.number),
            about: "withdraw the balance".to_owned(),
            to: Some(self.config.deployment.service),
            value: U256::ZERO,
            data: IInferenceService::withdrawCall {}.abi_encode().into(),
            deadline: None,
            stake: 0,
            gas: 0,
        };
        tracing::info!(eth = %Ether(owed), "withdrawing what the service owes us");
        // An account that refused a payment may refuse this one too. All else goes on.
        Ok(self.wallet.submit(act, head).await?)
    }

    /// Notes what was mined.
    pub(crate) fn note_mined(&mut self, mined: &[Mined]) {
        self.view.credited |= mined.iter().any(|mined| mined.name.starts_with("withdraw/"));
    }

    // ---- Acts

    /// Whether an act of this name has not been decided yet.
    fn is_new(&self, case: &Case, name: &str) -> Result<bool, StoreError> {
        Ok(self.store.get(&journal(case.id, name))?.is_none())
    }

    /// Sends a call under a name. If a call was already sent under this name, it sends that one again.
    async fn act<C: SolCall>(&mut self, sending: Sending<'_, C>, head: &Head) -> Result<(), PlayerError> {
        let Sending { case, name, about, call, value, deadline, gas } = sending;
        let entry = journal(case.id, &name);
        if let Some(act) = self.store.load::<Act>(&entry)? {
            return Ok(self.wallet.prepare(act, head).await?);
        }
        let (to, stake) = (Some(self.config.deployment.service), value.saturating_to());
        let act = Act { name, about, to, value, data: call.abi_encode().into(), deadline, stake, gas };
        self.store.save(&entry, &act)?;
        Ok(self.wallet.prepare(act, head).await?)
    }
}

/// The state of a running game.
fn open(case: &Case, game: U256) -> Option<&Position> {
    case.games.iter().find_map(|(id, standing)| match standing {
        GameStanding::Open(state) if *id == game => Some(&**state),
        _ => None,
    })
}

/// What a side needs its bond for.
fn what(side: Side) -> &'static str {
    if side == Side::Asserter { "answering" } else { "challenging" }
}

fn ether(wei: U256) -> f64 {
    f64::from(wei) / 1e18
}

/// The name under which a decided act is stored. Those of a request are forgotten with it.
fn journal(request: U256, name: &str) -> String {
    format!("act/{request:020}/{name}")
}
