//! Decides which checks the memory accesses of a block need, and where.
//!
//! An access can be checked long before it happens, because a failed check only hands over to the
//! interpreter. So the accesses of a block whose addresses are at constant distances from registers at one
//! point are all checked at that point, and those with the same register in one check. In a loop whose
//! register moves by the same distance in every iteration, one check covers many iterations.

use crate::domain::{Binary, Id, Node, constant, node};
use crate::effect::Effect;
use crate::region::{Block, Registers, Text, written};
use isa::{Size, U64};

/// The checks before an instruction of a block.
#[derive(Debug)]
pub(crate) struct AccessCheck {
    /// The instruction's index in the block.
    pub index: u64,
    pub spans: Vec<Span>,
    /// Whether the interpreter must make the access, whatever the registers hold.
    pub never: bool,
}

/// Accesses at constant distances from a register.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub register: u8,
    /// The first byte, relative to the register.
    low: i64,
    /// The end: one past the last byte.
    high: i64,
    /// The offset of one of the largest accesses.
    anchor: i64,
    /// The size of that access. If it is aligned, all are.
    pub size: Size,
    /// The range of bytes that are written, if any.
    written: Option<(i64, i64)>,
}

/// Accesses of a loop that move by the same distance in every iteration.
#[derive(Debug, Default)]
pub(crate) struct Steady {
    pub spans: Vec<(Span, Stride)>,
    /// The block's stores whose pages can be marked for many iterations at once, by index.
    pub stores: Vec<u64>,
}

/// How far accesses move in one iteration of a loop.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stride {
    /// A constant distance.
    By(i64),
    /// The distance in a register.
    Register(u8),
}

/// The maximum length of a span in bytes. No memory is smaller.
const LONGEST: i64 = 2048;
/// A store whose page is marked for many iterations moves at most this far per iteration: 64 iterations per
/// page.
const NEAR: u64 = 64;

/// The known value of a register, or its distance from a register's value at the last checkpoint.
#[derive(Debug, Clone, Copy)]
enum Known {
    Value(u64),
    From(u8, u64),
    Nothing,
}

/// What is known about all registers since the last checkpoint.
struct Tracker([Known; 32]);

impl Tracker {
    /// The state at a checkpoint. Registers with known values keep them.
    fn at(values: Option<&Self>) -> Self {
        let mut new = Self(std::array::from_fn(|register| Known::From(register as u8, 0)));
        if let Some(Self(old)) = values {
            for (to, from) in new.0.iter_mut().zip(old).filter(|(_, from)| matches!(from, Known::Value(_))) {
                *to = *from;
            }
        }
        new
    }

    /// Evaluates an expression.
    fn of(&self, id: Id) -> Known {
        match node(id) {
            Node::Constant(value) => Known::Value(value),
            Node::X(register) => self.0[usize::from(register)],
            Node::Binary(Binary::Add, base, distance) => match (self.of(base), constant(distance)) {
                (Known::Value(value), Some(distance)) => Known::Value((U64(value) + U64(distance)).0),
                (Known::From(register, low), Some(distance)) => {
                    Known::From(register, (U64(low) + U64(distance)).0)
                }
                _ => Known::Nothing,
            },
            _ => Known::Nothing,
        }
    }

    /// Records the register that an instruction writes.
    fn write(&mut self, effect: &Effect) {
        if let Some((register, value)) = effect.x {
            self.0[usize::from(register)] = self.of(value);
        }
    }
}

/// The result of analysing a block's accesses.
#[derive(Debug)]
pub(crate) struct Accesses {
    /// The checks, in the order of the instructions.
    pub points: Vec<AccessCheck>,
    /// Loads from code, which never changes: the index of each load, and the value that it reads.
    pub literals: Vec<(u64, u64)>,
    /// The stores checked at the start of the block, by index, with the span of each.
    stores: Vec<(u64, usize)>,
}

/// Analyses the accesses of a block.
pub(crate) fn accesses(text: &Text, block: &Block) -> Accesses {
    let mut points = vec![AccessCheck { index: 0, spans: Vec::new(), never: false }];
    let (mut literals, mut stores) = (Vec::new(), Vec::new());
    let mut tracker = Tracker::at(None);
    for (index, pc) in (0..).zip(block.addresses()) {
        let Some(effect) = text.effect(pc) else { break };
        if let Some(access) = effect.access {
            let mut known = tracker.of(access.address);
            if matches!(known, Known::Nothing) {
                tracker = Tracker::at(Some(&tracker));
                known = tracker.of(access.address);
                points.push(AccessCheck { index, spans: Vec::new(), never: false });
            }
            let literal = |address| text.load(address, access.size).filter(|_| access.value.is_none());
            match (known, points.last_mut()) {
                (Known::From(register, low), Some(point)) => {
                    let is_store = access.value.is_some();
                    let span = point.add(Span::new(register, low, access.size, is_store));
                    stores.extend((is_store && point.index == 0).then_some((index, span)));
                }
                (Known::Value(address), _) if text.is_ordinary(address, access.size) => {}
                (Known::Value(address), _) if let Some(value) = literal(address) => {
                    literals.push((index, value))
                }
                _ => {
                    tracker = Tracker::at(Some(&tracker));
                    points.push(AccessCheck { index, spans: Vec::new(), never: true });
                }
            }
        }
        tracker.write(&effect);
    }
    points.retain(|point| point.never || !point.spans.is_empty());
    Accesses { points, literals, stores }
}

