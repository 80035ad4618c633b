//! The game under random play, true and false.

mod game;
