//! The file: magic, version, metadata with its hash, then the code and the segments' bytes.

use crate::contents::{BigStep, Contents, Interface, Segment, Symbol, Tensor};
use crate::{Image, ImageError};
use isa::Extensions;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use step::{Profile, Root, keccak};

/// The first bytes of every image.
pub const MAGIC: [u8; 8] = *b"opmlimg\0";
/// The version of the format that is written and read.
pub const VERSION: u32 = 2;

/// Bytes before the metadata: magic, version, length and hash of the metadata.
const HEADER: usize = 8 + 4 + 4 + 32;

/// What the file says besides the bytes of code and segments.
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
    /// Address and length of each segment.
    segments: Vec<(u64, u64)>,
    tensors: Vec<Tensor>,
    symbols: Vec<Symbol>,
    schedule: Vec<BigStep>,
    interface: Option<Interface>,
}

impl Image {
    /// The bytes of the file; the same image always has the same.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes).map_err(|error| damaged(error.to_string()))?;
        Ok(bytes)
    }

    /// Writes the file's bytes.
    fn write_to(&self, to: &mut impl Write) -> io::Result<()> {
        let metadata = postcard::to_stdvec(&self.metadata()).map_err(io::Error::other)?;
        let length = u32::try_from(metadata.len()).map_err(io::Error::other)?;
        to.write_all(&MAGIC)?;
        to.write_all(&VERSION.to_le_bytes())?;
        to.write_all(&length.to_le_bytes())?;
        to.write_all(&keccak(&metadata).0)?;
        to.write_all(&metadata)?;
        to.write_all(&self.code)?;
        self.segments.iter().try_for_each(|segment| to.write_all(&segment.bytes))
    }

    /// The image of a file's bytes. Every hash is checked.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ImageError> {
        let mut parts = Parts { bytes, at: 0 };
        if parts.take(8)? != MAGIC {
            return Err(ImageError::Magic);
        }
        let version = parts.number()?;
        if version != VERSION {
            return Err(ImageError::Version { found: version, expected: VERSION });
        }
        let length = parts.number()?;
        let mut expected = Root::ZERO;
        expected.0.copy_from_slice(parts.take(32)?);
        let metadata = parts.take(length.into())?;
        check_root("metadata", expected, keccak(metadata))?;
        let metadata: Metadata = postcard::from_bytes(metadata).map_err(|error| damaged(error.to_string()))?;
        parts.contents(metadata)
    }

    /// Reads an image. Of what does not begin like one no more is read than that.
    pub fn read(path: &Path) -> Result<Self, ImageError> {
        let attempt = || {
            let mut file = fs::File::open(path)?;
            let mut bytes = Vec::new();
            (&mut file).take(MAGIC.len() as u64).read_to_end(&mut bytes)?;
            if bytes == MAGIC {
                file.read_to_end(&mut bytes)?;
            }
            Ok(bytes)
        };
        let bytes = attempt().map_err(|source| ImageError::Io { verb: "read", path: path.to_owned(), source })?;
        Self::from_bytes(&bytes)
    }

    /// Writes an image. A file that was there before is replaced when the new one is complete, or not at all.
    pub fn write(&self, path: &Path) -> Result<(), ImageError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let attempt = || {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            let mut buffered = io::BufWriter::new(file.as_file_mut());
            self.write_to(&mut buffered)?;
            buffered.flush()?;
            drop(buffered);
            make_readable(file.as_file())?;
            file.persist(path)?;
            Ok(())
        };
        attempt().map_err(|source| ImageError::Io { verb: "write", path: path.to_owned(), source })
    }

    /// What the file says besides code and segments.
    fn metadata(&self) -> Metadata {
        Metadata {
            extensions: self.profile.extensions().bits(),
            memory_bits: self.profile.memory_bits(),
            code_base: self.profile.code_base(),
            code_size: self.profile.code_size(),
            entry: self.entry,
            sp: self.sp,
            code_root: self.code_root().0,
            memory_root: self.memory_root().0,
            segments: self.segments.iter().map(|segment| (segment.address, segment.bytes.len() as u64)).collect(),
            tensors: self.tensors.clone(),
            symbols: self.symbols.clone(),
            schedule: self.schedule.clone(),
            interface: self.interface,
        }
    }
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

/// A file taken apart from its start.
struct Parts<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parts<'a> {
    /// The next bytes.
    fn take(&mut self, len: u64) -> Result<&'a [u8], ImageError> {
        let end = (self.at as u64).saturating_add(len);
        let too_short = ImageError::Length { expected: end.max(HEADER as u64), found: self.bytes.len() as u64 };
        let range = self.at..usize::try_from(end).unwrap_or(usize::MAX);
        let part = self.bytes.get(range).ok_or(too_short)?;
        self.at += part.len();
        Ok(part)
    }

    /// The next 32-bit number.
    fn number(&mut self) -> Result<u32, ImageError> {
        Ok(self.take(4)?.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }

    /// The rest of the file: code and segments.
    fn contents(mut self, metadata: Metadata) -> Result<Image, ImageError> {
        let extensions = Extensions::from_bits(metadata.extensions);
        let extensions = extensions.ok_or_else(|| damaged(format!("unknown extensions {:#x}", metadata.extensions)))?;
        let profile = Profile::new(extensions, metadata.memory_bits, metadata.code_base, metadata.code_size)?;
        let code = self.take(metadata.code_size)?.to_vec();
        let mut segments = Vec::new();
        for (address, len) in metadata.segments {
            segments.push(Segment { address, bytes: self.take(len)?.to_vec() });
        }
        if self.at != self.bytes.len() {
            return Err(ImageError::Length { expected: self.at as u64, found: self.bytes.len() as u64 });
        }
        let (entry, sp) = (metadata.entry, metadata.sp);
        let (tensors, symbols, schedule) = (metadata.tensors, metadata.symbols, metadata.schedule);
        let interface = metadata.interface;
        let image = Image::new(Contents { profile, entry, sp, code, segments, tensors, symbols, schedule, interface })?;
        check_root("code", Root(metadata.code_root), image.code_root())?;
        check_root("memory", Root(metadata.memory_root), image.memory_root())?;
        Ok(image)
    }
}

/// Metadata that makes no sense.
fn damaged(reason: String) -> ImageError {
    ImageError::Metadata { reason }
}

/// Bytes must have the hash that the file says.
fn check_root(what: &'static str, expected: Root, found: Root) -> Result<(), ImageError> {
    if found == expected { Ok(()) } else { Err(ImageError::Root { what, expected, found }) }
}
