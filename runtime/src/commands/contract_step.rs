//! Executes one step in the contract: the generated verifier gets a claim's witness in the embedded EVM.

use crate::claim::Claim;
use crate::failure::Failure;
use crate::output::count;
use evm::{Answer, Cost, Verifier};
use serde_json::{Value, json};
use std::fmt::{Display, Formatter};
use step::Root;

/// The contract's result for a step.
pub struct ContractStep {
    /// The state root after the step.
    pub root: Root,
    /// Its cost.
    pub cost: Bill,
}

/// The gas and the bytes of one call.
pub struct Bill(pub Cost);

impl Bill {
    /// The numbers as JSON.
    pub fn json(&self) -> Value {
        let Cost { execution, transaction, floor, calldata, zeros } = self.0;
        json!({ "execution_gas": execution, "transaction_gas": transaction, "floor_gas": floor, "calldata_bytes": calldata,
                "zero_bytes": zeros })
    }
}

impl Display for Bill {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Cost { execution, transaction, calldata, .. } = self.0;
        write!(
            f,
            "{} gas of execution, {} bytes of calldata, {} gas for the whole transaction",
            count(execution),
            count(calldata as u64),
            count(transaction)
        )
    }
}

/// Executes a claim's step in the contract.
pub fn execute(claim: &Claim) -> Result<ContractStep, Failure> {
    let mut verifier = Verifier::new(&claim.profile).map_err(Failure::from_error)?;
    let (answer, cost) = verifier.step(claim.before, &claim.witness).map_err(Failure::from_error)?;
    match answer {
        Answer::Root(root) => Ok(ContractStep { root, cost: Bill(cost) }),
        Answer::Malformed(revert) => {
            Err(Failure::new(format!("the contract refuses the witness: {}", revert.name)))
        }
    }
}
