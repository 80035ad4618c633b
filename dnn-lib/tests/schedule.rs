//! Random definitions, scheduled for the machine: the bits are those of the reference, however the units are
//! split, and nothing outside of the tensors is read or written.

use std::ops::Range;

use dnn_lib::definition::{Affine, Builder, Coordinate, Definition, Over, Source, Step};
use dnn_lib::kernel::{Kernel, Memory};
use dnn_lib::math::Function;
use dnn_lib::scalar::{BinaryOp, Comparison, Conversion, Ops, Type, UnaryOp, Value};
use dnn_lib::schedule;
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

/// Numbers that look random (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn shape(&mut self, most_rank: u64, most: u64) -> Vec<u64> {
        (0..self.below(most_rank + 1)).map(|_| 1 + self.below(most)).collect()
    }
}

/// An index and the end of its range.
#[derive(Clone)]
struct Known {
    index: Affine,
    end: u64,
    /// Whether it is in range only as it is: the position of a window.
    window: bool,
}

/// Makes a definition.
struct Maker {
    random: Random,
    inputs: Vec<TensorType>,
    known: Vec<Known>,
    stages: Vec<(Source, Type, Vec<u64>)>,
}

const DTYPES: &[DType] = &[
    DType::F32,
    DType::F32,
    DType::F32,
    DType::F32,
    DType::F64,
    DType::I64,
    DType::I32,
    DType::U8,
    DType::I16,
    DType::F16,
    DType::BF16,
];

impl Maker {
    fn definition(seed: u64) -> Option<Definition> {
        let mut random = Random(seed);
        let long = if random.chance(20) { 40 } else { 9 };
        let shape = random.shape(4, long);
        let dtype = random.pick(DTYPES);
        let output = TensorType::new(dtype, shape.clone());
        let inputs: Vec<TensorType> = (0..1 + random.below(4))
            .map(|_| {
                // Often the shape of the output, so that axes can be joined.
                let own = if random.chance(50) { shape.clone() } else { random.shape(4, 9) };
                TensorType::new(random.pick(DTYPES), own)
            })
            .collect();
        let mut b = Builder::new("random", &inputs, &output);
        let mut maker = Self { random, inputs, known: Vec::new(), stages: Vec::new() };
        let all = |b: &Builder, shape: &[u64], axes: &dyn Fn(usize) -> bool| {
            let axes = (0..shape.len()).filter(|&axis| axes(axis));
            axes.map(|axis| Known { index: b.at(axis), end: shape[axis], window: false }).collect::<Vec<_>>()
        };
        let ty = Type::of(dtype);
        if !shape.is_empty() && maker.random.chance(35) {
            let mask = maker.random.below(1 << shape.len());
            let row: Vec<usize> = (0..shape.len()).filter(|axis| mask >> axis & 1 == 1).collect();
            b.rows_along(row.clone());
            for _ in 0..maker.random.below(4) {
                let whole = maker.random.chance(50);
                maker.known = all(&b, &shape, &|axis| whole || !row.contains(&axis));
                let ty = if maker.random.chance(70) { ty } else { Type::F32 };
                let value = maker.value(&mut b, ty, 3);
                if whole {
                    let shape = row.iter().map(|&axis| shape[axis]).collect();
                    maker.stages.push((b.row_stage(value), ty, shape));
                } else {
                    maker.stages.push((b.stage(value), ty, vec![]));
                }
            }
        }
        maker.known = all(&b, &shape, &|_| true);
        let value = maker.value(&mut b, ty, 4);
        b.finish(value).ok().filter(quick)
    }

