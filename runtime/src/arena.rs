//! A request and its dispute, played twice in parallel: by `game::dispute` in Rust, and by the real service
//! in the embedded EVM. The two must agree after every move.

use contracts::cost::{Schedule, Usage};
use contracts::{
    Address, B256, Bytes, IDisputeGame, IInferenceService, IModelRegistry, Input, Order, Request, SolCall,
    Source, U256,
};
use evm::chain::{Chain, Outcome as Executed, Receipt};
use game::dispute::{Assertion, Dispute, Payment, Standing, Terms};
use game::{Challenge, Clocks, Game, Model, Move, Outcome, Protocol, Region, Side};
use image::Image;
use players::{Computed, LoadedModel, is_by_root, region_root};
use step::Root;

use crate::failure::Failure;
use crate::network::verifiers;
use crate::output::count;

/// The requester's account.
const REQUESTER: Address = Address::repeat_byte(0xee);
/// The asserter's account.
const ASSERTER: Address = Address::repeat_byte(0xaa);
/// The challenger's account.
const CHALLENGER: Address = Address::repeat_byte(0xcc);
/// The time of the first block.
const START: u64 = 1_700_000_000;
/// How long a player takes for a move.
const THINKING: u64 = 12;
/// 10^15 wei.
const FINNEY: u64 = 1_000_000_000_000_000;
/// What each account has at the beginning.
const MONEY: u64 = 10 * 1000 * FINNEY;
/// The fee of the request.
const FEE: u64 = 10 * FINNEY;

/// A transaction.
#[derive(Debug)]
pub struct Transaction {
    /// The sender.
    pub who: &'static str,
    /// What it does.
    pub name: &'static str,
    /// Its subject: bytes, a range of steps, an amount.
    pub about: String,
    /// Its gas, including the floor.
    pub gas: u64,
    /// What it would cost under the announced schedule.
    pub glamsterdam: u64,
    /// The size of its calldata in bytes.
    pub calldata: usize,
    /// Whether it belongs to the dispute: everything from the challenge to the end of the game, including all
    /// payments, but not what the contract refuses.
    pub disputed: bool,
}

/// A request on the chain, and its dispute on the chain and in Rust.
pub struct Arena {
    chain: Chain,
    service: Address,
    id: U256,
    request: Request,
    /// Which outputs are answered by root.
    by_root: u64,
    model: Model,
    inputs: Root,
    terms: Terms,
    dispute: Option<Dispute<Address>>,
    attempt: u16,
    /// What each side has at the moment.
    money: [u64; 2],
    now: u64,
    /// All transactions since the model was registered.
    pub transactions: Vec<Transaction>,
}

impl Arena {
    /// Starts a chain with the contracts, registers the model, and sends a request. What is too large for a
    /// transaction is given by root.
    pub fn open(
        image: &Image,
        loaded: &LoadedModel,
        model: &Model,
        inputs: Vec<Bytes>,
        commitment: Root,
        arity: u64,
    ) -> Result<Self, Failure> {
        let clocks = Clocks { asserter: 3600, challenger: 3600 };
        let (asserter_bond, challenger_bond, burned) = (200 * FINNEY, 100 * FINNEY, 100 * FINNEY);
        let terms = Terms { window: 3600, clocks, arity, asserter_bond, challenger_bond, burned };
        let mut chain = Chain::new();
        chain.set_time(START);
        for account in [REQUESTER, ASSERTER, CHALLENGER] {
            chain.fund(account, U256::from(MONEY));
        }
        let (registry, id) = registered(&mut chain, image, model)?;
        let code = contracts::inference_service(registry, &contract_terms(&terms)?);
        let (service, _) = chain.deploy(REQUESTER, code).map_err(Failure::from_error)?;
        let mut new = Self {
            chain,
            service,
            id: U256::ONE,
            request: Request::default(),
            by_root: too_large(loaded.outputs().iter().map(|region| region.bytes)),
            model: model.clone(),
            inputs: commitment,
            terms,
            dispute: None,
            attempt: 0,
            money: [MONEY; 2],
            now: START,
            transactions: Vec::new(),
        };
        let by_root = too_large(inputs.iter().map(|input| input.len() as u64));
        let given = |(index, (region, data)): (u32, (&Region, Bytes))| match is_by_root(by_root, index) {
            true => contracts::by_root(contracts::word(region_root(region, &data))),
            false => Input { source: Source::Bytes, data },
        };
        let inputs: Vec<Input> = (0..).zip(loaded.inputs().iter().zip(inputs)).map(given).collect();
        let bytes = inputs.iter().map(|input| input.data.len() as u64).sum();
        let about = format!("{} bytes of input{}", count(bytes), roots(by_root));
        let order = Order {
            model: id,
            repetitions: model.repetitions,
            byRoot: new.by_root,
            callback: Address::ZERO,
            callbackGas: 0,
            callbackData: Bytes::new(),
        };
        let call = IInferenceService::requestCall { order, inputs };
        let receipt = new.send(REQUESTER, "request", about, &call, FEE, false)?;
        let event = receipt.event::<IInferenceService::Requested>();
        new.request =
            event.ok_or_else(|| Failure::new("the service emitted no event for the request"))?.request;
        if new.request.inputs != contracts::word(commitment) { Err(differ()) } else { Ok(new) }
    }

