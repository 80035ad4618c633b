//! Which instructions are translated together: all that are reached from an entry by direct jumps, calls and returns.

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

/// The most instructions of a region.
const LIMIT: usize = 1500;
/// The most places to which a return is looked up in the region itself.
const RETURNS: usize = 64;

/// The most integer and float registers that the code holds from block to block. The host has some more, but needs them to compute: a
/// register that is read from the context and written back costs less than one that Cranelift has to put on the stack and back.
const INTEGERS: usize = 8;
const FLOATS: usize = 9;

/// The code of a machine.
#[derive(Debug)]
pub(crate) struct Text {
    profile: MachineProfile,
    bytes: Bytes,
    /// Instructions, decoded page by page when they are asked for.
    pages: Vec<OnceLock<Box<[Option<Instruction>]>>>,
}

/// Words of a page.
const PAGE: usize = 1 << 10;

impl Text {
    /// The code of an image.
    pub fn new(profile: MachineProfile, bytes: Bytes) -> Self {
        let pages = (bytes.len() / 4).div_ceil(PAGE);
        Self { profile, bytes, pages: (0..pages).map(|_| OnceLock::new()).collect() }
    }

    /// How many words it has.
    pub fn len(&self) -> usize {
        self.bytes.len() / 4
    }

    /// The instruction of a word.
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

    /// Which word of the code an address is.
    pub fn index(&self, pc: u64) -> Option<usize> {
        let offset = pc.wrapping_sub(self.profile.code_base());
        let index = usize::try_from(offset / 4).ok()?;
        (offset.is_multiple_of(4) && index < self.len()).then_some(index)
    }

