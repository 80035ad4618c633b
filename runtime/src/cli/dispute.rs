//! Disputes and lies.

use super::values::InputParser;
use super::{Input, Limits};
use clap::{Args, ValueEnum};
use contracts::cost::AT_ONCE;
use std::path::PathBuf;

/// `opml dispute`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml dispute model.opml --input image=digit.npy
  opml dispute model.opml --input image=digit.npy --cheat output --arity 2,8,20    compare arities")]
pub struct Dispute {
    /// The image
    pub image: PathBuf,
    /// An input tensor: NAME=FILE, as in `opml run`
    #[arg(long = "input", value_name = "NAME=FILE", value_parser = InputParser)]
    pub inputs: Vec<Input>,
    /// How one side cheats
    #[arg(long, value_enum, default_value_t = Cheat::Weight)]
    pub cheat: Cheat,
    /// How many parts each move cuts the disputed segment into, 2 to 256; several values (2,4,8) are compared in a table
    #[arg(long, value_delimiter = ',', default_value = "20", value_parser = clap::value_parser!(u64).range(2..=256))]
    pub arity: Vec<u64>,
    /// 2: narrow down to a big step first, then to a machine step; 1: machine steps of the whole run at once
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub phases: u8,
    /// How many steps the honest side has executed at once rather than cutting them into parts once more
    #[arg(long, value_name = "STEPS", default_value_t = AT_ONCE, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub prove_at_once: u64,
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
    /// The asserter changes the output and never answers a challenge
    Silent,
    /// The asserter is honest, and the challenger changes the output
    Challenger,
}
