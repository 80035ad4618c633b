//! How the output is cut: into units, and units into blocks whose elements are computed together.

use super::access::{self, Uses};
use crate::definition::{Axis, Definition, Order, Source, Stage, Step, keeps_bits};
use crate::scalar::Type;

/// The steps that a unit should take, so that what is done once a unit does not count, ...
const UNIT: u64 = 1 << 13;

/// ... and that it may take if its axis is cut at a border, which costs nothing if the unit has all of it.
const BORDERED: u64 = 1 << 19;

/// The most elements of a block: as many sums fit in the registers of floats beside what is multiplied.
const MOST_SUMS: u64 = 20;

/// The most steps of an element of which a block has several.
const LIGHT: usize = 24;

pub(super) struct Plan {
    /// The shape of a unit.
    pub(super) unit: Vec<u64>,
    /// The shape of a block.
    pub(super) block: Vec<u64>,
    /// For each stage whether it is kept in the output until the next one that is.
    pub(super) kept: Vec<bool>,
    pub(super) uses: Uses,
}

impl Plan {
    pub(super) fn of(definition: &Definition) -> Self {
        let block = block(definition);
        Self { unit: unit(definition, &block), block, kept: kept(definition), uses: Uses::of(definition) }
    }
}

/// Whether `after`, which computes more for each element of `before`, computes its sums in blocks as large
/// and its rows as often, and no fold for each element that a row shares.
pub(super) fn keeps_pace(before: &Definition, after: &Definition) -> bool {
    if before.shared().is_some() {
        return false;
    }
    let (mut reduces, mut of_integers) = (false, true);
    access::each_step(&before.last().steps, 0, &mut |step, _| {
        let Step::Reduce(reduction) = step else { return };
        reduces = true;
        of_integers &= reduction.carried.iter().all(|&value| before.ty(value) == Type::I32);
    });
    // This computer finishes sums of floats in the place of the output, and those of integers elsewhere.
    let sums = !reduces
        || (of_integers || before.output.dtype == after.output.dtype) && block(before) == block(after);
    sums && kept(before) == kept(after)
}

/// Whether an axis of the output is one of a row.
fn in_row(definition: &Definition, axis: usize) -> bool {
    definition.row.contains(&Axis(axis as u32))
}

fn block(definition: &Definition) -> Vec<u64> {
    let shape = &definition.output.shape;
    let mut block = vec![1; shape.len()];
    if let Some(shared) = definition.shared() {
        let axis = shared.axis.index();
        block[axis] = width(shape[axis], 4);
        return block;
    }
    let long = |axis: &usize| shape[*axis] > 1;
    let innermost = (0..shape.len()).rev().find(long);
    let mut heavy = false;
    let (mut lanes, mut factors, mut steps) = (false, Vec::new(), 0);
    access::each_step(&definition.last().steps, 0, &mut |step, depth| match step {
        Step::Call(..) => heavy = true,
        Step::Reduce(reduction) => lanes |= reduction.order == Order::Lanes,
        Step::Load(_, load) if depth > 0 => factors.push(access::place(definition, load)),
        _ => steps += 1,
    });
    let Some(innermost) = innermost.filter(|_| !heavy && !lanes && steps <= LIGHT) else { return block };
    if factors.is_empty() {
        block[innermost] = width(shape[innermost], 4);
        return block;
    }
    // Two axes, each of which some factor has and another has not, make a tile of sums that share factors.
    let has =
        |axis: usize| factors.iter().map(|place| place.factor(Axis(axis as u32)) != 0).collect::<Vec<_>>();
    let splits = |axis: &usize| has(*axis).contains(&true) && has(*axis).contains(&false);
    let axes: Vec<usize> = (0..shape.len()).rev().filter(long).collect();
    let columns = axes.iter().copied().find(splits);
    let rows = columns.and_then(|columns| {
        let beside = |axis: &usize| splits(axis) && has(*axis) != has(columns);
        axes.iter().copied().filter(|&axis| axis != columns).find(beside)
    });
    match (rows, columns) {
        (Some(rows), Some(columns)) => {
            block[columns] = width(shape[columns], 4);
            block[rows] = width(shape[rows], (MOST_SUMS / block[columns]).min(8));
            block[columns] = width(shape[columns], (MOST_SUMS / block[rows]).min(8));
        }
        (None, Some(columns)) => block[columns] = width(shape[columns], 8),
        (_, None) => block[innermost] = width(shape[innermost], 4),
    }
    block
}

/// A width of at most `most` into which a size can be cut well.
fn width(size: u64, most: u64) -> u64 {
    if size <= most {
        return size.max(1);
    }
    let whole = (most.div_ceil(2).max(2)..=most).rev().find(|&width| size.is_multiple_of(width));
    whole.unwrap_or(most)
}

