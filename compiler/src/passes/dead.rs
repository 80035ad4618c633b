//! Removes nodes whose output is not needed, and values that are not.

use crate::graph::Graph;

/// Removes dead nodes and the bytes of unused constants; tensors keep their ids.
pub(crate) fn remove(graph: &mut Graph) {
    let mut needed = vec![false; graph.tensors.len()];
    for output in &graph.outputs {
        needed[output.index()] = true;
    }
    // Users come after what they use, so one pass backwards sees every use first.
    let mut keep = vec![false; graph.nodes.len()];
    for (node, keep) in graph.nodes.iter().zip(&mut keep).rev() {
        *keep = needed[node.output.index()];
        if *keep {
            node.inputs.iter().for_each(|input| needed[input.index()] = true);
        }
    }
    let mut keep = keep.into_iter();
    graph.nodes.retain(|_| keep.next().unwrap_or(true));
    let used = graph.used();
    let unused = graph.tensors.iter_mut().zip(used).filter(|(_, used)| !used);
    unused.for_each(|(tensor, _)| tensor.value = None);
}
