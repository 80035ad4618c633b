//! How players decide, and how they compute their roots quickly.

mod duties;
#[path = "../../native/tests/model/mod.rs"]
mod model;
mod simulator;
