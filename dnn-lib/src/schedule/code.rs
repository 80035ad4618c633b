//! Code in which equal things are computed once, as far outside of loops as they can be, and in which addresses
//! are counted up instead of computed.
//!
//! Indices are affine in *variables*: the counters of loops, and values. An address is a base and such a sum.
//! A loop carries the addresses that are asked for in its body; what differs only by a constant shares one, and
//! one of them counts the iterations.

use std::collections::HashMap;

use crate::definition::{Affine, Axis};
use crate::kernel::{BuildError, Builder, Head, Kernel};
use crate::math::Function;
use crate::scalar::{BinaryOp, Const, Conversion, Expr, Ops, Type, Value};
use crate::tensor::DType;

/// Where an address begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Base {
    /// An input.
    Input(u32),
    /// The output.
    Output,
    /// Nowhere: the address is an index.
    Zero,
}

/// A variable of an index. Affine indices in this module have variables for axes.
pub(super) type Variable = Axis;

/// The terms of an index.
type Terms = Vec<(Variable, i64)>;

/// Builds a side of a branch.
type Side<'a, O> = &'a mut dyn FnMut(&mut O) -> Vec<Value>;

#[derive(Clone, Copy, Debug)]
struct Known {
    /// The depth of the block in which it is known.
    depth: usize,
    /// Its value, if it does not count the iterations of a loop.
    value: Option<Value>,
    least: i64,
    most: i64,
}

/// How often a loop runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    /// So often, at least once.
    Fixed(u64),
    /// As often as the value says, which is at most the number.
    UpTo(Value, u64),
}

/// A loop that is being built.
struct Loop {
    variable: Variable,
    start: Affine,
    step: i64,
    count: Count,
    init: Vec<Value>,
    carried: Vec<Value>,
    addresses: Vec<Carried>,
}

/// An address that a loop carries.
struct Carried {
    base: Base,
    /// The address before the first iteration.
    first: Affine,
    step: i64,
    value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pure {
    Expr(Expr),
    Call(Function, Value),
    Load(DType, Value, i32),
    /// A constant that is in a register from the beginning.
    Far(i64),
}

/// The displacements that a load or a store can have (on RISC-V, 12 bits, signed), with room for its size.
const REACH: std::ops::RangeInclusive<i64> = -2048..=2040;

/// The distances that one instruction can add.
const NEAR: std::ops::RangeInclusive<i64> = -2048..=2047;

/// See the module's documentation.
pub(super) struct Code {
    b: Builder,
    variables: Vec<Known>,
    pure: HashMap<Pure, Value>,
    /// The addresses that there are for a base and a sum, with their constants.
    addresses: HashMap<(Base, Terms), Vec<(i64, Value)>>,
    /// The loops that are being built, and the depth of each.
    loops: Vec<(usize, Loop)>,
    /// The depths of the branches that are being built. What is in a branch is not moved out of it.
    branches: Vec<usize>,
    /// The variable of each value that is one.
    valued: HashMap<(Value, i64, i64), Variable>,
    /// Values that are known to be in `0..=most`.
    most: HashMap<Value, i64>,
    /// How many steps of the definition may still become code.
    left: u64,
}

/// How many steps of a definition may become code, all copies counted. Unrolled loops in loops and stages that
/// are computed where they are loaded could make endless code of a few steps.
const MOST_CODE: u64 = 1 << 20;

/// The most values of a kernel: compiling takes more than twice as long for twice as many, seconds for these.
const MOST_VALUES: usize = 1 << 14;

impl Code {
    pub(super) fn new(b: Builder) -> Self {
        Self {
            b,
            variables: Vec::new(),
            pure: HashMap::new(),
            addresses: HashMap::new(),
            loops: Vec::new(),
            branches: Vec::new(),
            valued: HashMap::new(),
            most: HashMap::new(),
            left: MOST_CODE,
        }
    }

    pub(super) fn finish(mut self) -> Result<Kernel, BuildError> {
        if self.is_full() {
            self.b.fail_form("a definition would become too much code");
        }
        self.b.finish()
    }

    /// Counts steps that become code. Once it is full, nothing more should be added, since it is an error.
    pub(super) fn add_steps(&mut self, steps: u64) {
        self.left = self.left.saturating_sub(steps);
    }

