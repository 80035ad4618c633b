//! Sums of products of bytes, each counted from a zero point: exact in 32 bits.
//!
//! Of left factors l, right factors r and their zero points y and z, the sum of (l - y)(r - z) is that of l r, less
//! z times that of l, less y times that of r, plus y z for each product. Micro-kernels compute the first sum, four
//! products at once, and add the rest to it when it is finished. For them, left factors have no sign, and right
//! ones have one. Others are moved by 128 together with their zero point, which turns their highest bit.

use std::ops::Range;

use dnn_lib::definition::{Coordinate, Definition, Load, Reduction, Source, Stage, Step};
use dnn_lib::scalar::{BinaryOp, Expr, Type, Value};
use dnn_lib::tensor::DType;

use super::Form;
use super::epilogue::Epilogue;
use super::image::Image;
use super::matrices::{Matrices, each_index};
use super::recognize::{Sum, input};
use super::scaling::{Scaled, Scaling};
use crate::Isa;
use crate::contraction::{
    Convolution, Error, Finish, Geometry, MOST_ADDENDS, Matrix, Output, Panels, Quad, multiply,
    multiply_unpacked,
};
use crate::engine::axes::single;
use crate::engine::ending::Addend;
use crate::isa::Level;

/// The factors and zero points of a sum of products of bytes, by the steps of a reduction.
pub(super) fn factors<'a>(
    definition: &Definition,
    stage: &'a Stage,
    reduction: &'a Reduction,
) -> Option<[(&'a Load, Option<&'a Load>); 2]> {
    let (carried, yielded) = (reduction.carried[0], reduction.yields[0]);
    let steps = || reduction.body.iter().chain(&stage.steps);
    let binary = |wanted: BinaryOp, value: Value| {
        steps().find_map(|step| match step {
            Step::Let(own, Expr::Binary(op, a, b)) if *own == value && *op == wanted => Some([*a, *b]),
            _ => None,
        })
    };
    let load = |value: Value| {
        let load = steps().find_map(|step| match step {
            Step::Load(own, load) if *own == value => Some(load),
            _ => None,
        })?;
        let bytes = |input: u32| matches!(definition.inputs[input as usize].dtype, DType::U8 | DType::I8);
        let known = matches!(load.from, Source::Input(input) if bytes(input)) && load.otherwise.is_none();
        let affine = load.at.iter().all(|at| matches!(at, Coordinate::Affine(_)));
        (known && affine).then_some(load)
    };
    let factor = |value: Value| match binary(BinaryOp::Sub, value) {
        Some([x, zero]) => Some((load(x)?, Some(load(zero)?))),
        None => Some((load(value)?, None)),
    };
    let product = match binary(BinaryOp::Add, yielded)? {
        [sum, product] | [product, sum] if sum == carried => product,
        _ => return None,
    };
    let [x, y] = binary(BinaryOp::Mul, product)?;
    (definition.ty(carried) == Type::I32).then_some([factor(x)?, factor(y)?])
}

#[derive(Debug)]
pub(super) struct Integers {
    /// The left one and the right one.
    factors: [Factor; 2],
    /// The formula over the sums, if they aren't the output and it is one of those that are computed in one pass.
    scaling: Option<Scaling>,
}

#[derive(Debug)]
struct Factor {
    is_left: bool,
    is_signed: bool,
    /// Where its zero points are, and how far they are apart: of rows or columns of a matrix, or of filters.
    zero: Option<(Addend, usize)>,
}

