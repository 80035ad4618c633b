//! Rows whose elements share a fold: what each of its steps uses is computed in vectors, and then the steps are
//! taken one after the other.

use std::ops::Range;

use dnn_lib::definition::{Definition, Form};
use dnn_lib::layout::strides;
use dnn_lib::scalar::{BinaryOp, Type, narrow, widen};
use dnn_lib::tensor::DType;

use super::{Prepared, Scratch};
use crate::Isa;

/// About how many steps are computed at once, if a row isn't longer.
const CHUNK: u64 = 1 << 15;

/// The time of a step, in nanoseconds.
const STEP: u64 = 3;

/// A definition whose rows share a fold.
#[derive(Debug)]
pub(super) struct Rows {
    axis: usize,
    /// The number of elements of a row.
    size: u64,
    /// The number of steps of the fold.
    count: u64,
    dtype: DType,
    /// The type of the value that the fold carries.
    ty: Type,
    /// The elements of the row are a step apart in this direction; `None` if steps name their elements.
    running: Option<Running>,
    /// What a step does with the element and the other value.
    op: Option<BinaryOp>,
    /// The number of elements between neighbours along each axis of the output.
    strides: Vec<u64>,
    initial: Box<Prepared>,
    /// The elements that the steps name.
    places: Option<Box<Prepared>>,
    /// What the steps bring.
    others: Box<Prepared>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    exclusive: bool,
    reverse: bool,
}

/// Elements of a box that one of the parts has computed.
struct Values {
    memory: Vec<u64>,
    bytes: u64,
    dtype: DType,
    /// The number of elements between neighbours along each axis of the output; 0 if all are equal.
    strides: Vec<u64>,
    /// The place of the first of them in the whole tensor.
    first: u64,
}

impl Values {
    /// Computes what belongs to a box of the output.
    fn of(prepared: &Prepared, scratch: &mut Scratch, inputs: &[*const u8], part: &[Range<u64>]) -> Self {
        let ty = &prepared.definition.output;
        let axes = || part.iter().zip(&ty.shape);
        let own: Vec<Range<u64>> =
            axes().map(|(range, &size)| if size == 1 { 0..1 } else { range.clone() }).collect();
        let steps = strides(&ty.shape);
        let (mut first, mut length) = (0, 1);
        for (range, step) in own.iter().zip(&steps) {
            first += range.start * step;
            length += (range.end.saturating_sub(range.start + 1)) * step;
        }
        let bytes = ty.dtype.size();
        let mut memory = vec![0u64; (length * bytes).div_ceil(8) as usize];
        let strides = steps.iter().zip(&ty.shape).map(|(&step, &size)| if size == 1 { 0 } else { step });
        let start = memory.as_mut_ptr().cast::<u8>().wrapping_sub((first * bytes) as usize);
        #[expect(unsafe_code, reason = "a part of a tensor is written to memory of its own")]
        // SAFETY: The inputs are those of the caller. Of the output only the box is accessed, which is in the
        // memory, exclusively; that of the tensor would begin so far before it.
        unsafe {
            prepared.run_raw(scratch, inputs, start, &own);
        }
        Self { memory, bytes, dtype: ty.dtype, strides: strides.collect(), first }
    }

    /// How far an index of the output is from the first element.
    fn offset(&self, at: &[u64]) -> u64 {
        let place: u64 = at.iter().zip(&self.strides).map(|(at, stride)| at * stride).sum();
        place.wrapping_sub(self.first)
    }

    /// An element as a value.
    fn get(&self, offset: u64) -> u64 {
        let at = offset * self.bytes;
        let word = self.memory[(at / 8) as usize].to_le();
        let bits = word >> (at % 8 * 8);
        let mask = u64::MAX >> (64 - 8 * self.bytes);
        widen(self.dtype, bits & mask)
    }
}

