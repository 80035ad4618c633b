//! How an output is cut into blocks of lanes.

use std::ops::Range;

use dnn_lib::definition::{Definition, Source, Stage, Step};

use super::reductions::term;
use crate::engine::axes::{Axes, Linear, offset, within};
use crate::engine::fold::LANES;
use crate::engine::program::Chunked;

/// Whether lanes can run along several rows at once: where only values of whole rows have reductions.
pub(super) fn several_rows(definition: &Definition, windows: &[Cut]) -> bool {
    let reduces = |stage: &Stage| stage.steps.iter().any(|step| matches!(step, Step::Reduce(_)));
    windows.is_empty() && definition.stages.iter().all(|stage| stage.axes.is_empty() || !reduces(stage))
}

/// The number of elements of each stage but the last.
pub(super) fn stage_elements(definition: &Definition) -> impl Iterator<Item = u64> {
    let before = &definition.stages[..definition.stages.len() - 1];
    before
        .iter()
        .map(|stage| stage.axes.iter().map(|&axis| definition.size(axis)).fold(1, u64::saturating_mul))
}

/// Walks axes in blocks of at most `most` indices: whole inner axes and a part of the next one. Only along its
/// innermost dimension can a window cut a block; axes that cut it elsewhere are passed over.
pub(super) fn chunks(
    order: &[usize],
    axes: &Axes,
    windows: &[Cut],
    most: u64,
    most_dims: usize,
) -> Vec<Chunked> {
    let mut rest = most;
    let mut dims = 0;
    let mut chunks: Vec<Chunked> = Vec::new();
    for &axis in order.iter().rev() {
        let size = axes.sizes[axis];
        let cut = windows.iter().any(|window| window.start.factor(axis) != 0);
        let passed = cut && dims > 0;
        let chunk = if rest <= 1 || dims == most_dims || passed { 1 } else { size.min(rest) };
        dims += usize::from(chunk > 1);
        if !passed {
            rest = if chunk == size { rest / chunk } else { 0 };
        }
        let whole = windows.iter().fold(0..size as i64, |range, window| window.whole(axis, range));
        chunks.insert(0, Chunked { axis, chunk, whole: whole.start as u64..whole.end as u64 });
    }
    chunks
}

/// The axis along which elements of an input are side by side that are apart along the last axis.
pub(super) fn turned(definition: &Definition, axes: &Axes, order: &[usize]) -> Option<usize> {
    let (&last, before) = order.split_last()?;
    let mut found = None;
    for step in definition.stages.iter().flat_map(|stage| &stage.steps) {
        let Step::Load(_, load) = step else { continue };
        if matches!(load.from, Source::Stage(_)) {
            continue;
        }
        let offset = axes.linear(&offset(definition, load));
        if offset.factor(last).unsigned_abs() > 1 {
            found = found.or_else(|| before.iter().copied().find(|&axis| offset.factor(axis) == 1));
        }
    }
    found
}

/// Walks axes in tiles of the last one and another one.
pub(super) fn tiles(order: &[usize], axes: &Axes, other: usize, most: u64) -> Vec<Chunked> {
    let last = order.last().copied();
    let chunk = |&axis: &usize| {
        let most = match axis {
            axis if Some(axis) == last => LANES as u64,
            axis if axis == other => most / LANES as u64,
            _ => 1,
        };
        let size = axes.sizes[axis];
        Chunked { axis, chunk: size.min(most.max(1)), whole: 0..size }
    };
    order.iter().map(chunk).collect()
}

pub(super) fn dims_of(chunks: &[Chunked]) -> Vec<usize> {
    chunks.iter().filter(|chunked| chunked.chunk > 1).map(|chunked| chunked.axis).collect()
}

/// A window, which can cut blocks.
pub(super) struct Cut {
    /// Its first position.
    pub(super) start: Linear,
    /// From there to its last one.
    pub(super) length: i64,
    /// The number of positions that are inside.
    pub(super) size: i64,
}

impl Cut {
    /// The indices of an axis in a range at which no position is outside. All, if that depends on others too.
    pub(super) fn whole(&self, axis: usize, range: Range<i64>) -> Range<i64> {
        let &[(own, factor)] = &self.start.terms[..] else { return range };
        if own != axis {
            return range;
        }
        let ends = [self.start.constant, self.start.constant.wrapping_add(self.length)];
        ends.into_iter().fold(range, |range, end| within(end, factor, self.size, range))
    }
}

/// All windows, but for those of elements that are folded in registers.
pub(super) fn windows(definition: &Definition, axes: &Axes) -> Vec<Cut> {
    fn collect(
        definition: &Definition,
        steps: &[Step],
        axes: &Axes,
        outermost: bool,
        windows: &mut Vec<Cut>,
    ) {
        for step in steps {
            let Step::Reduce(reduction) = step else { continue };
            if outermost && term(definition, axes, reduction).is_some() {
                continue;
            }
            for range in &reduction.ranges {
                let Some(window) = &range.window else { continue };
                let last = (definition.size(range.axis) as i64).saturating_sub(1);
                let length = (window.step as i64).wrapping_mul(last);
                windows.push(Cut { start: axes.linear(&window.start), length, size: window.size as i64 });
            }
            collect(definition, &reduction.body, axes, false, windows);
        }
    }
    let mut windows = Vec::new();
    definition.stages.iter().for_each(|stage| collect(definition, &stage.steps, axes, true, &mut windows));
    windows
}
