//! Selects the instructions that are translated together: all that an entry reaches through direct jumps,
//! calls and returns.

use crate::domain::Node;
use crate::effect::{Effect, Next, effect, visit};
use crate::form::{Form, Forms, form_of};
use bytes::Bytes;
use isa::{Instruction, Size, decode};
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Sum;
use std::ops::{BitAnd, BitOr, BitOrAssign, Range, Sub};
use std::sync::OnceLock;
use step::MachineProfile;

/// The maximum number of instructions in a region.
const LIMIT: usize = 1500;
/// The maximum number of return targets that are looked up inside the region.
const RETURNS: usize = 64;

/// How many integer and float registers the code keeps in variables from block to block. The host has a few
/// more, but needs them for temporaries: reloading a register from the context costs less than a spill by
/// Cranelift.
const INTEGERS: usize = 8;
const FLOATS: usize = 9;

/// The code of a machine.
#[derive(Debug)]
pub(crate) struct Text {
    profile: MachineProfile,
    bytes: Bytes,
    /// Instructions, decoded by page on demand.
    pages: Vec<OnceLock<Box<[Option<Instruction>]>>>,
}

/// Words per page.
const PAGE: usize = 1 << 10;

impl Text {
    /// The code of an image.
    pub fn new(profile: MachineProfile, bytes: Bytes) -> Self {
        let pages = (bytes.len() / 4).div_ceil(PAGE);
        Self { profile, bytes, pages: (0..pages).map(|_| OnceLock::new()).collect() }
    }

    /// The number of words.
    pub fn len(&self) -> usize {
        self.bytes.len() / 4
    }

    /// The instruction at an index.
    fn instruction(&self, index: usize) -> Option<Instruction> {
        let page = self.pages.get(index / PAGE)?.get_or_init(|| {
            let words = self.bytes.as_chunks::<4>().0.iter().skip(index / PAGE * PAGE).take(PAGE);
            words.map(|&bytes| decode(u32::from_le_bytes(bytes), self.profile.extensions())).collect()
        });
        *page.get(index % PAGE)?
    }

    /// The machine's shape.
    pub fn profile(&self) -> MachineProfile {
        self.profile
    }

    /// The index of the word at an address.
    pub fn index(&self, pc: u64) -> Option<usize> {
        let offset = pc.wrapping_sub(self.profile.code_base());
        let index = usize::try_from(offset / 4).ok()?;
        (offset.is_multiple_of(4) && index < self.len()).then_some(index)
    }

    /// The address of a word.
    pub fn address(&self, index: usize) -> u64 {
        self.profile.code_base().wrapping_add(4 * index as u64)
    }

    /// Whether an access is aligned, in memory, and not hidden by code.
    pub fn is_ordinary(&self, address: u64, size: Size) -> bool {
        address.is_multiple_of(size.bytes()) && self.profile.is_writable(address)
    }

    /// The value of an aligned load from code.
    pub fn load(&self, address: u64, size: Size) -> Option<u64> {
        let inside = self.profile.is_code(address) && address.is_multiple_of(size.bytes());
        let at = usize::try_from(address.wrapping_sub(self.profile.code_base())).ok().filter(|_| inside)?;
        let bytes = self.bytes.get(at..at.checked_add(size as usize)?)?;
        Some(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// For each instruction of a block, the registers that it writes last in the block.
    pub fn finals(&self, block: &Block) -> Vec<Registers> {
        let mut finals: Vec<_> =
            block.addresses().filter_map(|pc| self.effect(pc)).map(|effect| written(&effect)).collect();
        let mut later = Registers::default();
        for writes in finals.iter_mut().rev() {
            (*writes, later) = (*writes - later, later | *writes);
        }
        finals
    }

    /// The effect of the instruction at an address. `None` if the interpreter must execute it.
    pub fn effect(&self, pc: u64) -> Option<Effect> {
        let instruction = self.instruction(self.index(pc)?)?;
        effect(instruction, pc)
    }
}

/// Consecutive instructions, and where they lead.
#[derive(Debug)]
pub(crate) struct Block {
    pub start: u64,
    /// The number of instructions.
    pub len: u64,
    pub end: End,
    /// If steps are checked at the start: how many must be left to reach the next check.
    pub check: Option<u64>,
    /// The forms of the float registers at the start.
    pub forms: Forms,
    /// Registers that are read here or later in the region before they are written.
    live: Registers,
    /// Registers that are in variables at the start. The others are in the context.
    pub kept: Registers,
    /// Those of them whose value in the context may be out of date.
    pub stale: Registers,
}

/// The end of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Continues at an address.
    To(u64),
    /// A branch: its target, and the address after it.
    Branch(u64, u64),
    /// An indirect jump, probably to one of the region's return targets.
    Indirect,
    /// Leaves to the interpreter at this address.
    Out(u64),
}

/// Instructions that are translated together.
#[derive(Debug)]
pub(crate) struct CodeRegion {
    pub entry: u64,
    /// The blocks by address.
    pub blocks: BTreeMap<u64, Block>,
    /// Return addresses of the region's calls, and other known targets of its indirect jumps.
    pub returns: Vec<u64>,
    /// The registers that are read or written.
    pub uses: Registers,
    /// The registers that are written.
    pub writes: Registers,
}

/// A set of registers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    pub x: u32,
    pub f: u32,
}

