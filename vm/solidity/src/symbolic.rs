//! The domain of expressions. In this domain, semantics record themselves instead of computing.
//!
//! Values are `Copy` handles into a thread-local arena that exists while [`session`] runs. Expressions are
//! recorded as trees and printed where they are used. A name, a branch or a call with several results is a
//! [`Statement`].

use isa::domain::{Bool as IsaBool, Domain, Function, Nat as IsaNat, Word as IsaWord};
use std::cell::RefCell;
#[cfg(test)]
use std::collections::HashMap;
use std::collections::HashSet;
use std::ops;

/// The mask of a machine word.
const WORD_MASK: u128 = u64::MAX as u128;
/// The width assumed for a value of which only the type is known.
const UNBOUNDED: u32 = 256;

/// The domain of expressions.
#[derive(Debug, Clone, Copy)]
pub struct Symbolic;

/// An expression in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id(u32);

/// A variable in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Variable(u32);

/// A machine word as an expression.
#[derive(Debug, Clone, Copy)]
pub struct Word(pub Id);
/// A natural number as an expression.
#[derive(Debug, Clone, Copy)]
pub struct Nat(pub Id);
/// A condition as an expression.
#[derive(Debug, Clone, Copy)]
pub struct Bool(pub Id);

/// An operator of Solidity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
    /// `&`
    And,
    /// `^`
    Xor,
    /// `|`
    Or,
    /// `<`
    Less,
    /// `>=`
    NotLess,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `&&`
    Both,
    /// `||`
    Either,
}

/// An expression.
#[derive(Debug, Clone)]
pub enum Expression {
    /// A number.
    Constant(u128),
    /// A constant of the verifier, by its name.
    Name(String),
    /// A variable.
    Variable(Variable),
    /// Two operands.
    Binary(Operator, Id, Id),
    /// A negated condition.
    Not(Id),
    /// The second if the first holds, else the third.
    Select(Id, Id, Id),
    /// A call of a function with one result.
    Call(String, Vec<Id>),
    /// A call that reads the machine's state, and how often the state had been written before it.
    Read(String, Vec<Id>, u32),
}

/// The declaration of a variable.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// Its name, as in Rust.
    pub name: String,
    /// Whether it is a condition.
    pub is_bool: bool,
    /// The variable of which it is another name.
    pub alias: Option<Variable>,
    /// Whether the semantics may still give it a name.
    renamable: bool,
    /// The maximum number of its bits.
    width: u32,
    /// The block that declares it.
    block: u32,
}

/// A statement.
#[derive(Debug, Clone)]
pub enum Statement {
    /// A variable and its value.
    Let(Variable, Id),
    /// The results of a call.
    LetCall(Vec<Variable>, String, Vec<Id>),
    /// Two alternatives that give values to the variables.
    Branch(Id, Vec<Variable>, Vec<Statement>, Vec<Statement>),
    /// Gives a variable that is declared elsewhere its value.
    Assign(Variable, Id),
    /// A call for its side effect.
    Do(String, Vec<Id>),
    /// Returns, if the condition holds.
    ReturnIf(Id, Id),
    /// Returns.
    Return(Id),
}

/// A library function.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Name, doc comment, names of parameters and results.
    pub function: &'static Function,
    /// The parameters.
    pub params: Vec<Variable>,
    /// The results, declared in the header.
    pub results: Vec<Variable>,
    /// The body.
    pub body: Vec<Statement>,
}

/// Statements being recorded.
#[derive(Debug, Default)]
struct Block {
    number: u32,
    statements: Vec<Statement>,
}

/// Everything recorded in a session.
#[derive(Debug, Default)]
pub struct Arena {
    expressions: Vec<Expression>,
    variables: Vec<Declaration>,
    /// Library functions, callees first.
    pub functions: Vec<Definition>,
    started: HashSet<&'static str>,
    open: Vec<Block>,
    blocks: u32,
    writes: u32,
}

thread_local! {
    static ARENA: RefCell<Arena> = RefCell::new(Arena::default());
}

/// Records into a fresh arena and returns it.
pub fn session<R>(record: impl FnOnce() -> R) -> (R, Arena) {
    ARENA.with_borrow_mut(|arena| *arena = Arena::default());
    let result = record();
    (result, ARENA.take())
}

/// Records into a separate block.
pub fn block(record: impl FnOnce()) -> Vec<Statement> {
    ARENA.with_borrow_mut(Arena::open_block);
    record();
    ARENA.with_borrow_mut(Arena::close_block)
}

