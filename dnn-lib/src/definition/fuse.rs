//! Two definitions as one: what follows each element is computed where the element is.

use super::affine::{Affine, Axis, Coordinate};
use super::{Definition, Load, Quantization, Source, Stage, Step};
use crate::layout::strides;
use crate::scalar::{Type, Value};
use crate::tensor::DType;

impl Definition {
    /// The definition of `consumer` with input number `input` replaced by the output of this one. Its inputs
    /// are those of this one, then the others of the consumer. Both must be [checked](Self::check) ones. The
    /// bits are those of the two in turn, and every element is computed once. `None` unless
    ///
    /// * the consumer computes each element on its own, and reads the input at the element's own place only,
    /// * a value that is stored in the input and loaded again is the same value,
    /// * each axis of the consumer's output is a product of neighbouring axes of this output. They may see
    ///   the same bytes with different shapes; the result has the shape of this output.
    pub fn then(&self, consumer: &Self, input: usize) -> Option<Self> {
        let seen = consumer.inputs.get(input)?;
        let same = seen.dtype == self.output.dtype && seen.elements() == self.output.elements();
        let [stage] = &consumer.stages[..] else { return None };
        if !same
            || !(keeps_bits(seen.dtype) || self.fits())
            || !consumer.row.is_empty()
            || !consumer.at_own_place(stage, input)
        {
            return None;
        }
        let mut appended = Appended {
            axes: refined(&self.output.shape, &consumer.output.shape)?,
            fused: self.clone(),
            known: vec![None; consumer.types.len()],
            consumer,
            input,
        };
        appended.stage(stage)?;
        let mut fused = appended.fused;
        fused.name = format!("{}+{}", self.name, consumer.name);
        fused.output.dtype = consumer.output.dtype;
        let others = consumer.inputs.iter().enumerate().filter(|&(index, _)| index != input);
        fused.inputs.extend(others.map(|(_, ty)| ty.clone()));
        fused.check().ok()?;
        Some(fused)
    }

    /// The same with all that reads input number `twin` reading `input` instead, which is of the same type and has
    /// the same elements. Inputs after it move up.
    pub fn with_twin(&self, input: usize, twin: usize) -> Option<Self> {
        if input >= twin || self.inputs.get(input)? != self.inputs.get(twin)? {
            return None;
        }
        let mut joined = self.clone();
        joined.inputs.remove(twin);
        for stage in &mut joined.stages {
            each_load(&mut stage.steps, &mut |load| {
                if let Source::Input(number) = &mut load.from {
                    let place = *number as usize;
                    *number = if place == twin { input as u32 } else { *number - u32::from(place > twin) };
                }
            });
        }
        Some(joined)
    }

    /// Whether every element is an integer that is one of the output's type, because it is quantized: at least
    /// `least - zero` and at most `most - zero`, plus zero, or without zero at all.
    fn fits(&self) -> bool {
        let steps = &self.last().steps;
        let expr = |value: Value| {
            steps.iter().find_map(|step| match step {
                Step::Let(own, expr) if *own == value => Some(*expr),
                _ => None,
            })
        };
        // Zero is so small that no difference overflows.
        let is_small = |zero: Value| {
            steps.iter().any(|step| match step {
                Step::Load(own, Load { from: Source::Input(input), otherwise: None, .. }) => {
                    *own == zero && range(self.inputs[*input as usize].dtype).is_some()
                }
                _ => false,
            })
        };
        let found = expr(self.last().value).and_then(|result| Quantization::of(&result, expr, expr));
        let (Some(found), Some((first, last))) = (found, range(self.output.dtype)) else { return false };
        found.zero.is_none_or(is_small)
            && first <= found.least
            && found.least <= found.most
            && found.most <= last
    }

    /// Whether a stage loads an input only at the place that its element has in the output.
    fn at_own_place(&self, stage: &Stage, input: usize) -> bool {
        let own = self.output_axes().map(Affine::from).collect::<Vec<_>>();
        let own = self.place(&own, &self.output.shape);
        let reads = |load: &Load| {
            let at: Option<Vec<Affine>> = load.at.iter().map(affine).collect();
            let place = at.map(|at| self.place(&at, &self.inputs[input].shape));
            load.otherwise.is_none() && place == Some(own.clone())
        };
        stage.steps.iter().all(|step| match step {
            Step::Load(_, load) if load.from == Source::Input(input as u32) => reads(load),
            Step::Reduce(_) => false,
            _ => true,
        })
    }

    /// The place in a tensor of what is at some coordinates. Axes of size 1 have no part in it.
    fn place(&self, at: &[Affine], shape: &[u64]) -> Affine {
        let terms = at.iter().zip(strides(shape)).map(|(index, stride)| index.clone() * stride as i64);
        let place = terms.fold(Affine::default(), |sum, term| sum + term);
        place.replace(|axis| if self.size(axis) == 1 { Affine::default() } else { axis.into() })
    }
}

