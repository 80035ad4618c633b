//! Making images, looking at them, and writing their verifier contracts.

use super::values::{InputParser, positive, size};
use super::{Dim, Input, Limits, Shape, State};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `opml compile`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml compile model.onnx -o model.opml
  opml compile model.onnx -o model.opml --dim batch=1            fix an open dimension of all inputs
  opml compile model.onnx -o model.opml --shape tokens=1,128     fix the open dimensions of one input
  opml compile model.onnx -o model.opml --constant axes=axes.npy fix an input whose value decides shapes
  opml compile model.onnx -o model.opml --state h=next_h --repeat 100
                                                                 100 steps of a recurrence in one run
  opml compile model.onnx -o model.opml --budget 1e7             smaller big steps: shorter last phase of a dispute")]
pub struct Compile {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The file to write the image to
    #[arg(short, long, value_name = "IMAGE")]
    pub output: PathBuf,
    /// Also write the program as an ELF file, for other tools
    #[arg(long, value_name = "FILE")]
    pub elf: Option<PathBuf>,
}

/// A model, and how it is compiled.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// The ONNX model
    #[arg(value_name = "MODEL")]
    pub file: PathBuf,
    /// The size of a dimension that the model leaves open, by its name, for all inputs; once for each such name
    #[arg(long = "dim", value_name = "NAME=SIZE")]
    pub dims: Vec<Dim>,
    /// The shape of an input whose dimensions the model leaves open; once for each such input. A sequence `x` has the
    /// shapes of its elements, as `x[0]=2,3`, and `x[]=` is an empty one
    #[arg(long = "shape", value_name = "NAME=DIM,DIM")]
    pub shapes: Vec<Shape>,
    /// End every loop after so many repetitions if the model doesn't say how often it runs. A run that should go on
    /// has no result
    #[arg(long, value_name = "TIMES", value_parser = positive)]
    pub loop_bound: Option<u64>,
    /// An input that is a constant, with its value in a .npy file, or as an ONNX TensorProto in a .pb file: the image
    /// doesn't have it as an input; once for each such input
    #[arg(long = "constant", value_name = "INPUT=FILE", value_parser = InputParser)]
    pub constants: Vec<Input>,
    /// An input and the output that is its next value: both are one place in memory, from which a later request
    /// can continue; once for each state
    #[arg(long = "state", value_name = "INPUT=OUTPUT")]
    pub states: Vec<State>,
    /// Run the model so often in one run, every state going from one time to the next. Other inputs stay the
    /// same, and outputs are those of the last time
    #[arg(long, value_name = "TIMES", value_parser = positive, default_value_t = 1)]
    pub repeat: u64,
    /// Cut nodes into big steps of at most this many machine steps, for example 1e7 [default: one big step a node]
    #[arg(long, value_name = "STEPS", value_parser = positive)]
    pub budget: Option<u64>,
}

/// `opml check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml check model.onnx
  opml check model.onnx --dim batch=1 --dim sequence=128         with sizes for the open dimensions
  opml check model.onnx --json | jq '.operators[] | select(.supported | not)'

Exit status:
  0  opml compile accepts the model with these options
  1  it doesn't; the report has all problems")]
pub struct Check {
    #[command(flatten)]
    pub model: ModelArgs,
}

/// `opml disasm`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  opml disasm model.opml | less")]
pub struct ImageOnly {
    /// The image
    pub image: PathBuf,
}

/// `opml inspect`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml inspect model.opml
  opml inspect model.opml --program                              the mathematics of every node
  opml inspect model.opml --json | jq .image_root")]
pub struct Inspect {
    /// The image
    pub image: PathBuf,
    /// Check every hash even if the image is large (images of up to 64 MiB are always checked)
    #[arg(long)]
    pub verify: bool,
    /// Show the program too: what every node computes, element by element
    #[arg(long)]
    pub program: bool,
    /// Draw the image: its nodes in the order of execution with steps and bytes, and a map of its memory
    #[arg(long, value_name = "FILE.svg")]
    pub svg: Option<PathBuf>,
}

/// `opml verifier`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml verifier model.opml --input image=digit.npy -o contracts
  (cd contracts && forge test)")]
pub struct Verifier {
    /// The image
    pub image: PathBuf,
    /// An input for the runs that the tests are made from: NAME=FILE, as in `opml run` [default: zeros]
    #[arg(long = "input", value_name = "NAME=FILE", value_parser = InputParser)]
    pub inputs: Vec<Input>,
    /// The folder for the package; files in it that differ from the package's are never overwritten without --force
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Overwrite files of an earlier package, also if they have been edited
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub limits: Limits,
}

/// `opml image`.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Make an image from a freestanding static RV64IMFD program (ELF)
    ///
    /// The program declares its inputs and outputs in a section .opml; docs/c-programs.md shows how.
    FromElf(FromElf),
}

/// `opml image from-elf`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  riscv64-unknown-elf-gcc -O2 -march=rv64imfd -mabi=lp64d -ffreestanding -nostdlib -static program.c -o program.elf
  opml image from-elf program.elf -o program.opml
  opml run program.opml")]
pub struct FromElf {
    /// The program
    pub program: PathBuf,
    /// The file to write the image to
    #[arg(short, long, value_name = "IMAGE")]
    pub output: PathBuf,
    /// The least size of the stack, for example 64KiB
    ///
    /// The stack lies below the program, where an overflow traps, if there is room for so much.
    #[arg(long, value_name = "SIZE", default_value = "32KiB", value_parser = size)]
    pub stack: u64,
    /// The most steps that a run takes, for programs that are registered and disputed: a longer run has no result
    #[arg(long, value_name = "STEPS", value_parser = positive)]
    pub max_steps: Option<u64>,
}
