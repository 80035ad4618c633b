//! Ensembles of decision trees, in the forms of opsets 1, 3 and 5.

use std::collections::HashMap;

use bytes::Bytes;
use dnn_lib::operator::{self as op, Aggregate, TreeLeaves, TreeScores};
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;

use super::forest::{Forest, Node, Rule, Split};
use super::label::Labels;
use super::transform::{self, Transform};
use super::{Outputs, examples, floats};
use crate::error::NodeError;
use crate::import::call::{Call, value_error};

/// The attributes that regressors and classifiers share.
macro_rules! attributes {
    ($($own:literal),+) => {
        &["base_values", "base_values_as_tensor", $($own,)+ "nodes_falsenodeids", "nodes_featureids", "nodes_hitrates",
          "nodes_hitrates_as_tensor", "nodes_missing_value_tracks_true", "nodes_modes", "nodes_nodeids",
          "nodes_treeids", "nodes_truenodeids", "nodes_values", "nodes_values_as_tensor", "post_transform"]
    };
}

#[rustfmt::skip]
pub(super) const REGRESSOR: &[&str] = attributes!["aggregate_function", "n_targets", "target_ids", "target_nodeids", "target_treeids", "target_weights", "target_weights_as_tensor"];
#[rustfmt::skip]
pub(super) const CLASSIFIER: &[&str] = attributes!["class_ids", "class_nodeids", "class_treeids", "class_weights", "class_weights_as_tensor", "classlabels_int64s", "classlabels_strings"];
#[rustfmt::skip]
pub(super) const ENSEMBLE: &[&str] = &[
    "aggregate_function", "leaf_targetids", "leaf_weights", "membership_values", "n_targets", "nodes_falseleafs",
    "nodes_falsenodeids", "nodes_featureids", "nodes_hitrates", "nodes_missing_value_tracks_true", "nodes_modes",
    "nodes_splits", "nodes_trueleafs", "nodes_truenodeids", "post_transform", "tree_roots",
];

/// The most weights of leaves.
const MOST_WEIGHTS: u64 = 1 << 28;

fn required<T>(value: Option<T>, attribute: &'static str) -> Result<T, NodeError> {
    value.ok_or(NodeError::MissingAttribute { attribute })
}

fn same_length<T>(name: &str, list: &[T], expected: usize) -> Result<(), NodeError> {
    if list.len() == expected {
        return Ok(());
    }
    Err(value_error(name, &format!("{} values", list.len()), &format!("{expected}, one for each node")))
}

