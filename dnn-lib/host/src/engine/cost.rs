//! About how long programs take, so that callers know whether threads are worth it.

use super::product::Product;
use super::program::{Fold, Instr, Program, Reduce};

/// The time of an instruction for a lane, in picoseconds: measured on one processor, and right within a factor of
/// two or three on others.
const SIMPLE: u64 = 60;
const ROUGH: u64 = 500;
const GATHERED: u64 = 2_000;
const FUNCTION: u64 = 400;
/// The same for a multiply-add of a micro-kernel.
const FUSED: u64 = 20;

/// The nanoseconds that one thread needs for the whole output.
pub(crate) fn nanoseconds(program: &Program, product: Option<&Product>, elements: u64) -> u64 {
    let rows = program.outer.iter().map(|chunked| program.axes.sizes[chunked.axis]);
    let rows = rows.fold(1, u64::saturating_mul);
    let of_stage = |stage: &super::program::StageCode| {
        let count = stage.axes.iter().map(|chunked| program.axes.sizes[chunked.axis]);
        count.fold(SIMPLE + of_code(&stage.code), u64::saturating_mul)
    };
    let generic = program.stages.iter().map(of_stage).fold(0, u64::saturating_add).saturating_mul(rows);
    let picoseconds = match product {
        Some(product) => elements.saturating_mul(SIMPLE + FUSED.saturating_mul(product.depth())),
        None => generic,
    };
    picoseconds / 1000
}

/// The same, if results are looked up that a program computes.
pub(crate) fn of_lookup(program: &Program, elements: u64) -> u64 {
    nanoseconds(program, None, 0).saturating_add(elements.saturating_mul(SIMPLE) / 1000)
}

fn of_code(code: &[Instr]) -> u64 {
    let of_instr = |instr: &Instr| match instr {
        Instr::Apply { .. } | Instr::Index { .. } => SIMPLE,
        Instr::Call { .. } => FUNCTION,
        Instr::Load(load) if load.computed.iter().any(|computed| !computed.uniform) => GATHERED,
        Instr::Load(load) if load.lanes.steps.last().is_some_and(|step| step.unsigned_abs() > 1) => ROUGH,
        Instr::Load(_) => SIMPLE,
        Instr::Terms(terms) => {
            terms.ranges.iter().map(|range| range.size as u64).fold(SIMPLE, u64::saturating_mul)
        }
        Instr::Reduce(reduce) => of_reduce(reduce),
    };
    code.iter().map(of_instr).fold(0, u64::saturating_add)
}

fn of_reduce(reduce: &Reduce) -> u64 {
    let copies = match &reduce.fold {
        Fold::Ascending { after, .. } => after.len() as u64,
        Fold::Blocks { .. } | Fold::Along { .. } => 1,
    };
    let sizes = reduce.ranges.iter().map(|range| range.size as u64);
    sizes.fold(SIMPLE * copies + of_code(&reduce.body), u64::saturating_mul)
}
