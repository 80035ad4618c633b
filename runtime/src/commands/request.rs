//! `opml request`: requests an inference.

use super::wait::final_answer;
use crate::cli::Request;
use crate::failure::Failure;
use crate::history::{output_roots, requested, sizes};
use crate::images::load;
use crate::network::{Sender, Session, block_on, ether, signer};
use crate::output::{Output, count, create_folder, write_private_file};
use crate::tensors::{find_input, read_given_inputs};
use chain::Event;
use contracts::{B256, Bytes, IInferenceService, IModelRegistry, Input, Order, SolCall as _, Source, U256};
use game::Region;
use image::{Role, Tensor};
use players::{LoadedModel, can_be_settled, is_by_root, pack, region_root};
use serde_json::json;

/// The maximum gas that the service gives a callback. `InferenceService.sol` has the same number.
const MAX_CALLBACK_GAS: u64 = 8_000_000;

/// Calldata of more bytes costs more gas than a transaction may have under EIP-7825, or nearly so.
const LARGE: usize = 96 * 1024;

/// Sends the request.
pub fn run(args: &Request, output: Output) -> Result<(), Failure> {
    if args.callback_gas > MAX_CALLBACK_GAS {
        return Err(Failure::usage(format!("--callback-gas is {}", count(args.callback_gas)))
            .hint(format!("a callback may have at most {} gas", count(MAX_CALLBACK_GAS))));
    }
    let model =
        LoadedModel::new(load(&args.image)?, None).map_err(|error| Failure::about(&args.image, error))?;
    let by_root = by_root(&model, &args.outputs_by_root)?;
    let given = given(&model, args)?;
    let key = signer(&args.key)?;
    if let Some(folder) = &args.by_root {
        create_folder(folder)?;
        for (region, given) in model.inputs().iter().zip(&given) {
            if let Given::Bytes(bytes) = given {
                let root = contracts::word(region_root(region, bytes));
                write_private_file(&folder.join(format!("{root}.bin")), bytes)?;
            }
        }
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
            byRoot: by_root,
            callback: args.callback.unwrap_or_default(),
            callbackGas: args.callback_gas,
            callbackData: Bytes::new(),
        };
        let mut inputs = Vec::new();
        for (region, given) in model.inputs().iter().zip(given) {
            inputs.push(match given {
                Given::Bytes(bytes) if args.by_root.is_none() => Input { source: Source::Bytes, data: bytes },
                Given::Bytes(bytes) => contracts::by_root(contracts::word(region_root(region, &bytes))),
                Given::Root(root) => contracts::by_root(root),
                Given::Result { request, output: index } => {
                    earlier(&session, region, request, index, output).await?
                }
            });
        }
        let call = IInferenceService::requestCall { order, inputs };
        let receipt =
            sender.call(service, &call, args.fee).await.map_err(|failure| too_large(failure, &call))?;
        let event = receipt.logs.iter().find_map(Event::<IInferenceService::Requested>::of);
        let event = event.ok_or_else(|| Failure::new("the service reports no request"))?;
        spinner.finish_and_clear();
        let (id, inputs, gas) = (event.data.id, event.data.request.inputs, receipt.sent.gas);
        let text = format!(
            "request     {id}\nmodel       {}\ninputs      {inputs}\nfee         {}\ngas         {}",
            model.id(),
            ether(U256::from(args.fee.0)),
            count(gas)
        );
        // The number is shown before the wait, which may end without an answer.
        output.say(&text)?;
        let mut object = json!({
            "request": id.saturating_to::<u64>(), "model": model.id(), "inputs": inputs,
            "fee_wei": args.fee.0.to_string(), "gas": gas,
        });
        if args.wait.is_some() {
            let answer = final_answer(&session, id, args.wait, output).await?;
            output.say(&format!("final       {} by {}", answer.result, answer.asserter))?;
            output
                .say(&format!("\n`opml result {id} --image {}` writes the outputs", args.image.display()))?;
            object["result"] = json!(answer.result);
            object["asserter"] = json!(answer.asserter);
        }
        Ok(object)
    })?;
    output.object(&object)
}

/// How an input is given.
enum Given {
    Bytes(Bytes),
    Root(B256),
    Result { request: u64, output: usize },
}

/// How each input of the model is given.
fn given(model: &LoadedModel, args: &Request) -> Result<Vec<Given>, Failure> {
    let image = &model.image;
    let bytes = read_given_inputs(image, &args.inputs)?;
    let mut elsewhere = Vec::new();
    for root in &args.roots {
        elsewhere.push((find_input(image, Some(&root.name))?, Given::Root(root.root)));
    }
    for result in &args.results {
        let given = Given::Result { request: result.request, output: result.output };
        elsewhere.push((find_input(image, Some(&result.name))?, given));
    }
    let tensors: Vec<(u64, Vec<u8>)> = bytes.into_iter().map(|input| (input.address, input.bytes)).collect();
    let inputs = image.tensors.iter().filter(|tensor| tensor.role == Role::Input);
    for tensor in inputs {
        let times = tensors.iter().filter(|(address, _)| *address == tensor.address).count()
            + elsewhere.iter().filter(|(other, _)| other.address == tensor.address).count();
        let name = &tensor.name;
        match times {
            0 => {
                return Err(Failure::usage(format!("input '{name}' is missing")).hint(format!(
                    "add --input {name}=FILE.npy, --root {name}=ROOT or --result {name}=REQUEST/OUTPUT"
                )));
            }
            1 => {}
            _ => return Err(Failure::usage(format!("input '{name}' is given twice"))),
        }
    }
    let packed = pack(model.inputs(), &tensors).into_iter().zip(model.inputs());
    let given = packed.map(|(bytes, region)| {
        let its = elsewhere.iter().position(|(tensor, _)| holds(region, tensor));
        its.map_or(Given::Bytes(bytes), |its| elsewhere.swap_remove(its).1)
    });
    Ok(given.collect())
}

