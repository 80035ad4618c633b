//! The big steps of a program: their order, how a period of them is repeated, and the tree that commits to them.

use serde::{Deserialize, Serialize};
use step::{Proof, Root, Tree, keccak};

/// The committed part of a big step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// The address of its first instruction.
    pub entry: u64,
    /// The maximum number of steps that it takes.
    pub bound: u64,
}

impl Leaf {
    /// The leaf of the schedule tree: the hash of both numbers, big-endian.
    #[must_use]
    pub fn root(self) -> Root {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.entry.to_be_bytes());
        bytes[8..].copy_from_slice(&self.bound.to_be_bytes());
        keccak(&bytes)
    }
}

/// The big steps of a schedule that are repeated. Those before are the prologue, those behind the epilogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// The first big step.
    pub start: u32,
    /// The number of big steps.
    pub count: u32,
    /// The fewest repetitions of a run, at least 1.
    pub least: u64,
    /// The most repetitions.
    pub most: u64,
}

/// The order of a run's big steps: a prologue, a period that is repeated, and an epilogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// The number of big steps before the period.
    pub prologue: u32,
    /// The number of big steps that are repeated.
    pub period: u32,
    /// The number of big steps after the last repetition.
    pub epilogue: u32,
    /// The fewest repetitions; zero only if there is no period.
    pub least: u64,
    /// The most repetitions.
    pub most: u64,
}

impl Shape {
    /// The most big steps of a run.
    pub const MAX_BIG_STEPS: u64 = 1 << 40;

    /// So many big steps, each once.
    #[must_use]
    pub const fn plain(big_steps: u32) -> Self {
        Self { prologue: big_steps, period: 0, epilogue: 0, least: 0, most: 0 }
    }

    /// The shape of a schedule of this length with a period; `None` if the period isn't in it.
    #[must_use]
    pub fn of(big_steps: usize, period: Option<Period>) -> Option<Self> {
        let big_steps = u32::try_from(big_steps).ok()?;
        let Some(Period { start, count, least, most }) = period else { return Some(Self::plain(big_steps)) };
        let epilogue = big_steps.checked_sub(start.checked_add(count)?)?;
        (count > 0).then_some(Self { prologue: start, period: count, epilogue, least, most })
    }

    /// The number of different big steps: the leaves of the schedule's tree.
    #[must_use]
    pub fn leaves(&self) -> u64 {
        u64::from(self.prologue) + u64::from(self.period) + u64::from(self.epilogue)
    }

    /// The number of big steps in a run that repeats the period this often.
    #[must_use]
    pub fn big_steps(&self, repetitions: u64) -> u64 {
        let once = u64::from(self.prologue) + u64::from(self.epilogue);
        u64::from(self.period).saturating_mul(repetitions).saturating_add(once)
    }

    /// The leaf of a big step of such a run.
    #[must_use]
    pub fn leaf(&self, repetitions: u64, big_step: u64) -> u64 {
        let (prologue, period) = (u64::from(self.prologue), u64::from(self.period));
        let Some(behind) = big_step.checked_sub(prologue).filter(|_| period != 0) else { return big_step };
        match behind.checked_sub(period.saturating_mul(repetitions)) {
            None => prologue + behind % period,
            Some(behind) => (prologue + period).saturating_add(behind),
        }
    }

    /// Whether a run may repeat the period this often.
    #[must_use]
    pub fn allows(&self, repetitions: u64) -> bool {
        (self.least..=self.most).contains(&repetitions)
    }

    /// Whether a program can have this shape.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let repetitions =
            if self.period == 0 { self.most == 0 } else { self.least >= 1 && self.least <= self.most };
        repetitions
            && self.least <= self.most
            && self.leaves() >= 1
            && self.big_steps(self.most) <= Self::MAX_BIG_STEPS
    }
}

/// The big steps of a run, with the tree of those that differ.
#[derive(Debug, Clone)]
pub struct Schedule {
    leaves: Vec<Leaf>,
    shape: Shape,
    repetitions: u64,
    tree: Tree,
}

impl Schedule {
    /// The schedule of these big steps, the period repeated as often as it may be.
    #[must_use]
    pub fn new(leaves: Vec<Leaf>, shape: Shape) -> Self {
        let depth = leaves.len().next_power_of_two().ilog2();
        let tree = Tree::of_leaves(leaves.iter().map(|leaf| leaf.root()).collect(), depth);
        Self { leaves, shape, repetitions: shape.most, tree }
    }

    /// The same with another number of repetitions; `None` if the shape doesn't allow it.
    #[must_use]
    pub fn repeated(self, repetitions: u64) -> Option<Self> {
        self.shape.allows(repetitions).then_some(Self { repetitions, ..self })
    }

    /// The big steps that differ: those of prologue, period and epilogue.
    #[must_use]
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// How the leaves are repeated.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// How often the period is repeated.
    #[must_use]
    pub fn repetitions(&self) -> u64 {
        self.repetitions
    }

    /// The number of big steps in the run.
    #[must_use]
    pub fn big_steps(&self) -> u64 {
        self.shape.big_steps(self.repetitions)
    }

    /// The most steps of the run.
    #[must_use]
    pub fn bound(&self) -> u64 {
        let sum = |leaves: &[Leaf]| leaves.iter().map(|leaf| leaf.bound).fold(0, u64::saturating_add);
        let Shape { prologue, period, .. } = self.shape;
        let period = self.leaves.iter().skip(prologue as usize).take(period as usize);
        let period = sum(&period.copied().collect::<Vec<_>>());
        sum(&self.leaves).saturating_add(period.saturating_mul(self.repetitions.saturating_sub(1)))
    }

    /// The index of a big step's leaf; `None` beyond the end of the run.
    #[must_use]
    pub fn index(&self, big_step: u64) -> Option<u64> {
        (big_step < self.big_steps()).then(|| self.shape.leaf(self.repetitions, big_step))
    }

    /// A big step of the run.
    #[must_use]
    pub fn leaf(&self, big_step: u64) -> Option<Leaf> {
        self.leaves.get(usize::try_from(self.index(big_step)?).ok()?).copied()
    }

    /// The schedule root.
    #[must_use]
    pub fn root(&self) -> Root {
        self.tree.root()
    }

    /// The proof of a leaf.
    #[must_use]
    pub fn proof(&self, index: u64) -> Proof {
        self.tree.proof(index)
    }
}
