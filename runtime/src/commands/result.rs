//! `opml result`: the final outputs of a request.

use super::wait::final_answer;
use crate::cli::ResultOf;
use crate::failure::Failure;
use crate::history::{final_outputs, output_roots, requested};
use crate::images::load;
use crate::network::{Session, block_on};
use crate::output::{Output, create_folder, hex};
use crate::tensors::{outputs_where, paths, show, write_outputs};
use contracts::{B256, Bytes, U256};
use image::Tensor;
use players::{LoadedModel, is_by_root};
use serde_json::json;

/// Shows or writes the outputs.
pub fn run(args: &ResultOf, output: Output) -> Result<(), Failure> {
    let loaded = match &args.image {
        Some(path) => Some(LoadedModel::new(load(path)?, None).map_err(|error| Failure::about(path, error))?),
        None => None,
    };
    let Found { result, by_root, outputs: given } = block_on(answer(args, output))?;
    let mut object = json!({ "request": args.request, "result": result });
    if given.is_empty() {
        object["void"] = json!(true);
        return output
            .result(&object, &format!("final: the model has no result on these inputs\nresult  {result}"));
    }
    let Some(loaded) = loaded else {
        let shown: Vec<String> = given.iter().map(|bytes| hex(bytes)).collect();
        let mut text = format!("final\nresult  {result}");
        for (index, shown) in (0..).zip(&shown) {
            let by_root = if is_by_root(by_root, index) { " (its root)" } else { "" };
            text += &format!("\noutput {index}{by_root}  {shown}");
        }
        object["outputs"] = json!(shown);
        object["by_root"] =
            json!((0..).take(shown.len()).filter(|&index| is_by_root(by_root, index)).collect::<Vec<u32>>());
        return output.result(&object, &text);
    };
    let shown =
        || (0..).zip(loaded.outputs().iter().zip(&given)).filter(|(index, _)| !is_by_root(by_root, *index));
    if given.len() != loaded.outputs().len()
        || shown().any(|(_, (region, bytes))| bytes.len() as u64 != region.bytes)
    {
        return Err(Failure::new("the outputs are not as many, or not as long, as the image's")
            .hint("the request was about another model"));
    }
    let read = |address: u64, size: u64| {
        shown().find_map(|(_, (region, bytes))| {
            let at = usize::try_from(address.checked_sub(region.subtree.address())?).ok()?;
            bytes.get(at..at.checked_add(usize::try_from(size).ok()?)?)
        })
    };
    let of_bytes = |tensor: &Tensor| read(tensor.address, tensor.bytes).is_some();
    let tensors = outputs_where(&loaded.image, of_bytes, read)?;
    create_folder(&args.output)?;
    let files = write_outputs(&args.output, &tensors)?;
    let mut text = format!("final\nresult  {result}\n{}", show(&tensors, &files));
    for (index, root) in (0..).zip(&given).filter(|(index, _)| is_by_root(by_root, *index)) {
        text += &format!("output {index} is given by its root, {}\n", hex(root));
    }
    object["outputs"] = paths(&files);
    output.result(&object, &text)
}

/// A final answer.
struct Found {
    result: B256,
    /// Which outputs are given by their roots.
    by_root: u64,
    outputs: Vec<Bytes>,
}

/// The final answer to the request.
async fn answer(args: &ResultOf, output: Output) -> Result<Found, Failure> {
    let session = Session::open(&args.network).await?;
    let id = U256::from(args.request);
    let answer = final_answer(&session, id, args.wait, output).await?;
    let (_, logs) = session.events_of(id, &session.head().await?).await?;
    let by_root = requested(&logs, id)?.request.byRoot;
    let outputs = final_outputs(&logs, id, &answer)?;
    // The events are as good as the node; the result is what the contract says.
    if answer.result != contracts::VOID {
        output_roots(&logs, id, &answer)?;
    } else if !outputs.is_empty() {
        return Err(Failure::new(format!(
            "request {id} has no outputs, but the node's event of its answer has some"
        )));
    }
    Ok(Found { result: answer.result, by_root, outputs })
}