    /// Whether too much has become code.
    pub(super) fn is_full(&self) -> bool {
        self.left == 0 || self.b.size() > MOST_VALUES
    }

    pub(super) fn lo(&self) -> Value {
        self.b.lo()
    }

    pub(super) fn hi(&self) -> Value {
        self.b.hi()
    }

    /// Whether a value can be used here.
    pub(super) fn usable(&self, value: Value) -> bool {
        self.b.depth_of(value).is_some_and(|depth| depth <= self.b.depth())
    }

    fn pure(&mut self, key: Pure, operands: &[Value], build: impl FnOnce(&mut Builder) -> Value) -> Value {
        if let Some(&value) = self.pure.get(&key).filter(|&&value| self.usable(value)) {
            return value;
        }
        let outermost = self.branches.last().copied().unwrap_or(0);
        let depths = operands.iter().filter_map(|&operand| self.b.depth_of(operand));
        // An integer is best a constant of the instruction that uses it.
        let start = match key {
            Pure::Expr(Expr::Const(Const::I32(_) | Const::I64(_))) => self.b.depth(),
            _ if operands.is_empty() => 0,
            _ => outermost,
        };
        let depth = depths.fold(start, usize::max);
        let value = self.b.at_depth(depth, build);
        self.pure.insert(key, value);
        value
    }

    /// An elementary function.
    pub(super) fn call(&mut self, function: Function, x: Value) -> Value {
        self.pure(Pure::Call(function, x), &[x], |b| function.apply(b, x))
    }

    /// An element of a tensor.
    pub(super) fn load(&mut self, dtype: DType, base: Base, place: &Affine) -> Value {
        let (address, displacement) = self.address(base, &(place.clone() * dtype.size() as i64));
        if base == Base::Output {
            // It changes.
            return self.b.load(dtype, address, displacement);
        }
        let key = Pure::Load(dtype, address, displacement);
        self.pure(key, &[address], |b| b.load(dtype, address, displacement))
    }

    /// Stores an element of the output.
    pub(super) fn store(&mut self, dtype: DType, place: &Affine, value: Value) {
        let (address, displacement) = self.address(Base::Output, &(place.clone() * dtype.size() as i64));
        self.b.store(dtype, address, displacement, value);
    }

    /// An index as a value.
    pub(super) fn index(&mut self, index: &Affine) -> Value {
        let (value, displacement) = self.address(Base::Zero, index);
        self.add_const(value, displacement.into())
    }

    /// The address of a place, given in bytes, in reach of a displacement.
    fn address(&mut self, base: Base, place: &Affine) -> (Value, i32) {
        let key = (base, place.terms.clone());
        let near = |&&(constant, value): &&(i64, Value)| {
            REACH.contains(&place.constant.wrapping_sub(constant)) && self.usable(value)
        };
        if let Some(&(constant, value)) = self.addresses.get(&key).and_then(|known| known.iter().find(near)) {
            return (value, (place.constant - constant) as i32);
        }
        let (constant, value) = self.new_address(base, place);
        let known = self.addresses.entry(key).or_default();
        known.push((constant, value));
        (value, (place.constant - constant) as i32)
    }

    /// An address at a distance. A long distance is kept in a register; otherwise the compiler would compute it
    /// anew for each load.
    fn moved(&mut self, address: Value, distance: i64) -> Value {
        if NEAR.contains(&distance) {
            return self.add_const(address, distance);
        }
        let distance = self.pure(Pure::Far(distance), &[], |b| b.i64(distance));
        self.add(address, distance)
    }

