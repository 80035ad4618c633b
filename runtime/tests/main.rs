//! The `opml` command, as a user runs it.

#![allow(missing_docs)]

mod bad_input;
mod cli;
mod command;
mod common;
mod compile;
mod dispute;
mod docs;
mod documents;
mod network;
mod package;
mod pictures;
mod profile;
