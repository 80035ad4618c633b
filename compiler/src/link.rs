//! Kernels and the schedule into one program: code above memory, one call for each big step.

mod elf;
mod start;

use codegen::{Code, Target};

use crate::error::{CompileError, LinkError};
use crate::plan::{Plan, STACK_BYTES};
use crate::schedule::Schedule;

/// The name of the entry point.
pub(crate) const START: &str = "_start";

/// The size that code is padded to: a leaf of its Merkle tree.
const LEAF: u64 = 32;

/// A function or an object in the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Symbol {
    pub name: String,
    pub address: u64,
    pub size: u64,
}

/// Code with its symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub address: u64,
    pub bytes: Vec<u8>,
    /// The entry, then the kernels in the order of the schedule's.
    pub symbols: Vec<Symbol>,
    /// Where instructions (`$x`) and data (`$d`) begin.
    pub mapping: Vec<(&'static str, u64)>,
}

impl Text {
    fn end(&self) -> u64 {
        self.address + self.bytes.len() as u64
    }

    /// Marks the next bytes, unless they are of the same kind as those before.
    fn mark(&mut self, kind: &'static str, address: u64) {
        if self.mapping.last().is_some_and(|&(_, last)| last == address) {
            self.mapping.pop();
        }
        if self.mapping.last().is_none_or(|&(last, _)| last != kind) {
            self.mapping.push((kind, address));
        }
    }

    fn align(&mut self, alignment: u64) {
        if !self.end().is_multiple_of(alignment) {
            self.mark("$d", self.end());
            let padding = self.end().next_multiple_of(alignment) - self.end();
            self.bytes.resize(self.bytes.len() + padding as usize, 0);
        }
    }

    fn append(&mut self, name: String, code: &Code) {
        self.align(code.alignment.into());
        let address = self.end();
        self.mark("$x", address);
        for literal in &code.literals {
            self.mark("$d", address + literal.start as u64);
            if literal.end < code.bytes.len() {
                self.mark("$x", address + literal.end as u64);
            }
        }
        self.bytes.extend_from_slice(&code.bytes);
        self.symbols.push(Symbol { name, address, size: code.bytes.len() as u64 });
    }
}

/// Compiles the kernels and links them with the schedule.
pub(crate) fn text(schedule: &Schedule, plan: &Plan) -> Result<Text, CompileError> {
    let target = Target::guest()?;
    let kernels = schedule.kernels.iter().map(|kernel| target.compile(kernel)).collect::<Result<Vec<_>, _>>()?;
    for (kernel, code) in schedule.kernels.iter().zip(&kernels) {
        if u64::from(code.stack) > STACK_BYTES {
            let (kernel, found) = (kernel.name.clone(), code.stack.into());
            return Err(LinkError::Stack { kernel, found, limit: STACK_BYTES }.into());
        }
    }
    // The entry's size does not depend on where the kernels are, so their places follow from a first version of it.
    let calls = |entries: &[u64]| {
        let call = |step: &crate::schedule::BigStep| start::Call {
            arguments: step.arguments(plan),
            target: entries.get(step.kernel).copied().unwrap_or(plan.memory_size()),
        };
        start::start(plan.memory_size(), schedule.steps.iter().map(call))
    };
    let draft = place(&calls(&[])?, &kernels, schedule, plan);
    let entries: Vec<u64> = draft.symbols.iter().skip(1).map(|symbol| symbol.address).collect();
    Ok(place(&calls(&entries)?, &kernels, schedule, plan))
}

/// The entry and the kernels one after the other, from the end of memory on.
fn place(start: &[u8], kernels: &[Code], schedule: &Schedule, plan: &Plan) -> Text {
    let address = plan.memory_size();
    let mut text = Text { address, bytes: Vec::new(), symbols: Vec::new(), mapping: Vec::new() };
    let start = Code { bytes: start.to_vec(), literals: Vec::new(), alignment: 4, stack: 0, steps: None };
    text.append(START.to_owned(), &start);
    for (index, (kernel, code)) in schedule.kernels.iter().zip(kernels).enumerate() {
        text.append(format!("{}_{index}", kernel.name), code);
    }
    text.align(LEAF);
    text
}

/// The program as an ELF file.
pub(crate) fn elf(text: &Text, plan: &Plan) -> Result<Vec<u8>, LinkError> {
    elf::write(text, plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dnn_lib::kernel::{Builder, Kernel};
    use dnn_lib::tensor::{DType, TensorType};

    /// A kernel that carries this many numbers through a loop, which registers cannot hold.
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
        let plan = Plan { addresses: vec![], constants: vec![], memory_bits: 16 };
        let schedule = Schedule { kernels: vec![kernel], steps: vec![] };
        text(&schedule, &plan).map_err(|error| error.to_string())
    }

    #[test]
    fn code_starts_at_the_end_of_memory_and_is_whole_leaves() {
        let text = link(wide(4)).unwrap();
        assert_eq!(text.address, 1 << 16);
        assert!((text.bytes.len() as u64).is_multiple_of(LEAF));
        let names: Vec<&str> = text.symbols.iter().map(|symbol| symbol.name.as_str()).collect();
        assert_eq!(names, [START, "wide_0"]);
        assert_eq!(text.mapping.first(), Some(&("$x", 1 << 16)));
    }

    #[test]
    fn a_kernel_that_needs_more_stack_than_there_is_is_refused() {
        link(wide(100)).unwrap();
        let error = link(wide(2000)).unwrap_err();
        assert!(error.starts_with("kernel wide needs ") && error.ends_with("the limit is 4096"), "{error}");
    }
}
