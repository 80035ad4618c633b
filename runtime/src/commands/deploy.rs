//! `opml deploy`: the contracts on a chain.

use crate::cli::{Deploy, Terms};
use crate::failure::Failure;
use crate::network::{Sender, block_on, connect, ether, signer};
use crate::output::{Output, write_file};
use chain::{Deployment, RpcNode};
use contracts::cost::{Bonds, Shape};
use contracts::{B256, U256};
use isa::Extensions;
use serde_json::json;

/// How deep a block is that no reorganisation undoes.
const BURIED: u64 = 64;

/// Deploys registry and service.
pub fn run(args: &Deploy, output: Output) -> Result<(), Failure> {
    let (key, agreed) = (signer(&args.key)?, terms(&args.terms)?);
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

/// The terms as the contract has them, if it takes them.
pub fn terms(terms: &Terms) -> Result<contracts::Terms, Failure> {
    // The contract has 96 bits for an amount.
    let amount = |wei: u128| {
        let most = (1 << 96) - 1;
        if wei > most {
            Err(Failure::new("a bond is too large").hint("at most 79228162514eth"))
        } else {
            Ok(U256::from(wei).to())
        }
    };
    let shape = Shape { arity: terms.arity.into(), ..Shape::LARGE };
    let bonds = Bonds::at(&shape, terms.gas_price.0);
    let asserter = terms.asserter_bond.map_or(bonds.asserter, |wei| wei.0);
    let challenger = terms.challenger_bond.map_or(bonds.challenger, |wei| wei.0);
    let burned = terms.burned.map_or(asserter / 2, |wei| wei.0);
    if asserter == 0 || challenger == 0 {
        return Err(Failure::new("a bond of nothing holds nobody to anything").hint("raise the bond"));
    }
    if burned > asserter {
        return Err(Failure::new("more would be burned than the asserter's bond").hint("lower --burned"));
    }
    Ok(contracts::Terms {
        window: terms.window,
        clock: terms.clock,
        arity: terms.arity,
        asserterBond: amount(asserter)?,
        challengerBond: amount(challenger)?,
        burned: amount(burned)?,
    })
}

/// Deploys registry and service, and says where they are.
pub async fn deploy(
    node: &RpcNode,
    rpc: &str,
    sender: &mut Sender,
    terms: &contracts::Terms,
) -> Result<Deployment, Failure> {
    // No event is older than the block before. Its hash says which chain it is, so no reorganisation may undo it.
    let head = node.head().await.map_err(Failure::from_error)?;
    let block = head.number.saturating_sub(BURIED);
    let block_hash = node.block_hash(block).await.map_err(Failure::from_error)?;
    let block_hash = block_hash.ok_or_else(|| Failure::new(format!("the node has no block {block}")))?;
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
        block,
        block_hash,
        consumer: None,
    })
}
