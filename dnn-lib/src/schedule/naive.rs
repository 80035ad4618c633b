//! One element after the other, with every index computed anew.

use crate::definition::{
    Affine, Axis, Coordinate, Definition, LANES, Load, Order, Range, Reduction, Source, Stage, Step, Window,
};
use crate::kernel::{BinaryOp, BuildError, Builder, Kernel, Ops, Value};
use crate::layout::{coordinates, strides};

pub(super) fn kernel(definition: &Definition) -> Result<Kernel, BuildError> {
    let tile = super::tile(definition);
    let mut b = Builder::new(&definition.name, &definition.inputs, &definition.output, &tile);
    let zero = b.i64(0);
    let mut emit = Emit {
        definition,
        values: vec![zero; definition.types.len()],
        indices: vec![zero; definition.axes.len()],
        rows: Vec::new(),
    };
    let outer = definition.outer();
    let grid: Vec<u64> = outer.iter().map(|&axis| definition.size(axis)).collect();
    let (lo, hi) = (b.lo(), b.hi());
    b.for_(lo, hi, 1, &[], |b, unit, _| {
        for (axis, index) in outer.iter().zip(coordinates(b, unit, &grid)) {
            emit.indices[axis.index()] = index;
        }
        emit.row(b);
        vec![]
    });
    b.finish()
}

struct Emit<'a> {
    definition: &'a Definition,
    /// The code's value of each of the definition's values.
    values: Vec<Value>,
    indices: Vec<Value>,
    /// The values of the stages that have one a row.
    rows: Vec<Option<Value>>,
}

