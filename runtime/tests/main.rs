//! The `opml` command, as a user runs it.

#![allow(missing_docs)]

mod bad_input;
mod check;
mod cli;
#[path = "../chain/tests/cluster/mod.rs"]
mod cluster;
mod command;
mod common;
mod compile;
mod decoder;
mod dispute;
mod docs;
mod documents;
#[path = "../native/tests/model/mod.rs"]
mod model;
mod money;
mod network;
mod operating;
mod package;
mod periods;
mod pictures;
mod profile;
mod weather;
mod workers;
