//! `opml demo`: the complete path, from a model to a step that the contract verifies.

use super::contract_step::{Bill, execute};
use super::prove::claim_of_next_step;
use super::trace::{self, instruction_at, trace};
use crate::claim::Claim;
use crate::cli::Backend;
use crate::failure::Failure;
use crate::machine::{run_to, run_to_end, start};
use crate::narration::wrapped;
use crate::npy;
use crate::output::{Output, count};
use crate::tensors::{numbers, outputs};
use compiler::{Compiled, Options};
use image::{Image, Role};
use isa::Op;
use jit::Jit;
use onnx::Tensor;
use prover::MemoryLimit;
use serde_json::{Value, json};
use std::time::Instant;
use step::{Root, Status};

/// A convolutional network trained on handwritten digits, and a digit that is not in its training data.
const MODEL: &[u8] = include_bytes!("../../../fixtures/mnist-cnn/model.onnx");
const DIGIT: &[u8] = include_bytes!("../../../fixtures/digits/7.npy");
const LABEL: usize = 7;

/// Shows the complete path: compile, run, prove, verify.
pub fn run(output: Output) -> Result<(), Failure> {
    let (compiled, compile) = show_compilation(output)?;
    let image = &compiled.image;
    let digit = npy::decode(DIGIT).map_err(Failure::from_error)?;
    let (steps, inference) = show_run(image, &digit, output)?;
    let (claim, chosen) = show_step(image, &digit, steps, output)?;
    let verdicts = show_verdicts(&claim, output)?;
    output.say("")?;
    let object = json!({ "compile": compile, "run": inference, "step": chosen, "verdicts": verdicts });
    output.result(&object, "Next: `opml compile MODEL.onnx -o IMAGE` with a model of your own.")
}

/// Compiles the model.
fn show_compilation(output: Output) -> Result<(Compiled, Value), Failure> {
    let start = Instant::now();
    let options = Options::default();
    let fail = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
    let model = onnx::decode_model(MODEL, &options.limits).map_err(|error| fail(&error))?;
    let compiled = compiler::compile_model(model, &options).map_err(|error| fail(&error))?;
    let seconds = start.elapsed().as_secs_f64();
    let image = &compiled.image;
    let bytes = image.to_bytes().map_err(|error| fail(&error))?.len() as u64;
    let root = image.state().root();
    output.say(&format!(
        "1. Compiled a convolutional network from ONNX in {:.0} ms.\n   image root {root}\n   {} bytes, of which {} are {} code\n",
        seconds * 1e3,
        count(bytes),
        count(image.profile.code_size()),
        image.extensions().name()
    ))?;
    let object = json!({ "image_root": root.to_string(), "bytes": bytes, "seconds": seconds });
    Ok((compiled, object))
}

/// The image's machine, with the digit as its input.
fn machine_with(image: &Image, digit: &Tensor) -> Result<Jit, Failure> {
    let mut machine = start(image, Backend::Jit)?;
    let input = image.tensors.iter().find(|tensor| tensor.role == Role::Input);
    input
        .and_then(|input| machine.write_memory(input.address, digit.bytes()))
        .ok_or_else(|| Failure::new("the bundled model has no input for the bundled digit"))?;
    Ok(machine)
}

/// Classifies the digit in the machine.
fn show_run(image: &Image, digit: &Tensor, output: Output) -> Result<(u64, Value), Failure> {
    let mut machine = machine_with(image, digit)?;
    let start = Instant::now();
    run_to_end(&mut machine, u64::MAX, &MemoryLimit::none(), &output.steps(None))?;
    let seconds = start.elapsed().as_secs_f64();
    let (steps, root) = (machine.steps(), machine.state_root());
    let results =
        outputs(image, |address, bytes| machine.read_memory(address, usize::try_from(bytes).ok()?))?;
    let scores = results.first().map(|(_, tensor)| numbers(tensor)).unwrap_or_default();
    let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    let (class, score) = best.map_or((0, 0.0), |(class, &score)| (class, score));
    output.say(&drawing(&numbers(digit)))?;
    output.say(&format!(
        "2. Ran it on this digit. It is a {class}, with a probability of {:.2} %. The label is {LABEL}.\n   {} steps in {:.1} ms\n   state root {root}\n",
        score * 100.0,
        count(steps),
        seconds * 1e3
    ))?;
    let object = json!({ "class": class, "label": LABEL, "score": score, "steps": steps, "seconds": seconds, "state_root": root.to_string() });
    Ok((steps, object))
}

