//! `opml prove`: writes the witness of one step.

use crate::claim::Claim;
use crate::cli::{Backend, Prove};
use crate::failure::Failure;
use crate::machine::{check_reach, prepare, run_exactly};
use crate::output::{self, Output, count};
use jit::Jit;
use serde_json::json;

/// Runs up to the step and writes its witness.
pub fn run(args: &Prove, output: Output) -> Result<(), Failure> {
    check_reach(&args.run, args.step)?;
    let mut loaded = prepare(&args.run, Backend::Jit)?;
    let bar = output.steps(Some(args.step));
    run_exactly(&mut loaded.machine, args.step, &loaded.memory, &bar)?;
    bar.finish_and_clear();
    let claim = claim_of_next_step(&mut loaded.machine)?;
    claim.write(&args.output)?;
    let object = json!({
        "witness": output::path(&args.output), "step": claim.step, "pre_state_root": claim.before.to_string(),
        "post_state_root": claim.after.to_string(), "witness_bytes": claim.witness.len(),
    });
    let text = format!(
        "{}  witness of step {}, {} bytes\n  before  {}\n  after   {}",
        args.output.display(),
        count(claim.step),
        claim.witness.len(),
        claim.before,
        claim.after
    );
    output.result(&object, &text)
}

/// The true claim about a machine's next step, which is not executed.
pub fn claim_of_next_step(machine: &mut Jit) -> Result<Claim, Failure> {
    let before = machine.state_root();
    let (witness, after) = machine.witness().map_err(Failure::from_error)?;
    Ok(Claim { profile: machine.interpreter().profile(), step: machine.steps(), before, after, witness })
}