/// A variable that is declared outside, such as a parameter.
pub fn parameter(name: &str, width: u32) -> Id {
    ARENA.with_borrow_mut(|arena| {
        let variable = arena.declare(name, false, false, width);
        arena.push(Expression::Variable(variable))
    })
}

/// A call of a function that depends only on its arguments.
pub fn call(name: &str, args: &[Id]) -> Id {
    ARENA.with_borrow_mut(|arena| arena.push(Expression::Call(name.to_owned(), args.to_vec())))
}

/// A call that reads the machine's state.
pub fn read(name: &str, args: &[Id]) -> Id {
    ARENA.with_borrow_mut(|arena| arena.push(Expression::Read(name.to_owned(), args.to_vec(), arena.writes)))
}

/// A call that reads the machine's state exactly here. Its result gets the name that semantics give it.
pub fn read_now(result: &str, name: &str, args: &[Id]) -> Id {
    ARENA.with_borrow_mut(|arena| {
        let value = arena.push(Expression::Read(name.to_owned(), args.to_vec(), arena.writes));
        let variable = arena.declare(result, false, true, 64);
        arena.emit(Statement::Let(variable, value));
        arena.push(Expression::Variable(variable))
    })
}

/// Adds a statement. A statement with a side effect makes earlier reads stale.
pub fn emit(statement: Statement) {
    ARENA.with_borrow_mut(|arena| {
        let effect = matches!(statement, Statement::Do(..));
        arena.emit(statement);
        arena.writes += u32::from(effect);
    });
}

/// A constant of the verifier, by its name.
pub fn name(name: &str) -> Id {
    ARENA.with_borrow_mut(|arena| arena.push(Expression::Name(name.to_owned())))
}

/// Whether a condition can't hold: `x & 0 != 0`, the misalignment of a byte.
pub fn is_never(condition: Id) -> bool {
    ARENA.with_borrow(|arena| match *arena.expression(condition) {
        Expression::Binary(Operator::NotEqual, a, b) => arena.width(a) == 0 && arena.width(b) == 0,
        _ => false,
    })
}

/// A number as an expression.
pub fn constant(value: u128) -> Id {
    ARENA.with_borrow_mut(|arena| arena.push(Expression::Constant(value)))
}

fn binary(operator: Operator, a: Id, b: Id) -> Id {
    ARENA.with_borrow_mut(|arena| arena.binary(operator, a, b))
}

/// Sum, difference or product of words. The operands may be wrapped late, together with the result.
fn modular(operator: Operator, a: Word, b: Word) -> Word {
    let [a, b] = [a.0, b.0].map(unmasked);
    wrapped(binary(operator, a, b))
}

/// A value without the mask of a surrounding word, for users of at most the low 64 bits.
pub fn unmasked(value: Id) -> Id {
    ARENA.with_borrow(|arena| arena.unmasked(value))
}

/// An expression truncated to 64 bits.
fn wrapped(value: Id) -> Word {
    Word(ARENA.with_borrow_mut(|arena| arena.masked(value, 64)))
}

impl Arena {
    /// An expression.
    #[must_use]
    pub fn expression(&self, id: Id) -> &Expression {
        &self.expressions[id.0 as usize]
    }

    /// A variable's declaration, with aliases resolved.
    #[must_use]
    pub fn declaration(&self, variable: Variable) -> &Declaration {
        &self.variables[self.resolve(variable).0 as usize]
    }

    /// The variable that an alias stands for.
    #[must_use]
    pub fn resolve(&self, variable: Variable) -> Variable {
        match self.variables[variable.0 as usize].alias {
            Some(target) => self.resolve(target),
            None => variable,
        }
    }

    fn push(&mut self, expression: Expression) -> Id {
        self.expressions.push(expression);
        Id((self.expressions.len() - 1) as u32)
    }

    fn declare(&mut self, name: &str, is_bool: bool, renamable: bool, width: u32) -> Variable {
        let block = self.open.last().map_or(0, |block| block.number);
        self.variables.push(Declaration {
            name: name.to_owned(),
            is_bool,
            alias: None,
            renamable,
            width,
            block,
        });
        Variable((self.variables.len() - 1) as u32)
    }

    fn open_block(&mut self) {
        self.blocks += 1;
        self.open.push(Block { number: self.blocks, statements: Vec::new() });
    }

    fn close_block(&mut self) -> Vec<Statement> {
        self.open.pop().unwrap_or_default().statements
    }

