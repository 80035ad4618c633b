//! The initial contents of memory, in a file. They take neither memory nor time until they are touched.

use crate::space::overlay;
use crate::tree::{self, PageTree};
use crate::{PAGE, PAGE_BITS};
use mapped::Mapped;
use memmap2::MmapMut;
use merkle::Root;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// The number of pages hashed between two progress reports.
const AT_ONCE: usize = 1 << 14;
/// The number of pages written at once: enough for all threads to hash, few enough to stay in a cache.
const WRITTEN_AT_ONCE: u64 = 1 << 10;

/// Pages of memory and the nodes above them, stored in part of a file.
///
/// The pages come first, by address. Then come the blocks of the tree (see `tree.rs`) above any of these
/// pages, by number. Everything else is zero.
///
/// The file must not be changed while it is in use, as described at [`Mapped`].
#[derive(Debug)]
pub struct Base {
    bits: u32,
    pages: Runs,
    blocks: Runs,
    file: File,
    offset: u64,
    map: Mapped,
}

/// Why pages can't be read from a file.
#[derive(Debug)]
pub enum BaseError {
    /// The extents are not ascending, separate ranges of pages inside memory, or pieces of it are not
    /// ascending and apart.
    Extents,
    /// The file is too short.
    Length {
        /// The length in bytes that it needs.
        expected: u64,
        /// Its length in bytes.
        found: u64,
    },
    /// The system reported an error.
    Io(io::Error),
}

impl From<io::Error> for BaseError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How stored nodes are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The pages have this root, not the stored one.
    Root(Root),
    /// The root is right, but a node below it is wrong. This is the number of a page under the wrong node.
    Node(u64),
}

impl Base {
    /// Stores pieces of memory in a temporary file. The pieces must be in ascending order, must not overlap,
    /// and must lie within 2^bits bytes.
    pub fn new(bits: u32, pieces: &[(u64, &[u8])]) -> Result<Self, BaseError> {
        Self::write(tempfile::tempfile()?, 0, bits, pieces, |_| ())
    }

    /// Likewise, from an offset of a file on that is a multiple of [`PAGE`]. The pieces are read once, from
    /// the first byte to the last, and every page is hashed while it is written. Calls `progress` with the
    /// number of pages done so far. What is before them has been read for the last time.
    pub fn write(
        file: File,
        offset: u64,
        bits: u32,
        pieces: &[(u64, &[u8])],
        mut progress: impl FnMut(u64),
    ) -> Result<Self, BaseError> {
        let after = |pair: &[(u64, &[u8])]| pair[0].0.saturating_add(pair[0].1.len() as u64) <= pair[1].0;
        if !pieces.windows(2).all(after) {
            return Err(BaseError::Extents);
        }
        let layout = Layout::new(bits, &extents(pieces))?;
        // Uses writes and not a writable mapping, so that a full disk causes an error.
        file.set_len(offset.saturating_add(layout.length))?;
        let mut tree = PageTree::new(bits - PAGE_BITS)?;
        let (mut bytes, mut done) = (Vec::new(), 0);
        for run in &layout.pages.0 {
            for first in run.range().step_by(WRITTEN_AT_ONCE as usize) {
                let some = first..run.range().end.min(first + WRITTEN_AT_ONCE);
                read(pieces, &some, &mut bytes);
                let place = run.place as u64 + ((first - run.first) << PAGE_BITS);
                let page = |index: u64| &bytes[((index - first) << PAGE_BITS) as usize..][..PAGE];
                let hash = || tree.update(some.clone().collect(), page);
                let (_, written) = rayon::join(hash, || file.write_all_at(&bytes, offset + place));
                written?;
                done += some.end - some.start;
                progress(done);
            }
        }
        for run in &layout.blocks.0 {
            file.write_all_at(tree.blocks(run.range()), offset + run.place as u64)?;
        }
        Self::with(layout, file, offset)
    }

    /// Uses the pages in `extents` and their nodes, stored at an offset of a file that is a multiple of
    /// [`PAGE`]. Reads nothing yet.
    pub fn open(file: File, offset: u64, bits: u32, extents: &[Range<u64>]) -> Result<Self, BaseError> {
        Self::with(Layout::new(bits, extents)?, file, offset)
    }

