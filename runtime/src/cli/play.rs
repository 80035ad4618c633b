//! The players.

use super::{Cheat, Key, Limits, Network, Wei};
use clap::Args;
use std::path::PathBuf;

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
