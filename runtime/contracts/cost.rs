//! Upper bounds of what a dispute costs (moves, calldata and gas), computed from the shapes of its calls, and
//! bonds that cover them.
//!
//! A transaction pays a base and the larger of two sums: 16 gas per byte of calldata, 4 for one that is zero,
//! and the execution; or a floor per byte. All bytes of a bound are counted as if none were zero. [`Schedule`]
//! has the prices, today's and those that are announced. `docs/costs.md` discusses the numbers.

use game::regions::sibling_count;
use game::{Game, Model, Region, Side};
use step::State;

/// What gas costs on a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Its name.
    pub name: &'static str,
    /// Paid by every transaction.
    pub base: u64,
    /// The least that a byte of calldata costs, if it isn't zero and if it is.
    pub floor: [u64; 2],
    /// A storage slot that was zero, the access included.
    pub new_slot: u64,
    /// Another change of a storage slot, the access included.
    pub changed_slot: u64,
    /// A byte of deployed code.
    pub code_byte: u64,
}

/// What a transaction uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes of calldata.
    pub bytes: u64,
    /// Those among them that are zero.
    pub zeros: u64,
    /// Gas of the execution under Osaka's schedule, less refunds.
    pub execution: u64,
    /// Storage slots that were zero before.
    pub new_slots: u64,
    /// Other storage slots that change.
    pub changed_slots: u64,
    /// Bytes of code that are deployed.
    pub code: u64,
}

/// How many steps a player proves at once by default. Two cost no more than cutting them apart and proving one,
/// and the opponent isn't waited for.
pub const AT_ONCE: u64 = 2;

impl Schedule {
    /// Ethereum since Osaka, with EIP-7623's floor.
    pub const OSAKA: Self = Self {
        name: "Osaka",
        base: 21_000,
        floor: [40, 10],
        new_slot: 22_100,
        changed_slot: 5_000,
        code_byte: 200,
    };
    /// What is announced for Glamsterdam: a higher floor (EIP-7976), another base (EIP-2780: 12,000, and 3,000
    /// for the account that is called), and dearer state (EIP-8037, EIP-8038). Computation costs the same.
    pub const GLAMSTERDAM: Self = Self {
        name: "Glamsterdam",
        base: 15_000,
        floor: [64, 64],
        new_slot: 110_000,
        changed_slot: 10_000,
        code_byte: 1_530,
    };
    /// All schedules.
    pub const ALL: [Self; 2] = [Self::OSAKA, Self::GLAMSTERDAM];

    /// The gas of a whole transaction.
    #[must_use]
    pub const fn gas(&self, usage: &Usage) -> u64 {
        let Usage { bytes, zeros, execution, new_slots, changed_slots, code } = *usage;
        let full = bytes - zeros;
        let dearer = new_slots * (self.new_slot - Self::OSAKA.new_slot)
            + changed_slots * (self.changed_slot - Self::OSAKA.changed_slot)
            + code * (self.code_byte - Self::OSAKA.code_byte);
        let [floor, zero] = self.floor;
        let (floor, spent) = (floor * full + zero * zeros, 16 * full + 4 * zeros + execution + dearer);
        self.base + if floor > spent { floor } else { spent }
    }
}

/// What the cost of a dispute about a model depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Into how many parts a segment is cut.
    pub arity: u64,
    /// How many big steps there are.
    pub big_steps: u64,
    /// The bound of the longest big step, in machine steps.
    pub steps: u64,
    /// Siblings in a proof of the code.
    pub code_depth: u64,
    /// Siblings in a proof of the memory.
    pub memory_depth: u64,
    /// How many inputs there are, and the siblings that lead from all of them to the root of memory.
    pub inputs: [u64; 2],
    /// The same of the outputs.
    pub outputs: [u64; 2],
    /// Siblings in the proof of scratch memory.
    pub scratch_depth: u64,
}

/// A kind of transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The first move.
    Challenge,
    /// Cuts a segment.
    Dissect,
    /// Goes from a big step to its machine steps.
    Enter,
    /// Has so many steps executed.
    Prove(u64),
    /// Ends a game whose mover has run out of time.
    Timeout,
}

/// The most that a transaction costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Bytes of calldata.
    pub bytes: u64,
    /// Gas of the whole transaction.
    pub gas: u64,
}

/// The bonds of both sides, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bonds {
    /// Deposited with an answer.
    pub asserter: u128,
    /// Deposited with a challenge.
    pub challenger: u128,
    /// The part of an overturned answer's bond that is burned.
    pub burned: u128,
}

impl Shape {
    /// A very large dispute: 2^23 big steps of 2^26 machine steps each, in 2^36 bytes of memory.
    pub const LARGE: Self = Self {
        arity: 20,
        big_steps: 1 << 23,
        steps: 1 << 26,
        code_depth: 15,
        memory_depth: 31,
        inputs: [4, 27],
        outputs: [4, 27],
        scratch_depth: 24,
    };

    /// The shape of disputes about a model whose longest big step has this bound.
    #[must_use]
    pub fn of(model: &Model, steps: u64, arity: u64) -> Self {
        let depth = model.profile.memory_depth();
        let parts = |regions: &[Region]| [regions.len() as u64, sibling_count(regions, depth) as u64];
        Self {
            arity,
            big_steps: model.big_steps(),
            steps: steps.max(1),
            code_depth: model.profile.code_depth().into(),
            memory_depth: depth.into(),
            inputs: parts(&model.inputs),
            outputs: parts(&model.outputs),
            scratch_depth: model.levels_above(model.scratch()).into(),
        }
    }

