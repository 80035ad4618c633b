//! A dispute played out twice at once: by the rules in Rust and by the contracts in the embedded EVM, which must agree.

use contracts::{Address, B256, IDisputeGame, IOpenDisputes, SolCall, U256};
use evm::chain::{Chain, Outcome as Executed, Receipt};
use game::{Challenge, Clocks, Game, Model, Move, Outcome, Side};
use step::Root;

use crate::failure::Failure;

/// The asserter's account.
const ASSERTER: Address = Address::repeat_byte(0xaa);
/// The challenger's account.
const CHALLENGER: Address = Address::repeat_byte(0xcc);
/// The seconds that each side has for all its moves together.
const CLOCK: u32 = 3600;
/// The time of the first block.
const START: u64 = 1_700_000_000;
/// How long a player takes for a move.
const THINKING: u64 = 12;

/// A transaction of the dispute.
#[derive(Debug)]
pub struct Transaction {
    /// Who sent it.
    pub side: Side,
    /// Which move it is.
    pub name: &'static str,
    /// Its gas, the floor included.
    pub gas: u64,
    /// Its bytes of calldata.
    pub calldata: usize,
}

/// A game on the chain and in Rust.
pub struct Arena {
    chain: Chain,
    contract: Address,
    model: contracts::Model,
    game: Game,
    state: contracts::Game,
    now: u64,
    /// What has been sent since deployment.
    pub transactions: Vec<Transaction>,
}

impl Arena {
    /// A chain with the contracts on it, and the challenger's first move.
    pub fn open(
        model: &Model,
        input: Root,
        asserted: Root,
        arity: u64,
        challenge: &Challenge,
    ) -> Result<Self, Failure> {
        let clocks = Clocks { asserter: CLOCK.into(), challenger: CLOCK.into() };
        let game =
            Game::challenge(model, input, asserted, arity, clocks, challenge, START).map_err(Failure::from_error)?;
        let mut chain = Chain::new();
        chain.set_time(START);
        let (verifier, _) = chain.deploy_verifier(CHALLENGER, &model.profile).map_err(Failure::from_error)?;
        let (contract, _) = chain.deploy(CHALLENGER, contracts::open_disputes()).map_err(Failure::from_error)?;
        let call = IOpenDisputes::challengeCall {
            asserter: ASSERTER,
            arity: u16::try_from(arity).map_err(Failure::from_error)?,
            clock: CLOCK,
            model: contracts::model(model, verifier),
            inputRoot: contracts::word(input),
            asserted: contracts::word(asserted),
            opening: contracts::opening(challenge),
        };
        let (model, now, transactions) = (call.model.clone(), START, Vec::new());
        let mut new = Self { chain, contract, model, game, state: no_state(), now, transactions };
        new.send(Side::Challenger, "challenge", call.abi_encode())?;
        new.agree()?;
        Ok(new)
    }

    /// A move of the side whose turn it is.
    pub fn play(&mut self, move_: &Move) -> Result<Outcome, Failure> {
        self.now += THINKING;
        self.chain.set_time(self.now);
        let side = self.mover()?;
        let outcome = self.game.apply(side, move_, self.now).map_err(Failure::from_error)?;
        let calldata = contracts::calldata(U256::ONE, &self.state, &self.model, move_);
        let name = match move_ {
            Move::Dissect { .. } => "dissect",
            Move::Enter { .. } => "enter",
            Move::Void { .. } => "void",
            Move::Prove { .. } => "prove",
        };
        self.send(side, name, calldata)?;
        self.agree()?;
        Ok(outcome)
    }

    /// Lets the time of the side to move run out, and has the other side say so.
    pub fn let_time_pass(&mut self) -> Result<Outcome, Failure> {
        let side = self.mover()?.other();
        self.now = self.now.max(self.game.deadline().unwrap_or_default()) + 1;
        self.chain.set_time(self.now);
        let outcome = self.game.timeout(self.now).map_err(Failure::from_error)?;
        let call = IDisputeGame::timeoutCall { id: U256::ONE, game: self.state.clone() };
        self.send(side, "timeout", call.abi_encode())?;
        self.agree()?;
        Ok(outcome)
    }

    /// The game in Rust.
    pub fn game(&self) -> &Game {
        &self.game
    }

    /// Whose turn it is.
    fn mover(&self) -> Result<Side, Failure> {
        self.game.mover().ok_or_else(|| Failure::new("the game is over"))
    }

    /// Sends a transaction; keeps its bill and the state that it leads to.
    fn send(&mut self, side: Side, name: &'static str, calldata: Vec<u8>) -> Result<(), Failure> {
        let from = if side == Side::Asserter { ASSERTER } else { CHALLENGER };
        let receipt = self.chain.send_to(from, self.contract, calldata).map_err(Failure::from_error)?;
        if !matches!(receipt.outcome, Executed::Success { .. }) {
            let outcome = &receipt.outcome;
            return Err(Failure::new(format!(
                "the contract refuses {name}, Rust does not: {outcome:?}; please report this"
            )));
        }
        if let Some(moved) = receipt.event::<IDisputeGame::Moved>() {
            self.state = moved.game;
        }
        let Receipt { gas, calldata, .. } = receipt;
        self.transactions.push(Transaction { side, name, gas, calldata });
        Ok(())
    }

    /// The contract must be in the state that the game in Rust is in.
    fn agree(&mut self) -> Result<(), Failure> {
        if let Some(winner) = self.game.winner() {
            let stored = self.chain.call(CHALLENGER, self.contract, &IDisputeGame::gamesCall { id: U256::ONE });
            let expected = U256::from(if winner == Side::Asserter { 1 } else { 2 });
            return if stored.map_err(Failure::from_error)? == B256::from(expected) { Ok(()) } else { Err(differ()) };
        }
        let (state, game, segment) = (&self.state, &self.game, self.game.segment());
        let same = state.start == contracts::word(game.start())
            && state.claims == contracts::word(game.claims())
            && (state.lo, state.hi) == (segment.lo, segment.hi)
            && state.inSteps == matches!(segment.level, game::Level::Steps { .. })
            && state.asserterMoves == (game.mover() == Some(Side::Asserter));
        if same { Ok(()) } else { Err(differ()) }
    }
}

/// What can't happen.
fn differ() -> Failure {
    Failure::new("the contract and the game in Rust differ: please report this")
}

/// A state before there is one.
pub fn no_state() -> contracts::Game {
    contracts::Game {
        model: B256::ZERO,
        asserter: ASSERTER,
        challenger: CHALLENGER,
        arity: 0,
        asserterMoves: false,
        asserterClock: 0,
        challengerClock: 0,
        since: 0,
        inSteps: false,
        bigStep: 0,
        lo: 0,
        hi: 0,
        start: B256::ZERO,
        claims: B256::ZERO,
    }
}
