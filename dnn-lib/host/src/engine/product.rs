//! Definitions that are contractions: an ascending sum of products that ends in a formula. Micro-kernels compute
//! the sums, and the vector program of the formula runs on them while they are in the cache.

mod integers;

use std::any::Any;
use std::ops::Range;

use dnn_lib::definition::{Affine, Axis, Coordinate, Definition, Load, Order, Reduction, Source, Step};
use dnn_lib::scalar::{Const, Expr, Type};
use dnn_lib::tensor::{DType, TensorType};

use super::axes::{Axes, Linear, offset, single, strides};
use super::ending::{Addend, Ending, Plane};
use super::execute::Machine;
use super::program::Program;
use super::translate::translate;
use crate::Isa;
use crate::contraction::{
    self, Convolution, Element, Finish, Geometry, Matrix, Output, Panels, Quad, multiply, multiply_unpacked,
};
use integers::Integers;

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

/// Stacks of matrices.
#[derive(Debug)]
struct Matrices {
    axes: Axes,
    /// The axes of the stacks.
    stack: Vec<usize>,
    /// The axis of rows, and that of columns, if there are several.
    row: Option<usize>,
    column: Option<usize>,
    /// Rows, products and columns.
    sizes: [usize; 3],
    /// The offsets of elements.
    left: Linear,
    right: Linear,
    output: Linear,
    /// From row to row and from product to product.
    left_strides: [usize; 2],
    /// From product to product and from column to column.
    right_strides: [usize; 2],
    row_stride: usize,
}

/// A stack of images that is convolved.
#[derive(Debug)]
struct Image {
    geometry: Geometry,
    /// The axes of the stack.
    stack: Vec<usize>,
    /// The axes of filters and of pixels, outermost first, with their sizes.
    filters: Vec<(usize, u64)>,
    pixels: Vec<(usize, u64)>,
    input: Linear,
    output: Linear,
}

/// A packed right factor.
#[derive(Debug)]
enum Packed<E> {
    /// One for each matrix of the stack that there is of it.
    Panels(Vec<Panels<E>>),
    Convolution(Box<Convolution<E>>),
}

