//! Runs in the machine and in native code, at every place that a game can ask about.

mod execution;
#[path = "../../native/tests/model/mod.rs"]
mod model;
mod native;
