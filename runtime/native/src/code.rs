//! Kernels as machine code of this host, ready to be called.

use codegen::Target;
use dnn_lib::kernel::Kernel;
use memory::Executable;

use crate::NativeError;

/// How many arguments are passed: as many as a kernel can have.
pub(crate) const ARGUMENTS: usize = 8;

/// The calling convention of the code: that of System V, which on processors with one convention is the usual one.
#[cfg(target_arch = "x86_64")]
type Function = unsafe extern "sysv64" fn(u64, u64, u64, u64, u64, u64, u64, u64);
#[cfg(not(target_arch = "x86_64"))]
type Function = unsafe extern "C" fn(u64, u64, u64, u64, u64, u64, u64, u64);

/// The code of some kernels.
pub(crate) struct Code {
    text: Executable,
    /// Where each kernel begins.
    entries: Vec<usize>,
}

impl Code {
    /// Compiles kernels for this host.
    pub fn new(kernels: &[Kernel]) -> Result<Self, NativeError> {
        let target = Target::host()?;
        let (mut bytes, mut entries) = (Vec::new(), Vec::new());
        for kernel in kernels {
            let code = target.compile(kernel)?;
            // A page is aligned to more than any of these.
            bytes.resize(bytes.len().next_multiple_of(code.alignment.max(16) as usize), 0);
            entries.push(bytes.len());
            bytes.extend(code.bytes);
        }
        Ok(Self { text: Executable::new(&bytes).map_err(NativeError::Code)?, entries })
    }

    /// Calls a kernel. Arguments that it does not have are ignored. Nothing is called if there is no such kernel.
    ///
    /// # Safety
    ///
    /// What the kernel reads and writes with these arguments must be memory of this process that nobody else writes (or,
    /// where it writes, uses) meanwhile.
    #[expect(unsafe_code, reason = "the code was made at run time")]
    pub unsafe fn call(&self, kernel: usize, arguments: [u64; ARGUMENTS]) {
        let Some(entry) = self.entries.get(kernel).and_then(|&entry| self.text.get(entry..)) else { return };
        // SAFETY: a function pointer is as large as a data pointer on the hosts that Cranelift compiles for. It points to
        // the first instruction of a function that codegen compiled for this host with this calling convention, with up to
        // eight integer parameters and no result; the mapping is executable and lives as long as `self`. The caller passes
        // and takes back the arguments in this convention, so the function may have fewer parameters. It keeps the
        // registers that the convention wants kept, does not unwind, and calls nothing (codegen refuses relocations).
        let function: Function = unsafe { std::mem::transmute(entry.as_ptr()) };
        let [a, b, c, d, e, f, g, h] = arguments;
        // SAFETY: all that the function does is to compute and to access memory, which the caller answers for.
        unsafe { function(a, b, c, d, e, f, g, h) }
    }
}
