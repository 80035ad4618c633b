//! Tensors that are joined: pieces of the inputs, copied a run at a time.

use std::ops::Range;

use dnn_lib::definition::{Coordinate, Definition, Load, Source, Step};
use dnn_lib::layout::strides;
use dnn_lib::scalar::{Expr, Value};
use dnn_lib::tensor::DType;

/// The bytes that are copied in a nanosecond, and the nanoseconds of a run.
const BYTES: u64 = 8;
const RUN: u64 = 3;

/// A definition whose elements are those of the inputs, one behind the other along an axis.
#[derive(Debug)]
pub(super) struct Pieces {
    axis: usize,
    pieces: Vec<Piece>,
    /// The bytes between neighbours along each axis of the output.
    strides: Vec<usize>,
    shape: Vec<u64>,
}

/// The indices along the axis that an input has.
#[derive(Debug)]
struct Piece {
    input: usize,
    at: Range<u64>,
    /// The bytes between neighbours along each axis of the input.
    strides: Vec<usize>,
}

impl Pieces {
    /// `None` if a definition is anything else.
    pub(super) fn new(definition: &Definition) -> Option<Self> {
        let ([stage], true) = (&definition.stages[..], definition.row.is_empty()) else { return None };
        // Others may change when they are loaded and stored: there is one NaN, and one true.
        let integer = matches!(
            definition.output.dtype,
            DType::I8
                | DType::U8
                | DType::I16
                | DType::U16
                | DType::I32
                | DType::U32
                | DType::I64
                | DType::U64
        );
        if !integer {
            return None;
        }
        let of = |value: Value| stage.steps.iter().find(|step| step.defined().contains(&value));
        let bytes = definition.output.dtype.size() as usize;
        let scaled = |shape: &[u64]| strides(shape).iter().map(|&stride| stride as usize * bytes).collect();
        let (mut pieces, mut axis, mut value) = (Vec::new(), None, stage.value);
        while let Step::Load(_, load) = of(value)? {
            let (Source::Input(input), Some(otherwise)) = (load.from, load.otherwise) else { return None };
            let ty = &definition.inputs[input as usize];
            let (own, start) = joined(definition, load)?;
            let at = start..start.checked_add(ty.shape[own])?;
            let others = (0..ty.shape.len()).filter(|&other| other != own);
            let fits = others.into_iter().all(|other| ty.shape[other] == definition.output.shape[other]);
            if ty.dtype != definition.output.dtype || !fits || *axis.get_or_insert(own) != own {
                return None;
            }
            pieces.push(Piece { input: input as usize, at, strides: scaled(&ty.shape) });
            value = otherwise;
        }
        // Nothing is left for the value if an element is in no piece.
        let is_constant = matches!(of(value)?, Step::Let(_, Expr::Const(_)));
        let axis = axis.filter(|_| is_constant)?;
        pieces.sort_by_key(|piece: &Piece| piece.at.start);
        let ends = pieces.iter().map(|piece| piece.at.end);
        let starts = pieces.iter().map(|piece| piece.at.start).chain([definition.output.shape[axis]]);
        if !starts.eq([0].into_iter().chain(ends)) {
            return None;
        }
        let shape = definition.output.shape.clone();
        Some(Self { axis, pieces, strides: scaled(&shape), shape })
    }

    /// About how many nanoseconds one thread needs for the whole output.
    pub(super) fn work(&self) -> u64 {
        let outer: u64 = self.shape[..self.axis].iter().product();
        let row = self.strides[self.axis] as u64 * self.shape[self.axis];
        outer.saturating_mul(row / BYTES + RUN * self.pieces.len() as u64)
    }

