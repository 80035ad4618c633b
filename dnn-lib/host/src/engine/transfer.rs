//! Transfers between tensors and lanes: runs of elements at equal distances.

use dnn_lib::scalar::{Type, canonical32, canonical64};
use dnn_lib::tensor::DType;

use super::vector::{compiled, lane_bytes};
use crate::Isa;
use crate::contraction::{Place, turn};

/// How the elements of a tensor become lanes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Read {
    /// The same four bytes.
    Four,
    /// The same eight bytes.
    Eight,
    I8,
    U8,
    I16,
    U16,
    /// A binary16, which becomes an `f32`.
    F16,
    /// A bfloat16, which becomes an `f32`.
    BF16,
}

/// How lanes become the elements of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Write {
    /// The low byte.
    One,
    /// The low two bytes.
    Two,
    /// The same four bytes.
    Four,
    /// The same eight bytes.
    Eight,
    /// An `f32`, whose NaNs become the canonical one.
    F32,
    /// An `f64`, whose NaNs become the canonical one.
    F64,
    /// An `f32`, rounded to nearest even; the only NaN is the canonical one.
    F16,
    /// The same.
    BF16,
}

impl Read {
    /// `None` for elements that can't be read.
    pub(crate) fn of(dtype: DType) -> Option<Self> {
        Some(match dtype {
            DType::I8 => Self::I8,
            DType::U8 | DType::Bool => Self::U8,
            DType::I16 => Self::I16,
            DType::U16 => Self::U16,
            DType::F32 | DType::I32 | DType::U32 => Self::Four,
            DType::F64 | DType::I64 | DType::U64 => Self::Eight,
            DType::F16 => Self::F16,
            DType::BF16 => Self::BF16,
            packed if packed.is_packed() => return None,
            // The codes of small floats.
            _ => Self::U8,
        })
    }

    /// Of elements that are lanes already.
    pub(crate) fn lanes(ty: Type) -> Self {
        if lane_bytes(ty) == 8 { Self::Eight } else { Self::Four }
    }

    /// The bytes of an element.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 | Self::BF16 => 2,
            Self::Four => 4,
            Self::Eight => 8,
        }
    }

    /// The bytes of a lane.
    pub(crate) fn lane_bytes(self) -> usize {
        if self == Self::Eight { 8 } else { 4 }
    }

    /// Whether lanes are what is in the tensor.
    pub(crate) fn is_same(self) -> bool {
        matches!(self, Self::Four | Self::Eight)
    }
}

impl Write {
    /// `None` for elements that can't be written.
    pub(crate) fn of(dtype: DType) -> Option<Self> {
        Some(match dtype {
            DType::F32 => Self::F32,
            DType::F64 => Self::F64,
            DType::I8 | DType::U8 | DType::Bool => Self::One,
            DType::I16 | DType::U16 => Self::Two,
            DType::I32 | DType::U32 => Self::Four,
            DType::I64 | DType::U64 => Self::Eight,
            DType::F16 => Self::F16,
            DType::BF16 => Self::BF16,
            packed if packed.is_packed() => return None,
            // The codes of small floats.
            _ => Self::One,
        })
    }

    /// Whether lanes are what is in the tensor, but for NaNs.
    pub(crate) fn is_same(self) -> bool {
        matches!(self, Self::Four | Self::Eight | Self::F32 | Self::F64)
    }

    /// To elements that are lanes again.
    pub(crate) fn lanes(ty: Type) -> Self {
        if lane_bytes(ty) == 8 { Self::Eight } else { Self::Four }
    }

    /// The bytes of an element.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two | Self::F16 | Self::BF16 => 2,
            Self::Four | Self::F32 => 4,
            Self::Eight | Self::F64 => 8,
        }
    }
}

/// The bits of the `f32` of a binary16. It is read as if it were an `f32` with a smaller exponent, which a product
/// with a power of two corrects exactly.
#[inline(always)]
fn from_f16(bits: u16) -> u32 {
    let (sign, magnitude) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff));
    let scaled = f32::from_bits(magnitude << 13) * f32::from_bits(0x7780_0000);
    let special = 0x7f80_0000 | magnitude << 13;
    sign | if magnitude < 0x7c00 { scaled.to_bits() } else { special }
}