/// The trees of opsets 1 and 3: nodes have numbers in trees, which have numbers. `what` is that of the weights.
fn numbered_forest(call: &Call<'_>, what: &str) -> Result<Forest, NodeError> {
    let trees = required(call.ints("nodes_treeids")?, "nodes_treeids")?;
    let nodes = required(call.ints("nodes_nodeids")?, "nodes_nodeids")?;
    let features = required(call.ints("nodes_featureids")?, "nodes_featureids")?;
    let modes = required(call.strings("nodes_modes")?, "nodes_modes")?;
    let holds = required(call.ints("nodes_truenodeids")?, "nodes_truenodeids")?;
    let fails = required(call.ints("nodes_falsenodeids")?, "nodes_falsenodeids")?;
    let thresholds = required(floats(call, "nodes_values")?, "nodes_values")?;
    let missing = call.ints("nodes_missing_value_tracks_true")?.unwrap_or_default();
    let count = nodes.len();
    let lists = [("nodes_treeids", &trees), ("nodes_featureids", &features)];
    let lists = lists.into_iter().chain([("nodes_truenodeids", &holds), ("nodes_falsenodeids", &fails)]);
    for (name, list) in lists {
        same_length(name, list, count)?;
    }
    same_length("nodes_modes", &modes, count)?;
    same_length("nodes_values", &thresholds, count)?;
    let mut places = HashMap::with_capacity(count);
    let mut forest = Forest { nodes: Vec::with_capacity(count), roots: Vec::new(), names: Vec::new() };
    for (place, (&tree, &node)) in trees.iter().zip(&nodes).enumerate() {
        if places.insert((tree, node), place).is_some() {
            let found = format!("such that tree {tree} has two nodes {node}");
            return Err(value_error("nodes_nodeids", &found, "each number once in a tree"));
        }
        if place == 0 || trees[place - 1] != tree {
            forest.roots.push(place);
        }
        forest.names.push((Some(tree), node));
    }
    let child = |attribute: &str, list: &[i64], place: usize| {
        places.get(&(trees[place], list[place])).copied().ok_or_else(|| {
            let found = format!("{} for node {} of tree {}", list[place], nodes[place], trees[place]);
            value_error(attribute, &found, "numbers of nodes of the same tree")
        })
    };
    for (place, mode) in modes.iter().enumerate() {
        let Some(rule) = rule_named(mode)? else {
            forest.nodes.push(Node::Leaf(Vec::new()));
            continue;
        };
        forest.nodes.push(Node::Split(Split {
            feature: feature(features[place])?,
            rule,
            threshold: thresholds[place],
            missing: missing.get(place).is_some_and(|&missing| missing != 0),
            children: [
                child("nodes_falsenodeids", &fails, place)?,
                child("nodes_truenodeids", &holds, place)?,
            ],
        }));
    }
    let list = |part: &str| call.ints(&format!("{what}_{part}")).map(Option::unwrap_or_default);
    let (of_trees, of_nodes, targets) = (list("treeids")?, list("nodeids")?, list("ids")?);
    let weights = floats(call, &format!("{what}_weights"))?.unwrap_or_default();
    for (part, length) in [("treeids", of_trees.len()), ("nodeids", of_nodes.len()), ("ids", targets.len())] {
        if length != weights.len() {
            let supported = format!("{}, one for each weight", weights.len());
            return Err(value_error(&format!("{what}_{part}"), &format!("{length} values"), &supported));
        }
    }
    for (index, (&weight, &target)) in weights.iter().zip(&targets).enumerate() {
        let (tree, node) = (of_trees[index], of_nodes[index]);
        let Some(&place) = places.get(&(tree, node)) else {
            let found = format!("{node} in tree {tree}");
            return Err(value_error(&format!("{what}_nodeids"), &found, "numbers of leaves"));
        };
        // Old converters gave weights to splits too, which nobody reads.
        if let Node::Leaf(weights) = &mut forest.nodes[place] {
            let target = u64::try_from(target);
            let target =
                target.map_err(|_| value_error(&format!("{what}_ids"), &targets[index], "numbers from 0"))?;
            weights.push((target, weight));
        }
    }
    Ok(forest)
}

fn feature(id: i64) -> Result<u64, NodeError> {
    u64::try_from(id).map_err(|_| value_error("nodes_featureids", &id, "numbers from 0"))
}

/// What a node asks; nothing if it is a leaf.
fn rule_named(mode: &str) -> Result<Option<Rule>, NodeError> {
    Ok(Some(match mode {
        "LEAF" => return Ok(None),
        "BRANCH_LEQ" => Rule::LessOrEqual,
        "BRANCH_LT" => Rule::Less,
        "BRANCH_GTE" => Rule::GreaterOrEqual,
        "BRANCH_GT" => Rule::Greater,
        "BRANCH_EQ" => Rule::Equal,
        "BRANCH_NEQ" => Rule::NotEqual,
        other => {
            let known = "BRANCH_LEQ, BRANCH_LT, BRANCH_GTE, BRANCH_GT, BRANCH_EQ, BRANCH_NEQ, LEAF";
            return Err(value_error("nodes_modes", &other, known));
        }
    }))
}

