//! One game played twice: by the rules in Rust, and by the contracts in an EVM. Both must agree on every
//! move, including illegal ones.

use contracts::{
    Address, B256, IDisputeGame, IModelRegistry, IOpenDisputes, SolCall as _, SolValue as _, U256,
};
use evm::chain::{Chain, Outcome as Executed, Receipt};
use game::fake::Fake;
use game::player::reply;
use game::{Challenge, Clocks, Game, Model, Move, Oracle, Outcome, Rules, Side};
use isa::Extensions;
use std::fmt::Debug;
use step::{Root, keccak};

const ASSERTER: Address = Address::repeat_byte(0xaa);
const CHALLENGER: Address = Address::repeat_byte(0xcc);
const DEPLOYER: Address = Address::repeat_byte(0xdd);

/// Where games are played.
pub struct Place {
    /// The chain.
    pub chain: Chain,
    disputes: Address,
    /// How many games there are.
    games: u64,
}

/// The creation code of a verifier that is given the results.
#[must_use]
pub fn told_verifier() -> Vec<u8> {
    // Returns calldata[132..164] if calldata[164..196] is calldata[4..36]; reverts otherwise.
    solidity::from_hex("601780600a5f395ff300 60043560a43514600d575f5ffd5b6084355f5260205ff3")
}

/// Executes steps in Rust, and encodes their witnesses for the chain's verifier.
pub trait StepRules: Rules {
    /// The witness in the contract's encoding.
    fn witness(&self, model: &Model, before: Root, witness: &[u8]) -> Vec<u8>;
}

/// The verifier that is given the result: it takes `after || before`, and refuses anything else.
impl StepRules for Fake {
    fn witness(&self, model: &Model, before: Root, witness: &[u8]) -> Vec<u8> {
        self.successor(model, before, witness).map(|after| [after.0, before.0].concat()).unwrap_or_default()
    }
}

/// The real verifier.
impl StepRules for game::Protocol {
    fn witness(&self, _: &Model, _: Root, witness: &[u8]) -> Vec<u8> {
        witness.to_vec()
    }
}

impl Place {
    /// A chain whose verifier is given the results, for games about [`Fake`] runs.
    #[must_use]
    pub fn of_fakes() -> Self {
        Self::of_fakes_with(contracts::open_disputes())
    }

    /// The same with other creation code of the game, without its argument.
    ///
    /// # Panics
    /// If it can't be deployed.
    #[must_use]
    pub fn of_fakes_with(code: Vec<u8>) -> Self {
        Self::with(Extensions::IM, told_verifier(), code)
    }

    /// A chain with the real verifier of machines with these extensions.
    ///
    /// # Panics
    /// If it can't be deployed.
    #[must_use]
    pub fn of_machines(extensions: Extensions) -> Self {
        Self::with(extensions, solidity::bytecode(extensions), contracts::open_disputes())
    }

    fn with(extensions: Extensions, verifier: Vec<u8>, code: Vec<u8>) -> Self {
        let mut chain = Chain::new();
        let registry = registry(&mut chain, extensions, verifier);
        let code = [code, registry.abi_encode()].concat();
        let (disputes, _) = chain.deploy(DEPLOYER, code).expect("a contract");
        Self { chain, disputes, games: 0 }
    }
}

/// A registry that has deployed this verifier for these extensions.
///
/// # Panics
/// If something can't be deployed.
pub fn registry(chain: &mut Chain, extensions: Extensions, verifier: Vec<u8>) -> Address {
    let hash = B256::new(keccak(&verifier).0);
    let code = contracts::model_registry(&[(extensions, hash)]);
    let (registry, _) = chain.deploy(DEPLOYER, code).expect("a registry");
    let call = IModelRegistry::deployVerifierCall {
        extensions: extensions.bits().into(),
        creationCode: verifier.into(),
    };
    chain.transact(DEPLOYER, registry, &call).expect("a verifier");
    registry
}

/// A game on both boards.
pub struct Board<'a, R> {
    place: &'a mut Place,
    rules: &'a R,
    id: U256,
    program: contracts::Program,
    state: contracts::Game,
    /// The game in Rust.
    pub game: Game,
    /// The time of the next move.
    pub now: u64,
    /// The gas of the moves.
    pub receipts: Vec<(&'static str, Receipt)>,
}

/// The result of a move: the state of the game, or the error's name.
pub type Verdict<T> = Result<T, &'static str>;

impl<'a, R: StepRules> Board<'a, R> {
    /// Opens a game.
    ///
    /// # Panics
    /// If the two differ, as in all other functions.
    #[expect(clippy::too_many_arguments, reason = "those of the challenge itself")]
    pub fn open(
        place: &'a mut Place,
        rules: &'a R,
        model: &Model,
        inputs: Root,
        asserted: Root,
        arity: u16,
        clock: u32,
        challenge: &Challenge,
    ) -> Verdict<Self> {
        const NOW: u64 = 1_700_000_000;
        let clocks = Clocks { asserter: clock.into(), challenger: clock.into() };
        let ours =
            Game::challenge_under(rules, model, inputs, asserted, arity.into(), clocks, challenge, NOW);
        let call = IOpenDisputes::challengeCall {
            asserter: ASSERTER,
            arity,
            clock,
            model: contracts::model(model),
            repetitions: model.repetitions,
            inputs: contracts::word(inputs),
            asserted: contracts::word(asserted),
            words: contracts::opening(challenge),
        };
        place.chain.set_time(NOW);
        let receipt = send(place, CHALLENGER, call.abi_encode());
        let game = same(ours, &receipt)?;
        place.games += 1;
        let moved = receipt.event::<IDisputeGame::Moved>().expect("an event");
        assert_eq!(moved.claims, contracts::words(&challenge.claims));
        let (id, state, program) = (U256::from(place.games), moved.game, call.model.program);
        assert_eq!(moved.id, id);
        let mut board =
            Self { place, rules, id, program, state, game, now: NOW, receipts: vec![("challenge", receipt)] };
        board.compare();
        Ok(board)
    }

