//! The reference evaluator: the meaning of a definition.

use std::ops::Range as Rows;

use super::affine::{Axis, Coordinate};
use super::{Definition, LANES, Load, Order, Reduction, Source, Stage, Step};
use crate::layout::strides;
use crate::scalar::{Value, narrow, widen};
use crate::tensor::TensorType;

/// An input that a definition can't be evaluated on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The number of inputs is wrong.
    #[error("{name} takes {expected} inputs, not {found}")]
    Count {
        /// The definition's name.
        name: String,
        /// The number of inputs that it has.
        expected: usize,
        /// The number given.
        found: usize,
    },
    /// An input has the wrong size.
    #[error("{name}: input {index} is {ty}, which does not have {found} bytes")]
    Size {
        /// The definition's name.
        name: String,
        /// The input.
        index: usize,
        /// Its type.
        ty: TensorType,
        /// The size given.
        found: usize,
    },
}

impl Definition {
    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.outer().iter().map(|&axis| self.size(axis)).product()
    }

    /// Computes the bytes of the output from the bytes of the inputs. The definition must be a
    /// [checked](Definition::check) one.
    pub fn eval(&self, inputs: &[&[u8]]) -> Result<Vec<u8>, InputError> {
        let mut output = vec![0; self.output.bytes().unwrap_or(0) as usize];
        if !output.is_empty() {
            self.eval_rows(inputs, &mut output, 0..self.rows())?;
        }
        Ok(output)
    }

    /// Computes some rows, in the order of the output without the axes of the row.
    pub fn eval_rows(&self, inputs: &[&[u8]], output: &mut [u8], rows: Rows<u64>) -> Result<(), InputError> {
        if inputs.len() != self.inputs.len() {
            let (name, expected, found) = (self.name.clone(), self.inputs.len(), inputs.len());
            return Err(InputError::Count { name, expected, found });
        }
        for (index, (input, ty)) in inputs.iter().zip(&self.inputs).enumerate() {
            if ty.bytes() != Some(input.len() as u64) {
                let (name, ty, found) = (self.name.clone(), ty.clone(), input.len());
                return Err(InputError::Size { name, index, ty, found });
            }
        }
        let mut evaluator = Evaluator {
            definition: self,
            inputs,
            output,
            values: vec![0; self.types.len()],
            indices: vec![0; self.axes.len()],
            stages: Vec::new(),
        };
        let outer = self.outer();
        for row in rows {
            evaluator.set_indices(&outer, row);
            evaluator.row();
        }
        Ok(())
    }
}

struct Evaluator<'a> {
    definition: &'a Definition,
    inputs: &'a [&'a [u8]],
    output: &'a mut [u8],
    /// The bits of each value.
    values: Vec<u64>,
    /// The index of each axis.
    indices: Vec<i64>,
    /// The elements of the stages of this row.
    stages: Vec<Vec<u64>>,
}

