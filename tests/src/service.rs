//! One request played twice: by `game::dispute` in Rust, and by the service in an EVM. Both must agree on
//! every act, every refusal and every wei.

use crate::board::{registry, told_verifier, translated};
use contracts::{
    Address, B256, Bytes, IDisputeGame, IInferenceService, IModelRegistry, Input, Order, Request, SolCall,
    Source, Standing, Terms, U256,
};
use evm::chain::{Chain, Outcome as Executed, Receipt};
use game::dispute::{self, Assertion, Dispute, Payment, Refused};
use game::fake::Fake;
use game::{Challenge, Clocks, Model, Move};
use std::collections::BTreeMap;

/// The requester.
pub const REQUESTER: Address = Address::repeat_byte(0x0e);
const DEPLOYER: Address = Address::repeat_byte(0xdd);
/// What each account has at the beginning.
const MONEY: u64 = 1 << 62;
/// What a request pays.
const FEE: u64 = 1_000;

/// The terms, in both.
pub const TERMS: dispute::Terms = dispute::Terms {
    window: 100,
    clocks: Clocks { asserter: 40, challenger: 40 },
    arity: 4,
    asserter_bond: 5_000_000_000_000_000,
    challenger_bond: 2_000_000_000_000_000,
    burned: 1_500_000_000_000_000,
};

/// A game's state as calls pass it in, with the root of its claims.
type State = (contracts::Game, B256);

/// A request, its answers and the games against them.
pub struct Stage {
    chain: Chain,
    service: Address,
    id: U256,
    request: Request,
    model: Model,
    truth: Fake,
    attempt: u16,
    /// The dispute in Rust, once there is an answer.
    pub dispute: Option<Dispute<Address>>,
    /// The challengers, in the order of their games.
    pub challengers: Vec<Address>,
    /// What each account was given at the beginning, and what it has spent since.
    spent: BTreeMap<Address, u64>,
    /// Games that were open when an earlier answer fell, with their states.
    past: Vec<(Address, U256, State)>,
    /// Bonds that the fall of an answer frees, until they are reclaimed.
    owed: BTreeMap<Address, u64>,
    /// What each game gets beside its bond if its answer was overturned in another one.
    shares: BTreeMap<U256, u64>,
    credited: BTreeMap<Address, u64>,
    burned: u64,
    settled: bool,
    /// The time of the next act.
    pub now: u64,
}

/// The result of an act: nothing, or the error's name.
pub type Verdict = Result<(), &'static str>;

impl Stage {
    /// A request for a run, on the service with this creation code.
    ///
    /// # Panics
    /// If something can't be deployed, or if the two differ, as in all other functions.
    #[must_use]
    pub fn with(code: Option<Vec<u8>>, truth: &Fake) -> Self {
        const NOW: u64 = 1_700_000_000;
        let model = truth.model().expect("a model");
        let mut chain = Chain::new();
        chain.set_time(NOW);
        for account in [REQUESTER].into_iter().chain((0..=255).map(account)) {
            chain.fund(account, U256::from(MONEY));
        }
        // Steps are decided by a verifier that is told the answers.
        let registry = registry(&mut chain, model.profile.extensions(), told_verifier());
        let call = IModelRegistry::registerCall { model: contracts::model(&model) };
        let (listed, _) = chain.transact(DEPLOYER, registry, &call).expect("a model");
        assert_eq!(listed, contracts::model_id(&model));
        let code = match code {
            None => contracts::inference_service(registry, &contract_terms()),
            Some(code) => contracts::service_from(code, registry, &contract_terms()),
        };
        let (service, _) = chain.deploy(DEPLOYER, code).expect("a service");
        let order = Order {
            model: listed,
            repetitions: 0,
            byRoot: 0,
            callback: Address::ZERO,
            callbackGas: 0,
            callbackData: Bytes::new(),
        };
        let inputs = vec![Input { source: Source::Bytes, data: truth.input_bytes().into() }];
        let call = IInferenceService::requestCall { order, inputs };
        let (id, receipt) = chain.pay(REQUESTER, service, &call, U256::from(FEE)).expect("a request");
        let request = receipt.event::<IInferenceService::Requested>().expect("an event").request;
        assert_eq!(request.inputs, contracts::word(truth.inputs_commitment()), "the roots of the inputs");
        let (dispute, challengers, past) = (None, Vec::new(), Vec::new());
        let spent = BTreeMap::new();
        let (attempt, owed, shares, credited, burned, settled) = Default::default();
        let truth = truth.clone();
        Self {
            chain,
            service,
            id,
            request,
            model,
            truth,
            attempt,
            dispute,
            challengers,
            spent,
            past,
            owed,
            shares,
            credited,
            burned,
            settled,
            now: NOW,
        }
    }

