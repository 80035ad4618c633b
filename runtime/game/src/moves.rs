//! The moves and their errors.

use image::Leaf;
use step::{Proof, Root, WitnessError};
use thiserror::Error;

/// The first move, by the challenger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The input subtree as it is in the image.
    pub input: Proof,
    /// Memory roots at the boundaries of all big steps.
    pub claims: Vec<Root>,
    /// The output subtree of the last claim; ignored if that is void.
    pub output: Proof,
}

/// The part of the opponent's claims that a move continues with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// Which part, counted from 1.
    pub part: u64,
    /// The agreed claim before it; ignored for part 1.
    pub before: Proof,
    /// The rejected claim after it.
    pub after: Proof,
}

/// What a move brings to go from a big step to its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BigStepEntry {
    /// The big step's leaf of the schedule.
    pub leaf: Leaf,
    /// The leaf's siblings.
    pub schedule: Vec<Root>,
    /// State roots at the boundaries of the big step.
    pub claims: Vec<Root>,
    /// The bytes of the last claim's state.
    pub end: Vec<u8>,
    /// That state's scratch subtree; ignored if the state is not the end of a big step.
    pub scratch: Proof,
}

/// A move after the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// Cuts a part into smaller ones.
    Dissect {
        /// The part.
        pick: Pick,
        /// The roots at its boundaries.
        claims: Vec<Root>,
    },
    /// Goes from a big step to its steps.
    Enter {
        /// The part, a single big step.
        pick: Pick,
        /// What is in it.
        entry: BigStepEntry,
    },
    /// Proves that void follows void.
    Void {
        /// The part, a single big step.
        pick: Pick,
    },
    /// Proves what a step really does.
    Prove {
        /// The part, a single step.
        pick: Pick,
        /// The step's witness.
        witness: Vec<u8>,
    },
}

impl Move {
    /// The part that the move picks.
    #[must_use]
    pub fn pick(&self) -> &Pick {
        match self {
            Self::Dissect { pick, .. }
            | Self::Enter { pick, .. }
            | Self::Void { pick }
            | Self::Prove { pick, .. } => pick,
        }
    }

    /// The claims that the opponent picks from.
    #[must_use]
    pub fn claims(&self) -> &[Root] {
        match self {
            Self::Dissect { claims, .. } => claims,
            Self::Enter { entry, .. } => &entry.claims,
            Self::Void { .. } | Self::Prove { .. } => &[],
        }
    }
}

/// What a proof is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proven {
    /// The agreed claim.
    Before,
    /// The rejected claim.
    After,
    /// The schedule leaf.
    Schedule,
    /// The input subtree.
    Input,
    /// The output subtree.
    Output,
    /// The scratch subtree.
    Scratch,
}

/// Which rule a move breaks. `docs/protocol.md` has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Illegal {
    /// The registry would refuse the model, or the arity is out of range.
    #[error("the model or the arity is out of range")]
    Model,
    /// The game is over.
    #[error("the game has a winner")]
    Over,
    /// The other side is to move.
    #[error("the other side is to move")]
    Turn,
    /// No time left.
    #[error("the mover's clock has run out")]
    Late,
    /// Time left.
    #[error("the mover has time left")]
    Early,
    /// No such part.
    #[error("part {found}; the parts are 1 to {parts}")]
    Part {
        /// The number given.
        found: u64,
        /// How many there are.
        parts: u64,
    },
    /// A proof leads to another root, or has the wrong number of siblings.
    #[error("the proof of {0:?} doesn't lead to its root")]
    Proof(Proven),
    /// A move for big steps at the level of steps, or vice versa.
    #[error("the move belongs to the other level")]
    Level,
    /// A move for one unit on several, or vice versa.
    #[error("the part has {found} units")]
    Units {
        /// How many it has.
        found: u64,
    },
    /// Entering a void memory, or proving void after a memory that is not.
    #[error("the agreed memory is void where it may not be, or isn't where it must be")]
    Void,
    /// The wrong number of claims.
    #[error("{found} claims instead of {expected}")]
    Count {
        /// One a part.
        expected: u64,
        /// How many came.
        found: usize,
    },
    /// The end state is not the claimed one.
    #[error("the end state isn't 353 bytes that hash to the last claim")]
    EndState,
    /// A move that agrees with the claim it rejects.
    #[error("the move comes to the claim that it rejects")]
    Agrees,
    /// The verifier refuses the witness.
    #[error("the verifier refuses the witness: {0}")]
    Witness(#[from] WitnessError),
}