impl Evaluator<'_> {
    /// Sets the indices of some axes to step `number` of a row-major iteration over them.
    fn set_indices(&mut self, axes: &[Axis], number: u64) {
        let mut rest = number;
        for &axis in axes.iter().rev() {
            let size = self.definition.size(axis).max(1);
            self.indices[axis.index()] = (rest % size) as i64;
            rest /= size;
        }
    }

    fn row(&mut self) {
        let definition = self.definition;
        self.stages.clear();
        for stage in &definition.stages[..definition.stages.len() - 1] {
            let elements = self.elements(stage).collect();
            self.stages.push(elements);
        }
        let strides = strides(&definition.output.shape);
        let last = definition.last();
        let count: u64 = last.axes.iter().map(|&axis| definition.size(axis)).product();
        let (dtype, size) = (definition.output.dtype, definition.output.dtype.size() as usize);
        for number in 0..count {
            let bits = narrow(dtype, self.element(last, number));
            let at = definition.output_axes().zip(&strides);
            let place: usize =
                at.map(|(axis, &stride)| self.indices[axis.index()] as usize * stride as usize).sum();
            self.output[place * size..][..size].copy_from_slice(&bits.to_le_bytes()[..size]);
        }
    }

    fn elements(&mut self, stage: &Stage) -> impl Iterator<Item = u64> {
        let count: u64 = stage.axes.iter().map(|&axis| self.definition.size(axis)).product();
        (0..count).map(|number| self.element(stage, number))
    }

    fn element(&mut self, stage: &Stage, number: u64) -> u64 {
        self.set_indices(&stage.axes, number);
        self.steps(&stage.steps);
        self.get(stage.value)
    }

    fn get(&self, value: Value) -> u64 {
        self.values[value.index()]
    }

    fn set(&mut self, value: Value, bits: u64) {
        self.values[value.index()] = bits;
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Let(value, expr) => {
                    self.set(*value, expr.eval(&self.definition.types, &self.values));
                }
                Step::Call(value, function, x) => {
                    let x = f32::from_bits(self.get(*x) as u32);
                    self.set(*value, function.of(x).to_bits().into());
                }
                Step::Index(value, index) => self.set(*value, index.at(&self.indices) as u64),
                Step::Load(value, load) => {
                    let bits = self.load(load);
                    self.set(*value, bits);
                }
                Step::Reduce(reduction) => self.reduce(reduction),
            }
        }
    }

    fn load(&self, load: &Load) -> u64 {
        let shape = self.definition.shape(load.from);
        let mut place = 0;
        for (coordinate, &size) in load.at.iter().zip(&shape) {
            let index = match coordinate {
                Coordinate::Affine(affine) => affine.at(&self.indices),
                Coordinate::Value(value) => self.get(*value) as i64,
            };
            let index = match load.otherwise {
                Some(otherwise) if index < 0 || index >= size as i64 => return self.get(otherwise),
                _ => index.clamp(0, size as i64 - 1) as usize,
            };
            place = place * size as usize + index;
        }
        match load.from {
            Source::Input(input) => self.read(input as usize, place),
            Source::Stage(stage) => self.stages[stage as usize][place],
        }
    }

    fn read(&self, input: usize, place: usize) -> u64 {
        let dtype = self.definition.inputs[input].dtype;
        let size = dtype.size() as usize;
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(&self.inputs[input][place * size..][..size]);
        widen(dtype, u64::from_le_bytes(bytes))
    }

    fn reduce(&mut self, reduction: &Reduction) {
        let init: Vec<u64> = reduction.init.iter().map(|&value| self.get(value)).collect();
        let results = match (reduction.order, reduction.combination()) {
            (Order::Lanes, Some((op, _))) => {
                let ty = self.definition.ty(reduction.carried[0]);
                let (mut lanes, mut number) = ([init[0]; LANES], 0);
                self.each(reduction, 0, &mut |this| {
                    let lane = &mut lanes[number % LANES];
                    this.set(reduction.carried[0], *lane);
                    this.steps(&reduction.body);
                    *lane = this.get(reduction.yields[0]);
                    number += 1;
                });
                vec![halve(lanes, |a, b| op.eval(ty, a, b))]
            }
            _ => {
                let mut carried = init;
                self.each(reduction, 0, &mut |this| {
                    reduction.carried.iter().zip(&carried).for_each(|(&value, &bits)| this.set(value, bits));
                    this.steps(&reduction.body);
                    carried = reduction.yields.iter().map(|&value| this.get(value)).collect();
                });
                carried
            }
        };
        reduction.results.iter().zip(results).for_each(|(&value, bits)| self.set(value, bits));
    }

    /// Does something at each index of the axes of a reduction from axis `depth` on.
    fn each(&mut self, reduction: &Reduction, depth: usize, body: &mut dyn FnMut(&mut Self)) {
        let Some(range) = reduction.ranges.get(depth) else { return body(self) };
        for index in 0..self.definition.size(range.axis) {
            self.indices[range.axis.index()] = index as i64;
            let counts = range.window.as_ref().is_none_or(|window| {
                let position = window.start.at(&self.indices) + window.step as i64 * index as i64;
                (0..window.size as i64).contains(&position)
            });
            if counts {
                self.each(reduction, depth + 1, body);
            }
        }
    }
}

/// Combines lanes: the first half with the second, until one is left.
fn halve(mut lanes: [u64; LANES], combine: impl Fn(u64, u64) -> u64) -> u64 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = combine(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}
