//! Host code: compiled by Cranelift, placed in executable memory, and called.

use crate::context::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use memory::Executable;

/// The calling convention of the code: System V. On processors with only one convention, that is the C
/// convention.
#[cfg(target_arch = "x86_64")]
type Entry = unsafe extern "sysv64" fn(*mut Context);
#[cfg(not(target_arch = "x86_64"))]
type Entry = unsafe extern "C" fn(*mut Context);

/// The host, if Cranelift supports it.
pub(crate) fn host() -> Result<OwnedTargetIsa, String> {
    let mut flags = settings::builder();
    let checked = if cfg!(debug_assertions) { "true" } else { "false" };
    for (name, value) in
        [("opt_level", "speed"), ("is_pic", "false"), ("unwind_info", "false"), ("enable_verifier", checked)]
    {
        flags.set(name, value).map_err(|error| error.to_string())?;
    }
    let builder = cranelift_native::builder()?;
    builder.finish(settings::Flags::new(flags)).map_err(|error| error.to_string())
}

/// The code of one region.
#[derive(Debug)]
pub(crate) struct Code(Executable);

impl Code {
    /// Compiles a function that [`lower`](crate::lower::lower()) made. `None` if the host lacks an
    /// instruction for which Cranelift would call a library.
    pub fn new(function: Function, isa: &OwnedTargetIsa) -> Option<Self> {
        let mut context = cranelift_codegen::Context::for_function(function);
        let compiled = context.compile(isa.as_ref(), &mut ControlPlane::default()).ok()?;
        if !compiled.buffer.relocs().is_empty() {
            return None;
        }
        Self::of(compiled.buffer.data())
    }

    /// Loads code that was compiled before. `None` if there is none, or if the system has no memory for it.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        Executable::new(bytes).ok().map(Self)
    }

    /// The instructions.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Runs the code.
    ///
    /// # Safety
    ///
    /// The function must come from [`lower`](crate::lower::lower()), in this run or an earlier one, for a
    /// machine of this shape. The context's pointers must be valid and not used elsewhere during the call:
    /// all of the guest's memory, a mark for each of its pages, and a list with room for every page that has
    /// no mark.
    #[expect(unsafe_code, reason = "the code was made at run time")]
    pub unsafe fn run(&self, context: &mut Context) {
        // SAFETY: A function pointer is as large as a data pointer on all hosts that Cranelift supports. It
        // points to the first instruction of a function that takes a pointer and returns nothing in this
        // convention. The mapping is executable and lives as long as `self`. The code calls nothing
        // (relocations are refused), doesn't unwind, and preserves the registers that the convention
        // requires.
        let entry: Entry = unsafe { std::mem::transmute(self.0.as_ptr()) };
        // SAFETY: The code accesses the context, and guest memory at addresses that it has compared with the
        // size of memory (`Lowering::check`). The caller guarantees that both are valid. For the same reason,
        // the page of a store is less than the number of pages. A page is listed only if it has no mark, and
        // is then marked, so the list never holds more pages than there are.
        unsafe { entry(context) }
    }
}
