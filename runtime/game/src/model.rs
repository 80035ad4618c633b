//! The subject of a game: a model and its schedule.

use crate::claims::depth;
use crate::moves::Illegal;
use crate::regions::{Region, Subtree};
use schedule::{Leaf, Shape};
use std::sync::Arc;
use step::{MachineProfile, Root, State};

/// The root that stands for "no memory": a big step that traps or exceeds its bound ends with it. No memory
/// has this root.
pub const VOID: Root = Root([0xff; 32]);

/// The most regions of the inputs, and of the outputs.
pub const MOST_REGIONS: usize = 64;

/// What a game is about: a model as its hash commits to it, and how often its period is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Where the inputs are, in ascending order. In the image's memory all of it is zero.
    pub inputs: Arc<[Region]>,
    /// Where the outputs are, in ascending order.
    pub outputs: Arc<[Region]>,
}

impl Model {
    /// Rejects what the registry rejects.
    pub fn check(&self) -> Result<(), Illegal> {
        let scratch = (5..=self.profile.memory_bits()).contains(&self.scratch_bits);
        let good = scratch
            && self.shape.is_valid()
            && self.shape.allows(self.repetitions)
            && self.are_regions(&self.inputs)
            && self.are_regions(&self.outputs)
            && self.are_compatible();
        if good { Ok(()) } else { Err(Illegal::Model) }
    }

    /// Whether there are some regions, but not too many, that ascend without overlaps, inside memory and
    /// below scratch memory, and hold their bytes.
    fn are_regions(&self, regions: &[Region]) -> bool {
        let scratch = self.profile.memory_size() - (1 << self.scratch_bits);
        let is_region = |Region { subtree, bytes }: &Region| {
            subtree.is_in(self.profile.memory_depth())
                && (1..=1 << subtree.bits()).contains(bytes)
                && subtree.end() <= scratch
        };
        (1..=MOST_REGIONS).contains(&regions.len())
            && regions.iter().all(is_region)
            && regions.is_sorted_by(|one, next| one.subtree.end() <= next.subtree.address())
    }

    /// Whether each input and each output are apart, or are the same region, which then changes in place.
    fn are_compatible(&self) -> bool {
        let (mut inputs, mut outputs) = (self.inputs.iter().peekable(), self.outputs.iter().peekable());
        while let (Some(input), Some(output)) = (inputs.peek(), outputs.peek()) {
            let (input, output) = (input.subtree, output.subtree);
            if input.end() <= output.address() {
                inputs.next();
            } else if output.end() <= input.address() {
                outputs.next();
            } else if input == output {
                inputs.next();
                outputs.next();
            } else {
                return false;
            }
        }
        true
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

    /// The number of siblings in the proof of a subtree.
    #[must_use]
    pub fn levels_above(&self, subtree: Subtree) -> u32 {
        self.profile.memory_depth().saturating_sub(subtree.level)
    }

    /// The number of siblings in the proof of a schedule leaf.
    #[must_use]
    pub fn schedule_depth(&self) -> u32 {
        depth(self.shape.leaves())
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