    /// A value of a type, of expressions that are at most so deep.
    fn value(&mut self, b: &mut Builder, ty: Type, depth: u32) -> Value {
        if depth == 0 {
            return match self.random.below(6) {
                0 => self.number(b, ty),
                1 if !self.known.is_empty() => self.index(b, ty),
                _ => self.load(b, ty, 0),
            };
        }
        match self.random.below(14) {
            0 if ty == Type::F32 => {
                let x = self.value(b, ty, depth - 1);
                let function = self.random.pick(Function::ALL);
                b.call(function, x)
            }
            0..=2 => {
                let (x, y) = (self.value(b, ty, depth - 1), self.value(b, ty, depth - 1));
                let of_type = BinaryOp::ALL.iter().copied().filter(|op| op.types().contains(&ty));
                let op = self.random.pick(&of_type.collect::<Vec<_>>());
                b.binary(op, x, y)
            }
            3 => {
                let x = self.value(b, ty, depth - 1);
                let of_type = UnaryOp::ALL.iter().copied().filter(|op| op.types().contains(&ty));
                let op = self.random.pick(&of_type.collect::<Vec<_>>());
                b.unary(op, x)
            }
            4 => {
                let (x, y) = (self.value(b, ty, depth - 1), self.value(b, ty, depth - 1));
                let op = self.random.pick(&[Comparison::Lt, Comparison::Le, Comparison::Eq]);
                let condition = b.compare(op, x, y);
                b.select(condition, y, x)
            }
            5..=8 => self.fold(b, ty, depth - 1),
            9 => self.lanes(b, ty, depth - 1),
            _ => self.load(b, ty, depth - 1),
        }
    }

    fn number(&mut self, b: &mut Builder, ty: Type) -> Value {
        let x = self.random.below(9) as i64 - 4;
        b.number(ty, x)
    }

    fn index(&mut self, b: &mut Builder, ty: Type) -> Value {
        let place = self.random.below(self.known.len() as u64) as usize;
        let index = self.known[place].index.clone() * (self.random.below(3) as i64 - 1) + 2;
        let value = b.index(index);
        match ty {
            Type::I64 | Type::Bool => value,
            Type::I32 => b.convert(Conversion::Truncate, ty, value),
            Type::F32 | Type::F64 => b.convert(Conversion::IntToFloat, ty, value),
        }
    }

    fn converted(&mut self, b: &mut Builder, value: Value, to: Type) -> Value {
        use Type::{F32, F64, I32, I64};
        let conversion = match (b.ty(value), to) {
            (from, to) if from == to => return value,
            (F32, F64) => Conversion::Promote,
            (F64, F32) => Conversion::Demote,
            (I32 | I64, F32 | F64) => Conversion::IntToFloat,
            (F32 | F64, I32 | I64) => Conversion::FloatToInt,
            (I32, _) => Conversion::SignExtend,
            _ => Conversion::Truncate,
        };
        b.convert(conversion, to, value)
    }

    /// An element, perhaps with another value for what is out of range.
    fn load(&mut self, b: &mut Builder, ty: Type, depth: u32) -> Value {
        let (from, own, shape) = if !self.stages.is_empty() && self.random.chance(40) {
            let place = self.random.below(self.stages.len() as u64) as usize;
            self.stages[place].clone()
        } else {
            let input = self.random.below(self.inputs.len() as u64) as usize;
            let of = &self.inputs[input];
            (Source::Input(input as u32), Type::of(of.dtype), of.shape.clone())
        };
        let free = self.random.chance(25);
        let at: Vec<Coordinate> = shape.iter().map(|&size| self.coordinate(b, size, free, depth)).collect();
        let value = if free {
            let otherwise = self.value(b, own, depth.min(1));
            b.load_or(from, at, otherwise)
        } else {
            b.load(from, at)
        };
        self.converted(b, value, ty)
    }