/// The binary16 nearest to an `f32`, by its bits.
#[inline(always)]
fn to_f16(bits: u32) -> u16 {
    let bits = canonical32(bits);
    let (sign, magnitude) = (bits >> 16 & 0x8000, bits & 0x7fff_ffff);
    // Of a number below 2^-14, the sum with 1/2 has the bits at its end.
    let small = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + (magnitude >> 13 & 1)) >> 13;
    let finite = if magnitude < 0x3880_0000 { small } else { normal };
    // From 65520 on, the nearest is infinity.
    let right = if magnitude < 0x477f_f000 { finite } else { 0x7c00 };
    (sign | if magnitude == 0x7fc0_0000 { 0x7e00 } else { right }) as u16
}

/// The bfloat16 nearest to an `f32`, by its bits.
#[inline(always)]
fn to_bf16(bits: u32) -> u16 {
    let bits = canonical32(bits);
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// Rows of elements: `count` of them, each `step` elements after the one before, and each row `row_step` elements
/// after the one before. Their lanes are side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub count: usize,
    pub step: i64,
    pub rows: usize,
    pub row_step: i64,
}

impl Run {
    /// One row.
    pub(crate) fn row(count: usize, step: i64) -> Self {
        Self { count, step, rows: 1, row_step: 0 }
    }

    /// The places of its rows in bytes: of their elements, and of their lanes.
    #[inline(always)]
    fn places(self, bytes: usize, lane_bytes: usize) -> impl Iterator<Item = (isize, usize)> {
        let (step, lanes) = (self.row_step.wrapping_mul(bytes as i64) as isize, self.count * lane_bytes);
        (0..self.rows).map(move |row| (step.wrapping_mul(row as isize), lanes * row))
    }
}

/// # Safety
///
/// That of [`read`], with elements of `E` and lanes of `L`.
#[expect(unsafe_code, reason = "elements are in untyped memory")]
#[inline(always)]
unsafe fn read_as<E: Copy, L: Copy>(run: Run, from: *const u8, to: *mut u8, widen: impl Fn(E) -> L) {
    if (run.step, run.row_step, run.count) == (0, 1, 2) {
        // An image that becomes twice as wide.
        // SAFETY: That of the caller: the elements of the rows are side by side, and there are two lanes for each.
        let (from, to) = unsafe {
            (
                std::slice::from_raw_parts(from.cast::<E>(), run.rows),
                std::slice::from_raw_parts_mut(to.cast::<[L; 2]>(), run.rows),
            )
        };
        return to.iter_mut().zip(from).for_each(|(to, &from)| *to = [widen(from); 2]);
    }
    for (place, lanes) in run.places(size_of::<E>(), size_of::<L>()) {
        // SAFETY: That of the caller.
        unsafe { read_row(run, from.wrapping_offset(place), to.wrapping_add(lanes), &widen) }
    }
}

/// # Safety
///
/// That of [`read`] for a row, with elements of `E` and lanes of `L`.
#[expect(unsafe_code, reason = "elements are in untyped memory")]
#[inline(always)]
unsafe fn read_row<E: Copy, L: Copy>(run: Run, from: *const u8, to: *mut u8, widen: &impl Fn(E) -> L) {
    let from = from.cast::<E>();
    // SAFETY: That of the caller.
    let to = unsafe { std::slice::from_raw_parts_mut(to.cast::<L>(), run.count) };
    match run.step {
        1 => {
            // SAFETY: The same: the elements are side by side.
            let from = unsafe { std::slice::from_raw_parts(from, run.count) };
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = widen(from));
        }
        0 => {
            if run.count > 0 {
                // SAFETY: The same: there is one element.
                to.fill(widen(unsafe { from.read() }));
            }
        }
        2 => {
            // Pairs are loaded whole, which is faster than a gather. The last element has no other after it.
            let Some((last, others)) = to.split_last_mut() else { return };
            // SAFETY: The same: the elements are there, and what is between them.
            let pairs = unsafe { std::slice::from_raw_parts(from.cast::<[E; 2]>(), others.len()) };
            others.iter_mut().zip(pairs).for_each(|(to, &[from, _])| *to = widen(from));
            // SAFETY: The same: the last element is there.
            *last = widen(unsafe { from.wrapping_add(pairs.len() * 2).read() });
        }
        step => {
            for (index, to) in to.iter_mut().enumerate() {
                // SAFETY: The same: element `index` is there.
                *to = widen(unsafe { from.wrapping_offset(index as isize * step as isize).read() });
            }
        }
    }
}

