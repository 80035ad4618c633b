//! Links the kernels and the schedule into one program: code above memory, with an entry for the whole run
//! and one for each big step.

mod start;

use std::ops::Range;

use codegen::{Code, StepBound, Target};
use dnn_lib::kernel::Kernel;
use image::Symbol;
use isa::{Extensions, decode_any};

use crate::Phase;
use crate::error::{CompileError, LinkError};
use crate::plan::{Plan, STACK_BYTES};
use crate::schedule::Schedule;
use start::Start;

/// The name of the entry point; the big steps follow it.
pub(crate) const START: &str = "_start";
/// The name of the code that the big steps call.
const NODES: &str = "_nodes";

/// The number of symbols before the kernels.
const KERNELS: usize = 2;

/// Code is padded to a multiple of this: a leaf of its Merkle tree.
const LEAF: u64 = 32;

/// The address at which a big step begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub address: u64,
    /// The maximum number of steps that it takes.
    pub bound: u64,
}

/// What begins at an address of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub address: u64,
    pub kind: MarkKind,
}

/// What code consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarkKind {
    Instructions,
    Data,
}

/// Code with its symbols.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub address: u64,
    pub bytes: Vec<u8>,
    /// The entry, the code that the big steps call, then the kernels in the order of the schedule. They
    /// ascend.
    pub symbols: Vec<Symbol>,
    /// Where instructions and data begin.
    pub marks: Vec<Mark>,
    /// The big steps.
    pub entries: Vec<Entry>,
    /// The maximum number of steps of the whole run.
    pub bound: u64,
}

impl Text {
    fn end(&self) -> u64 {
        self.address + self.bytes.len() as u64
    }

    /// Marks the kind of the next bytes, unless it is the same as before.
    fn mark(&mut self, kind: MarkKind, address: u64) {
        if self.marks.last().is_some_and(|last| last.address == address) {
            self.marks.pop();
        }
        if self.marks.last().is_none_or(|last| last.kind != kind) {
            self.marks.push(Mark { address, kind });
        }
    }

    fn align(&mut self, alignment: u64) {
        if !self.end().is_multiple_of(alignment) {
            self.mark(MarkKind::Data, self.end());
            let padding = self.end().next_multiple_of(alignment) - self.end();
            self.bytes.resize(self.bytes.len() + padding as usize, 0);
        }
    }

    fn append(&mut self, name: String, code: &[u8], literals: &[Range<usize>], alignment: u64) {
        self.align(alignment);
        let address = self.end();
        self.mark(MarkKind::Instructions, address);
        for literal in literals {
            self.mark(MarkKind::Data, address + literal.start as u64);
            if literal.end < code.len() {
                self.mark(MarkKind::Instructions, address + literal.end as u64);
            }
        }
        self.bytes.extend_from_slice(code);
        self.symbols.push(Symbol { name, address, size: code.len() as u64 });
    }

    /// The place of a kernel among the symbols.
    pub fn kernel(&self, index: usize) -> Option<u32> {
        let place = KERNELS + index;
        u32::try_from(place).ok().filter(|_| place < self.symbols.len())
    }

    /// The smallest machine with all instructions of the code.
    pub fn extensions(&self) -> Result<Extensions, LinkError> {
        let ends = self.marks.iter().skip(1).map(|mark| mark.address).chain([self.end()]);
        let parts = self.marks.iter().zip(ends).filter(|(mark, _)| mark.kind == MarkKind::Instructions);
        let mut extensions = Extensions::IM;
        for address in parts.flat_map(|(mark, end)| (mark.address..end).step_by(4)) {
            let bytes = self.bytes.get((address - self.address) as usize..).and_then(<[u8]>::first_chunk);
            let instruction = bytes.and_then(|&bytes| decode_any(u32::from_le_bytes(bytes)));
            let with = instruction.and_then(|found| extensions.with(found.op.entry().extension));
            extensions = with.ok_or(LinkError::Illegal { address })?;
        }
        Ok(extensions)
    }
}

/// A kernel's code with the bound of its steps.
#[derive(Clone, Debug)]
pub(crate) struct Linkable {
    code: Code,
    steps: StepBound,
}

impl Linkable {
    /// An upper bound for a big step with this many units, including the steps before and after the kernel.
    pub fn bound(&self, units: u64) -> u64 {
        start::MOST_STEPS.saturating_add(self.steps.most(units))
    }
}

/// Compiles the kernels.
pub(crate) fn compile(kernels: &[Kernel], progress: &dyn Fn(Phase)) -> Result<Vec<Linkable>, CompileError> {
    let target = Target::guest()?;
    let mut linkables = Vec::with_capacity(kernels.len());
    for kernel in kernels {
        progress(Phase::Kernels { done: linkables.len(), total: kernels.len() });
        linkables.push(linkable(kernel, target.compile(kernel)?)?);
    }
    Ok(linkables)
}

