//! `opml result`: the final output of a request.

use crate::cli::ResultOf;
use crate::failure::Failure;
use crate::images::load;
use crate::network::{Session, block_on};
use crate::output::{Output, create_folder, hex};
use crate::tensors::{numbers, outputs, write_outputs};
use chain::Event;
use contracts::{B256, Bytes, IInferenceService, Standing, U256};
use players::LoadedModel;
use serde_json::json;
use std::fmt::Write as _;

/// Shows or writes the output.
pub fn run(args: &ResultOf, output: Output) -> Result<(), Failure> {
    let known = match &args.image {
        Some(path) => Some(LoadedModel::new(load(path)?, None).map_err(|error| Failure::about(path, error))?),
        None => None,
    };
    let (root, bytes) = block_on(answer(args))?;
    if bytes.is_empty() {
        let object = json!({ "request": args.request, "output_root": root, "void": true });
        return output.result(&object, &format!("final: the model has no result on this input\nroot    {root}"));
    }
    let Some(known) = known else {
        let object = json!({ "request": args.request, "output_root": root, "output": hex(&bytes) });
        return output.result(&object, &format!("final\nroot    {root}\noutput  {}", hex(&bytes)));
    };
    if known.output_bytes() != bytes.len() as u64 {
        return Err(Failure::new(format!(
            "the output has {} bytes, the image's outputs have {}",
            bytes.len(),
            known.output_bytes()
        ))
        .hint("the request was about another model"));
    }
    let start = known.output().address;
    let read = |address: u64, size: u64| {
        let at = usize::try_from(address.checked_sub(start)?).ok()?;
        bytes.get(at..at.checked_add(usize::try_from(size).ok()?)?)
    };
    let tensors = outputs(&known.image, read)?;
    create_folder(&args.output)?;
    let files = write_outputs(&args.output, &tensors)?;
    let mut text = format!("final\nroot    {root}\n");
    for ((name, tensor), (_, path)) in tensors.iter().zip(&files) {
        let shown: Vec<_> = numbers(tensor).iter().take(16).map(|x| format!("{x:.6}")).collect();
        let _ = writeln!(text, "{name} {:?} -> {}\n  {}", tensor.dims(), path.display(), shown.join(" "));
    }
    let paths: serde_json::Map<String, serde_json::Value> =
        files.iter().map(|(name, path)| (name.clone(), json!(path))).collect();
    output.result(&json!({ "request": args.request, "output_root": root, "outputs": paths }), &text)
}

/// The final output with its root.
async fn answer(args: &ResultOf) -> Result<(B256, Bytes), Failure> {
    let session = Session::open(&args.network).await?;
    let id = U256::from(args.request);
    let answer = session.service(&IInferenceService::provisionalAnswerCall { id }).await?;
    if answer.standing != Standing::Final {
        return Err(Failure::new(format!("request {id} has no final answer"))
            .hint(format!("`opml status {id}` shows how it stands")));
    }
    let logs = session.events(session.deployment.service).await?;
    let answered = logs.iter().filter_map(Event::<IInferenceService::Answered>::of);
    let found = answered.filter(|event| event.data.id == id).find(|event| event.data.attempt == answer.attempt);
    let event = found.ok_or_else(|| Failure::new("the node does not have the event with the output"))?;
    Ok((answer.outputRoot, event.data.output))
}