impl Integers {
    /// The factors are the loads of a sum in this order.
    pub(super) fn new(
        definition: &Definition,
        form: &Form,
        sum: &Sum<'_>,
        order: [usize; 2],
    ) -> Option<Self> {
        let factor = |side: usize| {
            let is_left = side == 0;
            let is_signed = definition.inputs[input(sum.loads[order[side]])].dtype == DType::I8;
            let Some(load) = sum.zeros[order[side]] else {
                return Some(Factor { is_left, is_signed, zero: None });
            };
            let zero = form.addend(definition, load)?;
            // What surrounds an image is its zero point, as one of its bytes.
            if definition.inputs[zero.input].dtype != definition.inputs[input(sum.loads[order[side]])].dtype {
                return None;
            }
            // The image is on the left, and filters are rows.
            let apart = match (form, side, zero.strides) {
                (Form::Matrices(_), 0, [apart, 0])
                | (Form::Matrices(_), 1, [0, apart])
                | (Form::Image(_), 1, [apart, 0]) => apart,
                (Form::Image(_), 0, [0, 0]) => 0,
                _ => return None,
            };
            Some(Factor { is_left, is_signed, zero: Some((zero, apart)) })
        };
        let addend = |load: &Load| form.addend(definition, load);
        let scaling = Scaling::new(definition, sum.reduction.results[0], addend);
        Some(Self { factors: [factor(0)?, factor(1)?], scaling })
    }

    /// Whether it finishes its sums itself, if they aren't the output.
    pub(super) fn scales(&self) -> bool {
        self.scaling.is_some()
    }
}

impl Factor {
    /// What bytes are combined with, so that they are as micro-kernels want them.
    fn turn(&self) -> u8 {
        if self.is_left == self.is_signed { 0x80 } else { 0 }
    }

    /// The zero points of so many rows, columns or filters from a first one on, for turned bytes. If they are
    /// equal, there is one.
    ///
    /// # Safety
    ///
    /// The inputs are those of the definition, and nothing writes to them.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    unsafe fn zeros(&self, inputs: &[*const u8], indices: &[i64], which: Range<usize>) -> Vec<i32> {
        let moved = match (self.turn(), self.is_left) {
            (0, _) => 0,
            (_, true) => 128,
            (_, false) => -128,
        };
        let Some((zero, apart)) = &self.zero else { return vec![moved] };
        let from = inputs[zero.input].wrapping_offset(zero.start.at(indices) as isize);
        let one = |index: usize| {
            // SAFETY: the definition loads this element for the row, column or filter.
            let byte = unsafe { from.add(index * apart).read() };
            moved + if self.is_signed { i32::from(byte.cast_signed()) } else { i32::from(byte) }
        };
        let zeros: Vec<i32> = if *apart == 0 { vec![one(0)] } else { which.map(one).collect() };
        match zeros.split_first() {
            Some((first, rest)) if rest.iter().all(|zero| zero == first) => vec![*first],
            _ => zeros,
        }
    }
}

/// Zero points and sums of factors along rows or columns.
struct Side<'a> {
    /// One, or one for each.
    zeros: Vec<i32>,
    /// One for each; for each group of rows, if there are several. Not there if nobody asks for them.
    sums: &'a [i32],
}

impl Side<'_> {
    fn zero(&self, index: usize) -> i32 {
        self.zeros[if self.zeros.len() == 1 { 0 } else { index }]
    }
}

/// What is added to sums of products of turned bytes.
struct Rest {
    rows: usize,
    columns: usize,
    along_rows: Vec<Quad>,
    along_columns: Vec<Quad>,
    everywhere: Vec<Quad>,
}

impl Rest {
    /// `group` is the number of rows with the same sums of columns; a sum has `depth` products.
    fn new([row, column]: [&Side<'_>; 2], [rows, columns]: [usize; 2], group: usize, depth: usize) -> Self {
        let quad = |x: i32| Quad(x.cast_unsigned());
        let of_row = |i: usize, zero: i32| {
            let sum = row.sums[i].wrapping_sub((depth as i32).wrapping_mul(row.zero(i)));
            sum.wrapping_mul(zero).wrapping_neg()
        };
        let of_column = |i: usize, j: usize, zero: i32| {
            if zero == 0 { 0 } else { column.sums[i / group * columns + j].wrapping_mul(zero).wrapping_neg() }
        };
        let mut rest =
            Self { rows, columns, along_rows: Vec::new(), along_columns: Vec::new(), everywhere: Vec::new() };
        match (&row.zeros[..], &column.zeros[..]) {
            (&[of_rows], &[of_columns]) if of_rows == 0 || group >= rows => {
                rest.along_rows = (0..rows).map(|i| quad(of_row(i, of_columns))).collect();
                if of_rows != 0 {
                    rest.along_columns = (0..columns).map(|j| quad(of_column(0, j, of_rows))).collect();
                }
            }
            _ => {
                let at = |i: usize, j: usize| {
                    quad(of_row(i, column.zero(j)).wrapping_add(of_column(i, j, row.zero(i))))
                };
                rest.everywhere = (0..rows).flat_map(|i| (0..columns).map(move |j| at(i, j))).collect();
            }
        }
        rest
    }

    fn finish(&self) -> Result<Finish<'_, Quad>, Error> {
        let Self { rows, columns, .. } = *self;
        let all =
            [(&self.along_rows, [1, 0]), (&self.along_columns, [0, 1]), (&self.everywhere, [columns, 1])];
        let mut addends = [None; MOST_ADDENDS];
        for (to, (quads, strides)) in
            addends.iter_mut().zip(all.iter().filter(|(quads, _)| !quads.is_empty()))
        {
            *to = Some(Matrix::new(quads, [rows, columns], *strides)?);
        }
        Finish::new(addends, false)
    }
}

