//! The command line: names, flags and help, nothing else.

mod dispute;
mod images;
mod network;
mod play;
mod run;
mod values;

use clap::{Parser, Subcommand};

pub use dispute::{Cheat, Dispute};
pub use images::{Check, Compile, FromElf, ImageCommand, ImageOnly, Inspect, ModelArgs, Verifier};
pub use network::{
    Account, AccountAddress, AccountCommand, Cancel, Deploy, Devnet, Games, Key, Keyed, Network, NewAccount,
    OnChain, Redeliver, Register, Request, ResultOf, Status, Terms,
};
pub use play::{LogFormat, Playing, Running, Serve, Watch, Work};
pub use run::{Backend, Limits, ProfileArgs, Prove, Run, RunArgs, Trace, Verify};
pub use values::{Dim, EarlierResult, Input, RootOf, Shape, State, Steps, Wei};

/// Compile ONNX models to provable machine images, run them, and let a contract verify any single step
#[derive(Debug, Parser)]
#[command(name = "opml", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// Print exactly one JSON object on standard output instead of text, also when the command fails
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Start here:
  opml demo                                        everything in one go, from a digit to a verified step
  opml check model.onnx                            see whether a model can be compiled, and what it costs
  opml compile model.onnx -o model.opml            make an image, which has a root
  opml run model.opml --input image=digit.npy      run it; outputs go to NAME.npy
  opml profile model.opml --input image=digit.npy  see where the steps go
  opml prove model.opml --input image=digit.npy --step 1000 -o step.json
  opml verify step.json --evm                      let the contract execute exactly that step

Sizes are bytes, or take a unit: 500MB, 64MiB. Numbers of steps may be written 1000000, 1_000_000 or 1e6.

Exit status:
  0  done
  1  failed; the model can't be compiled (`opml check`)
  2  the command line is wrong: an unknown option, a value that makes no sense, an input that is missing
  3  what was waited for has not happened yet (`opml result`, --wait)
  4  another player has the state of this one (`opml serve`, `opml watch`)
  5  the state of this player is damaged (`opml serve`, `opml watch`)

With --json, a failure is {\"error\": {\"kind\": \"failed\", \"usage\", \"pending\", \"in use\" or \"damaged\", \"message\": ...,
\"hint\": ...}}.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compile an ONNX model to a Merkle-committed image
    ///
    /// The same model gives the same image root on every machine.
    Compile(Compile),
    /// Say beforehand whether an ONNX model can be compiled, and what it would cost to run and to dispute
    ///
    /// The report has the model's operators and types, all problems at once with what would be accepted, and, if there
    /// are none, the steps and the memory of a run, about how long it takes natively, and the most that a dispute costs.
    Check(Check),
    /// Show an image: roots, memory map, tensors, operators, instruction mix
    Inspect(Inspect),
    /// List an image's instructions with symbols
    Disasm(ImageOnly),
    /// Run an image and write its outputs as .npy files
    ///
    /// Code that runs often is translated to native code. It is kept for the next run in ~/.cache/opml, or in the folder that
    /// the variable OPML_CACHE names; if that is empty, it isn't kept.
    Run(Run),
    /// Run an image and show where its steps go: by operator, node, function and instruction
    ///
    /// A run that traps, or that is longer than --max-steps, is shown as far as it went.
    Profile(ProfileArgs),
    /// Show the machine at chosen steps: state root, instruction, operator, output element
    ///
    /// The image runs once, no matter how many steps are shown.
    Trace(Trace),
    /// Write the witness of one step, with the state roots before and after it
    Prove(Prove),
    /// Execute a witnessed step as the contract would, and compare it with its claim
    Verify(Verify),
    /// Write a Foundry package for an image: contracts, deploy script, and tests from its real runs
    ///
    /// Its tests pass as it is: run `forge test` in it.
    Verifier(Verifier),
    /// Play a whole dispute about a result, move by move, on the contracts in the embedded EVM
    ///
    /// One side computes honestly, the other lies in the chosen way. Rust and the contracts play the same game and are
    /// compared after every move.
    Dispute(Dispute),
    /// Start a local test chain (anvil) with everything deployed, and print addresses and funded keys
    ///
    /// The deployment is written to a file that the other commands read. The chain ends with the command. anvil comes
    /// with Foundry, or from npm as @foundry-rs/anvil-linux-amd64.
    Devnet(Devnet),
    /// Deploy registry and service on a chain, and write their addresses to a file
    Deploy(Deploy),
    /// Check that the contracts of a deployment are those of this version, and show their terms
    VerifyDeployment(OnChain),
    /// Show what an account has bonded, won, lost and spent; make keys and show their addresses
    ///
    /// Reads all events of the service and the receipts of the account's transactions. The total is compared with what
    /// the service says that it owes.
    Account(Account),
    /// Register an image's model, so that inferences can be requested
    Register(Register),
    /// Request an inference
    Request(Request),
    /// Show a request: its answers, its games, and the state of each
    Status(Status),
    /// List the games that are being played, with their clocks: the nearest deadline first
    ///
    /// A game is a dispute between an asserter and a challenger about an answer. Whoever is to move has its clock running,
    /// and loses when it has run out. A game whose answer fell in another game is listed until its bond is reclaimed.
    Games(Games),
    /// Show the final output of a request, or write it as .npy files
    Result(ResultOf),
    /// Have the callback of a final answer made again, after it has failed
    Redeliver(Redeliver),
    /// Get back the money of a request that was not answered
    Cancel(Cancel),
    /// Withdraw what the service owes to an account that refused a payment
    Withdraw(Keyed),
    /// Answer requests: run the model, post results with a bond, and defend them
    Serve(Serve),
    /// Check answers: run the model again, challenge what is wrong, and play the game to its end
    Watch(Watch),
    /// Run models for players on other machines, which leave their work in a database
    ///
    /// A worker needs neither a key nor a node. What it doesn't finish, because it ends or is away, another one does.
    Work(Work),
    /// Make an image from something other than a model
    #[command(subcommand)]
    Image(ImageCommand),
    /// Show everything in one go: compile, run, prove one step, verify it in the embedded EVM
    Demo,
    /// Print a shell completion script
    #[command(after_help = "\
Example:
  opml completions bash > ~/.local/share/bash-completion/completions/opml")]
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