    /// The verifier of steps.
    #[must_use]
    pub fn rules(&self) -> &'a R {
        self.rules
    }

    /// Makes a move in both.
    pub fn play(&mut self, side: Side, move_: &Move) -> Verdict<Outcome> {
        self.place.chain.set_time(self.now);
        let calldata = contracts::calldata(
            self.id,
            &self.state,
            &self.program,
            &translated(self.rules, &self.game, move_),
        );
        let ours = self.game.apply_under(self.rules, side, move_, self.now);
        let receipt = send(self.place, account(side), calldata);
        let outcome = same(ours, &receipt)?;
        self.take(name(move_), receipt, &contracts::words(move_.claims()));
        Ok(outcome)
    }

    /// Claims in both that the mover's time is over.
    pub fn timeout(&mut self) -> Verdict<Outcome> {
        self.place.chain.set_time(self.now);
        let ours = self.game.timeout_under(self.rules, self.now);
        let claims = contracts::word(self.game.claims());
        let call = IDisputeGame::timeoutCall { id: self.id, game: self.state.clone(), claims };
        let receipt = send(self.place, DEPLOYER, call.abi_encode());
        let outcome = same(ours, &receipt)?;
        self.take("timeout", receipt, &[]);
        Ok(outcome)
    }

    /// Both reply until one wins or has no legal move and runs out of time. They prove so many steps at once.
    ///
    /// # Panics
    /// If a player can't compute its reply.
    pub fn duel<O: Oracle<Error: Debug>>(
        &mut self,
        mut theirs: Vec<Root>,
        players: &mut [O; 2],
        at_once: u64,
    ) -> Side {
        while let Some(side) = self.game.mover() {
            self.now += 1;
            let player = &mut players[usize::from(side == Side::Challenger)];
            let move_ = reply(&self.game, &theirs, at_once, player).expect("an answer");
            match move_.filter(|move_| self.play(side, move_).is_ok()) {
                Some(move_) => theirs = move_.claims().to_vec(),
                None => {
                    self.now = self.game.deadline().expect("a deadline") + 1;
                    self.timeout().expect("an end");
                }
            }
        }
        self.game.winner().expect("an end")
    }

    /// The state of the contract after a legal move.
    fn take(&mut self, name: &'static str, receipt: Receipt, claims: &[B256]) {
        if let Some(winner) = self.game.winner() {
            let won = receipt.event::<IDisputeGame::Won>().expect("an event");
            assert_eq!((won.id, won.asserterWon), (self.id, winner == Side::Asserter));
        } else {
            let moved = receipt.event::<IDisputeGame::Moved>().expect("an event");
            assert_eq!((moved.id, &moved.claims[..]), (self.id, claims));
            assert_eq!(moved.start, contracts::word(self.game.start()));
            self.state = moved.game;
        }
        self.receipts.push((name, receipt));
        self.compare();
    }

    /// Holds the boards against each other.
    fn compare(&mut self) {
        if self.game.winner().is_some() {
            return;
        }
        let expected = contracts::state(&self.game);
        assert!(expected.abi_encode() == self.state.abi_encode(), "the boards differ: {:?}", self.game);
        let (disputes, call) = (self.place.disputes, IDisputeGame::gamesCall { id: self.id });
        let stored = self.place.chain.call(DEPLOYER, disputes, &call).expect("a hash");
        assert_eq!(stored, contracts::stored(self.id, &self.game), "another hash is stored");
    }
}

/// A move with its witness in the contract's encoding.
#[must_use]
pub fn translated(rules: &impl StepRules, game: &Game, move_: &Move) -> Move {
    let Move::Prove { pick, witnesses } = move_ else { return move_.clone() };
    let mut before = pick.agreed;
    let witnesses = witnesses.iter().map(|witness| {
        let translated = rules.witness(game.model(), before, witness);
        before = rules.successor(game.model(), before, witness).unwrap_or_default();
        translated
    });
    Move::Prove { pick: pick.clone(), witnesses: witnesses.collect() }
}

/// The result of a move, which must be the same in both.
fn same<T>(ours: Result<T, game::Illegal>, receipt: &Receipt) -> Verdict<T> {
    match (ours, &receipt.outcome) {
        (Ok(ours), Executed::Success { .. }) => Ok(ours),
        (Err(illegal), Executed::Revert(data)) => {
            let name = contracts::error(&illegal);
            assert_eq!(contracts::error_name(data), Some(name), "Rust says {illegal}, the contract {data}");
            Err(name)
        }
        (ours, theirs) => panic!("Rust says {:?}, the contract {theirs:?}", ours.err()),
    }
}

fn send(place: &mut Place, from: Address, calldata: Vec<u8>) -> Receipt {
    place.chain.send_to(from, place.disputes, calldata).expect("a transaction")
}

fn account(side: Side) -> Address {
    match side {
        Side::Asserter => ASSERTER,
        Side::Challenger => CHALLENGER,
    }
}

fn name(move_: &Move) -> &'static str {
    match move_ {
        Move::Dissect { .. } => "dissect",
        Move::Enter { .. } => "enter",
        Move::Void { .. } => "void",
        Move::Prove { .. } => "prove",
    }
}