/// What finishes sums.
pub(super) struct Ends<'a> {
    pub(super) level: Level,
    /// For formulas that aren't computed in one pass.
    pub(super) epilogue: Epilogue<'a, Quad>,
    pub(super) output: *mut u8,
}

impl Ends<'_> {
    /// Finishes some sums.
    fn run(&mut self, scaled: Option<&Scaled<'_>>, mut sums: Output<'_, Quad>) {
        let Some(scaled) = scaled else { return self.epilogue.run(sums) };
        let to = self.output.wrapping_add(self.epilogue.place(&mut sums) * scaled.bytes());
        #[expect(unsafe_code, reason = "tensors are in raw memory")]
        // SAFETY: these results belong to sums of the box, so nothing else accesses them, and the output is apart from
        // the sums.
        unsafe {
            scaled.run(self.level, sums, to);
        }
    }
}

/// Bytes of a matrix, to be turned.
struct Bytes<'a> {
    bytes: &'a [u8],
    strides: [usize; 2],
    turn: u8,
}

impl Bytes<'_> {
    fn at(&self, row: usize, column: usize) -> u8 {
        self.bytes[row * self.strides[0] + column * self.strides[1]] ^ self.turn
    }

    /// Four products' factors of a row.
    fn in_row(&self, row: usize, quad: usize, depth: usize) -> Quad {
        quad_of(4 * quad..depth, |k| self.at(row, k))
    }

    /// Four products' factors of a column.
    fn in_column(&self, quad: usize, column: usize, depth: usize) -> Quad {
        quad_of(4 * quad..depth, |k| self.at(k, column))
    }

    /// Rows of a left factor, with their sums.
    fn left(&self, rows: Range<usize>, depth: usize) -> (Vec<Quad>, Vec<i32>) {
        let quads_of = depth.div_ceil(4);
        let (mut quads, mut sums) = (Vec::with_capacity(rows.len() * quads_of), Vec::new());
        let turn = u32::from_le_bytes([self.turn; 4]);
        for row in rows {
            let start = quads.len();
            let mut whole = 0;
            if self.strides[1] == 1 {
                let from = &self.bytes[row * self.strides[0]..][..depth];
                let (chunks, _) = from.as_chunks::<4>();
                quads.extend(chunks.iter().map(|&bytes| Quad(u32::from_le_bytes(bytes) ^ turn)));
                whole = chunks.len();
            }
            quads.extend((whole..quads_of).map(|quad| self.in_row(row, quad, depth)));
            sums.push(wrapping_sum(quads[start..].iter().map(|&quad| unsigned(quad))));
        }
        (quads, sums)
    }

    /// Columns of a right factor as rows of quads, with their sums.
    fn right(&self, columns: Range<usize>, depth: usize) -> (Vec<Quad>, Vec<i32>) {
        let (first, count) = (columns.start, columns.len());
        let mut quads = vec![Quad(0); depth.div_ceil(4) * count];
        let nothing = vec![self.turn; count];
        for (quad, to) in quads.chunks_exact_mut(count.max(1)).enumerate() {
            if self.strides[1] == 1 {
                let row = |k: usize| match 4 * quad + k {
                    k if k < depth => &self.bytes[k * self.strides[0] + first..][..count],
                    _ => &nothing[..],
                };
                interleave([row(0), row(1), row(2), row(3)], self.turn, to);
            } else {
                for (column, to) in to.iter_mut().enumerate() {
                    *to = self.in_column(quad, first + column, depth);
                }
            }
        }
        let sums = signed_sums(&quads, count);
        (quads, sums)
    }
}