fn unit(definition: &Definition, block: &[u64]) -> Vec<u64> {
    let shape = &definition.output.shape;
    let mut unit = block.to_vec();
    for axis in (0..shape.len()).filter(|&axis| in_row(definition, axis)) {
        unit[axis] = shape[axis].max(1);
    }
    let element = element(definition);
    for axis in (0..shape.len()).rev().filter(|&axis| !in_row(definition, axis) && shape[axis] > 1) {
        let others: u64 = (0..shape.len()).filter(|&other| other != axis).map(|other| unit[other]).product();
        let cost = others.saturating_mul(element);
        let bordered = !access::cuts(definition, Axis(axis as u32)).is_empty();
        let most = if bordered { BORDERED } else { UNIT };
        if cost.saturating_mul(shape[axis]) <= most {
            unit[axis] = shape[axis];
            continue;
        }
        // As many blocks as are cheap, if possible without a smaller one at the end.
        let blocks = (UNIT / cost.saturating_mul(block[axis]).max(1)).max(1);
        let fits = |blocks: &u64| shape[axis].is_multiple_of(block[axis] * blocks);
        let best = (blocks.div_ceil(4)..=blocks).rev().take(1 << 10).find(fits);
        unit[axis] = (block[axis] * best.unwrap_or(blocks)).min(shape[axis]);
    }
    unit
}

/// About how many steps it takes to compute an element.
fn element(definition: &Definition) -> u64 {
    match definition.shared() {
        Some(shared) => {
            let folds = shared.count().div_ceil(definition.size(shared.axis).max(1));
            steps(definition, &shared.fold.body).saturating_mul(folds).saturating_add(1)
        }
        None => {
            let stages = definition.stages.iter().map(|stage| steps(definition, &stage.steps));
            stages.fold(1, u64::saturating_add)
        }
    }
}

/// About how many steps it takes to compute something.
fn steps(definition: &Definition, all: &[Step]) -> u64 {
    let one = |step: &Step| match step {
        Step::Call(..) => 64,
        Step::Reduce(reduction) => {
            let inner = steps(definition, &reduction.body);
            let sizes = reduction.ranges.iter().map(|range| definition.size(range.axis));
            sizes.fold(inner, u64::saturating_mul)
        }
        _ => 1,
    };
    all.iter().map(one).fold(0, u64::saturating_add)
}

/// Decides which stages are kept in the row of the output: those of its type that cost more than a load, if
/// whatever overwrites one reads it at its own index only, and nothing reads it afterwards.
fn kept(definition: &Definition) -> Vec<bool> {
    let last = definition.stages.len() - 1;
    let mut kept = vec![false; definition.stages.len()];
    if !keeps_bits(definition.output.dtype) {
        return kept;
    }
    let mut next = last;
    for index in (0..last).rev() {
        let stage = &definition.stages[index];
        let fits = stage.axes == definition.row
            && !stage.axes.is_empty()
            && definition.ty(stage.value) == definition.ty(definition.last().value);
        let read_later = (next + 1..=last).any(|later| reads(definition, later, index));
        // A stage that is computed where it is loaded would read this one there.
        let between = (index + 1..next)
            .any(|other| !definition.stages[other].axes.is_empty() && reads(definition, other, index));
        if fits && costs(stage) && !read_later && !between && at_own_index(definition, next, index) {
            kept[index] = true;
            next = index;
        }
    }
    kept
}

fn costs(stage: &Stage) -> bool {
    let mut heavy = stage.steps.len() > 6;
    access::each_step(&stage.steps, 0, &mut |step, _| {
        heavy |= matches!(step, Step::Call(..) | Step::Reduce(_));
    });
    heavy
}

fn reads(definition: &Definition, stage: usize, from: usize) -> bool {
    let mut reads = false;
    access::each_step(&definition.stages[stage].steps, 0, &mut |step, _| {
        reads |= matches!(step, Step::Load(_, load) if load.from == Source::Stage(from as u32));
    });
    reads
}

/// Whether a stage reads another one only at its own index.
fn at_own_index(definition: &Definition, stage: usize, from: usize) -> bool {
    let own: Vec<crate::definition::Coordinate> =
        definition.row.iter().map(|&axis| crate::definition::Affine::from(axis).into()).collect();
    let mut only = true;
    access::each_step(&definition.stages[stage].steps, 0, &mut |step, depth| {
        if let Step::Load(_, load) = step
            && load.from == Source::Stage(from as u32)
        {
            only &= depth == 0 && load.at == own;
        }
    });
    only
}