/// The sum of products of a definition.
struct Sum<'a> {
    reduction: &'a Reduction,
    loads: [&'a Load; 2],
    /// What bytes are counted from.
    zeros: [Option<&'a Load>; 2],
    element: Type,
}

impl Product {
    /// `None` if a definition isn't a contraction, or one for which there is no micro-kernel.
    pub(crate) fn new(isa: Isa, definition: &Definition) -> Option<Self> {
        let sum = sum(definition)?;
        let image = image(definition, &sum);
        let is_convolution = image.as_ref().is_some_and(|(image, _)| match sum.element {
            Type::F64 => !Convolution::<f64>::is_matrix(isa, &image.geometry),
            Type::F32 => !Convolution::<f32>::is_matrix(isa, &image.geometry),
            _ => !Convolution::<Quad>::is_matrix(isa, &integers::of_quads(&image.geometry)),
        });
        let (form, order) = match matrices(definition, &sum).filter(|_| !is_convolution) {
            Some((matrices, order)) => (Form::Matrices(Box::new(matrices)), order),
            None => {
                let (image, order) = image?;
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
        let formula = epilogue(definition, &sum);
        if sum.element == Type::I32 {
            product.integers = Some(Integers::new(definition, &product.form, &sum, order)?);
        } else if formula.is_some() {
            let addend = |load: &Load| product.form.addend(definition, load);
            product.ending = Ending::new(definition, sum.reduction.results[0], addend);
        }
        if let Some(formula) = formula.filter(|_| product.ending.is_none()) {
            product.epilogue = Some(translate(&formula)?);
            if sum.element == Type::I32 {
                let bytes = definition.output.elements()?.checked_mul(size_of::<Quad>() as u64)?;
                product.sums =
                    usize::try_from(bytes).ok().filter(|&bytes| bytes <= super::MOST_SCRATCH / 2)?;
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
        let sums = match &self.epilogue {
            Some(program) => memory.wrapping_add(program.scratch),
            None => output,
        };
        let mut all = inputs.to_vec();
        all.push(sums.cast_const());
        // SAFETY: That of the caller. Sums are in memory of their own, of which `scratch` has told.
        let machine = self
            .epilogue
            .as_ref()
            .map(|program| unsafe { (program, Machine::new(program, isa, &all, output, memory)) });
        let count = self.epilogue.as_ref().map_or(0, |program| program.axes.sizes.len());
        let ranges = vec![0..1; count];
        let mut epilogue = Epilogue { ending: None, inputs, machine, sums: sums.cast::<Quad>(), ranges };
        let packed = self.packed.as_ref().and_then(|packed| packed.downcast_ref::<integers::Packed>());
        let factors = [inputs[self.left], inputs[self.right]];
        // SAFETY: That of the caller.
        unsafe { integers.run(isa, &self.form, factors, packed, &mut epilogue, part) }
    }
}

/// What finishes sums: one of the two, or nothing.
struct Epilogue<'a, E> {
    ending: Option<&'a Ending>,
    inputs: &'a [*const u8],
    machine: Option<(&'a Program, Machine<'a>)>,
    /// Where the sums are: floats in the output's place.
    sums: *mut E,
    /// Of the program's axes; those of size 1 keep theirs.
    ranges: Vec<Range<u64>>,
}

impl<'a, E: Element> Epilogue<'a, E> {
    /// What micro-kernels do to the matrix of sums, of these rows and columns, at some indices of the stack.
    ///
    /// # Safety
    ///
    /// Nothing writes to the inputs for as long as the result lives.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    unsafe fn finish(&self, indices: &[i64], size: [usize; 2]) -> Result<Finish<'a, E>, contraction::Error> {
        let Some(ending) = self.ending else { return Ok(Finish::NONE) };
        // SAFETY: That of the caller.
        unsafe { ending.finish(self.inputs, indices, size) }
    }

    /// Finishes some sums.
    fn run(&mut self, mut sums: Output<'_, E>) {
        let Some((program, machine)) = &mut self.machine else { return };
        let (mut rows, stride, mut columns) = (sums.rows().len(), sums.stride(), sums.columns().len());
        if rows == 0 || columns == 0 {
            return;
        }
        if columns == stride {
            (rows, columns) = (1, rows * columns);
        }
        let start = sums.start();
        let first = (start.addr() - self.sums.addr()) / size_of::<E>();
        if !E::ARE_BYTES {
            // The output begins so far before these sums.
            machine.move_to(start.wrapping_sub(first).cast());
        }
        let mut row = 0;
        while row < rows {
            let (mut column, mut height) = (0, 1);
            while column < columns {
                let (offset, count) = (first + row * stride + column, columns - column);
                let width = leading_box(&program.output, offset, count, &mut self.ranges);
                if width == columns {
                    height = extend(&program.output, stride, rows - row, &mut self.ranges);
                }
                machine.run(&self.ranges);
                column += width;
            }
            row += height;
        }
    }
}

/// Sets the ranges of axes to the largest box that is the first of `count` adjacent elements. Returns how many
/// they are. The axes are outermost first.
fn leading_box(axes: &[(usize, u64)], offset: usize, count: usize, ranges: &mut [Range<u64>]) -> usize {
    let (mut rest, mut inside, mut open) = (offset as u64, 1, true);
    for &(axis, size) in axes.iter().rev() {
        let (place, most) = (rest % size, count as u64 / inside);
        rest /= size;
        let taken = if open { most.min(size - place) } else { 1 };
        ranges[axis] = place..place + taken;
        // Only whole axes can be followed by more than one index of the next.
        open &= taken == size;
        inside *= taken;
    }
    inside as usize
}

/// Extends a box along the axis whose neighbours are `stride` elements apart, of which it has one index, to at
/// most `most`. Returns how many there are then.
fn extend(axes: &[(usize, u64)], stride: usize, most: usize, ranges: &mut [Range<u64>]) -> usize {
    let mut inside = 1;
    for &(axis, size) in axes.iter().rev() {
        let range = &mut ranges[axis];
        if inside == stride as u64 && range.end == range.start + 1 {
            range.end = range.start + (most as u64).min(size - range.start);
            return (range.end - range.start) as usize;
        }
        inside *= size;
    }
    1
}

/// The factors of stacks of matrices.
struct Factors<'a, E> {
    isa: Isa,
    left: *const E,
    right: *const E,
    packed: Option<&'a [Panels<E>]>,
}

impl Matrices {
    /// The axes of the stack along which there are several matrices on the right.
    fn right_stack(&self) -> impl Iterator<Item = usize> {
        self.stack.iter().copied().filter(|&axis| self.right.factor(axis) != 0)
    }

    /// Which of the matrices on the right belongs to some indices.
    fn right_number(&self, indices: &[i64]) -> usize {
        let next =
            |number: usize, axis: usize| number * self.axes.sizes[axis] as usize + indices[axis] as usize;
        self.right_stack().fold(0, next)
    }

    /// Whether the matrices on the right have no more elements than there are of the tensor.
    fn copies(&self, elements: usize) -> bool {
        let copies = self.right_stack().map(|axis| self.axes.sizes[axis] as usize);
        let all = copies.fold(self.sizes[1].saturating_mul(self.sizes[2]), usize::saturating_mul);
        all <= elements
    }

    /// The offsets of the matrices on the right.
    fn right_places(&self) -> Vec<i64> {
        let mut places = vec![self.right.constant];
        for axis in self.right_stack() {
            let factor = self.right.factor(axis);
            let along =
                |place: i64| (0..self.axes.sizes[axis] as i64).map(move |index| place + factor * index);
            places = places.into_iter().flat_map(along).collect();
        }
        places
    }

    /// Computes a box, by ranges of joined axes.
    ///
    /// # Safety
    ///
    /// The factors and the output are there, and nothing else accesses the box meanwhile.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    unsafe fn run<E: Element>(
        &self,
        factors: &Factors<'_, E>,
        epilogue: &mut Epilogue<'_, E>,
        ranges: &[Range<u64>],
    ) -> Result<(), contraction::Error> {
        let along = |axis: Option<usize>| {
            axis.map_or(0..1, |axis| ranges[axis].start as usize..ranges[axis].end as usize)
        };
        let (rows, columns) = (along(self.row), along(self.column));
        let [height, depth, width] = self.sizes;
        each_index(&self.stack, ranges, self.axes.sizes.len(), |indices| {
            let at = self.left.at(indices) as usize;
            let length = (height - 1) * self.left_strides[0] + (depth - 1) * self.left_strides[1] + 1;
            // SAFETY: All elements of the matrix are loaded by the definition, so they are in the tensor, and
            // so is what is between them. Nothing writes to it.
            let left = unsafe { std::slice::from_raw_parts(factors.left.add(at), length) };
            let left = Matrix::new(left, [height, depth], self.left_strides)?;
            let mut places = indices.to_vec();
            self.row.into_iter().for_each(|row| places[row] = rows.start as i64);
            self.column.into_iter().for_each(|column| places[column] = columns.start as i64);
            let start = epilogue.sums.wrapping_offset(self.output.at(&places) as isize);
            // SAFETY: Rows and columns are in the box, and nothing else accesses it.
            let out = unsafe { Output::from_raw(start, self.row_stride, rows.clone(), columns.clone()) };
            // SAFETY: That of the caller.
            let finish = unsafe { epilogue.finish(indices, [height, width]) }?;
            let mut then = |sums: Output<'_, E>| epilogue.run(sums);
            if let Some(panels) = factors.packed {
                return multiply(&left, &panels[self.right_number(indices)], out, &finish, &mut then);
            }
            let at = self.right.at(indices) as usize;
            let length = (depth - 1) * self.right_strides[0] + (width - 1) * self.right_strides[1] + 1;
            // SAFETY: As for the left factor.
            let right = unsafe { std::slice::from_raw_parts(factors.right.add(at), length) };
            let right = Matrix::new(right, [depth, width], self.right_strides)?;
            multiply_unpacked(factors.isa, &left, &right, out, &finish, &mut then)
        })
    }
}

impl Image {
    /// Computes a box of the output.
    ///
    /// # Safety
    ///
    /// The input and the output are there, and nothing else accesses the box meanwhile.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    unsafe fn run<E: Element>(
        &self,
        convolution: &Convolution<E>,
        input: *const E,
        epilogue: &mut Epilogue<'_, E>,
        part: &[Range<u64>],
    ) -> Result<(), contraction::Error> {
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

/// Calls a function at each index of some axes in their ranges; other axes have index 0.
fn each_index<R>(
    axes: &[usize],
    ranges: &[Range<u64>],
    count: usize,
    mut each: impl FnMut(&[i64]) -> Result<(), R>,
) -> Result<(), R> {
    let mut indices = vec![0i64; count];
    axes.iter().for_each(|&axis| indices[axis] = ranges[axis].start as i64);
    loop {
        each(&indices)?;
        let next = axes.iter().rev().find(|&&axis| {
            indices[axis] += 1;
            let inside = (indices[axis] as u64) < ranges[axis].end;
            if !inside {
                indices[axis] = ranges[axis].start as i64;
            }
            inside
        });
        if next.is_none() {
            return Ok(());
        }
    }
}

/// The elements of bytes.
fn words<E, const N: usize>(bytes: &[u8], element: impl Fn([u8; N]) -> E) -> Vec<E> {
    bytes.as_chunks::<N>().0.iter().map(|&bytes| element(bytes)).collect()
}

/// The sum of products of two inputs' elements that a definition has.
fn sum(definition: &Definition) -> Option<Sum<'_>> {
    let [stage] = &definition.stages[..] else { return None };
    let mut reductions = stage.steps.iter().filter_map(|step| match step {
        Step::Reduce(reduction) => Some(reduction),
        _ => None,
    });
    let reduction = reductions.next().filter(|_| reductions.next().is_none())?;
    let ([init], [_], [_]) = (&reduction.init[..], &reduction.carried[..], &reduction.yields[..]) else {
        return None;
    };
    let zero = |constant: &Const| matches!(constant, Const::F32(0) | Const::F64(0) | Const::I32(0));
    let starts_at_zero = |step: &Step| matches!(step, Step::Let(value, Expr::Const(constant)) if value == init && zero(constant));
    if !stage.steps.iter().any(starts_at_zero) || reduction.order != Order::Ascending {
        return None;
    }
    let element = definition.ty(*init);
    let [(x, x_zero), (y, y_zero)] = match element {
        Type::I32 => integers::factors(definition, stage, reduction)?,
        _ => floats(definition, reduction)?.map(|load| (load, None)),
    };
    Some(Sum { reduction, loads: [x, y], zeros: [x_zero, y_zero], element })
}

/// The factors of a sum of fused multiply-adds.
fn floats<'a>(definition: &Definition, reduction: &'a Reduction) -> Option<[&'a Load; 2]> {
    let [Step::Load(x, first), Step::Load(y, second), Step::Let(value, Expr::Fma(a, b, c))] =
        &reduction.body[..]
    else {
        return None;
    };
    let (carried, yielded) = (reduction.carried[0], reduction.yields[0]);
    let dtype = if definition.ty(carried) == Type::F64 { DType::F64 } else { DType::F32 };
    let whole = |load: &Load| {
        let affine = load.at.iter().all(|coordinate| matches!(coordinate, Coordinate::Affine(_)));
        let known =
            matches!(load.from, Source::Input(input) if definition.inputs[input as usize].dtype == dtype);
        affine && known && load.otherwise.is_none()
    };
    let factors = [(a, b), (b, a)].contains(&(x, y)) && *c == carried && *value == yielded;
    let right = factors && definition.output.dtype == dtype && whole(first) && whole(second);
    right.then_some([first, second])
}