/// The first four bytes of a range; zeros where there are fewer.
fn quad_of(range: Range<usize>, byte: impl Fn(usize) -> u8) -> Quad {
    let place = |k: usize| if range.start + k < range.end { byte(range.start + k) } else { 0 };
    Quad(u32::from_le_bytes([0, 1, 2, 3].map(place)))
}

fn wrapping_sum(terms: impl Iterator<Item = i32>) -> i32 {
    terms.fold(0, i32::wrapping_add)
}

/// The sum of the bytes of a left factor.
fn unsigned(Quad(quad): Quad) -> i32 {
    quad.to_le_bytes().into_iter().map(i32::from).sum()
}

/// The sums of the bytes of a right factor's columns, by its rows of quads.
fn signed_sums(quads: &[Quad], columns: usize) -> Vec<i32> {
    let mut sums = vec![0i32; columns];
    for row in quads.chunks_exact(columns.max(1)) {
        for (sum, &Quad(quad)) in sums.iter_mut().zip(row) {
            let signed = |place: u32| i32::from((quad >> place) as i8);
            *sum = sum.wrapping_add(signed(0) + signed(8) + signed(16) + signed(24));
        }
    }
    sums
}

/// Makes quads of a byte of each row.
fn interleave([a, b, c, d]: [&[u8]; 4], turn: u8, to: &mut [Quad]) {
    let turn = u32::from_le_bytes([turn; 4]);
    for ((((to, &a), &b), &c), &d) in to.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *to = Quad(u32::from_le_bytes([a, b, c, d]) ^ turn);
    }
}

/// A packed right factor, with the sums of its columns or filters.
#[derive(Debug)]
pub(super) enum Packed {
    /// One for each matrix of the stack that there is of it.
    Panels(Vec<(Panels<Quad>, Vec<i32>)>),
    Convolution(Box<(Convolution<Quad>, Vec<i32>)>),
}

impl Integers {
    /// Packs the right factor. It must have all elements.
    pub(super) fn pack(&self, isa: Isa, form: &Form, bytes: &[u8]) -> Result<Packed, Error> {
        let turn = self.factors[1].turn();
        match form {
            Form::Image(image) => Ok(Packed::Convolution(Box::new(image.filters_of(isa, bytes, turn)?))),
            Form::Matrices(matrices) => {
                let [_, depth, columns] = matrices.sizes;
                let mut all = Vec::new();
                if !matrices.copies(bytes.len()) {
                    return Ok(Packed::Panels(all));
                }
                for at in matrices.right_places() {
                    let bytes = bytes.get(at as usize..).unwrap_or_default();
                    Matrix::new(bytes, [depth, columns], matrices.right_strides)?;
                    let right = Bytes { bytes, strides: matrices.right_strides, turn };
                    let element = |quad, column| right.in_column(quad, column, depth);
                    let (_, sums) = right.right(0..columns, depth);
                    all.push((Panels::from_fn(isa, depth.div_ceil(4), columns, element), sums));
                }
                Ok(Packed::Panels(all))
            }
        }
    }

