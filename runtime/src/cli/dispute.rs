//! Disputes and lies.

use super::{Input, Limits};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `opml dispute`.
#[derive(Debug, Args)]
pub struct Dispute {
    /// The image
    pub image: PathBuf,
    /// An input tensor, as in `opml run`
    #[arg(long = "input", value_name = "NAME=FILE")]
    pub inputs: Vec<Input>,
    /// How one side cheats
    #[arg(long, value_enum, default_value_t = Cheat::Weight)]
    pub cheat: Cheat,
    /// Into how many parts a segment is cut; several values (2,4,8) are compared in a table
    #[arg(long, value_delimiter = ',', default_value = "20", value_parser = clap::value_parser!(u64).range(2..=256))]
    pub arity: Vec<u64>,
    /// 2: big steps first, then machine steps; 1: machine steps of the whole program at once
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub phases: u8,
    /// Draw how the dispute is narrowed, from big steps to the instruction that decides it
    #[arg(long, value_name = "FILE.svg")]
    pub svg: Option<PathBuf>,
    #[command(flatten)]
    pub limits: Limits,
}

/// A way to cheat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cheat {
    /// The asserter computes with a changed weight
    Weight,
    /// The asserter changes a number in the middle of the run
    Step,
    /// The asserter changes the output at the very end
    Output,
    /// The asserter changes the output and never answers
    Silent,
    /// The asserter is honest, the challenger changes the output
    Challenger,
}
