//! `opml verify`: a witnessed step is executed as the contract would, and compared with its claim.

use crate::claim::Claim;
use crate::cli::Verify;
use crate::failure::Failure;
use crate::output::{Output, count};
use serde_json::json;

/// Executes the step in Rust, and in the EVM if asked.
pub fn run(args: &Verify, output: Output) -> Result<(), Failure> {
    let claim = Claim::read(&args.witness)?;
    let computed = step::verify(claim.profile, &claim.witness, claim.before)
        .map_err(|error| Failure::about(&args.witness, format!("the witness is malformed: {error}")))?;
    let holds = computed == claim.after;
    let mut object = json!({
        "step": claim.step, "pre_state_root": claim.before.to_string(), "claimed_post_state_root": claim.after.to_string(),
        "post_state_root": computed.to_string(), "holds": holds,
    });
    let mut text = format!(
        "step {}\n  before    {}\n  claimed   {}\n  computed  {computed}",
        count(claim.step),
        claim.before,
        claim.after
    );
    if args.evm {
        let judged = super::judge::judge(&claim)?;
        if judged.root != computed {
            return Err(Failure::new(format!(
                "the contract computes {} and Rust {computed}: please report this",
                judged.root
            )));
        }
        object["evm"] = judged.cost.json();
        text += &format!("\n  contract  {}\n  {}", judged.root, judged.cost);
    }
    if !holds {
        let failure = Failure::new(format!(
            "the claim is false: step {} leads to {computed}, not to {}",
            claim.step, claim.after
        ));
        return Err(failure);
    }
    output.result(&object, &format!("{text}\nthe claim holds"))
}