    /// Posts one side's answer.
    pub fn answer(&mut self, side: Side, computed: &Computed) -> Result<(), Failure> {
        let call = IInferenceService::answerCall {
            id: self.id,
            request_: self.request.clone(),
            outputs: computed.shown(self.by_root),
        };
        let bytes = call.outputs.iter().map(|output| output.len() as u64).sum();
        let about = format!("{} bytes of output{}", count(bytes), roots(self.by_root));
        self.send(account(side), "answer", about, &call, self.terms.asserter_bond, false)?;
        self.money[side as usize] -= self.terms.asserter_bond;
        let (asserter, model) = (account(side), self.model.clone());
        let (inputs, result) = (self.inputs, Root(computed.result.0));
        self.dispute =
            Some(Dispute::post(Assertion { asserter, model, inputs, result }, self.terms, self.now));
        self.attempt += 1;
        self.agree()
    }

    /// Makes the challenger's first move.
    pub fn challenge(&mut self, challenge: &Challenge, about: String) -> Result<(), Failure> {
        self.think();
        let dispute = self.dispute.as_mut().ok_or_else(differ)?;
        let asserted = contracts::word(dispute.assertion().result);
        dispute.challenge(&Protocol, CHALLENGER, challenge, self.now).map_err(Failure::from_error)?;
        let call = IInferenceService::challengeCall {
            id: self.id,
            request_: self.request.clone(),
            model: contracts::model(&self.model),
            asserted,
            words: contracts::opening(challenge),
        };
        self.send(CHALLENGER, "challenge", about, &call, self.terms.challenger_bond, true)?;
        self.money[Side::Challenger as usize] -= self.terms.challenger_bond;
        self.agree()
    }

    /// Makes a move for the side whose turn it is.
    pub fn play(&mut self, move_: &Move, about: String) -> Result<Outcome, Failure> {
        self.think();
        let (id, state) = (self.game_id(), self.state()?);
        let mover = self.mover()?;
        let calldata = contracts::calldata(id, &state, &contracts::program(&self.model), move_);
        let dispute = self.dispute.as_mut().ok_or_else(differ)?;
        let paid =
            dispute.apply(&Protocol, 0, account(mover), move_, self.now).map_err(Failure::from_error)?;
        let name = match move_ {
            Move::Dissect { .. } => "dissect",
            Move::Enter { .. } => "enter",
            Move::Void { .. } => "void",
            Move::Prove { .. } => "prove",
        };
        self.send_bytes(account(mover), name, about, calldata, 0, true)?;
        self.take(&paid)
    }

    /// Sends a move that both must refuse, as one that comes to the claim that it rejects.
    pub fn play_refused(&mut self, move_: &Move, about: String) -> Result<(), Failure> {
        self.think();
        let (id, state, mover) = (self.game_id(), self.state()?, self.mover()?);
        let calldata = contracts::calldata(id, &state, &contracts::program(&self.model), move_);
        let dispute = self.dispute.as_mut().ok_or_else(differ)?;
        let refused =
            dispute.apply(&Protocol, 0, account(mover), move_, self.now).err().ok_or_else(differ)?;
        self.chain.set_time(self.now);
        let receipt =
            self.chain.send_to(account(mover), self.service, calldata).map_err(Failure::from_error)?;
        let found = match &receipt.outcome {
            Executed::Revert(data) => contracts::error_name(data),
            _ => None,
        };
        if found != Some(contracts::refusal(&refused)) {
            return Err(differ());
        }
        self.record(account(mover), "refused", about, &receipt, false)?;
        self.agree()
    }

