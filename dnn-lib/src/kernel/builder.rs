//! Building kernels: one method for each operation, closures for loops and branches.

use std::collections::HashMap;

use crate::kernel::ir::{Block, Kernel, Statement};
use crate::scalar::{Const, Expr, Ops, Type, Value};
use crate::tensor::{DType, TensorType};

/// Why a kernel is not valid: an error in the code that built it, not in that code's input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// An operation that is not defined for the types of its operands.
    #[error("kernel {kernel}: {operation} does not work on {operands:?}")]
    Types {
        /// The kernel's name.
        kernel: String,
        /// The operation.
        operation: String,
        /// The types of its operands.
        operands: Vec<Type>,
    },
    /// A value used outside the loop body or branch that defines it.
    #[error("kernel {kernel}: value {value:?} is used where it is not defined")]
    Scope {
        /// The kernel's name.
        kernel: String,
        /// The value.
        value: Value,
    },
    /// A loop whose step is not positive, a displacement that is too large, or too much code.
    #[error("kernel {kernel}: {what}")]
    Form {
        /// The kernel's name.
        kernel: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// Builds a [`Kernel`]. Errors are kept until [`Builder::finish`], so that kernels can be written as
/// straight-line code.
#[derive(Debug)]
pub struct Builder {
    kernel: Kernel,
    /// How deep the block is that defines each value; `None` after its end.
    depths: Vec<Option<usize>>,
    constants: Vec<Option<Const>>,
    floats: HashMap<Expr, Value>,
    /// The blocks that are being built, outermost first.
    open: Vec<Open>,
    /// The depth of the block that gets the next statement.
    depth: usize,
    error: Option<BuildError>,
}

/// A block that is being built.
#[derive(Debug, Default)]
struct Open {
    statements: Vec<Statement>,
    /// The values that it defines.
    values: Vec<Value>,
}

/// A loop without its body.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) index: Value,
    pub(crate) start: Value,
    pub(crate) end: Value,
    pub(crate) step: i64,
    pub(crate) bound: Option<u64>,
    pub(crate) init: Vec<Value>,
    pub(crate) carried: Vec<Value>,
}

impl Builder {
    /// Starts a kernel that computes `output`, cut into units of shape `tile`, from `inputs`.
    pub fn new(name: &str, inputs: &[TensorType], output: &TensorType, tile: &[u64]) -> Self {
        let kernel = Kernel {
            name: name.to_owned(),
            inputs: inputs.to_vec(),
            output: output.clone(),
            tile: tile.to_vec(),
            types: Vec::new(),
            body: Block::default(),
        };
        let mut builder = Self {
            kernel,
            depths: Vec::new(),
            constants: Vec::new(),
            floats: HashMap::new(),
            open: vec![Open::default()],
            depth: 0,
            error: None,
        };
        for _ in 0..builder.kernel.params() {
            builder.value(Type::I64);
        }
        if tile.len() != output.shape.len() || tile.contains(&0) {
            builder.fail_form("the tile must have the rank of the output and no zeros");
        }
        builder
    }