    /// The formula for a matrix of sums, with its numbers.
    ///
    /// # Safety
    ///
    /// That of [`Scaling::at`].
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    unsafe fn scaled(
        &self,
        ends: &Ends<'_>,
        indices: &[i64],
        rows: &Range<usize>,
        columns: &Range<usize>,
    ) -> Option<Scaled<'_>> {
        let scaling = self.scaling.as_ref()?;
        // SAFETY: That of the caller.
        Some(unsafe { scaling.at(ends.epilogue.inputs, indices, rows, columns) })
    }

    /// Computes a box of sums.
    ///
    /// # Safety
    ///
    /// That of [`super::Product::run`].
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    pub(super) unsafe fn run(
        &self,
        isa: Isa,
        form: &Form,
        factors: [*const u8; 2],
        packed: Option<&Packed>,
        ends: &mut Ends<'_>,
        part: &[Range<u64>],
    ) -> Result<(), Error> {
        let mut result = Ok(());
        match form {
            Form::Matrices(matrices) => {
                let packed = match packed {
                    Some(Packed::Panels(panels)) if !panels.is_empty() => Some(&panels[..]),
                    _ => None,
                };
                matrices.axes.joined(part, &mut |ranges| {
                    // SAFETY: That of the caller.
                    let done = unsafe { self.matrices(isa, matrices, factors, packed, ends, ranges) };
                    result = result.clone().and(done);
                });
            }
            Form::Image(image) => {
                let made;
                let filters = match packed {
                    Some(Packed::Convolution(filters)) => filters,
                    _ => {
                        // SAFETY: That of the caller; `image_of` has seen that the weights have this size.
                        let weights =
                            unsafe { std::slice::from_raw_parts(factors[1], image.geometry.weights()) };
                        made = Box::new(image.filters_of(isa, weights, self.factors[1].turn())?);
                        &made
                    }
                };
                // SAFETY: That of the caller.
                result = unsafe { self.image(image, filters, factors[0], ends, part) };
            }
        }
        result
    }

    /// # Safety
    ///
    /// That of [`Self::run`].
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    unsafe fn matrices(
        &self,
        isa: Isa,
        matrices: &Matrices,
        factors: [*const u8; 2],
        packed: Option<&[(Panels<Quad>, Vec<i32>)]>,
        ends: &mut Ends<'_>,
        ranges: &[Range<u64>],
    ) -> Result<(), Error> {
        let along = |axis: Option<usize>| {
            axis.map_or(0..1, |axis| ranges[axis].start as usize..ranges[axis].end as usize)
        };
        let (rows, columns) = (along(matrices.row), along(matrices.column));
        let [height, depth, width] = matrices.sizes;
        let quads = depth.div_ceil(4);
        each_index(&matrices.stack, ranges, matrices.axes.sizes.len(), |indices| {
            // SAFETY: All elements of the matrices are loaded by the definition, so they are in the tensors, and so is
            // what is between them. Nothing writes to them.
            let bytes = |side: usize, place: i64, size: [usize; 2], strides: [usize; 2]| unsafe {
                let length = (size[0] - 1) * strides[0] + (size[1] - 1) * strides[1] + 1;
                let bytes = std::slice::from_raw_parts(factors[side].add(place as usize), length);
                Bytes { bytes, strides, turn: self.factors[side].turn() }
            };
            let left = bytes(0, matrices.left.at(indices), [height, depth], matrices.left_strides);
            let (left, left_sums) = left.left(rows.clone(), depth);
            let left = Matrix::contiguous(&left, [rows.len(), quads])?;
            let mut places = indices.to_vec();
            matrices.row.into_iter().for_each(|row| places[row] = rows.start as i64);
            matrices.column.into_iter().for_each(|column| places[column] = columns.start as i64);
            let start = ends.epilogue.sums.wrapping_offset(matrices.output.at(&places) as isize);
            // Panels have all columns; without them, only those that are wanted are brought into rows of quads.
            let (window, which) = match packed {
                Some(_) => (columns.clone(), 0..columns.end),
                None => (0..columns.len(), columns.clone()),
            };
            // SAFETY: Rows and columns are in the box, and nothing else accesses it.
            let out = unsafe { Output::from_raw(start, matrices.row_stride, 0..rows.len(), window) };
            // SAFETY: That of the caller.
            let zeros = |side: usize, which| unsafe {
                self.factors[side].zeros(ends.epilogue.inputs, indices, which)
            };
            let left_side = Side { zeros: zeros(0, rows.clone()), sums: &left_sums };
            let right_zeros = zeros(1, which.clone());
            let size = [rows.len(), which.len()];
            // SAFETY: That of the caller.
            let scaled = unsafe { self.scaled(ends, indices, &rows, &which) };
            if let Some(packed) = packed {
                let (panels, sums) = &packed[matrices.right_number(indices)];
                let right_side = Side { zeros: right_zeros, sums };
                let rest = Rest::new([&left_side, &right_side], size, rows.len().max(1), depth);
                return multiply(&left, panels, out, &rest.finish()?, &mut |sums| {
                    ends.run(scaled.as_ref(), sums)
                });
            }
            let right = bytes(1, matrices.right.at(indices), [depth, width], matrices.right_strides);
            let (right, sums) = right.right(which.clone(), depth);
            let right_side = Side { zeros: right_zeros, sums: &sums };
            let rest = Rest::new([&left_side, &right_side], size, rows.len().max(1), depth);
            let right = Matrix::contiguous(&right, [quads, which.len()])?;
            multiply_unpacked(isa, &left, &right, out, &rest.finish()?, &mut |sums| {
                ends.run(scaled.as_ref(), sums)
            })
        })
    }

    /// # Safety
    ///
    /// That of [`Self::run`].
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    unsafe fn image(
        &self,
        image: &Image,
        (convolution, sums): &(Convolution<Quad>, Vec<i32>),
        input: *const u8,
        ends: &mut Ends<'_>,
        part: &[Range<u64>],
    ) -> Result<(), Error> {
        if part.iter().any(Range::is_empty) {
            return Ok(());
        }
        let geometry = &image.geometry;
        let (filters, pixels) = (single(&image.filters, part), single(&image.pixels, part));
        let size = [geometry.filters, geometry.pixels()];
        each_index(&image.stack, part, part.len(), |indices| {
            let at = image.input.at(indices) as usize;
            // SAFETY: `image_of` has seen that this is a part of the input. Nothing writes to it.
            let bytes = unsafe { std::slice::from_raw_parts(input.add(at), geometry.inputs()) };
            // SAFETY: That of the caller.
            let zeros =
                |side: usize| unsafe { self.factors[side].zeros(ends.epilogue.inputs, indices, 0..size[0]) };
            let (image_zeros, filter_zeros) = (zeros(0), zeros(1));
            let of_quads = convolution.geometry();
            let quads = quads_of(geometry, of_quads, bytes, self.factors[0].turn(), image_zeros[0] as u8);
            let pixel_sums = match filter_zeros[..] {
                [0] => Vec::new(),
                _ => pixel_sums(of_quads, &quads),
            };
            let filter_side = Side { zeros: filter_zeros, sums };
            let pixel_side = Side { zeros: image_zeros, sums: &pixel_sums };
            let depth = geometry.weights() / geometry.filters;
            let group = geometry.filters / geometry.groups;
            let rest = Rest::new([&filter_side, &pixel_side], size, group, depth);
            // SAFETY: That of the caller.
            let scaled = unsafe { self.scaled(ends, indices, &(0..size[0]), &(0..size[1])) };
            let whole = image.output.at(indices) as usize;
            for filters in &filters {
                for pixels in &pixels {
                    let rows = filters.start as usize..filters.end as usize;
                    let columns = pixels.start as usize..pixels.end as usize;
                    let start = ends.epilogue.sums.wrapping_add(whole + rows.start * size[1] + columns.start);
                    // SAFETY: They are in the box, and nothing else accesses it.
                    let out = unsafe { Output::from_raw(start, size[1], rows, columns) };
                    convolution
                        .run(&quads, out, &rest.finish()?, &mut |sums| ends.run(scaled.as_ref(), sums))?;
                }
            }
            Ok(())
        })
    }
}

