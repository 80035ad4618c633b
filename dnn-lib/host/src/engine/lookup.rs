//! Definitions that are functions of a byte: all 256 results are computed first, and elements are looked up.
//!
//! Networks of bytes are full of them. Between two products, a byte is dequantized, goes through an activation, and is
//! quantized again.

#![expect(unsafe_code, reason = "tensors are in raw memory, and instructions beyond the baseline")]

use std::ops::Range;

use dnn_lib::definition::{Affine, Coordinate, Definition, Load, Source, Stage, Step};
use dnn_lib::tensor::DType;

use super::axes::{offset, strides};
use super::execute::Machine;
use super::program::Program;
use super::translate::translate;
use crate::Isa;

/// The number of bytes.
const BYTES: usize = 256;

/// Of fewer elements each is computed.
const FEWEST: u64 = 4 * BYTES as u64;

/// A function of a byte.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// The input that the byte is of.
    input: usize,
    /// The definition with the bytes in ascending order as this input.
    program: Program,
}

/// Every byte, in ascending order.
static ALL: [u8; BYTES] = {
    let mut all = [0; BYTES];
    let mut byte = 0;
    while byte < BYTES {
        all[byte] = byte as u8;
        byte += 1;
    }
    all
};

impl Lookup {
    /// `None` if elements depend on anything else than one byte and what is the same for all.
    pub(crate) fn new(definition: &Definition) -> Option<Self> {
        let is_byte = |dtype: DType| matches!(dtype, DType::U8 | DType::I8);
        let [stage] = &definition.stages[..] else { return None };
        if !is_byte(definition.output.dtype)
            || !definition.row.is_empty()
            || definition.output.elements()? < FEWEST
        {
            return None;
        }
        let mut of_bytes = definition.clone();
        let axis = definition.output_axes().next()?;
        let own = own_place(definition);
        let mut varying = None;
        for step in &mut stage_of(&mut of_bytes)?.steps {
            match step {
                Step::Let(..) | Step::Call(..) => {}
                Step::Index(..) | Step::Reduce(_) => return None,
                Step::Load(_, load) => {
                    let Source::Input(input) = load.from else { return None };
                    let place = place(definition, load)?;
                    let moves = !place.terms.is_empty();
                    if moves && (place != own || *varying.get_or_insert(input) != input) {
                        return None;
                    }
                    for at in &mut load.at {
                        let Coordinate::Affine(at) = at else { return None };
                        at.terms.clear();
                    }
                    if moves {
                        load.at = vec![Affine::from(axis).into()];
                    }
                }
            }
        }
        let input = varying? as usize;
        let still = |step: &Step| match step {
            Step::Load(_, load) => {
                load.from != Source::Input(input as u32)
                    || place(definition, load).is_some_and(|place| !place.terms.is_empty())
            }
            _ => true,
        };
        if !is_byte(definition.inputs[input].dtype) || !stage.steps.iter().all(still) {
            return None;
        }
        of_bytes.axes = vec![BYTES as u64];
        of_bytes.output.shape = vec![BYTES as u64];
        of_bytes.inputs[input].shape = vec![BYTES as u64];
        of_bytes.check().ok()?;
        Some(Self { input, program: translate(&of_bytes)? })
    }

    /// The bytes of scratch memory that it needs.
    pub(crate) fn scratch(&self) -> usize {
        self.program.scratch + BYTES
    }

    /// The program that computes the results.
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// Computes a box of an output of this shape. Returns whether it did: not if it has few elements.
    ///
    /// # Safety
    ///
    /// That of [`super::Prepared::run_raw`]; `memory` is scratch memory.
    pub(crate) unsafe fn run(
        &self,
        isa: Isa,
        memory: *mut u8,
        inputs: &[*const u8],
        output: *mut u8,
        shape: &[u64],
        part: &[Range<u64>],
    ) -> bool {
        let size = part.iter().map(|range| range.end - range.start).fold(1, u64::saturating_mul);
        if size < FEWEST {
            return false;
        }
        let mut all = inputs.to_vec();
        all[self.input] = ALL.as_ptr();
        // Behind the program's own memory.
        let results = memory.wrapping_add(self.program.scratch);
        let whole: Vec<Range<u64>> = std::iter::once(0..BYTES as u64).collect();
        // SAFETY: The inputs are the caller's, and all bytes. There is room for the results in scratch memory, and
        // it is initialised.
        let table = unsafe {
            Machine::new(&self.program, isa, &all, results, memory).run(&whole);
            &*results.cast_const().cast::<[u8; BYTES]>()
        };
        let look_up = best(isa);
        each_run(shape, part, &mut |start, count| {
            // SAFETY: The box is in the output, which the input is as large as; nothing else accesses the box or writes
            // to the input. The instructions were found on this processor.
            unsafe {
                let from = std::slice::from_raw_parts(inputs[self.input].add(start), count);
                look_up(table, from, std::slice::from_raw_parts_mut(output.add(start), count));
            }
        });
        true
    }
}