/// A picture of 28 by 28 numbers from 0 to 1. Each line of text shows two rows.
fn drawing(pixels: &[f64]) -> String {
    let rows: Vec<&[f64]> = pixels.chunks(28).collect();
    let dark =
        |row: Option<&&[f64]>, column: usize| row.and_then(|row| row.get(column)).is_some_and(|&x| x > 0.4);
    let lines = rows.chunks(2).map(|pair| {
        let line: String = (0..28)
            .map(|column| match (dark(pair.first(), column), dark(pair.get(1), column)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            })
            .collect();
        format!("      {}\n", line.trim_end())
    });
    lines.filter(|line| !line.trim().is_empty()).collect()
}

/// Picks a multiply-add in the middle of the run and proves it.
fn show_step(image: &Image, digit: &Tensor, steps: u64, output: Output) -> Result<(Claim, Value), Failure> {
    let bar = output.steps(Some(steps));
    let mut machine = machine_with(image, digit)?;
    run_to(&mut machine, steps / 2, &MemoryLimit::none(), &bar)?;
    while machine.status() == Status::Running
        && instruction_at(image, machine.pc()).map(|instruction| instruction.op) != Some(Op::FmaddS)
    {
        machine.run(1);
    }
    let claim = claim_of_next_step(&mut machine)?;
    let rows = trace(image, &mut machine_with(image, digit)?, &[claim.step], &MemoryLimit::none(), &bar)?;
    bar.finish_and_clear();
    let row = rows.first().ok_or_else(|| Failure::new("nothing to show"))?;
    let instruction = row.instruction.map(|instruction| instruction.to_string()).unwrap_or_default();
    let operator = trace::operator(image, row).map(|step| step.operator.as_str()).unwrap_or_default();
    let element = trace::element(image, row).unwrap_or_default();
    output.say(&format!(
        "3. Proved step {} of the run, a multiply-add of {operator}: {instruction}\n{}\n   before  {}\n   after   {}\n   witness of {} bytes\n",
        count(claim.step),
        indented(&format!("at {}, on the way to {element}", row.place), 3),
        claim.before,
        claim.after,
        claim.witness.len()
    ))?;
    let object = json!({
        "step": claim.step, "instruction": instruction, "operator": operator, "element": element,
        "pre_state_root": claim.before.to_string(), "post_state_root": claim.after.to_string(),
        "witness_bytes": claim.witness.len(),
    });
    Ok((claim, object))
}

/// Lets the contract verify the honest claim and two lies.
fn show_verdicts(honest: &Claim, output: Output) -> Result<Vec<Value>, Failure> {
    output.say("4. The generated Solidity verifier executes that step in the embedded EVM.")?;
    let mut wrong_result = honest.clone();
    wrong_result.after = flipped(honest.after);
    let mut wrong_state = honest.clone();
    // A byte in the saved registers.
    if let Some(byte) = wrong_state.witness.get_mut(200) {
        *byte ^= 1;
    }
    let cases = [
        ("the honest claim", honest, true),
        ("a claim with another result", &wrong_result, false),
        ("a claim with a register changed in the witness", &wrong_state, false),
    ];
    cases
        .into_iter()
        .map(|(name, claim, expected)| {
            let (verdict, details, cost) = match execute(claim) {
                Ok(step) if step.root == claim.after => ("confirmed", None, Some(step.cost)),
                Ok(step) => ("refuted", Some(format!("the step leads to\n{}", step.root)), Some(step.cost)),
                Err(failure) => ("rejected", Some(failure.message), None),
            };
            let holds = verdict == "confirmed";
            if holds != expected {
                return Err(Failure::new(format!("{name} was {verdict}: please report this")));
            }
            output.say(&format!("   {name}: {verdict}"))?;
            if let Some(details) = &details {
                output.say(&indented(details, 5))?;
            }
            if let Some(Bill(cost)) = &cost {
                let (step, all) = (count(cost.execution), count(cost.transaction));
                output
                    .say(&format!("     gas: {step} to execute the step, {all} for the whole transaction"))?;
            }
            let cost = cost.map(|cost| cost.json());
            Ok(json!({ "claim": name, "holds": holds, "verdict": verdict, "details": details, "cost": cost }))
        })
        .collect()
}

/// Wraps text to 80 columns and indents it.
fn indented(text: &str, by: usize) -> String {
    let lines: Vec<_> = wrapped(text, 80 - by).lines().map(|line| format!("{:by$}{line}", "")).collect();
    lines.join("\n")
}

/// A root with one bit changed.
fn flipped(root: Root) -> Root {
    let mut bytes = root.0;
    bytes[31] ^= 1;
    Root(bytes)
}
