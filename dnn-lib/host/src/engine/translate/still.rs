//! Values that are the same in all lanes of a block, of which a vector is enough.

use crate::engine::program::{Fold, Instr, Load, Place, Reduce, Slot, StageCode};
use crate::engine::vector::Op;

/// For each slot, along which dimensions of a block its lanes differ, as bits. `None` if all lanes have to be
/// there: if it is read by anything but operations on lanes, which can take one vector again and again.
pub(super) fn still(stages: &[StageCode], constants: &[(Slot, u64)], slots: usize) -> Vec<Option<u8>> {
    let mut still = Still { whole: vec![false; slots], differ: vec![None; slots] };
    constants.iter().for_each(|&(slot, _)| still.differ[slot] = Some(0));
    for stage in stages {
        still.whole[stage.value] = true;
        stage.code.iter().rev().for_each(|instr| still.read(instr));
    }
    // After all stages have been read.
    for instr in stages.iter().flat_map(|stage| &stage.code) {
        still.write(instr);
    }
    still.differ
}

/// Takes out of the stages what is the same for all lanes of all blocks, by how the lanes of slots differ.
pub(super) fn once(stages: &mut [StageCode], constants: &[(Slot, u64)], differ: &[Option<u8>]) -> Vec<Instr> {
    let mut known: Vec<bool> = vec![false; differ.len()];
    constants.iter().for_each(|&(slot, _)| known[slot] = true);
    // An element of an input that doesn't move.
    let is_same = |load: &Load| matches!(load.from, Place::Input(_)) && load.offset.terms.is_empty();
    let mut once = Vec::new();
    for stage in stages {
        once.extend(stage.code.extract_if(.., |instr| {
            let (to, same) = match instr {
                Instr::Apply { to, from, .. } => (*to, from.iter().all(|&slot| slot == *to || known[slot])),
                Instr::Call { to, from, .. } => (*to, known[*from]),
                Instr::Load(load) => (load.to, is_same(load)),
                Instr::Index { .. } | Instr::Terms(_) | Instr::Reduce(_) => return false,
            };
            known[to] = same && differ[to] == Some(0);
            known[to]
        }));
    }
    once
}

struct Still {
    /// The slots whose lanes all have to be there.
    whole: Vec<bool>,
    differ: Vec<Option<u8>>,
}

impl Still {
    /// Notes what an instruction reads. Those that use its result have been seen.
    fn read(&mut self, instr: &Instr) {
        match instr {
            Instr::Apply { op: Op::Update(..) | Op::UpdateFma(_), to, .. } => self.whole[*to] = true,
            Instr::Apply { .. } | Instr::Index { .. } => {}
            Instr::Call { to, from, .. } => self.whole[*from] |= self.whole[*to],
            Instr::Load(load) => {
                let read = load.computed.iter().map(|computed| computed.from).chain(load.otherwise);
                read.for_each(|slot| self.whole[slot] = true);
            }
            Instr::Terms(terms) => self.whole[terms.init] = true,
            Instr::Reduce(reduce) => self.read_all(reduce),
        }
    }

    /// Notes all slots of a reduction.
    fn read_all(&mut self, reduce: &Reduce) {
        let whole = &mut self.whole;
        let mut note = |slots: &[Slot]| slots.iter().for_each(|&slot| whole[slot] = true);
        match &reduce.fold {
            Fold::Ascending { before, after } => {
                before.iter().chain(after).for_each(|copy| note(&[copy.from, copy.to]));
            }
            Fold::Blocks { init, registers, value, .. } => note(&[*init, *registers, *value]),
            Fold::Along { init, result, value, spread, .. } => {
                note(&[*init, *result, *value]);
                spread.iter().for_each(|copy| note(&[copy.from, copy.to]));
            }
        }
        for instr in &reduce.body {
            match instr {
                Instr::Apply { to, from, .. } => {
                    from.iter().chain([to]).for_each(|&slot| self.whole[slot] = true);
                }
                Instr::Call { to, from, .. } => {
                    [*to, *from].into_iter().for_each(|slot| self.whole[slot] = true);
                }
                Instr::Index { to, .. } => self.whole[*to] = true,
                Instr::Load(load) => {
                    self.whole[load.to] = true;
                    self.read(instr);
                }
                Instr::Terms(terms) => {
                    self.whole[terms.to] = true;
                    self.read(instr);
                }
                Instr::Reduce(inner) => self.read_all(inner),
            }
        }
    }

    /// Finds out how the lanes of an instruction's result differ.
    fn write(&mut self, instr: &Instr) {
        let (to, differ) = match instr {
            Instr::Apply { to, from, .. } => {
                let mut operands = from.iter().filter(|&slot| slot != to);
                (*to, operands.try_fold(0, |all, &slot| Some(all | self.differ[slot]?)))
            }
            Instr::Call { to, from, .. } => (*to, self.differ[*from]),
            Instr::Load(load) => {
                let plain = load.computed.is_empty() && load.tested.is_empty() && !load.lanes.side_by_side;
                let moves = |bits, (dim, &step): (usize, &i64)| bits | u8::from(step != 0) << dim;
                (load.to, plain.then(|| load.lanes.steps.iter().enumerate().fold(0, moves)))
            }
            Instr::Index { .. } | Instr::Terms(_) | Instr::Reduce(_) => return,
        };
        self.differ[to] = differ.filter(|_| !self.whole[to]);
    }
}
