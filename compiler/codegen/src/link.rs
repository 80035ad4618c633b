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
    use image::{Contents, Image, Segment};
    use interpreter::Interpreter;
    use step::{MachineProfile, Status};

    /// A kernel that carries this many numbers through a loop, more than registers can hold. It doubles them.
    fn wide(dtype: DType, numbers: u64) -> Kernel {
        let tensor = TensorType::new(dtype, [numbers]);
        let mut b = Builder::new("wide", &[], &tensor, &[1]);
        let (lo, hi, output) = (b.lo(), b.hi(), b.output());
        let place = |number: u64| (number * dtype.size()) as i32;
        let init: Vec<_> = (0..numbers).map(|number| b.load(dtype, output, place(number))).collect();
        let sums = b.for_(lo, hi, 1, &init, |b, _, carried| carried.iter().map(|&x| b.add(x, x)).collect());
        sums.iter().zip(0..).for_each(|(&sum, number)| b.store(dtype, output, place(number), sum));
        b.finish().expect("the kernel makes sense")
    }

    fn linkable(kernel: &Kernel) -> Linkable {
        Linkable::new(kernel, &Target::guest().unwrap()).unwrap()
    }

    const MEMORY: u64 = 1 << 16;
    const NUMBERS: u64 = 40;
    const FLAG: u64 = 0x1000;

    /// The numbers, which are ones before the first step, the flag and the steps after a whole run.
    fn run(text: &Text, flag: u8) -> (Vec<u64>, u64) {
        let size = text.bytes.len() as u64;
        let profile = MachineProfile::new(text.extensions().unwrap(), 16, MEMORY, size).unwrap();
        let ones: Vec<u8> = (0..NUMBERS).flat_map(|_| 1u64.to_le_bytes()).collect();
        let contents = Contents {
            profile,
            entry: MEMORY,
            sp: MEMORY,
            code: text.bytes.clone().into(),
            segments: vec![
                Segment { address: 0, bytes: ones.into() },
                Segment { address: FLAG, bytes: vec![flag].into() },
            ],
            tensors: Vec::new(),
            symbols: Vec::new(),
            schedule: Vec::new(),
            period: None,
            interface: None,
            sections: Vec::new(),
        };
        let mut machine = Interpreter::new(&Image::new(contents).unwrap()).unwrap();
        let outcome = machine.run(text.bound);
        assert_eq!(outcome.status, Status::Exited);
        let numbers = machine.read_memory(0, 8 * NUMBERS as usize).unwrap().as_chunks().0;
        (numbers.iter().map(|&number| u64::from_le_bytes(number)).collect(), outcome.steps)
    }

    fn node(guards: &[(u64, bool)]) -> Node {
        let guards = guards.iter().map(|&(address, when)| Guard { address, when }).collect();
        Node { addresses: vec![0], kernel: 0, guards }
    }

    #[test]
    fn the_whole_run_repeats_a_period_of_kernels_that_use_all_registers() {
        let kernel = linkable(&wide(DType::I64, NUMBERS));
        let words = kernel.code.bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word));
        let counter = |word| decode_any(word).is_some_and(|instruction| instruction.rd == 9);
        assert!(words.into_iter().any(counter), "the kernel leaves the counter's register alone");
        let steps = [1, 2, 1].map(|hi| Part { node: 0, lo: 0, hi });
        let link = |period| text(MEMORY, std::slice::from_ref(&kernel), &[node(&[])], &steps, period);
        for (start, count, times, doublings) in [(0, 3, 1, 4), (1, 1, 3, 8), (0, 2, 5, 16), (1, 2, 7, 22)] {
            let text = link(Some(Period { start, count, times })).unwrap();
            let (numbers, steps) = run(&text, 0);
            assert_eq!(numbers, vec![1 << doublings; NUMBERS as usize]);
            // There is no branch in the kernel but its loop's.
            assert_eq!(steps, text.bound);
        }
        assert_eq!(run(&link(None).unwrap(), 0).0, [1 << 4; NUMBERS as usize]);
        for (start, count, times) in [(0, 0, 1), (0, 4, 1), (3, 1, 1), (usize::MAX, 2, 1), (0, 3, 0)] {
            let error = link(Some(Period { start, count, times })).unwrap_err().to_string();
            assert!(error.ends_with("are no period of 3 big steps"), "{error}");
        }
        // Repetitions that no one could wait for have a bound all the same.
        let endless = link(Some(Period { start: 0, count: 3, times: u64::MAX })).unwrap();
        assert_eq!(endless.bound, u64::MAX);
    }

    #[test]
    fn a_guard_costs_three_steps_and_skips_the_kernel() {
        let kernel = linkable(&wide(DType::I64, NUMBERS));
        let step = [Part { node: 0, lo: 0, hi: 1 }];
        let link = |guards: &[(u64, bool)]| {
            text(MEMORY, std::slice::from_ref(&kernel), &[node(guards)], &step, None).unwrap()
        };
        let plain = link(&[]).bound;
        for (flag, guards, doubled) in [
            (0, &[(FLAG, false)][..], true),
            (0, &[(FLAG, true)], false),
            (1, &[(FLAG, true)], true),
            (0x80, &[(FLAG, true)], true),
            (1, &[(FLAG, false)], false),
            (1, &[(FLAG, true), (0, true), (1, false)], true),
            (1, &[(FLAG, true), (0, false), (1, false)], false),
            (1, &[(FLAG, true), (0, true), (1, true)], false),
        ] {
            let text = link(guards);
            assert_eq!(text.bound, plain + 3 * guards.len() as u64);
            assert!(kernel.bound(1, guards.len()) >= text.entries[0].bound);
            let (numbers, steps) = run(&text, flag);
            assert_eq!(numbers, [1 + u64::from(doubled); NUMBERS as usize], "{flag}, {guards:?}");
            assert_eq!(steps == text.bound, doubled, "{flag}, {guards:?}");
        }
    }

    fn link(kernel: Kernel) -> Result<Text, String> {
        let kernel = Linkable::new(&kernel, &Target::guest().unwrap()).map_err(|error| error.to_string())?;
        text(MEMORY, &[kernel], &[], &[], None).map_err(|error| error.to_string())
    }

    #[test]
    fn code_starts_at_the_end_of_memory_and_is_whole_leaves() {
        let text = link(wide(DType::F32, 4)).unwrap();
        assert_eq!(text.address, 1 << 16);
        assert!((text.bytes.len() as u64).is_multiple_of(LEAF));
        let names: Vec<&str> = text.symbols.iter().map(|symbol| symbol.name.as_str()).collect();
        assert_eq!(names, [START, NODES, "wide_0"]);
        assert_eq!(text.marks.first(), Some(&Mark { address: 1 << 16, kind: MarkKind::Instructions }));
    }

    #[test]
    fn a_kernel_that_needs_more_stack_than_there_is_is_refused() {
        link(wide(DType::F32, 100)).unwrap();
        let error = link(wide(DType::F32, 2000)).unwrap_err();
        assert!(error.starts_with("kernel wide needs ") && error.ends_with("the limit is 4096"), "{error}");
    }
}
