//! Definitions that are contractions: an ascending sum of products that ends in a formula. Micro-kernels compute
//! the sums, and the vector program of the formula runs on them while they are in the cache.

mod epilogue;
mod image;
mod integers;
mod matrices;
mod recognize;
mod scaling;

use std::any::Any;
use std::ops::Range;

use dnn_lib::definition::{Affine, Definition, Load};
use dnn_lib::scalar::Type;

use super::axes::{Linear, offset};
use super::ending::{Addend, Ending, Plane};
use super::execute::Machine;
use super::program::Program;
use super::translate::translate;
use crate::Isa;
use crate::contraction::{self, Convolution, Element, Matrix, Panels, Quad};
use epilogue::Epilogue;
use image::Image;
use integers::{Ends, Integers};
use matrices::{Factors, Matrices};
use recognize::{image, input, matrices, sum};

/// A contraction.
#[derive(Debug)]
pub(crate) struct Product {
    /// The type of the sums. Floats are of the same type as factors and output.
    element: Type,
    form: Form,
    /// If the factors are bytes.
    integers: Option<Integers>,
    /// The inputs that are the factors.
    left: usize,
    right: usize,
    /// The formula over the sums, if they aren't the output and it is simple enough for registers.
    ending: Option<Ending>,
    /// Any other formula; its last input are the sums.
    epilogue: Option<Program>,
    /// The bytes of scratch memory for all sums, if they aren't where the output is.
    sums: usize,
    /// The right factor, packed.
    packed: Option<Box<dyn Any + Send + Sync>>,
}

#[derive(Debug)]
enum Form {
    Matrices(Box<Matrices>),
    Image(Box<Image>),
}

impl Form {
    /// The elements of an input that belong to a matrix of sums.
    fn addend(&self, definition: &Definition, load: &Load) -> Option<Addend> {
        match self {
            Self::Matrices(matrices) => {
                let sizes = matrices.sizes.map(|size| size as u64);
                let rows = Vec::from_iter(matrices.row.map(|axis| (axis, sizes[0])));
                let columns = Vec::from_iter(matrices.column.map(|axis| (axis, sizes[2])));
                let plane = Plane { rows: &rows, columns: &columns };
                Addend::new(load, &plane, matrices.axes.linear(&offset(definition, load)))
            }
            Self::Image(image) => {
                let plane = Plane { rows: &image.filters, columns: &image.pixels };
                let Affine { terms, constant } = offset(definition, load);
                let terms = terms.into_iter().map(|(axis, factor)| (axis.index(), factor));
                let terms = terms.filter(|&(axis, _)| definition.axes[axis] > 1).collect();
                Addend::new(load, &plane, Linear { terms, constant })
            }
        }
    }
}

/// A packed right factor.
#[derive(Debug)]
enum Packed<E> {
    /// One for each matrix of the stack that there is of it.
    Panels(Vec<Panels<E>>),
    Convolution(Box<Convolution<E>>),
}

