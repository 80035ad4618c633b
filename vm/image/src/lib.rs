//! A program, its data and its roots in one file.
//!
//! A compiler fills in [`Contents`]. [`Image::new`] checks them and computes the roots. [`elf`] makes
//! contents from a freestanding RISC-V program. `docs/formats.md` documents the file's bytes.

mod about;
mod big_steps;
mod code_tree;
mod contents;
pub mod elf;
mod file;
mod stamp;

pub use about::{true_shape, unfinished};
pub use code_tree::CodeTree;
pub use contents::{BigStep, Contents, Interface, Region, Role, Section, Segment, Symbol, Tensor};
pub use file::{MAGIC, VERSION};
pub use schedule::{Leaf, Period, Schedule, Shape};
pub use stamp::Stamp;

use bytes::Bytes;
use isa::Extensions;
use memory::{Base, Memory};
use std::io;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use step::{ProfileError, Root, State};
use thiserror::Error;

/// The maximum number of bytes of code. They stay in the file and are decoded on demand.
pub const MAX_CODE: u64 = 1 << 30;

/// The maximum number of segments, counting those on the same or adjacent pages as one. Each is a separate
/// mapping.
pub const MAX_SEGMENTS: usize = 1024;

/// The maximum number of regions of the inputs, and of the outputs.
pub const MOST_REGIONS: usize = 64;

/// Valid contents with their roots. The segments are whole pages.
///
/// An image is a file, so it takes little memory of this computer, and so does a copy.
#[derive(Debug, Clone)]
pub struct Image {
    contents: Contents,
    code_tree: Arc<CodeTree>,
    base: Arc<Base>,
    /// Whether this process has hashed every byte of memory and found the stored nodes right.
    verified: Arc<AtomicBool>,
}

impl PartialEq for Image {
    /// Whether everything is equal except the files.
    fn eq(&self, other: &Self) -> bool {
        self.contents == other.contents
    }
}

