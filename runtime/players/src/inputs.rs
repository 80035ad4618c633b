//! The inputs of requests, which are given by their bytes or by their roots, and what is kept of them.

use crate::model::region_root;
use contracts::{B256, Bytes, Input, Source};
use game::Region;
use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use step::Root;

/// The root of an input as it was given; `None` if it isn't one.
#[must_use]
pub fn root(region: &Region, input: &Input) -> Option<Root> {
    let data = &input.data;
    match input.source {
        Source::Bytes => (data.len() as u64 == region.bytes).then(|| region_root(region, data)),
        Source::Root => Some(Root(data[..].try_into().ok()?)),
        // The number of a request, the index of one of its outputs, and the roots of all of them.
        Source::Result => {
            let mut words = data.chunks_exact(32);
            let (_, index) = (words.next()?, words.next()?);
            let (high, low) = index.split_at(24);
            let index = usize::try_from(u64::from_be_bytes(low.try_into().ok()?)).ok()?;
            let word = words.nth(index).filter(|_| high.iter().all(|&byte| byte == 0))?;
            Some(Root(word.try_into().ok()?))
        }
        Source::__Invalid => None,
    }
}

/// The roots of all inputs of a request; `None` if they aren't as many as the regions.
pub(crate) fn roots(regions: &[Region], inputs: &[Input]) -> Option<Vec<Root>> {
    let both = regions.iter().zip(inputs);
    (regions.len() == inputs.len()).then(|| both.map(|(region, input)| root(region, input)).collect())?
}

/// The most bytes that a folder may have for another output to be kept in it. Whoever asks for large outputs
/// doesn't pay for the disk.
const MOST_KEPT: u64 = 64 << 30;

/// The bytes of all files in a folder.
fn size(folder: &Path) -> io::Result<u64> {
    let mut size = 0u64;
    for entry in std::fs::read_dir(folder)? {
        // Another player may have renamed or removed it meanwhile.
        size = size.saturating_add(entry?.metadata().map_or(0, |found| found.len()));
    }
    Ok(size)
}

/// The bytes behind roots: files `ROOT.bin` of a folder, and outputs that were computed here.
#[derive(Debug, Default)]
pub struct Preimages {
    folder: Option<PathBuf>,
    kept: HashMap<B256, Bytes>,
}

