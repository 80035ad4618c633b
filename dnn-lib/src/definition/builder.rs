//! Building definitions.

use super::affine::{Affine, Axis, Coordinate};
use super::{Definition, DefinitionError, Load, Order, Range, Reduction, Source, Stage, Step, Window};
use crate::math::Function;
use crate::scalar::{BinaryOp, Const, Expr, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// Builds a [`Definition`]. What is wrong is found by [`Builder::finish`], so that definitions can be written
/// as straight-line code.
#[derive(Debug)]
pub struct Builder {
    definition: Definition,
    constants: Vec<Option<Const>>,
    /// The steps of the stage or body that is being built.
    steps: Vec<Step>,
}

/// The axis of a reduction that is being built: how many indices it has, and which of them count.
#[derive(Clone, Debug)]
pub struct Over {
    size: u64,
    window: Option<Window>,
}

impl Over {
    /// All of `0..size`.
    pub fn all(size: u64) -> Self {
        Self { size, window: None }
    }

    /// Those of `0..size` whose position `start + step * index` is in `0..positions`.
    pub fn window(size: u64, start: impl Into<Affine>, step: u64, positions: u64) -> Self {
        Self { size, window: Some(Window { start: start.into(), step, size: positions }) }
    }

    /// The number of indices, and the window.
    pub fn parts(&self) -> (u64, Option<Window>) {
        (self.size, self.window.clone())
    }
}

impl Builder {
    /// Starts a definition of `output`, each of whose elements is computed on its own.
    pub fn new(name: &str, inputs: &[TensorType], output: &TensorType) -> Self {
        let definition = Definition {
            name: name.to_owned(),
            inputs: inputs.to_vec(),
            output: output.clone(),
            axes: output.shape.clone(),
            row: Vec::new(),
            types: Vec::new(),
            stages: Vec::new(),
        };
        Self { definition, constants: Vec::new(), steps: Vec::new() }
    }

    /// Declares that rows run along these axes of the output, ascending.
    pub fn rows_along(&mut self, axes: impl IntoIterator<Item = usize>) {
        self.definition.row = axes.into_iter().map(|axis| Axis(axis as u32)).collect();
    }

    /// Ends a stage with one value a row.
    pub fn stage(&mut self, value: Value) -> Source {
        self.end_stage(Vec::new(), value)
    }

    /// Ends a stage with one value for each element of the row.
    pub fn row_stage(&mut self, value: Value) -> Source {
        self.end_stage(self.definition.row.clone(), value)
    }

    fn end_stage(&mut self, axes: Vec<Axis>, value: Value) -> Source {
        let steps = std::mem::take(&mut self.steps);
        self.definition.stages.push(Stage { axes, steps, value });
        Source::Stage(self.definition.stages.len() as u32 - 1)
    }

    /// Ends the definition: this is the element.
    pub fn finish(mut self, value: Value) -> Result<Definition, DefinitionError> {
        self.end_stage(self.definition.row.clone(), value);
        self.definition.check()?;
        Ok(self.definition)
    }

    /// The index of the output along an axis.
    pub fn at(&self, axis: usize) -> Affine {
        Affine::from(Axis(axis as u32))
    }

    /// The indices of the output.
    pub fn indices(&self) -> Vec<Affine> {
        self.definition.output_axes().map(Affine::from).collect()
    }

    /// The shape of an input, as the definition sees it.
    pub fn input_shape(&self, input: usize) -> &[u64] {
        &self.definition.inputs[input].shape
    }

    /// The element type of the output.
    pub fn output_dtype(&self) -> DType {
        self.definition.output.dtype
    }

    fn value(&mut self, ty: Type) -> Value {
        let value = Value(self.definition.types.len() as u32);
        self.definition.types.push(ty);
        self.constants.push(None);
        value
    }

    /// An index as an `I64`.
    pub fn index(&mut self, index: impl Into<Affine>) -> Value {
        let value = self.value(Type::I64);
        self.steps.push(Step::Index(value, index.into()));
        value
    }

    /// An elementary function. That of an `F64` is many operations, since nothing but definitions knows it.
    pub fn call(&mut self, function: Function, x: Value) -> Value {
        if self.ty(x) == Type::F64 {
            return function.double(self, x);
        }
        let value = self.value(Type::F32);
        self.steps.push(Step::Call(value, function, x));
        value
    }

    /// An element of a tensor. Affine coordinates must be in range.
    pub fn load<C: Into<Coordinate>>(&mut self, from: Source, at: impl IntoIterator<Item = C>) -> Value {
        let at = at.into_iter().map(Into::into).collect();
        self.loaded(Load { from, at, otherwise: None })
    }

    /// An element of a tensor, or another value if a coordinate is out of range.
    pub fn load_or<C: Into<Coordinate>>(
        &mut self,
        from: Source,
        at: impl IntoIterator<Item = C>,
        otherwise: Value,
    ) -> Value {
        let at = at.into_iter().map(Into::into).collect();
        self.loaded(Load { from, at, otherwise: Some(otherwise) })
    }

    fn loaded(&mut self, load: Load) -> Value {
        let definition = &self.definition;
        let ty = match load.from {
            Source::Input(index) => definition.inputs.get(index as usize).map(|ty| Type::of(ty.dtype)),
            Source::Stage(index) => {
                definition.stages.get(index as usize).map(|stage| definition.ty(stage.value))
            }
        };
        let value = self.value(ty.unwrap_or(Type::Bool));
        self.steps.push(Step::Load(value, load));
        value
    }

    /// The value of a stage that has one value a row.
    pub fn of_row(&mut self, stage: Source) -> Value {
        self.load(stage, <[Affine; 0]>::default())
    }

    /// The element of an input, as input 0, 1, ..., that belongs to an index of the output: aligned at the
    /// right, with dimensions of size 1 repeated.
    pub fn broadcast(&mut self, input: usize) -> Value {
        let shape = &self.definition.inputs[input].shape;
        let added = self.definition.output.shape.len().saturating_sub(shape.len());
        let index = |(axis, &size): (usize, &u64)| match size {
            1 => Affine::from(0),
            _ => self.at(axis + added),
        };
        let at: Vec<Affine> = shape.iter().enumerate().map(index).collect();
        self.load(Source::Input(input as u32), at)
    }

    /// A fold in ascending order. The body gets the indices and the values so far, and returns the next ones.
    pub fn fold(
        &mut self,
        over: impl IntoIterator<Item = Over>,
        init: &[Value],
        body: impl FnOnce(&mut Self, &[Affine], &[Value]) -> Vec<Value>,
    ) -> Vec<Value> {
        self.reduce(Order::Ascending, over, init, body)
    }

    /// A reduction by an operation, in lanes.
    pub fn in_lanes(
        &mut self,
        op: BinaryOp,
        over: impl IntoIterator<Item = u64>,
        init: Value,
        value: impl FnOnce(&mut Self, &[Affine]) -> Value,
    ) -> Value {
        let over = over.into_iter().map(Over::all);
        let results = self.reduce(Order::Lanes, over, &[init], |b, at, so_far| {
            let value = value(b, at);
            vec![b.binary(op, so_far[0], value)]
        });
        results[0]
    }

    fn reduce(
        &mut self,
        order: Order,
        over: impl IntoIterator<Item = Over>,
        init: &[Value],
        body: impl FnOnce(&mut Self, &[Affine], &[Value]) -> Vec<Value>,
    ) -> Vec<Value> {
        let mut ranges = Vec::new();
        for Over { size, window } in over {
            ranges.push(Range { axis: Axis(self.definition.axes.len() as u32), window });
            self.definition.axes.push(size);
        }
        let like = |b: &mut Self| init.iter().map(|&value| b.value(b.ty(value))).collect::<Vec<_>>();
        let carried = like(self);
        let outer = std::mem::take(&mut self.steps);
        let at: Vec<Affine> = ranges.iter().map(|range| range.axis.into()).collect();
        let yields = body(self, &at, &carried);
        let body = std::mem::replace(&mut self.steps, outer);
        let results = like(self);
        let init = init.to_vec();
        let done = results.clone();
        self.steps.push(Step::Reduce(Reduction { ranges, order, init, carried, body, yields, results }));
        done
    }
}

impl Ops for Builder {
    fn define(&mut self, expr: Expr) -> Value {
        // What has no type is found by `finish`.
        let value = self.value(expr.ty(&self.definition.types).unwrap_or(Type::Bool));
        if let Expr::Const(constant) = expr {
            self.constants[value.index()] = Some(constant);
        }
        self.steps.push(Step::Let(value, expr));
        value
    }

    fn ty(&self, value: Value) -> Type {
        self.definition.ty(value)
    }

    fn constant(&self, value: Value) -> Option<Const> {
        self.constants[value.index()]
    }
}