    fn emit(&mut self, statement: Statement) {
        for &value in statement.values() {
            self.assert_fresh(value);
        }
        if let Some(block) = self.open.last_mut() {
            block.statements.push(statement);
        }
    }

    /// Checks that nothing was written between the reads in an expression and its use here. They would see
    /// the new state.
    fn assert_fresh(&self, id: Id) {
        if let Expression::Read(name, _, writes) = self.expression(id) {
            assert_eq!(
                *writes, self.writes,
                "the semantics use {name} after a write; name the value before it"
            );
        }
        self.expression(id).children().into_iter().for_each(|child| self.assert_fresh(child));
    }

    /// Closes a block whose results go to variables declared outside it. A variable of the block that holds a
    /// result becomes another name for the outer variable, so that nothing is copied.
    fn deliver(&mut self, targets: &[Variable], values: &[Id]) -> Vec<Statement> {
        let number = self.open.last().map_or(0, |block| block.number);
        for (&target, &value) in targets.iter().zip(values) {
            match *self.expression(value) {
                Expression::Variable(variable) if self.is_result_of(variable, number) => {
                    self.variables[variable.0 as usize].alias = Some(target);
                }
                _ => self.emit(Statement::Assign(target, value)),
            }
        }
        self.close_block()
    }

    /// Whether a variable is declared by a statement of this block (and not outside it).
    fn is_result_of(&self, variable: Variable, block: u32) -> bool {
        let declaration = &self.variables[variable.0 as usize];
        declaration.block == block && declaration.alias.is_none() && !declaration.is_bool
    }

