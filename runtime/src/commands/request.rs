//! `opml request`: requests an inference.

use super::wait::final_answer;
use crate::cli::Request;
use crate::failure::Failure;
use crate::images::load;
use crate::network::{Sender, Session, block_on, ether, signer};
use crate::output::{Output, count, create_folder, write_file};
use crate::tensors::read_inputs;
use chain::Event;
use contracts::{B256, Bytes, IInferenceService, IModelRegistry, Order, U256};
use players::{LoadedModel, input_root, pack};
use serde_json::json;

/// The maximum gas that the service gives a callback. `InferenceService.sol` has the same number.
const MAX_CALLBACK_GAS: u64 = 8_000_000;

/// Sends the request.
pub fn run(args: &Request, output: Output) -> Result<(), Failure> {
    if args.callback_gas > MAX_CALLBACK_GAS {
        return Err(Failure::usage(format!("--callback-gas is {}", count(args.callback_gas)))
            .hint(format!("a callback may have at most {} gas", count(MAX_CALLBACK_GAS))));
    }
    let model =
        LoadedModel::new(load(&args.image)?, None).map_err(|error| Failure::about(&args.image, error))?;
    let inputs = read_inputs(&model.image, &args.inputs)?;
    let inputs: Vec<(u64, Vec<u8>)> = inputs.into_iter().map(|fed| (fed.address, fed.bytes)).collect();
    let input = pack(model.input(), model.input_bytes(), &inputs);
    let root = contracts::word(input_root(model.input(), &input));
    let key = signer(&args.key)?;
    if let Some(folder) = &args.by_root {
        create_folder(folder)?;
        write_file(&folder.join(format!("{root}.bin")), &input)?;
    }
    let spinner = output.spinner("requesting");
    let object = block_on(async {
        let session = Session::open(&args.network).await?;
        require_registered(&session, model.id()).await?;
        let mut sender = Sender::new(key, &session.node)?;
        let service = session.deployment.service;
        let order = Order {
            model: model.id(),
            repetitions: args.repetitions,
            callback: args.callback.unwrap_or_default(),
            callbackGas: args.callback_gas,
            callbackData: Bytes::new(),
        };
        let receipt = if args.by_root.is_some() {
            let call = IInferenceService::requestByRootCall { order, inputRoot: root };
            sender.call(service, &call, args.fee).await?
        } else {
            let call = IInferenceService::requestCall { order, input: input.into() };
            sender.call(service, &call, args.fee).await?
        };
        let event = receipt.logs.iter().find_map(Event::<IInferenceService::Requested>::of);
        let event = event.ok_or_else(|| Failure::new("the service reports no request"))?;
        spinner.finish_and_clear();
        let (id, gas) = (event.data.id, receipt.sent.gas);
        let text = format!(
            "request     {id}\nmodel       {}\ninput root  {root}\nfee         {}\ngas         {}",
            model.id(),
            ether(U256::from(args.fee.0)),
            count(gas)
        );
        // The number is model before the wait, which may end without an answer.
        output.say(&text)?;
        let mut object = json!({
            "request": id.saturating_to::<u64>(), "model": model.id(), "input_root": root,
            "fee_wei": args.fee.0.to_string(), "gas": gas,
        });
        if args.wait.is_some() {
            let answer = final_answer(&session, id, args.wait, output).await?;
            output.say(&format!("final       {} by {}", answer.outputRoot, answer.asserter))?;
            output
                .say(&format!("\n`opml result {id} --image {}` writes the outputs", args.image.display()))?;
            object["output_root"] = json!(answer.outputRoot);
            object["asserter"] = json!(answer.asserter);
        }
        Ok(object)
    })?;
    output.object(&object)
}

/// Fails if requests can't be made for the model.
async fn require_registered(session: &Session, id: B256) -> Result<(), Failure> {
    match session.registry(&IModelRegistry::cardOfCall { id }).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.message.contains("Unknown") => {
            Err(Failure::new("the model is not registered").hint("`opml register IMAGE` registers it"))
        }
        Err(failure) => Err(failure),
    }
}
