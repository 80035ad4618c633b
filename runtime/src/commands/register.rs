//! `opml register`: makes a model available for requests.

use crate::cli::{Register, Wei};
use crate::failure::Failure;
use crate::images::load_verified;
use crate::network::{Sender, Session, block_on, licence, signer};
use crate::output::{Output, count};
use contracts::{Address, IModelRegistry, SolValue as _, U256};
use players::LoadedModel;
use serde_json::json;

/// Registers the model, and deploys the verifier of its machine if it isn't deployed yet.
pub fn run(args: &Register, output: Output) -> Result<(), Failure> {
    let loaded = LoadedModel::new(load_verified(&args.image, output)?, None)
        .map_err(|error| Failure::about(&args.image, error))?;
    let licence = licence(args.licence.as_deref())?;
    let fee = U256::from(args.licence_fee.unwrap_or(Wei(0)).0);
    let key = signer(&args.key)?;
    let spinner = output.spinner("registering");
    let (id, listing, verifier, gas) = block_on(async {
        let session = Session::open(&args.network).await?;
        let mut sender = Sender::new(key, &session.node)?;
        let (machine, registry) = (loaded.machine(), session.deployment.registry);
        let mut gas = 0;
        let mut verifier =
            session.registry(&IModelRegistry::verifierOfCall { machine: machine.clone() }).await?;
        if verifier == Address::ZERO {
            let code = solidity::bytecode(loaded.image.extensions()).into();
            let call = IModelRegistry::deployVerifierCall { machine: machine.clone(), creationCode: code };
            gas += sender.call(registry, &call, Wei(0)).await?.sent.gas;
            verifier = session.registry(&IModelRegistry::verifierOfCall { machine: machine.clone() }).await?;
        }
        let listing = loaded.listing(verifier, args.licensor.unwrap_or_default(), fee, licence);
        let id = contracts::B256::new(step::keccak(&listing.abi_encode()).0);
        let call = IModelRegistry::registerCall { listing: listing.clone(), machine };
        gas += sender.call(registry, &call, Wei(0)).await?.sent.gas;
        Ok((id, listing, verifier, gas))
    })?;
    spinner.finish_and_clear();
    let object = json!({
        "listing": id, "model": loaded.hash(verifier), "verifier": verifier, "input_bytes": listing.inputBytes,
        "output_bytes": listing.outputBytes, "gas": gas,
    });
    let text = format!(
        "listing   {id}\nmodel     {}\nverifier  {verifier}\ninput     {} bytes\noutput    {} bytes\ngas       {}",
        loaded.hash(verifier),
        count(listing.inputBytes),
        count(listing.outputBytes),
        count(gas)
    );
    output.result(&object, &text)
}
