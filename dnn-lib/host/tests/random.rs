//! Random definitions.

use dnn_lib::definition::{Affine, Builder, Coordinate, Definition, Over, Source};
use dnn_lib::math::Function;
use dnn_lib::scalar::{BinaryOp, Comparison, Conversion, Ops, Type, UnaryOp, Value};
use dnn_lib::tensor::{DType, TensorType};
use proptest::prelude::*;

use crate::check::{Numbers, check, tensor};

/// Makes a random definition.
struct Maker {
    numbers: Numbers,
    /// The most indices that reductions here may have, so that evaluation doesn't take long.
    left: u64,
    /// The tensors: the inputs, then the stages so far.
    tensors: Vec<(Source, Type, Vec<u64>)>,
}

/// What can be used at a place.
#[derive(Clone)]
struct Scope {
    values: Vec<Value>,
    /// Indices that are known to be in `0..size`.
    indices: Vec<(Affine, u64)>,
}

/// `None` if it came out wrong, which is rare.
fn definition(seed: u64) -> Option<Definition> {
    let mut numbers = Numbers(seed);
    // Those that definitions can load and store.
    let dtypes: Vec<DType> = DType::ALL.into_iter().filter(|&dtype| Type::loaded(dtype).is_some()).collect();
    let shape = shape(&mut numbers);
    let output = TensorType::new(*numbers.pick(&dtypes), shape.clone());
    let inputs: Vec<TensorType> = (0..1 + numbers.below(3))
        .map(|_| {
            let shape = match numbers.below(3) {
                0 => shape.clone(),
                1 => shape
                    .iter()
                    .map(|&size| if numbers.chance(50) { size } else { 1 + numbers.below(9) })
                    .collect(),
                _ => self::shape(&mut numbers),
            };
            let shape: Vec<u64> =
                if numbers.chance(5) { shape } else { shape.iter().map(|&size| size.max(1)).collect() };
            let dtype = if numbers.chance(60) { DType::F32 } else { *numbers.pick(&dtypes) };
            TensorType::new(dtype, shape)
        })
        .collect();
    let mut b = Builder::new("random", &inputs, &output);
    let tensor =
        |(ty, index): (&TensorType, u32)| (Source::Input(index), Type::of(ty.dtype), ty.shape.clone());
    let tensors = inputs.iter().zip(0..).map(tensor).collect();
    let row: Vec<usize> = (0..shape.len()).filter(|_| numbers.chance(40)).collect();
    b.rows_along(row.clone());
    let elements: u64 = shape.iter().product();
    let mut maker = Maker { numbers, left: 10_000 / elements.max(1), tensors };
    let outer = |axis: usize| !row.contains(&axis);
    let index = |b: &Builder, axis: usize| (b.at(axis), shape[axis]);
    for _ in 0..if row.is_empty() { 0 } else { maker.numbers.below(4) } {
        let whole = maker.numbers.chance(50);
        let axes = (0..shape.len()).filter(|&axis| outer(axis) || whole);
        let mut scope = Scope { values: Vec::new(), indices: axes.map(|axis| index(&b, axis)).collect() };
        maker.steps(&mut b, &mut scope, 2);
        let value = *maker.numbers.pick(&scope.values);
        let (stage, dims) = if whole {
            (b.row_stage(value), row.iter().map(|&axis| shape[axis]).collect())
        } else {
            (b.stage(value), Vec::new())
        };
        maker.tensors.push((stage, b.ty(value), dims));
    }
    let mut scope =
        Scope { values: Vec::new(), indices: (0..shape.len()).map(|axis| index(&b, axis)).collect() };
    maker.steps(&mut b, &mut scope, 2);
    let value = maker.of_type(&mut b, &mut scope, Type::of(output.dtype));
    b.finish(value).ok()
}

fn shape(numbers: &mut Numbers) -> Vec<u64> {
    let rank = numbers.below(5);
    let mut left = 1500;
    let size = |_| {
        let most = *numbers.pick(&[1, 3, 8, 20, 40, 700]);
        let size = if numbers.chance(1) { 0 } else { 1 + numbers.below(most.min(left)) };
        left /= size.max(1);
        left = left.max(1);
        size
    };
    (0..rank).map(size).collect()
}

