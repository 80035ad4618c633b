//! An upper bound for the instructions that a guest function executes, for any data.
//!
//! The bound is the longest path through the machine code, in which every loop counts as often as the
//! kernel's loops can run. A mark links a loop of the code to a loop of the kernel: the branch that ends an
//! iteration has the loop's number as its source location.
//!
//! Why the bound holds: instructions that reach each other form loops, each with one entry, its header (code
//! with other loops is refused). Without the edges to the header, a loop is a graph without cycles, except
//! for the loops inside it. Each execution of the header is followed by one path through that graph, which
//! leads back to the header or, the last time, out of the loop. The header is executed once per iteration of
//! the loop. If several loops of the kernel share one header, it is executed at most as often as the product
//! of their numbers of iterations.

use std::collections::{BTreeMap, BTreeSet};

use dnn_lib::kernel::{Kernel, Trips};
use isa::table::Layout;
use isa::{Extensions, decode};
use petgraph::Incoming;
use petgraph::algo::kosaraju_scc;
use petgraph::graphmap::DiGraphMap;

use crate::guest;

/// An upper bound for the instructions of one call, as a function of the number of units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepBound {
    body: Region,
}

impl StepBound {
    /// The maximum number of instructions of a call for this many units. It never decreases with more units.
    pub fn most(&self, units: u64) -> u64 {
        // A function that never returns has no bound.
        self.body.longest(units).out.unwrap_or(u64::MAX)
    }
}

/// A graph without cycles and with one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Region {
    /// Each part comes after all its successors, so the entry is the last.
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    work: Work,
    /// The parts that can come next.
    next: Vec<usize>,
    /// Whether the header of the loop can come next.
    back: bool,
    /// Whether the graph can be left, or the function can end.
    out: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Work {
    Instruction,
    Loop { trips: Vec<Trips>, body: Region },
}

/// The longest paths from a place, by destination; `None` if there is none.
#[derive(Clone, Copy)]
struct Longest {
    /// Back to the header of the loop.
    back: Option<u64>,
    /// Out of the loop.
    out: Option<u64>,
}

impl Region {
    /// The longest paths from the entry.
    fn longest(&self, units: u64) -> Longest {
        let mut longest: Vec<Longest> = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let own = part.work.most(units);
            // An empty path is shorter than any other.
            let path = |ends: bool, of: fn(&Longest) -> Option<u64>| {
                let rest = part
                    .next
                    .iter()
                    .map(|&next| of(&longest[next]))
                    .chain([ends.then_some(0)])
                    .max()
                    .flatten();
                rest.map(|rest| own.saturating_add(rest))
            };
            let ends = Longest { back: path(part.back, |l| l.back), out: path(part.out, |l| l.out) };
            longest.push(ends);
        }
        longest.last().copied().unwrap_or(Longest { back: None, out: None })
    }
}

impl Work {
    fn most(&self, units: u64) -> u64 {
        match self {
            Work::Instruction => 1,
            Work::Loop { trips, body } => {
                let times = trips.iter().map(|trips| trips.most(units)).fold(1, u64::saturating_mul);
                let Longest { back, out } = body.longest(units);
                let Some(before_last) = times.checked_sub(1) else { return 0 };
                before_last.saturating_mul(back.unwrap_or(u64::MAX)).saturating_add(out.unwrap_or(u64::MAX))
            }
        }
    }
}

/// A range of code bytes and the number of the loop whose last branch it is.
pub(crate) type Mark = (std::ops::Range<usize>, u32);

/// The bound of a function; `None` if a loop has no bound, or isn't a loop of the kernel.
pub(crate) fn bound(kernel: &Kernel, code: &[u8], marks: &[Mark]) -> Option<StepBound> {
    let numbered = kernel.trips().into_iter().map(|(index, trips)| (index.index() as u32, trips)).collect();
    let flow = Flow::of(code, marks, numbered)?;
    let all = flow.next.keys().copied().collect();
    let (body, _) = flow.region(&all, 0, None)?;
    Some(StepBound { body })
}