    /// Ends the kernel.
    pub fn finish(mut self) -> Result<Kernel, BuildError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let statements = self.open.pop().unwrap_or_default().statements;
        self.kernel.body = Block { statements, yields: Vec::new() };
        Ok(self.kernel)
    }

    /// The address of an input.
    pub fn input(&self, index: usize) -> Value {
        self.kernel.input(index)
    }

    /// The address of the output.
    pub fn output(&self) -> Value {
        self.kernel.output_address()
    }

    /// The first unit to compute.
    pub fn lo(&self) -> Value {
        self.kernel.lo()
    }

    /// The end of the units to compute, exclusive.
    pub fn hi(&self) -> Value {
        self.kernel.hi()
    }

    /// The number of values so far.
    pub(crate) fn size(&self) -> usize {
        self.kernel.types.len()
    }

    fn value(&mut self, ty: Type) -> Value {
        let value = Value(self.kernel.types.len() as u32);
        self.kernel.types.push(ty);
        self.depths.push(Some(self.depth));
        self.constants.push(None);
        if let Some(open) = self.open.get_mut(self.depth) {
            open.values.push(value);
        }
        value
    }

    fn push(&mut self, statement: Statement) {
        if let Some(open) = self.open.get_mut(self.depth) {
            open.statements.push(statement);
        }
    }

    fn let_(&mut self, ty: Type, expr: Expr) -> Value {
        let value = self.value(ty);
        if let Expr::Const(constant) = expr {
            self.constants[value.index()] = Some(constant);
        }
        self.push(Statement::Let(value, expr));
        value
    }

    /// A float constant: each is defined once, outside of all loops.
    fn float_constant(&mut self, expr: Expr) -> Value {
        if let Some(&value) = self.floats.get(&expr) {
            return value;
        }
        let ty = expr.ty(&self.kernel.types).unwrap_or(Type::F32);
        let value = self.at_depth(0, |b| b.let_(ty, expr));
        self.floats.insert(expr, value);
        value
    }

    /// How deep the block is that gets the next statement: 0 for the kernel's body.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// How deep the block is that defines a value; `None` if it has ended.
    pub(crate) fn depth_of(&self, value: Value) -> Option<usize> {
        self.depths[value.index()]
    }

    /// Builds something at the present end of an outer block.
    pub(crate) fn at_depth<T>(&mut self, depth: usize, build: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.depth, depth);
        let built = build(self);
        self.depth = before;
        built
    }

    /// A value that the head of an open block defines, such as what a loop carries.
    pub(crate) fn head(&mut self, depth: usize, ty: Type) -> Value {
        self.at_depth(depth, |b| b.value(ty))
    }

    /// Begins a block.
    pub(crate) fn begin(&mut self) {
        self.open.push(Open::default());
        self.depth = self.open.len() - 1;
    }

    /// Ends the innermost block, whose values can't be used any more.
    pub(crate) fn end(&mut self, yields: Vec<Value>) -> Block {
        self.check_visible(&yields);
        let open = self.open.pop().unwrap_or_default();
        open.values.iter().for_each(|value| self.depths[value.index()] = None);
        self.depth = self.open.len().saturating_sub(1);
        Block { statements: open.statements, yields }
    }

    fn values(&mut self, like: &[Value]) -> Vec<Value> {
        like.iter().map(|&value| self.value(self.ty(value))).collect()
    }

    fn fail(&mut self, error: BuildError) {
        self.error.get_or_insert(error);
    }

    pub(crate) fn fail_form(&mut self, what: &'static str) {
        self.fail(BuildError::Form { kernel: self.kernel.name.clone(), what });
    }

    fn fail_types(&mut self, operation: String, operands: &[Value]) {
        let operands = operands.iter().map(|&value| self.ty(value)).collect();
        self.fail(BuildError::Types { kernel: self.kernel.name.clone(), operation, operands });
    }

    fn check_visible(&mut self, values: &[Value]) {
        let visible = |value: &Value| self.depth_of(*value).is_some_and(|depth| depth <= self.depth);
        if let Some(&value) = values.iter().find(|value| !visible(value)) {
            self.fail(BuildError::Scope { kernel: self.kernel.name.clone(), value });
        }
    }

    fn expect_types(&mut self, operation: &str, values: &[Value], types: &[Type]) {
        self.check_visible(values);
        if !values.iter().map(|&value| self.ty(value)).eq(types.iter().copied()) {
            self.fail_types(operation.to_owned(), values);
        }
    }

    /// The element at address `base + offset`.
    pub fn load(&mut self, dtype: DType, base: Value, offset: i32) -> Value {
        self.expect_types("load", &[base], &[Type::I64]);
        self.expect_loaded(dtype);
        let value = self.value(Type::of(dtype));
        self.push(Statement::Load { value, dtype, base, offset });
        value
    }

    /// Writes the element at address `base + offset`.
    pub fn store(&mut self, dtype: DType, base: Value, offset: i32, value: Value) {
        self.expect_types("store", &[base, value], &[Type::I64, Type::of(dtype)]);
        self.expect_loaded(dtype);
        self.push(Statement::Store { dtype, base, offset, value });
    }

    fn expect_loaded(&mut self, dtype: DType) {
        if Type::loaded(dtype).is_none() {
            self.fail_form("packed elements can't be loaded or stored");
        }
    }

    /// The address of element `index` of an array of `dtype` at `base`.
    pub fn element(&mut self, dtype: DType, base: Value, index: Value) -> Value {
        let offset = self.mul_const(index, dtype.size() as i64);
        self.add(base, offset)
    }

    /// `for index in (start..end).step_by(step)`, as signed `I64`. The body gets the index and the carried
    /// values and returns the next ones. The loop returns the last ones (`init`, if it never runs).
    pub fn for_(
        &mut self,
        start: Value,
        end: Value,
        step: i64,
        init: &[Value],
        body: impl FnOnce(&mut Self, Value, &[Value]) -> Vec<Value>,
    ) -> Vec<Value> {
        let bound = match (self.constant(start), self.constant(end)) {
            (Some(Const::I64(start)), Some(Const::I64(end))) => {
                Some((end.saturating_sub(start).max(0) as u64).div_ceil(step.max(1) as u64))
            }
            _ => None,
        };
        self.loop_(start, end, step, bound, init, body)
    }

    /// Like [`for_`](Self::for_), with the guarantee that there are at most `bound` iterations.
    pub fn for_bounded(
        &mut self,
        start: Value,
        end: Value,
        step: i64,
        bound: u64,
        init: &[Value],
        body: impl FnOnce(&mut Self, Value, &[Value]) -> Vec<Value>,
    ) -> Vec<Value> {
        self.loop_(start, end, step, Some(bound), init, body)
    }

    fn loop_(
        &mut self,
        start: Value,
        end: Value,
        step: i64,
        bound: Option<u64>,
        init: &[Value],
        body: impl FnOnce(&mut Self, Value, &[Value]) -> Vec<Value>,
    ) -> Vec<Value> {
        self.begin();
        let index = self.value(Type::I64);
        let carried = self.values(init);
        let yields = body(self, index, &carried);
        let body = self.end(yields);
        self.end_loop(Head { index, start, end, step, bound, init: init.to_vec(), carried }, body)
    }

    /// Adds a loop whose body has been built, and gives its results.
    pub(crate) fn end_loop(&mut self, head: Head, body: Block) -> Vec<Value> {
        let Head { index, start, end, step, bound, init, carried } = head;
        self.expect_types("a loop's range", &[start, end], &[Type::I64, Type::I64]);
        self.check_visible(&init);
        if step <= 0 {
            self.fail_form("the step of a loop must be positive");
        }
        self.expect_same_types("what a loop carries", &body.yields, &init);
        let results = self.values(&init);
        let done = results.clone();
        self.push(Statement::For { index, start, end, step, bound, init, carried, body, results });
        done
    }

    /// A branch. Both sides return values of the same types, which are its results.
    pub fn if_(
        &mut self,
        condition: Value,
        then: impl FnOnce(&mut Self) -> Vec<Value>,
        otherwise: impl FnOnce(&mut Self) -> Vec<Value>,
    ) -> Vec<Value> {
        self.expect_types("a branch", &[condition], &[Type::Bool]);
        let then = self.block(then);
        let otherwise = self.block(otherwise);
        self.end_if(condition, then, otherwise)
    }

    /// Adds a branch whose sides have been built, and gives its results.
    pub(crate) fn end_if(&mut self, condition: Value, then: Block, otherwise: Block) -> Vec<Value> {
        self.expect_same_types("a branch's results", &then.yields, &otherwise.yields);
        let results = self.values(&then.yields);
        let done = results.clone();
        self.push(Statement::If { condition, then, otherwise, results });
        done
    }

    fn block(&mut self, build: impl FnOnce(&mut Self) -> Vec<Value>) -> Block {
        self.begin();
        let yields = build(self);
        self.end(yields)
    }

    fn expect_same_types(&mut self, operation: &str, values: &[Value], like: &[Value]) {
        let types = |values: &[Value]| values.iter().map(|&value| self.ty(value)).collect::<Vec<_>>();
        if types(values) != types(like) {
            self.fail_types(operation.to_owned(), values);
        }
    }
}

impl Ops for Builder {
    fn define(&mut self, expr: Expr) -> Value {
        if let Expr::Const(Const::F32(_) | Const::F64(_)) = expr {
            return self.float_constant(expr);
        }
        let operands = expr.operands();
        self.check_visible(&operands);
        let ty = expr.ty(&self.kernel.types).unwrap_or_else(|| {
            self.fail_types(format!("{expr:?}"), &operands);
            Type::I64
        });
        self.let_(ty, expr)
    }

    fn ty(&self, value: Value) -> Type {
        self.kernel.ty(value)
    }

    fn constant(&self, value: Value) -> Option<Const> {
        self.constants[value.index()]
    }
}
