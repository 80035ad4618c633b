//! `opml withdraw`: withdraws what the service has credited to an account.

use crate::cli::{Keyed, Wei};
use crate::failure::Failure;
use crate::network::{Sender, Session, block_on, ether, signer};
use crate::output::Output;
use contracts::IInferenceService;
use serde_json::json;

/// Withdraws the account's whole balance.
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
