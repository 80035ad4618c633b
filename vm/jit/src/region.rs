//! Which instructions are translated together: all that are reached from an entry by direct jumps, calls and returns.

use crate::domain::Node;
use crate::effect::{Effect, Next, effect, visit};
use crate::form::{Form, Forms, form_of};
use isa::{Instruction, Size, decode};
use std::collections::{BTreeMap, BTreeSet};
use step::Profile;

/// The most instructions of a region.
const LIMIT: usize = 1500;
/// The most places to which a return is looked up in the region itself.
const RETURNS: usize = 64;

/// The code of a machine.
#[derive(Debug)]
pub(crate) struct Text {
    profile: Profile,
    instructions: Vec<Option<Instruction>>,
    bytes: Vec<u8>,
}

impl Text {
    /// The code of an image.
    pub fn new(profile: Profile, code: &[u8]) -> Self {
        let words = code.as_chunks::<4>().0.iter().map(|&bytes| u32::from_le_bytes(bytes));
        let instructions = words.map(|word| decode(word, profile.extensions())).collect();
        Self { profile, instructions, bytes: code.to_vec() }
    }

    /// The machine's shape.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Which word of the code an address is.
    pub fn index(&self, pc: u64) -> Option<usize> {
        let offset = pc.wrapping_sub(self.profile.code_base());
        let index = usize::try_from(offset / 4).ok()?;
        (offset.is_multiple_of(4) && index < self.instructions.len()).then_some(index)
    }

    /// Whether an access is aligned, in memory, and not hidden by code.
    pub fn is_ordinary(&self, address: u64, size: Size) -> bool {
        address.is_multiple_of(size.bytes()) && self.profile.is_writable(address)
    }

    /// What an aligned load from code gives.
    pub fn load(&self, address: u64, size: Size) -> Option<u64> {
        let inside = self.profile.is_code(address) && address.is_multiple_of(size.bytes());
        let at = usize::try_from(address.wrapping_sub(self.profile.code_base())).ok().filter(|_| inside)?;
        let bytes = self.bytes.get(at..at.checked_add(size as usize)?)?;
        Some(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// What happens at an address; `None` if the interpreter has to see to it.
    pub fn effect(&self, pc: u64) -> Option<Effect> {
        let instruction = (*self.instructions.get(self.index(pc)?)?)?;
        effect(instruction, pc)
    }
}

/// Instructions that follow each other, and where they lead.
#[derive(Debug)]
pub(crate) struct Block {
    pub start: u64,
    /// How many.
    pub len: u64,
    pub end: End,
    /// Whether there have to be enough steps left here for the way to the next such place, and how many that are.
    pub check: Option<u64>,
    /// The forms of the float registers at the start.
    pub forms: Forms,
    /// Integer registers that are read here or later in the region before they are written, as bits.
    live: u32,
    /// Integer registers that may not be in the context at the start.
    pub stale: u32,
}

/// Where a block leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// There.
    To(u64),
    /// There, or behind.
    Branch(u64, u64),
    /// Anywhere, likely to a return.
    Indirect,
    /// To the interpreter, at this address.
    Out(u64),
}

/// Instructions that are translated together.
#[derive(Debug)]
pub(crate) struct Region {
    pub entry: u64,
    /// By their addresses.
    pub blocks: BTreeMap<u64, Block>,
    /// Where calls in it return to.
    pub returns: Vec<u64>,
    /// Which registers are read or written, as bits.
    pub uses: Registers,
    /// Which registers are written.
    pub writes: Registers,
}

/// A set of registers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Registers {
    pub x: u32,
    pub f: u32,
}

/// The members of a set of registers.
pub(crate) fn members(mut set: u32) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let register = set.trailing_zeros() as u8;
        set &= set.wrapping_sub(1);
        (register < 32).then_some(register)
    })
}

impl Block {
    /// The address of each instruction.
    pub fn addresses(&self) -> impl Iterator<Item = u64> + use<> {
        let start = self.start;
        (0..self.len).map(move |index| start.wrapping_add(4 * index))
    }

    /// The address behind it.
    fn behind(&self) -> u64 {
        self.start.wrapping_add(4 * self.len)
    }
}

