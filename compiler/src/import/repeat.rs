//! Repetitions: the loops of a model, and recurrences.
//!
//! Few repetitions are written out, so that constants depend on their number. Many become a Repeat of the graph,
//! whose nodes are there once.

use std::collections::BTreeMap;

use dnn_lib::operator as op;
use dnn_lib::tensor::TensorType;
use graph::passes::unroll::LEAST_PERIOD;
use graph::{Region, Repeat, TensorId};

use super::Import;
use crate::error::{ModelError, NodeError, Warning};

/// The most repetitions that are written out because they can't be a Repeat.
const MOST_WRITTEN_OUT: u64 = 256;

/// How many repetitions of a loop are written out that carries a sequence, or whose end only its condition decides.
pub(super) const MOST_KNOWN: u64 = 1 << 12;

/// The most repetitions that are one of a Repeat's.
const MOST_IN_BLOCK: u64 = 16;

/// What is repeated, and how often.
#[derive(Clone, Copy)]
pub(super) struct Repetition<'a> {
    /// The name of the node.
    pub label: &'a str,
    /// How often; at most so often, if there is a condition.
    pub times: u64,
    /// Whether the loop ends there. If not, its condition must be known, and end it before.
    pub bounded: bool,
    /// Whether the first repetition runs. There is none if all of them do.
    pub condition: Option<TensorId>,
    /// The names of the results: what is carried, then the rows.
    pub names: &'a [String],
    /// For each of the rows, whether anybody reads it.
    pub wanted: &'a [bool],
    /// For each of the rows, whether the first one is the last in the tensor of all.
    pub reversed: &'a [bool],
}

/// The results of one repetition, or of all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pass {
    /// Whether another one follows; always, if there is none.
    pub go_on: Option<TensorId>,
    /// What is carried on.
    pub carried: Vec<TensorId>,
    /// What is collected: a row, or a tensor of all rows.
    pub rows: Vec<TensorId>,
}

/// One repetition: given its number and what is carried.
pub(super) type Body<'a> = dyn FnMut(&mut Import, TensorId, &[TensorId]) -> Result<Pass, NodeError> + 'a;

