//! The files of a model. They are mapped, so that their bytes are nowhere else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Error;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use mapped::Mapped;

/// The files that are mapped, each once.
#[derive(Default)]
pub(crate) struct Files(RefCell<BTreeMap<PathBuf, (Mapped, Bytes)>>);

impl Files {
    /// The bytes of a file at a canonical path.
    pub fn map(&self, path: &Path) -> Result<Bytes, Error> {
        if let Some((_, bytes)) = self.0.borrow().get(path) {
            return Ok(bytes.clone());
        }
        let file = mapped::open(path)?;
        self.add(path, &file, file.metadata()?.len())
    }

    /// The bytes of an open file, from its start.
    pub fn add(&self, path: &Path, file: &File, length: u64) -> Result<Bytes, Error> {
        let map = Mapped::new(file, 0, length)?;
        let bytes = Bytes::from_owner(map.clone());
        self.0.borrow_mut().insert(path.to_owned(), (map, bytes.clone()));
        Ok(bytes)
    }

    /// All of them.
    pub fn into_mapped(self) -> Vec<Mapped> {
        self.0.into_inner().into_values().map(|(map, _)| map).collect()
    }
}