fn stage_of(definition: &mut Definition) -> Option<&mut Stage> {
    definition.stages.first_mut()
}

/// The place of an element in its tensor, apart from axes with one index; `None` if it isn't always in range.
fn place(definition: &Definition, load: &Load) -> Option<Affine> {
    let affine = load.at.iter().all(|at| matches!(at, Coordinate::Affine(_)));
    (affine && load.otherwise.is_none()).then(|| several(definition, &offset(definition, load)))
}

/// The place of an element of the output.
fn own_place(definition: &Definition) -> Affine {
    let places = definition.output_axes().zip(strides(&definition.output.shape));
    let place = places.fold(Affine::default(), |sum, (axis, stride)| sum + Affine::from(axis) * stride);
    several(definition, &place)
}

fn several(definition: &Definition, place: &Affine) -> Affine {
    place.replace(|axis| if definition.size(axis) == 1 { Affine::default() } else { axis.into() })
}

/// Calls a function with the start and the length of each run of adjacent elements of a box.
fn each_run(shape: &[u64], part: &[Range<u64>], each: &mut impl FnMut(usize, usize)) {
    let Some(inner) = (0..shape.len()).rev().find(|&axis| part[axis] != (0..shape[axis])) else {
        return each(0, shape.iter().product::<u64>() as usize);
    };
    let strides = strides(shape);
    let count = (part[inner].end - part[inner].start) as usize * strides[inner] as usize;
    let number: u64 = part[..inner].iter().map(|range| range.end - range.start).product();
    for number in 0..number {
        let (mut rest, mut start) = (number, part[inner].start as usize * strides[inner] as usize);
        for axis in (0..inner).rev() {
            let size = part[axis].end - part[axis].start;
            start += (part[axis].start + rest % size) as usize * strides[axis] as usize;
            rest /= size;
        }
        each(start, count);
    }
}

/// Looks up bytes.
///
/// # Safety
///
/// The processor has the instructions that it was chosen for.
type LookUp = unsafe fn(&[u8; BYTES], &[u8], &mut [u8]);

fn best(isa: Isa) -> LookUp {
    #[cfg(target_arch = "x86_64")]
    if isa.level() >= crate::isa::Level::Avx512 && std::arch::is_x86_feature_detected!("avx512vbmi") {
        return in_registers;
    }
    let _ = isa;
    one_by_one
}

/// # Safety
///
/// Every processor can do it.
unsafe fn one_by_one(table: &[u8; BYTES], from: &[u8], to: &mut [u8]) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = table[usize::from(from)]);
}

/// # Safety
///
/// The processor has the instructions.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn in_registers(table: &[u8; BYTES], from: &[u8], to: &mut [u8]) {
    use std::arch::x86_64::*;
    let (quarters, _) = table.as_chunks::<64>();
    // SAFETY: these are 64 bytes each.
    let [a, b, c, d] =
        [0, 1, 2, 3].map(|index| unsafe { _mm512_loadu_si512(quarters[index].as_ptr().cast()) });
    let ((from, last), (to, last_to)) = (from.as_chunks::<64>(), to.as_chunks_mut::<64>());
    for (from, to) in from.iter().zip(to) {
        // SAFETY: the same.
        unsafe {
            let bytes = _mm512_loadu_si512(from.as_ptr().cast());
            let (low, high) = (_mm512_permutex2var_epi8(a, bytes, b), _mm512_permutex2var_epi8(c, bytes, d));
            let found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), low, high);
            _mm512_storeu_si512(to.as_mut_ptr().cast(), found);
        }
    }
    // SAFETY: every processor can do it.
    unsafe { one_by_one(table, last, last_to) }
}