impl Preimages {
    /// Those in a folder. Without one, they are only in memory.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, kept: HashMap::new() }
    }

    /// How many are in memory.
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// The bytes with this root that fit into a region. Zeros at the end may be missing, and nobody needs a file
    /// to know that all of them are zero.
    pub fn find(&self, root: B256, region: &Region) -> Option<Bytes> {
        if root == B256::ZERO {
            return Some(Bytes::new());
        }
        let is_it = |bytes: &Bytes| {
            bytes.len() as u64 <= 1 << region.subtree.bits()
                && contracts::word(region_root(region, bytes)) == root
        };
        let kept = self.kept.get(&root).filter(|bytes| is_it(bytes)).cloned();
        kept.or_else(|| self.read(root, region).filter(is_it))
    }

    /// A file. Others can put things into the folder: what is no regular file, or is too large, isn't read.
    fn read(&self, root: B256, region: &Region) -> Option<Bytes> {
        let path = self.folder.as_ref()?.join(format!("{root}.bin"));
        mapped::read(&path, 1 << region.subtree.bits()).ok()?.map(Bytes::from)
    }

    /// Keeps an output that a later request may take as an input, unless the folder is too large already.
    pub fn keep(&mut self, root: B256, bytes: &Bytes) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            self.kept.insert(root, bytes.clone());
            return Ok(());
        };
        let path = folder.join(format!("{root}.bin"));
        if matches!(mapped::read(&path, bytes.len() as u64), Ok(Some(found)) if found == bytes[..]) {
            return Ok(());
        }
        std::fs::create_dir_all(folder)?;
        if size(folder)?.saturating_add(bytes.len() as u64) > MOST_KEPT {
            let limit = MOST_KEPT >> 30;
            return Err(io::Error::other(format!(
                "{} would have more than {limit} GiB: remove what no request needs any more",
                folder.display()
            )));
        }
        // Nobody sees a half-written file, also if several players share the folder. Only the owner can read it: it
        // may be somebody's data.
        let mut draft =
            tempfile::Builder::new().prefix(&format!("{root}.")).suffix(".new").tempfile_in(folder)?;
        draft.write_all(bytes)?;
        draft.as_file().sync_all()?;
        draft.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use game::Subtree;
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt as _;

    const REGION: Region = Region { subtree: Subtree { level: 1, index: 0 }, bytes: 40 };

    fn word(number: u64) -> Root {
        let mut word = Root::ZERO;
        word.0[24..].copy_from_slice(&number.to_be_bytes());
        word
    }

    fn given(source: Source, data: &[u8]) -> Option<Root> {
        root(&REGION, &Input { source, data: Bytes::copy_from_slice(data) })
    }

    #[test]
    fn roots_are_found_in_every_source() {
        let words = |words: &[u64]| words.iter().flat_map(|&number| word(number).0).collect::<Vec<u8>>();
        assert_eq!(given(Source::Bytes, &[3; 40]), Some(region_root(&REGION, &[3; 40])));
        assert_eq!(given(Source::Bytes, &[3; 39]), None);
        assert_eq!(given(Source::Root, &words(&[7])), Some(word(7)));
        assert_eq!(given(Source::Root, &words(&[7, 8])), None);
        assert_eq!(given(Source::Result, &words(&[1, 0, 7, 8])), Some(word(7)));
        assert_eq!(given(Source::Result, &words(&[1, 1, 7, 8])), Some(word(8)));
        for bad in [&[1, 2, 7, 8][..], &[1, 0], &[1], &[], &[1, u64::MAX, 7]] {
            assert_eq!(given(Source::Result, &words(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn outputs_are_found_again_with_a_folder_and_without() {
        let folder = tempfile::tempdir().expect("a folder");
        for place in [None, Some(folder.path().join("parts"))] {
            let mut preimages = Preimages::new(place);
            let bytes = Bytes::from(vec![5; 40]);
            let root = contracts::word(region_root(&REGION, &bytes));
            assert_eq!(preimages.find(root, &REGION), None);
            preimages.keep(root, &bytes).expect("it is kept");
            preimages.keep(root, &bytes).expect("it is kept already");
            assert_eq!(preimages.find(root, &REGION), Some(bytes));
            assert_eq!(preimages.find(B256::with_last_byte(1), &REGION), None);
            assert_eq!(preimages.find(B256::ZERO, &REGION), Some(Bytes::new()));
        }
    }

    #[test]
    fn what_is_in_the_way_of_an_output_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut preimages = Preimages::new(Some(folder.path().to_owned()));
        let bytes = Bytes::from(vec![5; 40]);
        let root = contracts::word(region_root(&REGION, &bytes));
        let path = folder.path().join(format!("{root}.bin"));
        for other in [vec![], vec![6; 40], vec![5; 41]] {
            std::fs::write(&path, other).expect("a file");
            preimages.keep(root, &bytes).expect("it is kept");
            assert_eq!(preimages.find(root, &REGION), Some(bytes.clone()));
        }
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(&path).expect("it goes");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo starts").success());
        preimages.keep(root, &bytes).expect("it is kept in place of a pipe");
        assert_eq!(preimages.find(root, &REGION), Some(bytes.clone()));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_folder_that_is_too_large_keeps_no_more() {
        let folder = tempfile::tempdir().expect("a folder");
        // A file with a hole takes no room.
        let large = File::create(folder.path().join("large")).expect("a file");
        large.set_len(MOST_KEPT - 39).expect("a file with a hole");
        let mut preimages = Preimages::new(Some(folder.path().to_owned()));
        let bytes = Bytes::from(vec![5; 40]);
        let root = contracts::word(region_root(&REGION, &bytes));
        let error = preimages.keep(root, &bytes).expect_err("no room");
        assert!(error.to_string().contains("more than 64 GiB"), "{error}");
        large.set_len(MOST_KEPT - 40).expect("a smaller file");
        preimages.keep(root, &bytes).expect("room for exactly this");
    }

    #[test]
    fn what_is_no_file_or_too_large_or_other_bytes_is_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let preimages = Preimages::new(Some(folder.path().to_owned()));
        let root = contracts::word(region_root(&REGION, &[5; 40]));
        let path = folder.path().join(format!("{root}.bin"));
        std::fs::create_dir(&path).expect("a folder in its place");
        assert_eq!(preimages.find(root, &REGION), None);
        std::fs::remove_dir(&path).expect("it goes");
        // A pipe would block the player, and a device never end.
        assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo starts").success());
        assert_eq!(preimages.find(root, &REGION), None);
        std::fs::remove_file(&path).expect("it goes");
        std::os::unix::fs::symlink("/dev/zero", &path).expect("a link");
        assert_eq!(preimages.find(root, &REGION), None);
        std::fs::remove_file(&path).expect("it goes");
        for bytes in [vec![5; 65], vec![6; 40], vec![]] {
            std::fs::write(&path, bytes).expect("a file");
            assert_eq!(preimages.find(root, &REGION), None);
        }
    }
}