/// The definition with the sums as one more input; `None` if they are the output.
fn epilogue(definition: &Definition, sum: &Sum<'_>) -> Option<Definition> {
    let mut epilogue = definition.clone();
    let stage = &mut epilogue.stages[0];
    let result = sum.reduction.results[0];
    if stage.value == result {
        return None;
    }
    let dtype = if sum.element == Type::I32 { DType::I32 } else { definition.output.dtype };
    let sums = TensorType::new(dtype, definition.output.shape.clone());
    let from = Source::Input(definition.inputs.len() as u32);
    let at = definition.output_axes().map(|axis| Affine::from(axis).into()).collect();
    let load = Step::Load(result, Load { from, at, otherwise: None });
    for step in &mut stage.steps {
        if matches!(step, Step::Reduce(_)) {
            *step = load.clone();
        }
    }
    epilogue.inputs.push(sums);
    Some(epilogue)
}

fn input(load: &Load) -> usize {
    match load.from {
        Source::Input(input) => input as usize,
        Source::Stage(_) => 0,
    }
}

/// The offset of an element of the output.
fn output_offset(definition: &Definition) -> Linear {
    let axes = definition.output_axes().map(|axis| axis.index());
    let terms = axes.zip(strides(&definition.output.shape)).filter(|&(axis, _)| definition.axes[axis] != 1);
    Linear { terms: terms.collect(), constant: 0 }
}