impl Rows {
    /// `None` if the rows of a definition don't share a fold.
    pub(super) fn new(isa: Isa, definition: &Definition) -> Option<Self> {
        let shared = definition.shared()?;
        let prepared = |definition: Option<Definition>| Prepared::new(isa, &definition?).ok().map(Box::new);
        let (op, other) = shared.update()?;
        let (running, places) = match shared.form {
            Form::Running { exclusive, reverse } => (Some(Running { exclusive, reverse }), None),
            Form::Scattered { place, .. } => (None, Some(prepared(shared.of_each(place))?)),
        };
        Some(Self {
            axis: shared.axis.index(),
            size: definition.size(shared.axis),
            count: shared.count(),
            dtype: definition.output.dtype,
            ty: definition.ty(other),
            running,
            op,
            strides: strides(&definition.output.shape),
            initial: prepared(shared.initial())?,
            places,
            others: prepared(shared.of_each(other))?,
        })
    }

    /// About how many nanoseconds one thread needs for the whole output.
    pub(super) fn work(&self) -> u64 {
        let steps = self.others.definition.output.elements().unwrap_or(0);
        let parts = [Some(&self.initial), self.places.as_ref(), Some(&self.others)];
        let parts = parts.into_iter().flatten().map(|part| part.work());
        parts.fold(steps.saturating_mul(STEP), u64::saturating_add)
    }

    /// Computes a part of the output.
    ///
    /// # Safety
    ///
    /// That of [`Prepared::run_raw`], and the part is a box in which rows are whole.
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    pub(super) unsafe fn run(
        &self,
        scratch: &mut Scratch,
        inputs: &[*const u8],
        output: *mut u8,
        part: &[Range<u64>],
    ) {
        if part.iter().any(Range::is_empty) {
            return;
        }
        // The outermost axis along which there is more than one row; it is cut.
        let long = |axis: &usize| part[*axis].end - part[*axis].start > 1;
        let Some(axis) = (0..self.axis).find(long) else {
            // SAFETY: That of the caller.
            return unsafe { self.run_box(scratch, inputs, output, part) };
        };
        let inside = (axis + 1..part.len()).filter(|&axis| axis != self.axis);
        let inside: u64 = inside.map(|axis| part[axis].end - part[axis].start).product();
        let one = inside.saturating_mul(self.count.max(self.size));
        let most = (CHUNK / one.max(1)).max(1);
        let mut start = part[axis].start;
        while start < part[axis].end {
            let end = part[axis].end.min(start.saturating_add(most));
            let mut some = part.to_vec();
            some[axis] = start..end;
            if end - start == 1 && one > CHUNK {
                // SAFETY: That of the caller, for a part of the part.
                unsafe { self.run(scratch, inputs, output, &some) };
            } else {
                // SAFETY: The same.
                unsafe { self.run_box(scratch, inputs, output, &some) };
            }
            start = end;
        }
    }

    /// # Safety
    ///
    /// That of [`Rows::run`].
    #[expect(unsafe_code, reason = "tensors are in raw memory")]
    unsafe fn run_box(
        &self,
        scratch: &mut Scratch,
        inputs: &[*const u8],
        output: *mut u8,
        part: &[Range<u64>],
    ) {
        let mut steps = part.to_vec();
        steps[self.axis] = 0..self.others.definition.output.shape[self.axis];
        let others = Values::of(&self.others, scratch, inputs, &steps);
        let each = |at: &mut dyn FnMut(&mut Vec<u64>)| rows(part, self.axis, at);
        if let Some(running) = self.running {
            let mut first = part.to_vec();
            first[self.axis] = 0..1;
            let initial = Values::of(&self.initial, scratch, inputs, &first);
            // SAFETY: That of the caller.
            each(&mut |at| unsafe { self.running(running, output, at, &initial, &others) });
        } else if let Some(places) = &self.places {
            // SAFETY: That of the caller.
            unsafe { self.initial.run_raw(scratch, inputs, output, part) };
            steps[self.axis] = 0..places.definition.output.shape[self.axis];
            let places = Values::of(places, scratch, inputs, &steps);
            // SAFETY: That of the caller.
            each(&mut |at| unsafe { self.scattered(output, at, &places, &others) });
        }
    }