impl Region {
    /// The region of an entry, where float registers have these forms. `None` if its first instruction is the interpreter's.
    pub fn new(text: &Text, entry: u64, forms: Forms) -> Option<Self> {
        text.effect(entry)?;
        let mut region = Self {
            entry,
            blocks: BTreeMap::new(),
            returns: Vec::new(),
            uses: Registers::default(),
            writes: Registers::default(),
        };
        let (leaders, seen) = region.find(text);
        region.cut(text, &leaders, &seen, forms);
        region.check();
        region.propagate(text, forms);
        region.keep(text);
        Some(region)
    }

    /// How many instructions it has.
    pub fn len(&self) -> u64 {
        self.blocks.values().map(|block| block.len).sum()
    }

    /// The forms of the float registers at its entry.
    pub fn forms(&self) -> Forms {
        self.blocks.get(&self.entry).map_or_else(Forms::default, |block| block.forms)
    }

    /// The most steps from its entry until the code looks at how many are left.
    pub fn longest(&self) -> u64 {
        self.blocks.get(&self.entry).and_then(|block| block.check).unwrap_or(u64::MAX)
    }

    /// Where blocks start, and what is in them.
    fn find(&mut self, text: &Text) -> (BTreeSet<u64>, BTreeSet<u64>) {
        let (mut leaders, mut seen) = (BTreeSet::from([self.entry]), BTreeSet::new());
        let mut waiting = vec![self.entry];
        while let Some(mut pc) = waiting.pop() {
            while seen.len() < LIMIT && seen.insert(pc) {
                let Some(effect) = text.effect(pc) else { break };
                self.note(&effect);
                let behind = pc.wrapping_add(4);
                let mut lead = |target: u64| {
                    leaders.insert(target);
                    waiting.push(target);
                };
                match effect.next {
                    Next::Behind => {}
                    Next::Branch(_, target) => {
                        lead(behind);
                        lead(target);
                        break;
                    }
                    Next::Jump(target) => {
                        if effect.x.is_some() && self.returns.len() < RETURNS && !self.returns.contains(&behind) {
                            self.returns.push(behind);
                            lead(behind);
                        }
                        lead(target);
                        break;
                    }
                    Next::Indirect(_) => break,
                }
                pc = behind;
            }
        }
        leaders.retain(|leader| seen.contains(leader));
        self.returns.retain(|target| seen.contains(target));
        (leaders, seen)
    }

    /// Notes which registers an instruction uses.
    fn note(&mut self, effect: &Effect) {
        let uses = &mut self.uses;
        let mut see = |node| match node {
            Node::X(register) => uses.x |= 1 << register,
            Node::F(register) | Node::Unboxed(register) => uses.f |= 1 << register,
            _ => {}
        };
        effect.expressions().for_each(|id| visit(id, &mut see));
        self.writes.x |= effect.x.map_or(0, |(register, _)| 1 << register);
        self.writes.f |= effect.f.map_or(0, |(register, _)| 1 << register);
        self.uses.x |= self.writes.x;
        self.uses.f |= self.writes.f;
    }

    /// Makes blocks of what starts at the leaders.
    fn cut(&mut self, text: &Text, leaders: &BTreeSet<u64>, seen: &BTreeSet<u64>, forms: Forms) {
        for &start in leaders {
            let mut len = 0;
            let end = loop {
                let pc = start.wrapping_add(4 * len);
                if len > 0 && leaders.contains(&pc) {
                    break End::To(pc);
                }
                // What is beyond the limit is another region's.
                let Some(effect) = text.effect(pc).filter(|_| seen.contains(&pc)) else { break End::Out(pc) };
                len += 1;
                match effect.next {
                    Next::Behind => {}
                    Next::Branch(_, target) => break End::Branch(target, pc.wrapping_add(4)),
                    Next::Jump(target) => break End::To(target),
                    Next::Indirect(_) => break End::Indirect,
                }
            };
            self.blocks.insert(start, Block { start, len, end, check: None, forms, live: 0, stale: 0 });
        }
    }

    /// Where a block leads inside of the region.
    pub fn successors(&self, block: &Block) -> Vec<u64> {
        let targets = match block.end {
            End::To(target) => vec![target],
            End::Branch(target, behind) => vec![target, behind],
            End::Indirect => self.returns.clone(),
            End::Out(_) => Vec::new(),
        };
        targets.into_iter().filter(|target| self.blocks.contains_key(target)).collect()
    }

