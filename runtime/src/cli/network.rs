//! Requests on a chain, and the accounts that send them.

use super::values::{InputParser, number};
use super::{EarlierResult, Input, RootOf, Wei};
use crate::terms;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Where the contracts are.
#[derive(Debug, Args)]
pub struct Network {
    /// The file with the addresses of registry and service, written by `opml deploy`, `opml devnet` or a package's script
    #[arg(long, value_name = "FILE", default_value = "deployment.json")]
    pub deployment: PathBuf,
    /// The JSON-RPC URL of a node [default: the one in the deployment]. Given several times, what one node doesn't
    /// answer the next one does, and before a bond is sent two must agree
    #[arg(long, value_name = "URL", env = "OPML_RPC", hide_env_values = true, value_delimiter = ' ')]
    pub rpc: Vec<String>,
}

/// `opml verify-deployment`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  opml verify-deployment --deployment theirs.json --rpc https://rpc.example")]
pub struct OnChain {
    #[command(flatten)]
    pub network: Network,
}

/// Which key signs. Keys are never on the command line.
#[derive(Debug, Args)]
pub struct Key {
    /// A keystore file, for example from `opml account new` [default: the key in the variable OPML_KEY]
    #[arg(long, value_name = "FILE")]
    pub keystore: Option<PathBuf>,
    /// A file with the keystore's password [default: the variable OPML_PASSWORD, or a prompt on a terminal]
    #[arg(long, value_name = "FILE", requires = "keystore")]
    pub password_file: Option<PathBuf>,
}

/// `opml account`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  opml account 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC         by request, and in total
  opml account --keystore server.json
  opml account 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC --json | jq -r .total.net    in wei

What the columns mean:
  bonded  bonds that the service holds: of answers that aren't final, and of games that aren't over
  won     fees of answers, and the bonds that others lost to it
  lost    its bonds that others got, or that were burned
  paid    fees of its own requests
  spent   the gas of its transactions to the service
  net     won - lost - paid - spent"
)]
pub struct Account {
    #[command(subcommand)]
    pub command: Option<AccountCommand>,
    /// The account [default: the one of the key]
    pub address: Option<contracts::Address>,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub key: Key,
}

/// What else `opml account` does.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make a new key and write it to a keystore file, encrypted with a password
    ///
    /// An existing file is never overwritten. Only the owner of the file can read it.
    New(NewAccount),
    /// Print the address of a key
    Address(AccountAddress),
}

/// `opml account new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml account new -o server.json
  opml account new -o server.json --password-file password.txt")]
pub struct NewAccount {
    /// The file to write the keystore to
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// A file with the password [default: the variable OPML_PASSWORD, or a prompt on a terminal]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// `opml account address`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  opml account address --keystore server.json")]
pub struct AccountAddress {
    #[command(flatten)]
    pub key: Key,
}

/// `opml withdraw`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  opml withdraw --keystore server.json")]
pub struct Keyed {
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub key: Key,
}

/// The terms that a service is deployed with.
#[derive(Debug, Args)]
pub struct Terms {
    /// How long an answer can be challenged, 10 s to 365 days
    #[arg(long, value_name = "SECONDS", default_value_t = terms::WINDOW, value_parser = clap::value_parser!(u32).range(terms::TIMES))]
    pub window: u32,
    /// How much time each side of a game has for all its moves together, 10 s to 365 days
    #[arg(long, value_name = "SECONDS", default_value_t = terms::CLOCK, value_parser = clap::value_parser!(u32).range(terms::TIMES))]
    pub clock: u32,
    /// How many parts each move cuts the disputed segment into, 2 to 256
    #[arg(long, default_value_t = terms::ARITY, value_parser = clap::value_parser!(u16).range(2..=256))]
    pub arity: u16,
    /// The gas price up to which the default bonds cover a whole game
    #[arg(long, value_name = "AMOUNT", default_value = "50gwei")]
    pub gas_price: Wei,
    /// The bond of an answer, for example 0.2eth [default: three times what a large game costs the challenger]
    #[arg(long, value_name = "AMOUNT")]
    pub asserter_bond: Option<Wei>,
    /// The bond of a challenge [default: what a large game costs the asserter]
    #[arg(long, value_name = "AMOUNT")]
    pub challenger_bond: Option<Wei>,
    /// The part of an overturned answer's bond that is burned [default: a third of it]
    #[arg(long, value_name = "AMOUNT")]
    pub burned: Option<Wei>,
}

/// `opml devnet`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  opml devnet --window 60 --clock 60")]
pub struct Devnet {
    /// The port that the chain listens on
    #[arg(long, default_value_t = 8545)]
    pub port: u16,
    /// The file to write the deployment to
    #[arg(long, value_name = "FILE", default_value = "deployment.json")]
    pub deployment: PathBuf,
    /// How long an answer can be challenged
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(terms::TIMES))]
    pub window: u32,
    /// How much time each side of a game has for all its moves together
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(terms::TIMES))]
    pub clock: u32,
    /// The time between two blocks
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub block_time: u64,
}