    /// Computes a row whose elements follow from each other.
    ///
    /// # Safety
    ///
    /// The output is where `output` is, `at` is in its shape, and nothing else accesses the row.
    #[expect(unsafe_code, reason = "the output is in raw memory")]
    unsafe fn running(
        &self,
        form: Running,
        output: *mut u8,
        at: &mut [u64],
        initial: &Values,
        others: &Values,
    ) {
        let Some(op) = self.op else { return };
        at[self.axis] = 0;
        let mut element = initial.get(initial.offset(at));
        for number in 0..self.size {
            let place = if form.reverse { self.size - 1 - number } else { number };
            if number > 0 || !form.exclusive {
                // If the first element is the initial value, the others are counted from the second.
                at[self.axis] = if form.reverse || !form.exclusive { place } else { place - 1 };
                element = op.eval(self.ty, element, others.get(others.offset(at)));
            }
            at[self.axis] = place;
            // SAFETY: The place is in the output.
            unsafe { self.put(output, self.place(at), element) };
        }
    }

    /// Computes a row of which each step changes one element, which is the initial one so far.
    ///
    /// # Safety
    ///
    /// That of [`Rows::running`].
    #[expect(unsafe_code, reason = "the output is in raw memory")]
    unsafe fn scattered(&self, output: *mut u8, at: &mut [u64], places: &Values, others: &Values) {
        at[self.axis] = 0;
        let (own, place, other) = (self.place(at), places.offset(at), others.offset(at));
        let stride = |values: &Values| values.strides[self.axis];
        for number in 0..self.count {
            let index = places.get(place.wrapping_add(number * stride(places)));
            if index >= self.size {
                continue;
            }
            let value = others.get(other.wrapping_add(number * stride(others)));
            let to = own + index * self.strides[self.axis];
            // SAFETY: The index was compared with the size, so the place is in the output.
            unsafe {
                let value = self.op.map_or(value, |op| op.eval(self.ty, self.get(output, to), value));
                self.put(output, to, value);
            }
        }
    }

    /// The place of an index in the output.
    fn place(&self, at: &[u64]) -> u64 {
        at.iter().zip(&self.strides).map(|(at, stride)| at * stride).sum()
    }

    /// # Safety
    ///
    /// The place is one of the output, and nothing else writes to it.
    #[expect(unsafe_code, reason = "the output is in raw memory")]
    unsafe fn get(&self, output: *const u8, place: u64) -> u64 {
        let size = self.dtype.size() as usize;
        let mut bytes = [0; 8];
        // SAFETY: That of the caller; an element has at most eight bytes.
        unsafe { output.add(place as usize * size).copy_to_nonoverlapping(bytes.as_mut_ptr(), size) };
        widen(self.dtype, u64::from_le_bytes(bytes))
    }

    /// # Safety
    ///
    /// The place is one of the output, and nothing else accesses it.
    #[expect(unsafe_code, reason = "the output is in raw memory")]
    unsafe fn put(&self, output: *mut u8, place: u64, value: u64) {
        let size = self.dtype.size() as usize;
        let bytes = narrow(self.dtype, value).to_le_bytes();
        // SAFETY: That of the caller; an element has at most eight bytes.
        unsafe { output.add(place as usize * size).copy_from_nonoverlapping(bytes.as_ptr(), size) };
    }
}

/// Does something at the first element of each row of a box.
fn rows(part: &[Range<u64>], axis: usize, each: &mut dyn FnMut(&mut Vec<u64>)) {
    let mut at: Vec<u64> = part.iter().map(|range| range.start).collect();
    loop {
        each(&mut at);
        let mut next = (0..part.len()).rev().filter(|&other| other != axis);
        let found = next.find(|&other| {
            at[other] += 1;
            let inside = at[other] < part[other].end;
            if !inside {
                at[other] = part[other].start;
            }
            inside
        });
        if found.is_none() {
            return;
        }
    }
}
