//! What a definition reads, and which of its axes can be one.

use crate::definition::{Affine, Axis, Coordinate, Definition, Load, Source, Step};
use crate::layout::strides;

/// Does something with each step, those of reductions included. It is told the depth of the reduction.
pub(super) fn each_step<'a>(steps: &'a [Step], depth: usize, each: &mut dyn FnMut(&'a Step, usize)) {
    for step in steps {
        each(step, depth);
        if let Step::Reduce(reduction) = step {
            each_step(&reduction.body, depth + 1, each);
        }
    }
}

/// The place of the element that a load reads, without coordinates that are values.
pub(super) fn place(definition: &Definition, load: &Load) -> Affine {
    let shape = definition.shape(load.from);
    let terms = load.at.iter().zip(strides(&shape)).map(|(coordinate, stride)| match coordinate {
        Coordinate::Affine(index) => index.clone() * stride as i64,
        Coordinate::Value(_) => Affine::default(),
    });
    terms.fold(Affine::default(), |sum, term| sum + term)
}

/// The indices by which a definition depends on its axes.
pub(super) struct Uses {
    all: Vec<Affine>,
    /// Those that are places in stages.
    stages: Vec<Affine>,
}

impl Uses {
    pub(super) fn of(definition: &Definition) -> Self {
        let mut uses = Self { all: Vec::new(), stages: Vec::new() };
        for stage in &definition.stages {
            each_step(&stage.steps, 0, &mut |step, _| match step {
                Step::Index(_, index) => uses.all.push(index.clone()),
                Step::Load(_, load) => {
                    let place = place(definition, load);
                    if matches!(load.from, Source::Stage(_)) {
                        uses.stages.push(place.clone());
                    }
                    uses.all.push(place);
                    if load.otherwise.is_some() {
                        uses.all.extend(affine(load).cloned());
                    }
                }
                Step::Reduce(reduction) => {
                    for range in &reduction.ranges {
                        let windows = range.window.iter();
                        uses.all.extend(windows.flat_map(|w| [w.start.clone(), w.position(range.axis)]));
                    }
                }
                Step::Let(..) | Step::Call(..) => {}
            });
        }
        uses
    }

    /// Whether two axes, the second directly inside of the first, can be iterated as one.
    pub(super) fn joined(&self, definition: &Definition, outer: Axis, inner: Axis) -> bool {
        let fits = |index: &Affine, outer: Axis, inner: Axis| {
            i64::try_from(definition.size(inner))
                .ok()
                .and_then(|size| index.factor(inner).checked_mul(size))
                .is_some_and(|factor| factor == index.factor(outer))
        };
        let in_stage = |index: &&Affine| index.factor(outer) != 0 || index.factor(inner) != 0;
        let rows = || {
            let pairs = definition.row.windows(2);
            pairs.flat_map(|pair| self.all.iter().map(move |index| fits(index, pair[0], pair[1]))).all(|f| f)
        };
        self.all.iter().all(|index| fits(index, outer, inner))
            && (!self.stages.iter().any(|index| in_stage(&index)) || rows())
    }
}

fn affine(load: &Load) -> impl Iterator<Item = &Affine> {
    load.at.iter().filter_map(|coordinate| match coordinate {
        Coordinate::Affine(index) => Some(index),
        Coordinate::Value(_) => None,
    })
}

/// The indices of an output's axis at which a test of it changes its result: coordinates that may be out of
/// range, and positions of windows.
pub(super) fn cuts(definition: &Definition, axis: Axis) -> Vec<i64> {
    let size = definition.size(axis) as i64;
    let mut cuts = Vec::new();
    let mut test = |index: &Affine, end: u64| {
        let &[(only, factor)] = &index.terms[..] else { return };
        if only != axis {
            return;
        }
        for limit in [0, end as i64] {
            // The first index beyond the limit, in the direction in which the coordinate changes.
            let distance = i128::from(limit) - i128::from(index.constant);
            let cut = if factor > 0 {
                -(-distance).div_euclid(i128::from(factor))
            } else {
                distance.div_euclid(i128::from(factor)) + 1
            };
            cuts.extend(i64::try_from(cut).ok().filter(|cut| (1..size).contains(cut)));
        }
    };
    for stage in &definition.stages {
        each_step(&stage.steps, 0, &mut |step, _| match step {
            Step::Load(_, load) if load.otherwise.is_some() => {
                let shape = definition.shape(load.from);
                for (coordinate, &size) in load.at.iter().zip(&shape) {
                    if let Coordinate::Affine(index) = coordinate {
                        test(index, size);
                    }
                }
            }
            Step::Reduce(reduction) => {
                for range in &reduction.ranges {
                    let Some(window) = &range.window else { continue };
                    let count = definition.size(range.axis);
                    for index in (0..count).take(MOST_POSITIONS) {
                        test(&(window.start.clone() + index as i64 * window.step as i64), window.size);
                    }
                }
            }
            _ => {}
        });
    }
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// Windows with more positions are not tested position by position.
pub(super) const MOST_POSITIONS: usize = 32;

/// About how many operations the code of some steps has, for one element.
pub(super) fn code(definition: &Definition, steps: &[Step]) -> u64 {
    let one = |step: &Step| match step {
        Step::Call(..) => 64,
        Step::Reduce(reduction) => {
            let inner = code(definition, &reduction.body);
            // Windows are unrolled at borders.
            let windows = reduction.ranges.iter().filter(|range| range.window.is_some());
            windows.map(|range| definition.size(range.axis)).fold(inner, u64::saturating_mul)
        }
        _ => 1,
    };
    steps.iter().map(one).fold(0, u64::saturating_add)
}