    fn with(layout: Layout, file: File, offset: u64) -> Result<Self, BaseError> {
        let Layout { bits, pages, blocks, length } = layout;
        let (expected, found) = (offset.saturating_add(length), file.metadata()?.len());
        if found < expected {
            return Err(BaseError::Length { expected, found });
        }
        let map = Mapped::new(&file, offset, length)?;
        Ok(Self { bits, pages, blocks, file, offset, map })
    }

    /// log2 of the size of memory.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The number of bytes that such pages and their nodes take in a file.
    pub fn length(bits: u32, extents: &[Range<u64>]) -> Result<u64, BaseError> {
        Layout::new(bits, extents).map(|layout| layout.length)
    }

    /// The stored bytes: pages and nodes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// The ranges of pages: the address of each, and the range of its bytes in [`bytes`](Self::bytes).
    pub fn extents(&self) -> impl Iterator<Item = (u64, Range<usize>)> {
        self.pages.0.iter().map(|run| (run.first << PAGE_BITS, run.place..run.place + run.bytes()))
    }

    /// The stored root of memory.
    #[must_use]
    pub fn root(&self) -> Root {
        self.node(self.bits - PAGE_BITS, 0)
    }

    /// Whether the subtree of 2^`bits` bytes at an address is zero, according to the stored nodes. Below a
    /// page, according to the bytes.
    #[must_use]
    pub fn is_zero(&self, address: u64, bits: u32) -> bool {
        let page = address >> PAGE_BITS;
        match bits.checked_sub(PAGE_BITS) {
            Some(level) => self.node(level, page.checked_shr(level).unwrap_or(0)) == Root::ZERO,
            None => self.page(page).is_none_or(|bytes| {
                bytes.iter().skip(address as usize % PAGE).take(1 << bits).all(|&byte| byte == 0)
            }),
        }
    }

    /// Hashes all pages and compares the results with the stored nodes. Calls `progress` with the number of
    /// pages hashed so far. They don't stay in the memory of this process.
    pub fn verify(&self, mut progress: impl FnMut(u64)) -> Result<Result<(), Damage>, io::Error> {
        let layout = Layout::new(self.bits, &self.pages.ranges());
        let layout = layout.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let tree = layout.hash(&self.map, |pages| {
            self.map.release();
            progress(pages);
        })?;
        if tree.root() != self.root() {
            return Ok(Err(Damage::Root(tree.root())));
        }
        let stored = |run: &Run| &self.map[run.place..run.place + run.bytes()];
        for run in &self.blocks.0 {
            let pairs = tree.blocks(run.range()).chunks(PAGE).zip(stored(run).chunks(PAGE));
            let bad = pairs.zip(run.range()).find(|((computed, stored), _)| computed != stored);
            if let Some((_, block)) = bad {
                return Ok(Err(Damage::Node(tree::first_page(self.bits - PAGE_BITS, block))));
            }
        }
        Ok(Ok(()))
    }

    /// The number of pages.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.pages.0.iter().map(|run| run.count).sum()
    }

    /// The bytes of a page. `None` if the page is zero.
    pub(crate) fn page(&self, index: u64) -> Option<&[u8; PAGE]> {
        self.map.get(self.pages.place(index)?..)?.first_chunk()
    }

    /// A node.
    pub(crate) fn node(&self, level: u32, index: u64) -> Root {
        let slot = tree::slot(self.bits - PAGE_BITS, level, index);
        let place = slot.and_then(|slot| Some(self.blocks.place(slot.block)? + slot.offset));
        let bytes = place.and_then(|place| self.map.get(place..)?.first_chunk());
        bytes.map_or(Root::ZERO, |&bytes| Root(bytes))
    }

    /// Maps the pages to their addresses in memory.
    pub(crate) fn overlay_pages(&self, memory: &mut MmapMut) -> io::Result<()> {
        self.overlay(&self.pages, memory)
    }

    /// Maps the blocks to their places in a tree.
    pub(crate) fn overlay_blocks(&self, slots: &mut MmapMut) -> io::Result<()> {
        self.overlay(&self.blocks, slots)
    }

    fn overlay(&self, runs: &Runs, space: &mut MmapMut) -> io::Result<()> {
        runs.0.iter().try_for_each(|run| {
            let at = usize::try_from(run.first << PAGE_BITS).unwrap_or(usize::MAX);
            overlay(space, at, run.bytes(), &self.file, self.offset + run.place as u64)
        })
    }
}