    fn coordinate(&mut self, b: &mut Builder, size: u64, free: bool, depth: u32) -> Coordinate {
        if depth > 0 && self.random.chance(8) {
            return self.value(b, Type::I64, depth - 1).into();
        }
        let fits = |known: &&Known| free || known.end <= size;
        let fitting: Vec<Known> = self.known.iter().filter(fits).cloned().collect();
        if fitting.is_empty() {
            return Affine::from(self.random.below(size) as i64).into();
        }
        // Often an index along a dimension of the same size.
        let same: Vec<Known> = fitting.iter().filter(|known| known.end == size).cloned().collect();
        let of = if same.is_empty() || self.random.chance(20) { &fitting } else { &same };
        let known = of[self.random.below(of.len() as u64) as usize].clone();
        if free {
            let factor = self.random.pick(&[1, 1, 1, 2, -1]);
            return (known.index * factor + (self.random.below(7) as i64 - 3)).into();
        }
        if known.window {
            return known.index.into();
        }
        let room = (size - known.end) as i64;
        match self.random.below(6) {
            0 => (-known.index + (known.end as i64 - 1) + room).into(),
            1 if (known.end.max(1) - 1) * 2 < size => (known.index * 2).into(),
            2 => (known.index + room).into(),
            _ => known.index.into(),
        }
    }

    fn over(&mut self) -> Over {
        let size = match self.random.below(12) {
            0 => 0,
            1 => 17 + self.random.below(20),
            _ => 1 + self.random.below(5),
        };
        let outer: Vec<Affine> = self.known.iter().map(|known| known.index.clone()).collect();
        if outer.is_empty() || self.random.chance(50) {
            return Over::all(size);
        }
        let start = outer[self.random.below(outer.len() as u64) as usize].clone();
        let start = start * (1 + self.random.below(2) as i64) - self.random.below(4) as i64;
        let positions = match self.random.below(3) {
            0 => 1 + self.random.below(12),
            _ => self.inputs.iter().flat_map(|input| &input.shape).copied().max().unwrap_or(3),
        };
        Over::window(size, start, 1 + self.random.below(3), positions)
    }

    fn fold(&mut self, b: &mut Builder, ty: Type, depth: u32) -> Value {
        let over: Vec<Over> = (0..1 + self.random.below(3)).map(|_| self.over()).collect();
        let ends: Vec<(u64, Option<dnn_lib::definition::Window>)> = over.iter().map(Over::parts).collect();
        let init = self.number(b, ty);
        let kind = self.random.below(3);
        let results = b.fold(over, &[init], |b, k, so_far| {
            let outer = self.known.len();
            for (k, (size, window)) in k.iter().zip(&ends) {
                self.known.push(match window {
                    Some(window) => Known {
                        index: window.start.clone() + k.clone() * window.step as i64,
                        end: window.size,
                        window: true,
                    },
                    None => Known { index: k.clone(), end: *size, window: false },
                });
            }
            let x = self.load(b, ty, depth.min(1));
            let next = match kind {
                0 if ty.is_float() => {
                    let y = self.load(b, ty, 0);
                    b.fma(x, y, so_far[0])
                }
                1 => b.max(so_far[0], x),
                _ => {
                    let y = self.value(b, ty, depth.min(1));
                    let y = b.mul(x, y);
                    b.sub(so_far[0], y)
                }
            };
            self.known.truncate(outer);
            vec![next]
        });
        results[0]
    }

    fn lanes(&mut self, b: &mut Builder, ty: Type, depth: u32) -> Value {
        let sizes: Vec<u64> = (0..1 + self.random.below(2))
            .map(|_| if self.random.chance(30) { 16 } else { self.random.below(40) })
            .collect();
        let init = self.number(b, ty);
        let op = self.random.pick(&[BinaryOp::Add, BinaryOp::Max]);
        let all = sizes.clone();
        b.in_lanes(op, sizes, init, |b, k| {
            let outer = self.known.len();
            self.known.extend(k.iter().zip(all).map(|(k, end)| Known {
                index: k.clone(),
                end,
                window: false,
            }));
            let x = self.value(b, ty, depth.min(1));
            self.known.truncate(outer);
            x
        })
    }
}

