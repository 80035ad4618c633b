//! The server, which answers requests, and the validator, which disputes wrong answers.
//!
//! Both are a [`Player`] with a different [`Role`]. A player looks at the chain: events say what has changed, and
//! what the service stores says what is so. From that alone it derives what to do ([`duties`]) in each [`Case`]. It
//! computes on other threads, then sends. A player that was killed therefore continues with its next look.
//! Its store holds everything it has sent, and every decision under a name ("the move in this state of that
//! game"). What is sent under a name never changes. `docs/players.md` tells the whole.

mod book;
mod check;
#[cfg(test)]
#[path = "../../native/tests/model/mod.rs"]
mod counting;
mod duty;
mod health;
mod inputs;
mod jobs;
mod model;
mod notes;
mod perform;
mod player;
mod rhythm;
mod show;
mod task;
mod view;
mod work;
mod worker;

pub use book::{Book, BookError, Position};
pub use duty::{
    Case, Duty, GameStanding, Role, can_be_settled, challenger_of, concerns, duties, game_id, game_ids,
    game_of, next_duty,
};
pub use health::{Health, Report};
pub use inputs::{Preimages, root as input_root};
pub use jobs::Workers;
pub use model::{
    Computed, LoadedModel, ModelError, Output, inputs_commitment, is_by_root, pack, region_root,
};
pub use player::{Config, Player, PlayerError};
pub use task::{Found, Parcel, Task, Turn};
pub use view::{statuses, stored};
pub use work::{Inference, Tamper, WorkError};
pub use worker::{Worker, WorkerConfig, leave};