/// The trees of opset 5: splits and leaves have places in two lists.
fn listed_forest(call: &Call<'_>) -> Result<Forest, NodeError> {
    let ints = |name: &'static str| required(call.ints(name)?, name);
    let numbers = |name: &'static str| required(call.tensor_numbers(name)?, name);
    let (holds, fails) = (ints("nodes_truenodeids")?, ints("nodes_falsenodeids")?);
    let (hold_leaves, fail_leaves) = (ints("nodes_trueleafs")?, ints("nodes_falseleafs")?);
    let (features, splits) = (ints("nodes_featureids")?, numbers("nodes_splits")?);
    let modes = numbers("nodes_modes")?;
    let (targets, weights) = (ints("leaf_targetids")?, numbers("leaf_weights")?);
    let missing = call.ints("nodes_missing_value_tracks_true")?.unwrap_or_default();
    let count = features.len();
    let lists = [("nodes_truenodeids", &holds), ("nodes_falsenodeids", &fails)];
    let lists =
        lists.into_iter().chain([("nodes_trueleafs", &hold_leaves), ("nodes_falseleafs", &fail_leaves)]);
    for (name, list) in lists {
        same_length(name, list, count)?;
    }
    same_length("nodes_splits", &splits, count)?;
    same_length("nodes_modes", &modes, count)?;
    if targets.len() != weights.len() {
        let supported = format!("{}, one for each leaf", weights.len());
        return Err(value_error("leaf_targetids", &format!("{} values", targets.len()), &supported));
    }
    let child = |attribute: &str, ids: &[i64], leaves: &[i64], place: usize| {
        let (is_leaf, id) = (leaves[place] != 0, ids[place]);
        let (start, end) = if is_leaf { (count, weights.len()) } else { (0, count) };
        let index = usize::try_from(id).ok().filter(|&index| index < end);
        index.map(|index| start + index).ok_or_else(|| {
            let what = if is_leaf { "leaves" } else { "nodes" };
            value_error(
                attribute,
                &format!("{id} for node {place}"),
                &format!("numbers of {what}, less than {end}"),
            )
        })
    };
    let mut sets = member_sets(&call.tensor_numbers("membership_values")?.unwrap_or_default());
    let mut forest =
        Forest { nodes: Vec::with_capacity(count + weights.len()), roots: Vec::new(), names: Vec::new() };
    for place in 0..count {
        let rule = match modes[place] as u8 {
            0 => Rule::LessOrEqual,
            1 => Rule::Less,
            2 => Rule::GreaterOrEqual,
            3 => Rule::Greater,
            4 => Rule::Equal,
            5 => Rule::NotEqual,
            6 => Rule::Member(sets.next().filter(|set| !set.is_empty()).ok_or_else(|| {
                value_error(
                    "membership_values",
                    &"too short",
                    "a set of numbers for each BRANCH_MEMBER, and a NaN behind",
                )
            })?),
            other => return Err(value_error("nodes_modes", &other, "0 to 6")),
        };
        // The threshold of a set means nothing.
        let threshold = if matches!(rule, Rule::Member(_)) { 0.0 } else { splits[place] };
        forest.nodes.push(Node::Split(Split {
            feature: feature(features[place])?,
            rule,
            threshold,
            missing: missing.get(place).is_some_and(|&missing| missing != 0),
            children: [
                child("nodes_falsenodeids", &fails, &fail_leaves, place)?,
                child("nodes_truenodeids", &holds, &hold_leaves, place)?,
            ],
        }));
        forest.names.push((None, place as i64));
    }
    for (&target, &weight) in targets.iter().zip(&weights) {
        let target =
            u64::try_from(target).map_err(|_| value_error("leaf_targetids", &target, "numbers from 0"))?;
        forest.nodes.push(Node::Leaf(vec![(target, weight)]));
    }
    for root in ints("tree_roots")? {
        let place = usize::try_from(root).ok().filter(|&place| place < count);
        let supported = format!("numbers of nodes, less than {count}");
        forest.roots.push(place.ok_or_else(|| value_error("tree_roots", &root, &supported))?);
    }
    Ok(forest)
}

/// The sets of a list in which a NaN ends each, in order and without duplicates.
fn member_sets(values: &[f64]) -> impl Iterator<Item = Vec<f64>> + use<> {
    let sets = values.split_inclusive(|value| value.is_nan()).map(|set| {
        let mut set: Vec<f64> = set.iter().copied().filter(|value| !value.is_nan()).collect();
        set.sort_unstable_by(f64::total_cmp);
        set.dedup();
        set
    });
    sets.collect::<Vec<_>>().into_iter()
}