/// About how long it takes to compute some steps, for stages that take so long.
fn cost(definition: &Definition, steps: &[Step], stages: &[u64]) -> u64 {
    let one = |step: &Step| match step {
        Step::Load(_, load) => match load.from {
            Source::Stage(stage) => stages[stage as usize],
            Source::Input(_) => 1,
        },
        Step::Reduce(reduction) => {
            let inner = cost(definition, &reduction.body, stages);
            let sizes = reduction.ranges.iter().map(|range| definition.size(range.axis));
            sizes.fold(inner, u64::saturating_mul)
        }
        _ => 1,
    };
    steps.iter().map(one).fold(1, u64::saturating_add)
}

/// Whether a definition can be tested in a moment.
fn quick(definition: &Definition) -> bool {
    let mut stages = Vec::new();
    for stage in &definition.stages {
        let own = cost(definition, &stage.steps, &stages);
        stages.push(own);
    }
    let elements = definition.output.elements().unwrap_or(u64::MAX);
    stages.iter().fold(0, |sum: u64, &stage| sum.saturating_add(stage)).saturating_mul(elements) < 100_000
}

/// The bytes of a tensor, which are mostly small numbers.
fn bytes(random: &mut Random, ty: &TensorType) -> Vec<u8> {
    let special = [f32::NAN, f32::INFINITY, -0.0, f32::NEG_INFINITY, f32::from_bits(0xffc1_2345), 1e-40];
    let count = ty.elements().expect("a size");
    let element = |_| match ty.dtype {
        DType::F32 if random.chance(3) => random.pick(&special).to_le_bytes().to_vec(),
        DType::F32 => (random.below(4001) as f32 / 1000.0 - 2.0).to_le_bytes().to_vec(),
        DType::F64 => (random.below(4001) as f64 / 1000.0 - 2.0).to_le_bytes().to_vec(),
        // Any half, and 1/2 to 8.
        DType::F16 | DType::BF16 if random.chance(5) => (random.next() as u16).to_le_bytes().to_vec(),
        DType::F16 => (0x3800 + random.below(0x1000) as u16).to_le_bytes().to_vec(),
        DType::BF16 => (0x3f00 + random.below(0x200) as u16).to_le_bytes().to_vec(),
        _ => (random.below(11) as i64 - 3).to_le_bytes()[..ty.dtype.size() as usize].to_vec(),
    };
    (0..count).flat_map(element).collect()
}

/// Memory with tensors in it, and poison between them.
struct Arena {
    bytes: Vec<u8>,
    arguments: Vec<u64>,
    output: Range<usize>,
}

impl Arena {
    fn new(definition: &Definition, inputs: &[Vec<u8>], poison: u8) -> Self {
        let mut bytes = vec![poison; 64];
        let mut arguments = Vec::new();
        let mut place = |content: &[u8]| {
            bytes.resize(bytes.len().next_multiple_of(8), poison);
            let start = bytes.len();
            arguments.push(start as u64);
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len() + 72, poison);
            start
        };
        inputs.iter().for_each(|input| {
            place(input);
        });
        let size = definition.output.bytes().expect("a size") as usize;
        let start = place(&vec![poison; size]);
        Self { bytes, arguments, output: start..start + size }
    }

    fn run(&mut self, kernel: &Kernel, units: Range<u64>) -> Result<(), String> {
        let arguments = [&self.arguments[..], &[units.start, units.end]].concat();
        kernel.eval(&mut Memory(&mut self.bytes), &arguments).map_err(|error| error.to_string())
    }
}

