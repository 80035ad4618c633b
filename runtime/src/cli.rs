//! The command line: names, flags and help, nothing else.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;

/// Compile ONNX models to provable machine images, run them, and let a contract judge any single step.
#[derive(Debug, Parser)]
#[command(name = "opml", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Start here:
  opml demo                                        the whole way, from a digit to a judged step
  opml compile model.onnx -o model.opml            a model becomes an image with a root
  opml run model.opml --input image=digit.npy      the image runs; outputs land in NAME.npy
  opml prove model.opml --input image=digit.npy --step 1000 -o step.json
  opml verify step.json --evm                      the contract executes exactly that step";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compile an ONNX model to a Merkle-committed image
    ///
    /// The same model gives the same image root on every machine.
    Compile(Compile),
    /// Show an image: roots, memory map, tensors, operators, instruction mix
    Inspect(ImageOnly),
    /// List an image's instructions with symbols
    Disasm(ImageOnly),
    /// Run an image and write its outputs as .npy files
    Run(Run),
    /// Show the machine at chosen steps: state root, instruction, operator, output element
    Trace(Trace),
    /// Write the witness of one step, with the state roots before and after it
    Prove(Prove),
    /// Execute a witnessed step as the contract would and compare it with its claim
    Verify(Verify),
    /// Write a Foundry package for an image: contracts, deploy script, and tests from its real runs
    ///
    /// `forge test` passes in it as it is.
    Verifier(Verifier),
    /// Play a whole dispute about a result, move by move, on the contracts in the embedded EVM
    ///
    /// One side computes honestly, the other lies in the way chosen. Rust and the contracts play the same game and are
    /// compared after every move.
    Dispute(Dispute),
    /// Make an image from something other than a model
    #[command(subcommand)]
    Image(ImageCommand),
    /// Show the whole way: compile, run, prove one step, judge it in the embedded EVM
    Demo,
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `opml compile`.
#[derive(Debug, Args)]
pub struct Compile {
    /// The model
    pub model: PathBuf,
    /// Where to write the image
    #[arg(short, long, value_name = "IMAGE")]
    pub output: PathBuf,
    /// The shape of an input whose model leaves dimensions open
    #[arg(long = "shape", value_name = "NAME=DIM,DIM")]
    pub shapes: Vec<Shape>,
    /// Cut nodes into big steps of at most this many machine steps [default: one big step a node]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    pub budget: Option<u64>,
}

/// A command that reads nothing but an image.
#[derive(Debug, Args)]
pub struct ImageOnly {
    /// The image
    pub image: PathBuf,
}

/// An image and what to feed it.
#[derive(Debug, Args)]
pub struct Fed {
    /// The image
    pub image: PathBuf,
    /// An input tensor: .npy, or an ONNX TensorProto in .pb; NAME= may be left out if there is only one input
    #[arg(long = "input", value_name = "NAME=FILE")]
    pub inputs: Vec<Input>,
    /// Give up after this many steps
    #[arg(long, value_name = "STEPS", default_value_t = 1 << 40)]
    pub max_steps: u64,
}

/// `opml run`.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub fed: Fed,
    /// The folder for the outputs, NAME.npy each ('/' in a name becomes '_')
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
    /// How to execute
    #[arg(long, value_enum, default_value_t = Road::Interpreter)]
    pub road: Road,
}

/// A way to execute an image; all give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Road {
    /// The interpreter, floats by the host's hardware where that is proven equal
    Interpreter,
    /// The interpreter with software floats throughout, as in the contract
    Reference,
}

/// `opml trace`.
#[derive(Debug, Args)]
pub struct Trace {
    #[command(flatten)]
    pub fed: Fed,
    /// A step to show, counted from 0; may be given several times
    #[arg(long = "at", value_name = "STEP", required = true)]
    pub at: Vec<u64>,
}

/// `opml prove`.
#[derive(Debug, Args)]
pub struct Prove {
    #[command(flatten)]
    pub fed: Fed,
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
}

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

/// `opml verifier`.
#[derive(Debug, Args)]
pub struct Verifier {
    /// The image
    pub image: PathBuf,
    /// An input tensor of the runs that the tests are made from, as in `opml run` [default: zeros]
    #[arg(long = "input", value_name = "NAME=FILE")]
    pub inputs: Vec<Input>,
    /// The folder for the package
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
}

/// `opml image`.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Make an image from a freestanding static RV64IMFD ELF
    FromElf(FromElf),
}

/// `opml image from-elf`.
#[derive(Debug, Args)]
pub struct FromElf {
    /// The program
    pub program: PathBuf,
    /// Where to write the image
    #[arg(short, long, value_name = "IMAGE")]
    pub output: PathBuf,
    /// Bytes of scratch memory (stack) above the program's own
    #[arg(long, value_name = "BYTES", default_value_t = 65536)]
    pub stack: u64,
}

/// `NAME=DIM,DIM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    pub name: String,
    pub dims: Vec<u64>,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, dims) = text.rsplit_once('=').ok_or("expected NAME=DIM,DIM, for example image=1,784")?;
        let dim = |dim: &str| dim.trim().parse().map_err(|_| format!("'{dim}' is no dimension"));
        let dims = if dims.is_empty() { Vec::new() } else { dims.split(',').map(dim).collect::<Result<_, _>>()? };
        Ok(Self { name: name.to_owned(), dims })
    }
}

/// `NAME=FILE`, or `FILE` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub name: Option<String>,
    pub file: PathBuf,
}

impl FromStr for Input {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) = match text.split_once('=') {
            Some((name, file)) => (Some(name.to_owned()), file),
            None => (None, text),
        };
        if file.is_empty() {
            return Err("expected NAME=FILE".to_owned());
        }
        Ok(Self { name, file: file.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn shapes_and_inputs() {
        let shape = |text: &str| text.parse::<Shape>().map(|s| (s.name, s.dims));
        assert_eq!(shape("x=1,784"), Ok(("x".to_owned(), vec![1, 784])));
        assert_eq!(shape("a=b="), Ok(("a=b".to_owned(), vec![])));
        assert!(shape("x").is_err() && shape("x=1,y").is_err() && shape("x=-1").is_err());
        let input = |text: &str| text.parse::<Input>().map(|i| (i.name, i.file));
        assert_eq!(input("x=a.npy"), Ok((Some("x".to_owned()), "a.npy".into())));
        assert_eq!(input("a.npy"), Ok((None, "a.npy".into())));
        assert!(input("x=").is_err());
    }
}
