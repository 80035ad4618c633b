//! Code of the host: made by Cranelift, put into executable memory, called.

use crate::context::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use memmap2::{Mmap, MmapMut};

/// The calling convention of the code: that of System V, which on processors with one convention is the usual one.
#[cfg(target_arch = "x86_64")]
type Entry = unsafe extern "sysv64" fn(*mut Context);
#[cfg(not(target_arch = "x86_64"))]
type Entry = unsafe extern "C" fn(*mut Context);

/// The host, if Cranelift knows it.
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
pub(crate) struct Code(Mmap);

impl Code {
    /// Compiles a function that [`lower`](crate::lower::lower()) made. `None` if the host lacks what it needs: then Cranelift would
    /// call a library.
    pub fn new(function: Function, isa: &OwnedTargetIsa) -> Option<Self> {
        let mut context = cranelift_codegen::Context::for_function(function);
        let compiled = context.compile(isa.as_ref(), &mut ControlPlane::default()).ok()?;
        if !compiled.buffer.relocs().is_empty() {
            return None;
        }
        Self::of(compiled.buffer.data())
    }

    /// Code that was made before. `None` if the system gives no memory for it.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut text = MmapMut::map_anon(bytes.len()).ok()?;
        text.copy_from_slice(bytes);
        text.make_exec().ok().map(Self)
    }

    /// The instructions.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Runs the code.
    ///
    /// # Safety
    ///
    /// The function must have been made by [`lower`](crate::lower::lower()), now or earlier, for a machine of this shape, and what the context
    /// points to must be as it says and nobody else's during the call: all of the guest's memory, a mark for each of its pages, and
    /// a list with room for each page that has no mark.
    #[expect(unsafe_code, reason = "the code was made at run time")]
    pub unsafe fn run(&self, context: &mut Context) {
        // SAFETY: a function pointer is as large as a data pointer on the hosts that Cranelift compiles for. It points to the
        // first instruction of a function that takes a pointer and returns nothing in this convention; the
        // mapping is executable and lives as long as `self`. The code calls nothing (relocations are refused), doesn't unwind,
        // and keeps the registers that the convention wants kept.
        let entry: Entry = unsafe { std::mem::transmute(self.0.as_ptr()) };
        // SAFETY: the code reads and writes the context, and guest memory at addresses that it has compared with the size of memory (`Lowering::check`): the caller answers
        // for all of these. A store's page is below the number of pages for the same reason, and is listed only if it has no
        // mark, which it then gets, so the list never has more pages than there are.
        unsafe { entry(context) }
    }
}