/// How trees share the work. Slots are trees side by side, in groups of the same size; each group has some targets
/// of its own.
struct Slots {
    groups: u64,
    /// The root of each.
    roots: Vec<Option<usize>>,
    /// The number of targets of a group.
    targets: u64,
}

impl Slots {
    /// If every tree knows of one target, the trees of a target are a group. Otherwise all trees are one group, and
    /// a leaf has a weight for each target.
    fn of(forest: &Forest, targets: u64) -> Self {
        let all = || Self { groups: 1, roots: forest.roots.iter().copied().map(Some).collect(), targets };
        if targets == 1 || targets > forest.roots.len() as u64 {
            return all();
        }
        let mut groups = vec![Vec::new(); targets as usize];
        for &root in &forest.roots {
            let mut leaves = forest.leaves(root).flatten().map(|&(target, _)| target);
            let first = leaves.next().unwrap_or(0);
            if leaves.any(|other| other != first) {
                return all();
            }
            groups[first as usize].push(Some(root));
        }
        let longest = groups.iter().map(Vec::len).max().unwrap_or(0);
        // Trees that are not there cost as much as others.
        let trees = forest.roots.len() as u64;
        if (longest as u64).saturating_mul(targets) > trees + trees / 4 {
            return all();
        }
        groups.iter_mut().for_each(|group| group.resize(longest, None));
        Self { groups: targets, roots: groups.concat(), targets: 1 }
    }
}

/// What the trees say together of each target: `[examples, targets]`.
fn scores(
    call: &mut Call<'_>,
    x: TensorId,
    forest: &Forest,
    targets: u64,
    aggregate: Aggregate,
) -> Result<TensorId, NodeError> {
    let TensorType { dtype, shape } = call.ty(x).clone();
    let (rows, features) = (shape[0], shape[1]);
    let depth = forest.check(features)?;
    let wrong = forest.roots.iter().flat_map(|&root| forest.leaves(root)).flatten();
    if let Some((target, _)) = wrong.into_iter().find(|(target, _)| *target >= targets) {
        let supported = format!("0 to {}", targets.saturating_sub(1));
        return Err(value_error("target or class ids", target, &supported));
    }
    let slots = Slots::of(forest, targets);
    let table = forest.table(&slots.roots, features, depth, dtype);
    let wide = dtype == DType::F64;
    let bytes: Bytes = table
        .rows
        .iter()
        .flatten()
        .flat_map(|word| word.to_le_bytes()[..if wide { 8 } else { 4 }].to_vec())
        .collect();
    let ty = TensorType::new(
        if wide { DType::U64 } else { DType::U32 },
        [table.rows.len() as u64, TreeLeaves::COLUMNS],
    );
    let nodes = call.constant("nodes", ty, bytes);
    let mut x = x;
    if table.mirrored {
        let negative = call.step("negative", op::Neg, &[x])?;
        x = call.step("mirrored", op::Concat { axis: 1 }, &[x, negative])?;
    }
    let walk = TreeLeaves { trees: slots.roots.len() as u64, depth: table.depth };
    let leaves = call.step("leaves", walk, &[x, nodes])?;
    let (weights, absent) = weights(call, forest, &table.leaves, slots.targets, aggregate, dtype)?;
    let mut scores =
        call.step("votes", TreeScores { groups: slots.groups, aggregate }, &[leaves, weights])?;
    if absent && aggregate != Aggregate::Sum {
        // Nothing was said.
        let infinite = call.step("silent", op::IsInf { negative: true, positive: true }, &[scores])?;
        let zero = call.number("zero", 0.0, dtype);
        scores = call.step("spoken", op::Where, &[infinite, zero, scores])?;
    }
    let shape = vec![rows as i64, targets as i64];
    call.step("scores", op::Reshape { shape, allow_zero: true }, &[scores])
}

