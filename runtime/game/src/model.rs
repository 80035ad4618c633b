//! The subject of a game: a model and its schedule.

use crate::claims::depth;
use crate::moves::Illegal;
use image::{Image, Leaf, Role, Schedule, Shape};
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

    /// Whether two subtrees are apart, or are the same one. If they overlap, one is inside the other.
    fn is_compatible_with(self, other: Self) -> bool {
        let (low, high) = if self.level < other.level { (self, other) } else { (other, self) };
        low.level == high.level || low.index.checked_shr(high.level - low.level).unwrap_or(0) != high.index
    }

    /// Whether it is in a tree of this many levels.
    fn is_in(self, depth: u32) -> bool {
        self.level <= depth && self.index.checked_shr(depth - self.level).unwrap_or(0) == 0
    }
}

/// What a game is about: a model as its hash commits to it, and how often its period is repeated.
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
    /// How the schedule's leaves are repeated.
    pub shape: Shape,
    /// How often the period is repeated. The model's hash doesn't depend on it.
    pub repetitions: u64,
    /// Scratch memory is the last 2^`scratch_bits` bytes.
    pub scratch_bits: u8,
    /// The subtree of the input.
    pub input: Subtree,
    /// The bytes of an input; what is behind them in the subtree is zero.
    pub input_bytes: u64,
    /// Where the output is.
    pub output: Subtree,
    /// The bytes of an output.
    pub output_bytes: u64,
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
            shape: schedule.shape(),
            repetitions: schedule.repetitions(),
            scratch_bits: interface.scratch_bits,
            input: interface.input.into(),
            input_bytes: extent(image, Role::Input, interface.input),
            output: interface.output.into(),
            output_bytes: extent(image, Role::Output, interface.output),
        })
    }

    /// Rejects what the registry rejects.
    pub fn check(&self) -> Result<(), Illegal> {
        let scratch = (5..=self.profile.memory_bits()).contains(&self.scratch_bits);
        // The root of a single leaf is any 32 bytes, so it could be void; a hash can't.
        let good = scratch
            && self.shape.is_valid()
            && self.shape.allows(self.repetitions)
            && self.output.level >= 1
            && self.is_region(self.input, self.input_bytes)
            && self.is_region(self.output, self.output_bytes)
            && self.input.is_compatible_with(self.output);
        if good { Ok(()) } else { Err(Illegal::Model) }
    }

    /// Whether a region is inside memory, holds its bytes, and doesn't touch scratch memory.
    fn is_region(&self, region: Subtree, bytes: u64) -> bool {
        let scratch = self.profile.memory_size() - (1 << self.scratch_bits);
        region.is_in(self.profile.memory_depth())
            && (1..=1 << region.bits()).contains(&bytes)
            && region.address() + (1 << region.bits()) <= scratch
    }

    /// The number of big steps of the run.
    #[must_use]
    pub fn big_steps(&self) -> u64 {
        self.shape.big_steps(self.repetitions)
    }

    /// The index of a big step's leaf in the schedule.
    #[must_use]
    pub fn leaf(&self, big_step: u64) -> u64 {
        self.shape.leaf(self.repetitions, big_step)
    }

    /// The subtree of scratch memory. The model must have been checked.
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
        depth(self.shape.leaves())
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

/// The most steps that a game can be about in a big step.
pub const MAX_STEPS: u64 = (1 << 48) - 1;

/// The number of steps that a game can be about in a big step: its bound, but at least 1 and at most
/// [`MAX_STEPS`].
#[must_use]
pub fn steps(leaf: Leaf) -> u64 {
    leaf.bound.clamp(1, MAX_STEPS)
}

/// The bytes from the start of a region to the end of its last tensor.
fn extent(image: &Image, role: Role, region: image::Region) -> u64 {
    let tensors = image.tensors.iter().filter(|tensor| tensor.role == role);
    let ends = tensors.map(|tensor| tensor.address.saturating_add(tensor.bytes));
    ends.max().unwrap_or(0).saturating_sub(region.address)
}
