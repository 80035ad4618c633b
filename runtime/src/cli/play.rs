//! The players: server and validator.

use super::{Cheat, Key, Limits, Network, Wei};
use clap::{Args, ValueEnum};
use contracts::cost::AT_ONCE;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// What serve, watch and work have in common.
#[derive(Debug, Args)]
pub struct Running {
    /// The images of the models, as `opml compile` writes them
    #[arg(required_unless_present = "config", value_name = "IMAGE")]
    pub models: Vec<PathBuf>,
    /// A TOML file with options: each key is one of these flags without its dashes, and `models` are the images; flags and
    /// variables come first
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Serve Prometheus metrics and the health of this process at this port of this computer, or at an address like
    /// 10.0.0.7:9000
    #[arg(long, value_name = "PORT", value_parser = address)]
    pub metrics: Option<SocketAddr>,
    /// Threads for native runs; 0 uses every processor
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// How to write the log, on standard error; RUST_LOG sets the level [default: human, or json with --json]
    #[arg(long, visible_alias = "log", value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    #[command(flatten)]
    pub limits: Limits,
}

/// What serve and watch have in common.
#[derive(Debug, Args)]
pub struct Playing {
    #[command(flatten)]
    pub running: Running,
    /// The folder for what must survive a crash; use one key and one folder per player
    #[arg(long, value_name = "DIR", default_value = "opml-state")]
    pub state: PathBuf,
    /// A PostgreSQL database in which this player keeps what must survive a crash, and leaves its computations to machines
    /// with `opml work`: postgres://USER@HOST/NAME, with the password in PGPASSWORD or in ~/.pgpass. Where another player
    /// with this key runs, this one waits until it ends
    #[arg(long, value_name = "URL", env = "OPML_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
    /// The folder with inputs that requests give by root only: ROOT.bin each, as `opml request --by-root` writes them;
    /// outputs that are answered by root are kept there for later requests [default: inputs in the folder of --state]
    #[arg(long, value_name = "DIR")]
    pub inputs: Option<PathBuf>,
    /// Prove at most this many steps of a game at once: one transaction of up to 100,000 gas a step, instead of waiting
    /// for an opponent who may never answer
    #[arg(long, value_name = "STEPS", default_value_t = AT_ONCE, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub prove_at_once: u64,
    /// The pause between two polls of the chain
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..))]
    pub poll: u64,
    /// The most to pay for a unit of gas while there is time; when a clock runs out, up to the bond at stake
    #[arg(long, value_name = "AMOUNT", default_value = "200gwei")]
    pub max_fee: Wei,
    /// Keep enough for a game about every answer and challenge at this price for a unit of gas, or at today's if that is
    /// higher; what the balance doesn't cover is not answered and not challenged
    #[arg(long, value_name = "AMOUNT", default_value = "0wei")]
    pub reserve_price: Wei,
    /// Lie in this way, to see what happens
    #[arg(long, value_enum)]
    pub cheat: Option<Cheat>,
    #[command(flatten)]
    pub network: Network,
    #[command(flatten)]
    pub key: Key,
}

/// `opml work`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  export OPML_DATABASE=postgres://opml@db.example/opml PGPASSWORD=...
  opml work model.opml
  opml work --config opml.toml
  opml watch model.opml --deployment deployment.json    on another machine, with a key")]
pub struct Work {
    #[command(flatten)]
    pub running: Running,
    /// The PostgreSQL database of the players: postgres://USER@HOST/NAME, with the password in PGPASSWORD or in ~/.pgpass
    #[arg(long, value_name = "URL", env = "OPML_DATABASE", hide_env_values = true)]
    pub database: String,
    /// Do at most this many jobs at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub jobs: u32,
    /// Let others have the jobs of this worker when nothing has been heard of it for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub lease: u64,
    /// A folder, one per worker, in which it remembers which images it has checked: it can use a large one at once when it
    /// is started again [default: it checks them before it uses them, at about a second per gigabyte]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// An address, or a port of this computer that others can't reach.
fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.parse().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    port.or_else(|_| text.parse())
        .map_err(|_| "expected a port or an address with a port, like 9000 or 10.0.0.7:9000".to_owned())
}

/// A way to write the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for each event: time of day (UTC), what happened, and about what
    #[value(alias = "text")]
    Human,
    /// A JSON object for each event
    Json,
}

/// `opml serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  export OPML_KEY=0x...
  opml serve model.opml --deployment deployment.json --min-fee 0.005eth
  opml serve --config opml.toml")]
pub struct Serve {
    #[command(flatten)]
    pub playing: Playing,
    /// Answer only requests that pay at least this much on top of their callback's gas; answering and settling take
    /// about 130,000 gas, which the default pays at 15 gwei
    #[arg(long, value_name = "AMOUNT", default_value = "0.002eth")]
    pub min_fee: Wei,
}

/// `opml watch`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  export OPML_KEY=0x...
  opml watch model.opml --deployment deployment.json
  opml watch --config opml.toml")]
pub struct Watch {
    #[command(flatten)]
    pub playing: Playing,
    /// Do not answer requests whose answer was overturned
    #[arg(long)]
    pub no_answers: bool,
}