/// Whether a tensor is in a region.
fn holds(region: &Region, tensor: &Tensor) -> bool {
    tensor.address.checked_sub(region.subtree.address()).is_some_and(|offset| offset < region.bytes)
}

/// The outputs of which the answer gives only the root, as a mask.
fn by_root(model: &LoadedModel, names: &[String]) -> Result<u64, Failure> {
    let mut mask = 0;
    for name in names {
        let outputs = || model.image.tensors.iter().filter(|tensor| tensor.role == Role::Output);
        let tensor = outputs().find(|tensor| tensor.name == *name).ok_or_else(|| {
            let names: Vec<&str> = outputs().map(|tensor| &*tensor.name).collect();
            Failure::usage(format!("the image has no output '{name}'"))
                .hint(format!("it has {}", names.join(", ")))
        })?;
        let place = model.outputs().iter().position(|region| holds(region, tensor));
        mask |= place.map_or(0, |place| 1 << place);
    }
    require_answerable(model, mask)?;
    Ok(mask)
}

/// Fails if no server would answer, because nodes don't relay transactions with that many bytes of outputs.
fn require_answerable(model: &LoadedModel, mask: u64) -> Result<(), Failure> {
    let outputs = contracts::model(&model.commitment).outputs;
    let request = contracts::Request { byRoot: mask, outputs, ..contracts::Request::default() };
    if can_be_settled(&request, 0) {
        return Ok(());
    }
    let shown = (0..).zip(model.outputs()).filter(|(index, _)| !is_by_root(mask, *index));
    let shown: Vec<&Region> = shown.map(|(_, region)| region).collect();
    let bytes = shown.iter().fold(0u64, |sum, region| sum.saturating_add(region.bytes));
    let largest = shown.iter().max_by_key(|region| region.bytes);
    let outputs = model.image.tensors.iter().filter(|tensor| tensor.role == Role::Output);
    let name = largest.and_then(|region| outputs.into_iter().find(|tensor| holds(region, tensor)));
    let name = name.map_or("", |tensor| &tensor.name);
    let failure = Failure::new(format!(
        "nobody can answer: the outputs have {} bytes, but a whole transaction has at most {}",
        count(bytes),
        count(chain::MOST_BYTES as u64)
    ));
    Err(failure.hint(format!("--output-by-root {name} asks for the root of the largest")))
}

/// An output of an earlier request as an input.
async fn earlier(
    session: &Session,
    region: &Region,
    request: u64,
    index: usize,
    output: Output,
) -> Result<Input, Failure> {
    let id = U256::from(request);
    let answer = final_answer(session, id, None, output).await?;
    if answer.result == contracts::VOID {
        return Err(Failure::new(format!(
            "request {request} has no outputs: the model has no result on its inputs"
        )));
    }
    let (_, logs) = session.events_of(id, &session.head().await?).await?;
    let roots = output_roots(&logs, id, &answer)?;
    if index >= roots.len() {
        let count = roots.len();
        return Err(Failure::new(format!("request {request} has no output {index}, but {count} outputs"))
            .hint("outputs are counted from 0"));
    }
    // The service would take another one, but there may be no bytes with its root.
    let found = requested(&logs, id)?.request.outputs.get(index).map(|&word| sizes(word));
    let needed = (region.bytes, region.subtree.bits());
    if let Some(found) = found.filter(|found| *found != needed) {
        let size = |(bytes, bits)| format!("{} bytes in a region of 2^{bits}", count(bytes));
        let message = format!(
            "output {index} of request {request} has {}, but the input has {}",
            size(found),
            size(needed)
        );
        return Err(Failure::new(message).hint("outputs are counted from 0"));
    }
    let numbers = [id, U256::from(index)].map(|number| number.to_be_bytes::<32>());
    let words = numbers.into_iter().chain(roots.into_iter().map(|root| root.0));
    Ok(Input { source: Source::Result, data: words.flatten().collect::<Vec<u8>>().into() })
}

/// Says what helps if a request's inputs are too large for a transaction.
fn too_large(failure: Failure, call: &IInferenceService::requestCall) -> Failure {
    let bytes = call.abi_encode().len();
    if bytes <= LARGE {
        return failure;
    }
    failure.hint(format!(
        "the inputs make a transaction of {} bytes, more than many nodes or a block take: --by-root DIR sends only their roots",
        count(bytes as u64)
    ))
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
