//! The machines that kernels are compiled for.

use std::ops::Range;

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Final, MachSrcLoc, MachTrap};
use dnn_lib::kernel::Kernel;

use crate::CodegenError;
use crate::guest;
use crate::lower::lower;
use crate::steps::{Mark, StepBound};

/// The triple of the guest. Cranelift requires all of G, but emits only what the machine has: no atomics, no
/// CSRs and no compressed instructions.
const GUEST: &str = "riscv64gc-unknown-none-elf";

/// RISC-V's `ebreak`. Cranelift traps with the word 0, which is not an instruction. Its traps before
/// divisions are never reached, but every word of a program must be an instruction.
const EBREAK: u32 = 0x0010_0073;

/// The code of one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// The bytes; the first is the entry.
    pub bytes: Vec<u8>,
    /// The ranges of bytes that are literals and not instructions. Known only for the guest.
    pub literals: Vec<Range<usize>>,
    /// The alignment of the first byte.
    pub alignment: u32,
    /// The bytes of stack that the code uses.
    pub stack: u32,
    /// The maximum number of instructions that a call executes. Known for the guest, unless a loop has no
    /// bound.
    pub steps: Option<StepBound>,
}

/// A machine to compile for, with the settings of the code generator.
pub struct Target {
    pub(crate) isa: OwnedTargetIsa,
}

impl Target {
    /// The guest: RV64IMFD.
    pub fn guest() -> Result<Self, CodegenError> {
        let builder = isa::lookup_by_name(GUEST).map_err(host_error)?;
        Ok(Self { isa: finish(builder)? })
    }

    /// Compiles a kernel to a function of three 64-bit integers: the address of a block of 8-byte words with
    /// the addresses of the inputs and the output, and the range of units. It returns nothing.
    pub fn compile(&self, kernel: &Kernel) -> Result<Code, CodegenError> {
        let refuse = |reason: String| CodegenError::Cranelift { kernel: kernel.name.clone(), reason };
        let mut context = Context::for_function(lower(kernel, self)?);
        context
            .compile(self.isa.as_ref(), &mut ControlPlane::default())
            .map_err(|error| refuse(error.inner.to_string()))?;
        let compiled = context.compiled_code().ok_or_else(|| refuse("no code".to_owned()))?;
        if let Some(relocation) = compiled.buffer.relocs().first() {
            return Err(CodegenError::Relocation {
                kernel: kernel.name.clone(),
                symbol: format!("{:?}", relocation.target),
            });
        }
        // The caller's frame pointer and the return address are above the frame.
        let frame = compiled.buffer.frame_layout().map_or(0, |frame| frame.frame_to_fp_offset);
        let mut bytes = compiled.buffer.data().to_vec();
        replace_traps(&mut bytes, compiled.buffer.traps());
        let literals = guest::literals(&bytes).map_err(|illegal| CodegenError::Instruction {
            kernel: kernel.name.clone(),
            offset: illegal.offset,
            word: illegal.word,
        })?;
        let steps = crate::steps::bound(kernel, &bytes, &marks(compiled.buffer.get_srclocs_sorted()));
        let (alignment, stack) = (compiled.buffer.alignment.max(4), frame.saturating_add(16));
        Ok(Code { bytes, literals, alignment, stack, steps })
    }
}

/// The code with a source location: the last branches of loops.
fn marks(locations: &[MachSrcLoc<Final>]) -> Vec<Mark> {
    let marked = locations.iter().filter(|location| !location.loc.is_default());
    marked.map(|location| (location.start as usize..location.end as usize, location.loc.bits())).collect()
}

fn replace_traps(bytes: &mut [u8], traps: &[MachTrap]) {
    for trap in traps {
        let offset = trap.offset as usize;
        // Other instructions that may trap, elsewhere, are listed too.
        if let Some(word) = bytes.get_mut(offset..offset + 4).filter(|word| *word == [0; 4]) {
            word.copy_from_slice(&EBREAK.to_le_bytes());
        }
    }
}

fn finish(builder: isa::Builder) -> Result<OwnedTargetIsa, CodegenError> {
    let mut flags = settings::builder();
    for (name, value) in [
        ("opt_level", "speed"),
        ("is_pic", "false"),
        ("unwind_info", "false"),
        // An invalid kernel is refused.
        ("enable_verifier", "true"),
    ] {
        flags.set(name, value).map_err(host_error)?;
    }
    builder.finish(settings::Flags::new(flags)).map_err(host_error)
}

fn host_error(reason: impl ToString) -> CodegenError {
    CodegenError::Host { reason: reason.to_string() }
}
