//! Runs definitions in vectors.
//!
//! A definition is translated once to a vector program: instructions over blocks of a few hundred lanes. Lanes
//! run over outputs, or along a row for its stages, so that the bits are those of [`Definition::eval`].

mod axes;
mod cost;
mod ending;
mod execute;
mod fold;
mod formula;
mod lanewise;
mod lookup;
mod pieces;
mod product;
mod program;
mod shared;
mod transfer;
mod translate;
mod vector;

use std::ops::Range;

use dnn_lib::definition::{Definition, DefinitionError, InputError};
use dnn_lib::tensor::TensorType;

use crate::Isa;
use execute::Machine;
use lookup::Lookup;
use pieces::Pieces;
use product::Product;
use program::Program;
use shared::Rows;
use transfer::{Read, Write};

/// The most bytes of scratch memory: rows of more than about 2^27 elements are refused.
const MOST_SCRATCH: usize = 1 << 30;

/// Why a definition can't be run here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// It isn't one.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// Elements of a tensor can't be computed with here.
    #[error("definition {name}: elements of {ty} can't be computed with")]
    Type {
        /// Its name.
        name: String,
        /// The type of the tensor.
        ty: TensorType,
    },
    /// Its rows are too long.
    #[error("definition {name}: a row needs more than {MOST_SCRATCH} bytes of scratch memory")]
    Scratch {
        /// Its name.
        name: String,
    },
}

/// Why a definition can't be run on some tensors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The inputs don't fit.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The output has the wrong size.
    #[error("{name}: the output is {ty}, which does not have {found} bytes")]
    Output {
        /// The definition's name.
        name: String,
        /// The type of the output.
        ty: TensorType,
        /// The size given.
        found: usize,
    },
    /// The part isn't a box of the output in which rows are whole.
    #[error("{name}: {part:?} is no part of {ty} with whole rows")]
    Part {
        /// The definition's name.
        name: String,
        /// The type of the output.
        ty: TensorType,
        /// The part given.
        part: Vec<Range<u64>>,
    },
}

/// Memory for running definitions. It can be used again for others, by one thread at a time.
#[derive(Debug, Default)]
pub struct Scratch(Vec<Line>);

/// A line of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "it is memory")] [u8; 64]);

impl Scratch {
    fn reserve(&mut self, bytes: usize) -> *mut u8 {
        let lines = bytes.div_ceil(64);
        if self.0.len() < lines {
            self.0.resize(lines, Line([0; 64]));
        }
        self.0.as_mut_ptr().cast()
    }
}

/// A definition that is ready to run with a set of vector instructions.
#[derive(Debug)]
pub struct Prepared {
    isa: Isa,
    definition: Definition,
    /// `None` if the output has no elements.
    program: Option<Program>,
    /// The definition as a contraction, if it is one.
    product: Option<Product>,
    /// The definition as a function of a byte, if it is one.
    lookup: Option<Lookup>,
    /// The definition by rows, if the elements of a row share a fold.
    rows: Option<Rows>,
    /// The definition by pieces of the inputs, if it joins them.
    pieces: Option<Pieces>,
}

impl Prepared {
    /// Checks a definition and makes it ready.
    pub fn new(isa: Isa, definition: &Definition) -> Result<Self, PrepareError> {
        definition.check()?;
        let name = || definition.name.clone();
        let known = |ty: &&TensorType| Read::of(ty.dtype).is_some() && Write::of(ty.dtype).is_some();
        if let Some(ty) = definition.inputs.iter().chain([&definition.output]).find(|ty| !known(ty)) {
            return Err(PrepareError::Type { name: name(), ty: ty.clone() });
        }
        let program = match definition.output.elements() {
            Some(0) => None,
            _ => {
                let scratch = || PrepareError::Scratch { name: name() };
                Some(translate::translate(definition).ok_or_else(scratch)?)
            }
        };
        let product = program.as_ref().and_then(|_| Product::new(isa, definition));
        let lookup = program.as_ref().and_then(|_| Lookup::new(definition));
        let rows = program.as_ref().and_then(|_| Rows::new(isa, definition));
        let pieces = program.as_ref().and_then(|_| Pieces::new(definition));
        Ok(Self { isa, definition: definition.clone(), program, product, lookup, rows, pieces })
    }

    /// The definition.
    #[must_use]
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// Whether it is computed as a product of matrices or a convolution, by a micro-kernel.
    #[must_use]
    pub fn is_contraction(&self) -> bool {
        self.product.is_some()
    }

    /// About how many nanoseconds one thread needs for the whole output.
    #[must_use]
    pub fn work(&self) -> u64 {
        if let Some(pieces) = &self.pieces {
            return pieces.work();
        }
        if let Some(rows) = &self.rows {
            return rows.work();
        }
        let elements = self.definition.output.elements().unwrap_or(0);
        if let Some(lookup) = &self.lookup {
            return cost::of_lookup(lookup.program(), elements);
        }
        self.program.as_ref().map_or(0, |program| cost::nanoseconds(program, self.product.as_ref(), elements))
    }

    /// Packs an input that never changes, if runs are faster then. It must be given to them all the same.
    pub fn pack(&mut self, input: usize, bytes: &[u8]) -> Result<(), InputError> {
        let Definition { name, inputs: types, .. } = &self.definition;
        let Some(ty) = types.get(input) else {
            return Err(InputError::Count { name: name.clone(), expected: types.len(), found: input + 1 });
        };
        if ty.bytes() != Some(bytes.len() as u64) {
            let (name, ty, found) = (name.clone(), ty.clone(), bytes.len());
            return Err(InputError::Size { name, index: input, ty, found });
        }
        if let Some(product) = &mut self.product
            && product.pack(self.isa, input, bytes).is_err()
        {
            self.product = None;
        }
        Ok(())
    }