    fn constant_of(&self, id: Id) -> Option<u128> {
        match *self.expression(id) {
            Expression::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// An upper bound for the number of bits of a value.
    fn width(&self, id: Id) -> u32 {
        match *self.expression(id) {
            Expression::Constant(value) => u128::BITS - value.leading_zeros(),
            Expression::Variable(variable) => self.variables[variable.0 as usize].width,
            Expression::Read(..) => 64,
            Expression::Call(ref name, _) if WORD_HELPERS.contains(&name.as_str()) => 64,
            Expression::Call(..) | Expression::Not(_) | Expression::Name(_) => UNBOUNDED,
            Expression::Select(_, a, b) => self.width(a).max(self.width(b)),
            Expression::Binary(operator, a, b) => self.binary_width(operator, a, b),
        }
    }

    fn binary_width(&self, operator: Operator, a: Id, b: Id) -> u32 {
        let (wa, wb) = (self.width(a), self.width(b));
        let width = match operator {
            Operator::Add => wa.max(wb) + 1,
            Operator::Mul => wa + wb,
            Operator::And => wa.min(wb),
            Operator::Or | Operator::Xor => wa.max(wb),
            Operator::Shr => wa - self.constant_of(b).map_or(0, |n| n.min(u128::from(wa)) as u32),
            Operator::Shl => self.constant_of(b).map_or(UNBOUNDED, |n| wa.saturating_add(n as u32)),
            Operator::Div | Operator::Rem => wa,
            _ => UNBOUNDED,
        };
        width.min(UNBOUNDED)
    }

    fn binary(&mut self, operator: Operator, a: Id, b: Id) -> Id {
        // One mask instead of two.
        if let (Operator::And, Some(outer), Expression::Binary(Operator::And, x, inner)) =
            (operator, self.constant_of(b), self.expression(a).clone())
            && let Some(inner) = self.constant_of(inner)
        {
            return self.masked_by(x, outer & inner);
        }
        self.push(Expression::Binary(operator, a, b))
    }

    fn masked_by(&mut self, value: Id, mask: u128) -> Id {
        let mask = self.push(Expression::Constant(mask));
        self.binary(Operator::And, value, mask)
    }

    /// The low bits of a value. Unchanged if it has no others.
    fn masked(&mut self, value: Id, width: u32) -> Id {
        if self.width(value) <= width { value } else { self.masked_by(value, (1 << width) - 1) }
    }

    fn unmasked(&self, id: Id) -> Id {
        match *self.expression(id) {
            Expression::Binary(Operator::And, value, mask) if self.constant_of(mask) == Some(WORD_MASK) => {
                value
            }
            _ => id,
        }
    }

    fn named(&mut self, id: Id, name: &str, is_bool: bool, width: u32) -> Id {
        match *self.expression(id) {
            Expression::Constant(_) => id,
            Expression::Variable(variable) => {
                let declaration = &mut self.variables[variable.0 as usize];
                if std::mem::take(&mut declaration.renamable) {
                    name.clone_into(&mut declaration.name);
                }
                id
            }
            _ => {
                let width = width.min(self.width(id));
                let variable = self.declare(name, is_bool, false, width);
                self.emit(Statement::Let(variable, id));
                self.push(Expression::Variable(variable))
            }
        }
    }

    /// Declares variables that hold the results of a statement.
    fn results(&mut self, names: &[&str]) -> Vec<Variable> {
        names.iter().map(|name| self.declare(name, false, true, UNBOUNDED)).collect()
    }
}

#[cfg(test)]
impl Arena {
    /// Nontrivial expressions in statements that are printed, and so computed, more than once. The semantics
    /// should name them.
    #[must_use]
    pub fn repeated(&self, statements: &[Statement]) -> Vec<Id> {
        let mut uses = HashMap::new();
        self.count_uses(statements, &mut uses);
        let work = |id: Id| self.work(id);
        uses.into_iter().filter(|&(id, uses)| uses > 1 && work(id) > 1).map(|(id, _)| id).collect()
    }

    fn count_uses(&self, statements: &[Statement], uses: &mut HashMap<Id, u32>) {
        for statement in statements {
            statement.values().iter().for_each(|&value| self.count_uses_of(value, uses));
            if let Statement::Branch(_, _, then, otherwise) = statement {
                self.count_uses(then, uses);
                self.count_uses(otherwise, uses);
            }
        }
    }

    fn count_uses_of(&self, id: Id, uses: &mut HashMap<Id, u32>) {
        *uses.entry(id).or_default() += 1;
        self.expression(id).children().into_iter().for_each(|child| self.count_uses_of(child, uses));
    }

    /// The number of operations in an expression. A call counts as several.
    fn work(&self, id: Id) -> u32 {
        let own = match self.expression(id) {
            Expression::Constant(_) | Expression::Variable(_) | Expression::Name(_) => 0,
            Expression::Binary(..) | Expression::Not(_) | Expression::Select(..) => 1,
            Expression::Call(..) | Expression::Read(..) => 4,
        };
        self.expression(id).children().into_iter().fold(own, |work, child| work + self.work(child))
    }
}

/// Helpers of the verifier whose result is a machine word.
const WORD_HELPERS: [&str; 7] = [
    "signExtend",
    "shiftRightSigned",
    "divideUnsigned",
    "remainderUnsigned",
    "divideSigned",
    "remainderSigned",
    "toUint",
];

impl Expression {
    /// The operands of an expression.
    #[must_use]
    pub fn children(&self) -> Vec<Id> {
        match *self {
            Self::Constant(_) | Self::Variable(_) | Self::Name(_) => Vec::new(),
            Self::Binary(_, a, b) => vec![a, b],
            Self::Not(a) => vec![a],
            Self::Select(c, a, b) => vec![c, a, b],
            Self::Call(_, ref args) | Self::Read(_, ref args, _) => args.clone(),
        }
    }
}

impl Statement {
    /// The expressions that a statement evaluates itself.
    #[must_use]
    pub fn values(&self) -> &[Id] {
        match self {
            Self::Let(_, value) | Self::Assign(_, value) | Self::Return(value) | Self::Branch(value, ..) => {
                std::slice::from_ref(value)
            }
            Self::LetCall(_, _, args) | Self::Do(_, args) => args,
            Self::ReturnIf(condition, _) => std::slice::from_ref(condition),
        }
    }
}

// ---- The domain

macro_rules! operators {
    ($type:ident: $($trait:ident $method:ident $value:expr;)*) => {$(
        impl ops::$trait for $type {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                let apply: fn(Operator, Self, Self) -> Self = $value;
                apply(Operator::$trait, self, other)
            }
        }
    )*};
}

impl Operator {
    #![allow(non_upper_case_globals, missing_docs)]
    pub const BitAnd: Self = Self::And;
    pub const BitOr: Self = Self::Or;
    pub const BitXor: Self = Self::Xor;
}

operators! { Word:
    Add add modular;
    Sub sub modular;
    Mul mul modular;
    BitAnd bitand |op, a, b| Self(binary(op, a.0, b.0));
    BitOr bitor |op, a, b| Self(binary(op, a.0, b.0));
    BitXor bitxor |op, a, b| Self(binary(op, a.0, b.0));
}

operators! { Nat:
    Add add |op, a, b| Self(binary(op, a.0, b.0));
    Sub sub |op, a, b| Self(binary(op, a.0, b.0));
    Mul mul |op, a, b| Self(binary(op, a.0, b.0));
    Div div |op, a, b| Self(binary(op, a.0, b.0));
    Rem rem |op, a, b| Self(binary(op, a.0, b.0));
    BitAnd bitand |op, a, b| Self(binary(op, a.0, b.0));
    BitOr bitor |op, a, b| Self(binary(op, a.0, b.0));
    BitXor bitxor |op, a, b| Self(binary(op, a.0, b.0));
    Shl shl |op, a, b| Self(binary(op, a.0, b.0));
    Shr shr |op, a, b| Self(binary(op, a.0, b.0));
}

operators! { Bool:
    BitAnd bitand |_, a, b| Self(binary(Operator::Both, a.0, b.0));
    BitOr bitor |_, a, b| Self(binary(Operator::Either, a.0, b.0));
}

impl ops::Not for Bool {
    type Output = Self;
    fn not(self) -> Self {
        Self(ARENA.with_borrow_mut(|arena| {
            let expression = match *arena.expression(self.0) {
                Expression::Binary(Operator::Equal, a, b) => Expression::Binary(Operator::NotEqual, a, b),
                Expression::Binary(Operator::NotEqual, a, b) => Expression::Binary(Operator::Equal, a, b),
                Expression::Binary(Operator::Less, a, b) => Expression::Binary(Operator::NotLess, a, b),
                Expression::Binary(Operator::NotLess, a, b) => Expression::Binary(Operator::Less, a, b),
                Expression::Not(a) => return a,
                _ => Expression::Not(self.0),
            };
            arena.push(expression)
        }))
    }
}

impl IsaWord for Word {
    type D = Symbolic;
    fn shl(self, n: Self) -> Self {
        wrapped(binary(Operator::Shl, self.0, n.0))
    }
    fn shr(self, n: Self) -> Self {
        Self(binary(Operator::Shr, self.0, n.0))
    }
    fn sar(self, n: Self) -> Self {
        Self(call("shiftRightSigned", &[self.0, n.0]))
    }
    fn divu(self, divisor: Self) -> Self {
        Self(call("divideUnsigned", &[self.0, divisor.0]))
    }
    fn remu(self, divisor: Self) -> Self {
        Self(call("remainderUnsigned", &[self.0, divisor.0]))
    }
    fn divs(self, divisor: Self) -> Self {
        Self(call("divideSigned", &[self.0, divisor.0]))
    }
    fn rems(self, divisor: Self) -> Self {
        Self(call("remainderSigned", &[self.0, divisor.0]))
    }
    fn eq(self, other: Self) -> Bool {
        Bool(binary(Operator::Equal, self.0, other.0))
    }
    fn ltu(self, other: Self) -> Bool {
        Bool(binary(Operator::Less, self.0, other.0))
    }
    fn lts(self, other: Self) -> Bool {
        Bool(call("lessSigned", &[self.0, other.0]))
    }
    fn sext(self, bits: u32) -> Self {
        Self(call("signExtend", &[unmasked(self.0), constant(u128::from(bits))]))
    }
    fn zext(self, bits: u32) -> Self {
        Self(ARENA.with_borrow_mut(|arena| arena.masked(self.0, bits)))
    }
    fn nat(self) -> Nat {
        Nat(self.0)
    }
    fn named(self, name: &'static str) -> Self {
        Self(ARENA.with_borrow_mut(|arena| arena.named(self.0, name, false, 64)))
    }
}

impl IsaNat for Nat {
    type D = Symbolic;
    fn eq(self, other: Self) -> Bool {
        Bool(binary(Operator::Equal, self.0, other.0))
    }
    fn lt(self, other: Self) -> Bool {
        Bool(binary(Operator::Less, self.0, other.0))
    }
    fn bit_length(self) -> Self {
        Self(call("bitLength", &[self.0]))
    }
    fn word(self) -> Word {
        wrapped(self.0)
    }
    fn named(self, name: &'static str) -> Self {
        Self(ARENA.with_borrow_mut(|arena| arena.named(self.0, name, false, UNBOUNDED)))
    }
}

/// A choice between two numbers.
fn select(condition: Id, a: Id, b: Id) -> Id {
    ARENA.with_borrow_mut(|arena| {
        if (arena.constant_of(a), arena.constant_of(b)) == (Some(1), Some(0)) {
            return arena.push(Expression::Call("toUint".to_owned(), vec![condition]));
        }
        arena.push(Expression::Select(condition, a, b))
    })
}

impl IsaBool for Bool {
    type D = Symbolic;
    fn select(self, a: Nat, b: Nat) -> Nat {
        Nat(select(self.0, a.0, b.0))
    }
    fn select_word(self, a: Word, b: Word) -> Word {
        Word(select(self.0, a.0, b.0))
    }
    fn nat(self) -> Nat {
        Nat(call("toUint", &[self.0]))
    }
    fn named(self, name: &'static str) -> Self {
        Self(ARENA.with_borrow_mut(|arena| arena.named(self.0, name, true, 1)))
    }
}

impl Domain for Symbolic {
    type Word = Word;
    type Nat = Nat;
    type Bool = Bool;

