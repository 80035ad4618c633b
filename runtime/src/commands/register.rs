//! `opml register`: makes a model available for requests.

use crate::cli::{Register, Wei};
use crate::failure::Failure;
use crate::images::load_verified;
use crate::network::{Sender, Session, block_on, signer};
use crate::output::{Output, count};
use contracts::IModelRegistry;
use players::LoadedModel;
use serde_json::json;

/// Registers the model, and deploys the verifier of its machine if it isn't deployed yet.
pub fn run(args: &Register, output: Output) -> Result<(), Failure> {
    let model = LoadedModel::new(load_verified(&args.image, output)?, None)
        .map_err(|error| Failure::about(&args.image, error))?;
    let key = signer(&args.key)?;
    let spinner = output.spinner("registering");
    let (verifier, gas) = block_on(async {
        let session = Session::open(&args.network).await?;
        let mut sender = Sender::new(key, &session.node)?;
        let registry = session.deployment.registry;
        let extensions = model.image.extensions();
        let set = u32::from(extensions.bits());
        let verifier = session.registry(&IModelRegistry::verifierOfCall { extensions: set }).await?;
        if verifier.is_zero() {
            return Err(Failure::new(format!(
                "the registry knows no verifier for {} machines",
                extensions.name()
            ))
            .hint("it was deployed by a version of opml without them; `opml deploy` deploys a new one"));
        }
        let mut gas = 0;
        if !session.node.has_code(verifier).await.map_err(Failure::from_error)? {
            let code = solidity::bytecode(extensions).into();
            let call = IModelRegistry::deployVerifierCall { extensions: set, creationCode: code };
            gas += sender.call(registry, &call, Wei(0)).await?.sent.gas;
        }
        let call = IModelRegistry::registerCall { model: contracts::model(&model.commitment) };
        gas += sender.call(registry, &call, Wei(0)).await?.sent.gas;
        Ok((verifier, gas))
    })?;
    spinner.finish_and_clear();
    let id = model.id();
    let bytes = |regions: &[game::Region]| regions.iter().map(|region| region.bytes).collect::<Vec<u64>>();
    let (inputs, outputs) = (bytes(model.inputs()), bytes(model.outputs()));
    let object = json!({
        "model": id, "verifier": verifier, "input_bytes": inputs, "output_bytes": outputs, "gas": gas,
    });
    let text = format!(
        "model     {id}\nverifier  {verifier}\ninputs    {} bytes\noutputs   {} bytes\ngas       {}",
        listed(&inputs),
        listed(&outputs),
        count(gas)
    );
    output.result(&object, &text)
}

/// `3,136` or `3,136 + 40`.
fn listed(bytes: &[u64]) -> String {
    bytes.iter().map(|&bytes| count(bytes)).collect::<Vec<_>>().join(" + ")
}
