//! The dispute between two players as a pure state machine, and the players as pure strategies.
//!
//! [`Game`] does what the contract does: given a move and a time, it returns the next state of the game, or
//! the rule that the move breaks. It does no I/O and has no clock of its own. [`player`] chooses the moves;
//! they are honest if its [`Oracle`] is. Both follow `docs/protocol.md`.

mod claims;
pub mod dispute;
pub mod fake;
mod game;
mod model;
mod moves;
mod oracle;
pub mod player;
pub mod regions;
mod rules;

pub use claims::{Level, Segment, commit, fold_pair, pair};
pub use game::{Clocks, Game, Outcome, Side};
pub use model::{MAX_STEPS, MOST_REGIONS, Model, VOID, steps};
pub use moves::{BigStepEntry, Challenge, Illegal, Move, Pick, Proven};
pub use oracle::Oracle;
pub use regions::{Region, Regions, Subtree};
pub use rules::{Protocol, Rules};