    /// Lets the clock of the side to move run out. The other side then claims the win.
    pub fn let_time_pass(&mut self, about: String) -> Result<Outcome, Failure> {
        let (id, state) = (self.game_id(), self.state()?);
        let claims = contracts::word(self.game()?.claims());
        let side = self.mover()?.other();
        self.now = self.now.max(self.game()?.deadline().unwrap_or_default()) + 1;
        let dispute = self.dispute.as_mut().ok_or_else(differ)?;
        let paid = dispute.timeout(&Protocol, 0, self.now).map_err(Failure::from_error)?;
        let call = IDisputeGame::timeoutCall { id, game: state, claims };
        self.send(account(side), "timeout", about, &call, 0, true)?;
        self.take(&paid)
    }

    /// Waits until the answer can no longer be challenged, and makes it final.
    pub fn settle(&mut self, side: Side) -> Result<(), Failure> {
        let dispute = self.dispute.as_mut().ok_or_else(differ)?;
        self.now = self.now.max(dispute.window_end());
        let Payment { amount, .. } = dispute.settle(self.now).map_err(Failure::from_error)?;
        let call = IInferenceService::settleCall {
            id: self.id,
            request_: self.request.clone(),
            outputs: Vec::new(),
            callbackData: Bytes::new(),
        };
        self.send(account(side), "settle", "the answer is final".to_owned(), &call, 0, false)?;
        self.money[side as usize] += amount + FEE;
        self.agree()
    }

    /// The game in Rust.
    pub fn game(&self) -> Result<&Game, Failure> {
        Ok(self.dispute.as_ref().and_then(|dispute| dispute.game(0)).ok_or_else(differ)?.1)
    }

    /// The side to move.
    fn mover(&self) -> Result<Side, Failure> {
        self.game()?.mover().ok_or_else(|| Failure::new("the game is over"))
    }

    fn think(&mut self) {
        self.now += THINKING;
    }

    fn game_id(&self) -> U256 {
        players::game_id(self.id, self.attempt, CHALLENGER)
    }

    /// The game's state as the contract stores it.
    fn state(&self) -> Result<contracts::Game, Failure> {
        Ok(contracts::state(self.game()?))
    }

    /// Counts payments, and returns the outcome of the game so far.
    fn take(&mut self, paid: &[Payment<Address>]) -> Result<Outcome, Failure> {
        for Payment { to, amount } in paid {
            let side = if *to == ASSERTER { Side::Asserter } else { Side::Challenger };
            self.money[side as usize] += amount;
        }
        self.agree()?;
        let game = self.game()?;
        game.winner().map(Outcome::Won).or(game.mover().map(Outcome::Open)).ok_or_else(differ)
    }

    fn send<C: SolCall>(
        &mut self,
        from: Address,
        name: &'static str,
        about: String,
        call: &C,
        value: u64,
        disputed: bool,
    ) -> Result<Receipt, Failure> {
        self.send_bytes(from, name, about, call.abi_encode(), value, disputed)
    }

    /// Sends a transaction and records its cost.
    fn send_bytes(
        &mut self,
        from: Address,
        name: &'static str,
        about: String,
        data: Vec<u8>,
        value: u64,
        disputed: bool,
    ) -> Result<Receipt, Failure> {
        self.chain.set_time(self.now);
        let receipt =
            self.chain.pay_to(from, self.service, data, U256::from(value)).map_err(Failure::from_error)?;
        if !matches!(receipt.outcome, Executed::Success { .. }) {
            let outcome = &receipt.outcome;
            return Err(Failure::new(format!(
                "the contract refuses {name}, but Rust accepts it: {outcome:?}; please report this"
            )));
        }
        self.record(from, name, about, &receipt, disputed)?;
        Ok(receipt)
    }

    /// Records what a transaction cost.
    fn record(
        &mut self,
        from: Address,
        name: &'static str,
        about: String,
        receipt: &Receipt,
        disputed: bool,
    ) -> Result<(), Failure> {
        let who = match from {
            ASSERTER => "asserter",
            CHALLENGER => "challenger",
            _ => "requester",
        };
        let Receipt { gas, calldata, zeros, execution, new_slots, changed_slots, .. } = *receipt;
        let (bytes, zeros) = (calldata as u64, zeros as u64);
        let usage = Usage { bytes, zeros, execution, new_slots, changed_slots, code: 0 };
        if Schedule::OSAKA.gas(&usage) != gas {
            return Err(Failure::new(format!("the EVM took {gas} gas for {usage:?}; please report this")));
        }
        let glamsterdam = Schedule::GLAMSTERDAM.gas(&usage);
        self.transactions.push(Transaction { who, name, about, gas, glamsterdam, calldata, disputed });
        Ok(())
    }