    /// Posts a run's result as an answer.
    pub fn answer(&mut self, asserter: Address, run: &Fake) -> Verdict {
        let call = IInferenceService::answerCall {
            id: self.id,
            request_: self.request.clone(),
            outputs: outputs_of(run),
        };
        let receipt = self.send(asserter, &call, TERMS.asserter_bond);
        let standing = self.dispute.as_ref().map(Dispute::standing);
        let free = standing.is_none_or(|standing| standing == dispute::Standing::Overturned);
        self.same(if free { Ok(()) } else { Err("AnsweredAlready") }, &receipt)?;
        let games = 0..self.challengers.len();
        let left = games.filter(|&game| self.owed.contains_key(&self.challengers[game])).map(|game| {
            let (id, state) = self.game(game);
            (self.challengers[game], id, state)
        });
        self.past = left.collect();
        *self.spent.entry(asserter).or_default() += TERMS.asserter_bond;
        let (model, inputs, result) =
            (self.model.clone(), self.truth.inputs_commitment(), run.result_commitment());
        self.dispute = Some(Dispute::post(Assertion { asserter, model, inputs, result }, TERMS, self.now));
        self.challengers.clear();
        self.attempt += 1;
        self.compare();
        Ok(())
    }

    /// Challenges the answer.
    pub fn challenge(&mut self, challenger: Address, challenge: &Challenge) -> Verdict {
        let (dispute, truth) = (self.dispute.as_mut().expect("an answer"), &self.truth);
        let asserted = contracts::word(dispute.assertion().result);
        let ours = dispute.challenge(truth, challenger, challenge, self.now);
        let call = IInferenceService::challengeCall {
            id: self.id,
            request_: self.request.clone(),
            model: contracts::model(&self.model),
            asserted,
            words: contracts::opening(challenge),
        };
        let receipt = self.send(challenger, &call, TERMS.challenger_bond);
        self.same(ours.map(|_| ()).map_err(|refused| contracts::refusal(&refused)), &receipt)?;
        *self.spent.entry(challenger).or_default() += TERMS.challenger_bond;
        self.challengers.push(challenger);
        self.compare();
        Ok(())
    }

    /// Makes a move in a game.
    pub fn play(&mut self, game: usize, player: Address, move_: &Move) -> Verdict {
        let (id, (state, _)) = self.game(game);
        let dispute = self.dispute.as_mut().expect("an answer");
        let rust = dispute.game(game).expect("a game").1.clone();
        let program = contracts::program(&self.model);
        let calldata = contracts::calldata(id, &state, &program, &translated(&self.truth, &rust, move_));
        let ours = dispute.apply(&self.truth, game, player, move_, self.now);
        self.chain.set_time(self.now);
        let receipt = self.chain.send_to(player, self.service, calldata).expect("a receipt");
        self.pay(ours, &receipt)
    }

    /// Claims that a mover's time is over.
    pub fn timeout(&mut self, game: usize) -> Verdict {
        let (id, (state, claims)) = self.game(game);
        let ours = self.dispute.as_mut().expect("an answer").timeout(&self.truth, game, self.now);
        let receipt = self.send(DEPLOYER, &IDisputeGame::timeoutCall { id, game: state, claims }, 0);
        self.pay(ours, &receipt)
    }

