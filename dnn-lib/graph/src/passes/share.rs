//! Sharing of memory: what is only copied is computed where the copy would be.

use std::ops::Range;

use crate::lower::{Computed, Lowered, Phase, Place};
use crate::{Graph, TensorId};

/// Removes the copies that can be saved, and puts what they copied to the place of the copy.
pub fn share(graph: &Graph, lowered: Lowered) -> Lowered {
    let mut fixed: Vec<bool> = graph.tensors.iter().map(|tensor| tensor.value.is_some()).collect();
    graph.inputs.iter().chain(&graph.outputs).for_each(|id| fixed[id.index()] = true);
    let saved = vec![false; lowered.nodes.len()];
    let mut sharing = Sharing { graph, fixed, users: vec![Vec::new(); graph.tensors.len()], saved, lowered };
    for (index, node) in sharing.lowered.nodes.iter().enumerate() {
        node.tensors().for_each(|id| sharing.users[sharing.lowered.place(id).root.index()].push(index));
    }
    // A copy of a copy is seen after what it is copied to has got its place.
    for index in (0..sharing.saved.len()).rev() {
        sharing.saved[index] = sharing.lowered.nodes[index].copy && sharing.save(index);
    }
    for root in graph.ids() {
        sharing.join(root);
    }
    let Sharing { mut lowered, saved, .. } = sharing;
    let mut saved = saved.into_iter();
    lowered.nodes.retain(|_| !saved.next().unwrap_or(false));
    lowered
}

struct Sharing<'a> {
    graph: &'a Graph,
    /// The tensors whose memory belongs to the model.
    fixed: Vec<bool>,
    /// For each root, the nodes that read or write its memory.
    users: Vec<Vec<usize>>,
    /// The copies that are not made.
    saved: Vec<bool>,
    lowered: Lowered,
}

impl Sharing<'_> {
    /// Saves a copy, if the memory of its output can hold its input instead, as long as that is needed.
    fn save(&mut self, copy: usize) -> bool {
        let Computed { inputs, output, guards, phase, .. } = &self.lowered.nodes[copy];
        let (from, to, phase) = (inputs[0], *output, *phase);
        let size = |id: TensorId| self.graph.tensor(id).ty.bytes();
        if self.lowered.place(from).root != from || self.fixed[from.index()] || size(from) != size(to) {
            return false;
        }
        let nodes = &self.lowered.nodes;
        let made = |&user: &usize| user != copy && !self.saved[user];
        let users: Vec<usize> = self.users[from.index()].iter().copied().filter(made).collect();
        let writes = |&user: &usize| self.lowered.place(nodes[user].output).root == from;
        let writers: Vec<usize> = users.iter().copied().filter(writes).collect();
        // It is computed whenever it is copied, and only then, and not changed after that.
        let together = |&writer: &usize| {
            writer < copy && nodes[writer].phase == phase && nodes[writer].guards == *guards
        };
        let Some(&first) = writers.iter().min().filter(|_| writers.iter().all(together)) else {
            return false;
        };
        let last = self.until(phase, users.iter().copied().max().unwrap_or(first));
        let target = self.range(to);
        let own = |id: TensorId| self.lowered.place(id).root == from;
        let touches = |id: TensorId| !own(id) && self.overlaps(&target, id);
        let disturbed = (first..=last.max(copy)).filter(made).any(|index| {
            let node = &nodes[index];
            touches(node.output) || index < copy && node.reads().any(touches)
        });
        if !disturbed {
            let moved = std::mem::take(&mut self.users[from.index()]);
            self.users[target.0.index()].extend(moved);
            self.lowered.put(from, Place { root: to, offset: 0 });
        }
        !disturbed
    }

    /// Saves all copies to a tensor that come from one place, where they lie as they will lie in it: the tensor is
    /// there already, as long as nothing changes it. So is what a layer of a DenseNet joins.
    fn join(&mut self, root: TensorId) {
        let nodes = &self.lowered.nodes;
        if self.fixed[root.index()] || self.lowered.place(root).root != root {
            return;
        }
        let users: Vec<usize> =
            self.users[root.index()].iter().copied().filter(|&user| !self.saved[user]).collect();
        let writes = |&user: &usize| self.lowered.place(nodes[user].output).root == root;
        let (copies, readers): (Vec<usize>, Vec<usize>) = users.into_iter().partition(writes);
        let Some(first) = copies.iter().min().map(|&copy| &nodes[copy]) else { return };
        // Where the tensor begins if this copy is to be saved.
        let beginning = |copy: &usize| {
            let node = &nodes[*copy];
            let together = node.copy && node.phase == first.phase && node.guards == first.guards;
            let [from, to] = [node.inputs.first()?, &node.output].map(|&id| self.lowered.place(id));
            let offset = from.offset.checked_sub(to.offset).filter(|_| together && from.root != root)?;
            Some(Place { root: from.root, offset })
        };
        let mut beginnings = copies.iter().map(beginning);
        let Some(Some(place)) = beginnings.next() else { return };
        let size = |id: TensorId| self.graph.tensor(id).ty.bytes().unwrap_or(u64::MAX);
        let end = place.offset.saturating_add(size(root));
        if !beginnings.all(|beginning| beginning == Some(place)) || end > size(place.root) {
            return;
        }
        let begin = copies.iter().copied().min().unwrap_or(0);
        let last = readers.iter().chain(&copies).copied().max().unwrap_or(begin);
        let last = self.until(first.phase, last);
        let target = (place.root, place.offset..end);
        let changes = |index: &usize| {
            !copies.contains(index) && !self.saved[*index] && self.overlaps(&target, nodes[*index].output)
        };
        if !(begin..=last).any(|index| changes(&index)) {
            copies.iter().for_each(|&copy| self.saved[copy] = true);
            let moved = std::mem::take(&mut self.users[root.index()]);
            self.users[place.root.index()].extend(moved);
            self.lowered.put(root, place);
        }
    }

    /// The last node until which memory must last that is needed until `last`, and first used in a phase.
    fn until(&self, phase: Phase, last: usize) -> usize {
        match phase {
            // What is read in the period is read in its last repetition too.
            Phase::Before if self.lowered.nodes[last].phase == Phase::Period => self.lowered.period().end - 1,
            _ => last,
        }
    }

    /// The memory of a tensor: its root, and the bytes in it.
    fn range(&self, id: TensorId) -> (TensorId, Range<u64>) {
        range(self.graph, &self.lowered, id)
    }

    fn overlaps(&self, (root, bytes): &(TensorId, Range<u64>), id: TensorId) -> bool {
        let (other, range) = self.range(id);
        other == *root && range.start < bytes.end && bytes.start < range.end
    }
}

/// The memory of a tensor: its root, and the bytes in it.
pub(super) fn range(graph: &Graph, lowered: &Lowered, id: TensorId) -> (TensorId, Range<u64>) {
    let place = lowered.place(id);
    let bytes = graph.tensor(id).ty.bytes().unwrap_or(u64::MAX);
    (place.root, place.offset..place.offset.saturating_add(bytes))
}
