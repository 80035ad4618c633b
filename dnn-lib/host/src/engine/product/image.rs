//! Convolutions of stacks of images.

use std::ops::Range;

use super::epilogue::Epilogue;
use super::matrices::each_index;
use crate::contraction::{Convolution, Element, Error, Geometry, Output};
use crate::engine::axes::{Linear, single};

/// A stack of images that is convolved.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) geometry: Geometry,
    /// The axes of the stack.
    pub(super) stack: Vec<usize>,
    /// The axes of filters and of pixels, outermost first, with their sizes.
    pub(super) filters: Vec<(usize, u64)>,
    pub(super) pixels: Vec<(usize, u64)>,
    pub(super) input: Linear,
    pub(super) output: Linear,
}

impl Image {
    /// Computes a box of the output.
    ///
    /// # Safety
    ///
    /// The input and the output are there, and nothing else accesses the box meanwhile.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    pub(super) unsafe fn run<E: Element>(
        &self,
        convolution: &Convolution<E>,
        input: *const E,
        epilogue: &mut Epilogue<'_, E>,
        part: &[Range<u64>],
    ) -> Result<(), Error> {
        if part.iter().any(Range::is_empty) {
            return Ok(());
        }
        let (filters, pixels) = (single(&self.filters, part), single(&self.pixels, part));
        let size = self.geometry.pixels();
        each_index(&self.stack, part, part.len(), |indices| {
            let at = self.input.at(indices) as usize;
            // SAFETY: `image` has seen that this is a part of the input. Nothing writes to it.
            let image = unsafe { std::slice::from_raw_parts(input.add(at), self.geometry.inputs()) };
            let whole = self.output.at(indices) as usize;
            // SAFETY: That of the caller.
            let finish = unsafe { epilogue.finish(indices, [self.geometry.filters, size]) }?;
            for filters in &filters {
                for pixels in &pixels {
                    let rows = filters.start as usize..filters.end as usize;
                    let columns = pixels.start as usize..pixels.end as usize;
                    let start = epilogue.sums.wrapping_add(whole + rows.start * size + columns.start);
                    // SAFETY: They are in the box, and nothing else accesses it.
                    let out = unsafe { Output::from_raw(start, size, rows, columns) };
                    convolution.run(image, out, &finish, &mut |sums| epilogue.run(sums))?;
                }
            }
            Ok(())
        })
    }
}
