//! Runs invented by hashing, for simulations. They can have any length at no cost.
//!
//! The root at a place is a hash of the place and a seed, so every root of every run is available at once. A
//! [`Fake`] with lies equals the true run everywhere else.

use crate::claims::depth;
use crate::model::{Model, VOID, steps};
use crate::oracle::Oracle;
use crate::regions::{Region, Regions, Subtree, commitment};
use crate::rules::Rules;
use isa::{Extensions, Trap};
use schedule::{Leaf, Shape};
use std::convert::Infallible;
use std::ops::Range;
use step::merkle::{LEAF, node};
use step::{MachineProfile, Part, ProfileError, Proof, Root, State, Status, WitnessError, keccak};

/// A step of a big step. The memory before a big step is its step 0.
pub type Place = (u64, u64);

/// An invented run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fake {
    /// Different runs have different seeds.
    pub seed: u64,
    /// The number of big steps.
    pub big_steps: u64,
    /// The number of steps in each big step.
    pub steps: u64,
    /// The big step that traps, if any.
    pub traps: Option<u64>,
    /// Where the run differs from the true one. The last matching lie applies.
    pub lies: Vec<Lie>,
    /// How the run claims that big steps end, if not truthfully.
    pub status: Option<Status>,
}

/// The kinds of lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Another root, one for each number.
    Other(u64),
    /// Void: there is no memory.
    Void,
    /// Memory whose scratch part is as the big step left it.
    Scratch,
    /// One root, the same at every place.
    Same,
}

/// A lie about a range of places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lie {
    /// The places.
    pub places: Range<Place>,
    /// The lie.
    pub what: What,
}

impl Fake {
    /// The half of memory that is scratch.
    const MEMORY_BITS: u8 = 13;
    const SCRATCH_BITS: u8 = Self::MEMORY_BITS - 1;
    const ENTRY: u64 = 0x2000;

    /// The true run.
    #[must_use]
    pub fn new(seed: u64, big_steps: u64, steps: u64) -> Self {
        Self { seed, big_steps, steps, traps: None, lies: Vec::new(), status: None }
    }

    /// The same run with one more lie.
    #[must_use]
    pub fn lying(mut self, places: Range<Place>, what: What) -> Self {
        self.lies.push(Lie { places, what });
        self
    }

    /// The model of the run.
    pub fn model(&self) -> Result<Model, ProfileError> {
        let profile = MachineProfile::new(Extensions::IM, Self::MEMORY_BITS, Self::ENTRY, 32)?;
        let subtree = Subtree { level: profile.memory_depth() - 1, index: 0 };
        let half = Region { subtree, bytes: LEAF as u64 };
        Ok(Model {
            profile,
            code_root: self.code(),
            memory_root: Root::ZERO,
            schedule_root: self.schedule_nodes().last().unwrap_or_default(),
            shape: self.shape(),
            repetitions: self.shape().most,
            scratch_bits: Self::SCRATCH_BITS,
            inputs: [half].into(),
            outputs: [half].into(),
        })
    }

    /// Short runs have a leaf for each big step. Long ones repeat a period.
    fn shape(&self) -> Shape {
        /// The longest run without a period.
        const SHORT: u64 = 1000;
        const PERIOD: u32 = 3;
        if self.big_steps <= SHORT {
            return Shape::plain(self.big_steps as u32);
        }
        let behind = self.big_steps - (SHORT - u64::from(PERIOD));
        let (repetitions, rest) = (behind / u64::from(PERIOD), behind % u64::from(PERIOD));
        let (prologue, epilogue) = (rest as u32, SHORT as u32 - PERIOD);
        Shape { prologue, period: PERIOD, epilogue, least: repetitions, most: repetitions }
    }

    /// The commitment to the run's only input.
    #[must_use]
    pub fn inputs_commitment(&self) -> Root {
        commitment(&[self.input_root()])
    }

    fn input_root(&self) -> Root {
        filled(self.input_leaf())
    }

    /// The bytes of the input, without the zeros that follow.
    #[must_use]
    pub fn input_bytes(&self) -> Vec<u8> {
        bytes(self.input_leaf())
    }

    fn input_leaf(&self) -> Root {
        self.hash(b"half", 0, (0, 0))
    }

    /// The run's result: the commitment to its only output, or void.
    #[must_use]
    pub fn result_commitment(&self) -> Root {
        if self.memory_root(self.big_steps) == VOID { VOID } else { commitment(&[self.half(self.big_steps)]) }
    }

    /// The bytes of the output, without the zeros that follow. Empty if there is no output.
    #[must_use]
    pub fn output_bytes(&self) -> Vec<u8> {
        if self.memory_root(self.big_steps) == VOID {
            Vec::new()
        } else {
            bytes(self.leaf_of_half(self.big_steps))
        }
    }

    fn code(&self) -> Root {
        self.hash(b"code", 0, (0, 0))
    }

    /// The schedule's leaf, then the nodes above it. All leaves are equal, so all nodes of a level are too.
    fn schedule_nodes(&self) -> impl Iterator<Item = Root> {
        let levels = depth(self.shape().leaves()) as usize;
        std::iter::successors(Some(self.leaf().root()), |&below| Some(node(below, below))).take(levels + 1)
    }

    /// The step at the end of every big step.
    fn last_step(&self) -> u64 {
        steps(self.leaf())
    }

    fn leaf(&self) -> Leaf {
        Leaf { entry: Self::ENTRY, bound: self.steps }
    }

    /// The lie about a place, if there is one.
    fn lie(&self, place: Place) -> Option<What> {
        self.lies.iter().rev().find(|lie| lie.places.contains(&place)).map(|lie| lie.what)
    }