/// A sum as a product of matrices, with the loads of what is on the left and on the right.
fn matrices(definition: &Definition, sum: &Sum<'_>) -> Option<(Matrices, [usize; 2])> {
    let axes = Axes::new(definition);
    let rank = definition.output.shape.len();
    let ranges = &sum.reduction.ranges;
    if ranges.iter().any(|range| range.window.is_some() || definition.size(range.axis) == 0) {
        return None;
    }
    let mut summed = ranges.iter().map(|range| range.axis.index()).filter(|&axis| axes.sizes[axis] != 1);
    let (product, more) = (summed.next(), summed.next());
    let output: Vec<usize> = (0..rank).filter(|&axis| axes.sizes[axis] != 1).collect();
    let [x, y] = sum.loads.map(|load| axes.linear(&offset(definition, load)));
    let column = output.last().copied();
    let in_both = column.map(|axis| (x.factor(axis) != 0, y.factor(axis) != 0));
    let (left, right, order) = match in_both {
        Some((false, true)) | None => (x, y, [0, 1]),
        Some((true, false)) => (y, x, [1, 0]),
        _ => return None,
    };
    let others = || output.iter().copied().filter(|&axis| Some(axis) != column);
    let row = others()
        .filter(|&axis| left.factor(axis) != 0 && right.factor(axis) == 0)
        .max_by_key(|&axis| axes.sizes[axis]);
    let stack = others().filter(|&axis| Some(axis) != row).collect();
    let stride = |linear: &Linear, axis: Option<usize>| {
        usize::try_from(axis.map_or(0, |axis| linear.factor(axis))).ok()
    };
    let size = |axis: Option<usize>| axis.map_or(1, |axis| axes.sizes[axis] as usize);
    // The axes that were joined are apart in the output, so it is made of the members' strides.
    let offsets = output_offset(definition);
    let terms = offsets.terms.into_iter().filter(|&(axis, _)| axes.sizes[axis] != 1).collect();
    let result = Linear { terms, constant: 0 };
    let matrices = Matrices {
        sizes: [size(row), size(product), size(column)],
        left_strides: [stride(&left, row)?, stride(&left, product)?],
        right_strides: [stride(&right, product)?, stride(&right, column)?],
        row_stride: match row {
            Some(_) => stride(&result, row)?,
            None => size(column),
        },
        stack,
        row,
        column,
        left,
        right,
        output: result,
        axes,
    };
    more.is_none().then_some((matrices, order))
}