/// The convolution of images of quads: four channels are one, and what the kernel reads around an image is a part of
/// it. `None` if that is far more than the image and the result are.
pub(super) fn of_quads(geometry: &Geometry) -> Option<Geometry> {
    /// So many quads may always be around an image.
    const FEW: usize = 1 << 16;
    geometry.check().ok()?;
    let reach = |axis: usize| {
        let moves = (geometry.output[axis].max(1) - 1) * geometry.strides[axis];
        moves + (geometry.kernel[axis] - 1) * geometry.dilations[axis] + 1
    };
    let quads = Geometry {
        channels: geometry.groups * (geometry.channels / geometry.groups).div_ceil(4),
        input: [reach(0), reach(1)],
        padding: [0, 0],
        ..geometry.clone()
    };
    let size = quads.input.into_iter().try_fold(quads.channels, usize::checked_mul)?;
    let most = geometry.inputs().saturating_add(geometry.filters.saturating_mul(geometry.pixels()));
    (size <= most.saturating_add(FEW)).then_some(quads)
}

/// The quads of an image, with what is around it.
fn quads_of(geometry: &Geometry, of: &Geometry, image: &[u8], turn: u8, zero: u8) -> Vec<Quad> {
    let ([height, width], [rows, columns]) = (geometry.input, of.input);
    let channels = geometry.channels / geometry.groups;
    let [above, before] = geometry.padding;
    let count = width.min(columns.saturating_sub(before));
    let nothing = vec![turn; count];
    let mut quads = Vec::with_capacity(of.channels * rows * columns);
    for group in 0..geometry.groups {
        for first in (0..channels).step_by(4) {
            let is_there = |k: usize| first + k < channels;
            let around = Quad(u32::from_le_bytes([0, 1, 2, 3].map(|k| if is_there(k) { zero } else { 0 })));
            for row in 0..rows {
                let start = quads.len();
                quads.resize(start + columns, around);
                let Some(from) = row.checked_sub(above).filter(|&row| row < height) else { continue };
                let bytes = |k: usize| match is_there(k) {
                    true => &image[((group * channels + first + k) * height + from) * width..][..count],
                    false => &nothing[..],
                };
                let to = &mut quads[start..][before.min(columns)..];
                interleave([bytes(0), bytes(1), bytes(2), bytes(3)], turn, to);
            }
        }
    }
    quads
}