/// The weights of the leaves, `[leaves, targets]`, and whether some of them are not given.
fn weights(
    call: &mut Call<'_>,
    forest: &Forest,
    leaves: &[Option<usize>],
    targets: u64,
    aggregate: Aggregate,
    dtype: DType,
) -> Result<(TensorId, bool), NodeError> {
    let size = (leaves.len() as u64).saturating_mul(targets);
    if size > MOST_WEIGHTS {
        let found = format!("{targets} for {} leaves", leaves.len());
        return Err(value_error("number of targets", &found, &format!("{MOST_WEIGHTS} weights at most")));
    }
    let none = match aggregate {
        Aggregate::Sum => 0.0,
        Aggregate::Min => f64::INFINITY,
        Aggregate::Max => f64::NEG_INFINITY,
    };
    let mut values = vec![None; size as usize];
    for (values, &leaf) in values.chunks_exact_mut(targets as usize).zip(leaves) {
        let Some(Node::Leaf(given)) = leaf.map(|leaf| &forest.nodes[leaf]) else { continue };
        for &(target, weight) in given {
            // A group of one target has all weights of its trees.
            let value = &mut values[if targets == 1 { 0 } else { target as usize }];
            *value = Some(match (*value, aggregate) {
                (None, _) => weight,
                (Some(before), Aggregate::Sum) => before + weight,
                (Some(before), Aggregate::Min) => weight.min(before),
                (Some(before), Aggregate::Max) => weight.max(before),
            });
        }
    }
    let absent = values.contains(&None);
    let bytes = values.into_iter().flat_map(|value| transform::float_bytes(dtype, value.unwrap_or(none)));
    let bytes: Bytes = bytes.collect();
    Ok((call.constant("weights", TensorType::new(dtype, [leaves.len() as u64, targets]), bytes), absent))
}

fn target_count(call: &Call<'_>) -> Result<u64, NodeError> {
    let targets = call.int("n_targets")?.unwrap_or(1);
    u64::try_from(targets)
        .ok()
        .filter(|&targets| targets > 0)
        .ok_or_else(|| value_error("n_targets", &targets, "numbers from 1"))
}

/// How trees are combined, and whether their number divides the sum.
fn aggregate(name: &str) -> Result<(Aggregate, bool), NodeError> {
    match name {
        "SUM" => Ok((Aggregate::Sum, false)),
        "AVERAGE" => Ok((Aggregate::Sum, true)),
        "MIN" => Ok((Aggregate::Min, false)),
        "MAX" => Ok((Aggregate::Max, false)),
        _ => Err(value_error("aggregate_function", &name, "SUM, AVERAGE, MIN, MAX")),
    }
}

pub(super) fn regressor(call: &mut Call<'_>) -> Outputs {
    let forest = numbered_forest(call, "target")?;
    let targets = target_count(call)?;
    let function = call.string("aggregate_function")?.unwrap_or_else(|| "SUM".to_owned());
    let (aggregate, average) = aggregate(&function)?;
    let transform = Transform::of(call)?;
    let base = floats(call, "base_values")?.unwrap_or_default();
    if !base.is_empty() && base.len() as u64 != targets {
        let supported = format!("{targets}, one for each target");
        return Err(value_error("base_values", &format!("{} values", base.len()), &supported));
    }
    let x = examples(call)?;
    let mut y = scores(call, x, &forest, targets, aggregate)?;
    if average {
        y = divided(call, y, forest.roots.len())?;
    }
    if !base.is_empty() {
        let dtype = call.ty(y).dtype;
        let base = transform::constant(call, "base", &base, &[targets], dtype);
        y = call.step("based", op::Add, &[y, base])?;
    }
    // The result is of 32 bits, whatever the input.
    y = transform::narrowed(call, y)?;
    let y = transform::apply(call, transform, y)?;
    Ok(vec![call.as_output(0, y)?])
}

fn divided(call: &mut Call<'_>, sum: TensorId, trees: usize) -> Result<TensorId, NodeError> {
    let dtype = call.ty(sum).dtype;
    let trees = transform::constant(call, "trees", &[trees as f64], &[], dtype);
    call.step("average", op::Div, &[sum, trees])
}

