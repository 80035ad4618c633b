//! Which checks the accesses of a block need, and where.
//!
//! Whether an access is ordinary can be checked long before it is made: all that follows from a failed check is that the interpreter
//! goes on from there. So the accesses of a block whose addresses are constant distances from registers at one place are checked
//! at that place, and those with the same register at once.

use crate::domain::{Binary, Id, Node, constant, node};
use crate::effect::Effect;
use crate::region::{Block, Text};
use isa::{Size, U64};

/// What is checked before an instruction of a block.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// The instruction's place in the block.
    pub index: u64,
    pub spans: Vec<Span>,
    /// Whether the interpreter has to make the access whatever the registers hold.
    pub never: bool,
}

/// Accesses at constant distances from a register.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub register: u8,
    /// The first byte, from the register.
    low: i64,
    /// Behind the last.
    high: i64,
    /// Where one of the largest accesses is.
    anchor: i64,
    /// How large that is. If it is aligned, all are.
    pub size: Size,
}

/// The most bytes of a span: no memory is smaller.
const LONGEST: i64 = 2048;

/// What is known of a register: its value, or its distance from a register at the checkpoint.
#[derive(Debug, Clone, Copy)]
enum Known {
    Value(u64),
    From(u8, u64),
    Nothing,
}

/// The registers as far as they are known since a checkpoint.
struct Tracker([Known; 32]);

impl Tracker {
    /// At a checkpoint; what has a known value keeps it.
    fn at(values: Option<&Self>) -> Self {
        let mut new = Self(std::array::from_fn(|register| Known::From(register as u8, 0)));
        if let Some(Self(old)) = values {
            for (to, from) in new.0.iter_mut().zip(old).filter(|(_, from)| matches!(from, Known::Value(_))) {
                *to = *from;
            }
        }
        new
    }

    /// What is known of an expression.
    fn of(&self, id: Id) -> Known {
        match node(id) {
            Node::Constant(value) => Known::Value(value),
            Node::X(register) => self.0[usize::from(register)],
            Node::Binary(Binary::Add, base, distance) => match (self.of(base), constant(distance)) {
                (Known::Value(value), Some(distance)) => Known::Value((U64(value) + U64(distance)).0),
                (Known::From(register, low), Some(distance)) => Known::From(register, (U64(low) + U64(distance)).0),
                _ => Known::Nothing,
            },
            _ => Known::Nothing,
        }
    }

    /// Notes what an instruction writes.
    fn write(&mut self, effect: &Effect) {
        if let Some((register, value)) = effect.x {
            self.0[usize::from(register)] = self.of(value);
        }
    }
}

/// What is found out about the accesses of a block.
#[derive(Debug)]
pub(crate) struct Accesses {
    /// What is checked, in the order of the instructions.
    pub points: Vec<Checkpoint>,
    /// What is loaded from code, which never changes: the places of the loads, and what they give.
    pub literals: Vec<(u64, u64)>,
}

/// Looks through the accesses of a block.
pub(crate) fn accesses(text: &Text, block: &Block) -> Accesses {
    let (mut points, mut literals) = (vec![Checkpoint { index: 0, spans: Vec::new(), never: false }], Vec::new());
    let mut tracker = Tracker::at(None);
    for (index, pc) in (0..).zip(block.addresses()) {
        let Some(effect) = text.effect(pc) else { break };
        if let Some(access) = effect.access {
            let mut known = tracker.of(access.address);
            if matches!(known, Known::Nothing) {
                tracker = Tracker::at(Some(&tracker));
                known = tracker.of(access.address);
                points.push(Checkpoint { index, spans: Vec::new(), never: false });
            }
            let literal = |address| text.load(address, access.size).filter(|_| access.value.is_none());
            match (known, points.last_mut()) {
                (Known::From(register, low), Some(point)) => point.add(Span::new(register, low, access.size)),
                (Known::Value(address), _) if text.is_ordinary(address, access.size) => {}
                (Known::Value(address), _) if let Some(value) = literal(address) => literals.push((index, value)),
                _ => {
                    tracker = Tracker::at(Some(&tracker));
                    points.push(Checkpoint { index, spans: Vec::new(), never: true });
                }
            }
        }
        tracker.write(&effect);
    }
    points.retain(|point| point.never || !point.spans.is_empty());
    Accesses { points, literals }
}

impl Checkpoint {
    /// Adds an access: to a span of the same register, if it can be.
    fn add(&mut self, new: Span) {
        for old in &mut self.spans {
            if let Some(both) = old.with(new) {
                *old = both;
                return;
            }
        }
        self.spans.push(new);
    }
}

impl Span {
    /// One access.
    fn new(register: u8, distance: u64, size: Size) -> Self {
        let low = distance.cast_signed();
        Self { register, low, high: low.saturating_add(size as i64), anchor: low, size }
    }

    /// The span of this and another, if alignment of the one follows from that of the other and it doesn't become too long.
    fn with(self, other: Self) -> Option<Self> {
        let (small, large) = if self.size < other.size { (self, other) } else { (other, self) };
        let distance = small.anchor.checked_sub(large.anchor)?;
        let (low, high) = (self.low.min(other.low), self.high.max(other.high));
        let fits = self.register == other.register
            && distance % small.size as i64 == 0
            && high.checked_sub(low).is_some_and(|length| length <= LONGEST);
        fits.then_some(Self { low, high, ..large })
    }

    /// What is aligned, from the register, and how many bytes from there must be in memory: a multiple of the size.
    pub fn aligned(self) -> (i64, i64) {
        let size = self.size as i64;
        let low = self.anchor - (self.anchor - self.low + size - 1) / size * size;
        (low, (self.high - low + size - 1) / size * size)
    }
}