impl Product {
    /// `None` if a definition isn't a contraction, or one for which there is no micro-kernel.
    pub(crate) fn new(isa: Isa, definition: &Definition) -> Option<Self> {
        let sum = sum(definition)?;
        let image = image(definition, &sum);
        let is_convolution = image.as_ref().is_some_and(|(image, _)| match sum.element {
            Type::F64 => !Convolution::<f64>::is_matrix(isa, &image.geometry),
            Type::F32 => !Convolution::<f32>::is_matrix(isa, &image.geometry),
            _ => integers::of_quads(&image.geometry)
                .is_none_or(|geometry| !Convolution::<Quad>::is_matrix(isa, &geometry)),
        });
        let (form, order) = match matrices(definition, &sum).filter(|_| !is_convolution) {
            Some((matrices, order)) => (Form::Matrices(Box::new(matrices)), order),
            None => {
                let (image, order) = image?;
                if sum.element == Type::I32 {
                    integers::of_quads(&image.geometry)?;
                }
                (Form::Image(Box::new(image)), order)
            }
        };
        let [left, right] = order.map(|load| input(sum.loads[load]));
        let mut product = Self {
            element: sum.element,
            form,
            integers: None,
            left,
            right,
            ending: None,
            epilogue: None,
            sums: 0,
            packed: None,
        };
        let formula = recognize::epilogue(definition, &sum);
        if sum.element == Type::I32 {
            product.integers = Some(Integers::new(definition, &product.form, &sum, order)?);
        } else if formula.is_some() {
            let addend = |load: &Load| product.form.addend(definition, load);
            product.ending = Ending::new(definition, sum.reduction.results[0], addend);
        }
        if let Some(formula) = formula.filter(|_| product.ending.is_none()) {
            if sum.element == Type::I32 {
                let bytes = definition.output.elements()?.checked_mul(size_of::<Quad>() as u64)?;
                product.sums =
                    usize::try_from(bytes).ok().filter(|&bytes| bytes <= super::MOST_SCRATCH / 2)?;
            }
            if !product.integers.as_ref().is_some_and(Integers::scales) {
                product.epilogue = Some(translate(&formula)?);
            }
        }
        Some(product)
    }

    /// The bytes of scratch memory that it needs.
    pub(crate) fn scratch(&self) -> usize {
        self.epilogue.as_ref().map_or(0, |epilogue| epilogue.scratch) + self.sums
    }

    /// The number of products of a sum.
    pub(crate) fn depth(&self) -> u64 {
        match &self.form {
            Form::Matrices(matrices) => matrices.sizes[1] as u64,
            Form::Image(image) => (image.geometry.weights() / image.geometry.filters.max(1)) as u64,
        }
    }

    /// Packs an input if that helps.
    pub(crate) fn pack(&mut self, isa: Isa, input: usize, bytes: &[u8]) -> Result<(), contraction::Error> {
        if input != self.right || self.left == self.right {
            return Ok(());
        }
        self.packed = Some(match self.element {
            Type::I32 => match &self.integers {
                Some(integers) => Box::new(integers.pack(isa, &self.form, bytes)?),
                None => return Ok(()),
            },
            Type::F64 => Box::new(self.packed(isa, &words(bytes, f64::from_ne_bytes))?),
            _ => Box::new(self.packed(isa, &words(bytes, f32::from_ne_bytes))?),
        });
        Ok(())
    }

    fn packed<E: Element>(&self, isa: Isa, elements: &[E]) -> Result<Packed<E>, contraction::Error> {
        match &self.form {
            Form::Image(image) => {
                let convolution = Convolution::new(isa, image.geometry.clone(), elements)?;
                Ok(Packed::Convolution(Box::new(convolution)))
            }
            Form::Matrices(matrices) => {
                let mut all = Vec::new();
                let [_, depth, columns] = matrices.sizes;
                if !matrices.copies(elements.len()) {
                    return Ok(Packed::Panels(all));
                }
                for at in matrices.right_places() {
                    let elements = elements.get(at as usize..).unwrap_or_default();
                    let right = Matrix::new(elements, [depth, columns], matrices.right_strides)?;
                    all.push(Panels::pack(isa, &right));
                }
                Ok(Packed::Panels(all))
            }
        }
    }

