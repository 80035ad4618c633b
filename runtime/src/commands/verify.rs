//! `opml verify`: executes a witnessed step as the contract would, and compares it with its claim.

use crate::claim::Claim;
use crate::cli::{Backend, RunArgs, Verify};
use crate::failure::Failure;
use crate::machine::{check_reach, prepare, run_exactly};
use crate::output::{Output, count};
use serde_json::json;
use step::MachineProfile;

/// Executes the step in Rust, and in the EVM if asked. Checks it against an image if one is given.
pub fn run(args: &Verify, output: Output) -> Result<(), Failure> {
    let claim = Claim::read(&args.witness)?;
    let computed = step::verify(claim.profile, &claim.witness, claim.before)
        .map_err(|error| Failure::about(&args.witness, format!("the witness is malformed: {error}")))?;
    let holds = computed == claim.after;
    let profile = claim.profile;
    let machine = json!({
        "extensions": profile.extensions().name(), "memory_bits": profile.memory_bits(),
        "code_base": profile.code_base(), "code_size": profile.code_size(),
    });
    let mut object = json!({
        "step": claim.step, "machine": machine, "pre_state_root": claim.before.to_string(),
        "claimed_post_state_root": claim.after.to_string(), "post_state_root": computed.to_string(), "holds": holds,
        "image": args.image, "unchecked": if args.image.is_some() { &[][..] } else { &UNCHECKED },
    });
    let mut text = format!(
        "step {}\n  machine   {}\n  before    {}\n  claimed   {}\n  computed  {computed}",
        count(claim.step),
        shape(profile),
        claim.before,
        claim.after
    );
    if args.evm {
        let step = super::contract_step::execute(&claim)?;
        if step.root != computed {
            return Err(Failure::new(format!(
                "the contract computes {} and Rust {computed}: please report this",
                step.root
            )));
        }
        object["evm"] = step.cost.json();
        text += &format!("\n  contract  {}\n  {}", step.root, step.cost);
    }
    if !holds {
        let failure = Failure::new(format!(
            "the claim is false: step {} leads to {computed}, not to {}",
            claim.step, claim.after
        ));
        return Err(failure);
    }
    let ending = match &args.image {
        Some(image) => {
            check_image(args, &claim, image, output)?;
            format!("the claim holds, and it is step {} of {}", count(claim.step), image.display())
        }
        None => "the claim holds; step number and machine are as the file has them (--image checks them)"
            .to_owned(),
    };
    output.result(&object, &format!("{text}\n{ending}"))
}

/// What a witness alone doesn't prove. The state has no step number, and the witness depends on the machine's
/// shape only where the step touches it.
const UNCHECKED: [&str; 5] = ["step", "extensions", "memory_bits", "code_base", "code_size"];

/// Runs the image up to the claim's step. Fails unless machine and state match the claim.
fn check_image(args: &Verify, claim: &Claim, image: &std::path::Path, output: Output) -> Result<(), Failure> {
    let run = RunArgs { image: image.to_owned(), inputs: args.inputs.clone(), limits: args.limits };
    check_reach(&run, claim.step)?;
    let mut loaded = prepare(&run, Backend::Jit)?;
    let found = loaded.image.profile;
    if found != claim.profile {
        let message = format!("the witness belongs to another machine than {}", image.display());
        let hint = format!("the witness has {}, the image {}", shape(claim.profile), shape(found));
        return Err(Failure::about(&args.witness, message).hint(hint));
    }
    let bar = output.steps(Some(claim.step));
    run_exactly(&mut loaded.machine, claim.step, &loaded.memory, &bar)?;
    bar.finish_and_clear();
    let found = loaded.machine.state_root();
    if found == claim.before {
        return Ok(());
    }
    let message = format!(
        "{} is in state {found} before step {}, not in {}",
        image.display(),
        claim.step,
        claim.before
    );
    let hint = "the witness belongs to another step, to other inputs or to another image";
    Err(Failure::about(&args.witness, message).hint(hint))
}

/// Describes a machine's shape for people.
fn shape(profile: MachineProfile) -> String {
    format!(
        "{}, 2^{} bytes of memory, {} bytes of code at {:#x}",
        profile.extensions().name(),
        profile.memory_bits(),
        count(profile.code_size()),
        profile.code_base()
    )
}