impl Registers {
    /// An integer register.
    pub fn x(register: u8) -> Self {
        Self { x: 1 << register, f: 0 }
    }

    /// A float register.
    pub fn f(register: u8) -> Self {
        Self { x: 0, f: 1 << register }
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl BitOr for Registers {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self { x: self.x | other.x, f: self.f | other.f }
    }
}

impl BitAnd for Registers {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self { x: self.x & other.x, f: self.f & other.f }
    }
}

impl Sub for Registers {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { x: self.x & !other.x, f: self.f & !other.f }
    }
}

impl BitOrAssign for Registers {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl Sum for Registers {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), BitOr::bitor)
    }
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

    /// Whether the block branches to its own start.
    pub fn is_loop(&self) -> bool {
        matches!(self.end, End::Branch(target, _) if target == self.start)
    }

    /// The address after the block.
    fn after(&self) -> u64 {
        self.start.wrapping_add(4 * self.len)
    }
}

impl CodeRegion {
    /// The region of an entry, given known targets of its indirect jumps. `None` if the interpreter must
    /// execute its first instruction.
    pub fn new(text: &Text, entry: u64, targets: &[u64]) -> Option<Self> {
        text.effect(entry)?;
        let mut region = Self {
            entry,
            blocks: BTreeMap::new(),
            returns: targets.to_vec(),
            uses: Registers::default(),
            writes: Registers::default(),
        };
        let (leaders, seen) = region.find(text, targets);
        region.cut(text, &leaders, &seen);
        Some(region)
    }

    /// Completes the analysis of the blocks for these forms of the float registers at the entry.
    pub fn prepared(mut self, text: &Text, forms: Forms) -> Self {
        self.check();
        self.propagate(text, forms);
        self.keep(text);
        self
    }

    /// The number of instructions.
    pub fn len(&self) -> u64 {
        self.blocks.values().map(|block| block.len).sum()
    }

    /// Whether it has indirect jumps.
    pub fn is_open(&self) -> bool {
        self.blocks.values().any(|block| block.end == End::Indirect)
    }

    /// The forms of the float registers at its entry.
    pub fn forms(&self) -> Forms {
        self.blocks.get(&self.entry).map_or_else(Forms::default, |block| block.forms)
    }

    /// The most steps from its entry to the next check of the remaining steps.
    pub fn longest(&self) -> u64 {
        self.blocks.get(&self.entry).and_then(|block| block.check).unwrap_or(u64::MAX)
    }

    /// Finds the starts of blocks, and all instructions of the region.
    fn find(&mut self, text: &Text, targets: &[u64]) -> (BTreeSet<u64>, BTreeSet<u64>) {
        let (mut leaders, mut seen) = (BTreeSet::from([self.entry]), BTreeSet::new());
        let mut waiting = vec![self.entry];
        while let Some(mut pc) = waiting.pop() {
            while seen.len() < LIMIT && seen.insert(pc) {
                let Some(effect) = text.effect(pc) else { break };
                self.note(&effect);
                let after = pc.wrapping_add(4);
                let mut lead = |target: u64| {
                    leaders.insert(target);
                    waiting.push(target);
                };
                match effect.next {
                    Next::Following => {}
                    Next::Branch(_, target) => {
                        lead(after);
                        lead(target);
                        break;
                    }
                    Next::Jump(target) => {
                        if effect.x.is_some()
                            && self.returns.len() < RETURNS
                            && !self.returns.contains(&after)
                        {
                            self.returns.push(after);
                            lead(after);
                        }
                        lead(target);
                        break;
                    }
                    Next::Indirect(_) => {
                        targets.iter().copied().for_each(lead);
                        break;
                    }
                }
                pc = after;
            }
        }
        leaders.retain(|leader| seen.contains(leader));
        self.returns.retain(|target| seen.contains(target));
        (leaders, seen)
    }

