//! Kernels as machine code for this host.

use codegen::Target;
use dnn_lib::kernel::Kernel;
use memory::Executable;

use crate::NativeError;

/// The number of arguments passed: the most that a kernel can have.
pub(crate) const ARGUMENTS: usize = 8;

/// The calling convention of the code: System V. On processors with only one convention, that is the C
/// convention.
#[cfg(target_arch = "x86_64")]
type Function = unsafe extern "sysv64" fn(u64, u64, u64, u64, u64, u64, u64, u64);
#[cfg(not(target_arch = "x86_64"))]
type Function = unsafe extern "C" fn(u64, u64, u64, u64, u64, u64, u64, u64);

/// The code of several kernels.
pub(crate) struct Code {
    text: Executable,
    /// The offset of each kernel.
    entries: Vec<usize>,
}

impl Code {
    /// Compiles kernels for this host.
    pub fn new(kernels: &[Kernel]) -> Result<Self, NativeError> {
        let target = Target::host()?;
        let (mut bytes, mut entries) = (Vec::new(), Vec::new());
        for kernel in kernels {
            let code = target.compile(kernel)?;
            // The code starts at a page boundary, which satisfies all of these alignments.
            bytes.resize(bytes.len().next_multiple_of(code.alignment.max(16) as usize), 0);
            entries.push(bytes.len());
            bytes.extend(code.bytes);
        }
        Ok(Self { text: Executable::new(&bytes).map_err(NativeError::Code)?, entries })
    }

    /// Calls a kernel. Arguments that it does not have are ignored. Does nothing if there is no such kernel.
    ///
    /// # Safety
    ///
    /// With these arguments, the kernel must only access memory of this process. During the call, no other
    /// code may write to what it reads, or access what it writes.
    #[expect(unsafe_code, reason = "the code was made at run time")]
    pub unsafe fn call(&self, kernel: usize, arguments: [u64; ARGUMENTS]) {
        let Some(entry) = self.entries.get(kernel).and_then(|&entry| self.text.get(entry..)) else { return };
        // SAFETY: A function pointer is as large as a data pointer on all hosts that Cranelift supports. It
        // points to the first instruction of a function that codegen compiled for this host with this calling
        // convention, with at most eight integer parameters and no result. The mapping is executable and
        // lives as long as `self`. In this convention the caller passes and removes the arguments, so the
        // function may have fewer parameters. It preserves the registers that the convention requires, does
        // not unwind, and calls nothing (codegen refuses relocations).
        let function: Function = unsafe { std::mem::transmute(entry.as_ptr()) };
        let [a, b, c, d, e, f, g, h] = arguments;
        // SAFETY: The function only computes and accesses memory. The caller guarantees that these accesses
        // are valid.
        unsafe { function(a, b, c, d, e, f, g, h) }
    }
}
