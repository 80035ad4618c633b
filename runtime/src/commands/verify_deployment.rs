//! `opml verify-deployment`: whether the contracts on a chain are those of this version of opml, and their terms.

use crate::cli::OnChain;
use crate::failure::Failure;
use crate::network::{Session, block_on, ether, verifiers};
use crate::output::Output;
use contracts::cost::{Bonds, Shape};
use contracts::{Address, B256, Bytes, IInferenceService, IModelRegistry, Terms, U256};
use evm::chain::{Chain, Outcome};
use isa::Extensions;
use serde_json::json;
use step::keccak;

/// Shorter windows and clocks leave no time for an outage: an hour, in seconds.
const SHORT: u32 = 3_600;
/// The gas price at which bonds should still cover a game, in wei: 5 gwei.
const GAS_PRICE: u128 = 5_000_000_000;

/// What is on the chain.
struct Found {
    registry: Bytes,
    service: Bytes,
    /// The registry that the service asks.
    asked: Address,
    terms: Terms,
    sets: Vec<(u32, Address, Bytes)>,
}

/// Compares the deployment with what this version would deploy.
pub fn run(args: &OnChain, output: Output) -> Result<(), Failure> {
    let spinner = output.spinner("asking the node");
    let (deployment, found) = block_on(async {
        let session = Session::open(&args.network).await?;
        let found = found(&session).await?;
        Ok((session.deployment, found))
    })?;
    spinner.finish_and_clear();
    let faults = faults(deployment.registry, &found)?;
    if !faults.is_empty() {
        return Err(Failure::about(&args.network.deployment, faults.join("; "))
            .hint("don't use it: its contracts may do anything, or are those of another version of opml"));
    }
    let (terms, notes) = (&found.terms, notes(&found.terms));
    let sets: Vec<String> = found.sets.iter().map(|(set, ..)| name(*set)).collect();
    let object = json!({
        "chain_id": deployment.chain_id, "registry": deployment.registry, "service": deployment.service,
        "machines": sets, "window": terms.window, "clock": terms.clock, "arity": terms.arity,
        "asserter_bond_wei": terms.asserterBond.to_string(),
        "challenger_bond_wei": terms.challengerBond.to_string(), "burned_wei": terms.burned.to_string(),
        "notes": notes,
    });
    let mut text = format!(
        "chain      {}\nregistry   {}: the code of this version\nservice    {}: the code of this version\n\
         verifiers  {}\nwindow     {} s\nclocks     {} s each\narity      {}\n\
         bonds      {} for an answer, of which {} are burned if it is overturned\n           {} for a challenge",
        deployment.chain_id,
        deployment.registry,
        deployment.service,
        sets.join(", "),
        terms.window,
        terms.clock,
        terms.arity,
        ether(terms.asserterBond.to()),
        ether(terms.burned.to()),
        ether(terms.challengerBond.to()),
    );
    for note in &notes {
        text += &format!("\nnote       {note}");
    }
    output.result(&object, &text)
}

/// Asks the node.
async fn found(session: &Session) -> Result<Found, Failure> {
    let code = async |address: Address| -> Result<Bytes, Failure> {
        let code = session.node.raw("eth_getCode", json!([address, "latest"])).await;
        let code = code.map_err(Failure::from_error)?;
        let code = code.as_str().and_then(|text| text.parse().ok());
        code.ok_or_else(|| Failure::new(format!("the node gives no code for {address}")))
    };
    let deployment = &session.deployment;
    let (registry, service) = (code(deployment.registry).await?, code(deployment.service).await?);
    for (what, address, code) in
        [("registry", deployment.registry, &registry), ("service", deployment.service, &service)]
    {
        if code.is_empty() {
            return Err(Failure::new(format!("there is no {what} at {address}")));
        }
    }
    let asked = session.service(&IInferenceService::registryCall {}).await?;
    let mut sets = Vec::new();
    for set in session.registry(&IModelRegistry::setsCall {}).await? {
        let verifier = session.registry(&IModelRegistry::verifierOfCall { extensions: set }).await?;
        sets.push((set, verifier, code(verifier).await?));
    }
    Ok(Found { registry, service, asked, terms: session.terms().await?, sets })
}

