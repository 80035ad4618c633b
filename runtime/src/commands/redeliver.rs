//! `opml redeliver`: makes the callback of a final answer again that had failed.

use crate::cli::{Redeliver, Wei};
use crate::failure::Failure;
use crate::history::{final_outputs, requested};
use crate::network::{Sender, Session, block_on, signer};
use crate::output::{Output, count};
use contracts::{IInferenceService, RequestStatus, Standing, U256};
use serde_json::json;

/// Has the service call the consumer again.
pub fn run(args: &Redeliver, output: Output) -> Result<(), Failure> {
    let key = signer(&args.key)?;
    let id = U256::from(args.request);
    let gas = block_on(async {
        let session = Session::open(&args.network).await?;
        let (RequestStatus { answer, .. }, logs) = session.events_of(id, &session.head().await?).await?;
        let IInferenceService::Requested { request, callbackData, .. } = requested(&logs, id)?;
        if answer.standing != Standing::Final {
            return Err(Failure::pending(format!("the answer to request {id} is not final"))
                .hint(format!("`opml status {id}` shows its state")));
        }
        if answer.delivered {
            return Err(Failure::new(format!("request {id} has no callback, or it has succeeded")));
        }
        let outputs = final_outputs(&logs, id, &answer)?;
        let call = IInferenceService::redeliverCall { id, request_: request, outputs, callbackData };
        let sent = Sender::new(key, &session.node)?.call(session.deployment.service, &call, Wei(0)).await;
        Ok(sent.map_err(|failure| failure.hint("the consumer refuses the call; see its code"))?.sent.gas)
    })?;
    output.result(
        &json!({ "request": args.request, "delivered": true, "gas": gas }),
        &format!("the callback of request {id} succeeded, {} gas", count(gas)),
    )
}