    /// Makes the answer final.
    pub fn settle(&mut self) -> Verdict {
        let ours = self.dispute.as_mut().expect("an answer").settle(self.now);
        let call = IInferenceService::settleCall {
            id: self.id,
            request_: self.request.clone(),
            outputs: Vec::new(),
            callbackData: Bytes::new(),
        };
        let receipt = self.send(DEPLOYER, &call, 0);
        self.same(ours.map(|_| ()).map_err(|refused| contracts::refusal(&refused)), &receipt)?;
        let Payment { to, amount } = ours.expect("both have accepted");
        *self.credited.entry(to).or_default() += amount + FEE;
        self.settled = true;
        self.compare();
        Ok(())
    }

    /// Reclaims the bond of a game that ended with its answer.
    pub fn reclaim(&mut self, game: usize) -> Verdict {
        let (id, state) = self.game(game);
        let challenger = self.challengers[game];
        let ours = match self.dispute.as_ref().map(Dispute::standing) {
            Some(dispute::Standing::Pending) => Err("Unsettled"),
            _ => self.owed.get(&challenger).map(|_| ()).ok_or("Over"),
        };
        self.reclaim_from(challenger, id, state, ours)
    }

    /// The same for a game about an earlier answer, in which no more moves are possible. Does nothing if
    /// there is none.
    pub fn reclaim_past(&mut self) -> Verdict {
        let Some((challenger, id, state)) = self.past.pop() else { return Ok(()) };
        let (game, claims) = state.clone();
        let late = self.send(DEPLOYER, &IDisputeGame::timeoutCall { id, game, claims }, 0);
        let refused = self.same(Err("Decided"), &late);
        assert_eq!(refused, Err("Decided"));
        self.reclaim_from(challenger, id, state, Ok(()))
    }

    /// Whether there is such a game.
    #[must_use]
    pub fn has_past(&self) -> bool {
        !self.past.is_empty()
    }

    fn reclaim_from(
        &mut self,
        challenger: Address,
        id: U256,
        (game, claims): State,
        ours: Verdict,
    ) -> Verdict {
        let receipt = self.send(DEPLOYER, &IInferenceService::reclaimCall { id, game, claims }, 0);
        self.same(ours, &receipt)?;
        // The last answer's, if the challenger had games against several.
        let owed = self.owed.get_mut(&challenger).expect("both have accepted");
        let back = TERMS.challenger_bond + self.shares.get(&id).copied().unwrap_or(0);
        *owed -= back;
        self.owed.retain(|_, owed| *owed > 0);
        *self.credited.entry(challenger).or_default() += back;
        self.compare();
        Ok(())
    }

    /// What was paid to an account according to Rust.
    #[must_use]
    pub fn credited(&self, account: Address) -> u64 {
        self.credited.get(&account).copied().unwrap_or(0)
    }

    /// A game's id and its state as the contract has it.
    fn game(&self, game: usize) -> (U256, State) {
        let dispute = self.dispute.as_ref().expect("an answer");
        let (challenger, rust) = dispute.game(game).expect("a game");
        let id =
            (self.id << 176) | (U256::from(self.attempt) << 160) | U256::from_be_slice(challenger.as_slice());
        (id, (contracts::state(rust), contracts::word(rust.claims())))
    }

    /// Records payments. Those of an overturned answer are reclaimed later.
    fn pay(&mut self, ours: Result<Vec<Payment<Address>>, Refused>, receipt: &Receipt) -> Verdict {
        let verdict = ours.as_ref().map(|_| ()).map_err(contracts::refusal);
        self.same(verdict, receipt)?;
        let payments = ours.expect("both have accepted");
        let overturned = self.dispute.as_ref().map(Dispute::standing) == Some(dispute::Standing::Overturned);
        for (number, Payment { to, amount }) in payments.into_iter().enumerate() {
            if overturned && number > 0 {
                let id =
                    (self.id << 176) | (U256::from(self.attempt) << 160) | U256::from_be_slice(to.as_slice());
                self.shares.insert(id, amount - TERMS.challenger_bond);
                *self.owed.entry(to).or_default() += amount;
            } else {
                *self.credited.entry(to).or_default() += amount;
            }
        }
        if overturned {
            self.burned += TERMS.burned;
        }
        self.compare();
        Ok(())
    }

