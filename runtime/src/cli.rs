//! The command line: names, flags and help, nothing else.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ops::Range;
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
    Profile(Profile),
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

/// `opml inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The image
    pub image: PathBuf,
    /// Check every hash, also of a large image (up to 64 MiB that is always done)
    #[arg(long)]
    pub verify: bool,
}

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
pub struct Profile {
    #[command(flatten)]
    pub run: RunArgs,
    /// Draw a flame graph: model, operator, node, function, instruction
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

/// Where the contracts are.
#[derive(Debug, Args)]
pub struct Network {
    /// Where registry and service are: written by `opml deploy` and `opml devnet`
    #[arg(long, value_name = "FILE", default_value = "deployment.json")]
    pub deployment: PathBuf,
    /// A node's address, if not the one in the deployment
    #[arg(long, value_name = "URL")]
    pub rpc: Option<String>,
}

/// Whose key signs. Keys are never on the command line.
#[derive(Debug, Args)]
pub struct Key {
    /// A keystore file; without one the key is in the environment, as OPML_KEY
    #[arg(long, value_name = "FILE")]
    pub keystore: Option<PathBuf>,
    /// The file with the keystore's password; without one it is in the environment, as OPML_PASSWORD
    #[arg(long, value_name = "FILE", requires = "keystore")]
    pub password_file: Option<PathBuf>,
}

/// A command of a key.
#[derive(Debug, Args)]
pub struct Keyed {
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub key: Key,
}

/// What a service is deployed with.
#[derive(Debug, Args)]
pub struct Terms {
    /// How long an answer can be challenged
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u32).range(1..))]
    pub window: u32,
    /// How much time each side of a game has for all its moves together
    #[arg(long, value_name = "SECONDS", default_value_t = 43_200, value_parser = clap::value_parser!(u32).range(1..))]
    pub clock: u32,
    /// Into how many parts a segment in dispute is cut
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=256))]
    pub arity: u16,
    /// The highest price of gas at which the bonds shall cover a game, if they aren't given
    #[arg(long, value_name = "AMOUNT", default_value = "50gwei")]
    pub gas_price: Wei,
    /// What goes with an answer, for example 0.2eth [default: twice what a large game costs the challenger]
    #[arg(long, value_name = "AMOUNT")]
    pub asserter_bond: Option<Wei>,
    /// What goes with a challenge [default: what a large game costs the asserter]
    #[arg(long, value_name = "AMOUNT")]
    pub challenger_bond: Option<Wei>,
    /// The part of a fallen answer's bond that nobody gets [default: half of it]
    #[arg(long, value_name = "AMOUNT")]
    pub burned: Option<Wei>,
}

/// `opml devnet`.
#[derive(Debug, Args)]
pub struct Devnet {
    /// The port on which the chain listens
    #[arg(long, default_value_t = 8545)]
    pub port: u16,
    /// Where to write the deployment
    #[arg(long, value_name = "FILE", default_value = "deployment.json")]
    pub deployment: PathBuf,
    /// How long an answer can be challenged
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub window: u32,
    /// How much time each side of a game has for all its moves together
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub clock: u32,
    /// The seconds from block to block
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub block_time: u64,
}

/// `opml deploy`.
#[derive(Debug, Args)]
pub struct Deploy {
    /// A node of the chain
    #[arg(long, value_name = "URL")]
    pub rpc: String,
    /// Where to write the deployment
    #[arg(long, value_name = "FILE", default_value = "deployment.json")]
    pub deployment: PathBuf,
    #[command(flatten)]
    pub terms: Terms,
    #[command(flatten)]
    pub key: Key,
}

/// `opml register`.
#[derive(Debug, Args)]
pub struct Register {
    /// The image
    pub image: PathBuf,
    /// Who is paid for each use that is answered
    #[arg(long, value_name = "ADDRESS", requires = "licence_fee")]
    pub licensor: Option<contracts::Address>,
    /// How much, for example 0.001eth
    #[arg(long, value_name = "AMOUNT", requires = "licensor")]
    pub licence_fee: Option<Wei>,
    /// The licence's text, of which the hash is registered
    #[arg(long, value_name = "FILE")]
    pub licence: Option<PathBuf>,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub key: Key,
}

/// `opml request`.
#[derive(Debug, Args)]
pub struct Request {
    /// The image of the model
    pub image: PathBuf,
    /// An input tensor, as in `opml run`
    #[arg(long = "input", value_name = "NAME=FILE")]
    pub inputs: Vec<Input>,
    /// The listing, if the model is registered under several or with a licence fee [default: the one without a licence]
    #[arg(long, value_name = "ID")]
    pub listing: Option<contracts::B256>,
    /// What the answer is worth, licence fee included
    #[arg(long, value_name = "AMOUNT", default_value = "0.01eth")]
    pub fee: Wei,
    /// Give the input by its root only, and write it as ROOT.bin into this folder, where servers look for it
    #[arg(long, value_name = "DIR")]
    pub by_root: Option<PathBuf>,
    /// The contract that is called when the answer is final
    #[arg(long, value_name = "ADDRESS")]
    pub callback: Option<contracts::Address>,
    /// With how much gas
    #[arg(long, value_name = "GAS", default_value_t = 300_000)]
    pub callback_gas: u64,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub key: Key,
}

