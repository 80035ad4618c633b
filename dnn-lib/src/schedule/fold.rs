//! Reductions as code.

use super::access;
use super::code::{Code, Count};
use super::emit::Emit;
use crate::definition::{Affine, Axis, LANES, Order, Reduction, Step, Window};
use crate::scalar::{BinaryOp, Ops, Value};

/// A loop is unrolled fully if its code has at most this many operations.
const SMALL: u64 = 256;

/// A loop is unrolled until an iteration has about this many operations, ...
const ITERATION: u64 = 96;

/// ... but at most so often.
const MOST_UNROLLED: u64 = 8;

/// The registers for floats, and a few more, because some values are used up early.
const REGISTERS: usize = 34;

/// The values that sites carry.
type Carried = Vec<Vec<Value>>;

impl Emit<'_> {
    /// Computes a reduction at the active sites.
    pub(super) fn reduce(&mut self, reduction: &Reduction) {
        let active = self.active.clone();
        self.prepare_outer(reduction);
        let init: Carried = active
            .iter()
            .map(|&site| reduction.init.iter().map(|&value| self.value(value, site)).collect())
            .collect();
        let results = match (reduction.order, reduction.combination()) {
            (Order::Lanes, Some((op, _))) => {
                let lanes =
                    active.iter().zip(&init).map(|(&site, init)| self.lanes(reduction, op, site, init[0]));
                lanes.map(|result| vec![result]).collect()
            }
            _ => self.fold(reduction, 0, &active, init),
        };
        for (&site, results) in active.iter().zip(results) {
            self.know(&reduction.results, results, site);
        }
    }

    fn know(&mut self, values: &[Value], known: Vec<Value>, site: usize) {
        values.iter().zip(known).for_each(|(&value, known)| {
            self.known.insert((value, site), known);
        });
    }

    /// Computes what the body needs from outside, so that it isn't computed in a loop.
    fn prepare_outer(&mut self, reduction: &Reduction) {
        let mut inner = reduction.carried.clone();
        let mut used = Vec::new();
        access::each_step(&reduction.body, 0, &mut |step, _| {
            inner.extend(step.defined());
            if let Step::Reduce(reduction) = step {
                inner.extend(&reduction.carried);
                used.extend(&reduction.yields);
            }
            let optional = match step {
                Step::Load(_, load) => load.otherwise,
                _ => None,
            };
            used.extend(step.operands().into_iter().filter(|&operand| Some(operand) != optional));
        });
        inner.sort_unstable();
        let active = self.active.clone();
        for value in used.into_iter().chain(reduction.yields.iter().copied()) {
            if inner.binary_search(&value).is_err() {
                active.iter().for_each(|&site| {
                    self.value(value, site);
                });
            }
        }
    }

    fn bind(&mut self, axis: Axis, active: &[usize], index: &Affine) {
        active.iter().for_each(|&site| self.sites[site][axis.index()] = index.clone());
    }

    /// Folds over the axes from number `depth` on.
    fn fold(&mut self, reduction: &Reduction, depth: usize, active: &[usize], carried: Carried) -> Carried {
        let Some(range) = reduction.ranges.get(depth) else { return self.body(reduction, active, carried) };
        let size = self.definition.size(range.axis);
        if size == 0 || self.code.is_full() {
            return carried;
        }
        let Some(window) = &range.window else { return self.all(reduction, depth, active, carried) };
        let starts: Vec<Affine> = active.iter().map(|&site| self.at(&window.start, site)).collect();
        let ends = [0, size - 1];
        if starts.iter().all(|start| ends.iter().all(|&k| self.counts(window, start, k) == Some(true))) {
            return self.all(reduction, depth, active, carried);
        }
        if size <= access::MOST_POSITIONS as u64 {
            let counts = |k: u64| starts.iter().map(|start| self.counts(window, start, k)).collect();
            let known: Option<Vec<Vec<bool>>> = (0..size).map(counts).collect();
            if let Some(known) = known {
                return self.some(reduction, depth, active, carried, &known);
            }
        }
        match starts.iter().all(|start| *start == starts[0]) {
            true => self.clipped(reduction, depth, active, carried, (window, &starts[0])),
            false => {
                let alone = active.iter().zip(carried);
                alone
                    .flat_map(|(&site, carried)| self.fold(reduction, depth, &[site], vec![carried]))
                    .collect()
            }
        }
    }

    /// Whether an index of a window counts, if that is known.
    fn counts(&self, window: &Window, start: &Affine, index: u64) -> Option<bool> {
        let (least, most) = self.code.range(&(start.clone() + index as i64 * window.step as i64));
        let size = i128::from(window.size);
        if least >= 0 && most < size {
            return Some(true);
        }
        (most < 0 || least >= size).then_some(false)
    }

    /// How many indices an iteration takes of each axis from `depth` on.
    fn unrolled(&self, reduction: &Reduction, depth: usize, active: &[usize]) -> Vec<u64> {
        let mut steps = 0;
        access::each_step(&reduction.body, 0, &mut |_, _| steps += 1);
        // The operations for one index.
        let mut weight = (steps * active.len() as u64).max(1);
        let room = REGISTERS.saturating_sub(active.len()).max(1);
        let mut unrolled: Vec<u64> = vec![0; reduction.ranges.len() - depth];
        for place in (0..unrolled.len()).rev() {
            let size = self.definition.size(reduction.ranges[depth + place].axis).max(1);
            let mut fits = |count: u64| {
                unrolled[place] = count;
                self.loads(reduction, depth + place, active, &unrolled[place..]) <= room
            };
            let whole = size.saturating_mul(weight) <= SMALL && (size == 1 || fits(size));
            let most = (ITERATION / weight).clamp(1, MOST_UNROLLED).min(size);
            let count = if whole { size } else { (2..=most).rev().find(|&count| fits(count)).unwrap_or(1) };
            unrolled[place] = count;
            weight = weight.saturating_mul(count + size % count);
        }
        unrolled
    }

    /// The number of elements that are loaded for so many indices of the axes from `depth` on. They are all
    /// loaded before the first is used, because that is how the compiler orders code, so they should fit in
    /// registers.
    fn loads(&self, reduction: &Reduction, depth: usize, active: &[usize], counts: &[u64]) -> usize {
        let mut inside: Vec<Vec<(Axis, u64)>> = vec![Vec::new()];
        for (range, &count) in reduction.ranges[depth..].iter().zip(counts).filter(|(_, count)| **count > 1) {
            let indices = |known: Vec<(Axis, u64)>| {
                (0..count).map(move |index| [&known[..], &[(range.axis, index)]].concat())
            };
            inside = inside.into_iter().flat_map(indices).collect();
        }
        let mut places = Vec::new();
        access::each_step(&reduction.body, 0, &mut |step, _| {
            let Step::Load(_, load) = step else { return };
            let place = access::place(self.definition, load);
            for &site in active {
                let own = place.replace(|axis| self.sites[site][axis.index()].clone());
                for indices in &inside {
                    let moved = indices.iter().map(|&(axis, index)| place.factor(axis) * index as i64);
                    places.push((load.from, own.terms.clone(), own.constant + moved.sum::<i64>()));
                }
            }
        });
        places.sort_unstable();
        places.dedup();
        places.len()
    }

    /// Folds over all indices of an axis.
    fn all(
        &mut self,
        reduction: &Reduction,
        depth: usize,
        active: &[usize],
        mut carried: Carried,
    ) -> Carried {
        let axis = reduction.ranges[depth].axis;
        let size = self.definition.size(axis);
        for range in &reduction.ranges[depth..] {
            self.bind(range.axis, active, &Affine::default());
        }
        let unrolled = self.unrolled(reduction, depth, active)[0];
        let mut first = 0;
        if unrolled < size {
            let count = size / unrolled;
            first = count * unrolled;
            let (variable, values) = self.code.begin_loop(
                Affine::default(),
                unrolled as i64,
                Count::Fixed(count),
                &carried.concat(),
            );
            carried = apart(values, &carried);
            for k in 0..unrolled {
                self.bind(axis, active, &(Affine::from(variable) + k as i64));
                carried = self.fold(reduction, depth + 1, active, carried);
            }
            let results = self.code.end_loop(&carried.concat());
            carried = apart(results, &carried);
        }
        for k in first..size {
            self.bind(axis, active, &Affine::from(k as i64));
            carried = self.fold(reduction, depth + 1, active, carried);
        }
        carried
    }

    /// Folds over the indices of a window that are known to count, index by index and site by site.
    fn some(
        &mut self,
        reduction: &Reduction,
        depth: usize,
        active: &[usize],
        mut carried: Carried,
        known: &[Vec<bool>],
    ) -> Carried {
        let axis = reduction.ranges[depth].axis;
        for (k, counts) in known.iter().enumerate() {
            let places: Vec<usize> = (0..active.len()).filter(|&place| counts[place]).collect();
            if places.is_empty() {
                continue;
            }
            let sites: Vec<usize> = places.iter().map(|&place| active[place]).collect();
            self.bind(axis, &sites, &Affine::from(k as i64));
            let before = places.iter().map(|&place| carried[place].clone()).collect();
            let after = self.fold(reduction, depth + 1, &sites, before);
            places.into_iter().zip(after).for_each(|(place, after)| carried[place] = after);
        }
        carried
    }

    /// Folds over the indices of a window that count, which is found out at run time.
    fn clipped(
        &mut self,
        reduction: &Reduction,
        depth: usize,
        active: &[usize],
        carried: Carried,
        (window, start): (&Window, &Affine),
    ) -> Carried {
        let axis = reduction.ranges[depth].axis;
        let size = self.definition.size(axis);
        let first = match self.counts(window, start, 0) {
            Some(true) => Affine::default(),
            _ => {
                let value = self.positions_before(window, start, 0, size);
                self.code.variable_of(value, 0, size as i64).into()
            }
        };
        let end = match self.counts(window, start, size - 1) {
            Some(true) => self.code.i64(size as i64),
            _ => self.positions_before(window, start, window.size, size),
        };
        let begin = self.code.index(&first);
        let count = self.code.sub(end, begin);
        let (variable, values) = self.code.begin_loop(first, 1, Count::UpTo(count, size), &carried.concat());
        self.code.narrow(variable, 0, size as i64 - 1);
        self.bind(axis, active, &Affine::from(variable));
        let next = self.fold(reduction, depth + 1, active, apart(values, &carried));
        let results = self.code.end_loop(&next.concat());
        apart(results, &carried)
    }

    /// How many of the `size` indices of a window have a position below a limit.
    fn positions_before(&mut self, window: &Window, start: &Affine, limit: u64, size: u64) -> Value {
        let room = Affine::from((limit + window.step - 1) as i64) - start.clone();
        let (room, zero) = (self.code.index(&room), self.code.i64(0));
        let room = self.code.max(room, zero);
        let count = match window.step {
            1 => room,
            step => self.code.div_rem(room, step).0,
        };
        let size = self.code.i64(size as i64);
        self.code.min(count, size)
    }

    /// The body of a reduction at some sites.
    pub(super) fn body(&mut self, reduction: &Reduction, active: &[usize], carried: Carried) -> Carried {
        let mut count = 1;
        access::each_step(&reduction.body, 0, &mut |_, _| count += 1);
        self.code.add_steps(count * active.len() as u64);
        if self.code.is_full() {
            return carried;
        }
        access::each_step(&reduction.body, 0, &mut |step, _| {
            for value in step.defined() {
                active.iter().for_each(|&site| {
                    self.known.remove(&(value, site));
                });
            }
        });
        for (&site, carried) in active.iter().zip(carried) {
            self.know(&reduction.carried, carried, site);
        }
        let before = std::mem::replace(&mut self.active, active.to_vec());
        self.prepare(&reduction.body);
        let yields = |emit: &mut Self, site: usize| {
            reduction.yields.iter().map(|&value| emit.value(value, site)).collect()
        };
        let next = active.iter().map(|&site| yields(self, site)).collect();
        self.active = before;
        next
    }

    /// A reduction in lanes, at one site.
    fn lanes(&mut self, reduction: &Reduction, op: BinaryOp, site: usize, init: Value) -> Value {
        let lanes = self.lanes_along(reduction, site, &self.joined(reduction), vec![init; LANES]);
        halved(&mut self.code, op, lanes)
    }

    /// The axes of a reduction with their sizes, those that are one joined. The others have index 0.
    fn joined(&self, reduction: &Reduction) -> Vec<(Axis, u64)> {
        let mut joined: Vec<(Axis, u64)> = Vec::new();
        for range in &reduction.ranges {
            let size = self.definition.size(range.axis);
            match joined.last_mut() {
                Some(last) if self.plan.uses.joined(self.definition, last.0, range.axis) => {
                    *last = (range.axis, last.1.saturating_mul(size));
                }
                _ => joined.push((range.axis, size)),
            }
        }
        joined
    }

    fn lanes_along(
        &mut self,
        reduction: &Reduction,
        site: usize,
        axes: &[(Axis, u64)],
        lanes: Vec<Value>,
    ) -> Vec<Value> {
        for range in &reduction.ranges {
            self.bind(range.axis, &[site], &Affine::default());
        }
        let count = axes.iter().map(|&(_, size)| size).product::<u64>();
        match *axes {
            [] => self.in_turn(reduction, site, lanes, 1, &mut |_, _| {}),
            _ if count == 0 => lanes,
            [(axis, size)] => self.in_turn(reduction, site, lanes, size, &mut |emit, number| {
                emit.bind(axis, &[site], number);
            }),
            [.., (_, inner)] if inner.is_multiple_of(LANES as u64) => {
                self.row_by_row(reduction, site, axes, lanes)
            }
            _ => self.in_turn(reduction, site, lanes, count, &mut |emit, number| {
                let mut rest = emit.code.index(number);
                for (place, &(axis, size)) in axes.iter().enumerate().rev() {
                    let index = match place {
                        0 => rest,
                        _ => {
                            let (quotient, index) = emit.code.div_rem(rest, size);
                            rest = quotient;
                            index
                        }
                    };
                    let index = emit.code.variable_of(index, 0, size as i64 - 1);
                    emit.bind(axis, &[site], &index.into());
                }
            }),
        }
    }

    /// Rows that fill the lanes.
    fn row_by_row(
        &mut self,
        reduction: &Reduction,
        site: usize,
        axes: &[(Axis, u64)],
        lanes: Vec<Value>,
    ) -> Vec<Value> {
        let (axis, size) = axes[0];
        if axes.len() == 1 {
            return self.in_turn(reduction, site, lanes, size, &mut |emit, number| {
                emit.bind(axis, &[site], number);
            });
        }
        let (variable, lanes) = self.code.begin_loop(Affine::default(), 1, Count::Fixed(size), &lanes);
        self.bind(axis, &[site], &variable.into());
        let lanes = self.row_by_row(reduction, site, &axes[1..], lanes);
        self.code.end_loop(&lanes)
    }

    /// Adds `count` values to lanes in turn.
    fn in_turn(
        &mut self,
        reduction: &Reduction,
        site: usize,
        mut lanes: Vec<Value>,
        count: u64,
        bind: &mut dyn FnMut(&mut Self, &Affine),
    ) -> Vec<Value> {
        let rounds = count / LANES as u64;
        let mut add = |emit: &mut Self, lanes: &mut [Value], first: Affine| {
            for (number, lane) in lanes.iter_mut().enumerate() {
                bind(emit, &(first.clone() + number as i64));
                *lane = emit.body(reduction, &[site], vec![vec![*lane]])[0][0];
            }
        };
        if rounds > 1 {
            let (variable, mut inside) =
                self.code.begin_loop(Affine::default(), LANES as i64, Count::Fixed(rounds), &lanes);
            add(self, &mut inside, variable.into());
            lanes = self.code.end_loop(&inside);
        }
        let mut first = if rounds > 1 { rounds * LANES as u64 } else { 0 };
        while first < count {
            let some = (count - first).min(LANES as u64);
            add(self, &mut lanes[..some as usize], Affine::from(first as i64));
            first += some;
        }
        lanes
    }
}

/// Combines lanes: the first half with the second, until one is left.
fn halved(code: &mut Code, op: BinaryOp, mut lanes: Vec<Value>) -> Value {
    while lanes.len() > 1 {
        let (low, high) = lanes.split_at(lanes.len() / 2);
        lanes = low.iter().zip(high).map(|(&low, &high)| code.binary(op, low, high)).collect();
    }
    lanes[0]
}

/// The values of a loop, site by site.
fn apart(values: Vec<Value>, like: &Carried) -> Carried {
    let mut values = values.into_iter();
    like.iter().map(|like| values.by_ref().take(like.len()).collect()).collect()
}