    fn word(value: u64) -> Word {
        Word(constant(u128::from(value)))
    }

    fn nat(value: u128) -> Nat {
        Nat(constant(value))
    }

    fn branch<const K: usize>(
        condition: Bool,
        names: [&'static str; K],
        then: impl FnOnce() -> [Nat; K],
        otherwise: impl FnOnce() -> [Nat; K],
    ) -> [Nat; K] {
        let results = ARENA.with_borrow_mut(|arena| arena.results(&names));
        let then = alternative(&results, then);
        let otherwise = alternative(&results, otherwise);
        ARENA.with_borrow_mut(|arena| {
            let statement = match (results.as_slice(), then.as_slice(), otherwise.as_slice()) {
                // Two bare values are a conditional expression.
                (&[result], &[Statement::Assign(_, a)], &[Statement::Assign(_, b)]) => {
                    Statement::Let(result, arena.push(Expression::Select(condition.0, a, b)))
                }
                _ => Statement::Branch(condition.0, results.clone(), then, otherwise),
            };
            arena.emit(statement);
            std::array::from_fn(|i| Nat(arena.push(Expression::Variable(results[i]))))
        })
    }

    fn call<const A: usize, const R: usize>(
        function: &'static Function,
        args: [Nat; A],
        body: impl FnOnce([Nat; A]) -> [Nat; R],
    ) -> [Nat; R] {
        if ARENA.with_borrow_mut(|arena| arena.started.insert(function.name)) {
            define(function, body);
        }
        let name = camel_case(function.name);
        let args = args.map(|arg| arg.0).to_vec();
        if R == 1 {
            return [Nat(call(&name, &args)); R];
        }
        ARENA.with_borrow_mut(|arena| {
            let results = arena.results(function.results);
            arena.emit(Statement::LetCall(results.clone(), name, args));
            std::array::from_fn(|i| Nat(arena.push(Expression::Variable(results[i]))))
        })
    }
}

/// Records one alternative of a branch.
fn alternative<const K: usize>(results: &[Variable], record: impl FnOnce() -> [Nat; K]) -> Vec<Statement> {
    ARENA.with_borrow_mut(Arena::open_block);
    let values = record().map(|value| value.0);
    ARENA.with_borrow_mut(|arena| arena.deliver(results, &values))
}

/// Records the body of a library function.
fn define<const A: usize, const R: usize>(
    function: &'static Function,
    body: impl FnOnce([Nat; A]) -> [Nat; R],
) {
    let (params, results): (Vec<_>, Vec<_>) = ARENA.with_borrow_mut(|arena| {
        let mut declare = |names: &[&str]| -> Vec<Variable> {
            names.iter().map(|name| arena.declare(name, false, false, UNBOUNDED)).collect()
        };
        (declare(function.params), declare(function.results))
    });
    let args = ARENA
        .with_borrow_mut(|arena| std::array::from_fn(|i| Nat(arena.push(Expression::Variable(params[i])))));
    ARENA.with_borrow_mut(Arena::open_block);
    let values = body(args).map(|value| value.0);
    ARENA.with_borrow_mut(|arena| {
        let body = arena.deliver(&results, &values);
        arena.functions.push(Definition { function, params, results, body });
    });
}

/// A Rust name in the style of Solidity: `sign_a` becomes `signA`.
#[must_use]
pub fn camel_case(name: &str) -> String {
    let mut words = name.split('_').filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut camel, word| {
        let (initial, rest) = word.split_at(1);
        camel.push_str(&initial.to_uppercase());
        camel.push_str(rest);
        camel
    })
}