    /// Records the registers that an instruction uses.
    fn note(&mut self, effect: &Effect) {
        self.writes |= written(effect);
        self.uses |= read(effect) | written(effect);
    }

    /// Builds the blocks that start at the leaders.
    fn cut(&mut self, text: &Text, leaders: &BTreeSet<u64>, seen: &BTreeSet<u64>) {
        for &start in leaders {
            let mut len = 0;
            let end = loop {
                let pc = start.wrapping_add(4 * len);
                if len > 0 && leaders.contains(&pc) {
                    break End::To(pc);
                }
                // Instructions beyond the limit belong to another region.
                let Some(effect) = text.effect(pc).filter(|_| seen.contains(&pc)) else { break End::Out(pc) };
                len += 1;
                match effect.next {
                    Next::Following => {}
                    Next::Branch(_, target) => break End::Branch(target, pc.wrapping_add(4)),
                    Next::Jump(target) => break End::To(target),
                    Next::Indirect(_) => break End::Indirect,
                }
            };
            let (forms, (live, kept, stale)) = Default::default();
            self.blocks.insert(start, Block { start, len, end, check: None, forms, live, kept, stale });
        }
    }

    /// The successors of a block inside the region.
    pub fn successors(&self, block: &Block) -> Vec<u64> {
        let targets = match block.end {
            End::To(target) => vec![target],
            End::Branch(target, after) => vec![target, after],
            End::Indirect => self.returns.clone(),
            End::Out(_) => Vec::new(),
        };
        targets.into_iter().filter(|target| self.blocks.contains_key(target)).collect()
    }

