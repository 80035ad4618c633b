//! `opml result`: the final output of a request.

use super::wait::final_answer;
use crate::cli::ResultOf;
use crate::failure::Failure;
use crate::images::load;
use crate::network::{Session, block_on};
use crate::output::{Output, create_folder, hex};
use crate::tensors::{outputs, paths, show, write_outputs};
use chain::Event;
use contracts::{B256, Bytes, IInferenceService, U256};
use players::LoadedModel;
use serde_json::json;

/// Shows or writes the output.
pub fn run(args: &ResultOf, output: Output) -> Result<(), Failure> {
    let loaded = match &args.image {
        Some(path) => Some(LoadedModel::new(load(path)?, None).map_err(|error| Failure::about(path, error))?),
        None => None,
    };
    let (root, bytes) = block_on(answer(args, output))?;
    if bytes.is_empty() {
        let object = json!({ "request": args.request, "output_root": root, "void": true });
        return output
            .result(&object, &format!("final: the model has no result on this input\nroot    {root}"));
    }
    let Some(loaded) = loaded else {
        let object = json!({ "request": args.request, "output_root": root, "output": hex(&bytes) });
        return output.result(&object, &format!("final\nroot    {root}\noutput  {}", hex(&bytes)));
    };
    if loaded.output_bytes() != bytes.len() as u64 {
        return Err(Failure::new(format!(
            "the output has {} bytes, but the image's outputs have {}",
            bytes.len(),
            loaded.output_bytes()
        ))
        .hint("the request was about another model"));
    }
    let start = loaded.output().address;
    let read = |address: u64, size: u64| {
        let at = usize::try_from(address.checked_sub(start)?).ok()?;
        bytes.get(at..at.checked_add(usize::try_from(size).ok()?)?)
    };
    let tensors = outputs(&loaded.image, read)?;
    create_folder(&args.output)?;
    let files = write_outputs(&args.output, &tensors)?;
    let text = format!("final\nroot    {root}\n{}", show(&tensors, &files));
    output.result(&json!({ "request": args.request, "output_root": root, "outputs": paths(&files) }), &text)
}

/// The final output with its root.
async fn answer(args: &ResultOf, output: Output) -> Result<(B256, Bytes), Failure> {
    let session = Session::open(&args.network).await?;
    let id = U256::from(args.request);
    let answer = final_answer(&session, id, args.wait, output).await?;
    let logs = session.events(session.deployment.service).await?;
    let answered = logs.iter().filter_map(Event::<IInferenceService::Answered>::of);
    let found =
        answered.filter(|event| event.data.id == id).find(|event| event.data.attempt == answer.attempt);
    let event = found.ok_or_else(|| Failure::new("the node does not have the event with the output"))?;
    Ok((answer.outputRoot, event.data.output))
}
