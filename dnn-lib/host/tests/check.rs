//! Compares runs with the reference evaluator.

use std::ops::Range;

use dnn_lib::definition::Definition;
use dnn_lib::tensor::{DType, TensorType};
use host::{Isa, Prepared, Scratch};

/// A source of numbers that looks random.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// One of `0..end`; 0 if there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// Bits of floats: infinities, NaNs, the smallest and the largest, and what is around the ends of integers.
const SPECIALS: [u32; 15] = [
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_1234,
    0xffa0_0001,
    1,
    0x8000_0000,
    0x7f7f_ffff,
    0x0080_0000,
    0x4eff_ffff,
    0x4f00_0000,
    0xceff_ffff,
    0xcf00_0000,
    0xcf00_0001,
    0x3eff_ffff,
    0xbf00_0000,
];

/// A tensor of small and of special elements.
pub fn tensor(ty: &TensorType, numbers: &mut Numbers) -> Vec<u8> {
    let size = ty.dtype.size() as usize;
    let mut bytes = Vec::new();
    for _ in 0..ty.elements().unwrap() {
        let special = numbers.chance(10);
        let small = (numbers.below(41) as f64 - 20.0) / 4.0;
        let bits = match ty.dtype {
            DType::F32 if special => u64::from(*numbers.pick(&SPECIALS)),
            DType::F32 => u64::from((small as f32).to_bits()),
            DType::F64 if special => {
                *numbers.pick(&[0x7ff0_0000_0000_0000, 0xfff8_0000_0000_0042, 1, 0x8000_0000_0000_0000])
            }
            DType::F64 => small.to_bits(),
            DType::Bool => numbers.below(2),
            DType::F16 | DType::BF16 if special => numbers.next(),
            // 1/2 to 8, and their negatives.
            DType::F16 => (0x3800 + numbers.below(0x1000)) | (numbers.below(2) << 15),
            DType::BF16 => (0x3f00 + numbers.below(0x200)) | (numbers.below(2) << 15),
            _ if special => numbers.next(),
            _ => (numbers.below(16) as i64 - 4) as u64,
        };
        bytes.extend(&bits.to_le_bytes()[..size]);
    }
    bytes
}

/// A tensor in the middle of memory, with other bytes around it, aligned for its elements and no better.
pub struct Guarded {
    memory: Vec<u64>,
    bytes: usize,
    start: usize,
}

const GUARD: usize = 256;

impl Guarded {
    pub fn new(content: &[u8], alignment: u64) -> Self {
        let mut memory = vec![0xabab_abab_abab_abab; (content.len() + 3 * GUARD) / 8];
        let start = GUARD + alignment as usize;
        bytes_mut(&mut memory)[start..start + content.len()].copy_from_slice(content);
        Self { memory, bytes: content.len(), start }
    }

    pub fn pointer(&mut self) -> *mut u8 {
        self.memory.as_mut_ptr().cast::<u8>().wrapping_add(self.start)
    }

    /// The content, if the bytes around it are as they were.
    pub fn content(&mut self) -> Option<Vec<u8>> {
        let (start, end) = (self.start, self.start + self.bytes);
        let bytes = bytes_mut(&mut self.memory);
        let whole = bytes[..start].iter().chain(&bytes[end..]).all(|&byte| byte == 0xab);
        whole.then(|| bytes[start..end].to_vec())
    }
}

#[expect(unsafe_code, reason = "words as bytes")]
fn bytes_mut(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: Words are initialised bytes, and any bytes are words.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() * 8) }
}

/// The output of a definition, computed in parts, if nothing beside it was written.
pub fn run(prepared: &Prepared, inputs: &[Vec<u8>], parts: &[Vec<Range<u64>>]) -> Option<Vec<u8>> {
    let definition = prepared.definition();
    let mut inputs: Vec<Guarded> = inputs
        .iter()
        .zip(&definition.inputs)
        .map(|(input, ty)| Guarded::new(input, ty.dtype.size()))
        .collect();
    let empty = vec![0xcd; definition.output.bytes().unwrap() as usize];
    let mut output = Guarded::new(&empty, definition.output.dtype.size());
    let pointers: Vec<*const u8> = inputs.iter_mut().map(|input| input.pointer().cast_const()).collect();
    let mut scratch = Scratch::default();
    for part in parts {
        #[expect(unsafe_code, reason = "it is what is tested")]
        // SAFETY: The tensors have the bytes and the alignment of their types.
        unsafe {
            prepared.run_raw(&mut scratch, &pointers, output.pointer(), part);
        }
    }
    inputs.iter_mut().all(|input| input.content().is_some()).then_some(())?;
    output.content()
}

/// Cuts the output into boxes.
pub fn parts(definition: &Definition, numbers: &mut Numbers) -> Vec<Vec<Range<u64>>> {
    let shape = &definition.output.shape;
    let mut parts = vec![shape.iter().map(|&size| 0..size).collect::<Vec<_>>()];
    for _ in 0..numbers.below(4) {
        let index = numbers.below(parts.len() as u64) as usize;
        if shape.is_empty() {
            break;
        }
        let axis = numbers.below(shape.len() as u64) as usize;
        if definition.row.iter().any(|row| row.index() == axis) {
            continue;
        }
        let mut other = parts[index].clone();
        let range = parts[index][axis].clone();
        let cut = range.start + numbers.below(range.end - range.start + 1);
        parts[index][axis].end = cut;
        other[axis].start = cut;
        parts.push(other);
    }
    parts
}

/// Compares all sets of vector instructions with the evaluator, on the whole and in parts.
pub fn check(definition: &Definition, inputs: &[Vec<u8>], numbers: &mut Numbers) -> Result<(), String> {
    let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let expected = definition.eval(&slices).map_err(|error| error.to_string())?;
    for isa in Isa::available() {
        let mut prepared = Prepared::new(isa, definition).unwrap();
        for pack in [false, true] {
            for (index, input) in inputs.iter().enumerate().filter(|_| pack) {
                prepared.pack(index, input).unwrap();
            }
            for parts in [vec![prepared.whole()], parts(definition, numbers)] {
                let found = run(&prepared, inputs, &parts).ok_or_else(|| {
                    format!("{isa}: bytes beside the tensors were changed by\n{definition}")
                })?;
                let size = definition.output.dtype.size() as usize;
                let same = |place: &usize| found[*place] == expected[*place];
                if let Some(place) = (0..found.len()).find(|place| !same(place)) {
                    let element = |bytes: &[u8]| bytes[place / size * size..][..size].to_vec();
                    return Err(format!(
                        "{isa}, packed: {pack}, parts {parts:?}: element {} is {:?}, not {:?}:\n{definition}",
                        place / size,
                        element(&found),
                        element(&expected)
                    ));
                }
            }
        }
    }
    Ok(())
}

/// [`check`] on tensors from a number.
pub fn check_with(definition: &Definition, seed: u64) {
    let mut numbers = Numbers(seed);
    let inputs: Vec<Vec<u8>> = definition.inputs.iter().map(|ty| tensor(ty, &mut numbers)).collect();
    check(definition, &inputs, &mut numbers).unwrap();
}