impl Import {
    /// Repeats a body.
    pub(super) fn repeat(
        &mut self,
        repetition: Repetition<'_>,
        first: &[TensorId],
        body: &mut Body<'_>,
    ) -> Result<Pass, NodeError> {
        let Repetition { times, condition, .. } = repetition;
        self.unbounded(first)?;
        let body: &mut Body<'_> = &mut |import, number, carried| {
            let pass = body(import, number, carried)?;
            import.unbounded(&[&pass.carried[..], &pass.rows[..]].concat())?;
            Ok(pass)
        };
        // What is no tensor can't be carried in the run.
        let known = first.iter().any(|&id| self.other(id).is_some());
        if known && times > MOST_KNOWN {
            return Err(NodeError::Times { found: times.cast_signed(), limit: MOST_KNOWN });
        }
        if times < LEAST_PERIOD
            || !repetition.bounded
            || known
            || condition.and_then(|id| self.truth(id)) == Some(false)
        {
            return self.written_out(repetition, first, body);
        }
        let (before, warnings) = (std::mem::take(&mut self.errors), self.warnings.len());
        let cuts = self.cuts.len();
        let result = self.period(repetition, first, body);
        let mut errors = std::mem::replace(&mut self.errors, before);
        // What changes its size, or is a constant for a known number only, can still be written out.
        if result.is_ok() || times > MOST_WRITTEN_OUT {
            self.errors.extend(errors);
            return result;
        }
        let before = std::mem::take(&mut self.errors);
        self.warnings.truncate(warnings);
        self.cuts.truncate(cuts);
        let written = self.written_out(repetition, first, body);
        let of_written = std::mem::replace(&mut self.errors, before);
        if written.is_ok() {
            errors = of_written;
        }
        // The first attempt's errors are about the loop as it stands in the model.
        self.errors.extend(errors);
        written.or(result)
    }

    /// The value of a condition that is known.
    pub(super) fn truth(&self, condition: TensorId) -> Option<bool> {
        self.tensor(condition).value.as_ref().and_then(|value| value.first()).map(|&byte| byte != 0)
    }

    /// Every repetition by itself.
    fn written_out(
        &mut self,
        repetition: Repetition<'_>,
        first: &[TensorId],
        body: &mut Body<'_>,
    ) -> Result<Pass, NodeError> {
        let Repetition { label, times, bounded, mut condition, .. } = repetition;
        let (mut carried, mut rows, mut certain) = (first.to_vec(), Vec::<Vec<TensorId>>::new(), true);
        for number in 0..times {
            let known = condition.map_or(Some(true), |condition| self.truth(condition));
            let number = self.integers(&format!("{label}.number"), &[], &[number.cast_signed()]);
            let pass = match (known, condition) {
                (Some(false), _) => break,
                (None, Some(condition)) if bounded => {
                    self.check_rows(repetition, Some(condition))?;
                    if carried.iter().any(|&id| self.other(id).is_some()) {
                        return Err(self.unbounded_loop(Some(condition)));
                    }
                    certain = false;
                    self.guarded(repetition, condition, &carried, |import, carried| {
                        body(import, number, carried)
                    })?
                }
                (None, condition) => return Err(self.unbounded_loop(condition)),
                (Some(true), _) => body(self, number, &carried)?,
            };
            rows.resize(pass.rows.len(), Vec::new());
            rows.iter_mut().zip(&pass.rows).for_each(|(rows, &row)| rows.push(row));
            (condition, carried) = (pass.go_on, pass.carried);
        }
        if !bounded && condition.and_then(|id| self.truth(id)) != Some(false) {
            return Err(self.unbounded_loop(condition));
        }
        // If it isn't certain how many rows there are, nobody reads them.
        let rows = match (certain, rows.is_empty() && !repetition.wanted.is_empty()) {
            (false, _) => Vec::new(),
            (true, true) => self.no_rows(label, first, body)?,
            (true, false) => {
                let reversed = repetition.reversed.iter().chain(std::iter::repeat(&false));
                let joined = rows
                    .into_iter()
                    .zip(reversed)
                    .map(|(rows, &reversed)| self.joined(label, rows, reversed));
                joined.collect::<Result<_, _>>()?
            }
        };
        Ok(Pass { go_on: condition, carried, rows })
    }

    /// Lets an output of the model say whether a loop that is bounded would have gone on.
    pub(super) fn may_be_cut(&mut self, node: &str, go_on: Option<TensorId>) {
        if go_on.and_then(|id| self.truth(id)) != Some(false) {
            let flag = go_on.unwrap_or_else(|| self.boolean(node, true));
            self.cuts.push(Cut { node: node.to_owned(), flag });
        }
    }

    /// Adds an output for each loop that may be cut, after all others. If the model is repeated, outputs are those of
    /// the last time alone, and would not tell.
    pub(super) fn flags(&mut self, times: u64) {
        if let Some(cut) = self.cuts.first().filter(|_| times != 1) {
            self.errors.model(ModelError::RepeatedCut { node: cut.node.clone() });
        }
        // A node that is there several times has one.
        let mut nodes: BTreeMap<String, Vec<TensorId>> = BTreeMap::new();
        for Cut { node, flag } in std::mem::take(&mut self.cuts) {
            nodes.entry(node).or_default().push(flag);
        }
        for (node, flags) in nodes {
            let output = image::unfinished(&node);
            let Some((&first, others)) = flags.split_first() else { continue };
            let any = others.iter().try_fold(first, |any, &flag| self.add(&output, op::Or, &[any, flag]));
            match any.and_then(|any| self.add(&output, op::Identity, &[any])) {
                Ok(id) => {
                    self.builder.output(id);
                    self.warnings.push(Warning::Cut { node, output });
                }
                Err(error) => self.errors.node(node, "Loop".to_owned(), error),
            }
        }
    }

    /// The error for a loop whose end is not known, with what decides it.
    pub(super) fn unbounded_loop(&self, tensor: Option<TensorId>) -> NodeError {
        NodeError::Unbounded { tensor: tensor.map(|id| self.tensor(id).name.clone()).unwrap_or_default() }
    }

    /// Rows that were never made, as tensors without elements.
    fn no_rows(
        &mut self,
        label: &str,
        first: &[TensorId],
        body: &mut Body<'_>,
    ) -> Result<Vec<TensorId>, NodeError> {
        let number = self.integers(&format!("{label}.number"), &[], &[0]);
        let (outside, cuts) = (self.builder.open(), self.cuts.len());
        let pass = body(self, number, first);
        // Only the types count.
        self.builder.close(outside);
        self.cuts.truncate(cuts);
        let types: Vec<TensorType> = pass?.rows.iter().map(|&row| self.tensor(row).ty.clone()).collect();
        let empty = |ty: TensorType| TensorType::new(ty.dtype, [&[0], &ty.shape[..]].concat());
        types.into_iter().map(|ty| self.zeros(label, empty(ty))).collect()
    }

    /// Rows, one behind the other.
    pub(super) fn joined(
        &mut self,
        label: &str,
        mut rows: Vec<TensorId>,
        reversed: bool,
    ) -> Result<TensorId, NodeError> {
        if reversed {
            rows.reverse();
        }
        let unsqueeze = op::Unsqueeze { axes: vec![0] };
        let parts = rows.iter().map(|&row| self.add(label, unsqueeze.clone(), &[row]));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        self.add(label, op::Concat { axis: 0 }, &parts)
    }

    /// One repetition that runs only if a condition holds that isn't known.
    fn guarded(
        &mut self,
        Repetition { label, names, .. }: Repetition<'_>,
        condition: TensorId,
        carried: &[TensorId],
        body: impl FnOnce(&mut Self, &[TensorId]) -> Result<Pass, NodeError>,
    ) -> Result<Pass, NodeError> {
        let (outside, cuts) = (self.builder.open(), self.cuts.len());
        let pass = body(self, carried);
        let nodes = self.builder.close(outside);
        let (pass, cuts) = (pass?, self.cuts.split_off(cuts));
        self.check_carried(carried, &pass.carried)?;
        let [yes, no] = [true, false].map(|value| self.boolean(label, value));
        let go_on = pass.go_on.unwrap_or(yes);
        let flags: Vec<TensorId> = cuts.iter().map(|cut| cut.flag).collect();
        let outputs = [&flags[..], &[go_on], &pass.carried].concat();
        let then = Region { inputs: vec![], nodes, outputs };
        let outputs = [&vec![no; flags.len()][..], &[no], carried].concat();
        let otherwise = Region { inputs: vec![], nodes: vec![], outputs };
        let of_flags: Vec<String> = cuts.iter().map(|cut| cut.node.clone()).collect();
        let names = [&of_flags[..], &[format!("{label}.condition")], names].concat();
        let mut outputs = self.builder.add_if(label, condition, then, otherwise, &names)?;
        let carried = outputs.split_off(flags.len() + 1);
        let go_on = outputs.pop();
        self.cuts.extend(cuts.into_iter().zip(outputs).map(|(cut, flag)| Cut { flag, ..cut }));
        Ok(Pass { go_on, carried, rows: Vec::new() })
    }

    /// A Repeat of the graph. If it collects rows, each of its repetitions is several of the model's: a tensor of
    /// all rows is written as a whole, so a block of rows at a time is cheaper than each by itself.
    fn period(
        &mut self,
        repetition: Repetition<'_>,
        first: &[TensorId],
        body: &mut Body<'_>,
    ) -> Result<Pass, NodeError> {
        let Repetition { label, times, condition, wanted, reversed, .. } = repetition;
        let collects = condition.is_none() && wanted.contains(&true);
        let stride = if collects { (times / LEAST_PERIOD).clamp(1, MOST_IN_BLOCK) } else { 1 };
        let number = TensorType::new(dnn_lib::tensor::DType::I64, []);
        let number = self.builder.tensor(format!("{label}.number"), number, None);
        let mut given: Vec<TensorId> = first.iter().map(|&id| self.like(id)).collect();
        let (outside, cuts) = (self.builder.open(), self.cuts.len());
        let block = self.block(repetition, (number, stride), &given, body);
        let cuts = self.cuts.split_off(cuts);
        // Whether a loop inside was cut in one of the repetitions is carried as well.
        let no = self.boolean(label, false);
        let flags: Vec<TensorId> = cuts.iter().map(|_| self.like(no)).collect();
        let or = flags.iter().zip(&cuts).map(|(&before, cut)| self.add(label, op::Or, &[before, cut.flag]));
        let or: Result<Vec<TensorId>, NodeError> = or.collect();
        let nodes = self.builder.close(outside);
        let ((go_on, mut carried, collected), or) = (block?, or?);
        let blocks = times / stride;
        given.extend(&flags);
        carried.extend(or);
        let region = Region { inputs: given, nodes, outputs: carried };
        let starts = [first, &vec![no; flags.len()]].concat();
        let mut pass = self.add_period(repetition, (blocks, number, go_on), &starts, region, &collected)?;
        let flags = pass.carried.split_off(first.len());
        self.cuts.extend(cuts.into_iter().zip(flags).map(|(cut, flag)| Cut { flag, ..cut }));
        if stride == 1 {
            return Ok(pass);
        }
        // The repetitions that don't fill a block.
        let mut rest = vec![Vec::new(); pass.rows.len()];
        for index in blocks * stride..times {
            let number = self.integers(&format!("{label}.number"), &[], &[index.cast_signed()]);
            let last = body(self, number, &pass.carried)?;
            rest.iter_mut().zip(&last.rows).for_each(|(rows, &row)| rows.push(row));
            pass.carried = last.carried;
        }
        let reversed = reversed.iter().copied().chain(std::iter::repeat(false));
        for ((all, rest), (&wanted, reversed)) in
            pass.rows.iter_mut().zip(rest).zip(wanted.iter().zip(reversed))
        {
            if wanted {
                *all = self.rows_of_blocks(label, *all, rest, reversed)?;
            }
        }
        Ok(pass)
    }

    /// Some repetitions of the model, one after the other.
    fn block(
        &mut self,
        repetition: Repetition<'_>,
        (number, stride): (TensorId, u64),
        given: &[TensorId],
        body: &mut Body<'_>,
    ) -> Result<Block, NodeError> {
        let Repetition { label, times, wanted, reversed, .. } = repetition;
        let (mut pass, mut rows) = (Pass { carried: given.to_vec(), ..Pass::default() }, Vec::new());
        for index in 0..stride {
            let number = self.line(label, number, (stride, index))?;
            let next = body(self, number, &pass.carried)?;
            self.check_carried(given, &next.carried)?;
            rows.resize(next.rows.len(), Vec::new());
            rows.iter_mut().zip(&next.rows).for_each(|(rows, &row)| rows.push(row));
            pass = next;
            if stride > 1 && pass.go_on.is_some_and(|id| self.truth(id) != Some(true)) {
                self.check_rows(repetition, pass.go_on)?;
            }
        }
        let mut collected = Vec::new();
        for (index, rows) in rows.into_iter().enumerate() {
            if !wanted.get(index).is_some_and(|&wanted| wanted) {
                collected.push(None);
                continue;
            }
            let reversed = reversed.get(index).is_some_and(|&reversed| reversed);
            let block = if stride == 1 { rows[0] } else { self.joined(label, rows, reversed)? };
            let place =
                if reversed { self.counted_from_the_end(label, number, times / stride)? } else { number };
            collected.push(Some(self.collect(label, (place, times / stride), block)?));
        }
        Ok((pass.go_on, pass.carried, collected))
    }

    /// Adds the Repeat of a block.
    fn add_period(
        &mut self,
        repetition: Repetition<'_>,
        (times, number, go_on): (u64, TensorId, Option<TensorId>),
        first: &[TensorId],
        block: Region,
        collected: &[Option<Collected>],
    ) -> Result<Pass, NodeError> {
        let Repetition { label, condition, names, .. } = repetition;
        let go_on = go_on.filter(|&go_on| self.truth(go_on) != Some(true));
        let conditional = condition.is_some_and(|id| self.truth(id) != Some(true)) || go_on.is_some();
        let (mut starts, mut inputs, mut outputs) = (Vec::new(), vec![number], Vec::new());
        let rows = repetition.wanted.len();
        let mut names = names[..names.len().saturating_sub(rows).min(first.len())].to_vec();
        names.resize(first.len(), String::new());
        if conditional {
            let open = condition.filter(|&id| self.truth(id).is_none());
            self.check_rows(repetition, open.or(go_on))?;
            let yes = self.boolean(label, true);
            starts.push(condition.unwrap_or(yes));
            inputs.push(self.like(condition.unwrap_or(yes)));
            outputs.push(go_on.unwrap_or(yes));
            names.insert(0, format!("{label}.condition"));
        }
        let kept = || collected.iter().flatten();
        starts.extend(first);
        for rows in kept() {
            // What is large is no constant of the image.
            let ty = self.tensor(rows.inside).ty.clone();
            let zero = self.zeros(label, TensorType::new(ty.dtype, []))?;
            starts.push(self.add(label, op::Expand { shape: ty.shape }, &[zero])?);
        }
        inputs.extend(block.inputs.iter().copied().chain(kept().map(|rows| rows.inside)));
        outputs.extend(block.outputs.iter().copied().chain(kept().map(|rows| rows.next)));
        let body = Region { inputs, nodes: block.nodes, outputs };
        let mut results =
            self.builder.add_repeat(label, Repeat { times, conditional, body }, &starts, &names)?;
        let go_on = conditional.then(|| results.remove(0));
        let mut rows = results.split_off(first.len()).into_iter();
        // Nobody reads what isn't collected.
        let nothing = self.integers(label, &[0], &[]);
        let rows =
            collected.iter().map(|collected| collected.as_ref().and_then(|_| rows.next()).unwrap_or(nothing));
        Ok(Pass { go_on, rows: rows.collect(), carried: results })
    }

    /// The tensor of all rows, from that of blocks and the rows that don't fill one.
    fn rows_of_blocks(
        &mut self,
        label: &str,
        blocks: TensorId,
        rest: Vec<TensorId>,
        reversed: bool,
    ) -> Result<TensorId, NodeError> {
        let shape = &self.tensor(blocks).ty.shape;
        let shape = [&[shape[0] * shape[1]], &shape[2..]].concat();
        let shape = shape.into_iter().map(u64::cast_signed).collect();
        let whole = self.add(label, op::Reshape { shape, allow_zero: true }, &[blocks])?;
        if rest.is_empty() {
            return Ok(whole);
        }
        let rest = self.joined(label, rest, reversed)?;
        let parts = if reversed { [rest, whole] } else { [whole, rest] };
        self.add(label, op::Concat { axis: 0 }, &parts)
    }

    /// Another tensor of the same type.
    fn like(&mut self, id: TensorId) -> TensorId {
        let tensor = self.tensor(id).clone();
        self.builder.tensor(tensor.name, tensor.ty, None)
    }

    /// number * factor + more
    fn line(
        &mut self,
        label: &str,
        number: TensorId,
        (factor, more): (u64, u64),
    ) -> Result<TensorId, NodeError> {
        if factor == 1 {
            return Ok(number);
        }
        let [factor, more] = [factor, more].map(|value| self.integers(label, &[], &[value.cast_signed()]));
        let product = self.add(label, op::Mul, &[number, factor])?;
        self.add(label, op::Add, &[product, more])
    }

    /// The number of a repetition, counted from the last one.
    pub(super) fn counted_from_the_end(
        &mut self,
        label: &str,
        number: TensorId,
        times: u64,
    ) -> Result<TensorId, NodeError> {
        let last = self.integers(label, &[], &[times.cast_signed() - 1]);
        self.add(label, op::Sub, &[last, number])
    }

    /// Collects a row of each repetition in a tensor that is carried.
    fn collect(
        &mut self,
        label: &str,
        (number, times): (TensorId, u64),
        row: TensorId,
    ) -> Result<Collected, NodeError> {
        let ty = self.tensor(row).ty.clone();
        let all = TensorType::new(ty.dtype, [&[times], &ty.shape[..]].concat());
        let inside = self.builder.tensor(format!("{label}.rows"), all, None);
        let next = self.add(&format!("{label}.put"), op::PutRow, &[inside, row, number])?;
        Ok(Collected { inside, next })
    }

    /// What is carried must keep its type.
    fn check_carried(&self, before: &[TensorId], after: &[TensorId]) -> Result<(), NodeError> {
        let changed = before.iter().zip(after).find(|&(&before, &after)| {
            self.tensor(before).ty != self.tensor(after).ty || self.other(after).is_some()
        });
        changed.map_or(Ok(()), |(&before, &after)| {
            let tensor = self.tensor(after).name.clone();
            let [before, after] = [before, after].map(|id| self.tensor(id).ty.to_string());
            Err(NodeError::Carried { tensor, before, after })
        })
    }

    /// If the number of repetitions isn't known, nobody may read the rows.
    fn check_rows(
        &self,
        Repetition { names, wanted, .. }: Repetition<'_>,
        condition: Option<TensorId>,
    ) -> Result<(), NodeError> {
        let Some(row) = wanted.iter().position(|&wanted| wanted) else { return Ok(()) };
        let index = names.len() - wanted.len() + row;
        let condition = condition.map(|id| self.tensor(id).name.clone()).unwrap_or_default();
        Err(NodeError::Rows { index, name: names[index].clone(), condition })
    }
}

