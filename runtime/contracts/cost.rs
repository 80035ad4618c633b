//! What a dispute costs at most, from the shapes of the calls alone: moves, calldata and gas; and bonds that cover it.
//!
//! A transaction pays the larger of two sums (EIP-7623): 21,000, 16 gas a byte of calldata and the execution; or 21,000 and 40
//! gas a byte. All bytes are taken as if none were zero. `docs/costs.md` says what follows from the numbers.

use game::{Game, Model, Side};
use step::State;

/// What a dispute about a model depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Into how many parts a segment is cut.
    pub arity: u64,
    /// How many big steps there are.
    pub big_steps: u64,
    /// The most machine steps of a big step.
    pub steps: u64,
    /// Siblings in a proof of the code.
    pub code_depth: u64,
    /// Siblings in a proof of the memory.
    pub memory_depth: u64,
    /// Siblings of the input region, of the output region, and of the scratch.
    pub regions: [u64; 3],
}

/// A kind of transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The first move.
    Challenge,
    /// Cuts a segment.
    Dissect,
    /// Goes down into a big step.
    Enter,
    /// Has a step executed.
    Prove,
    /// Says that time is over.
    Timeout,
}

/// A bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Bytes of calldata.
    pub bytes: u64,
    /// Gas of the whole transaction.
    pub gas: u64,
}

/// What both sides put down, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bonds {
    /// With an answer.
    pub asserter: u128,
    /// With a challenge.
    pub challenger: u128,
    /// What nobody gets of a fallen answer's.
    pub burned: u128,
}

impl Shape {
    /// A dispute that hardly any is larger than: 2^23 big steps of 2^26 machine steps, in 2^36 bytes of memory.
    pub const LARGE: Self =
        Self { arity: 20, big_steps: 1 << 23, steps: 1 << 26, code_depth: 15, memory_depth: 31, regions: [24, 24, 24] };

    /// The shape of disputes about a model whose longest big step has this bound.
    #[must_use]
    pub fn of(model: &Model, steps: u64, arity: u64) -> Self {
        let regions = [model.input, model.output, model.scratch()];
        Self {
            arity,
            big_steps: model.big_steps,
            steps: steps.max(1),
            code_depth: model.profile.code_depth().into(),
            memory_depth: model.profile.memory_depth().into(),
            regions: regions.map(|region| model.levels_above(region).into()),
        }
    }

    /// The most moves of a game, the challenge and the proof included.
    #[must_use]
    pub fn moves(&self) -> u64 {
        Game::most_moves(self.big_steps, self.steps, self.arity)
    }

    /// The most that a transaction of a kind costs.
    #[must_use]
    pub fn bound(&self, kind: Kind) -> Bound {
        let bytes = 4 + 32 * self.words(kind);
        let gas = 21_000 + (40 * bytes).max(16 * bytes + self.execution(kind));
        Bound { bytes, gas }
    }

    /// The most gas that one side spends on a game: its share of the moves, and the payment. Whoever moves more, moves half of
    /// them and one more.
    #[must_use]
    pub fn gas(&self, side: Side) -> u64 {
        let dissections = self.moves().div_ceil(2) * self.bound(Kind::Dissect).gas;
        let once = [Kind::Enter, Kind::Prove].map(|kind| self.bound(kind).gas).iter().sum::<u64>();
        let first = if side == Side::Challenger { self.bound(Kind::Challenge).gas } else { 0 };
        dissections + once + first
    }

    /// Words of calldata behind the selector.
    fn words(&self, kind: Kind) -> u64 {
        // Of structs whose fields have fixed sizes, and of the id.
        const GAME: u64 = 1 + 14;
        const MODEL: u64 = 11;
        const REQUEST: u64 = 12;
        let claims = |units: u64| 1 + units.min(self.arity);
        // The part, two claims and where their siblings are, then these with their counts.
        let pick = 5 + 2 * (1 + depth(self.arity));
        match kind {
            Kind::Challenge => {
                let [input, output, _] = self.regions;
                1 + REQUEST + MODEL + 2 + 5 + (1 + input) + (1 + output) + claims(self.big_steps)
            }
            Kind::Dissect => GAME + 2 + pick + claims(u64::MAX),
            Kind::Enter => {
                let end = 1 + (State::SIZE as u64).div_ceil(32);
                let proofs = (1 + depth(self.big_steps)) + (1 + self.regions[2]);
                GAME + MODEL + 2 + pick + 7 + end + proofs + claims(self.steps)
            }
            Kind::Prove => {
                let floats = 1 + 256;
                let proof = |depth: u64| 32 + 8 + 32 * depth;
                // A load may read code.
                let access = self.code_depth.max(self.memory_depth);
                let witness = State::SIZE as u64 + proof(self.code_depth) + floats + proof(access);
                GAME + MODEL + 2 + pick + 1 + witness.div_ceil(32)
            }
            Kind::Timeout => GAME,
        }
    }

    /// Gas of execution: what was measured, rounded up, by what it grows with.
    fn execution(&self, kind: Kind) -> u64 {
        let claims = 700 * self.arity;
        match kind {
            Kind::Challenge => 52_000 + claims + 300 * (self.regions[0] + self.regions[1]),
            Kind::Dissect => 20_000 + claims,
            Kind::Enter => 26_000 + claims + 600 * self.regions[2],
            // The verifier's own part depends on the instruction; soft floats are the most.
            Kind::Prove => 70_000 + 400 * (self.code_depth + 2 * self.memory_depth),
            Kind::Timeout => 38_000,
        }
    }
}

impl Bonds {
    /// Bonds that cover the largest game at this price of gas, in wei: the loser of a game pays the winner's gas, and a cheater
    /// that loses to itself burns as much.
    #[must_use]
    pub fn at(shape: &Shape, gas_price: u128) -> Self {
        let cost = |side| u128::from(shape.gas(side)).saturating_mul(gas_price);
        let (asserter, challenger) = (cost(Side::Asserter), cost(Side::Challenger));
        Self { asserter: challenger.saturating_mul(2), challenger: asserter, burned: challenger }
    }
}

/// The levels of the smallest tree over so many leaves.
fn depth(leaves: u64) -> u64 {
    u64::from(leaves.max(1).next_power_of_two().ilog2())
}