/// The ranges of pages that contain these pieces of memory, given by ascending address. Adjacent ranges are
/// merged.
#[must_use]
pub fn extents(pieces: &[(u64, &[u8])]) -> Vec<Range<u64>> {
    let pages = |&(address, bytes): &(u64, &[u8])| {
        let end = address.saturating_add(bytes.len() as u64);
        address >> PAGE_BITS..end.div_ceil(PAGE as u64)
    };
    merged(pieces.iter().filter(|(_, bytes)| !bytes.is_empty()).map(pages))
}

/// The bytes of some pages, given the pieces of memory by ascending address. Everything else is zero.
fn read(pieces: &[(u64, &[u8])], pages: &Range<u64>, bytes: &mut Vec<u8>) {
    let all = pages.start << PAGE_BITS..pages.end << PAGE_BITS;
    let end = |&(address, piece): &(u64, &[u8])| address + piece.len() as u64;
    let first = pieces.partition_point(|piece| end(piece) <= all.start);
    bytes.clear();
    for piece in pieces[first..].iter().take_while(|piece| piece.0 < all.end) {
        let part = piece.0.max(all.start)..end(piece).min(all.end);
        bytes.resize((part.start - all.start) as usize, 0);
        bytes.extend_from_slice(&piece.1[(part.start - piece.0) as usize..(part.end - piece.0) as usize]);
    }
    bytes.resize((all.end - all.start) as usize, 0);
}

/// Merges ranges that touch or overlap. They must be sorted by start.
fn merged(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Where the pages and blocks are in the file.
struct Layout {
    bits: u32,
    pages: Runs,
    blocks: Runs,
    length: u64,
}

impl Layout {
    fn new(bits: u32, extents: &[Range<u64>]) -> Result<Self, BaseError> {
        let depth = bits.checked_sub(PAGE_BITS).filter(|&depth| depth < 52).ok_or(BaseError::Extents)?;
        let mut end = None;
        for range in extents {
            if range.start >= range.end || range.end > 1 << depth || end.is_some_and(|end| range.start <= end)
            {
                return Err(BaseError::Extents);
            }
            end = Some(range.end);
        }
        let mut place = 0;
        let pages = Runs::lay(extents, &mut place);
        let blocks: Vec<Range<u64>> = tree::groups(depth)
            .flat_map(|group| merged(extents.iter().map(|extent| tree::blocks_above(depth, group, extent))))
            .collect();
        let blocks = Runs::lay(&merged(blocks.into_iter()), &mut place);
        // This can't overflow: there are fewer than 2^52 pages, and less than half as many blocks.
        Ok(Self { bits, pages, blocks, length: place << PAGE_BITS })
    }

    /// The tree over the pages in these bytes of the file.
    fn hash(&self, bytes: &[u8], mut progress: impl FnMut(u64)) -> io::Result<PageTree> {
        let mut tree = PageTree::new(self.bits - PAGE_BITS)?;
        let all: Vec<u64> = self.pages.ranges().into_iter().flatten().collect();
        let page =
            |index| self.pages.place(index).and_then(|place| bytes.get(place..place + PAGE)).unwrap_or(&[]);
        let mut done = 0;
        for some in all.chunks(AT_ONCE) {
            tree.update(some.to_vec(), page);
            done += some.len() as u64;
            progress(done);
        }
        Ok(tree)
    }
}

/// Consecutively numbered units of [`PAGE`] bytes, stored one after the other in a file.
#[derive(Debug)]
struct Run {
    first: u64,
    count: u64,
    /// The offset of the first unit.
    place: usize,
}

impl Run {
    fn range(&self) -> Range<u64> {
        self.first..self.first + self.count
    }

    fn bytes(&self) -> usize {
        (self.count as usize) << PAGE_BITS
    }
}

/// Runs, sorted by number.
#[derive(Debug)]
struct Runs(Vec<Run>);

impl Runs {
    /// Lays out ranges of numbers, starting at the page `place` of the file.
    fn lay(ranges: &[Range<u64>], place: &mut u64) -> Self {
        let lay = |range: &Range<u64>| {
            let run = Run {
                first: range.start,
                count: range.end - range.start,
                place: (*place << PAGE_BITS) as usize,
            };
            *place += run.count;
            run
        };
        Self(ranges.iter().map(lay).collect())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        self.0.iter().map(Run::range).collect()
    }

    /// The offset of the unit with a number.
    fn place(&self, number: u64) -> Option<usize> {
        let run = self.0[..self.0.partition_point(|run| run.first <= number)].last()?;
        run.range().contains(&number).then(|| run.place + ((number - run.first) << PAGE_BITS) as usize)
    }
}