impl Accesses {
    /// If the block is a loop, removes and returns the checks that can be made for many iterations at once.
    pub fn take_steady(&mut self, text: &Text, block: &Block) -> Steady {
        let Some(start) = self.points.first_mut().filter(|point| point.index == 0 && !point.never) else {
            return Steady::default();
        };
        let strides = Strides::of(text, block);
        let stride =
            |span: &Span| strides.get(span.register).filter(|stride| stride.keeps_aligned(span.size));
        let lingers =
            |&&(_, span): &&(u64, usize)| start.spans.get(span).and_then(stride).is_some_and(Stride::lingers);
        let stores = self.stores.iter().filter(lingers).map(|&(index, _)| index).collect();
        let spans = start.spans.iter().filter_map(|span| Some((*span, stride(span)?))).collect();
        start.spans.retain(|span| stride(span).is_none());
        Steady { spans, stores }
    }
}

/// How registers move in one iteration of a single-block loop.
struct Strides {
    /// The registers at the end of the block.
    tracker: Tracker,
    /// For each register, the register that was added to it, if that was its only change.
    sums: [Option<u8>; 32],
    written: Registers,
}

impl Strides {
    fn of(text: &Text, block: &Block) -> Self {
        let (mut tracker, mut sums) = (Tracker::at(None), [None; 32]);
        let mut all = Registers::default();
        for effect in block.addresses().filter_map(|pc| text.effect(pc)) {
            if let Some((register, value)) = effect.x {
                let is_first = (Registers::x(register) & all).is_empty();
                sums[usize::from(register)] = added(register, value).filter(|_| is_first);
            }
            tracker.write(&effect);
            all |= written(&effect);
        }
        Self { tracker, sums, written: all }
    }

    /// How far a register moves, if the distance is the same in every iteration.
    fn get(&self, register: u8) -> Option<Stride> {
        match self.tracker.0[usize::from(register)] {
            Known::From(from, distance) if from == register => Some(Stride::By(distance.cast_signed())),
            Known::Nothing => {
                let by = self.sums[usize::from(register)]?;
                (Registers::x(by) & self.written).is_empty().then_some(Stride::Register(by))
            }
            _ => None,
        }
    }
}

/// The register that is added to `register`, if `value` is such a sum.
fn added(register: u8, value: Id) -> Option<u8> {
    let Node::Binary(Binary::Add, a, b) = node(value) else { return None };
    match (node(a), node(b)) {
        (Node::X(old), Node::X(by)) | (Node::X(by), Node::X(old)) if old == register => Some(by),
        _ => None,
    }
}

impl Stride {
    /// Whether an aligned access stays aligned. A distance in a register is checked at run time.
    fn keeps_aligned(self, size: Size) -> bool {
        match self {
            Self::By(distance) => distance % size as i64 == 0,
            Self::Register(_) => true,
        }
    }

    /// Whether a store stays in one page for so many iterations that marking the page ahead of them pays.
    pub fn lingers(self) -> bool {
        matches!(self, Self::By(distance) if distance.unsigned_abs() <= NEAR)
    }
}

impl AccessCheck {
    /// Adds an access, if possible to an existing span of the same register. Returns the index of its span.
    fn add(&mut self, new: Span) -> usize {
        for (place, old) in self.spans.iter_mut().enumerate() {
            if let Some(both) = old.with(new) {
                *old = both;
                return place;
            }
        }
        self.spans.push(new);
        self.spans.len() - 1
    }
}

impl Span {
    /// The span of one access.
    fn new(register: u8, distance: u64, size: Size, is_store: bool) -> Self {
        let low = distance.cast_signed();
        let high = low.saturating_add(size as i64);
        Self { register, low, high, anchor: low, size, written: is_store.then_some((low, high)) }
    }

    /// Combines two spans. `None` if the alignment of one doesn't imply that of the other, or if the result
    /// is too long.
    fn with(self, other: Self) -> Option<Self> {
        let (small, large) = if self.size < other.size { (self, other) } else { (other, self) };
        let distance = small.anchor.checked_sub(large.anchor)?;
        let (low, high) = (self.low.min(other.low), self.high.max(other.high));
        let fits = self.register == other.register
            && distance % small.size as i64 == 0
            && high.checked_sub(low).is_some_and(|length| length <= LONGEST);
        let written = [self.written, other.written].into_iter().flatten();
        let written = written.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        fits.then_some(Self { low, high, written, ..large })
    }

    /// The first and last byte written, relative to the register, and whether they may be in different pages.
    pub fn written(self) -> Option<(i64, i64, bool)> {
        let (first, after) = self.written?;
        let unit = |at: i64| (at - self.anchor).div_euclid(self.size as i64);
        Some((first, after - 1, unit(first) != unit(after - 1)))
    }

    /// The aligned start, relative to the register, and how many bytes from there must be in memory: a
    /// multiple of the size.
    pub fn aligned(self) -> (i64, i64) {
        let size = self.size as i64;
        let low = self.anchor - (self.anchor - self.low + size - 1) / size * size;
        (low, (self.high - low + size - 1) / size * size)
    }
}