/// Checks the kernel of a definition.
fn check(definition: &Definition, seed: u64) -> Result<(), String> {
    let mut random = Random(seed ^ 0x5eed);
    let inputs: Vec<Vec<u8>> = definition.inputs.iter().map(|ty| bytes(&mut random, ty)).collect();
    let slices: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let right = definition.eval(&slices).map_err(|error| error.to_string())?;
    let kernel = schedule::guest(definition).map_err(|error| error.to_string())?;
    let shown = || format!("{definition}\n{kernel}");
    if kernel.tile != schedule::tile(definition) {
        return Err(format!("tile {:?}: {}", schedule::tile(definition), shown()));
    }
    // Every loop has a bound.
    let loops = kernel.to_string().matches("for v").count();
    if kernel.trips().len() != loops {
        return Err(format!("{} bounds of {loops} loops: {}", kernel.trips().len(), shown()));
    }
    let units = kernel.units();
    for poison in [0x7f, 0xff] {
        let mut arena = Arena::new(definition, &inputs, poison);
        let before = arena.bytes.clone();
        let mut cuts: Vec<u64> = (0..3).map(|_| random.below(units + 1)).chain([0, units]).collect();
        cuts.sort_unstable();
        for cut in cuts.windows(2).rev() {
            arena.run(&kernel, cut[0]..cut[1]).map_err(|error| format!("{error}: {}", shown()))?;
        }
        if arena.bytes[arena.output.clone()] != right {
            let size = definition.output.dtype.size() as usize;
            let found = arena.bytes[arena.output.clone()].chunks(size).zip(right.chunks(size));
            let first = found.clone().position(|(a, b)| a != b);
            return Err(format!("element {first:?} is wrong: {}", shown()));
        }
        arena.bytes[arena.output.clone()].fill(poison);
        if arena.bytes != before {
            return Err(format!("bytes outside of the output are written: {}", shown()));
        }
        // One unit writes its box and nothing else.
        if units > 0 {
            let unit = random.below(units);
            arena.run(&kernel, unit..unit + 1)?;
            let (ranges, size) = (kernel.unit(unit), definition.output.dtype.size() as usize);
            for (place, (found, right)) in
                arena.bytes[arena.output.clone()].chunks(size).zip(right.chunks(size)).enumerate()
            {
                let mut rest = place as u64;
                let mut inside = true;
                for (range, &size) in ranges.iter().zip(&definition.output.shape).rev() {
                    inside &= range.contains(&(rest % size));
                    rest /= size;
                }
                if (inside && found != right) || (!inside && found.iter().any(|&byte| byte != poison)) {
                    return Err(format!("unit {unit}, element {place}: {}", shown()));
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn random_definitions_have_the_bits_of_the_reference(seed in any::<u64>()) {
        if let Some(definition) = Maker::definition(seed)
            && let Err(error) = check(&definition, seed)
        {
            return Err(TestCaseError::fail(error));
        }
    }
}

#[test]
fn most_random_definitions_are_ones() {
    let good = (0..1000).filter(|&seed| Maker::definition(seed).is_some()).count();
    assert!(good > 500, "{good} of 1000");
}

#[test]
fn a_definition_that_needs_endless_code_is_refused_at_once() {
    let ty = TensorType::new(DType::F32, [8]);
    // Each stage reads the one before at two other places.
    let mut b = Builder::new("stages", std::slice::from_ref(&ty), &ty);
    b.rows_along([0]);
    let at = b.at(0);
    let mut stage = Source::Input(0);
    for shift in 0..40 {
        let places = [(at.clone() + 1) * 1, at.clone() * -1 + shift];
        let [x, y] = places.map(|place| {
            let zero = b.f32(0.0);
            b.load_or(stage, [place], zero)
        });
        let sum = b.add(x, y);
        stage = b.row_stage(sum);
    }
    let value = b.load(stage, [at * -1 + 7]);
    let stages = b.finish(value).expect("a definition");
    // Windows in windows, none of whose positions may count.
    let mut b = Builder::new("windows", std::slice::from_ref(&ty), &ty);
    let (zero, at) = (b.f32(0.0), b.at(0));
    let over: Vec<Over> = (0..11).map(|_| Over::window(30, at.clone() - 20, 3, 8)).collect();
    let sum = b.fold(over, &[zero], |b, _, sum| {
        let x = b.load(Source::Input(0), [0]);
        vec![b.add(sum[0], x)]
    });
    let windows = b.finish(sum[0]).expect("a definition");
    for definition in [stages, windows] {
        let start = std::time::Instant::now();
        // Either is fine; never to end isn't.
        let _ = schedule::guest(&definition);
        assert!(start.elapsed().as_secs() < 20, "{definition}");
    }
}
