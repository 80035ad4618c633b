//! `opml cancel`: gets back the fee of a request without an answer.

use crate::cli::{Cancel, Wei};
use crate::failure::Failure;
use crate::history::requested;
use crate::network::{Sender, Session, block_on, ether, signer};
use crate::output::Output;
use chain::Event;
use contracts::{IInferenceService, U256};
use serde_json::json;

/// Gives notice, or has the service return the fee to the requester once the notice period is over.
pub fn run(args: &Cancel, output: Output) -> Result<(), Failure> {
    let key = signer(&args.key)?;
    let id = U256::from(args.request);
    let (notice, amount) = block_on(async {
        let session = Session::open(&args.network).await?;
        let service = session.deployment.service;
        let (_, logs) = session.events_of(id, &session.head().await?).await?;
        let request = requested(&logs, id)?.request;
        let amount = U256::from(request.fee);
        let mut sender = Sender::new(key, &session.node)?;
        let call = IInferenceService::cancelCall { id, request_: request };
        let receipt = sender.call(service, &call, Wei(0)).await.map_err(|failure| {
            failure.hint(
                "only the requester can cancel, while no answer stands or is disputed, and once the notice period \
                 is over; the first `opml cancel` gives notice",
            )
        })?;
        let notice = receipt.logs.iter().find_map(Event::<IInferenceService::CancelNotice>::of);
        let now = session.head().await?.time;
        Ok((notice.map(|event| event.data.cancellable.saturating_sub(now)), amount))
    })?;
    let text = match notice {
        Some(seconds) => format!(
            "notice given: if no answer to request {id} comes in {seconds} s, `opml cancel {id}` returns the fee"
        ),
        None => format!("request {id} is cancelled; {} went back to the requester", ether(amount)),
    };
    output.result(
        &json!({
            "request": args.request, "cancelled": notice.is_none(), "cancellable_in": notice,
            "wei": amount.to_string(),
        }),
        &text,
    )
}