    /// Finds the blocks that check steps: the entry, and all targets of backward jumps. Between two such
    /// blocks addresses only increase, so one pass from the last block to the first finds the longest path to
    /// the next check.
    fn check(&mut self) {
        let back = |block: &Block| {
            let targets = self.successors(block).into_iter();
            targets.filter(|&target| target < block.after()).collect::<Vec<_>>()
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

    /// Determines the forms at the start of every block.
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
                // The entry must accept the forms of its caller.
                let both = if target == self.entry { Form::join } else { Form::meet };
                let joined = old.map_or(after, |old| std::array::from_fn(|i| both(old[i], after[i])));
                if old != Some(joined) {
                    known.insert(target, joined);
                    waiting.insert(target);
                }
            }
        }
        // Unreached blocks are never executed, such as the return address of a call that doesn't return.
        self.blocks.retain(|start, _| known.contains_key(start));
        self.returns.retain(|target| known.contains_key(target));
        for (start, block) in &mut self.blocks {
            block.forms = known.get(start).copied().unwrap_or(block.forms);
        }
    }

    /// Determines which registers stay in variables between blocks, so that a loop carries only what it
    /// needs: registers that the loop uses, that are read later, and that an earlier block has loaded.
    fn keep(&mut self, text: &Text) {
        let sets: BTreeMap<u64, (Registers, Registers)> =
            self.blocks.iter().map(|(&at, block)| (at, used(text, block))).collect();
        // Iterates from the last block to the first until nothing changes.
        let mut changed = true;
        while changed {
            changed = false;
            for (at, &(reads, writes)) in sets.iter().rev() {
                let Some(live) = self.blocks.get(at).map(|block| reads | (self.live_after(block) - writes))
                else {
                    continue;
                };
                if let Some(block) = self.blocks.get_mut(at).filter(|block| block.live != live) {
                    (block.live, changed) = (live, true);
                }
            }
        }
        let mut best: BTreeMap<u64, Registers> = BTreeMap::new();
        for (places, used) in self.loops(text, &sets) {
            // A single-block loop also keeps the registers that it only writes, so that it needn't store them
            // in every iteration.
            let is_single = self.blocks.range(places.clone()).count() == 1;
            let held = |block: &Block| if is_single { used } else { block.live & used };
            best.extend(self.blocks.range(places).map(|(&at, block)| (at, held(block))));
        }
        let best = |next: &Block| best.get(&next.start).copied().unwrap_or_default();
        self.spread(&sets, |(reads, writes)| reads | writes, |next| (best(next), &mut next.kept));
        self.spread(&sets, |(_, writes)| writes, |next| (next.kept, &mut next.stale));
    }

    /// Propagates what each block uses to the sets of all later blocks, as far as `part` allows.
    fn spread(
        &mut self,
        sets: &BTreeMap<u64, (Registers, Registers)>,
        of: impl Fn((Registers, Registers)) -> Registers,
        part: impl Fn(&mut Block) -> (Registers, &mut Registers),
    ) {
        for (&from, &used) in sets {
            let mut waiting = vec![(from, of(used))];
            while let Some((at, found)) = waiting.pop() {
                let Some(block) = self.blocks.get(&at) else { continue };
                for target in self.successors(block) {
                    let Some(next) = self.blocks.get_mut(&target) else { continue };
                    let (possible, set) = part(next);
                    let new = (found & possible) - *set;
                    if !new.is_empty() {
                        *set |= new;
                        waiting.push((target, new));
                    }
                }
            }
        }
    }

    /// The loops of the region as ranges of addresses, outer before inner, each with the registers that stay
    /// in variables there: those that it uses, up to the host's limit.
    fn loops(
        &self,
        text: &Text,
        sets: &BTreeMap<u64, (Registers, Registers)>,
    ) -> Vec<(Range<u64>, Registers)> {
        let mut loops: Vec<Range<u64>> = std::iter::once(0..u64::MAX).collect();
        for block in self.blocks.values() {
            let is_call = text.effect(block.after().wrapping_sub(4)).is_some_and(|last| last.x.is_some());
            let targets =
                self.successors(block).into_iter().filter(|_| block.end != End::Indirect && !is_call);
            loops.extend(targets.filter(|&to| to <= block.start).map(|to| to..block.after()));
        }
        loops.sort_by_key(|places| std::cmp::Reverse(places.end - places.start));
        let held = |places: &Range<u64>| {
            let used: Registers =
                sets.range(places.clone()).map(|(_, &(reads, writes))| reads | writes).sum();
            let live: Vec<_> = self.blocks.range(places.clone()).map(|(_, block)| block.live).collect();
            let integers = most(used.x, INTEGERS, live.iter().map(|live| live.x));
            Registers { x: integers, f: most(used.f, FLOATS, live.iter().map(|live| live.f)) }
        };
        loops.into_iter().map(|places| (places.clone(), held(&places))).collect()
    }

    /// Registers that are live after a block.
    fn live_after(&self, block: &Block) -> Registers {
        self.after(block, |next| next.live)
    }

    /// Registers whose value in the context may be out of date after a block.
    pub fn stale_after(&self, block: &Block) -> Registers {
        self.after(block, |next| next.stale)
    }

    fn after(&self, block: &Block, of: impl Fn(&Block) -> Registers) -> Registers {
        self.successors(block).iter().filter_map(|target| self.blocks.get(target)).map(of).sum()
    }
}

/// At most `limit` members of a set: those that occur in most of the other sets.
fn most(set: u32, limit: usize, others: impl Iterator<Item = u32> + Clone) -> u32 {
    let mut all: Vec<u8> = members(set).collect();
    all.sort_by_cached_key(|member| {
        std::cmp::Reverse(others.clone().filter(|other| other >> member & 1 == 1).count())
    });
    all.into_iter().take(limit).fold(0, |all, member| all | 1 << member)
}

/// The registers that an instruction reads.
fn read(effect: &Effect) -> Registers {
    let mut reads = Registers::default();
    let mut see = |node| match node {
        Node::X(register) => reads |= Registers::x(register),
        Node::F(register) | Node::Unboxed(register) => reads |= Registers::f(register),
        _ => {}
    };
    effect.expressions().for_each(|id| visit(id, &mut see));
    reads
}

/// The registers that an instruction writes.
pub(crate) fn written(effect: &Effect) -> Registers {
    let x = effect.x.map_or_else(Registers::default, |(register, _)| Registers::x(register));
    effect.f.map_or(x, |(register, _)| x | Registers::f(register))
}

/// The registers that a block reads before it writes them, and those that it writes.
fn used(text: &Text, block: &Block) -> (Registers, Registers) {
    let (mut reads, mut writes) = (Registers::default(), Registers::default());
    for effect in block.addresses().filter_map(|pc| text.effect(pc)) {
        reads |= read(&effect) - writes;
        writes |= written(&effect);
    }
    (reads, writes)
}