    /// A new address near a place, and the constant of the place that it is the address of.
    fn new_address(&mut self, base: Base, place: &Affine) -> (i64, Value) {
        let innermost = place.terms.iter().copied().max_by_key(|&(variable, _)| {
            let known = self.variables[variable.index()];
            (known.depth, known.value.is_some())
        });
        let Some((variable, factor)) = innermost else {
            let start = match base {
                Base::Input(index) => self.b.input(index as usize),
                Base::Output => self.b.output(),
                Base::Zero => return (place.constant, self.i64(place.constant)),
            };
            let reached = if REACH.contains(&place.constant) { 0 } else { place.constant };
            return (reached, self.moved(start, reached));
        };
        let rest = place.clone() - Affine::from(variable) * factor;
        let Some(value) = self.variables[variable.index()].value else {
            return (place.constant, self.carry(base, rest, variable, factor));
        };
        let term = self.mul_const(value, factor);
        if base == Base::Zero && rest.terms.is_empty() {
            // What an instruction can't add to it is added here.
            let reached = if i32::try_from(place.constant).is_ok() { 0 } else { place.constant };
            return (reached, if reached == 0 { term } else { self.moved(term, reached) });
        }
        let (address, displacement) = self.address(base, &rest);
        (place.constant - i64::from(displacement), self.add(address, term))
    }

    /// Lets the loop of a variable carry an address.
    fn carry(&mut self, base: Base, rest: Affine, variable: Variable, factor: i64) -> Value {
        let found = self.loops.iter_mut().find(|(_, known)| known.variable == variable);
        let Some((depth, known)) = found else { return self.b.output() };
        let value = self.b.head(*depth, Type::I64);
        let first = rest + known.start.clone() * factor;
        known.addresses.push(Carried { base, first, step: known.step * factor, value });
        value
    }

    /// A variable that has a value in `least..=most`.
    pub(super) fn variable_of(&mut self, value: Value, least: i64, most: i64) -> Variable {
        if let Some(&variable) = self.valued.get(&(value, least, most)) {
            return variable;
        }
        let depth = self.b.depth_of(value).unwrap_or(0);
        let variable = self.variable(Known { depth, value: Some(value), least, most });
        self.valued.insert((value, least, most), variable);
        variable
    }

    fn variable(&mut self, known: Known) -> Variable {
        self.variables.push(known);
        Axis(self.variables.len() as u32 - 1)
    }

    /// The numbers that an index can be here.
    pub(super) fn range(&self, index: &Affine) -> (i128, i128) {
        let start = (i128::from(index.constant), i128::from(index.constant));
        index.terms.iter().fold(start, |(least, most), &(variable, factor)| {
            let known = self.variables[variable.index()];
            let [a, b] = [known.least, known.most].map(|end| i128::from(end) * i128::from(factor));
            (least + a.min(b), most + a.max(b))
        })
    }

    /// Replaces what is known of a variable's numbers, and gives what was known.
    pub(super) fn narrow(&mut self, variable: Variable, least: i64, most: i64) -> (i64, i64) {
        let known = &mut self.variables[variable.index()];
        (std::mem::replace(&mut known.least, least), std::mem::replace(&mut known.most, most))
    }

    /// Begins a loop over `start`, `start + step`, ... that carries values. Gives the variable and the values.
    pub(super) fn begin_loop(
        &mut self,
        start: Affine,
        step: i64,
        count: Count,
        init: &[Value],
    ) -> (Variable, Vec<Value>) {
        let most = match count {
            Count::Fixed(count) | Count::UpTo(_, count) => count.saturating_sub(1) as i64,
        };
        let (least, last) = self.range(&start);
        self.b.begin();
        let depth = self.b.depth();
        let (least, most) = (least as i64, (last as i64).saturating_add(most.saturating_mul(step)));
        let variable = self.variable(Known { depth, value: None, least, most });
        let carried: Vec<Value> = init.iter().map(|&value| self.b.head(depth, self.b.ty(value))).collect();
        let init = init.to_vec();
        let known = Loop { variable, start, step, count, init, carried, addresses: Vec::new() };
        let carried = known.carried.clone();
        self.loops.push((depth, known));
        (variable, carried)
    }