    /// Finds where steps have to be checked: at the entry and wherever the code jumps back to. Between two such places
    /// addresses only rise, so the longest way to the next one is found from the last block to the first.
    fn check(&mut self) {
        let back = |block: &Block| {
            let targets = self.successors(block).into_iter();
            targets.filter(|&target| target < block.behind()).collect::<Vec<_>>()
        };
        let mut places: BTreeSet<u64> = self.blocks.values().flat_map(back).collect();
        places.insert(self.entry);
        let mut longest: BTreeMap<u64, u64> = BTreeMap::new();
        for block in self.blocks.values().rev() {
            let ahead = self.successors(block).into_iter().filter(|target| !places.contains(target));
            let most = ahead.filter_map(|target| longest.get(&target)).max().copied().unwrap_or(0);
            longest.insert(block.start, block.len + most);
        }
        for (start, block) in &mut self.blocks {
            block.check = longest.get(start).copied().filter(|_| places.contains(start));
        }
    }

    /// Finds the forms at the start of every block.
    fn propagate(&mut self, text: &Text, entry: Forms) {
        let mut known: BTreeMap<u64, Forms> = BTreeMap::from([(self.entry, entry)]);
        let mut waiting = BTreeSet::from([self.entry]);
        while let Some(start) = waiting.pop_first() {
            let (Some(block), Some(&forms)) = (self.blocks.get(&start), known.get(&start)) else { continue };
            let after = block.addresses().fold(forms, |mut forms, pc| {
                if let Some((register, value)) = text.effect(pc).and_then(|effect| effect.f) {
                    forms[usize::from(register)] = form_of(value, &forms);
                }
                forms
            });
            for target in self.successors(block) {
                let old = known.get(&target).copied();
                let joined = old.map_or(after, |old| std::array::from_fn(|i| Form::join(old[i], after[i])));
                if old != Some(joined) {
                    known.insert(target, joined);
                    waiting.insert(target);
                }
            }
        }
        // What isn't reached is never executed: a return site whose callee doesn't return.
        self.blocks.retain(|start, _| known.contains_key(start));
        self.returns.retain(|target| known.contains_key(target));
        for (start, block) in &mut self.blocks {
            block.forms = known.get(start).copied().unwrap_or(block.forms);
        }
    }

    /// Finds which integer registers stay out of the context from block to block: those that are read later. What isn't read
    /// any more goes back at the end of the block that wrote it, so that loops don't carry it along.
    fn keep(&mut self, text: &Text) {
        let sets: BTreeMap<u64, (u32, u32)> = self.blocks.iter().map(|(&at, block)| (at, used(text, block))).collect();
        // From the last block to the first, until nothing changes.
        let mut changed = true;
        while changed {
            changed = false;
            for (at, (reads, writes)) in sets.iter().rev() {
                let Some(live) = self.blocks.get(at).map(|block| reads | self.live_behind(block) & !writes) else {
                    continue;
                };
                if let Some(block) = self.blocks.get_mut(at).filter(|block| block.live != live) {
                    (block.live, changed) = (live, true);
                }
            }
        }
        for (from, (_, writes)) in &sets {
            // What is written is stale in the blocks behind, and so on.
            let mut waiting = vec![(*from, *writes)];
            while let Some((at, stale)) = waiting.pop() {
                let Some(block) = self.blocks.get(&at) else { continue };
                let behind = stale & self.live_behind(block);
                for target in self.successors(block) {
                    if let Some(next) = self.blocks.get_mut(&target).filter(|next| behind & !next.stale != 0) {
                        next.stale |= behind;
                        waiting.push((target, next.stale));
                    }
                }
            }
        }
    }

    /// Registers that are live behind a block.
    pub fn live_behind(&self, block: &Block) -> u32 {
        let targets = self.successors(block).into_iter();
        targets.filter_map(|target| self.blocks.get(&target)).fold(0, |all, next| all | next.live)
    }
}

/// Which integer registers a block reads before it writes them, and which it writes.
fn used(text: &Text, block: &Block) -> (u32, u32) {
    let (mut reads, mut writes) = (0u32, 0u32);
    for effect in block.addresses().filter_map(|pc| text.effect(pc)) {
        effect.expressions().for_each(|id| {
            visit(id, &mut |node| {
                if let Node::X(register) = node {
                    reads |= 1 << register & !writes;
                }
            });
        });
        writes |= effect.x.map_or(0, |(register, _)| 1 << register);
    }
    (reads, writes)
}
