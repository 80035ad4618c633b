//! The expressions of a definition as code, at several indices at once.
//!
//! A *site* is a place at which values are computed: the index of each axis, affine in variables of the code.
//! Sites that are computed together differ by constants. What they have in common is computed once, because
//! [`Code`] computes nothing twice: two rows and two columns of a matrix product load two elements of each
//! factor.

use std::collections::HashMap;

use super::code::{Base, Code};
use super::plan::Plan;
use crate::definition::{Affine, Coordinate, Definition, Load, Source, Step};
use crate::layout::strides;
use crate::scalar::{Ops, Value};

pub(super) struct Emit<'a> {
    pub(super) definition: &'a Definition,
    pub(super) plan: &'a Plan,
    pub(super) code: Code,
    /// The index of each axis, by site.
    pub(super) sites: Vec<Vec<Affine>>,
    /// The sites that are computed together.
    pub(super) active: Vec<usize>,
    /// The code's value of a value at a site.
    pub(super) known: HashMap<(Value, usize), Value>,
    /// What defines each value.
    steps: Vec<Option<&'a Step>>,
    /// Whether a value is computed in its turn, because too much is computed to compute it.
    deep: Vec<bool>,
    /// The values of the stages that have one a row.
    pub(super) rows: Vec<Option<Value>>,
    /// The sites of stages that are computed where they are loaded.
    inlined: HashMap<(u32, Vec<Affine>), usize>,
}

/// How many operations may have to be computed for a value that is asked for. It bounds recursion.
const DEEPEST: u32 = 64;

impl<'a> Emit<'a> {
    pub(super) fn new(definition: &'a Definition, plan: &'a Plan, code: Code) -> Self {
        let mut emit = Self {
            definition,
            plan,
            code,
            sites: Vec::new(),
            active: Vec::new(),
            known: HashMap::new(),
            steps: vec![None; definition.types.len()],
            deep: vec![false; definition.types.len()],
            rows: vec![None; definition.stages.len()],
            inlined: HashMap::new(),
        };
        let mut heights = vec![0; definition.types.len()];
        definition.stages.iter().for_each(|stage| emit.note(&stage.steps, &mut heights));
        emit
    }

    /// Notes what defines each value, and which values are deep.
    fn note(&mut self, steps: &'a [Step], heights: &mut [u32]) {
        for step in steps {
            if let Step::Reduce(reduction) = step {
                self.note(&reduction.body, heights);
            }
            let operands = step.operands();
            let height = operands.iter().map(|operand| heights[operand.index()] + 1).max().unwrap_or(0);
            for value in step.defined() {
                self.steps[value.index()] = Some(step);
                self.deep[value.index()] = height >= DEEPEST;
                heights[value.index()] = height % DEEPEST;
            }
        }
    }

    /// Forgets all sites and begins with these.
    pub(super) fn begin(&mut self, sites: Vec<Vec<Affine>>) {
        self.active = (0..sites.len()).collect();
        self.sites = sites;
        self.known.clear();
        self.inlined.clear();
    }

    /// The value of some steps at the active sites.
    pub(super) fn values(&mut self, steps: &[Step], value: Value) -> Vec<Value> {
        let active = self.active.clone();
        let mut count = 1;
        super::access::each_step(steps, 0, &mut |_, _| count += 1);
        self.code.add_steps(count * active.len() as u64);
        if self.code.is_full() {
            return active.iter().map(|_| self.nothing(value)).collect();
        }
        self.prepare(steps);
        active.iter().map(|&site| self.value(value, site)).collect()
    }

    /// Computes the deep values of some steps.
    pub(super) fn prepare(&mut self, steps: &[Step]) {
        let active = self.active.clone();
        for value in steps.iter().flat_map(Step::defined) {
            if self.deep[value.index()] {
                active.iter().for_each(|&site| {
                    self.value(value, site);
                });
            }
        }
    }

    /// A value at a site.
    pub(super) fn value(&mut self, value: Value, site: usize) -> Value {
        if let Some(&known) = self.known.get(&(value, site)).filter(|&&known| self.code.usable(known)) {
            return known;
        }
        let result = match self.steps[value.index()] {
            _ if self.code.is_full() => self.nothing(value),
            Some(Step::Let(_, expr)) => {
                let expr = expr.map(|operand| self.value(operand, site));
                self.code.define(expr)
            }
            Some(Step::Call(_, function, x)) => {
                let x = self.value(*x, site);
                self.code.call(*function, x)
            }
            Some(Step::Index(_, index)) => {
                let index = self.at(index, site);
                self.code.index(&index)
            }
            Some(Step::Load(_, load)) => self.load(load, site),
            Some(Step::Reduce(reduction)) => {
                self.reduce(reduction);
                match self.known.get(&(value, site)) {
                    Some(&result) => result,
                    None => self.nothing(value),
                }
            }
            // In a checked definition, everything has been defined.
            None => self.nothing(value),
        };
        self.known.insert((value, site), result);
        result
    }