/// `opml deploy`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml deploy --rpc https://rpc.example --keystore deployer.json
  opml deploy --rpc https://rpc.example --window 3600 --asserter-bond 0.5eth --challenger-bond 0.2eth")]
pub struct Deploy {
    /// The JSON-RPC URL of a node of the chain
    #[arg(long, value_name = "URL", env = "OPML_RPC", hide_env_values = true)]
    pub rpc: String,
    /// The file to write the deployment to
    #[arg(long, value_name = "FILE", default_value = "deployment.json")]
    pub deployment: PathBuf,
    #[command(flatten)]
    pub terms: Terms,
    #[command(flatten)]
    pub key: Key,
}

/// `opml register`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml register model.opml")]
pub struct Register {
    /// The image
    pub image: PathBuf,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub key: Key,
}

/// `opml request`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml request model.opml --input image=digit.npy --fee 0.02eth
  opml request model.opml --input image=digit.npy --wait          until the answer is final
  opml request model.opml --input image=digit.npy --wait=600      for ten minutes at most
  opml request chat.opml --input token=next.npy --result cache=7/1 --output-by-root cache")]
pub struct Request {
    /// The image of the model
    pub image: PathBuf,
    /// An input tensor: NAME=FILE, as in `opml run`
    #[arg(long = "input", value_name = "NAME=FILE", value_parser = InputParser)]
    pub inputs: Vec<Input>,
    /// How often the model's period is repeated, if it has one [default: as often as the model allows]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = number)]
    pub repetitions: u64,
    /// What the answer is worth to you
    #[arg(long, value_name = "AMOUNT", default_value = "0.01eth")]
    pub fee: Wei,
    /// Send only the roots of the inputs, and write each to ROOT.bin in this folder, where servers look for it
    #[arg(long, value_name = "DIR")]
    pub by_root: Option<PathBuf>,
    /// An input by its root, which you need not have: NAME=0xROOT
    #[arg(long = "root", value_name = "NAME=ROOT")]
    pub roots: Vec<RootOf>,
    /// An input that is an output of an earlier request: NAME=REQUEST/OUTPUT, outputs counted from 0
    #[arg(long = "result", value_name = "NAME=REQUEST/OUTPUT")]
    pub results: Vec<EarlierResult>,
    /// An output of which the answer gives only the root, because it is large or a later request continues from it
    #[arg(long = "output-by-root", value_name = "NAME")]
    pub outputs_by_root: Vec<String>,
    /// The contract to call when the answer is final
    #[arg(long, value_name = "ADDRESS")]
    pub callback: Option<contracts::Address>,
    /// The gas for that call, at most 8,000,000
    #[arg(long, value_name = "GAS", default_value_t = 300_000, value_parser = number)]
    pub callback_gas: u64,
    /// Wait until the answer is final, for at most this many seconds if given; exit status 3 if it isn't final by then
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = FOR_EVER)]
    pub wait: Option<u64>,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub key: Key,
}

/// Longer than anyone waits, in seconds.
const FOR_EVER: &str = "4294967295";

/// `opml status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  opml status 1")]
pub struct Status {
    /// The number of the request, as `opml request` prints it
    pub request: u64,
    /// The model's image, to name the operator, the output element and both values of a dispute
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<PathBuf>,
    /// The folder with inputs that requests give by their roots
    #[arg(long, value_name = "DIR", requires = "image")]
    pub inputs: Option<PathBuf>,
    #[command(flatten)]
    pub network: Network,
}

/// `opml games`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml games
  opml games --of 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC          only those of one account
  opml games --all                                                    also those that are over, and how they ended
  opml games --json | jq '.games[] | select(.clocks.overdue)'         those that anyone can end")]
pub struct Games {
    /// Only games in which this account is the asserter or the challenger
    #[arg(long, value_name = "ADDRESS")]
    pub of: Option<contracts::Address>,
    /// Also the games that are over, and how they ended
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub network: Network,
}

/// `opml cancel`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  opml cancel 1                     gives notice, which lasts as long as the challenge window
  opml cancel 1                     returns the fee, once that time is over")]
pub struct Cancel {
    /// The number of the request, as `opml request` prints it
    pub request: u64,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub key: Key,
}

/// `opml redeliver`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  opml redeliver 1")]
pub struct Redeliver {
    /// The number of the request, as `opml request` prints it
    pub request: u64,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub key: Key,
}

/// `opml result`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  opml result 1                                the output's bytes
  opml result 1 --image model.opml -o out      the outputs as .npy files
  opml result 1 --wait=600 || echo not yet     exit status 3 if it isn't final after ten minutes")]
pub struct ResultOf {
    /// The number of the request, as `opml request` prints it
    pub request: u64,
    /// The model's image; with it, the outputs are written to NAME.npy
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<PathBuf>,
    /// The folder for the outputs
    #[arg(short, long, value_name = "DIR", default_value = ".", requires = "image")]
    pub output: PathBuf,
    /// Wait until the answer is final, for at most this many seconds if given
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = FOR_EVER)]
    pub wait: Option<u64>,
    #[command(flatten)]
    pub network: Network,
}
