//! `opml deploy`: the contracts on a chain.

use crate::cli::{Deploy, Terms};
use crate::failure::Failure;
use crate::network::{Sender, block_on, connect, ether, signer};
use crate::output::{Output, write_file};
use chain::{Deployment, Node};
use contracts::{B256, U256};
use isa::Extensions;
use serde_json::json;

/// Deploys registry and service.
pub fn run(args: &Deploy, output: Output) -> Result<(), Failure> {
    let (key, terms) = (signer(&args.key)?, terms(&args.terms)?);
    let spinner = output.spinner("deploying");
    let deployment = block_on(async {
        let node = connect(&args.rpc).await?;
        let mut sender = Sender::new(key, &node)?;
        deploy(&node, &args.rpc, &mut sender, &terms).await
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
        ether(U256::from(args.terms.asserter_bond.0)),
        ether(U256::from(args.terms.challenger_bond.0)),
        ether(U256::from(args.terms.burned.0)),
    );
    output.result(&json!(deployment), &text)
}

/// The terms as the contract has them, if it takes them.
pub fn terms(terms: &Terms) -> Result<contracts::Terms, Failure> {
    let amount = |wei: crate::cli::Wei| U256::from(wei.0).to();
    if terms.asserter_bond.0 == 0 || terms.challenger_bond.0 == 0 {
        return Err(Failure::new("a bond of nothing holds nobody to anything").hint("raise the bond"));
    }
    if terms.burned.0 > terms.asserter_bond.0 {
        return Err(Failure::new("more would be burned than the asserter's bond").hint("lower --burned"));
    }
    Ok(contracts::Terms {
        window: terms.window,
        clock: terms.clock,
        arity: terms.arity,
        asserterBond: amount(terms.asserter_bond),
        challengerBond: amount(terms.challenger_bond),
        burned: amount(terms.burned),
    })
}

/// Deploys registry and service, and says where they are.
pub async fn deploy(
    node: &Node,
    rpc: &str,
    sender: &mut Sender,
    terms: &contracts::Terms,
) -> Result<Deployment, Failure> {
    // No event is older than the block before.
    let before = node.head().await.map_err(Failure::from_error)?;
    let hash = |extensions| B256::new(step::keccak(&solidity::bytecode(extensions)).0);
    let code = contracts::model_registry(hash(Extensions::IM), hash(Extensions::IMFD));
    let registry = sender.deploy("deploying the registry", code).await?;
    let code = contracts::inference_service(registry, terms);
    let service = sender.deploy("deploying the service", code).await?;
    Ok(Deployment {
        rpc: rpc.to_owned(),
        chain_id: node.chain_id(),
        registry,
        service,
        block: before.number,
        block_hash: before.hash,
        consumer: None,
    })
}
