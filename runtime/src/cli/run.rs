//! Running images and proving their steps.

use super::values::{InputParser, number, positive, size};
use super::{Input, Steps};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// An image and its inputs.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The image
    pub image: PathBuf,
    /// An input tensor as a .npy file, or as an ONNX TensorProto in a .pb file; once for each input. NAME= may be left out
    /// if there is only one input
    #[arg(long = "input", value_name = "NAME=FILE", value_parser = InputParser)]
    pub inputs: Vec<Input>,
    #[command(flatten)]
    pub limits: Limits,
}

/// What an image may cost the computer that runs it.
#[derive(Debug, Clone, Copy, Args)]
pub struct Limits {
    /// Run at most this many machine steps, for example 5e9 [default: 2^40]
    #[arg(long, value_name = "STEPS", default_value_t = 1 << 40, hide_default_value = true, value_parser = number)]
    pub max_steps: u64,
    /// Give up when opml holds more memory than this, for example 500MB or 2GiB [default: 7/8 of this computer's]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_memory: Option<u64>,
}

/// `opml run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml run model.opml --input image=digit.npy -o out
  opml run model.opml --input image=digit.npy --backend jit      count the machine's steps, and its state root
  opml run model.opml --input image=digit.npy --json | jq -r '.outputs[]'    the files written")]
pub struct Run {
    #[command(flatten)]
    pub run: RunArgs,
    /// The folder for the outputs, NAME.npy each; characters that a file name can't have become '_', long names are cut,
    /// and names that would collide are numbered
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// How to execute the image; every backend gives the same bits [default: native if the image has a program,
    /// else jit]
    #[arg(long, value_enum)]
    pub backend: Option<Backend>,
    /// Threads for a native run; 0 uses every processor
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
}

/// A way to execute an image; all give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// Compute the model's definitions in this computer's vectors (OPML_ISA=portable|avx2|avx512|avx512vnni chooses them)
    Native,
    /// Translate what runs often to native code, and interpret the rest
    Jit,
    /// Interpret, with this computer's floating-point hardware where it is proven equal
    Interpreter,
    /// Interpret with software floating point throughout, as the contract does
    Reference,
}

/// `opml profile`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml profile model.opml --input image=digit.npy
  opml profile model.opml --input image=digit.npy --flame model.svg --top 20")]
pub struct ProfileArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Draw a flame graph of operators, nodes, functions and instructions, in the order of execution
    #[arg(long, value_name = "FILE.svg")]
    pub flame: Option<PathBuf>,
    /// How many rows of each table, and how many of the hottest blocks, to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
}

/// `opml trace`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml trace model.opml --input image=digit.npy --at 1000 --at 5000..5010
  opml trace model.opml --input image=digit.npy --every 1e6")]
pub struct Trace {
    #[command(flatten)]
    pub run: RunArgs,
    /// A step to show, counted from 0, or a range of steps without its end; may be given several times
    #[arg(long = "at", value_name = "STEP or FROM..TO", required_unless_present = "every")]
    pub at: Vec<Steps>,
    /// Show every STEPS-th step from 0 to the end of the run, and the end
    #[arg(long, value_name = "STEPS", value_parser = positive)]
    pub every: Option<u64>,
}

/// `opml prove`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  opml prove model.opml --input image=digit.npy --step 1000 -o step.json
  opml verify step.json --evm")]
pub struct Prove {
    #[command(flatten)]
    pub run: RunArgs,
    /// The step, counted from 0
    #[arg(long, value_parser = number)]
    pub step: u64,
    /// The file to write the witness to (JSON)
    #[arg(short, long, value_name = "WITNESS")]
    pub output: PathBuf,
}

/// `opml verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml verify step.json
  opml verify step.json --evm    run the Solidity verifier too, and show its gas")]
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
    #[arg(long = "input", value_name = "NAME=FILE", requires = "image", value_parser = InputParser)]
    pub inputs: Vec<Input>,
    #[command(flatten)]
    pub limits: Limits,
}
