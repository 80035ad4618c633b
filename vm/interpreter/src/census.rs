//! Counts how often each instruction was executed, in each section of the run.

use crate::Interpreter;
use crate::hart::Observer;
use isa::Op;
use std::collections::{BTreeMap, HashMap};
use step::MachineProfile;

/// Words of code that are processed together at the end of a section.
const BLOCK: usize = 64;

/// Counts executions by address. A section of the run begins when the machine passes its entry, and ends when
/// it passes the next entry.
#[derive(Debug, Clone)]
pub struct Census {
    base: u64,
    /// Executions in this section of each word of the code.
    words: Vec<u64>,
    /// The blocks of words that have any, so that the end of a section need not scan the whole code.
    touched: Vec<bool>,
    /// The blocks that were touched.
    blocks: Vec<usize>,
    /// The sections by their entries.
    entries: HashMap<u64, usize>,
    section: Option<usize>,
    /// Counts of earlier sections, and of addresses that are not words of the code.
    settled: BTreeMap<(Option<usize>, u64), u64>,
}

/// The executions of one instruction in one section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The section, as an index into the entries; `None` before the first.
    pub section: Option<usize>,
    /// The program counter. It is outside the code or misaligned if the machine jumped there and trapped.
    pub address: u64,
    /// The number of steps at this address.
    pub steps: u64,
}

impl Census {
    /// A census without executions. If several sections have the same entry, the first one counts.
    #[must_use]
    pub fn new(profile: MachineProfile, entries: impl IntoIterator<Item = u64>) -> Self {
        let words = (profile.code_size() / 4) as usize;
        let mut sections = HashMap::new();
        for (section, entry) in entries.into_iter().enumerate() {
            sections.entry(entry).or_insert(section);
        }
        Self {
            base: profile.code_base(),
            words: vec![0; words],
            touched: vec![false; words.div_ceil(BLOCK)],
            blocks: Vec::new(),
            entries: sections,
            section: None,
            settled: BTreeMap::new(),
        }
    }

    /// The entries of the sections.
    pub(crate) fn entries(&self) -> impl Iterator<Item = u64> {
        self.entries.keys().copied()
    }

    /// The nonzero counts, by section and address.
    pub fn counts(&mut self) -> impl Iterator<Item = Count> {
        self.settle();
        self.settled.iter().map(|(&(section, address), &steps)| Count { section, address, steps })
    }

    /// How many counts are kept of finished sections. They determine the memory that the census takes besides
    /// its fixed size.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.settled.len()
    }

    /// Moves the counts of this section to the finished ones.
    fn settle(&mut self) {
        for block in std::mem::take(&mut self.blocks) {
            self.touched[block] = false;
            let start = block * BLOCK;
            let end = self.words.len().min(start + BLOCK);
            for (word, count) in (start..end).zip(&mut self.words[start..end]) {
                if *count > 0 {
                    let address = self.base + 4 * word as u64;
                    *self.settled.entry((self.section, address)).or_insert(0) += std::mem::take(count);
                }
            }
        }
    }

    /// Records the first execution of a block in this section. Rare, so it stays out of the loop.
    #[cold]
    #[inline(never)]
    fn touch(&mut self, block: usize) {
        self.blocks.push(block);
    }
}

impl Observer for Census {
    #[inline(always)]
    fn see(&mut self, _: Op, word: usize) {
        if let Some(count) = self.words.get_mut(word) {
            *count += 1;
        }
        if let Some(touched @ false) = self.touched.get_mut(word / BLOCK) {
            *touched = true;
            self.touch(word / BLOCK);
        }
    }

    /// The loop leaves section entries to the driver, and also steps that trap before an instruction is decoded.
    fn leave(&mut self, machine: &Interpreter) -> bool {
        let pc = machine.pc();
        if let Some(&section) = self.entries.get(&pc) {
            self.settle();
            self.section = Some(section);
        }
        *self.settled.entry((self.section, pc)).or_insert(0) += 1;
        true
    }
}
