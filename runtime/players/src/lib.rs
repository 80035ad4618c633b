//! The server and the validator: who answers requests, and who disputes answers.
//!
//! Both are a [`Player`] with another [`Role`]. At every look at the chain a player reads how its requests, answers and
//! games stand ([`Case`]), follows from that alone what is to be done ([`duties`]), computes what is needed for it on
//! other threads, and sends it. So a player that was killed goes on by looking; what it sent before is in its store, and
//! what was once decided under a name ("the move in this state of that game") is what is sent under that name for ever.

mod book;
mod duty;
mod model;
mod player;
mod shortcut;
mod work;

pub use book::{Book, BookError};
pub use duty::{Case, Duty, GameStanding, Role, concerns, duties, game_id, game_of};
pub use model::{Computed, LoadedModel, ModelError, input_root, pack};
pub use player::{Config, Player, PlayerError};
pub use shortcut::NativeShortcut;
pub use work::{Tamper, WorkError};
