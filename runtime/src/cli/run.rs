//! Running images and proving their steps.

use super::{Input, Steps};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// An image and what to feed it.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The image
    pub image: PathBuf,
    /// An input tensor: .npy, or an ONNX TensorProto in .pb; NAME= may be left out if there is only one input
    #[arg(long = "input", value_name = "NAME=FILE")]
    pub inputs: Vec<Input>,
    #[command(flatten)]
    pub limits: Limits,
}

/// What an image may cost the computer that runs it.
#[derive(Debug, Clone, Copy, Args)]
pub struct Limits {
    /// Run no more than this many steps
    #[arg(long, value_name = "STEPS", default_value_t = 1 << 40)]
    pub max_steps: u64,
    /// Give up when this program holds more memory than so many bytes [default: 7/8 of what there is]
    #[arg(long, value_name = "BYTES")]
    pub max_memory: Option<u64>,
}

/// `opml run`.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub run: RunArgs,
    /// The folder for the outputs, NAME.npy each ('/' in a name becomes '_')
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// How to execute
    #[arg(long, value_enum, default_value_t = Backend::Jit)]
    pub backend: Backend,
}

/// A way to execute an image; all give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// Code of this host for what is executed often, the interpreter for the rest
    Jit,
    /// The interpreter, floats by the host's hardware where that is proven equal
    Interpreter,
    /// The interpreter with software floats throughout, as in the contract
    Reference,
}

/// `opml profile`.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Draw a flame graph of operators, nodes, functions and instructions, in the order of execution
    #[arg(long, value_name = "FILE.svg")]
    pub flame: Option<PathBuf>,
    /// How many rows of each table and how many of the hottest blocks are shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
}

/// `opml trace`.
#[derive(Debug, Args)]
pub struct Trace {
    #[command(flatten)]
    pub run: RunArgs,
    /// A step to show, counted from 0, or a range of steps without its end; may be given several times
    #[arg(long = "at", value_name = "STEP or FROM..TO", required_unless_present = "every")]
    pub at: Vec<Steps>,
    /// Show every so many steps from 0 to the end of the run, and the end
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    pub every: Option<u64>,
}

/// `opml prove`.
#[derive(Debug, Args)]
pub struct Prove {
    #[command(flatten)]
    pub run: RunArgs,
    /// The step, counted from 0
    #[arg(long)]
    pub step: u64,
    /// Where to write the witness (JSON)
    #[arg(short, long, value_name = "WITNESS")]
    pub output: PathBuf,
}

/// `opml verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// A witness written by `opml prove`
    pub witness: PathBuf,
    /// Run the Solidity verifier in the embedded EVM too, and show its gas
    #[arg(long)]
    pub evm: bool,
    /// Run this image up to the step, and check that machine and state are its own
    ///
    /// A witness proves what one step does to a state. That the state is the one before this step of a run, and that
    /// the machine is that of the image, is only claimed in the file; this option checks it.
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<PathBuf>,
    /// An input tensor of that image, as in `opml run`
    #[arg(long = "input", value_name = "NAME=FILE", requires = "image")]
    pub inputs: Vec<Input>,
    #[command(flatten)]
    pub limits: Limits,
}