impl Emit<'_> {
    fn row(&mut self, b: &mut Builder) {
        let definition = self.definition;
        self.rows.clear();
        for stage in &definition.stages[..definition.stages.len() - 1] {
            let value = stage.axes.is_empty().then(|| self.stage(b, stage));
            self.rows.push(value);
        }
        self.elements(b, &definition.row);
    }

    /// Computes the elements of the output, for all indices of some axes.
    fn elements(&mut self, b: &mut Builder, axes: &[Axis]) {
        if let Some((axis, inner)) = axes.split_first() {
            let (start, end) = (b.i64(0), b.i64(self.definition.size(*axis) as i64));
            b.for_(start, end, 1, &[], |b, index, _| {
                self.indices[axis.index()] = index;
                self.elements(b, inner);
                vec![]
            });
            return;
        }
        let definition = self.definition;
        let value = self.stage(b, definition.last());
        let at: Vec<Value> = definition.output_axes().map(|axis| self.indices[axis.index()]).collect();
        let dtype = definition.output.dtype;
        let place = place(b, &definition.output.shape, &at);
        let address = b.element(dtype, b.output(), place);
        b.store(dtype, address, 0, value);
    }

    fn stage(&mut self, b: &mut Builder, stage: &Stage) -> Value {
        self.steps(b, &stage.steps);
        self.get(stage.value)
    }

    fn get(&self, value: Value) -> Value {
        self.values[value.index()]
    }

    fn all(&self, values: &[Value]) -> Vec<Value> {
        values.iter().map(|&value| self.get(value)).collect()
    }

    fn set_all(&mut self, to: &[Value], from: &[Value]) {
        to.iter().zip(from).for_each(|(to, &from)| self.values[to.index()] = from);
    }

    fn affine(&self, b: &mut Builder, affine: &Affine) -> Value {
        let mut sum = b.i64(affine.constant);
        for &(axis, factor) in &affine.terms {
            let term = b.mul_const(self.indices[axis.index()], factor);
            sum = b.add(sum, term);
        }
        sum
    }

    fn steps(&mut self, b: &mut Builder, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Let(value, expr) => {
                    let expr = expr.map(|operand| self.get(operand));
                    self.values[value.index()] = b.define(expr);
                }
                Step::Call(value, function, x) => {
                    let x = self.get(*x);
                    self.values[value.index()] = function.apply(b, x);
                }
                Step::Index(value, index) => self.values[value.index()] = self.affine(b, index),
                Step::Load(value, load) => self.values[value.index()] = self.load(b, load),
                Step::Reduce(reduction) => self.reduce(b, reduction),
            }
        }
    }

    fn load(&mut self, b: &mut Builder, load: &Load) -> Value {
        let shape = self.definition.shape(load.from);
        let mut at = Vec::new();
        let mut inside: Option<Value> = None;
        for (coordinate, &size) in load.at.iter().zip(&shape) {
            let index = match coordinate {
                Coordinate::Affine(affine) => self.affine(b, affine),
                Coordinate::Value(value) => self.get(*value),
            };
            if load.otherwise.is_some() {
                let size = b.i64(size as i64);
                let here = b.compare(crate::scalar::Comparison::LtU, index, size);
                inside = Some(inside.map_or(here, |inside| b.binary(BinaryOp::And, inside, here)));
            }
            at.push(match (coordinate, load.otherwise) {
                (Coordinate::Value(_), None) => {
                    let (zero, last) = (b.i64(0), b.i64(size as i64 - 1));
                    let index = b.max(index, zero);
                    b.min(index, last)
                }
                _ => index,
            });
        }
        match (inside, load.otherwise) {
            (Some(inside), Some(otherwise)) => {
                let otherwise = self.get(otherwise);
                b.if_(inside, |b| vec![self.element(b, load.from, &shape, &at)], |_| vec![otherwise])[0]
            }
            _ => self.element(b, load.from, &shape, &at),
        }
    }

    fn element(&mut self, b: &mut Builder, from: Source, shape: &[u64], at: &[Value]) -> Value {
        let definition = self.definition;
        match from {
            Source::Input(input) => {
                let dtype = definition.inputs[input as usize].dtype;
                let place = place(b, shape, at);
                let address = b.element(dtype, b.input(input as usize), place);
                b.load(dtype, address, 0)
            }
            Source::Stage(index) => {
                if let Some(value) = self.rows[index as usize] {
                    return value;
                }
                // It is computed anew.
                let stage = &definition.stages[index as usize];
                let before = self.indices.clone();
                stage.axes.iter().zip(at).for_each(|(axis, &index)| self.indices[axis.index()] = index);
                let value = self.stage(b, stage);
                self.indices = before;
                value
            }
        }
    }

    fn reduce(&mut self, b: &mut Builder, reduction: &Reduction) {
        let init = self.all(&reduction.init);
        let results = match (reduction.order, reduction.combination()) {
            (Order::Lanes, Some((op, _))) => vec![self.lanes(b, reduction, op, init[0])],
            _ => self.fold(b, reduction, &reduction.ranges, &init),
        };
        self.set_all(&reduction.results, &results);
    }

    fn body(&mut self, b: &mut Builder, reduction: &Reduction, carried: &[Value]) -> Vec<Value> {
        self.set_all(&reduction.carried, carried);
        self.steps(b, &reduction.body);
        self.all(&reduction.yields)
    }

    fn fold(
        &mut self,
        b: &mut Builder,
        reduction: &Reduction,
        ranges: &[Range],
        init: &[Value],
    ) -> Vec<Value> {
        let Some((range, inner)) = ranges.split_first() else { return self.body(b, reduction, init) };
        let size = self.definition.size(range.axis);
        let (start, end) = match &range.window {
            Some(window) => self.clip(b, window, size),
            None => (b.i64(0), b.i64(size as i64)),
        };
        b.for_bounded(start, end, 1, size, init, |b, index, carried| {
            self.indices[range.axis.index()] = index;
            self.fold(b, reduction, inner, carried)
        })
    }

    /// The indices of a window that count.
    fn clip(&self, b: &mut Builder, window: &Window, size: u64) -> (Value, Value) {
        let start = self.affine(b, &window.start);
        let zero = b.i64(0);
        let mut before = |limit: u64| {
            let round = b.i64((limit + window.step - 1) as i64);
            let room = b.sub(round, start);
            let room = b.max(room, zero);
            b.div_rem(room, window.step).0
        };
        let (first, end) = (before(0), before(window.size));
        let size = b.i64(size as i64);
        (first, b.min(end, size))
    }

    fn lanes(&mut self, b: &mut Builder, reduction: &Reduction, op: BinaryOp, init: Value) -> Value {
        let axes: Vec<Axis> = reduction.ranges.iter().map(|range| range.axis).collect();
        let sizes: Vec<u64> = axes.iter().map(|&axis| self.definition.size(axis)).collect();
        let count: u64 = sizes.iter().product();
        let whole = count / LANES as u64 * LANES as u64;
        let (start, end) = (b.i64(0), b.i64(whole as i64));
        let mut add = |b: &mut Builder, base: Value, lanes: &[Value], count: u64| {
            let mut lanes = lanes.to_vec();
            for (number, lane) in (0..count).zip(&mut lanes) {
                let number = b.add_const(base, number as i64);
                for (axis, index) in axes.iter().zip(coordinates(b, number, &sizes)) {
                    self.indices[axis.index()] = index;
                }
                *lane = self.body(b, reduction, &[*lane])[0];
            }
            lanes
        };
        let lanes = b.for_(start, end, LANES as i64, &[init; LANES], |b, base, lanes| {
            add(b, base, lanes, LANES as u64)
        });
        let mut lanes = add(b, end, &lanes, count - whole);
        while lanes.len() > 1 {
            let (low, high) = lanes.split_at(lanes.len() / 2);
            lanes = low.iter().zip(high).map(|(&low, &high)| b.binary(op, low, high)).collect();
        }
        lanes[0]
    }
}

/// The position of an element, in elements.
fn place(b: &mut Builder, shape: &[u64], at: &[Value]) -> Value {
    let mut place = b.i64(0);
    for (&index, stride) in at.iter().zip(strides(shape)) {
        let offset = b.mul_const(index, stride as i64);
        place = b.add(place, offset);
    }
    place
}
