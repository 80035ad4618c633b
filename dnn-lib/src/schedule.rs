//! Loops for the machine, made of definitions.
//!
//! [`guest`] gives a kernel over units of the output, with the meaning of
//! [`Definition::eval`](crate::definition::Definition::eval). The output is cut into units and these into blocks
//! (`plan`), loops run over both (`nest`), and the elements of a block are computed together (`emit`, `fold`), as
//! code in which nothing is computed twice and addresses are counted up (`code`). Blocks and units at a border
//! are compiled apart, so that most code tests nothing.

mod access;
mod code;
mod emit;
mod fold;
mod nest;
mod plan;

use crate::definition::Definition;
use crate::kernel::{BuildError, Kernel};

/// The shape of a unit of the output.
pub fn tile(definition: &Definition) -> Vec<u64> {
    plan::Plan::of(definition).unit
}

/// The number of units, which can be computed independently.
pub fn units(definition: &Definition) -> u64 {
    let axes = definition.output.shape.iter().zip(tile(definition));
    axes.map(|(&size, tile)| size.div_ceil(tile)).product()
}

/// The kernel of a [checked](Definition::check) definition.
pub fn guest(definition: &Definition) -> Result<Kernel, BuildError> {
    nest::kernel(definition)
}

/// Whether a definition that was made by [`Definition::then`] is computed as quickly as what it was made of:
/// its sums in blocks as large as before, and its rows as often as before.
pub fn keeps_pace(before: &Definition, after: &Definition) -> bool {
    plan::keeps_pace(before, after)
}
