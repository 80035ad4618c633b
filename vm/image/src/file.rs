//! The file: magic, version, metadata and its hash, then the code, and from a page boundary on memory with
//! its nodes.

use crate::contents::{BigStep, Contents, Interface, Section, Symbol, Tensor};
use crate::{CodeTree, Image, ImageError, MAX_CODE, Period, check_segments};
use bytes::Bytes;
use isa::Extensions;
use mapped::Mapped;
use memory::{Base, BaseError, Damage, PAGE, PAGE_BITS};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use step::{MachineProfile, Root, keccak};

/// The first bytes of every image.
pub const MAGIC: [u8; 8] = *b"opmlimg\0";
/// The version of the format that this crate reads and writes.
pub const VERSION: u32 = 7;

/// Bytes before the metadata: magic, version, length and hash of the metadata.
const HEADER: u64 = 8 + 4 + 4 + 32;

/// The maximum size of metadata. Decoded, it takes up to twenty times as much memory.
const MAX_METADATA: u64 = 1 << 26;

/// The number of bytes of a file that are copied at once.
const COPIED_AT_ONCE: usize = 1 << 20;

/// The contents of the file besides the bytes of code and memory.
#[derive(Serialize, Deserialize)]
struct Metadata {
    extensions: u8,
    memory_bits: u8,
    code_base: u64,
    code_size: u64,
    entry: u64,
    sp: u64,
    code_root: [u8; 32],
    memory_root: [u8; 32],
    /// The pages of memory in the file: ranges of page numbers, as start and count.
    pages: Vec<(u64, u64)>,
    tensors: Vec<Tensor>,
    symbols: Vec<Symbol>,
    schedule: Vec<BigStep>,
    period: Option<Period>,
    interface: Option<Interface>,
    sections: Vec<Section>,
}

impl Metadata {
    /// The metadata of contents whose segments are on these pages, without the root of memory.
    fn new(contents: &Contents, pages: &[Range<u64>], code_root: Root) -> Self {
        Self {
            extensions: contents.profile.extensions().bits(),
            memory_bits: contents.profile.memory_bits(),
            code_base: contents.profile.code_base(),
            code_size: contents.profile.code_size(),
            entry: contents.entry,
            sp: contents.sp,
            code_root: code_root.0,
            memory_root: Root::ZERO.0,
            pages: pages.iter().map(|range| (range.start, range.end - range.start)).collect(),
            tensors: contents.tensors.clone(),
            symbols: contents.symbols.clone(),
            schedule: contents.schedule.clone(),
            period: contents.period,
            interface: contents.interface.clone(),
            sections: contents.sections.clone(),
        }
    }

    /// The bytes of the file before the code.
    fn head(&self) -> Result<Vec<u8>, ImageError> {
        let bytes = postcard::to_stdvec(self).map_err(|error| damaged(error.to_string()))?;
        let length = u32::try_from(bytes.len()).map_err(|error| damaged(error.to_string()))?;
        Ok([&MAGIC[..], &VERSION.to_le_bytes(), &length.to_le_bytes(), &keccak(&bytes).0, &bytes].concat())
    }
}

impl Image {
    /// Checks contents, computes their roots and writes the image to a file: to the one at a path, which is
    /// replaced only once the new one is complete, or to a temporary one without a name.
    ///
    /// The segments are read once, from the first byte to the last, and held nowhere else. Calls `progress`
    /// with the number of bytes of memory that are done.
    pub fn create(
        contents: Contents,
        path: Option<&Path>,
        progress: impl FnMut(u64),
    ) -> Result<Self, ImageError> {
        contents.check()?;
        let Some(path) = path else {
            let folder = std::env::temp_dir();
            let failure = |source| io_error("write a temporary file in", &folder, source);
            return Self::store(contents, tempfile::tempfile().map_err(failure)?, &failure, progress);
        };
        let failure = |source| io_error("write", path, source);
        let (file, place) = tempfile::NamedTempFile::new_in(folder(path)).map_err(failure)?.into_parts();
        let image = Self::store(contents, file, &failure, progress)?;
        make_readable(image.base().file()).map_err(failure)?;
        place.persist(path).map_err(|error| failure(error.error))?;
        Ok(image)
    }