#[expect(unsafe_code, reason = "elements are in untyped memory")]
#[inline(always)]
unsafe fn read_any(kind: Read, run: Run, from: *const u8, to: *mut u8) {
    // SAFETY: That of the caller.
    unsafe {
        match kind {
            Read::Four => read_as(run, from, to, |x: u32| x),
            Read::Eight => read_as(run, from, to, |x: u64| x),
            Read::I8 => read_as(run, from, to, |x: i8| i32::from(x)),
            Read::U8 => read_as(run, from, to, |x: u8| i32::from(x)),
            Read::I16 => read_as(run, from, to, |x: i16| i32::from(x)),
            Read::U16 => read_as(run, from, to, |x: u16| i32::from(x)),
            Read::F16 => read_as(run, from, to, from_f16),
            Read::BF16 => read_as(run, from, to, |x: u16| u32::from(x) << 16),
        }
    }
}

compiled! {
    /// Reads rows of elements, the first of them at `from`.
    ///
    /// # Safety
    ///
    /// All elements of the rows are readable, initialised and aligned, and nothing writes to them meanwhile;
    /// where elements are two apart, this holds for those between them too.
    /// There are `rows * count` initialised and aligned lanes at `to`, which nothing else accesses meanwhile, apart
    /// from the elements.
    pub(crate) unsafe fn read(kind: Read, run: Run, from: *const u8, to: *mut u8) = read_any;
}

/// Reads rows of elements. Rows of elements that are apart while the rows are side by side are turned in
/// registers.
///
/// # Safety
///
/// That of [`read`].
#[expect(unsafe_code, reason = "elements are in untyped memory")]
pub(crate) unsafe fn read_rows(isa: Isa, kind: Read, run: Run, from: *const u8, to: *mut u8) {
    let turned = run.row_step == 1 && run.step > 1 && run.rows > 1;
    let (size, stride) = ([run.count, run.rows], run.step as usize);
    // SAFETY: That of the caller. Elements are `count` rows of `rows` elements, lanes the other way round, and
    // floats are only moved.
    unsafe {
        match kind {
            Read::Four if turned => {
                let from = Place { start: from.cast::<f32>(), stride };
                turn(isa, size, from, Place { start: to.cast(), stride: run.count });
            }
            Read::Eight if turned => {
                let from = Place { start: from.cast::<f64>(), stride };
                turn(isa, size, from, Place { start: to.cast(), stride: run.count });
            }
            _ => read(isa.level(), kind, run, from, to),
        }
    }
}

/// # Safety
///
/// That of [`write`], with elements of `E` and lanes of `L`.
#[expect(unsafe_code, reason = "elements are in untyped memory")]
#[inline(always)]
unsafe fn write_as<L: Copy, E: Copy>(run: Run, from: *const u8, to: *mut u8, narrow: impl Fn(L) -> E) {
    for (place, lanes) in run.places(size_of::<E>(), size_of::<L>()) {
        // SAFETY: That of the caller.
        unsafe { write_row(run, from.wrapping_add(lanes), to.wrapping_offset(place), &narrow) }
    }
}

/// # Safety
///
/// That of [`write`] for a row, with elements of `E` and lanes of `L`.
#[expect(unsafe_code, reason = "elements are in untyped memory")]
#[inline(always)]
unsafe fn write_row<L: Copy, E: Copy>(run: Run, from: *const u8, to: *mut u8, narrow: &impl Fn(L) -> E) {
    let to = to.cast::<E>();
    // SAFETY: That of the caller.
    let from = unsafe { std::slice::from_raw_parts(from.cast::<L>(), run.count) };
    if run.step == 1 {
        // SAFETY: The same: the elements are side by side.
        let to = unsafe { std::slice::from_raw_parts_mut(to, run.count) };
        to.iter_mut().zip(from).for_each(|(to, &from)| *to = narrow(from));
        return;
    }
    for (index, &from) in from.iter().enumerate() {
        // SAFETY: The same: element `index` is there.
        unsafe { to.wrapping_offset(index as isize * run.step as isize).write(narrow(from)) };
    }
}

