//! Vector programs: what a definition is translated to.
//!
//! Lanes run over rows, so that stages keep a block for each of their elements; or they run along rows, a few
//! short ones or a part of a long one at a time.

use std::ops::Range;

use dnn_lib::math::Function;
use dnn_lib::scalar::{BinaryOp, Type};

use super::axes::{Axes, Linear};
use super::transfer::{Read, Write};
use super::vector::Op;

/// A place for a block of lanes.
pub(crate) type Slot = usize;

/// A vector program.
#[derive(Debug)]
pub(crate) struct Program {
    pub axes: Axes,
    /// The axes of the output, outermost first, with their sizes; none of size 1.
    pub output: Vec<(usize, u64)>,
    /// The axes that number the rows, outermost first, with the number of indices in a block.
    pub outer: Vec<Chunked>,
    /// What is the same for all lanes of all blocks.
    pub once: Vec<Instr>,
    pub stages: Vec<StageCode>,
    /// The most lanes of a block.
    pub lanes: usize,
    /// The offset of each slot in scratch memory, and the bytes of its lanes.
    pub slots: Vec<(usize, usize)>,
    /// Along which dimensions of a block the lanes of each slot differ, as bits. If it has one index along all of
    /// them, the slot has one vector of equal lanes. `None` if all lanes are always there.
    pub differ: Vec<Option<u8>>,
    /// The bits that all lanes of a slot always have.
    pub constants: Vec<(Slot, u64)>,
    /// The offset of a register of a reduction in scratch memory.
    pub register: usize,
    /// The bytes of scratch memory.
    pub scratch: usize,
}

/// An axis that is walked in chunks.
#[derive(Clone, Debug)]
pub(crate) struct Chunked {
    pub axis: usize,
    pub chunk: u64,
    /// The indices at which no window is cut. No chunk has both these and others.
    pub whole: Range<u64>,
}

/// The code of a stage.
#[derive(Debug)]
pub(crate) struct StageCode {
    /// The axes of its elements, outermost first, with the number of indices in a block.
    pub axes: Vec<Chunked>,
    /// The axes of its blocks, outermost first.
    pub dims: Vec<usize>,
    pub code: Vec<Instr>,
    pub value: Slot,
    /// Whether an operation on whole blocks defines the value.
    pub computed: bool,
    /// Whether no NaN of the value but the canonical one is possible.
    pub canonical: bool,
    pub kind: Write,
    /// Where its elements are in scratch memory; `None` for the output.
    pub at: Option<usize>,
    /// The offset of an element, in elements.
    pub offset: Linear,
    pub lanes: Lanes,
}

/// How the elements of a block's lanes follow each other.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    /// The steps along the dimensions of the block.
    pub steps: Vec<i64>,
    /// Whether each lane is one further besides.
    pub side_by_side: bool,
}

#[derive(Debug)]
pub(crate) enum Instr {
    Apply { op: Op, to: Slot, from: [Slot; 4] },
    Call { function: Function, to: Slot, from: Slot },
    Index { to: Slot, index: Linear, steps: Vec<i64> },
    Load(Load),
    Terms(Terms),
    Reduce(Reduce),
}

/// Loads elements.
#[derive(Debug)]
pub(crate) struct Load {
    pub to: Slot,
    pub from: Place,
    pub kind: Read,
    /// The offset of the first lane's element, as far as it is affine.
    pub offset: Linear,
    pub lanes: Lanes,
    /// Coordinates that were computed.
    pub computed: Vec<Computed>,
    /// Affine coordinates that can be out of range.
    pub tested: Vec<Tested>,
    /// The value of elements out of range.
    pub otherwise: Option<Slot>,
    /// Whether that value stays where it is while the loaded one is used.
    pub stays: bool,
    /// The number of elements of the tensor, for checks in tests.
    pub elements: i64,
}

/// Where a tensor is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Input(usize),
    /// At an offset in scratch memory.
    Scratch(usize),
    /// The same, and this many elements further for each lane of the block outside.
    Lane(usize, usize),
}

#[derive(Debug)]
pub(crate) struct Computed {
    pub from: Slot,
    pub size: i64,
    pub stride: i64,
    /// Whether it is the same in all lanes along the innermost dimension.
    pub uniform: bool,
}

#[derive(Debug)]
pub(crate) struct Tested {
    pub index: Linear,
    pub steps: Vec<i64>,
    pub size: i64,
}

/// A copy of lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copy {
    pub from: Slot,
    pub to: Slot,
    /// The bytes of a lane.
    pub bytes: usize,
}

/// A fold of elements of an input in ascending order, with the results so far in registers.
#[derive(Debug)]
pub(crate) struct Terms {
    pub op: BinaryOp,
    pub kind: Read,
    /// The same in all lanes.
    pub init: Slot,
    pub to: Slot,
    pub input: usize,
    /// The offset of the first lane's element at indices 0 of the reduction.
    pub offset: Linear,
    /// The steps along the dimensions of the block.
    pub steps: Vec<i64>,
    pub ranges: Vec<TermRange>,
    /// The number of elements of the tensor, for checks in tests.
    pub elements: i64,
}

/// An axis of such a fold.
#[derive(Debug)]
pub(crate) struct TermRange {
    pub size: i64,
    /// From an element to the next one.
    pub step: i64,
    pub window: Option<TermWindow>,
}

/// The window of such an axis. Its start moves along one axis of the output at most.
#[derive(Debug)]
pub(crate) enum TermWindow {
    /// It is the same for all lanes.
    Still { start: Linear, step: i64, size: i64 },
    /// It moves along this dimension of the block, by the indices of whose axis there are those that are inside.
    Moving { dim: usize, stretches: Vec<Stretch> },
}

/// Indices of an axis with the same indices of a reduction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stretch {
    pub positions: Range<i64>,
    pub inside: Range<i64>,
}

/// A reduction.
#[derive(Debug)]
pub(crate) struct Reduce {
    pub ranges: Vec<Loop>,
    pub body: Vec<Instr>,
    pub fold: Fold,
}

#[derive(Debug)]
pub(crate) enum Fold {
    /// In ascending order: these copies before all, and these after each index.
    Ascending { before: Vec<Copy>, after: Vec<Copy> },
    /// In registers of lanes of blocks: these slots, from the first one on, take `value` in turn.
    Blocks { op: BinaryOp, ty: Type, init: Slot, registers: Slot, value: Slot },
    /// In lanes that run along the last range, for each lane of the block: with these values of that lane in
    /// all lanes. `Reduce::ranges` are the others.
    Along {
        op: BinaryOp,
        ty: Type,
        init: Slot,
        result: Slot,
        value: Slot,
        spread: Vec<Copy>,
        dims: Vec<usize>,
        /// If the values are elements of an input, in rows: the steps along the dimensions of the block outside.
        rows: Option<Vec<i64>>,
        /// Whether a block of lanes is enough for the whole range at all lanes of the block outside: then lanes
        /// run over both.
        together: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Loop {
    pub axis: usize,
    pub size: i64,
    pub window: Option<Window>,
}

#[derive(Debug)]
pub(crate) struct Window {
    pub start: Linear,
    pub step: i64,
    pub size: i64,
    /// How far the position moves from lane to lane, along the innermost dimension of blocks.
    pub lane_step: i64,
}