    /// Ends the innermost loop, given the next carried values, and gives the last ones.
    pub(super) fn end_loop(&mut self, next: &[Value]) -> Vec<Value> {
        let Some((depth, Loop { count, init, carried, addresses, .. })) = self.loops.pop() else {
            return next.to_vec();
        };
        // The first address that goes up counts the iterations.
        let counter = addresses.iter().position(|address| address.step > 0);
        let mut yields = next.to_vec();
        for (index, address) in addresses.iter().enumerate() {
            if Some(index) != counter {
                yields.push(self.moved(address.value, address.step));
            }
        }
        let index = match counter {
            Some(counter) => addresses[counter].value,
            None => self.b.head(depth, Type::I64),
        };
        let body = self.b.end(yields);
        let firsts: Vec<Value> = addresses
            .iter()
            .map(|address| {
                let (value, displacement) = self.address(address.base, &address.first);
                self.add_const(value, displacement.into())
            })
            .collect();
        let (start, step) = match counter {
            Some(counter) => (firsts[counter], addresses[counter].step),
            None => (self.i64(0), 1),
        };
        let (end, bound) = match count {
            // Not shared, so that it can be seen to be beyond the start.
            Count::Fixed(count) => (self.b.add_const(start, count as i64 * step), count),
            Count::UpTo(value, most) => {
                let span = self.mul_const(value, step);
                (self.add(start, span), most)
            }
        };
        let others = || (0..addresses.len()).filter(|&index| Some(index) != counter);
        let init = init.into_iter().chain(others().map(|index| firsts[index])).collect();
        let carried = carried.into_iter().chain(others().map(|index| addresses[index].value)).collect();
        let head = Head { index, start, end, step, bound: Some(bound), init, carried };
        let mut results = self.b.end_loop(head, body);
        let last = results.split_off(next.len());
        if let Count::Fixed(count) = count {
            // Where the addresses are now can be the start of something else.
            let mut last = last.into_iter();
            for (index, address) in addresses.iter().enumerate() {
                let value = if Some(index) == counter { Some(end) } else { last.next() };
                // The compiler adds a short step to displacements, which could then be too far.
                let value = value.filter(|_| Some(index) == counter || !NEAR.contains(&address.step));
                let key = (address.base, address.first.terms.clone());
                let constant = address.first.constant + address.step * count as i64;
                self.addresses.entry(key).or_default().extend(value.map(|value| (constant, value)));
            }
        }
        results
    }

    /// Branches. Both sides give values of the same types. `this` leads from the owner to the code.
    pub(super) fn branch<O>(
        owner: &mut O,
        this: fn(&mut O) -> &mut Self,
        condition: Value,
        sides: [Side<'_, O>; 2],
    ) -> Vec<Value> {
        let [then, otherwise] = sides.map(|side| {
            let code = this(owner);
            code.b.begin();
            code.branches.push(code.b.depth());
            let results = side(owner);
            let code = this(owner);
            code.branches.pop();
            code.b.end(results)
        });
        this(owner).b.end_if(condition, then, otherwise)
    }

    /// Whether an index is in `0..size`.
    pub(super) fn inside(&mut self, index: Value, size: u64) -> Value {
        let size = self.i64(size as i64);
        self.compare(crate::scalar::Comparison::LtU, index, size)
    }

    /// The nearest number in `0..size`. What is known to be there already costs nothing.
    pub(super) fn clamp(&mut self, index: Value, size: u64) -> Value {
        let (zero, last) = (self.i64(0), size as i64 - 1);
        let most = self.most.get(&index).copied();
        let index = if most.is_some() { index } else { self.max(index, zero) };
        if most.is_some_and(|most| most <= last) {
            return index;
        }
        let last = self.i64(last);
        self.min(index, last)
    }

    /// The largest number that the result of an operation can be, if it can't be negative.
    fn most(&self, expr: &Expr) -> Option<i64> {
        match *expr {
            Expr::Binary(BinaryOp::And, _, mask) => match self.constant(mask) {
                Some(Const::I64(mask)) if mask >= 0 => Some(mask),
                _ => None,
            },
            Expr::Convert(Conversion::ZeroExtend, ..) => Some(u32::MAX.into()),
            _ => None,
        }
    }

    /// Both of two conditions.
    pub(super) fn both(&mut self, a: Option<Value>, b: Value) -> Value {
        a.map_or(b, |a| self.binary(BinaryOp::And, a, b))
    }
}

impl Ops for Code {
    fn define(&mut self, expr: Expr) -> Value {
        let value = self.pure(Pure::Expr(expr), &expr.operands(), |b| b.define(expr));
        if let Some(most) = self.most(&expr) {
            self.most.insert(value, most);
        }
        value
    }

    fn ty(&self, value: Value) -> Type {
        self.b.ty(value)
    }

    fn constant(&self, value: Value) -> Option<Const> {
        self.b.constant(value)
    }
}