    fn send<C: SolCall>(&mut self, from: Address, call: &C, value: u64) -> Receipt {
        self.chain.set_time(self.now);
        self.chain.pay_to(from, self.service, call.abi_encode(), U256::from(value)).expect("a receipt")
    }

    /// The result, which must be the same in both. A refusal changes nothing.
    fn same(&mut self, ours: Verdict, receipt: &Receipt) -> Verdict {
        match (ours, &receipt.outcome) {
            (Ok(()), Executed::Success { .. }) => {}
            (Err(name), Executed::Revert(data)) if contracts::error_name(data) == Some(name) => {
                self.compare()
            }
            (ours, theirs) => panic!("Rust says {ours:?}, the contract {theirs:?}"),
        }
        ours
    }

    /// Compares the two.
    fn compare(&mut self) {
        let (id, service) = (self.id, self.service);
        let answer = self
            .chain
            .call(DEPLOYER, service, &IInferenceService::provisionalAnswerCall { id })
            .expect("an answer");
        let standing = match self.dispute.as_ref().map(Dispute::standing) {
            None => Standing::None,
            Some(dispute::Standing::Pending) => Standing::Pending,
            Some(dispute::Standing::Final) => Standing::Final,
            Some(dispute::Standing::Overturned) => Standing::Overturned,
        };
        assert_eq!((answer.standing, answer.attempt), (standing, self.attempt));
        let final_root = self.chain.call(DEPLOYER, service, &IInferenceService::resultCall { id }).ok();
        assert_eq!(final_root, (standing == Standing::Final).then_some(answer.result));
        let mut open = 0;
        for number in 0..self.challengers.len() {
            let (game, _) = self.game(number);
            let dispute = self.dispute.as_ref().expect("an answer");
            let (challenger, rust) = dispute.game(number).expect("a game");
            let playing = rust.mover().is_some();
            open += u32::from(playing && standing == Standing::Pending);
            let reclaimed =
                playing && standing == Standing::Overturned && !self.owed.contains_key(&challenger);
            let expected = match reclaimed {
                true => B256::with_last_byte(3),
                false => contracts::stored(game, rust),
            };
            let stored =
                self.chain.call(DEPLOYER, service, &IDisputeGame::gamesCall { id: game }).expect("a game");
            assert_eq!(stored, expected, "game {number}");
        }
        if standing == Standing::Pending {
            assert_eq!(answer.openGames.to::<u32>(), open);
        }
        self.compare_money(standing, open);
    }

    /// Every account has Rust's balance, and the service holds exactly what it owes and what is burned.
    fn compare_money(&mut self, standing: Standing, open: u32) {
        let accounts: Vec<Address> =
            self.credited.keys().chain(self.owed.keys()).chain(&self.challengers).copied().collect();
        for account in accounts {
            let spent = self.spent.get(&account).copied().unwrap_or(0);
            let expected = MONEY - spent + self.credited(account);
            assert_eq!(self.chain.balance(account), U256::from(expected), "{account}");
        }
        let bonds = u64::from(open) * TERMS.challenger_bond
            + u64::from(standing == Standing::Pending) * TERMS.asserter_bond;
        let fee = if self.settled { 0 } else { FEE };
        let held = self.owed.values().sum::<u64>() + bonds + fee + self.burned;
        assert_eq!(self.chain.balance(self.service), U256::from(held), "the service's money");
    }
}

/// A run's outputs as answers give them.
fn outputs_of(run: &Fake) -> Vec<Bytes> {
    let bytes = run.output_bytes();
    if bytes.is_empty() { Vec::new() } else { vec![bytes.into()] }
}

/// An account.
#[must_use]
pub fn account(number: u8) -> Address {
    let mut address = Address::repeat_byte(0xac);
    address.0[19] = number;
    address
}

fn contract_terms() -> Terms {
    let amount = |wei: u64| U256::from(wei).to();
    Terms {
        window: TERMS.window as u32,
        clock: TERMS.clocks.asserter as u32,
        arity: TERMS.arity as u16,
        asserterBond: amount(TERMS.asserter_bond),
        challengerBond: amount(TERMS.challenger_bond),
        burned: amount(TERMS.burned),
    }
}
