//! The axes of a definition, joined: neighbours that every load and the output pass through as one are one
//! axis. Long axes make long blocks.

use std::ops::Range;

use dnn_lib::definition::{Affine, Coordinate, Definition, Load, Reduction, Step};

/// An affine index in joined axes, or the offset of an element in a tensor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Linear {
    pub terms: Vec<(usize, i64)>,
    pub constant: i64,
}

impl Linear {
    pub(crate) fn at(&self, indices: &[i64]) -> i64 {
        let term = |&(axis, factor): &(usize, i64)| factor.wrapping_mul(indices[axis]);
        self.terms.iter().map(term).fold(self.constant, i64::wrapping_add)
    }

    pub(crate) fn factor(&self, axis: usize) -> i64 {
        self.terms.iter().find(|(other, _)| *other == axis).map_or(0, |&(_, factor)| factor)
    }

    pub(crate) fn scaled(mut self, by: i64) -> Self {
        self.terms.iter_mut().for_each(|(_, factor)| *factor = factor.wrapping_mul(by));
        Self { constant: self.constant.wrapping_mul(by), ..self }
    }
}

/// The joined axes.
#[derive(Clone, Debug)]
pub(crate) struct Axes {
    /// The size of each: 1 for those that were joined with a later one.
    pub sizes: Vec<u64>,
    /// For each axis that stands for several, those, outermost first, with their sizes.
    pub members: Vec<Vec<(usize, u64)>>,
    /// Whether a window leaves out indices of an axis. What depends on its index must stay in its loop, even if
    /// there is only one index.
    windowed: Vec<bool>,
}

impl Axes {
    pub(crate) fn new(definition: &Definition) -> Self {
        let mut indices = Vec::new();
        let mut reductions = Vec::new();
        for stage in &definition.stages {
            collect(definition, &stage.steps, &mut indices, &mut reductions);
        }
        let sizes = definition.axes.clone();
        let members = (0..sizes.len()).map(|axis| vec![(axis, sizes[axis])]).collect();
        let mut windowed = vec![false; sizes.len()];
        for range in reductions.iter().flat_map(|reduction| &reduction.ranges) {
            windowed[range.axis.index()] = range.window.is_some();
        }
        let mut axes = Self { sizes, members, windowed: windowed.clone() };
        let output: Vec<usize> = definition.output_axes().map(|axis| axis.index()).collect();
        let together = |a: usize, b: usize| {
            let has = |axes: &[dnn_lib::definition::Axis], axis| axes.iter().any(|own| own.index() == axis);
            let stages = definition.stages.iter().map(|stage| &stage.axes);
            stages.chain([&definition.row]).all(|axes| has(axes, a) == has(axes, b))
        };
        axes.join(&output, &indices, together);
        for reduction in reductions {
            let ranges: Vec<usize> = reduction.ranges.iter().map(|range| range.axis.index()).collect();
            axes.join(&ranges, &indices, |a, b| !windowed[a] && !windowed[b]);
        }
        axes
    }

    /// Joins neighbours where it is allowed.
    fn join(&mut self, order: &[usize], indices: &[Affine], allowed: impl Fn(usize, usize) -> bool) {
        let mut last: Option<usize> = None;
        for &axis in order.iter().rev() {
            if self.sizes[axis] == 1 {
                continue;
            }
            let factor = |index: &Affine, axis: usize| {
                index.terms.iter().find(|(own, _)| own.index() == axis).map_or(0, |&(_, factor)| factor)
            };
            let joined = last.filter(|&inner| {
                let size = self.sizes[inner] as i64;
                let passes = |index| factor(index, axis) == factor(index, inner).wrapping_mul(size);
                let total = self.sizes[inner].checked_mul(self.sizes[axis]);
                size != 0
                    && self.sizes[axis] != 0
                    && total.is_some_and(|total| total < 1 << 60)
                    && allowed(axis, inner)
                    && indices.iter().all(passes)
            });
            match joined {
                Some(inner) => {
                    self.members[inner].insert(0, (axis, self.sizes[axis]));
                    self.sizes[inner] *= self.sizes[axis];
                    self.sizes[axis] = 1;
                    self.members[axis].clear();
                }
                None => last = Some(axis),
            }
        }
    }

    /// Whether an axis has one index, so that nothing depends on it.
    pub(crate) fn is_single(&self, axis: usize) -> bool {
        self.sizes[axis] == 1 && !self.windowed[axis]
    }

    /// An affine index in the joined axes.
    pub(crate) fn linear(&self, index: &Affine) -> Linear {
        let terms = index.terms.iter().map(|&(axis, factor)| (axis.index(), factor));
        Linear { terms: terms.filter(|&(axis, _)| !self.is_single(axis)).collect(), constant: index.constant }
    }
}