/// The form of opset 5. The result has the type of the input.
pub(super) fn ensemble(call: &mut Call<'_>) -> Outputs {
    let forest = listed_forest(call)?;
    let targets = target_count(call)?;
    let names = ["AVERAGE", "SUM", "MIN", "MAX"];
    let function = call.int("aggregate_function")?.unwrap_or(1);
    let name = usize::try_from(function).ok().and_then(|place| names.get(place));
    let (aggregate, average) =
        aggregate(name.ok_or_else(|| value_error("aggregate_function", &function, "0 to 3"))?)?;
    let transform = Transform::numbered(call.int("post_transform")?.unwrap_or(0))?;
    let to = call.ty(call.input(0)?).dtype;
    let x = examples(call)?;
    let mut y = scores(call, x, &forest, targets, aggregate)?;
    if average {
        y = divided(call, y, forest.roots.len())?;
    }
    if transform != Transform::None {
        y = transform::narrowed(call, y)?;
        y = transform::apply(call, transform, y)?;
    }
    if call.ty(y).dtype != to {
        return call.apply_to(op::Cast { to }, &[y]);
    }
    Ok(vec![call.as_output(0, y)?])
}

/// Outputs: the classes and the scores of all classes.
pub(super) fn classifier(call: &mut Call<'_>) -> Outputs {
    let mut forest = numbered_forest(call, "class")?;
    let labels = Labels::of(call, "classlabels_int64s", "classlabels_strings")?;
    let classes = labels.len();
    let transform = Transform::of(call)?;
    let base = floats(call, "base_values")?.unwrap_or_default();
    let right = match classes {
        2 => base.len() <= 2,
        _ => base.is_empty() || base.len() as u64 == classes,
    };
    if !right {
        let supported = format!("{classes}, one for each class");
        return Err(value_error("base_values", &format!("{} values", base.len()), &supported));
    }
    let all = forest.nodes.iter().filter_map(|node| match node {
        Node::Leaf(weights) => Some(weights),
        Node::Split(_) => None,
    });
    let (mut scored, mut positive) = (vec![false; classes as usize], true);
    for &(class, weight) in all.flatten() {
        positive &= weight >= 0.0;
        if let Some(scored) = scored.get_mut(class as usize) {
            *scored = true;
        }
    }
    let x = examples(call)?;
    if classes == 2 {
        let two = transform::Two { scored: [scored[0], scored[1]], positive, base };
        let scores = if scored[0] && scored[1] {
            let z = scores(call, x, &forest, 2, Aggregate::Sum)?;
            [transform::column(call, z, 0)?, transform::column(call, z, 1)?]
        } else {
            // All trees are for one class, so the other needs no sum.
            let known = u64::from(scored[1]);
            forest.rename(known)?;
            let z = scores(call, x, &forest, 1, Aggregate::Sum)?;
            let (dtype, rows) = (call.ty(z).dtype, call.ty(z).shape[0]);
            let none = call.import.zeros("none", TensorType::new(dtype, [rows, 1]))?;
            if scored[0] { [z, none] } else { [none, z] }
        };
        return transform::two_classes(call, scores, &labels, transform, &two);
    }
    let mut z = scores(call, x, &forest, classes, Aggregate::Sum)?;
    if !base.is_empty() {
        let dtype = call.ty(z).dtype;
        let base = transform::constant(call, "base", &base, &[classes], dtype);
        z = call.step("based", op::Add, &[z, base])?;
        scored.fill(true);
    }
    z = transform::narrowed(call, z)?;
    if classes == 1 {
        return transform::one_class(call, z, &labels, transform);
    }
    // A class of which no tree knows is not chosen.
    let mut chosen = z;
    if scored.contains(&false) {
        let least: Vec<f64> =
            scored.iter().map(|&scored| if scored { 0.0 } else { f64::NEG_INFINITY }).collect();
        let least = transform::constant(call, "unscored", &least, &[classes], DType::F32);
        chosen = call.step("candidates", op::Add, &[z, least])?;
    }
    let label = labels.largest(call, chosen)?;
    let z = transform::apply(call, transform, z)?;
    Ok(vec![label, call.as_output(1, z)?])
}
