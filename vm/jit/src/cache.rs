//! Translated code on disk, for the next run of the same image.
//!
//! There is one file per image and kind of host. Its name is a hash of everything that determines the code. A
//! file is ignored if it is damaged, or if another user may have written it. Files can be deleted at any
//! time.

use crate::form::Forms;
use cranelift_codegen::isa::OwnedTargetIsa;
use image::Image;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use step::{Root, keccak};

/// The maximum length of a file that is read. No cache is longer.
const LONGEST: u64 = 1 << 29;

/// A region as it is stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The address of its entry.
    pub pc: u64,
    /// Its host code.
    pub code: Vec<u8>,
    /// The remaining fields are those of [`Place`](crate::Place).
    pub longest: u64,
    pub forms: Forms,
    pub uses: u32,
    pub writes: u32,
    pub instructions: u64,
    pub versions: u32,
    pub targets: Vec<u64>,
    pub patience: u64,
}

/// The file with an image's regions.
#[derive(Debug)]
pub(crate) struct Cache(PathBuf);

impl Cache {
    /// The file for an image on this host. `None` if the folder can't be created, or if other users can write
    /// to it.
    pub fn new(folder: &Path, image: &Image, isa: &OwnedTargetIsa) -> Option<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).ok()?;
        fs::metadata(folder).ok().filter(is_ours)?;
        let profile = image.profile;
        let shape =
            (profile.extensions().bits(), profile.memory_bits(), profile.code_base(), profile.code_size());
        let code = image.code_root();
        let (sources, version) = (env!("JIT_SOURCES"), cranelift_codegen::VERSION);
        let features: Vec<String> = isa.isa_flags().iter().map(ToString::to_string).collect();
        let (host, settings) = (isa.triple(), isa.flags());
        let all = format!("{code} {shape:?} {sources} {version} {host} {settings} {features:?}");
        let key = keccak(all.as_bytes());
        Some(Self(folder.join(format!("{key}.code"))))
    }

    /// The stored regions. Empty if there is no valid file.
    pub fn read(&self) -> Vec<Kept> {
        self.try_read().unwrap_or_default()
    }

    fn try_read(&self) -> Option<Vec<Kept>> {
        let file = File::open(&self.0).ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || metadata.len() > LONGEST || !is_ours(&metadata) {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes).ok()?;
        let (hash, kept) = bytes.split_first_chunk()?;
        if keccak(kept) != Root(*hash) {
            return None;
        }
        postcard::from_bytes(kept).ok()
    }

    /// Replaces the stored regions.
    pub fn write(&self, regions: &[Kept]) -> io::Result<()> {
        let kept = postcard::to_stdvec(regions).map_err(io::Error::other)?;
        let mut file = tempfile::NamedTempFile::new_in(self.0.parent().unwrap_or(Path::new(".")))?;
        file.write_all(&keccak(&kept).0)?;
        file.write_all(&kept)?;
        file.persist(&self.0)?;
        Ok(())
    }
}

/// Whether only the current user can write to a file. Anyone who can write to it can decide what is executed.
fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}