#[expect(unsafe_code, reason = "elements are in untyped memory")]
#[inline(always)]
unsafe fn write_any(kind: Write, run: Run, from: *const u8, to: *mut u8) {
    // SAFETY: That of the caller.
    unsafe {
        match kind {
            Write::One => write_as(run, from, to, |x: u32| x as u8),
            Write::Two => write_as(run, from, to, |x: u32| x as u16),
            Write::Four => write_as(run, from, to, |x: u32| x),
            Write::Eight => write_as(run, from, to, |x: u64| x),
            Write::F32 => write_as(run, from, to, canonical32),
            Write::F64 => write_as(run, from, to, canonical64),
            Write::F16 => write_as(run, from, to, to_f16),
            Write::BF16 => write_as(run, from, to, to_bf16),
        }
    }
}

compiled! {
    /// Writes rows of elements, the first of them at `to`.
    ///
    /// # Safety
    ///
    /// There are `rows * count` initialised and aligned lanes at `from`, which nothing writes to meanwhile. All
    /// elements of the rows are writable and aligned, nothing else accesses them meanwhile, and they are apart
    /// from the lanes.
    pub(crate) unsafe fn write(kind: Write, run: Run, from: *const u8, to: *mut u8) = write_any;
}

#[expect(unsafe_code, reason = "lanes are in untyped memory")]
#[inline(always)]
unsafe fn observe_any(kind: Write, count: usize, lanes: *mut u8) {
    // SAFETY: That of the caller. There is mostly no NaN, and looking is faster than writing.
    unsafe {
        match kind {
            Write::F32 => {
                let lanes = std::slice::from_raw_parts_mut(lanes.cast::<u32>(), count);
                let most = lanes.iter().fold(0, |most, &bits| (bits & 0x7fff_ffff).max(most));
                if most > 0x7f80_0000 {
                    lanes.iter_mut().for_each(|bits| *bits = canonical32(*bits));
                }
            }
            Write::F64 => {
                let lanes = std::slice::from_raw_parts_mut(lanes.cast::<u64>(), count);
                let most = lanes.iter().fold(0, |most, &bits| (bits & !(1 << 63)).max(most));
                if most > 0x7ff0_0000_0000_0000 {
                    lanes.iter_mut().for_each(|bits| *bits = canonical64(*bits));
                }
            }
            _ => {}
        }
    }
}

compiled! {
    /// Makes NaNs canonical in elements that are lanes side by side.
    ///
    /// # Safety
    ///
    /// There are `count` initialised and aligned lanes, which nothing else accesses meanwhile.
    pub(crate) unsafe fn observe(kind: Write, count: usize, lanes: *mut u8) = observe_any;
}

/// Reads one element.
///
/// # Safety
///
/// That of [`read`] for a run of one.
#[expect(unsafe_code, reason = "elements are in untyped memory")]
#[inline]
pub(crate) unsafe fn read_one(kind: Read, from: *const u8, to: *mut u8) {
    // SAFETY: That of the caller.
    unsafe { read_any(kind, Run::row(1, 1), from, to) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_keep_their_bits_and_others_go_to_the_nearest() {
        for half in 0..=u16::MAX {
            let wide = f32::from_bits(from_f16(half));
            assert_eq!(to_f16(wide.to_bits()), if wide.is_nan() { 0x7e00 } else { half }, "{half:#x}");
            let wide = f32::from_bits(u32::from(half) << 16);
            assert_eq!(to_bf16(wide.to_bits()), if wide.is_nan() { 0x7fc0 } else { half }, "{half:#x}");
        }
        for half in 0..0x7bffu16 {
            let (low, high) = (f32::from_bits(from_f16(half)), f32::from_bits(from_f16(half + 1)));
            let middle = (low + high) / 2.0;
            let rounded = [middle.next_down(), middle, middle.next_up()].map(|x| to_f16(x.to_bits()));
            assert_eq!(rounded, [half, half + (half & 1), half + 1], "{half:#x}");
        }
        assert_eq!(
            [65504.0, 65520.0, f32::INFINITY].map(|x| to_f16(f32::to_bits(-x))),
            [0xfbff, 0xfc00, 0xfc00]
        );
        assert_eq!(from_f16(0x3c00), 1f32.to_bits());
    }
}