/// A sum as a convolution of one or two dimensions, with the loads of the image and of the weights.
fn image(definition: &Definition, sum: &Sum<'_>) -> Option<(Image, [usize; 2])> {
    [[0, 1], [1, 0]].into_iter().find_map(|order| {
        let [image, weights] = order.map(|load| sum.loads[load]);
        Some((image_of(definition, sum, image, weights)?, order))
    })
}

/// A product of sizes, if none is 0 and it is not too large to be counted with.
fn product(sizes: &[usize]) -> Option<usize> {
    let product = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    product.filter(|&product| (1..1 << 48).contains(&product))
}

/// One spatial dimension.
struct Spatial {
    output: usize,
    size: u64,
    kernel: u64,
    stride: i64,
    dilation: i64,
    padding: i64,
}

fn image_of(definition: &Definition, sum: &Sum<'_>, image: &Load, weights: &Load) -> Option<Image> {
    let (channel, windows) = sum.reduction.ranges.split_last()?;
    if channel.window.is_some() || definition.size(channel.axis) == 0 || !(1..=2).contains(&windows.len()) {
        return None;
    }
    let rank = definition.output.shape.len();
    let spatial = rank.checked_sub(windows.len())?;
    let shape = definition.shape(image.from);
    let before = shape.len().checked_sub(windows.len())?;
    let mut dims = Vec::new();
    for (index, range) in windows.iter().enumerate() {
        let Coordinate::Affine(position) = &image.at[before + index] else { return None };
        let (output, size) = (spatial + index, shape[before + index]);
        if let Some(window) = &range.window
            && (window.position(range.axis) != *position || window.size != size)
        {
            return None;
        }
        let of_output = |axis: &Axis| axis.index() == output;
        if position.axes().any(|axis| axis != range.axis && !of_output(&axis)) {
            return None;
        }
        // An output with one position doesn't move.
        let still = i64::from(definition.axes[output] == 1);
        let stride =
            position.terms.iter().find(|(axis, _)| of_output(axis)).map_or(still, |&(_, factor)| factor);
        let (dilation, padding) = (position.factor(range.axis), -position.constant);
        let kernel = definition.size(range.axis);
        if stride < 1 || dilation < 1 || padding < 0 || kernel == 0 {
            return None;
        }
        let elsewhere = image.at[..before].iter().any(|coordinate| match coordinate {
            Coordinate::Affine(index) => index.axes().any(|axis| axis == range.axis || of_output(&axis)),
            Coordinate::Value(_) => true,
        });
        if elsewhere {
            return None;
        }
        dims.push(Spatial { output, size, kernel, stride, dilation, padding });
    }
    // An image of one dimension has one row.
    let pair = |of: &dyn Fn(&Spatial) -> u64, one: u64| -> [usize; 2] {
        match &dims[..] {
            [rows, columns] => [of(rows) as usize, of(columns) as usize],
            [columns] => [one as usize, of(columns) as usize],
            _ => [0, 0],
        }
    };
    let kernel = pair(&|dim| dim.kernel, 1);
    let pixels = pair(&|dim| definition.axes[dim.output], 1);
    let size = pair(&|dim| dim.size, 1);
    let area_out = (pixels[0] * pixels[1]) as i64;
    let channels = definition.size(channel.axis) as i64;
    let [taps, area] = [kernel, size].map(|size| product(&[size[0], size[1]]));
    let (taps, area) = (taps? as i64, area? as i64);
    let (x, w) = (offset(definition, image), offset(definition, weights));
    let output = output_offset(definition);
    let several = |axis: usize| definition.axes[axis] != 1;
    let factor = |index: &Affine, axis: usize| {
        index.terms.iter().find(|(own, _)| own.index() == axis).map_or(0, |&(_, factor)| factor)
    };
    // The weights are filter, channel, row, column, and the image is channel, row, column.
    let mut place = 1;
    for range in windows.iter().rev() {
        let axis = range.axis.index();
        if several(axis) && factor(&w, axis) != place {
            return None;
        }
        place *= definition.axes[axis] as i64;
    }
    let channel = channel.axis.index();
    if several(channel) && (factor(&w, channel) != taps || factor(&x, channel) != area) {
        return None;
    }
    if dims.iter().any(|dim| several(dim.output) && factor(&w, dim.output) != 0) || w.constant != 0 {
        return None;
    }
    // From the inside: filters of a group, groups, and stacks of images.
    let (mut filters, mut groups, mut stack) = (1u64, 1u64, Vec::new());
    let mut members = Vec::new();
    for axis in (0..spatial).rev().filter(|&axis| several(axis)) {
        let count = definition.axes[axis];
        let (of_x, of_w) = (factor(&x, axis), factor(&w, axis));
        let inside = (filters * groups) as usize;
        let next = output.factor(axis) == product(&[inside, area_out as usize])? as i64
            && of_w == product(&[inside, channels as usize, taps as usize])? as i64;
        if stack.is_empty() && next && of_x == 0 && groups == 1 {
            filters *= count;
            members.insert(0, (axis, count));
        } else if stack.is_empty()
            && next
            && of_x == product(&[groups as usize, channels as usize, area as usize])? as i64
        {
            groups *= count;
            members.insert(0, (axis, count));
        } else if of_w == 0 {
            stack.insert(0, axis);
        } else {
            return None;
        }
    }
    let inputs = product(&[groups as usize, channels as usize, area as usize])?;
    let factors = product(&[(filters * groups) as usize, channels as usize, taps as usize])?;
    let geometry = Geometry {
        channels: groups as usize * channels as usize,
        filters: (filters * groups) as usize,
        groups: groups as usize,
        input: size,
        kernel,
        strides: pair(&|dim| dim.stride as u64, 1),
        dilations: pair(&|dim| dim.dilation as u64, 1),
        padding: pair(&|dim| dim.padding as u64, 0),
        output: pixels,
    };
    let elements = |load: &Load| dnn_lib::tensor::elements(&definition.shape(load.from)).unwrap_or(0);
    // Where the first element of the image is: its spatial coordinates and its channel are 0.
    let strides = strides(&shape);
    let corner = image.at.iter().zip(&strides).take(before);
    let corner = corner.fold(Affine::default(), |sum, (coordinate, &stride)| match coordinate {
        Coordinate::Affine(index) => sum + index.clone() * stride,
        Coordinate::Value(_) => sum,
    });
    let mut terms = Vec::new();
    for &axis in &stack {
        terms.push((axis, factor(&corner, axis)));
    }
    let corner = Linear { terms, constant: corner.constant };
    let last = |axis: &usize| (definition.axes[*axis] as i64 - 1) * corner.factor(*axis).max(0);
    let end = corner.constant + stack.iter().map(last).sum::<i64>() + inputs as i64;
    let fits = corner.constant >= 0
        && corner.terms.iter().all(|&(_, factor)| factor >= 0)
        && end as u64 <= elements(image)
        && factors as u64 == elements(weights);
    let pixels = dims.iter().map(|dim| (dim.output, definition.axes[dim.output])).collect();
    let image_ = Image { geometry, stack, filters: members, pixels, input: corner, output };
    fits.then_some(image_)
}