    /// Checks that the contracts are in the same state as Rust: the answer, the game, and all balances.
    fn agree(&mut self) -> Result<(), Failure> {
        let (id, service) = (self.id, self.service);
        let dispute = self.dispute.as_ref().ok_or_else(differ)?;
        let standing = match dispute.standing() {
            Standing::Pending => contracts::Standing::Pending,
            Standing::Final => contracts::Standing::Final,
            Standing::Overturned => contracts::Standing::Overturned,
        };
        let answer = self.chain.call(REQUESTER, service, &IInferenceService::provisionalAnswerCall { id });
        let mut same = answer.map_err(Failure::from_error)?.standing == standing;
        if let Some((_, game)) = dispute.game(0) {
            let expected = contracts::stored(self.game_id(), game);
            let stored = self.chain.call(REQUESTER, service, &IDisputeGame::gamesCall { id: self.game_id() });
            same &= stored.map_err(Failure::from_error)? == expected;
        }
        for (account, money) in [ASSERTER, CHALLENGER].into_iter().zip(self.money) {
            same &= self.chain.balance(account) == U256::from(money);
        }
        if same { Ok(()) } else { Err(differ()) }
    }
}

/// Deploys the registry and registers the model with its verifier.
fn registered(chain: &mut Chain, image: &Image, model: &Model) -> Result<(Address, B256), Failure> {
    let code = contracts::model_registry(&verifiers());
    let (registry, _) = chain.deploy(REQUESTER, code).map_err(Failure::from_error)?;
    let extensions = image.extensions();
    let call = IModelRegistry::deployVerifierCall {
        extensions: extensions.bits().into(),
        creationCode: solidity::bytecode(extensions).into(),
    };
    chain.transact(REQUESTER, registry, &call).map_err(Failure::from_error)?;
    let call = IModelRegistry::registerCall { model: contracts::model(model) };
    let (id, _) = chain.transact(REQUESTER, registry, &call).map_err(Failure::from_error)?;
    Ok((registry, id))
}

fn contract_terms(terms: &Terms) -> Result<contracts::Terms, Failure> {
    let amount = |wei: u64| U256::from(wei).to();
    Ok(contracts::Terms {
        window: u32::try_from(terms.window).map_err(Failure::from_error)?,
        clock: u32::try_from(terms.clocks.asserter).map_err(Failure::from_error)?,
        arity: u16::try_from(terms.arity).map_err(Failure::from_error)?,
        asserterBond: amount(terms.asserter_bond),
        challengerBond: amount(terms.challenger_bond),
        burned: amount(terms.burned),
    })
}

fn account(side: Side) -> Address {
    match side {
        Side::Asserter => ASSERTER,
        Side::Challenger => CHALLENGER,
    }
}

/// The error if Rust and the contracts disagree, which must not happen.
fn differ() -> Failure {
    Failure::new("the contract and the game in Rust disagree: please report this")
}

/// The parts that have to be given by root so that the others fit into a transaction: the largest ones.
fn too_large(sizes: impl Iterator<Item = u64>) -> u64 {
    /// What a transaction has besides.
    const REST: u64 = 8 << 10;
    let mut sizes: Vec<(u64, u32)> = sizes.zip(0..u64::BITS).collect();
    sizes.sort_unstable();
    let mut all: u64 = sizes.iter().map(|(size, _)| size).sum();
    let mut mask = 0;
    while all > chain::MOST_BYTES as u64 - REST
        && let Some((size, index)) = sizes.pop()
    {
        all -= size;
        mask |= 1 << index;
    }
    mask
}

/// What is said about parts that are given by root.
fn roots(mask: u64) -> String {
    match mask.count_ones() {
        0 => String::new(),
        count => format!(" ({count} by root)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_parts_are_given_by_root_until_the_others_fit() {
        let mask = |sizes: &[u64]| too_large(sizes.iter().copied());
        assert_eq!(mask(&[]), 0);
        assert_eq!(mask(&[50_000, 60_000]), 0);
        assert_eq!(mask(&[60_000, 70_000, 60_000]), 0b010);
        assert_eq!(mask(&[1 << 40, 3, 1 << 30]), 0b101);
        assert_eq!(mask(&[u64::MAX >> 8; 64]), u64::MAX);
    }
}