    /// Where a word of the code is.
    pub fn address(&self, index: usize) -> u64 {
        self.profile.code_base().wrapping_add(4 * index as u64)
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

    /// Which registers each instruction of a block writes that no later one of the block writes.
    pub fn finals(&self, block: &Block) -> Vec<Registers> {
        let mut finals: Vec<_> =
            block.addresses().filter_map(|pc| self.effect(pc)).map(|effect| written(&effect)).collect();
        let mut later = Registers::default();
        for writes in finals.iter_mut().rev() {
            (*writes, later) = (*writes - later, later | *writes);
        }
        finals
    }

    /// What happens at an address; `None` if the interpreter has to see to it.
    pub fn effect(&self, pc: u64) -> Option<Effect> {
        let instruction = self.instruction(self.index(pc)?)?;
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
    /// Registers that are read here or later in the region before they are written.
    live: Registers,
    /// Registers that the code holds at the start; the others are in the context.
    pub kept: Registers,
    /// Which of these may not be in the context.
    pub stale: Registers,
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
    /// Where calls in it return to, and other places to which it is known to jump.
    pub returns: Vec<u64>,
    /// Which registers are read or written, as bits.
    pub uses: Registers,
    /// Which registers are written.
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

    /// Whether it has no members.
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

    /// Whether it leads to itself.
    pub fn is_loop(&self) -> bool {
        matches!(self.end, End::Branch(target, _) if target == self.start)
    }

    /// The address behind it.
    fn behind(&self) -> u64 {
        self.start.wrapping_add(4 * self.len)
    }
}

impl Region {
    /// The blocks of the region of an entry, of which it is known that jumps go to these targets. `None` if its first instruction is the
    /// interpreter's.
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

    /// The same with all that is known of its blocks, where float registers have these forms at the entry.
    pub fn prepared(mut self, text: &Text, forms: Forms) -> Self {
        self.check();
        self.propagate(text, forms);
        self.keep(text);
        self
    }

    /// How many instructions it has.
    pub fn len(&self) -> u64 {
        self.blocks.values().map(|block| block.len).sum()
    }

    /// Whether it jumps to where registers say.
    pub fn is_open(&self) -> bool {
        self.blocks.values().any(|block| block.end == End::Indirect)
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
    fn find(&mut self, text: &Text, targets: &[u64]) -> (BTreeSet<u64>, BTreeSet<u64>) {
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
                        if effect.x.is_some()
                            && self.returns.len() < RETURNS
                            && !self.returns.contains(&behind)
                        {
                            self.returns.push(behind);
                            lead(behind);
                        }
                        lead(target);
                        break;
                    }
                    Next::Indirect(_) => {
                        targets.iter().copied().for_each(lead);
                        break;
                    }
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
        self.writes |= written(effect);
        self.uses |= read(effect) | written(effect);
    }

    /// Makes blocks of what starts at the leaders.
    fn cut(&mut self, text: &Text, leaders: &BTreeSet<u64>, seen: &BTreeSet<u64>) {
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
            let (forms, (live, kept, stale)) = Default::default();
            self.blocks.insert(start, Block { start, len, end, check: None, forms, live, kept, stale });
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
                // The entry takes registers as they are.
                let both = if target == self.entry { Form::join } else { Form::meet };
                let joined = old.map_or(after, |old| std::array::from_fn(|i| both(old[i], after[i])));
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

    /// Finds which registers the code holds from block to block, so that a loop carries only what it needs: those that are read later
    /// and used in the loop itself, and that a block before had.
    fn keep(&mut self, text: &Text) {
        let sets: BTreeMap<u64, (Registers, Registers)> =
            self.blocks.iter().map(|(&at, block)| (at, used(text, block))).collect();
        // From the last block to the first, until nothing changes.
        let mut changed = true;
        while changed {
            changed = false;
            for (at, &(reads, writes)) in sets.iter().rev() {
                let Some(live) = self.blocks.get(at).map(|block| reads | (self.live_behind(block) - writes))
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
            // A loop of one block holds what it only writes too, instead of writing it to the context in every turn.
            let is_single = self.blocks.range(places.clone()).count() == 1;
            let held = |block: &Block| if is_single { used } else { block.live & used };
            best.extend(self.blocks.range(places).map(|(&at, block)| (at, held(block))));
        }
        let best = |next: &Block| best.get(&next.start).copied().unwrap_or_default();
        self.spread(&sets, |(reads, writes)| reads | writes, |next| (best(next), &mut next.kept));
        self.spread(&sets, |(_, writes)| writes, |next| (next.kept, &mut next.stale));
    }

    /// Adds to a set of every block what blocks before it use, and what is in their sets, as far as it may hold that.
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

    /// The loops of the region, as ranges of addresses, the outer before the inner ones, and which registers the code may hold there:
    /// those that are used in it, but no more than the host has.
    fn loops(
        &self,
        text: &Text,
        sets: &BTreeMap<u64, (Registers, Registers)>,
    ) -> Vec<(Range<u64>, Registers)> {
        let mut loops: Vec<Range<u64>> = std::iter::once(0..u64::MAX).collect();
        for block in self.blocks.values() {
            let is_call = text.effect(block.behind().wrapping_sub(4)).is_some_and(|last| last.x.is_some());
            let targets =
                self.successors(block).into_iter().filter(|_| block.end != End::Indirect && !is_call);
            loops.extend(targets.filter(|&to| to <= block.start).map(|to| to..block.behind()));
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

    /// Registers that are live behind a block.
    fn live_behind(&self, block: &Block) -> Registers {
        self.behind(block, |next| next.live)
    }

    /// Registers that need not be in the context behind a block.
    pub fn stale_behind(&self, block: &Block) -> Registers {
        self.behind(block, |next| next.stale)
    }

    fn behind(&self, block: &Block, of: impl Fn(&Block) -> Registers) -> Registers {
        self.successors(block).iter().filter_map(|target| self.blocks.get(target)).map(of).sum()
    }
}

/// The members of a set that most of other sets have, so many at most.
fn most(set: u32, limit: usize, others: impl Iterator<Item = u32> + Clone) -> u32 {
    let mut all: Vec<u8> = members(set).collect();
    all.sort_by_cached_key(|member| {
        std::cmp::Reverse(others.clone().filter(|other| other >> member & 1 == 1).count())
    });
    all.into_iter().take(limit).fold(0, |all, member| all | 1 << member)
}

/// Which registers an instruction reads.
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

/// Which registers an instruction writes.
pub(crate) fn written(effect: &Effect) -> Registers {
    let x = effect.x.map_or_else(Registers::default, |(register, _)| Registers::x(register));
    effect.f.map_or(x, |(register, _)| x | Registers::f(register))
}

/// Which registers a block reads before it writes them, and which it writes.
fn used(text: &Text, block: &Block) -> (Registers, Registers) {
    let (mut reads, mut writes) = (Registers::default(), Registers::default());
    for effect in block.addresses().filter_map(|pc| text.effect(pc)) {
        reads |= read(&effect) - writes;
        writes |= written(&effect);
    }
    (reads, writes)
}
