//! Requests on a chain.

use super::{Input, Wei};
use clap::Args;
use std::path::PathBuf;

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
    /// The model's image, to name the operator, the output element and both values of a dispute
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<PathBuf>,
    /// The folder with inputs that requests give by their roots
    #[arg(long, value_name = "DIR", requires = "image")]
    pub inputs: Option<PathBuf>,
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