    /// A root for a place. Variant 0 is the truth.
    fn hash(&self, what: &[u8; 4], variant: u64, place: Place) -> Root {
        let mut bytes = what.to_vec();
        [self.seed, variant, place.0, place.1].iter().for_each(|number| bytes.extend(number.to_be_bytes()));
        keccak(&bytes)
    }

    /// The variant of a place.
    fn variant(&self, place: Place) -> u64 {
        match self.lie(place) {
            Some(What::Other(variant)) => variant.saturating_add(1),
            _ => 0,
        }
    }

    /// The half of memory that isn't scratch. Players hold the bytes of inputs and outputs, so those must
    /// have real bytes. At other places a root is enough.
    fn half(&self, big_step: u64) -> Root {
        let (root, same) = (self.leaf_of_half(big_step), self.lie((big_step, 0)) == Some(What::Same));
        if big_step == 0 || big_step == self.big_steps || same { filled(root) } else { root }
    }

    fn leaf_of_half(&self, big_step: u64) -> Root {
        match self.lie((big_step, 0)) {
            Some(What::Same) => self.hash(b"same", 0, (0, 0)),
            _ => self.hash(b"half", self.variant((big_step, 0)), (big_step, 0)),
        }
    }

    /// The scratch memory that a big step leaves behind.
    fn scratch(&self, big_step: u64) -> Root {
        self.hash(b"scra", self.variant((big_step, self.last_step())), (big_step, 0))
    }

    fn memory_root(&self, big_step: u64) -> Root {
        match self.lie((big_step, 0)) {
            Some(What::Void) => VOID,
            Some(What::Scratch) => node(self.half(big_step), self.scratch(big_step.saturating_sub(1))),
            None if self.traps.is_some_and(|traps| big_step > traps) => VOID,
            _ => node(self.half(big_step), Root::ZERO),
        }
    }

    fn state_root(&self, big_step: u64, step: u64) -> Root {
        match step {
            0 => State::reset(self.code(), self.memory_root(big_step), Self::ENTRY, 1 << Self::MEMORY_BITS)
                .root(),
            step if step >= self.last_step() => self.end_state(big_step).root(),
            _ => match self.lie((big_step, step)) {
                Some(What::Same) => self.hash(b"same", 0, (0, 0)),
                _ => self.hash(b"step", self.variant((big_step, step)), (big_step, step)),
            },
        }
    }

    fn end_state(&self, big_step: u64) -> State {
        let memory = node(self.half(big_step.saturating_add(1)), self.scratch(big_step));
        let mut state =
            State::reset(self.code(), memory, Self::ENTRY, self.variant((big_step, self.last_step())));
        let traps = self.traps == Some(big_step);
        let status = if traps { Status::Trapped(Trap::Breakpoint) } else { Status::Exited };
        state.status = self.status.unwrap_or(status);
        state
    }
}

/// The root of half a memory that begins with a leaf and is otherwise zero.
fn filled(leaf: Root) -> Root {
    let levels = Fake::SCRATCH_BITS - LEAF.ilog2() as u8;
    (0..levels).fold(leaf, |below, _| node(below, Root::ZERO))
}

/// The bytes of a leaf: its number in little-endian.
fn bytes(leaf: Root) -> Vec<u8> {
    leaf.0.iter().rev().copied().collect()
}

impl Oracle for Fake {
    type Error = Infallible;

    fn memory(&mut self, big_step: u64) -> Result<Root, Infallible> {
        Ok(self.memory_root(big_step))
    }
    fn state(&mut self, big_step: u64, step: u64) -> Result<Root, Infallible> {
        Ok(self.state_root(big_step, step))
    }
    fn end(&mut self, big_step: u64) -> Result<(Vec<u8>, Proof), Infallible> {
        let state = self.end_state(big_step);
        let scratch = match state.status {
            Status::Exited => {
                let siblings = vec![self.half(big_step.saturating_add(1))];
                Proof { leaf: self.scratch(big_step), siblings }
            }
            _ => Proof { leaf: state.memory_root, siblings: Vec::new() },
        };
        Ok((state.to_bytes().split_off(2 * LEAF), scratch))
    }
    fn witness(&mut self, big_step: u64, step: u64) -> Result<Vec<u8>, Infallible> {
        Ok([big_step.to_be_bytes(), step.to_be_bytes()].concat())
    }
    fn schedule(&mut self, _: u64) -> Result<(Leaf, Vec<Root>), Infallible> {
        Ok((self.leaf(), self.schedule_nodes().take(depth(self.shape().leaves()) as usize).collect()))
    }
    fn inputs(&mut self) -> Result<Regions, Infallible> {
        Ok(Regions { roots: vec![self.input_root()], siblings: vec![Root::ZERO] })
    }
    fn outputs(&mut self) -> Result<Regions, Infallible> {
        Ok(Regions { roots: vec![self.half(self.big_steps)], siblings: vec![Root::ZERO] })
    }
}

/// The rules of a true run. They execute steps of the run's own states only, and the witness is the place.
impl Rules for Fake {
    fn successor(&self, _: &Model, before: Root, witness: &[u8]) -> Result<Root, WitnessError> {
        let found = witness.len();
        let too_short = WitnessError::TooShort { part: Part::State, expected: 16, found };
        let (big_step, step) = witness.split_first_chunk().ok_or(too_short)?;
        let step = <[u8; 8]>::try_from(step).map_err(|_| too_short)?;
        let (big_step, step) = (u64::from_be_bytes(*big_step), u64::from_be_bytes(step));
        let found = self.state_root(big_step, step);
        if found != before {
            return Err(WitnessError::State { expected: before, found });
        }
        Ok(self.state_root(big_step, step.saturating_add(1)))
    }
}