    /// Checks contents and makes an image that knows all but what is in memory, which counts as zero: for
    /// questions about code, shapes and costs. Constants are neither hashed nor written, so the root of memory
    /// isn't that of the contents, and neither is what a run would do.
    pub fn draft(mut contents: Contents) -> Result<Self, ImageError> {
        contents.check()?;
        let segments = std::mem::take(&mut contents.segments);
        let folder = std::env::temp_dir();
        let failure = |source| io_error("write a temporary file in", &folder, source);
        let mut image = Self::store(contents, tempfile::tempfile().map_err(failure)?, &failure, |_| ())?;
        image.contents.segments = segments;
        image.verified.store(false, Ordering::Release);
        Ok(image)
    }

    /// The image of checked contents, in an empty file.
    fn store(
        contents: Contents,
        file: File,
        failure: &dyn Fn(io::Error) -> ImageError,
        mut progress: impl FnMut(u64),
    ) -> Result<Self, ImageError> {
        let pieces: Vec<(u64, &[u8])> =
            contents.segments.iter().map(|segment| (segment.address, &segment.bytes[..])).collect();
        let extents = memory::extents(&pieces);
        check_segments(extents.len())?;
        let code_tree = CodeTree::new(contents.code.clone(), contents.profile.code_depth());
        let mut metadata = Metadata::new(&contents, &extents, code_tree.root());
        let code_at = metadata.head()?.len() as u64;
        let memory_at = (code_at + contents.code.len() as u64).next_multiple_of(PAGE as u64);
        let bits = contents.profile.memory_bits().into();
        let base = Base::write(file, memory_at, bits, &pieces, |pages| progress(pages << PAGE_BITS));
        let base = base.map_err(|error| match error {
            BaseError::Io(source) => failure(source),
            // The segments have been checked, and the file has just been written with the right length.
            other => failure(io::Error::other(format!("{other:?}"))),
        })?;
        // The head comes last, since it contains the root. Any root has the same length.
        metadata.memory_root = base.root().0;
        base.file().write_all_at(&metadata.head()?, 0).map_err(failure)?;
        base.file().write_all_at(&contents.code, code_at).map_err(failure)?;
        let image = Self::with(contents, code_tree, base);
        image.check_inputs()?;
        image.verified.store(true, Ordering::Release);
        Ok(image)
    }