impl Maker {
    fn of_type(&mut self, b: &mut Builder, scope: &mut Scope, ty: Type) -> Value {
        let values: Vec<Value> = scope.values.iter().copied().filter(|&value| b.ty(value) == ty).collect();
        // Late values depend on early ones, so that little is left unused.
        if !values.is_empty() {
            let late = if self.numbers.chance(70) { values.len().saturating_sub(3) } else { 0 };
            return *self.numbers.pick(&values[late..]);
        }
        let value = match ty {
            Type::Bool => {
                let (x, y) = (self.of_type(b, scope, Type::F32), self.of_type(b, scope, Type::F32));
                b.compare(Comparison::Le, x, y)
            }
            _ => {
                let x = self.numbers.below(7) as i64 - 3;
                b.number(ty, x)
            }
        };
        scope.values.push(value);
        value
    }

    fn steps(&mut self, b: &mut Builder, scope: &mut Scope, depth: u64) {
        for _ in 0..1 + self.numbers.below(5) {
            self.load(b, scope);
        }
        for _ in 0..1 + self.numbers.below(6) {
            let value = match self.numbers.below(12) {
                0..2 => return self.load(b, scope),
                2 => {
                    let index = self.index(scope);
                    b.index(index)
                }
                3 if depth == 2 => {
                    let x = self.of_type(b, scope, Type::F32);
                    let functions = [Function::Exp, Function::Tanh, Function::Sigmoid];
                    b.call(*self.numbers.pick(&functions), x)
                }
                4..6 if depth > 0 => {
                    self.reduce(b, scope, depth - 1);
                    continue;
                }
                _ => self.operation(b, scope),
            };
            scope.values.push(value);
        }
    }

    fn operation(&mut self, b: &mut Builder, scope: &mut Scope) -> Value {
        let types = [Type::F32, Type::F32, Type::F32, Type::F64, Type::I32, Type::I64, Type::Bool];
        let ty = *self.numbers.pick(&types);
        let x = self.of_type(b, scope, ty);
        let y = self.of_type(b, scope, ty);
        match self.numbers.below(8) {
            0 => {
                let ops = UnaryOp::ALL.iter().copied().filter(|op| op.types().contains(&ty));
                b.unary(*self.numbers.pick(&ops.collect::<Vec<_>>()), x)
            }
            1 if ty.is_float() => {
                let z = self.of_type(b, scope, ty);
                b.fma(x, y, z)
            }
            2 if ty != Type::Bool => {
                let ops = Comparison::ALL.iter().copied().filter(|op| op.types().contains(&ty));
                b.compare(*self.numbers.pick(&ops.collect::<Vec<_>>()), x, y)
            }
            3 => {
                let condition = self.of_type(b, scope, Type::Bool);
                b.select(condition, x, y)
            }
            4..6 => {
                let pairs = Conversion::ALL.iter().flat_map(|&op| Type::ALL.map(|to| (op, to)));
                let works = pairs.filter(|&(op, to)| op.works(ty, to));
                let (conversion, to) = *self.numbers.pick(&works.collect::<Vec<_>>());
                b.convert(conversion, to, x)
            }
            _ => {
                let ops = BinaryOp::ALL.iter().copied().filter(|op| op.types().contains(&ty));
                b.binary(*self.numbers.pick(&ops.collect::<Vec<_>>()), x, y)
            }
        }
    }

    /// The size of an axis of a reduction.
    fn size(&mut self, most: u64) -> u64 {
        let size = if self.numbers.chance(3) { 0 } else { 1 + self.numbers.below(most.min(self.left)) };
        self.left /= size.max(1);
        size
    }

    /// Any affine index.
    fn index(&mut self, scope: &Scope) -> Affine {
        let mut index = Affine::from(self.numbers.below(9) as i64 - 4);
        for (axis, _) in &scope.indices {
            if self.numbers.chance(40) {
                index = index + axis.clone() * (self.numbers.below(5) as i64 - 2);
            }
        }
        index
    }

    /// An affine index in `0..size`.
    fn index_in(&mut self, scope: &Scope, size: u64, like: usize) -> Affine {
        if let Some((index, own)) = scope.indices.get(like)
            && *own <= size
            && self.numbers.chance(60)
        {
            return index.clone();
        }
        let fitting: Vec<_> = scope.indices.iter().filter(|(_, own)| *own <= size).collect();
        if fitting.is_empty() || self.numbers.chance(20) {
            return Affine::from(self.numbers.below(size) as i64);
        }
        let (index, own) = *self.numbers.pick(&fitting);
        let (index, own) = (index.clone(), *own);
        if index.terms.len() != 1 || index.constant != 0 || index.terms[0].1 != 1 {
            return index;
        }
        match self.numbers.below(4) {
            0 => index * -1 + (size as i64 - 1),
            1 => index + self.numbers.below(size - own + 1) as i64,
            2 if own > 0 && (own - 1) * 2 < size => index * 2,
            _ => index,
        }
    }

