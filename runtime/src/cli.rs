//! The command line: names, flags and help, nothing else.

mod dispute;
mod images;
mod network;
mod play;
mod run;
mod values;

use clap::{Parser, Subcommand};

pub use dispute::{Cheat, Dispute};
pub use images::{Compile, FromElf, ImageCommand, ImageOnly, Inspect, Verifier};
pub use network::{Cancel, Deploy, Devnet, Key, Keyed, Network, Register, Request, ResultOf, Status, Terms};
pub use play::{Playing, Serve, Watch};
pub use run::{Backend, Limits, ProfileArgs, Prove, Run, RunArgs, Trace, Verify};
pub use values::{Input, Shape, Steps, Wei};

/// Compile ONNX models to provable machine images, run them, and let a contract verify any single step.
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
  opml demo                                        the whole way, from a digit to a verified step
  opml compile model.onnx -o model.opml            a model becomes an image with a root
  opml run model.opml --input image=digit.npy      the image runs; outputs land in NAME.npy
  opml profile model.opml --input image=digit.npy  where the steps go
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
    Inspect(Inspect),
    /// List an image's instructions with symbols
    Disasm(ImageOnly),
    /// Run an image and write its outputs as .npy files
    ///
    /// What the image executes often is translated for this computer; the code is kept in ~/.cache/opml for the next run, or in
    /// the folder that the variable OPML_CACHE names, or nowhere if that is empty.
    Run(Run),
    /// Run an image and say where its steps go: by operator, node, function and instruction
    ///
    /// A run that traps, or that is longer than --max-steps, is shown as far as it went.
    Profile(ProfileArgs),
    /// Show the machine at chosen steps: state root, instruction, operator, output element
    ///
    /// However many steps are shown, the image runs once.
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
    /// Start a local test chain (anvil) with everything deployed, and print addresses and funded keys
    ///
    /// The deployment is written to a file that the other commands read. The chain ends with the command. anvil comes
    /// with Foundry, or from npm as @foundry-rs/anvil-linux-amd64.
    Devnet(Devnet),
    /// Deploy registry and service on a chain, and write where they are
    Deploy(Deploy),
    /// Register an image's model, so that it can be asked for
    Register(Register),
    /// Ask for an inference
    Request(Request),
    /// Show a request: its answers, its games, and how each stands
    Status(Status),
    /// Show the final output of a request, or write it as .npy
    Result(ResultOf),
    /// Take back the money of a request that nobody has answered
    Cancel(Cancel),
    /// Take out what the service has credited to a key
    Withdraw(Keyed),
    /// Answer requests: run the model, post results with a bond, and defend them
    Serve(Serve),
    /// Watch answers: run the model again, challenge what is wrong, and play the game to its end
    Watch(Watch),
    /// Make an image from something other than a model
    #[command(subcommand)]
    Image(ImageCommand),
    /// Show the whole way: compile, run, prove one step, verify it in the embedded EVM
    Demo,
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