/// Why an image is invalid.
#[derive(Debug, Error)]
pub enum ImageError {
    /// No machine has this shape.
    #[error(transparent)]
    MachineProfile(#[from] ProfileError),
    /// The code's size differs from the profile's.
    #[error("{found} bytes of code; the profile says {expected}")]
    CodeSize {
        /// The profile's size.
        expected: u64,
        /// The code's size.
        found: usize,
    },
    /// An entry point, of the program or of a big step, can't be an instruction.
    #[error("the entry point {entry:#x} is not a multiple of 4 inside the code")]
    Entry {
        /// The address.
        entry: u64,
    },
    /// The stack can't start there.
    #[error("the stack pointer {sp:#x} is not a multiple of 16 up to the end of memory")]
    StackPointer {
        /// The address.
        sp: u64,
    },
    /// Something is not in memory.
    #[error("{what} is {len} bytes at {address:#x}, which are not all in the 2^{bits} bytes of memory")]
    Outside {
        /// What it is.
        what: String,
        /// Its first address.
        address: u64,
        /// Its length.
        len: u64,
        /// The logarithm of memory's size.
        bits: u8,
    },
    /// Two things overlap.
    #[error("{first} and {second} overlap at {address:#x}")]
    Overlap {
        /// The first one.
        first: String,
        /// The second one.
        second: String,
        /// The address where they overlap.
        address: u64,
    },
    /// A region is not a subtree of memory.
    #[error(
        "{what} of 2^{bits} bytes at {address:#x} is not 32 bytes or more at a multiple of its size in memory"
    )]
    Region {
        /// What it is.
        what: String,
        /// Its first address.
        address: u64,
        /// log2 of its size.
        bits: u8,
    },
    /// An interface has no regions of a role, or too many.
    #[error("{found} {what} regions; an interface has 1 to {MOST_REGIONS}")]
    RegionCount {
        /// Their role.
        what: &'static str,
        /// The number of regions.
        found: usize,
    },
    /// A region is not after the one before.
    #[error(
        "{what} region {index} is at {address:#x}, and the one before ends at {end:#x}: regions are in ascending \
         order of addresses and don't overlap"
    )]
    RegionOrder {
        /// Its role.
        what: &'static str,
        /// Its place in the list.
        index: usize,
        /// Its first address.
        address: u64,
        /// The end of the region before.
        end: u64,
    },
    /// An input or an output is outside all regions.
    #[error("tensor {name} is not in one of the {what} regions")]
    NotInRegion {
        /// Its name.
        name: String,
        /// The role of the regions.
        what: &'static str,
    },
    /// There is no tensor in a region.
    #[error("{what} region {index} at {address:#x} contains no {what}")]
    EmptyRegion {
        /// Its role.
        what: &'static str,
        /// Its place in the list.
        index: usize,
        /// Its first address.
        address: u64,
    },
    /// Memory under an input is not zero.
    #[error(
        "input region {index} of 2^{bits} bytes at {address:#x} is not zero before the first step: an image has no \
         values for its inputs; give them with the run, or put initial data outside the input regions"
    )]
    InputNotZero {
        /// The region's place in the list.
        index: usize,
        /// Its first address.
        address: u64,
        /// log2 of its size.
        bits: u8,
    },
    /// A tensor's length doesn't match its shape.
    #[error("tensor {name} has {found} bytes; its shape and type need {expected}")]
    TensorSize {
        /// Its name.
        name: String,
        /// What its shape and type require; `None` if that exceeds 64 bits.
        expected: Shown,
        /// Its length.
        found: u64,
    },
    /// A big step refers to something that doesn't exist.
    #[error("big step {index} names {what} {found}, but there are {count}")]
    Reference {
        /// The big step.
        index: usize,
        /// The kind of thing.
        what: &'static str,
        /// Its index.
        found: u32,
        /// The number of such things.
        count: usize,
    },
    /// A period that a schedule can't have.
    #[error(
        "{count} big steps from {start} on can't be repeated {least} to {most} times in a schedule of \
         {big_steps}: a period lies in the schedule and is repeated at least once, and a run has at most 2^40 \
         big steps"
    )]
    Period {
        /// The first big step.
        start: u32,
        /// The number of big steps.
        count: u32,
        /// The fewest repetitions.
        least: u64,
        /// The most repetitions.
        most: u64,
        /// The number of big steps in the schedule.
        big_steps: usize,
    },
    /// A big step computes nothing, or more than its tensor has.
    #[error("big step {index} computes elements {lo} to {hi} of a tensor of {count}")]
    Range {
        /// The big step.
        index: usize,
        /// The first element.
        lo: u64,
        /// One past the last.
        hi: u64,
        /// The number of elements.
        count: u64,
    },
    /// Two sections have the same name.
    #[error("there are two sections with the name {name}; which one counts would be a guess")]
    Section {
        /// The name.
        name: String,
    },
    /// The image exceeds a limit.
    #[error("{found} {unit} of {what}; an image has at most {most}")]
    TooMany {
        /// The thing that exceeds it.
        what: &'static str,
        /// The unit.
        unit: &'static str,
        /// The number found.
        found: u64,
        /// The maximum.
        most: u64,
    },
    /// The system can't provide the memory.
    #[error("can't reserve 2^{bits} bytes of address space for memory: {source}")]
    Memory {
        /// log2 of memory's size.
        bits: u8,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not an image.
    #[error("not an opml image: it does not start with the bytes \"opmlimg\"")]
    Magic,
    /// The image has another version.
    #[error("image version {found}; this program reads version {expected}")]
    Version {
        /// The file's version.
        found: u32,
        /// The supported version.
        expected: u32,
    },
    /// The file has the wrong length.
    #[error("the file has {found} bytes; its header says {expected}")]
    Length {
        /// The length in the header, or the minimum if the header itself is cut off.
        expected: u64,
        /// The length found.
        found: u64,
    },
    /// The metadata is invalid.
    #[error("the image's metadata is damaged: {reason}")]
    Metadata {
        /// The reason.
        reason: String,
    },
    /// Some bytes don't match their hash.
    #[error("the image's {what} has the hash {found}; the file says {expected}: it is damaged")]
    Root {
        /// The part that was hashed.
        what: &'static str,
        /// The hash in the file.
        expected: Root,
        /// The hash of the bytes.
        found: Root,
    },
    /// A stored node doesn't match what is below it.
    #[error(
        "a stored node above the page at {address:#x} is not the hash of what is below it: the image is damaged"
    )]
    Node {
        /// The page's address.
        address: u64,
    },
    /// A file can't be read or written.
    #[error("can't {verb} {path}: {source}", path = path.display())]
    Io {
        /// The operation.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// A number that may exceed 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown(pub Option<u64>);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(number) => write!(f, "{number}"),
            None => f.write_str("more than 2^64"),
        }
    }
}