    /// The most moves of a game, including the challenge and the proof.
    #[must_use]
    pub fn moves(&self) -> u64 {
        Game::most_moves(self.big_steps, self.steps, self.arity)
    }

    /// The most that a transaction of this kind costs.
    #[must_use]
    pub fn bound(&self, kind: Kind, schedule: &Schedule) -> Bound {
        let (bytes, execution) = (4 + 32 * self.words(kind), self.execution(kind));
        let (new_slots, changed_slots) = Self::slots(kind);
        let usage = Usage { bytes, execution, new_slots, changed_slots, ..Usage::default() };
        Bound { bytes, gas: schedule.gas(&usage) }
    }

    /// The most gas that one side spends on a game under the dearest schedule.
    #[must_use]
    pub fn most_gas(&self, side: Side) -> u64 {
        Schedule::ALL.iter().map(|schedule| self.gas(side, schedule)).max().unwrap_or_default()
    }

    /// The most gas that one side spends on a game: its share of the moves (at most half of them, rounded
    /// up), and the payment of the bonds. If other games against the answer are open, the winner notes their
    /// challengers' share in another new slot.
    #[must_use]
    pub fn gas(&self, side: Side, schedule: &Schedule) -> u64 {
        let gas = |kind| self.bound(kind, schedule).gas;
        let first = if side == Side::Challenger { gas(Kind::Challenge) } else { 0 };
        let share = schedule.new_slot;
        self.moves().div_ceil(2) * gas(Kind::Dissect) + gas(Kind::Enter) + gas(Kind::Prove(1)) + share + first
    }

    /// The words of calldata after the selector.
    fn words(&self, kind: Kind) -> u64 {
        // An offset and a length.
        const LIST: u64 = 2;
        // The ID, and structs whose fields have fixed sizes.
        const GAME: u64 = 1 + 2;
        const PROGRAM: u64 = 4;
        const MODEL: u64 = PROGRAM + 1 + 2 * LIST;
        const REQUEST: u64 = 9 + LIST;
        let claims = |units: u64| units.min(self.arity);
        // The part, two claims, and the siblings of both.
        let pick = 3 + 2 * depth(self.arity + 1);
        match kind {
            Kind::Challenge => {
                let ([inputs, below], [outputs, beyond]) = (self.inputs, self.outputs);
                let layouts = inputs + 2 * outputs;
                let words = inputs + below + outputs + beyond + claims(self.big_steps);
                // The ID, the offsets of request and model, and the asserted result.
                4 + REQUEST + MODEL + layouts + LIST + words
            }
            Kind::Dissect => GAME + pick + LIST + claims(u64::MAX),
            Kind::Enter => {
                let end = (State::MOST_BYTES as u64 - 64).div_ceil(32);
                let proofs = depth(self.big_steps) + 1 + self.scratch_depth;
                GAME + pick + PROGRAM + 1 + LIST + end + LIST + proofs + claims(self.steps)
            }
            Kind::Prove(steps) => {
                let floats = 16 + 256;
                let proof = |depth: u64| 32 + depth.div_ceil(8) + 32 * depth;
                // A load may read code.
                let access = self.code_depth.max(self.memory_depth);
                // All roots follow from the proofs and the float registers.
                let core = (State::MOST_BYTES - 96) as u64;
                let witness = core + proof(self.code_depth) + floats + proof(access);
                GAME + pick + LIST + LIST + steps * (LIST + witness.div_ceil(32))
            }
            Kind::Timeout => GAME + 1,
        }
    }

    /// The storage slots that a transaction of this kind fills, and those that it changes otherwise.
    const fn slots(kind: Kind) -> (u64, u64) {
        match kind {
            Kind::Challenge => (1, 1),
            Kind::Dissect | Kind::Enter => (0, 1),
            Kind::Prove(_) | Kind::Timeout => (0, 2),
        }
    }

    /// The gas of the execution under Osaka's schedule: measured values, rounded up, with the terms that they grow with.
    fn execution(&self, kind: Kind) -> u64 {
        let claims = 700 * self.arity;
        match kind {
            Kind::Challenge => {
                52_000
                    + claims
                    + 600 * (self.inputs[1] + self.inputs[0] + self.outputs[0])
                    + 400 * self.outputs[1]
            }
            Kind::Dissect => 20_000 + claims,
            Kind::Enter => 26_000 + claims + 600 * self.scratch_depth,
            // The verifier's part depends on the instruction; soft floats cost the most.
            Kind::Prove(steps) => 15_000 + steps * (45_000 + 400 * (self.code_depth + 2 * self.memory_depth)),
            Kind::Timeout => 38_000,
        }
    }
}

impl Bonds {
    /// Bonds that cover the largest game at this gas price (in wei), under the dearer schedule. The loser of a game pays for the winner's
    /// gas even if the winner gets only half of the prize, because other challengers share it. A cheater who
    /// loses to a second key of its own burns as much as a game costs.
    #[must_use]
    pub fn at(shape: &Shape, gas_price: u128) -> Self {
        let cost = |side| u128::from(shape.most_gas(side)).saturating_mul(gas_price);
        let (asserter, challenger) = (cost(Side::Asserter), cost(Side::Challenger));
        Self { asserter: challenger.saturating_mul(3), challenger: asserter, burned: challenger }
    }
}

/// The levels of the smallest tree over this many leaves.
fn depth(leaves: u64) -> u64 {
    u64::from(leaves.max(1).next_power_of_two().ilog2())
}