/// A loop that ends because it ran as often as it may.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// Its node.
    pub node: String,
    /// Whether it would have gone on.
    pub flag: TensorId,
}

/// What some repetitions give: whether to go on, what is carried, and the rows.
type Block = (Option<TensorId>, Vec<TensorId>, Vec<Option<Collected>>);

/// A tensor of rows in the course of a Repeat.
struct Collected {
    inside: TensorId,
    next: TensorId,
}

/// The rows of a tensor, to be taken one by one.
pub(super) struct Rows {
    tensor: TensorId,
    /// All rows, once one of a known number was taken.
    parts: Option<Vec<TensorId>>,
}

impl Rows {
    pub fn of(tensor: TensorId) -> Self {
        Self { tensor, parts: None }
    }

    /// The row of a number.
    pub fn take(
        &mut self,
        import: &mut Import,
        label: &str,
        number: TensorId,
    ) -> Result<TensorId, NodeError> {
        let known = import.tensor(number).value.as_ref().and_then(|value| value.first_chunk());
        let known = known.map(|&bytes| u64::from_le_bytes(bytes) as usize);
        let Some(known) = known else { return import.add(label, op::TakeRow, &[self.tensor, number]) };
        let count = import.tensor(self.tensor).ty.shape.first().copied().unwrap_or(0);
        let parts = match &self.parts {
            Some(parts) => parts,
            None => {
                let names = vec![label.to_owned(); count as usize];
                let split = op::Split { axis: 0, sizes: vec![1; count as usize] };
                let parts = import.apply(label, split, &[self.tensor], &names)?;
                self.parts.insert(parts)
            }
        };
        // One out of range takes the nearest, as in the run.
        let Some(&part) = parts.get(known).or(parts.last()) else {
            return import.add(label, op::TakeRow, &[self.tensor, number]);
        };
        import.add(label, op::Squeeze { axes: Some(vec![0]) }, &[part])
    }
}
