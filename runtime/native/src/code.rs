//! Whether the code of an image is the code of its program.
//!
//! The machine runs the code, and a dispute is about the code. Whoever runs the program instead must know that
//! it says the same, and an image can come from someone who hopes that it doesn't. So the code is made again.

use codegen::Target;
use codegen::link::{self, Guard, Linkable, Node, Part, Period};
use dnn_lib::kernel::Kernel;
use dnn_lib::program::Program;
use image::Image;
use rayon::prelude::*;

use crate::NativeError;

/// The most values of all kernels: a stranger must not decide how long compiling takes.
const MOST_VALUES: usize = 1 << 18;

/// Makes the code of a program again, and compares it with the image's.
pub(crate) fn check(image: &Image, program: &Program) -> Result<(), NativeError> {
    let target = Target::guest().map_err(codegen::LinkError::from)?;
    let kernels = program.definitions.par_iter().map(dnn_lib::schedule::guest);
    let kernels: Vec<Kernel> = kernels.collect::<Result<_, _>>()?;
    if kernels.iter().map(|kernel| kernel.types.len()).sum::<usize>() > MOST_VALUES {
        return Err(NativeError::TooMuchCode);
    }
    let kernels = kernels.par_iter().map(|kernel| Linkable::new(kernel, &target));
    let kernels: Vec<Linkable> = kernels.collect::<Result<_, _>>()?;
    let address = |&tensor: &u32| image.tensors.get(tensor as usize).map_or(0, |tensor| tensor.address);
    let guard = |guard: &dnn_lib::program::Guard| Guard { address: address(&guard.tensor), when: guard.when };
    let node = |node: &dnn_lib::program::Node| Node {
        addresses: node.inputs.iter().chain([&node.output]).map(address).collect(),
        kernel: node.definition as usize,
        guards: node.guards.iter().map(guard).collect(),
    };
    let nodes: Vec<Node> = program.nodes.iter().map(node).collect();
    let part =
        |(&node, step): (&u32, &image::BigStep)| Part { node: node as usize, lo: step.lo, hi: step.hi };
    let parts: Vec<Part> = program.steps.iter().zip(&image.schedule).map(part).collect();
    // The whole run repeats the period as often as it may be. Fewer repetitions are big steps of it.
    let period = image.period.map(|period| Period {
        start: period.start as usize,
        count: period.count as usize,
        times: period.most,
    });
    let text = link::text(image.profile.memory_size(), &kernels, &nodes, &parts, period)?;
    let entries = image.schedule.iter().map(|step| (step.entry, step.bound));
    // The same bytes elsewhere, or on a machine without some instruction, would do something else.
    let same = text.bytes == image.code
        && text.address == image.profile.code_base()
        && text.address == image.entry
        && text.extensions()? == image.profile.extensions()
        && image.sp == image.profile.memory_size()
        && image.interface.as_ref().is_none_or(|interface| interface.bound == text.bound)
        && entries.eq(text.entries.iter().map(|entry| (entry.address, entry.bound)));
    if same { Ok(()) } else { Err(NativeError::OtherCode) }
}
