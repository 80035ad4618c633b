//! What memory holds at first, in a file: so that it takes neither memory nor time before it is touched.

use crate::space::overlay;
use crate::tree::{self, PageTree};
use crate::{PAGE, PAGE_BITS};
use memmap2::{Mmap, MmapMut, MmapOptions};
use merkle::Root;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Pages that are hashed between two reports of how far it is.
const AT_ONCE: usize = 1 << 14;

/// Pages of memory and the nodes above them, as they lie in a part of a file.
///
/// The pages come first, in the order of their addresses, then the blocks of the tree (see `tree.rs`) that are above any of
/// them, in the order of their numbers. Everything else is zero.
///
/// The file must not be changed or shortened while it is in use: the system shows changes, and ends a program that touches
/// what isn't there any more. A file that is replaced by another of its name stays what it is.
#[derive(Debug)]
pub struct Base {
    bits: u32,
    pages: Runs,
    blocks: Runs,
    file: File,
    offset: u64,
    map: Mmap,
}

/// Why pages can't be had from a file.
#[derive(Debug)]
pub enum BaseError {
    /// They are not ascending ranges, with gaps between them, of the pages of memory.
    Extents,
    /// The file is too short.
    Length {
        /// How many bytes it would have, at least.
        expected: u64,
        /// How many it has.
        found: u64,
    },
    /// The system.
    Io(io::Error),
}

impl From<io::Error> for BaseError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What is wrong with stored nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The pages have another root than the nodes say, this one.
    Root(Root),
    /// The root is right, but not every node below it, and this is the number of a page under one that isn't.
    Node(u64),
}

impl Base {
    /// Pages that hold these pieces of memory, in a file of their own without a name. The pieces are in the order of their addresses, do
    /// not overlap, and lie in 2^bits bytes.
    pub fn new(bits: u32, pieces: &[(u64, &[u8])]) -> Result<Self, BaseError> {
        let layout = Layout::new(bits, &extents(pieces))?;
        // Written and not mapped to be written: a full disk is an error then.
        let file = tempfile::tempfile()?;
        file.set_len(layout.length)?;
        for &(address, bytes) in pieces.iter().filter(|(_, bytes)| !bytes.is_empty()) {
            let place = layout.pages.place(address >> PAGE_BITS).ok_or(BaseError::Extents)?;
            file.write_all_at(bytes, place as u64 + address % PAGE as u64)?;
        }
        let tree = layout.hash(&map(&file, 0, layout.length)?, |_| ())?;
        for run in &layout.blocks.0 {
            file.write_all_at(tree.blocks(run.range()), run.place as u64)?;
        }
        Self::with(layout, file, 0)
    }

    /// Pages in the ranges `extents` and their nodes, from this place of a file on, a multiple of [`PAGE`]. Nothing is read.
    pub fn open(file: File, offset: u64, bits: u32, extents: &[Range<u64>]) -> Result<Self, BaseError> {
        Self::with(Layout::new(bits, extents)?, file, offset)
    }

    fn with(layout: Layout, file: File, offset: u64) -> Result<Self, BaseError> {
        let Layout { bits, pages, blocks, length } = layout;
        let (expected, found) = (offset.saturating_add(length), file.metadata()?.len());
        if found < expected {
            return Err(BaseError::Length { expected, found });
        }
        let map = map(&file, offset, length)?;
        Ok(Self { bits, pages, blocks, file, offset, map })
    }

    /// log2 of the size of memory.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// How many bytes of a file such pages and their nodes take.
    pub fn length(bits: u32, extents: &[Range<u64>]) -> Result<u64, BaseError> {
        Layout::new(bits, extents).map(|layout| layout.length)
    }

    /// The bytes of the file: pages and nodes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// The pages: the address of the first of each range, and where their bytes lie in [`bytes`](Self::bytes).
    pub fn extents(&self) -> impl Iterator<Item = (u64, Range<usize>)> {
        self.pages.0.iter().map(|run| (run.first << PAGE_BITS, run.place..run.place + run.bytes()))
    }

    /// The root of memory, as it is stored.
    #[must_use]
    pub fn root(&self) -> Root {
        self.node(self.bits - PAGE_BITS, 0)
    }

    /// Hashes all pages, and compares what comes out with the nodes that are stored. Is told after how many pages it is.
    pub fn verify(&self, progress: impl FnMut(u64)) -> Result<Result<(), Damage>, io::Error> {
        let layout = Layout::new(self.bits, &self.pages.ranges());
        let layout = layout.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let tree = layout.hash(&self.map, progress)?;
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

    /// A page; none where memory is zero.
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

    /// Puts the pages where they belong in memory.
    pub(crate) fn overlay_pages(&self, memory: &mut MmapMut) -> io::Result<()> {
        self.overlay(&self.pages, memory)
    }

    /// Puts the blocks where they belong in a tree.
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

/// The ranges of pages that hold pieces of memory, given in the order of addresses; adjacent ones are one.
#[must_use]
pub fn extents(pieces: &[(u64, &[u8])]) -> Vec<Range<u64>> {
    let pages = |&(address, bytes): &(u64, &[u8])| {
        let end = address.saturating_add(bytes.len() as u64);
        address >> PAGE_BITS..end.div_ceil(PAGE as u64)
    };
    merged(pieces.iter().filter(|(_, bytes)| !bytes.is_empty()).map(pages))
}

/// Ranges in order of their starts, those that touch or overlap made one.
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

/// Where things lie in the part of the file.
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
        // Nothing comes near 2^64, since there are fewer than 2^52 pages, and less than half as many blocks.
        Ok(Self { bits, pages, blocks, length: place << PAGE_BITS })
    }

    /// The tree over pages that lie in bytes of the file.
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

/// Things of [`PAGE`] bytes with consecutive numbers, that lie one after the other in a file.
#[derive(Debug)]
struct Run {
    first: u64,
    count: u64,
    /// Where the first one lies.
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

/// Runs in the order of numbers.
#[derive(Debug)]
struct Runs(Vec<Run>);

impl Runs {
    /// Ranges of numbers, from this place on, which is counted in pages.
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

    /// Where the thing of a number lies.
    fn place(&self, number: u64) -> Option<usize> {
        let run = self.0[..self.0.partition_point(|run| run.first <= number)].last()?;
        run.range().contains(&number).then(|| run.place + ((number - run.first) << PAGE_BITS) as usize)
    }
}

/// A part of a file to read. What [`Base`] says of its file holds for this one too.
pub fn map(file: &File, offset: u64, length: u64) -> io::Result<Mmap> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    // SAFETY: nobody but this program has a file without a name, and of other files it is said what must not be done to them.
    // Bytes of any value are valid.
    #[expect(unsafe_code, reason = "a mapping of a file")]
    unsafe {
        MmapOptions::new().offset(offset).len(length).map(file)
    }
}