    /// The bytes of the file. Equal images have equal bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        self.copy(&mut bytes).map_err(|error| damaged(error.to_string()))?;
        Ok(bytes)
    }

    /// Copies the file's bytes. They are read, since what is touched in a mapping stays in memory.
    fn copy(&self, to: &mut impl Write) -> io::Result<()> {
        let (file, mut at) = (self.base().file(), 0);
        let mut buffer = vec![0; COPIED_AT_ONCE];
        loop {
            let count = file.read_at(&mut buffer, at)?;
            if count == 0 {
                return Ok(());
            }
            to.write_all(&buffer[..count])?;
            at += count as u64;
        }
    }

    /// Reads an image from a file's bytes. Checks every hash.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ImageError> {
        let path = std::env::temp_dir();
        let attempt = || {
            let mut file = tempfile::tempfile()?;
            file.write_all(bytes)?;
            Ok(file)
        };
        let file = attempt().map_err(|source| io_error("write a temporary file in", &path, source))?;
        let image = Self::from_file(file, &path)?;
        image.verify(|_| ())?;
        Ok(image)
    }

    /// Reads an image. Checks every hash.
    pub fn read(path: &Path) -> Result<Self, ImageError> {
        let image = Self::open(path)?;
        image.verify(|_| ())?;
        Ok(image)
    }

    /// Opens an image. Memory stays in the file, and its bytes are read on demand. Except for the root, they
    /// and the nodes above them are trusted until [`verify`](Self::verify) confirms them. The file must not
    /// be changed while it is open, but may be replaced.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        Self::from_file(mapped::open(path).map_err(|source| io_error("read", path, source))?, path)
    }

    /// Checks the bytes of memory and the stored nodes against the root. Reports from time to time how many
    /// of the [bytes](Self::stored) are done.
    pub fn verify(&self, mut progress: impl FnMut(u64)) -> Result<(), ImageError> {
        let bits = self.profile.memory_bits();
        let verdict = self
            .base()
            .verify(|pages| progress(pages << PAGE_BITS))
            .map_err(|source| ImageError::Memory { bits, source })?;
        verdict.map_err(|damage| match damage {
            Damage::Root(found) => ImageError::Root { what: "memory", expected: self.memory_root(), found },
            Damage::Node(page) => ImageError::Node { address: page << PAGE_BITS },
        })?;
        self.verified.store(true, Ordering::Release);
        Ok(())
    }

    /// The number of bytes of memory in the file.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.base().count() << PAGE_BITS
    }

    /// Copies the image to a path. An existing file is replaced only once the new one is complete.
    pub fn write(&self, path: &Path) -> Result<(), ImageError> {
        let attempt = || {
            let mut file = tempfile::NamedTempFile::new_in(folder(path))?;
            self.copy(file.as_file_mut())?;
            make_readable(file.as_file())?;
            file.persist(path)?;
            Ok(())
        };
        attempt().map_err(|source| io_error("write", path, source))
    }

    /// The image of a file. Checks everything except the bytes and inner nodes of memory.
    fn from_file(file: File, path: &Path) -> Result<Self, ImageError> {
        let metadata = file.metadata().map_err(|source| io_error("read", path, source))?;
        let found = metadata.len();
        let mut reader = Reader { file: &file, path, found, at: 0 };
        let magic = reader.take(8.min(found))?;
        if !MAGIC.starts_with(&magic) {
            return Err(ImageError::Magic);
        }
        reader.at = 8;
        let version = reader.number()?;
        if version != VERSION {
            return Err(ImageError::Version { found: version, expected: VERSION });
        }
        let length = reader.number()?.into();
        let expected = reader.root()?;
        check_size("metadata", length, MAX_METADATA)?;
        let metadata = reader.take(length)?;
        check_root("metadata", expected, keccak(&metadata))?;
        let metadata: Metadata =
            postcard::from_bytes(&metadata).map_err(|error| damaged(error.to_string()))?;
        let profile = profile(&metadata)?;
        check_size("code", metadata.code_size, MAX_CODE)?;
        let code = reader.map(metadata.code_size)?;
        reader.padding()?;
        let offset = reader.at;
        let roots = [metadata.code_root, metadata.memory_root];
        let base = base(file, found, offset, &metadata)?;
        let (entry, sp, interface) = (metadata.entry, metadata.sp, metadata.interface);
        let (tensors, symbols, schedule) = (metadata.tensors, metadata.symbols, metadata.schedule);
        let contents = Contents {
            profile,
            entry,
            sp,
            code,
            segments: Vec::new(),
            tensors,
            symbols,
            schedule,
            period: metadata.period,
            interface,
            sections: metadata.sections,
        };
        let code_tree = CodeTree::new(contents.code.clone(), contents.profile.code_depth());
        let image = Self::with(contents, code_tree, base);
        image.check()?;
        image.check_inputs()?;
        check_root("code", Root(roots[0]), image.code_root())?;
        check_root("memory", Root(roots[1]), image.memory_root())?;
        Ok(image)
    }
}

/// The machine's shape.
fn profile(metadata: &Metadata) -> Result<MachineProfile, ImageError> {
    let extensions = Extensions::from_bits(metadata.extensions);
    let extensions =
        extensions.ok_or_else(|| damaged(format!("unknown extensions {:#x}", metadata.extensions)))?;
    Ok(MachineProfile::new(extensions, metadata.memory_bits, metadata.code_base, metadata.code_size)?)
}

