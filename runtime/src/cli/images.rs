//! Making images and looking at them.

use super::{Input, Limits, Shape};
use clap::{Args, Subcommand};
use std::path::PathBuf;

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

/// `opml inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The image
    pub image: PathBuf,
    /// Check every hash, also of a large image (up to 64 MiB that is always done)
    #[arg(long)]
    pub verify: bool,
    /// Draw the image: its nodes in the order of execution with steps and bytes, and a map of its memory
    #[arg(long, value_name = "FILE.svg")]
    pub svg: Option<PathBuf>,
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
pub struct FromElf {
    /// The program
    pub program: PathBuf,
    /// Where to write the image
    #[arg(short, long, value_name = "IMAGE")]
    pub output: PathBuf,
    /// The least size of the stack
    ///
    /// The stack lies below the program, where an overflow traps, if there is room for so much.
    #[arg(long, value_name = "BYTES", default_value_t = 32768)]
    pub stack: u64,
    /// The most steps that a run takes, for programs that are registered and disputed: a longer run has no result
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_steps: Option<u64>,
}
