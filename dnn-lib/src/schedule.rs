//! Loops for the machine, made of definitions.
//!
//! [`guest`] gives a kernel over units of the output, with the meaning of
//! [`Definition::eval`](crate::definition::Definition::eval). A unit is an element, or a row where the
//! definition has rows.

mod naive;

use crate::definition::Definition;
use crate::kernel::{BuildError, Kernel};

/// The shape of a unit of the output.
pub fn tile(definition: &Definition) -> Vec<u64> {
    let axis = |axis| if definition.row.contains(&axis) { definition.size(axis).max(1) } else { 1 };
    definition.output_axes().map(axis).collect()
}

/// The number of units, which can be computed independently.
pub fn units(definition: &Definition) -> u64 {
    let axes = definition.output.shape.iter().zip(tile(definition));
    axes.map(|(&size, tile)| size.div_ceil(tile)).product()
}

/// The kernel of a [checked](Definition::check) definition.
pub fn guest(definition: &Definition) -> Result<Kernel, BuildError> {
    naive::kernel(definition)
}
