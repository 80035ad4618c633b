//! The moves and their errors.

use crate::regions::Regions;
use schedule::Leaf;
use step::{Proof, Root, WitnessError};
use thiserror::Error;

/// The first move, by the challenger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The inputs' roots, with their siblings in the image's memory.
    pub inputs: Regions,
    /// The outputs in the memory of the last claim; empty if that is void.
    pub outputs: Regions,
    /// Memory roots at the boundaries of all big steps.
    pub claims: Vec<Root>,
}

/// The part of the opponent's claims that a move continues with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// Which part, counted from 1.
    pub part: u64,
    /// The root where the part begins: the start or a claim of the opponent.
    pub agreed: Root,
    /// The opponent's claim where the part ends.
    pub rejected: Root,
    /// What leads from both to the root of the claims (see [`crate::pair`]).
    pub siblings: Vec<Root>,
}

/// The data that a move needs to enter a big step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BigStepEntry {
    /// The big step's leaf of the schedule.
    pub leaf: Leaf,
    /// The leaf's siblings.
    pub schedule: Vec<Root>,
    /// State roots at the boundaries of the big step.
    pub claims: Vec<Root>,
    /// The bytes of the state that the last claim commits to, without its code root and its memory root.
    pub end: Vec<u8>,
    /// That state's scratch subtree if it has exited; otherwise its memory root, without siblings.
    pub scratch: Proof,
}

impl BigStepEntry {
    /// Where the status is in the bytes of an end state.
    pub const STATUS: usize = 32;
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
    /// Enters a big step.
    Enter {
        /// The part, a single big step.
        pick: Pick,
        /// The data for it.
        entry: BigStepEntry,
    },
    /// Proves that void follows void.
    Void {
        /// The part, a single big step.
        pick: Pick,
    },
    /// Proves the true result of one step, or of several.
    Prove {
        /// The part, which consists of these steps.
        pick: Pick,
        /// The witness of each step.
        witnesses: Vec<Vec<u8>>,
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

    /// The claims for the opponent to pick from.
    #[must_use]
    pub fn claims(&self) -> &[Root] {
        match self {
            Self::Dissect { claims, .. } => claims,
            Self::Enter { entry, .. } => &entry.claims,
            Self::Void { .. } | Self::Prove { .. } => &[],
        }
    }
}

/// The subject of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proven {
    /// The agreed and the rejected claim.
    Claims,
    /// The schedule leaf.
    Schedule,
    /// The inputs, which are zero in the image.
    Inputs,
    /// The outputs.
    Outputs,
}

/// The rule that a move breaks. `docs/protocol.md` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Illegal {
    /// The registry would reject the model, or the arity is out of range.
    #[error("the model or the arity is out of range")]
    Model,
    /// The game is over.
    #[error("the game has a winner")]
    Over,
    /// It is the other side's turn.
    #[error("the other side is to move")]
    Turn,
    /// The mover has run out of time.
    #[error("the mover's clock has run out")]
    Late,
    /// The mover still has time.
    #[error("the mover has time left")]
    Early,
    /// No such part.
    #[error("part {found}; the parts are 1 to {parts}")]
    Part {
        /// The given number.
        found: u64,
        /// The number of parts.
        parts: u64,
    },
    /// A proof leads to another root.
    #[error("the proof of {0:?} doesn't lead to its root")]
    Proof(Proven),
    /// A move for big steps at the level of steps, or vice versa.
    #[error("the move belongs to the other level")]
    Level,
    /// A move for a single unit on a part with several, or vice versa.
    #[error("the part has {found} units")]
    Units {
        /// The number of units in the part.
        found: u64,
    },
    /// The move enters a void memory, or proves void after a memory that is not void.
    #[error("the agreed memory is void where it may not be, or isn't where it must be")]
    Void,
    /// The wrong number of claims, siblings or witnesses.
    #[error("{found} {what} instead of {expected}")]
    Count {
        /// What there are too many or too few of.
        what: &'static str,
        /// The number that is needed.
        expected: u64,
        /// The number that was given.
        found: usize,
    },
    /// Other inputs than the request's.
    #[error("the roots aren't those of the request's inputs")]
    Inputs,
    /// The end state is not the claimed one.
    #[error("the end state isn't the state whose root is the last claim")]
    EndState,
    /// The move agrees with the claim that it rejects.
    #[error("the move comes to the claim that it rejects")]
    Agrees,
    /// The verifier rejects the witness.
    #[error("the verifier refuses the witness: {0}")]
    Witness(#[from] WitnessError),
}
