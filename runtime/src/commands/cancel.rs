//! `opml cancel`: gets back the money of a request without an answer.

use crate::cli::{Cancel, Wei};
use crate::failure::Failure;
use crate::network::{Sender, Session, block_on, ether, signer};
use crate::output::Output;
use chain::Event;
use contracts::{IInferenceService, U256};
use serde_json::json;

/// Has the service credit the money to the requester.
pub fn run(args: &Cancel, output: Output) -> Result<(), Failure> {
    let key = signer(&args.key)?;
    let id = U256::from(args.request);
    let amount = block_on(async {
        let session = Session::open(&args.network).await?;
        let service = session.deployment.service;
        let logs = session.events(service).await?;
        let mut asked = logs.iter().filter_map(Event::<IInferenceService::Requested>::of);
        let event = asked.find(|event| event.data.id == id);
        let request = event.ok_or_else(|| Failure::new(format!("there is no request {id}")))?.data.request;
        let amount = U256::from(request.fee) + U256::from(request.licenceFee);
        let mut sender = Sender::new(key, &session.node)?;
        let call = IInferenceService::cancelCall { id, request };
        sender.call(service, &call, Wei(0)).await.map_err(|failure| {
            failure.hint(
                "only the requester can cancel, once the window has passed since the request and while no answer stands or is disputed",
            )
        })?;
        Ok(amount)
    })?;
    output.result(
        &json!({ "request": args.request, "wei": amount.to_string() }),
        &format!("request {id} is cancelled; {} can be taken out with `opml withdraw`", ether(amount)),
    )
}
