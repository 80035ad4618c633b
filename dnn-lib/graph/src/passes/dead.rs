//! Removes nodes and outputs that are not needed, and the values of constants that are not.

use crate::{Graph, Kind, Node, Region, TensorId};

/// Removes dead nodes, outputs that nobody reads, and the bytes of unused constants; tensors keep their ids.
pub fn remove(graph: &mut Graph) {
    let mut needed = vec![false; graph.tensors.len()];
    need(&mut needed, &graph.outputs);
    sweep(&mut graph.nodes, &mut needed);
    let used = graph.used();
    let unused = graph.tensors.iter_mut().zip(used).filter(|(_, used)| !used);
    unused.for_each(|(tensor, _)| tensor.value = None);
}

fn need(needed: &mut [bool], ids: &[TensorId]) {
    ids.iter().for_each(|id| needed[id.index()] = true);
}

/// Keeps what is needed. Users come after what they use, so one pass backwards sees every use first.
fn sweep(nodes: &mut Vec<Node>, needed: &mut [bool]) {
    let mut kept = Vec::with_capacity(nodes.len());
    for mut node in std::mem::take(nodes).into_iter().rev() {
        for output in &mut node.outputs {
            *output = output.filter(|id| needed[id.index()]);
        }
        if node.outputs.iter().all(Option::is_none) {
            continue;
        }
        match &mut node.kind {
            Kind::Operator(_) => {}
            Kind::If { then, otherwise } => {
                // An output that nobody reads is no result of the regions either.
                let wanted: Vec<bool> = node.outputs.iter().map(Option::is_some).collect();
                for region in [then, otherwise] {
                    let mut wanted = wanted.iter().copied();
                    region.outputs.retain(|_| wanted.next().unwrap_or(true));
                    sweep_region(region, needed);
                }
                node.outputs.retain(Option::is_some);
            }
            Kind::Repeat(repeat) => sweep_region(&mut repeat.body, needed),
        }
        need(needed, &node.inputs);
        kept.push(node);
    }
    kept.reverse();
    *nodes = kept;
}

fn sweep_region(region: &mut Region, needed: &mut [bool]) {
    need(needed, &region.outputs);
    sweep(&mut region.nodes, needed);
}