/// `opml status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The request's number
    pub request: u64,
    #[command(flatten)]
    pub network: Network,
}

/// `opml cancel`.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The request's number
    pub request: u64,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub key: Key,
}

/// `opml result`.
#[derive(Debug, Args)]
pub struct ResultOf {
    /// The request's number
    pub request: u64,
    /// The model's image, to write the outputs as NAME.npy
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<PathBuf>,
    /// The folder for them
    #[arg(short, long, value_name = "DIR", default_value = ".", requires = "image")]
    pub output: PathBuf,
    #[command(flatten)]
    pub network: Network,
}

/// What serve and watch have in common.
#[derive(Debug, Args)]
pub struct Playing {
    /// Models: .onnx files run natively, images in the machine
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// The folder for what must survive a crash
    #[arg(long, value_name = "DIR", default_value = "opml-state")]
    pub state: PathBuf,
    /// Where inputs are that requests give by their roots
    #[arg(long, value_name = "DIR")]
    pub inputs: Option<PathBuf>,
    /// Serve Prometheus metrics there, for example 127.0.0.1:9000
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<std::net::SocketAddr>,
    /// The pause between two looks at the chain
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..))]
    pub poll: u64,
    /// The most to pay for a unit of gas while there is time; when a clock runs out, up to the bond at stake
    #[arg(long, value_name = "AMOUNT", default_value = "200gwei")]
    pub max_fee: Wei,
    /// Threads for native runs; 0 for as many as there are processors
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Lie in this way, to see what happens to it
    #[arg(long, value_enum)]
    pub cheat: Option<Cheat>,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub key: Key,
}

/// `opml serve`.
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub playing: Playing,
    /// Answer only requests that pay as much, and their callbacks' gas
    #[arg(long, value_name = "AMOUNT", default_value = "0wei")]
    pub min_fee: Wei,
}

/// `opml watch`.
#[derive(Debug, Args)]
pub struct Watch {
    #[command(flatten)]
    pub playing: Playing,
    /// Do not answer requests whose answer has fallen
    #[arg(long)]
    pub no_answers: bool,
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

/// `STEP`, or `FROM..TO` without `TO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps(pub Range<u64>);

impl FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("'{text}' is no step: expected 5 or 5..10"));
        let (from, to) = match text.split_once("..") {
            Some((from, to)) => (number(from)?, number(to)?),
            // The last of all numbers has none behind it, and no run has that many steps.
            None => number(text).map(|step| (step, step.saturating_add(1)))?,
        };
        if from >= to && from != u64::MAX {
            return Err(format!("no step is in {text}: the end of a range does not belong to it"));
        }
        Ok(Self(from..to))
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

/// An amount of money: `0.1eth`, `50gwei`, `7wei`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wei(pub u128);

impl FromStr for Wei {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no amount: expected for example 0.1eth, 50gwei or 7wei");
        let units = [("gwei", 9), ("wei", 0), ("eth", 18)];
        let unit = units.iter().find_map(|(name, digits)| text.strip_suffix(name).map(|number| (number, *digits)));
        let (number, digits) = unit.ok_or_else(bad)?;
        let (whole, part) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
        let plain = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(part) || part.len() > digits {
            return Err(bad());
        }
        format!("{whole}{part:0<digits$}").parse().map(Self).map_err(|_| bad())
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
    fn amounts() {
        let wei = |text: &str| text.parse::<Wei>().map(|wei| wei.0).ok();
        assert_eq!(wei("0.1eth"), Some(100_000_000_000_000_000));
        assert_eq!((wei("50gwei"), wei("7wei"), wei("1.5 gwei")), (Some(50_000_000_000), Some(7), Some(1_500_000_000)));
        assert_eq!((wei("0eth"), wei("1.eth")), (Some(0), Some(1_000_000_000_000_000_000)));
        for bad in ["", "1", "eth", "-1eth", "1e3wei", "0.1wei", ".5eth", "1.2.3eth", "99999999999999999999999999eth"] {
            assert_eq!(wei(bad), None, "{bad}");
        }
    }

    #[test]
    fn steps() {
        let steps = |text: &str| text.parse::<Steps>().map(|steps| steps.0).ok();
        assert_eq!((steps("5"), steps("5..8"), steps("5..6")), (Some(5..6), Some(5..8), Some(5..6)));
        for bad in ["", "..", "5..", "..5", "5..5", "6..5", "-1", "5..=6", "18446744073709551616", "5-6"] {
            assert_eq!(steps(bad), None, "{bad}");
        }
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