    /// What takes the place of a value that isn't computed.
    fn nothing(&mut self, value: Value) -> Value {
        self.code.number(self.definition.ty(value), 0)
    }

    /// An index at a site.
    pub(super) fn at(&self, index: &Affine, site: usize) -> Affine {
        index.replace(|axis| self.sites[site][axis.index()].clone())
    }

    fn load(&mut self, load: &Load, site: usize) -> Value {
        let shape = self.definition.shape(load.from);
        let Some(otherwise) = load.otherwise else {
            let at = load.at.iter().zip(&shape).map(|(coordinate, &size)| match coordinate {
                Coordinate::Affine(index) => self.at(index, site),
                Coordinate::Value(value) => {
                    let value = self.value(*value, site);
                    let value = self.code.clamp(value, size);
                    self.code.variable_of(value, 0, size as i64 - 1).into()
                }
            });
            let at = at.collect();
            return self.element(load.from, at, site);
        };
        // Which coordinates must be tested?
        let mut at = Vec::new();
        let mut tested = Vec::new();
        for (coordinate, &size) in load.at.iter().zip(&shape) {
            match coordinate {
                Coordinate::Affine(index) => {
                    let index = self.at(index, site);
                    let (least, most) = self.code.range(&index);
                    if most < 0 || least >= size.into() {
                        return self.value(otherwise, site);
                    }
                    if least < 0 || most >= size.into() {
                        tested.push((index.clone(), size));
                    }
                    at.push(index);
                }
                Coordinate::Value(_) if size == 0 => return self.value(otherwise, site),
                Coordinate::Value(value) => {
                    let value = self.value(*value, site);
                    let index: Affine = self.code.variable_of(value, 0, size as i64 - 1).into();
                    tested.push((index.clone(), size));
                    at.push(index);
                }
            }
        }
        let mut inside = None;
        for (index, size) in tested {
            let index = self.code.index(&index);
            let here = self.code.inside(index, size);
            inside = Some(self.code.both(inside, here));
        }
        let Some(inside) = inside else { return self.element(load.from, at, site) };
        let results = Code::branch(
            self,
            |emit| &mut emit.code,
            inside,
            [&mut |emit| vec![emit.element(load.from, at.clone(), site)], &mut |emit| {
                vec![emit.value(otherwise, site)]
            }],
        );
        results[0]
    }

    /// An element at coordinates in range.
    fn element(&mut self, from: Source, at: Vec<Affine>, site: usize) -> Value {
        let definition = self.definition;
        let index = match from {
            Source::Input(input) => {
                let ty = &definition.inputs[input as usize];
                return self.code.load(ty.dtype, Base::Input(input), &place(&ty.shape, &at));
            }
            Source::Stage(index) => index,
        };
        if let Some(value) = self.rows[index as usize] {
            return value;
        }
        let stage = &definition.stages[index as usize];
        let mut indices = self.sites[site].clone();
        stage.axes.iter().zip(at).for_each(|(axis, at)| indices[axis.index()] = at);
        indices[definition.output.shape.len()..].fill(Affine::default());
        if self.plan.kept[index as usize] {
            let place = place(&definition.output.shape, &indices[..definition.output.shape.len()]);
            return self.code.load(definition.output.dtype, Base::Output, &place);
        }
        let site = match self.inlined.get(&(index, indices.clone())) {
            Some(&site) => site,
            None => {
                self.sites.push(indices.clone());
                self.inlined.insert((index, indices), self.sites.len() - 1);
                self.sites.len() - 1
            }
        };
        let before = std::mem::replace(&mut self.active, vec![site]);
        let value = self.values(&stage.steps, stage.value)[0];
        self.active = before;
        value
    }
}

/// The place of an element among the elements of its tensor.
pub(super) fn place(shape: &[u64], at: &[Affine]) -> Affine {
    let terms = at.iter().zip(strides(shape)).map(|(index, stride)| index.clone() * stride as i64);
    terms.fold(Affine::default(), |sum, term| sum + term)
}