/// Whether a value that is stored and loaded again is the same value. For floats that takes one NaN.
pub fn keeps_bits(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64 | DType::I32 | DType::U32 | DType::I64 | DType::U64)
}

/// The least and the largest integer of a type of small ones.
fn range(dtype: DType) -> Option<(i32, i32)> {
    match dtype {
        DType::U8 => Some((0, 0xff)),
        DType::I8 => Some((-0x80, 0x7f)),
        DType::U16 => Some((0, 0xffff)),
        DType::I16 => Some((-0x8000, 0x7fff)),
        _ => None,
    }
}

/// Calls a function for each load.
fn each_load(steps: &mut [Step], f: &mut impl FnMut(&mut Load)) {
    for step in steps {
        match step {
            Step::Load(_, load) => f(load),
            Step::Reduce(reduction) => each_load(&mut reduction.body, f),
            _ => {}
        }
    }
}

fn affine(coordinate: &Coordinate) -> Option<Affine> {
    match coordinate {
        Coordinate::Affine(index) => Some(index.clone()),
        Coordinate::Value(_) => None,
    }
}

/// The indices of a shape, given those of a finer one: each of its axes is a product of neighbouring axes
/// there.
fn refined(fine: &[u64], coarse: &[u64]) -> Option<Vec<Affine>> {
    let mut parts = long(fine).into_iter();
    let mut indices = vec![Affine::default(); coarse.len()];
    for (Axis(axis), size) in long(coarse) {
        let (mut product, mut index) = (1u64, Affine::default());
        while product < size {
            let (axis, part) = parts.next()?;
            product = product.checked_mul(part)?;
            index = index * part as i64 + axis;
        }
        if product != size {
            return None;
        }
        indices[axis as usize] = index;
    }
    parts.next().is_none().then_some(indices)
}

/// The axes that have more than one index, with their sizes.
fn long(shape: &[u64]) -> Vec<(Axis, u64)> {
    let axes = (0..).map(Axis).zip(shape.iter().copied());
    axes.filter(|&(_, size)| size != 1).collect()
}

/// The steps of a consumer, appended to those of a definition.
struct Appended<'a> {
    fused: Definition,
    consumer: &'a Definition,
    /// The consumer's input that is the output.
    input: usize,
    /// The consumer's axes.
    axes: Vec<Affine>,
    /// The consumer's values.
    known: Vec<Option<Value>>,
}

impl Appended<'_> {
    fn stage(&mut self, stage: &Stage) -> Option<()> {
        let element = self.fused.last().value;
        let mut steps = Vec::new();
        for step in &stage.steps {
            match step {
                Step::Load(value, load) if load.from == Source::Input(self.input as u32) => {
                    *self.known.get_mut(value.index())? = Some(element);
                }
                _ => steps.push(self.step(step)?),
            }
        }
        let value = self.value(stage.value)?;
        let last = self.fused.stages.last_mut()?;
        last.steps.extend(steps);
        last.value = value;
        Some(())
    }

    fn step(&mut self, step: &Step) -> Option<Step> {
        Some(match step {
            Step::Let(value, expr) => {
                expr.operands().into_iter().try_for_each(|operand| self.value(operand).map(|_| ()))?;
                let expr = expr.map(|operand| self.known[operand.index()].unwrap_or(operand));
                Step::Let(self.define(*value)?, expr)
            }
            Step::Call(value, function, x) => {
                let x = self.value(*x)?;
                Step::Call(self.define(*value)?, *function, x)
            }
            Step::Index(value, index) => {
                let index = self.index(index);
                Step::Index(self.define(*value)?, index)
            }
            Step::Load(value, load) => {
                let load = self.load(load)?;
                Step::Load(self.define(*value)?, load)
            }
            Step::Reduce(_) => return None,
        })
    }

    fn load(&self, load: &Load) -> Option<Load> {
        let Source::Input(number) = load.from else { return None };
        // The inputs of the consumer follow, without the one that is the output.
        let before = self.fused.inputs.len() as u32;
        let from = Source::Input(before + number - u32::from(number as usize > self.input));
        let coordinate = |coordinate: &Coordinate| match coordinate {
            Coordinate::Affine(index) => Some(self.index(index).into()),
            Coordinate::Value(value) => Some(self.value(*value)?.into()),
        };
        let otherwise = match load.otherwise {
            Some(value) => Some(self.value(value)?),
            None => None,
        };
        Some(Load { from, at: load.at.iter().map(coordinate).collect::<Option<_>>()?, otherwise })
    }

    fn index(&self, index: &Affine) -> Affine {
        index.replace(|axis| self.axes.get(axis.index()).cloned().unwrap_or_default())
    }

    fn value(&self, value: Value) -> Option<Value> {
        self.known.get(value.index()).copied().flatten()
    }

    /// A new value for one of the consumer's.
    fn define(&mut self, value: Value) -> Option<Value> {
        let ty: Type = *self.consumer.types.get(value.index())?;
        let new = Value(self.fused.types.len() as u32);
        self.fused.types.push(ty);
        self.known[value.index()] = Some(new);
        Some(new)
    }
}
