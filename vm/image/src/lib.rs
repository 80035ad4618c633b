//! A program, its data and its roots in one file.
//!
//! [`Contents`] is what a compiler fills in; [`Image::new`] checks it and computes the roots. [`elf`] makes contents of
//! a freestanding RISC-V program. `docs/formats.md` gives the file's bytes.

mod code_tree;
mod contents;
pub mod elf;
mod file;
mod schedule;

pub use code_tree::CodeTree;
pub use contents::{BigStep, Contents, Dtype, Interface, Region, Role, Segment, Symbol, Tensor};
pub use file::{MAGIC, VERSION};
pub use schedule::{Leaf, Schedule};

use bytes::Bytes;
use isa::Extensions;
use memory::{Base, BaseError, Memory, extents};
use std::io;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use step::{ProfileError, Root, State};
use thiserror::Error;

/// The most bytes of code. They stay in the file, and are decoded where they are reached.
pub const MAX_CODE: u64 = 1 << 30;

/// The most segments, those that share a page or have adjacent ones counted as one: each is a mapping of its own.
pub const MAX_SEGMENTS: usize = 1024;

/// Contents that make sense, with their roots. The segments are whole pages.
///
/// Memory lies in a file, so an image takes little of this computer's, and so does a copy of one.
#[derive(Debug, Clone)]
pub struct Image {
    contents: Contents,
    code_tree: Arc<CodeTree>,
    base: Arc<Base>,
}

impl PartialEq for Image {
    /// Whether everything is the same but for the files.
    fn eq(&self, other: &Self) -> bool {
        self.contents == other.contents
    }
}

