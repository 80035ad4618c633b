//! Links the kernels and the schedule into one program: code above memory, with an entry for the whole run
//! and one for each big step.

mod start;

use std::ops::Range;

use dnn_lib::kernel::Kernel;
use image::Symbol;
use isa::{Extensions, decode_any};

use crate::error::LinkError;
use crate::{Code, StepBound, Target};
pub use start::{Guard, Node, Part, Period};
use start::{Schedule, Start};

/// The name of the entry point; the big steps follow it.
pub const START: &str = "_start";
/// The name of the code that the big steps call.
const NODES: &str = "_nodes";

/// log2 of [`STACK_BYTES`].
pub const STACK_BITS: u8 = 12;
/// Bytes of scratch memory for the kernels' stack frames: a subtree at the very top.
pub const STACK_BYTES: u64 = 1 << STACK_BITS;

/// The number of symbols before the kernels.
const KERNELS: usize = 2;

/// Code is padded to a multiple of this: a leaf of its Merkle tree.
const LEAF: u64 = 32;

/// The address at which a big step begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The address.
    pub address: u64,
    /// The maximum number of steps that it takes.
    pub bound: u64,
}

/// What begins at an address of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The address.
    pub address: u64,
    /// What it is.
    pub kind: MarkKind,
}

/// What code consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// Instructions.
    Instructions,
    /// Literals and padding.
    Data,
}

/// Code with its symbols.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// Where it begins: the end of memory.
    pub address: u64,
    /// The code.
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
pub struct Linkable {
    name: String,
    code: Code,
    steps: StepBound,
}

impl Linkable {
    /// Compiles a kernel for the machine.
    pub fn new(kernel: &Kernel, guest: &Target) -> Result<Self, LinkError> {
        let (name, mut code) = (kernel.name.clone(), guest.compile(kernel)?);
        if u64::from(code.stack) > STACK_BYTES {
            return Err(LinkError::Stack { kernel: name, found: code.stack.into(), limit: STACK_BYTES });
        }
        let Some(steps) = code.steps.take() else { return Err(LinkError::Unbounded { kernel: name }) };
        Ok(Self { name, code, steps })
    }

    /// An upper bound for a big step with this many units, of a node with this many guards, including the steps
    /// before and after the kernel.
    pub fn bound(&self, units: u64, guards: usize) -> u64 {
        start::most_steps(guards as u64).saturating_add(self.steps.most(units))
    }
}

/// Links kernels, the nodes that call them and the big steps, behind memory of this size. The whole run repeats
/// the period.
pub fn text(
    memory: u64,
    kernels: &[Linkable],
    nodes: &[Node],
    steps: &[Part],
    period: Option<Period>,
) -> Result<Text, LinkError> {
    let schedule = Schedule { nodes, steps, period };
    schedule.check()?;
    // The size of the code before the kernels does not depend on their addresses, so a draft of it determines
    // them.
    let start = |kernels: &[u64]| Start::new(memory, &schedule, kernels);
    let draft = place(&start(&[])?, kernels, memory);
    let places: Vec<u64> = draft.symbols.iter().skip(KERNELS).map(|symbol| symbol.address).collect();
    let start = start(&places)?;
    let mut text = place(&start, kernels, memory);
    for (step, entry) in steps.iter().zip(start.entries) {
        let kernel = nodes.get(step.node).and_then(|node| kernels.get(node.kernel));
        let most = kernel.map_or(u64::MAX, |kernel| kernel.steps.most(step.hi.saturating_sub(step.lo)));
        text.entries.push(Entry { address: entry.address, bound: entry.steps.saturating_add(most) });
    }
    let bounds: Vec<u64> = text.entries.iter().map(|entry| entry.bound).collect();
    text.bound = schedule.whole_run(&bounds, start.counter);
    Ok(text)
}

/// Places the entries and the kernels one after the other, from the end of memory on.
fn place(start: &Start, kernels: &[Linkable], memory: u64) -> Text {
    let mut text = Text { address: memory, ..Text::default() };
    text.append(START.to_owned(), &start.steps, &[], 4);
    text.append(NODES.to_owned(), &start.nodes, &start.blocks, 8);
    for (index, Linkable { name, code, .. }) in kernels.iter().enumerate() {
        text.append(format!("{name}_{index}"), &code.bytes, &code.literals, code.alignment.into());
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
        let kernel = Linkable::new(&kernel, &Target::guest().unwrap()).map_err(|error| error.to_string())?;
        text(1 << 16, &[kernel], &[], &[], None).map_err(|error| error.to_string())
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
