//! How often each instruction was executed, and in which section of the run.

use crate::Interpreter;
use crate::hart::Observer;
use isa::Op;
use std::collections::{BTreeMap, HashMap};
use step::MachineProfile;

/// Words of code that are settled together.
const BLOCK: usize = 64;

/// Counts executions by address. The run is cut into sections: each begins where the machine passes its entry and ends
/// where it passes the next one.
#[derive(Debug, Clone)]
pub struct Census {
    base: u64,
    /// Executions of each word of the code in this section.
    words: Vec<u64>,
    /// Which blocks of words have any, so that the end of a section need not look at all of the code.
    touched: Vec<bool>,
    /// The touched blocks.
    blocks: Vec<usize>,
    /// The sections by their entries.
    entries: HashMap<u64, usize>,
    section: Option<usize>,
    /// What is counted of other sections, and of places that are no words of the code.
    settled: BTreeMap<(Option<usize>, u64), u64>,
}

/// Executions of one instruction in one section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The section, as an index into the entries; `None` before the first.
    pub section: Option<usize>,
    /// The program counter. It is outside the code, or no multiple of four, if the machine went there and trapped.
    pub address: u64,
    /// How many steps were made there.
    pub steps: u64,
}

impl Census {
    /// Nothing executed. Of sections with the same entry the first counts.
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

    /// Where sections begin.
    pub(crate) fn entries(&self) -> impl Iterator<Item = u64> {
        self.entries.keys().copied()
    }

    /// The counts that aren't zero, by section and address.
    pub fn counts(&mut self) -> impl Iterator<Item = Count> {
        self.settle();
        self.settled.iter().map(|(&(section, address), &steps)| Count { section, address, steps })
    }

    /// How many counts are kept of the sections that are over: what the census costs in memory besides its size.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.settled.len()
    }

    /// Moves what was counted in this section to where it stays.
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

    /// Notes a block that was not executed before in this section. Rare, so it stays out of the loop.
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

    /// The loop leaves the entries of sections to the driver, and what traps before it is an instruction.
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
