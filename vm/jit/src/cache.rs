//! Translated code on disk, so that the next run of an image begins with it.
//!
//! One file for an image on a kind of host, named by a hash of everything that decides which code is made. A file that is damaged,
//! or not surely of the user who runs this, is as good as none, and any file may be deleted at any time.

use crate::form::Forms;
use cranelift_codegen::isa::OwnedTargetIsa;
use image::Image;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use step::{Root, keccak};

/// The longest file that is read: more than the most code that is ever made.
const LONGEST: u64 = 1 << 29;

/// A region as it is kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Where it starts.
    pub pc: u64,
    /// Code of the host.
    pub code: Vec<u8>,
    /// The rest as in [`Place`](crate::Place).
    pub longest: u64,
    pub forms: Forms,
    pub uses: u32,
    pub writes: u32,
    pub instructions: u64,
    pub versions: u32,
    pub targets: Vec<u64>,
    pub patience: u64,
}

/// Where the regions of an image are kept.
#[derive(Debug)]
pub(crate) struct Cache(PathBuf);

impl Cache {
    /// The one of an image on this host, in a folder of caches. `None` if the folder can't be had, or others than this user can write to it.
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

    /// What is kept; nothing if there is no good file.
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

    /// Keeps these regions instead of what was kept.
    pub fn write(&self, regions: &[Kept]) -> io::Result<()> {
        let kept = postcard::to_stdvec(regions).map_err(io::Error::other)?;
        let mut file = tempfile::NamedTempFile::new_in(self.0.parent().unwrap_or(Path::new(".")))?;
        file.write_all(&keccak(&kept).0)?;
        file.write_all(&kept)?;
        file.persist(&self.0)?;
        Ok(())
    }
}

/// Whether a file is of the user who runs this, and nobody else may write to it: whoever can decides what is executed.
fn is_ours(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}