fn linkable(kernel: &Kernel, mut code: Code) -> Result<Linkable, CompileError> {
    let name = || kernel.name.clone();
    if u64::from(code.stack) > STACK_BYTES {
        return Err(LinkError::Stack { kernel: name(), found: code.stack.into(), limit: STACK_BYTES }.into());
    }
    let steps = code.steps.take().ok_or_else(|| LinkError::Unbounded { kernel: name() })?;
    Ok(Linkable { code, steps })
}

/// Links the kernels' code with the schedule.
pub(crate) fn text(schedule: &Schedule, kernels: &[Linkable], plan: &Plan) -> Result<Text, CompileError> {
    let (mut nodes, mut ranges): (Vec<start::Node>, Vec<start::Range>) = (Vec::new(), Vec::new());
    let mut last = None;
    for step in &schedule.steps {
        if last.replace(step.place) != Some(step.place) {
            nodes.push(start::Node { addresses: step.addresses(plan), kernel: step.kernel });
        }
        ranges.push(start::Range { node: nodes.len() - 1, lo: step.lo, hi: step.hi });
    }
    // The size of the code before the kernels does not depend on their addresses, so a draft of it determines
    // them.
    let start = |kernels: &[u64]| Start::new(plan.memory_size(), &nodes, &ranges, kernels);
    let draft = place(&start(&[])?, schedule, kernels, plan);
    let places: Vec<u64> = draft.symbols.iter().skip(KERNELS).map(|symbol| symbol.address).collect();
    let start = start(&places)?;
    let mut text = place(&start, schedule, kernels, plan);
    for (step, entry) in schedule.steps.iter().zip(start.entries) {
        let kernel = kernels.get(step.kernel).map_or(u64::MAX, |kernel| kernel.steps.most(step.hi - step.lo));
        text.entries.push(Entry { address: entry.address, bound: entry.steps.saturating_add(kernel) });
    }
    text.bound = start::whole_run(text.entries.iter().map(|entry| entry.bound));
    Ok(text)
}

/// Places the entries and the kernels one after the other, from the end of memory on.
fn place(start: &Start, schedule: &Schedule, kernels: &[Linkable], plan: &Plan) -> Text {
    let mut text = Text { address: plan.memory_size(), ..Text::default() };
    text.append(START.to_owned(), &start.steps, &[], 4);
    text.append(NODES.to_owned(), &start.nodes, &[], 4);
    for (index, (kernel, Linkable { code, .. })) in schedule.kernels.iter().zip(kernels).enumerate() {
        text.append(format!("{}_{index}", kernel.name), &code.bytes, &code.literals, code.alignment.into());
    }
    text.align(LEAF);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use dnn_lib::kernel::{Builder, Kernel, Ops};
    use dnn_lib::tensor::{DType, TensorType};

    /// A kernel that carries this many numbers through a loop, more than registers can hold.
    fn wide(numbers: u64) -> Kernel {
        let tensor = TensorType::new(DType::F32, [numbers]);
        let mut b = Builder::new("wide", &[], &tensor, &[1]);
        let (lo, hi, output) = (b.lo(), b.hi(), b.output());
        let init: Vec<_> = (0..numbers).map(|number| b.load(DType::F32, output, number as i32 * 4)).collect();
        let sums = b.for_(lo, hi, 1, &init, |b, _, carried| carried.iter().map(|&x| b.add(x, x)).collect());
        sums.iter().zip(0..).for_each(|(&sum, number)| b.store(DType::F32, output, number * 4, sum));
        b.finish().expect("the kernel makes sense")
    }

    fn link(kernel: Kernel) -> Result<Text, String> {
        let plan =
            Plan { addresses: vec![], constants: vec![], inputs: vec![], outputs: vec![], memory_bits: 16 };
        let schedule = Schedule { kernels: vec![kernel], steps: vec![] };
        let kernels = compile(&schedule.kernels, &|_| {}).map_err(|error| error.to_string())?;
        text(&schedule, &kernels, &plan).map_err(|error| error.to_string())
    }

    #[test]
    fn code_starts_at_the_end_of_memory_and_is_whole_leaves() {
        let text = link(wide(4)).unwrap();
        assert_eq!(text.address, 1 << 16);
        assert!((text.bytes.len() as u64).is_multiple_of(LEAF));
        let names: Vec<&str> = text.symbols.iter().map(|symbol| symbol.name.as_str()).collect();
        assert_eq!(names, [START, NODES, "wide_0"]);
        assert_eq!(text.marks.first(), Some(&Mark { address: 1 << 16, kind: MarkKind::Instructions }));
    }

    #[test]
    fn a_kernel_that_needs_more_stack_than_there_is_is_refused() {
        link(wide(100)).unwrap();
        let error = link(wide(2000)).unwrap_err();
        assert!(error.starts_with("kernel wide needs ") && error.ends_with("the limit is 4096"), "{error}");
    }
}