/// The reachable instructions, by their index.
struct Flow {
    next: BTreeMap<usize, Vec<usize>>,
    /// The conditional branches that end iterations, with the loop's number.
    ends: BTreeMap<usize, u32>,
    trips: BTreeMap<u32, Trips>,
}

impl Flow {
    fn of(code: &[u8], marks: &[Mark], trips: BTreeMap<u32, Trips>) -> Option<Self> {
        let words: Vec<u32> =
            code.as_chunks::<4>().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
        let mut flow = Self { next: BTreeMap::new(), ends: BTreeMap::new(), trips };
        let mut pending = vec![0];
        while let Some(index) = pending.pop() {
            if flow.next.contains_key(&index) {
                continue;
            }
            let word = *words.get(index)?;
            let before = index.checked_sub(1).map(|before| words[before]);
            let next = guest::successors(index, word, before)?;
            pending.extend(&next);
            flow.next.insert(index, next);
            // The instructions after the branch may have its source location too, but they aren't branches.
            let branch = decode(word, Extensions::IMFD)?.op.entry().layout == Layout::B;
            if let Some((_, number)) = marks.iter().find(|(range, _)| branch && range.contains(&(index * 4)))
            {
                flow.ends.insert(index, *number);
            }
        }
        Some(flow)
    }

    /// The part of the code with these instructions, which is entered at one of them, and the numbers of the
    /// loops that end their iterations in it but not in an inner loop. Edges to the header, if it has one,
    /// are left out.
    fn region(
        &self,
        inside: &BTreeSet<usize>,
        entry: usize,
        header: Option<usize>,
    ) -> Option<(Region, BTreeSet<u32>)> {
        let mut graph = DiGraphMap::<usize, ()>::new();
        for &from in inside {
            graph.add_node(from);
            for &to in self.next.get(&from)?.iter().filter(|to| Some(**to) != header && inside.contains(to)) {
                graph.add_edge(from, to, ());
            }
        }
        let (mut places, mut parts, mut ends) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        // In an order in which each component comes after all its successors.
        for component in kosaraju_scc(&graph) {
            let members: BTreeSet<usize> = component.into_iter().collect();
            let leaving =
                members.iter().flat_map(|&member| graph.neighbors(member)).filter(|to| !members.contains(to));
            let next: BTreeSet<usize> = leaving.map(|to| places.get(&to).copied()).collect::<Option<_>>()?;
            let after = || members.iter().filter_map(|member| self.next.get(member)).flatten();
            let back = after().any(|&to| Some(to) == header);
            let last = members.iter().any(|member| self.next.get(member).is_some_and(Vec::is_empty));
            let out = last || after().any(|to| !inside.contains(to));
            let work = match component_of_one(&graph, &members) {
                Some(instruction) => {
                    ends.extend(self.ends.get(&instruction));
                    Work::Instruction
                }
                None => self.inner_loop(&graph, &members, entry)?,
            };
            places.extend(members.iter().map(|&member| (member, parts.len())));
            parts.push(Part { work, next: next.into_iter().collect(), back, out });
        }
        Some((Region { parts }, ends))
    }

    /// Instructions that reach each other.
    fn inner_loop(
        &self,
        graph: &DiGraphMap<usize, ()>,
        members: &BTreeSet<usize>,
        entry: usize,
    ) -> Option<Work> {
        let entered = |member: usize| {
            let mut before = graph.neighbors_directed(member, Incoming);
            member == entry || before.any(|from| !members.contains(&from))
        };
        let mut headers = members.iter().copied().filter(|&member| entered(member));
        let (Some(header), None) = (headers.next(), headers.next()) else { return None };
        let (body, ends) = self.region(members, header, Some(header))?;
        let trips: Vec<Trips> =
            ends.iter().map(|number| self.trips.get(number).copied()).collect::<Option<_>>()?;
        (!trips.is_empty()).then_some(Work::Loop { trips, body })
    }
}

/// The instruction, if it is a single one that is not its own successor.
fn component_of_one(graph: &DiGraphMap<usize, ()>, members: &BTreeSet<usize>) -> Option<usize> {
    let &first = members.first()?;
    (members.len() == 1 && !graph.contains_edge(first, first)).then_some(first)
}