/// What is wrong with an image.
#[derive(Debug, Error)]
pub enum ImageError {
    /// No machine has this shape.
    #[error(transparent)]
    MachineProfile(#[from] ProfileError),
    /// Code of another size than the profile's.
    #[error("{found} bytes of code; the profile says {expected}")]
    CodeSize {
        /// The profile's.
        expected: u64,
        /// The code's.
        found: usize,
    },
    /// An entry point, of the program or of a big step, where no instruction can be.
    #[error("the entry point {entry:#x} is not a multiple of 4 inside the code")]
    Entry {
        /// The address.
        entry: u64,
    },
    /// A stack that starts nowhere.
    #[error("the stack pointer {sp:#x} is not a multiple of 16 up to the end of memory")]
    StackPointer {
        /// The address.
        sp: u64,
    },
    /// Something that is not in memory.
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
    /// Two things at one address.
    #[error("{first} and {second} overlap at {address:#x}")]
    Overlap {
        /// The one.
        first: String,
        /// The other.
        second: String,
        /// Where they meet.
        address: u64,
    },
    /// A region that is not a subtree of memory.
    #[error(
        "the {what} region of 2^{bits} bytes at {address:#x} is not 32 bytes or more at a multiple of its size in memory"
    )]
    Region {
        /// What it is for.
        what: &'static str,
        /// Its first address.
        address: u64,
        /// The logarithm of its size.
        bits: u8,
    },
    /// An input or an output that is somewhere else.
    #[error("tensor {name} is not in the {what} region")]
    NotInRegion {
        /// Its name.
        name: String,
        /// The region.
        what: &'static str,
    },
    /// A tensor whose length is not that of its shape.
    #[error("tensor {name} has {found} bytes; its shape and type need {expected}")]
    TensorSize {
        /// Its name.
        name: String,
        /// What its shape and type need; `None` is too many for 64 bits.
        expected: Shown,
        /// What it has.
        found: u64,
    },
    /// A big step that names something that is not there.
    #[error("big step {index} names {what} {found}, but there are {count}")]
    Reference {
        /// Which big step.
        index: usize,
        /// What it names.
        what: &'static str,
        /// The number that it gives.
        found: u32,
        /// How many there are.
        count: usize,
    },
    /// A big step that computes nothing or more than its tensor has.
    #[error("big step {index} computes elements {lo} to {hi} of a tensor of {count}")]
    Range {
        /// Which big step.
        index: usize,
        /// The first element.
        lo: u64,
        /// One past the last.
        hi: u64,
        /// How many elements there are.
        count: u64,
    },
    /// More of something than is handled.
    #[error("{found} {unit} of {what}; an image has at most {most}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// What is counted.
        unit: &'static str,
        /// How many there are.
        found: u64,
        /// The most.
        most: u64,
    },
    /// Memory that can't be had.
    #[error("can't reserve 2^{bits} bytes of address space for memory: {source}")]
    Memory {
        /// The logarithm of memory's size.
        bits: u8,
        /// What the system says.
        source: io::Error,
    },
    /// A file that is not an image.
    #[error("not an opml image: it does not start with the bytes \"opmlimg\"")]
    Magic,
    /// An image of another version.
    #[error("image version {found}; this program reads version {expected}")]
    Version {
        /// The file's.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// A file of the wrong length.
    #[error("the file has {found} bytes; its header says {expected}")]
    Length {
        /// What the header says, and needs at least if it is itself cut off.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// Metadata that can't be read.
    #[error("the image's metadata is damaged: {reason}")]
    Metadata {
        /// Why.
        reason: String,
    },
    /// Bytes and hash that do not belong together.
    #[error("the image's {what} has the hash {found}; the file says {expected}: it is damaged")]
    Root {
        /// What was hashed.
        what: &'static str,
        /// The hash in the file.
        expected: Root,
        /// The hash of the bytes.
        found: Root,
    },
    /// A stored node that isn't over what is below it.
    #[error(
        "a stored node above the page at {address:#x} is not the hash of what is below it: the image is damaged"
    )]
    Node {
        /// The page's address.
        address: u64,
    },
    /// A file that can't be read or written.
    #[error("can't {verb} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A number that may be beyond 64 bits.
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
    /// Checks contents and computes their roots. Memory is written to a file without a name.
    pub fn new(contents: Contents) -> Result<Self, ImageError> {
        contents.check()?;
        let pieces: Vec<(u64, &[u8])> =
            contents.segments.iter().map(|segment| (segment.address, &segment.bytes[..])).collect();
        check_segments(extents(&pieces).len())?;
        let bits = contents.profile.memory_bits();
        let base = Base::new(bits.into(), &pieces).map_err(|error| {
            let source = match error {
                BaseError::Io(source) => source,
                // The segments have been checked, and the file is as long as it was made.
                other => io::Error::other(format!("{other:?}")),
            };
            ImageError::Io { verb: "write a temporary file in", path: std::env::temp_dir(), source }
        })?;
        Ok(Self::with(contents, base))
    }

    /// The image of contents but for their segments, which the base has.
    fn with(mut contents: Contents, base: Base) -> Self {
        let code_tree = Arc::new(CodeTree::new(contents.code.clone(), contents.profile.code_depth()));
        let base = Arc::new(base);
        let bytes = Bytes::from_owner(Part(base.clone()));
        contents.segments =
            base.extents().map(|(address, range)| Segment { address, bytes: bytes.slice(range) }).collect();
        Self { contents, code_tree, base }
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

    /// What memory holds before the first step.
    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    /// Memory before the first step. It takes nothing of this computer's before it is touched.
    pub fn memory(&self) -> Result<Memory, ImageError> {
        let bits = self.profile.memory_bits();
        Memory::over(&self.base).map_err(|source| ImageError::Memory { bits, source })
    }

    /// The state before the first step, inputs all zero.
    #[must_use]
    pub fn state(&self) -> State {
        State::reset(self.code_root(), self.memory_root(), self.contents.entry, self.contents.sp)
    }

    /// The machine's extensions.
    #[must_use]
    pub fn extensions(&self) -> Extensions {
        self.contents.profile.extensions()
    }

    /// The contents, to change them.
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

/// The bytes of a base, to share them.
struct Part(Arc<Base>);

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// There must not be more segments than are mapped.
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
