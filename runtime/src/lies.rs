//! Runs that lie, to demonstrate what happens to them.

use crate::cli::Cheat;
use crate::failure::Failure;
use game::Oracle;
use image::{Image, Role, Tensor};
use prover::{Change, Execution};

/// How many numbers of a tensor are tried until one changes the result.
const TRIED: u64 = 4;

/// Changes that may turn a run into a lie: single bits in the exponents of the first numbers of tensors, and
/// when they change.
pub fn lies(image: &Image, honest: &mut Execution, cheat: Cheat) -> Result<Vec<Change>, Failure> {
    let last = honest.model().big_steps().saturating_sub(1);
    let tensors = |roles: &[Role]| -> Vec<&Tensor> {
        image.tensors.iter().filter(|tensor| roles.contains(&tensor.role)).collect()
    };
    let (places, tensors) = match cheat {
        Cheat::Weight => (vec![(0, 1)], tensors(&[Role::Constant])),
        Cheat::Step => {
            // A change may come before the number is written or after it is read, so several places are
            // tried.
            let middle = last.div_ceil(2);
            let steps = honest.steps(middle)?;
            let places = (1..=8).map(|eighths| (middle, (steps * eighths / 8).saturating_sub(1))).collect();
            (places, tensors(&[Role::Activation, Role::Output]))
        }
        Cheat::Output | Cheat::Silent | Cheat::Challenger => {
            (vec![(last, honest.steps(last)?)], tensors(&[Role::Output]))
        }
    };
    if tensors.is_empty() {
        return Err(Failure::new("the image names no weights that could be changed")
            .hint("choose another --cheat: step or output"));
    }
    let numbers = |tensor: &Tensor| {
        let (address, size) = (tensor.address, tensor.dtype.size());
        (1..=(tensor.bytes / size).min(TRIED)).map(move |number| address + number * size - 1)
    };
    // The last tensors are closest to the output.
    let addresses: Vec<u64> = tensors.into_iter().rev().flat_map(numbers).collect();
    let at = |place| addresses.iter().map(move |&address| Change { place, address, bits: 0x40 });
    Ok(places.into_iter().flat_map(at).collect())
}

/// A run with a wrong result.
pub fn liar(
    honest: &mut Execution,
    fresh: impl Fn() -> Result<Execution, Failure>,
    lies: &[Change],
) -> Result<Execution, Failure> {
    let model = honest.model().clone();
    let truth = honest.result(&model)?;
    for change in lies {
        let mut liar = fresh()?.with_changes(vec![*change])?;
        if liar.result(&model)? != truth {
            return Ok(liar);
        }
    }
    Err(Failure::new("no change of a bit that was tried changes the output")
        .hint("choose another --cheat, or another input"))
}
