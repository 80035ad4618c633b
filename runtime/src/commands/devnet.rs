//! `opml devnet`: a local test chain with everything deployed.

use super::deploy::deploy;
use crate::cli::{Devnet, Terms, Wei};
use crate::failure::Failure;
use crate::network::{Sender, block_on};
use crate::output::{Output, write_file};
use crate::terms::{ARITY, terms};
use chain::{Deployment, Nodes, PrivateKeySigner};
use serde_json::json;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// The accounts that anvil funds on every start. Their keys are public.
const KEYS: [(&str, &str); 4] = [
    ("deployer", "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    ("requester", "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    ("server", "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    ("validator", "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
];

/// Starts the chain and keeps it running until the command ends.
pub fn run(args: &Devnet, output: Output) -> Result<(), Failure> {
    block_on(async {
        let mut chain = start(args)?;
        let rpc = format!("http://127.0.0.1:{}", args.port);
        let node = ready(&mut chain, &rpc).await?;
        let deployment = set_up(args, &node, &rpc).await?;
        write_file(&args.deployment, deployment.to_json().as_bytes())?;
        show(args, &rpc, &deployment, output)?;
        let ended = tokio::select! {
            status = chain.wait() => Err(Failure::new(format!("anvil ended: {}", status.map_err(Failure::from_error)?))),
            () = super::play::interrupted() => Ok(()),
        };
        let _ = chain.kill().await;
        ended
    })
}

/// Where to find anvil: in the variable OPML_ANVIL, on the path, or installed by npm in this folder or a
/// parent.
fn candidates() -> Vec<PathBuf> {
    let named = std::env::var_os("OPML_ANVIL").map(PathBuf::from);
    let here = std::env::current_dir().unwrap_or_default();
    let local =
        here.ancestors().map(|folder| folder.join("node_modules/.bin/anvil")).filter(|path| path.exists());
    named.into_iter().chain(local).chain([PathBuf::from("anvil")]).collect()
}

fn start(args: &Devnet) -> Result<Child, Failure> {
    // Another chain that listens there would answer instead of the new one.
    TcpListener::bind(("127.0.0.1", args.port)).map_err(|error| {
        Failure::new(format!("cannot listen on port {}: {error}", args.port))
            .hint("if the port is taken, choose another --port")
    })?;
    let (port, block_time) = (args.port.to_string(), args.block_time.to_string());
    for anvil in candidates() {
        let mut command = Command::new(&anvil);
        command.args(["--host", "127.0.0.1", "--port", &port, "--block-time", &block_time, "--quiet"]);
        // anvil's error messages are shown. It must not outlive the command.
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        match command.spawn() {
            Ok(child) => return Ok(child),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::about(&anvil, format!("cannot be started: {error}"))),
        }
    }
    Err(Failure::new("anvil is not installed").hint(
        "it comes with Foundry, or by `npm install @foundry-rs/anvil-linux-amd64`; OPML_ANVIL=PATH says where it is",
    ))
}

/// Waits until the chain answers.
async fn ready(chain: &mut Child, rpc: &str) -> Result<Nodes, Failure> {
    let start = Instant::now();
    loop {
        match Nodes::connect(rpc, Duration::from_secs(5)).await {
            Ok(node) => return Ok(node),
            Err(error) if start.elapsed() > Duration::from_secs(20) => {
                return Err(Failure::from_error(error));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        if let Some(status) = chain.try_wait().map_err(Failure::from_error)? {
            return Err(Failure::new(format!("anvil ended: {status}"))
                .hint("if the port is taken, choose another --port"));
        }
    }
}

async fn set_up(args: &Devnet, node: &Nodes, rpc: &str) -> Result<Deployment, Failure> {
    let tenths = |number: u128| Some(Wei(number * 100_000_000_000_000_000));
    let terms = terms(&Terms {
        window: args.window,
        clock: args.clock,
        arity: ARITY,
        gas_price: Wei(0),
        asserter_bond: tenths(2),
        challenger_bond: tenths(1),
        burned: tenths(1),
    })?;
    let key: PrivateKeySigner = KEYS[0].1.parse().map_err(|_| Failure::new("no key"))?;
    let mut sender = Sender::new(key, node)?;
    let deployment = deploy(node, rpc, &mut sender, &terms).await?;
    let consumer =
        sender.deploy("deploying a consumer", contracts::example_consumer(deployment.service)).await?;
    Ok(Deployment { consumer: Some(consumer), ..deployment })
}

fn show(args: &Devnet, rpc: &str, deployment: &Deployment, output: Output) -> Result<(), Failure> {
    let keys: Vec<_> = KEYS
        .iter()
        .filter_map(|(name, key)| Some((name, key.parse::<PrivateKeySigner>().ok()?.address(), key)))
        .collect();
    let accounts: serde_json::Map<String, serde_json::Value> = keys
        .iter()
        .map(|(name, address, key)| ((**name).to_owned(), json!({ "address": address, "key": key })))
        .collect();
    let lines: Vec<_> =
        keys.iter().map(|(name, address, key)| format!("{name:<10} {address}  {key}")).collect();
    let consumer = deployment.consumer.unwrap_or_default();
    let text = format!(
        "chain      {rpc} (id {})\nregistry   {}\nservice    {}\nconsumer   {consumer}\n\naccounts, 10,000 ETH each; these keys are public: never use them elsewhere\n{}\n\nan answer can be challenged for {} s; each side of a game has {} s in total\nwritten to {}; Ctrl-C ends the chain",
        deployment.chain_id,
        deployment.registry,
        deployment.service,
        lines.join("\n"),
        args.window,
        args.clock,
        args.deployment.display(),
    );
    output.result(&json!({ "deployment": deployment, "accounts": accounts }), &text)
}