    fn load(&mut self, b: &mut Builder, scope: &mut Scope) {
        let (from, ty, shape) = self.numbers.pick(&self.tensors).clone();
        let otherwise = self.numbers.chance(15) || shape.contains(&0);
        let mut at: Vec<Coordinate> = Vec::new();
        for (dim, &size) in shape.iter().enumerate() {
            at.push(match self.numbers.below(10) {
                0 => self.of_type(b, scope, Type::I64).into(),
                1..5 if otherwise => self.index(scope).into(),
                _ if size == 0 => Affine::from(0).into(),
                _ => self.index_in(scope, size, dim).into(),
            });
        }
        let value = if otherwise {
            let other = self.of_type(b, scope, ty);
            b.load_or(from, at, other)
        } else {
            b.load(from, at)
        };
        scope.values.push(value);
    }

    fn reduce(&mut self, b: &mut Builder, scope: &mut Scope, depth: u64) {
        if self.numbers.chance(40) {
            let ty = *self.numbers.pick(&[Type::F32, Type::F32, Type::F64, Type::I32, Type::I64]);
            let op = *self.numbers.pick(&[BinaryOp::Add, BinaryOp::Max, BinaryOp::Min, BinaryOp::Mul]);
            let init = self.of_type(b, scope, ty);
            let left = self.left;
            let over: Vec<u64> = (0..1 + self.numbers.below(3)).map(|_| self.size(60)).collect();
            let mut inner = scope.clone();
            let result = b.in_lanes(op, over.clone(), init, |b, at| {
                inner.indices.extend(at.iter().cloned().zip(over.iter().copied()));
                inner.indices.reverse();
                self.steps(b, &mut inner, depth);
                self.of_type(b, &mut inner, ty)
            });
            self.left = left;
            return scope.values.push(result);
        }
        let left = self.left;
        let mut overs = Vec::new();
        let mut windows = Vec::new();
        for _ in 0..self.numbers.below(4) {
            let size = self.size(10);
            if self.numbers.chance(60) {
                overs.push(Over::all(size));
                windows.push(None);
            } else {
                let (start, step) = (self.index(scope), 1 + self.numbers.below(3));
                let positions = self.numbers.pick(&self.tensors).2.first().copied().unwrap_or(5);
                overs.push(Over::window(size, start.clone(), step, positions));
                windows.push(Some((start, step, positions)));
            }
        }
        let init: Vec<Value> = (0..1 + self.numbers.below(3))
            .map(|_| {
                let ty =
                    *self.numbers.pick(&[Type::F32, Type::F32, Type::F64, Type::I32, Type::I64, Type::Bool]);
                self.of_type(b, scope, ty)
            })
            .collect();
        let mut inner = scope.clone();
        let results = b.fold(overs, &init, |b, at, so_far| {
            for (axis, window) in at.iter().zip(&windows) {
                if let Some((start, step, positions)) = window {
                    inner.indices.insert(0, (start.clone() + axis.clone() * *step as i64, *positions));
                }
            }
            inner.values.extend(so_far);
            self.steps(b, &mut inner, depth);
            let accumulate = self.numbers.chance(50);
            so_far
                .iter()
                .map(|&value| {
                    let ty = b.ty(value);
                    let next = self.of_type(b, &mut inner, ty);
                    if !accumulate || ty == Type::Bool { next } else { b.add(value, next) }
                })
                .collect()
        });
        self.left = left;
        scope.values.extend(results);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_definitions_run_as_they_mean(seed: u64) {
        let definition = definition(seed);
        prop_assume!(definition.is_some());
        let (definition, mut numbers) = (definition.unwrap(), Numbers(seed));
        let inputs: Vec<Vec<u8>> = definition.inputs.iter().map(|ty| tensor(ty, &mut numbers)).collect();
        if let Err(error) = check(&definition, &inputs, &mut numbers) {
            return Err(TestCaseError::fail(error));
        }
    }
}
