//! The game and the executions that it is played over.

mod execution;
mod game;