impl Image {
    /// Checks contents and computes their roots. The image is written to a temporary file without a name.
    pub fn new(contents: Contents) -> Result<Self, ImageError> {
        Self::create(contents, None, |_| ())
    }

    /// The image of a base and of contents, whose segments are replaced by the base's.
    fn with(mut contents: Contents, code_tree: CodeTree, base: Base) -> Self {
        let code_tree = Arc::new(code_tree);
        let base = Arc::new(base);
        let bytes = Bytes::from_owner(Shared(base.clone()));
        contents.segments =
            base.extents().map(|(address, range)| Segment { address, bytes: bytes.slice(range) }).collect();
        Self { contents, code_tree, base, verified: Arc::default() }
    }

    /// Memory must be zero in every input region. This reads stored nodes, or a single page.
    fn check_inputs(&self) -> Result<(), ImageError> {
        let inputs = self.interface.as_ref().map_or(&[][..], |interface| &interface.inputs);
        match inputs.iter().position(|region| !self.base.is_zero(region.address, region.bits.into())) {
            Some(index) => {
                let Region { address, bits } = inputs[index];
                Err(ImageError::InputNotZero { index, address, bits })
            }
            None => Ok(()),
        }
    }

    /// The root of the code.
    #[must_use]
    pub fn code_root(&self) -> Root {
        self.code_tree.root()
    }

    /// The tree of the code.
    #[must_use]
    pub fn code_tree(&self) -> &Arc<CodeTree> {
        &self.code_tree
    }

    /// The root of memory before the first step.
    #[must_use]
    pub fn memory_root(&self) -> Root {
        self.base.root()
    }

    /// The initial contents of memory.
    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    /// Whether this process knows that memory and the stored nodes are those of the root: it has made the
    /// image, or [verified](Self::verify) it.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.verified.load(Ordering::Acquire)
    }

    /// Memory before the first step. It takes no memory of this computer until it is touched.
    pub fn memory(&self) -> Result<Memory, ImageError> {
        let bits = self.profile.memory_bits();
        Memory::over(&self.base).map_err(|source| ImageError::Memory { bits, source })
    }

    /// The state before the first step, with all inputs zero.
    #[must_use]
    pub fn state(&self) -> State {
        State::reset(self.code_root(), self.memory_root(), self.contents.entry, self.contents.sp)
    }

    /// The machine's extensions.
    #[must_use]
    pub fn extensions(&self) -> Extensions {
        self.contents.profile.extensions()
    }

    /// The contents, for changes.
    #[must_use]
    pub fn into_contents(self) -> Contents {
        self.contents
    }
}

impl Deref for Image {
    type Target = Contents;
    fn deref(&self) -> &Contents {
        &self.contents
    }
}

/// The bytes of a base, shared.
struct Shared(Arc<Base>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// There must not be more segments than can be mapped.
fn check_segments(found: usize) -> Result<(), ImageError> {
    if found <= MAX_SEGMENTS {
        return Ok(());
    }
    Err(ImageError::TooMany {
        what: "memory",
        unit: "segments",
        found: found as u64,
        most: MAX_SEGMENTS as u64,
    })
}