    /// Computes a part of the output.
    ///
    /// # Safety
    ///
    /// That of [`super::Prepared::run_raw`], and the part is a box of the output.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    pub(super) unsafe fn run(&self, inputs: &[*const u8], output: *mut u8, part: &[Range<u64>]) {
        if part.iter().any(Range::is_empty) {
            return;
        }
        for piece in &self.pieces {
            let mut some = part.to_vec();
            let along = &mut some[self.axis];
            *along = along.start.max(piece.at.start)..along.end.min(piece.at.end);
            if along.is_empty() {
                continue;
            }
            // Axes whose elements follow each other, from the innermost on, are one run.
            let mut inner = some.len();
            let mut bytes = self.strides[inner - 1];
            while inner > 0 {
                inner -= 1;
                bytes *= (some[inner].end - some[inner].start) as usize;
                let whole = some[inner] == (0..self.shape[inner]);
                if inner <= self.axis || !whole {
                    break;
                }
            }
            let start = |strides: &[usize], along: u64| -> usize {
                let at = |(axis, range): (usize, &Range<u64>)| {
                    let index = if axis == self.axis { along } else { range.start };
                    index as usize * strides[axis]
                };
                some.iter().enumerate().map(at).sum()
            };
            let along = some[self.axis].start;
            let from = inputs[piece.input].wrapping_add(start(&piece.strides, along - piece.at.start));
            let to = output.wrapping_add(start(&self.strides, along));
            let counts: Vec<usize> =
                some[..inner].iter().map(|range| (range.end - range.start) as usize).collect();
            let copy = Copy { counts: &counts, from: &piece.strides, to: &self.strides, bytes };
            // SAFETY: The box is in the output, and that of the piece in the input, which has the sizes of the
            // output but along the axis. A run is of elements that follow each other in both.
            unsafe { copy.run(from, to) };
        }
    }
}

/// Copies runs of bytes, so many along each of some axes.
struct Copy<'a> {
    counts: &'a [usize],
    from: &'a [usize],
    to: &'a [usize],
    bytes: usize,
}

impl Copy<'_> {
    /// # Safety
    ///
    /// All runs are in their tensors, which are two, and nothing else accesses what is written.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    unsafe fn run(&self, from: *const u8, to: *mut u8) {
        match self.bytes {
            // SAFETY: That of the caller.
            4 => unsafe { self.along(0, from, to, &|from, to| to.copy_from_nonoverlapping(from, 4)) },
            // SAFETY: The same.
            8 => unsafe { self.along(0, from, to, &|from, to| to.copy_from_nonoverlapping(from, 8)) },
            // SAFETY: The same.
            bytes => unsafe {
                self.along(0, from, to, &|from, to| to.copy_from_nonoverlapping(from, bytes));
            },
        }
    }

    /// # Safety
    ///
    /// That of [`Copy::run`].
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    unsafe fn along(&self, axis: usize, from: *const u8, to: *mut u8, copy: &impl Fn(*const u8, *mut u8)) {
        let Some(&count) = self.counts.get(axis) else { return copy(from, to) };
        for number in 0..count {
            let from = from.wrapping_add(number * self.from[axis]);
            let to = to.wrapping_add(number * self.to[axis]);
            // SAFETY: That of the caller.
            unsafe { self.along(axis + 1, from, to, copy) };
        }
    }
}

/// The axis along which a load has another index than the output, and the index of the output at which the
/// tensor begins.
fn joined(definition: &Definition, load: &Load) -> Option<(usize, u64)> {
    if load.at.len() != definition.output.shape.len() {
        return None;
    }
    let mut joined = None;
    for (axis, coordinate) in load.at.iter().enumerate() {
        let Coordinate::Affine(index) = coordinate else { return None };
        let start = -index.constant;
        let own = definition.output_axes().find(|own| own.index() == axis).map_or(0, |own| index.factor(own));
        if own != 1 || index.terms.len() != 1 || start < 0 {
            return None;
        }
        let whole = definition.inputs[input(load)?].shape[axis] == definition.output.shape[axis];
        if (start > 0 || !whole) && joined.replace((axis, start as u64)).is_some() {
            return None;
        }
    }
    joined
}

fn input(load: &Load) -> Option<usize> {
    match load.from {
        Source::Input(index) => Some(index as usize),
        Source::Stage(_) => None,
    }
}