    /// The whole output, as a part.
    #[must_use]
    pub fn whole(&self) -> Vec<Range<u64>> {
        self.definition.output.shape.iter().map(|&size| 0..size).collect()
    }

    /// Computes a part of the output: a box, whose ranges along the axes of rows are whole. Does nothing if the
    /// part is no such box.
    ///
    /// # Safety
    ///
    /// There is a pointer for each input, and it points to a tensor of its type, aligned for its elements; so
    /// does `output`. During the call nothing writes to the inputs, and nothing else accesses the part of the
    /// output. Parts that are apart can be computed at the same time.
    #[expect(unsafe_code, reason = "tensors are in raw memory, parts of which other threads may write")]
    pub unsafe fn run_raw(
        &self,
        scratch: &mut Scratch,
        inputs: &[*const u8],
        output: *mut u8,
        part: &[Range<u64>],
    ) {
        let Some(program) = &self.program else { return };
        if !self.is_part(part) {
            return;
        }
        if let Some(pieces) = &self.pieces {
            // SAFETY: That of the caller, and the part is one.
            return unsafe { pieces.run(inputs, output, part) };
        }
        if let Some(rows) = &self.rows {
            // SAFETY: That of the caller, and the part is one.
            return unsafe { rows.run(scratch, inputs, output, part) };
        }
        if let Some(product) = &self.product {
            let memory = scratch.reserve(product.scratch());
            // SAFETY: That of the caller.
            if unsafe { product.run(self.isa, memory, inputs, output, part) }.is_ok() {
                return;
            }
        }
        if let Some(lookup) = &self.lookup {
            let memory = scratch.reserve(lookup.scratch());
            let shape = &self.definition.output.shape;
            // SAFETY: That of the caller; the memory was reserved.
            if unsafe { lookup.run(self.isa, memory, inputs, output, shape, part) } {
                return;
            }
        }
        let memory = scratch.reserve(program.scratch);
        // SAFETY: Fact 1 is the caller's promise. Fact 2: the memory was reserved and zeroed, and it is
        // borrowed until the machine is gone.
        let mut machine = unsafe { Machine::new(program, self.isa, inputs, output, memory) };
        program.axes.joined(part, &mut |ranges| machine.run(ranges));
    }

    /// Whether these ranges are a box of the output in which rows are whole.
    fn is_part(&self, part: &[Range<u64>]) -> bool {
        let shape = &self.definition.output.shape;
        let row = |axis: usize| self.definition.row.iter().any(|own| own.index() == axis);
        part.len() == shape.len()
            && part.iter().zip(shape).enumerate().all(|(axis, (range, &size))| {
                let whole = range.start == 0 && range.end == size;
                range.end <= size && (whole || !row(axis))
            })
    }

    /// Computes a part of the output, as [`Prepared::run_raw`] does.
    pub fn run(&self, inputs: &[&[u8]], output: &mut [u8], part: &[Range<u64>]) -> Result<(), RunError> {
        let Definition { name, inputs: types, output: ty, .. } = &self.definition;
        if inputs.len() != types.len() {
            let (expected, found) = (types.len(), inputs.len());
            return Err(InputError::Count { name: name.clone(), expected, found }.into());
        }
        for (index, (input, ty)) in inputs.iter().zip(types).enumerate() {
            if ty.bytes() != Some(input.len() as u64) {
                let (ty, found) = (ty.clone(), input.len());
                return Err(InputError::Size { name: name.clone(), index, ty, found }.into());
            }
        }
        if ty.bytes() != Some(output.len() as u64) {
            return Err(RunError::Output { name: name.clone(), ty: ty.clone(), found: output.len() });
        }
        if !self.is_part(part) {
            return Err(RunError::Part { name: name.clone(), ty: ty.clone(), part: part.to_vec() });
        }
        let copies: Vec<Option<Aligned>> =
            inputs.iter().zip(types).map(|(input, ty)| Aligned::of(input, ty.dtype.size())).collect();
        let pointers: Vec<*const u8> = inputs
            .iter()
            .zip(&copies)
            .map(|(input, copy)| copy.as_ref().map_or(input.as_ptr(), |copy| copy.bytes().as_ptr()))
            .collect();
        let mut copy = Aligned::of(output, ty.dtype.size());
        let to = copy.as_mut().map_or(output.as_mut_ptr(), |copy| copy.0.as_mut_ptr().cast());
        #[expect(unsafe_code, reason = "the tensors are there and aligned")]
        // SAFETY: The inputs and the output have the bytes of their types and are aligned, and they are
        // borrowed, the output exclusively.
        unsafe {
            self.run_raw(&mut Scratch::default(), &pointers, to, part);
        }
        if let Some(copy) = copy {
            output.copy_from_slice(&copy.bytes()[..output.len()]);
        }
        Ok(())
    }
}

/// A copy of bytes that aren't aligned.
struct Aligned(Vec<u64>);

impl Aligned {
    /// `None` if they are aligned.
    fn of(bytes: &[u8], alignment: u64) -> Option<Self> {
        if bytes.as_ptr().addr().is_multiple_of(alignment as usize) {
            return None;
        }
        let word = |bytes: &[u8]| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_ne_bytes(word)
        };
        Some(Self(bytes.chunks(8).map(word).collect()))
    }

    #[expect(unsafe_code, reason = "words as bytes")]
    fn bytes(&self) -> &[u8] {
        // SAFETY: Words are initialised bytes.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 8) }
    }
}