/// What differs from what this version would deploy.
fn faults(registry: Address, found: &Found) -> Result<Vec<String>, Failure> {
    let mut faults = Vec::new();
    let (mut chain, known) = (Chain::new(), verifiers());
    let (ours, code) = deployed(&mut chain, contracts::model_registry(&known))?;
    if code != found.registry {
        faults.push("the registry has other code".to_owned());
    }
    // The service's code contains its terms and the registry's address.
    let (_, code) = deployed(&mut chain, contracts::inference_service(ours, &found.terms))?;
    if replaced(&code, ours, registry) != found.service {
        faults.push("the service has other code".to_owned());
    }
    if found.asked != registry {
        faults.push(format!("the service asks the registry {}", found.asked));
    }
    for (set, verifier, code) in &found.sets {
        let Some((extensions, hash)) =
            known.iter().find(|(extensions, _)| u32::from(extensions.bits()) == *set)
        else {
            faults.push(format!("this version has no verifier for the extensions {set:#x}"));
            continue;
        };
        if create2(registry, *hash) != *verifier {
            faults.push(format!("the verifier for {} is made of other code", extensions.name()));
        }
        let (_, ours) = deployed(&mut chain, solidity::bytecode(*extensions))?;
        if !code.is_empty() && *code != ours {
            faults.push(format!("the verifier for {} has other code", extensions.name()));
        }
    }
    Ok(faults)
}

/// Where a contract is, and its code, if it is deployed on this chain.
fn deployed(chain: &mut Chain, creation: Vec<u8>) -> Result<(Address, Bytes), Failure> {
    let (address, receipt) = chain.deploy(Address::repeat_byte(1), creation).map_err(Failure::from_error)?;
    match receipt.outcome {
        Outcome::Success { output, .. } => Ok((address, output)),
        _ => Err(Failure::new("the contracts of this version can't be deployed; please report this")),
    }
}

/// Code with an address in the place of another.
fn replaced(code: &[u8], old: Address, new: Address) -> Bytes {
    let mut code = code.to_vec();
    let places: Vec<usize> = code
        .windows(20)
        .enumerate()
        .filter(|(_, bytes)| *bytes == old.as_slice())
        .map(|(at, _)| at)
        .collect();
    for at in places {
        code[at..at + 20].copy_from_slice(new.as_slice());
    }
    code.into()
}

/// The address of a contract that is made by CREATE2 with the salt zero (EIP-1014).
fn create2(creator: Address, code_hash: B256) -> Address {
    let place = [&[0xff][..], creator.as_slice(), &[0; 32], code_hash.as_slice()].concat();
    Address::from_slice(&keccak(&place).0[12..])
}

/// What is allowed, but may not be wise.
fn notes(terms: &Terms) -> Vec<String> {
    let mut notes = Vec::new();
    for (what, seconds) in [("window", terms.window), ("clocks", terms.clock)] {
        if seconds < SHORT {
            notes.push(format!("{what} of less than an hour: a short outage decides disputes"));
        }
    }
    let needed = Bonds::at(&Shape { arity: terms.arity.into(), ..Shape::LARGE }, GAS_PRICE);
    let covered = |bond: U256, needed: u128| bond >= U256::from(needed);
    if !covered(terms.challengerBond.to(), needed.challenger) {
        notes.push("the challenger's bond doesn't pay for a large game at 5 gwei".to_owned());
    }
    let prize = U256::from(terms.asserterBond).saturating_sub(U256::from(terms.burned));
    if !covered(prize, needed.asserter - needed.burned) {
        notes.push("the prize for proving a lie doesn't pay for a large game at 5 gwei".to_owned());
    }
    notes
}

/// The name of a set of extensions.
fn name(set: u32) -> String {
    let known = Extensions::ALL.iter().find(|extensions| u32::from(extensions.bits()) == set);
    known.map_or_else(|| format!("{set:#x}"), |extensions| extensions.name().to_owned())
}
