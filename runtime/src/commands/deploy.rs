//! `opml deploy`: deploys the contracts on a chain.

use crate::cli::Deploy;
use crate::failure::Failure;
use crate::network::{Sender, block_on, connect, ether, signer, verifiers};
use crate::output::{Output, write_file};
use crate::terms::terms;
use chain::{Deployment, Nodes};
use serde_json::json;

/// How many blocks deep a block is considered safe from reorganisations.
pub const BURIED: u64 = 64;

/// Deploys registry and service.
pub fn run(args: &Deploy, output: Output) -> Result<(), Failure> {
    let (agreed, key) = (terms(&args.terms)?, signer(&args.key)?);
    let spinner = output.spinner("deploying");
    let deployment = block_on(async {
        let node = connect(&args.rpc).await?;
        let mut sender = Sender::new(key, &node)?;
        deploy(&node, &args.rpc, &mut sender, &agreed).await
    })?;
    spinner.finish_and_clear();
    write_file(&args.deployment, deployment.to_json().as_bytes())?;
    let text = format!(
        "registry  {}\nservice   {}\nwritten   {}\n\nwindow {} s, clocks {} s, arity {}; bonds {} and {}, {} burned",
        deployment.registry,
        deployment.service,
        args.deployment.display(),
        args.terms.window,
        args.terms.clock,
        args.terms.arity,
        ether(agreed.asserterBond.to()),
        ether(agreed.challengerBond.to()),
        ether(agreed.burned.to()),
    );
    output.result(&json!(deployment), &text)
}

/// Deploys registry and service.
pub async fn deploy(
    node: &Nodes,
    rpc: &str,
    sender: &mut Sender,
    terms: &contracts::Terms,
) -> Result<Deployment, Failure> {
    // No event is older than the block before. Its hash identifies the chain, so it must be safe from
    // reorganisations.
    let head = node.head().await.map_err(Failure::from_error)?;
    let block = head.number.saturating_sub(BURIED);
    let block_hash = node.block_hash(block).await.map_err(Failure::from_error)?;
    let block_hash = block_hash.ok_or_else(|| Failure::new(format!("the node has no block {block}")))?;
    let code = contracts::model_registry(&verifiers());
    let registry = sender.deploy("deploying the registry", code).await?;
    let code = contracts::inference_service(registry, terms);
    let service = sender.deploy("deploying the service", code).await?;
    Ok(Deployment {
        rpc: Deployment::public(rpc),
        chain_id: node.chain_id(),
        registry,
        service,
        block,
        block_hash,
        consumer: None,
    })
}
