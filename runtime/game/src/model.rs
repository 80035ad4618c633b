//! The subject of a game: a model and its schedule.

use crate::claims::depth;
use crate::moves::Illegal;
use image::{Image, Leaf, Schedule};
use step::merkle::LEAF;
use step::{MachineProfile, Proof, Root, State};

/// The root that stands for "no memory": a big step that traps or exceeds its bound ends with it. No memory
/// has this root.
pub const VOID: Root = Root([0xff; 32]);

/// An aligned subtree of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subtree {
    /// Its level, counted from the leaves.
    pub level: u32,
    /// Its index among the nodes of its level.
    pub index: u64,
}

impl Subtree {
    /// Its first address.
    #[must_use]
    pub fn address(self) -> u64 {
        self.index.checked_shl(self.bits()).unwrap_or(u64::MAX)
    }

    /// log2 of its size in bytes.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.level + LEAF.ilog2()
    }

    /// Whether it fits into a tree with this many levels.
    fn is_in(self, depth: u32) -> bool {
        self.level <= depth && self.index.checked_shr(depth - self.level).unwrap_or(0) == 0
    }
}

/// What the registry stores about a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// The machine's shape.
    pub profile: MachineProfile,
    /// The root of the code.
    pub code_root: Root,
    /// The root of the image's memory, before any input is written.
    pub memory_root: Root,
    /// The root of the schedule.
    pub schedule_root: Root,
    /// The number of big steps.
    pub big_steps: u64,
    /// Scratch memory is the last 2^`scratch_bits` bytes.
    pub scratch_bits: u8,
    /// The subtree of the input.
    pub input: Subtree,
    /// The subtree of the output.
    pub output: Subtree,
}

impl From<image::Region> for Subtree {
    fn from(region: image::Region) -> Self {
        let level = u32::from(region.bits).saturating_sub(LEAF.ilog2());
        Self { level, index: region.address.checked_shr(region.bits.into()).unwrap_or(0) }
    }
}

impl Model {
    /// The model of an image with one of its schedules: its big steps, or one for the whole program. `None`
    /// if the image doesn't declare its inputs and outputs.
    #[must_use]
    pub fn of(image: &Image, schedule: &Schedule) -> Option<Self> {
        let interface = image.interface?;
        Some(Self {
            profile: image.profile,
            code_root: image.code_root(),
            memory_root: image.memory_root(),
            schedule_root: schedule.root(),
            big_steps: schedule.leaves().len() as u64,
            scratch_bits: interface.scratch_bits,
            input: interface.input.into(),
            output: interface.output.into(),
        })
    }

    /// Rejects what the registry rejects.
    pub fn check(&self) -> Result<(), Illegal> {
        let depth = self.profile.memory_depth();
        let scratch = (5..=self.profile.memory_bits()).contains(&self.scratch_bits);
        // The root of a single leaf is arbitrary, so it could be void. A hash can't.
        let output = self.output.level >= 1 && self.output.is_in(depth);
        let good = self.big_steps >= 1 && scratch && output && self.input.is_in(depth);
        if good { Ok(()) } else { Err(Illegal::Model) }
    }

    /// The subtree of scratch memory. The model must be valid.
    #[must_use]
    pub fn scratch(&self) -> Subtree {
        let above = u32::from(self.profile.memory_bits().saturating_sub(self.scratch_bits));
        Subtree { level: u32::from(self.scratch_bits).saturating_sub(5), index: (1u64 << above) - 1 }
    }

    /// The number of siblings in the proof of a region.
    #[must_use]
    pub fn levels_above(&self, region: Subtree) -> u32 {
        self.profile.memory_depth().saturating_sub(region.level)
    }

    /// The number of siblings in the proof of a schedule leaf.
    #[must_use]
    pub fn schedule_depth(&self) -> u32 {
        depth(self.big_steps)
    }

    /// The memory root before the first big step, computed from the input subtree as the image has it.
    #[must_use]
    pub fn memory_with(&self, input: Root, image: &Proof) -> Root {
        image.root(input, self.input.index)
    }

    /// The state root in which a big step starts.
    #[must_use]
    pub fn start(&self, memory: Root, entry: u64) -> Root {
        State::reset(self.code_root, memory, entry, self.profile.memory_size()).root()
    }
}

/// The number of steps of a big step that a game can reach: its bound, and at least one.
#[must_use]
pub fn steps(leaf: Leaf) -> u64 {
    leaf.bound.max(1)
}