/// For each group, the sum of all bytes that each pixel's kernel is over.
fn pixel_sums(geometry: &Geometry, quads: &[Quad]) -> Vec<i32> {
    let ([height, width], [rows, columns]) = (geometry.input, geometry.output);
    let channels = geometry.channels / geometry.groups;
    let mut sums = Vec::with_capacity(geometry.groups * rows * columns);
    for group in quads.chunks_exact((channels * height * width).max(1)) {
        let mut plane = vec![0i32; height * width];
        for channel in group.chunks_exact(height * width) {
            plane.iter_mut().zip(channel).for_each(|(sum, &quad)| *sum = sum.wrapping_add(unsigned(quad)));
        }
        for pixel in 0..rows * columns {
            let place = |axis: usize, position: usize, tap: usize| {
                position * geometry.strides[axis] + tap * geometry.dilations[axis]
            };
            let taps = (0..geometry.kernel[0]).flat_map(|y| (0..geometry.kernel[1]).map(move |x| [y, x]));
            let at = |[y, x]: [usize; 2]| {
                plane[place(0, pixel / columns, y) * width + place(1, pixel % columns, x)]
            };
            sums.push(wrapping_sum(taps.map(at)));
        }
    }
    sums
}

impl Image {
    /// Packs filters, with the sums of their bytes.
    fn filters_of(&self, isa: Isa, weights: &[u8], turn: u8) -> Result<(Convolution<Quad>, Vec<i32>), Error> {
        let geometry = &self.geometry;
        let (channels, depth) = (geometry.channels / geometry.groups, geometry.weights() / geometry.filters);
        let taps = depth / channels;
        let (mut quads, mut sums) = (Vec::new(), Vec::new());
        for filter in weights.chunks_exact(depth) {
            let filter = Bytes { bytes: filter, strides: [taps, 1], turn };
            let of_tap = |quad, tap| filter.in_column(quad, tap, channels);
            let start = quads.len();
            quads.extend(
                (0..channels.div_ceil(4)).flat_map(|quad| (0..taps).map(move |tap| of_tap(quad, tap))),
            );
            sums.push(signed_sums(&quads[start..], 1)[0]);
        }
        let of_quads = of_quads(geometry).ok_or_else(|| Error::Geometry(Box::new(geometry.clone())))?;
        Ok((Convolution::new(isa, of_quads, &quads)?, sums))
    }
}