/// The memory of a file, which is everything from an offset on.
fn base(file: File, found: u64, offset: u64, metadata: &Metadata) -> Result<Base, ImageError> {
    check_segments(metadata.pages.len())?;
    let bits = metadata.memory_bits;
    let range = |&(first, count): &(u64, u64)| first..first.saturating_add(count);
    let pages: Vec<Range<u64>> = metadata.pages.iter().map(range).collect();
    let failure = |error| match error {
        BaseError::Extents => {
            damaged("the ranges of pages are not ascending, apart and inside memory".to_owned())
        }
        BaseError::Length { expected, found } => ImageError::Length { expected, found },
        BaseError::Io(source) => ImageError::Memory { bits, source },
    };
    let expected = offset.saturating_add(Base::length(bits.into(), &pages).map_err(failure)?);
    if found != expected {
        return Err(ImageError::Length { expected, found });
    }
    Base::open(file, offset, bits.into(), &pages).map_err(failure)
}

/// The folder of a path.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Gives a temporary file the permissions of an ordinary one.
fn make_readable(file: &fs::File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    let _ = file;
    Ok(())
}

/// A file that is parsed from its start.
struct Reader<'a> {
    file: &'a File,
    path: &'a Path,
    /// The length of the file.
    found: u64,
    at: u64,
}

impl Reader<'_> {
    /// The next bytes.
    fn take(&mut self, len: u64) -> Result<Vec<u8>, ImageError> {
        let end = self.at.saturating_add(len);
        if end > self.found {
            return Err(ImageError::Length { expected: end.max(HEADER), found: self.found });
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|error| damaged(error.to_string()))?];
        self.file.read_exact_at(&mut bytes, self.at).map_err(|source| io_error("read", self.path, source))?;
        self.at = end;
        Ok(bytes)
    }

    /// The next bytes, which stay in the file until they are needed.
    fn map(&mut self, len: u64) -> Result<Bytes, ImageError> {
        let end = self.at.saturating_add(len);
        if end > self.found {
            return Err(ImageError::Length { expected: end, found: self.found });
        }
        let map =
            Mapped::new(self.file, self.at, len).map_err(|source| io_error("map", self.path, source))?;
        self.at = end;
        Ok(Bytes::from_owner(map))
    }

    /// The next 32-bit number.
    fn number(&mut self) -> Result<u32, ImageError> {
        Ok(self.take(4)?.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }

    /// The next hash.
    fn root(&mut self) -> Result<Root, ImageError> {
        let mut root = Root::ZERO;
        root.0.copy_from_slice(&self.take(32)?);
        Ok(root)
    }

    /// The zeros up to the next page.
    fn padding(&mut self) -> Result<(), ImageError> {
        let zeros = self.take(self.at.next_multiple_of(PAGE as u64) - self.at)?;
        if zeros.iter().all(|&byte| byte == 0) {
            Ok(())
        } else {
            Err(damaged("the padding is not zero".to_owned()))
        }
    }
}

/// The error for invalid metadata.
fn damaged(reason: String) -> ImageError {
    ImageError::Metadata { reason }
}

/// The error of an operation on a file.
fn io_error(verb: &'static str, path: &Path, source: io::Error) -> ImageError {
    ImageError::Io { verb, path: path.to_owned(), source }
}

/// A section must not have more bytes than this.
fn check_size(what: &'static str, found: u64, most: u64) -> Result<(), ImageError> {
    if found <= most { Ok(()) } else { Err(ImageError::TooMany { what, unit: "bytes", found, most }) }
}

/// Bytes must have the hash in the file.
fn check_root(what: &'static str, expected: Root, found: Root) -> Result<(), ImageError> {
    if found == expected { Ok(()) } else { Err(ImageError::Root { what, expected, found }) }
}