/// The offset of an element, by its affine coordinates.
pub(crate) fn offset(definition: &Definition, load: &Load) -> Affine {
    let strides = strides(&definition.shape(load.from));
    let term = |(coordinate, stride): (&Coordinate, i64)| match coordinate {
        Coordinate::Affine(index) => Some(index.clone() * stride),
        Coordinate::Value(_) => None,
    };
    load.at.iter().zip(strides).filter_map(term).fold(Affine::default(), |sum, term| sum + term)
}

/// The distances of neighbours, in elements.
pub(crate) fn strides(shape: &[u64]) -> Vec<i64> {
    let mut strides = vec![1i64; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].wrapping_mul(shape[axis] as i64);
    }
    strides
}

/// The indices i at which `position + step * i` is in `0..size`, as far as they are in `range`.
pub(crate) fn within(position: i64, step: i64, size: i64, range: Range<i64>) -> Range<i64> {
    // Mostly they are all inside, which takes no division to see.
    let inside = |index: i64| (0..size).contains(&(position + step * index));
    if range.is_empty() || (inside(range.start) && inside(range.end - 1)) {
        return range;
    }
    let ceil = |a: i64, b: i64| -(-a).div_euclid(b);
    let (start, end) = match step {
        0 if (0..size).contains(&position) => return range,
        0 => (range.start, range.start),
        1.. => (ceil(-position, step), ceil(size - position, step)),
        _ => ((position - size).div_euclid(-step) + 1, position.div_euclid(-step) + 1),
    };
    let start = start.clamp(range.start, range.end);
    start..end.clamp(start, range.end)
}

/// The coordinates that can be out of range, with the sizes of their dimensions: none if the load has no other
/// value, since then they can't.
pub(crate) fn tested(definition: &Definition, load: &Load) -> Vec<(Affine, u64)> {
    if load.otherwise.is_none() {
        return Vec::new();
    }
    let affine = |(coordinate, size): (&Coordinate, u64)| match coordinate {
        Coordinate::Affine(index) => Some((index.clone(), size)),
        Coordinate::Value(_) => None,
    };
    let coordinates = load.at.iter().zip(definition.shape(load.from)).filter_map(affine);
    coordinates.filter(|(index, size)| !in_range(definition, index, *size)).collect()
}

/// Whether an index is in range at all indices of its axes.
fn in_range(definition: &Definition, index: &Affine, size: u64) -> bool {
    let (mut least, mut most) = (i128::from(index.constant), i128::from(index.constant));
    for &(axis, factor) in &index.terms {
        let end = (i128::from(definition.size(axis)) - 1).max(0) * i128::from(factor);
        if factor < 0 { least += end } else { most += end }
    }
    least >= 0 && most < i128::from(size)
}

/// Collects the indices that must pass through joined axes as through single ones, and the reductions.
fn collect<'a>(
    definition: &'a Definition,
    steps: &'a [Step],
    indices: &mut Vec<Affine>,
    reductions: &mut Vec<&'a Reduction>,
) {
    for step in steps {
        match step {
            Step::Let(..) | Step::Call(..) => {}
            Step::Index(_, index) => indices.push(index.clone()),
            Step::Load(_, load) => {
                indices.push(offset(definition, load));
                indices.extend(tested(definition, load).into_iter().map(|(index, _)| index));
            }
            Step::Reduce(reduction) => {
                reductions.push(reduction);
                indices.extend(
                    reduction.ranges.iter().filter_map(|range| Some(range.window.as_ref()?.start.clone())),
                );
                collect(definition, &reduction.body, indices, reductions);
            }
        }
    }
}

impl Axes {
    /// Calls a function with ranges of the joined axes, which together are a box of the output.
    pub(crate) fn joined(&self, part: &[Range<u64>], each: &mut dyn FnMut(&[Range<u64>])) {
        let mut ranges: Vec<Range<u64>> = self.sizes.iter().map(|&size| 0..size).collect();
        if part.iter().any(Range::is_empty) {
            return;
        }
        self.joined_from(0, part, &mut ranges, each);
    }

    fn joined_from(
        &self,
        axis: usize,
        part: &[Range<u64>],
        ranges: &mut Vec<Range<u64>>,
        each: &mut dyn FnMut(&[Range<u64>]),
    ) {
        if axis == part.len() {
            return each(ranges);
        }
        if self.sizes[axis] == 1 {
            return self.joined_from(axis + 1, part, ranges, each);
        }
        for range in single(&self.members[axis], part) {
            ranges[axis] = range;
            self.joined_from(axis + 1, part, ranges, each);
        }
    }
}

/// The ranges of the index that stands for the indices of some axes in a box.
pub(crate) fn single(members: &[(usize, u64)], part: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut ranges = Vec::from([const { 0..1 }]);
    for &(axis, size) in members {
        let own = &part[axis];
        if *own == (0..size) {
            ranges.iter_mut().for_each(|range| *range = range.start * size..range.end * size);
        } else {
            let within = |index| index * size + own.start..index * size + own.end;
            ranges = match &ranges[..] {
                [only] if only.end - only.start == 1 => vec![within(only.start)],
                _ => ranges.into_iter().flatten().map(within).collect(),
            };
        }
    }
    ranges
}
