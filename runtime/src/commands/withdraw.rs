//! `opml withdraw`: what the service has credited to a key.

use crate::cli::{Keyed, Wei};
use crate::failure::Failure;
use crate::network::{Sender, Session, block_on, ether, signer};
use crate::output::Output;
use contracts::IInferenceService;
use serde_json::json;

/// Takes it out.
pub fn run(args: &Keyed, output: Output) -> Result<(), Failure> {
    let key = signer(&args.key)?;
    let (account, amount) = block_on(async {
        let session = Session::open(&args.network).await?;
        let mut sender = Sender::new(key, &session.node)?;
        let account = sender.address();
        let amount = session.service(&IInferenceService::balancesCall { account }).await?;
        if !amount.is_zero() {
            sender.call(session.deployment.service, &IInferenceService::withdrawCall {}, Wei(0)).await?;
        }
        Ok((account, amount))
    })?;
    output.result(
        &json!({ "account": account, "wei": amount.to_string() }),
        &format!("{} withdrawn to {account}", ether(amount)),
    )
}