    /// Computes a box of the output.
    ///
    /// # Safety
    ///
    /// That of [`super::Prepared::run_raw`]; `memory` is scratch memory for the epilogue.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    pub(crate) unsafe fn run(
        &self,
        isa: Isa,
        memory: *mut u8,
        inputs: &[*const u8],
        output: *mut u8,
        part: &[Range<u64>],
    ) -> Result<(), contraction::Error> {
        // SAFETY: That of the caller.
        unsafe {
            match self.element {
                Type::I32 => self.run_integers(isa, memory, inputs, output, part),
                Type::F64 => self.run_as::<f64>(isa, memory, inputs, output.cast(), part),
                _ => self.run_as::<f32>(isa, memory, inputs, output.cast(), part),
            }
        }
    }

    /// # Safety
    ///
    /// That of [`Self::run`]; the elements are `E`.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    unsafe fn run_as<E: Element + 'static>(
        &self,
        isa: Isa,
        memory: *mut u8,
        inputs: &[*const u8],
        output: *mut E,
        part: &[Range<u64>],
    ) -> Result<(), contraction::Error> {
        let mut all = inputs.to_vec();
        all.push(output.cast_const().cast());
        // SAFETY: That of the caller. The sums are a part of the output that `Epilogue::run` sets.
        let machine = self
            .epilogue
            .as_ref()
            .map(|program| unsafe { (program, Machine::new(program, isa, &all, output.cast(), memory)) });
        let count = self.epilogue.as_ref().map_or(0, |program| program.axes.sizes.len());
        let ending = self.ending.as_ref();
        let mut epilogue = Epilogue { ending, inputs, machine, sums: output, ranges: vec![0..1; count] };
        let packed = self.packed.as_ref().and_then(|packed| packed.downcast_ref::<Packed<E>>());
        let (left, right) = (inputs[self.left].cast::<E>(), inputs[self.right].cast::<E>());
        let mut result = Ok(());
        match &self.form {
            Form::Matrices(matrices) => {
                let packed = match packed {
                    Some(Packed::Panels(panels)) if !panels.is_empty() => Some(&panels[..]),
                    _ => None,
                };
                let factors = Factors { isa, left, right, packed };
                matrices.axes.joined(part, &mut |ranges| {
                    // SAFETY: That of the caller.
                    let done = unsafe { matrices.run(&factors, &mut epilogue, ranges) };
                    result = result.clone().and(done);
                });
            }
            Form::Image(image) => {
                let made;
                let convolution = match packed {
                    Some(Packed::Convolution(convolution)) => convolution,
                    _ => {
                        // SAFETY: That of the caller; `image` has seen that the weights have this size.
                        let weights = unsafe { std::slice::from_raw_parts(right, image.geometry.weights()) };
                        made = Box::new(Convolution::new(isa, image.geometry.clone(), weights)?);
                        &made
                    }
                };
                // SAFETY: That of the caller.
                result = unsafe { image.run(convolution, left, &mut epilogue, part) };
            }
        }
        result
    }
}

impl Product {
    /// # Safety
    ///
    /// That of [`Self::run`].
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    unsafe fn run_integers(
        &self,
        isa: Isa,
        memory: *mut u8,
        inputs: &[*const u8],
        output: *mut u8,
        part: &[Range<u64>],
    ) -> Result<(), contraction::Error> {
        let Some(integers) = &self.integers else { return Ok(()) };
        // Behind the epilogue's own memory, which ends at a line of the cache, or where the output is.
        let own = self.epilogue.as_ref().map_or(0, |program| program.scratch);
        let sums = if self.sums > 0 { memory.wrapping_add(own) } else { output };
        let mut all = inputs.to_vec();
        all.push(sums.cast_const());
        // SAFETY: That of the caller. Sums are in memory of their own, of which `scratch` has told.
        let machine = self
            .epilogue
            .as_ref()
            .map(|program| unsafe { (program, Machine::new(program, isa, &all, output, memory)) });
        let count = self.epilogue.as_ref().map_or(0, |program| program.axes.sizes.len());
        let ranges = vec![0..1; count];
        let epilogue = Epilogue { ending: None, inputs, machine, sums: sums.cast::<Quad>(), ranges };
        let mut ends = Ends { level: isa.level(), epilogue, output };
        let packed = self.packed.as_ref().and_then(|packed| packed.downcast_ref::<integers::Packed>());
        let factors = [inputs[self.left], inputs[self.right]];
        // SAFETY: That of the caller.
        unsafe { integers.run(isa, &self.form, factors, packed, &mut ends, part) }
    }
}

/// The elements of bytes.
fn words<E, const N: usize>(bytes: &[u8], element: impl Fn([u8; N]) -> E) -> Vec<E> {
    bytes.as_chunks::<N>().0.iter().map(|&bytes| element(bytes)).collect()
}
