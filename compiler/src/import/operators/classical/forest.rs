//! Decision trees as a table in which every step asks `x[feature] <= threshold`.
//!
//! A NaN is never less or equal, so it always goes the other way. Where it should not, or where a node asks for
//! something else, the question is turned around: `x >= t` is `-x <= -t`, so features have their negatives
//! beside them if anybody asks for them. `x < t` is `x <=` the float before t. Equality takes two steps, and a
//! set is searched by halves.

use dnn_lib::tensor::DType;

use crate::error::NodeError;
use crate::import::call::value_error;

/// Trees as a model has them.
#[derive(Debug)]
pub(super) struct Forest {
    pub nodes: Vec<Node>,
    /// The roots, in the order of the trees.
    pub roots: Vec<usize>,
    /// What the model calls its nodes, for messages: the tree, if it has a number, and the node.
    pub names: Vec<(Option<i64>, i64)>,
}

#[derive(Debug)]
pub(super) enum Node {
    Split(Split),
    /// The weights, with what each is for.
    Leaf(Vec<(u64, f64)>),
}

#[derive(Debug)]
pub(super) struct Split {
    pub feature: u64,
    pub rule: Rule,
    pub threshold: f64,
    /// Whether a NaN goes where the rule holds.
    pub missing: bool,
    /// Where to go if the rule does not hold, and if it does.
    pub children: [usize; 2],
}

#[derive(Debug)]
pub(super) enum Rule {
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
    /// Whether it is one of these, which are in order.
    Member(Vec<f64>),
}

impl Rule {
    /// The steps that it takes at most.
    fn steps(&self) -> u64 {
        match self {
            Self::Equal | Self::NotEqual => 2,
            Self::Member(values) => 2 + u64::from(values.len().next_power_of_two().trailing_zeros()),
            _ => 1,
        }
    }
}

/// The nodes as [`dnn_lib::operator::TreeLeaves`] takes them.
pub(super) struct Table {
    /// Feature, bits of the threshold, next row, number of the leaf.
    pub rows: Vec<[u64; 4]>,
    /// The most steps from a root to a leaf.
    pub depth: u64,
    /// Whether the negatives of the features are needed behind them.
    pub mirrored: bool,
    /// The node of each leaf, by its number; `None` is that of the trees that are not there.
    pub leaves: Vec<Option<usize>>,
}

impl Forest {
    fn name(&self, node: usize) -> String {
        match self.names.get(node) {
            Some((Some(tree), node)) => format!("node {node} of tree {tree}"),
            Some((None, node)) => format!("node {node}"),
            None => "a leaf".to_owned(),
        }
    }

    /// Makes the only target 0. Others are refused.
    pub fn rename(&mut self, only: u64) -> Result<(), NodeError> {
        for node in &mut self.nodes {
            let Node::Leaf(weights) = node else { continue };
            for (target, _) in weights {
                if *target != only {
                    return Err(value_error("class_ids", target, "0, 1"));
                }
                *target = 0;
            }
        }
        Ok(())
    }

    /// The leaves of a tree that has been checked.
    pub fn leaves(&self, root: usize) -> impl Iterator<Item = &[(u64, f64)]> {
        let mut left = vec![root];
        std::iter::from_fn(move || {
            loop {
                match &self.nodes[left.pop()?] {
                    Node::Split(split) => left.extend(split.children),
                    Node::Leaf(weights) => return Some(&weights[..]),
                }
            }
        })
    }

    /// Checks that trees are trees: no node has two parents, so there is no cycle, and every end is a leaf with
    /// a weight. Features and thresholds must make sense. Gives the most steps from a root to a leaf.
    pub fn check(&self, features: u64) -> Result<u64, NodeError> {
        let mut seen = vec![false; self.nodes.len()];
        let mut deepest = 0;
        for &root in &self.roots {
            let mut left = vec![(root, 0)];
            while let Some((node, level)) = left.pop() {
                let Node::Split(split) = &self.nodes[node] else {
                    deepest = deepest.max(level);
                    continue;
                };
                if std::mem::replace(&mut seen[node], true) {
                    let found = format!("such that {} can be reached on two ways", self.name(node));
                    return Err(value_error("nodes_truenodeids", &found, "trees, without cycles"));
                }
                if split.feature >= features {
                    let found = format!("{} in {}", split.feature, self.name(node));
                    let supported = format!("0 to {}, the features of input 0", features.saturating_sub(1));
                    return Err(value_error("nodes_featureids", &found, &supported));
                }
                if split.threshold.is_nan() {
                    let found = format!("NaN in {}", self.name(node));
                    return Err(value_error("nodes_values", &found, "numbers, infinities among them"));
                }
                let level: u64 = level + split.rule.steps();
                left.extend(split.children.map(|child| (child, level)));
            }
        }
        let bare =
            self.nodes.iter().position(|node| matches!(node, Node::Leaf(weights) if weights.is_empty()));
        if let Some(node) = bare {
            let found = format!("without one for {}", self.name(node));
            return Err(value_error("target or class weights", &found, "a weight at least for each leaf"));
        }
        Ok(deepest)
    }

    /// The table of trees that have been checked. A slot without a root is a tree of one leaf.
    pub fn table(&self, slots: &[Option<usize>], features: u64, depth: u64, dtype: DType) -> Table {
        let mut rows = vec![[0; 4]; slots.len()];
        let (mut leaves, mut known) = (Vec::new(), vec![None; self.nodes.len()]);
        let mut numbers = vec![None; self.nodes.len()];
        let mut left: Vec<(usize, Option<usize>)> = slots.iter().copied().enumerate().collect();
        let (mut mirrored, mut empty) = (false, None);
        let float = Float(dtype);
        while let Some((place, node)) = left.pop() {
            let split = node.and_then(|node| match &self.nodes[node] {
                Node::Split(split) => Some((node, split)),
                Node::Leaf(_) => None,
            });
            let Some((node, split)) = split else {
                let number = node.map_or(&mut empty, |node| &mut numbers[node]);
                let number = *number.get_or_insert_with(|| {
                    leaves.push(node);
                    leaves.len() as u64 - 1
                });
                rows[place] = [0, float.bits(f64::NAN), place as u64, number];
                continue;
            };
            if let Some(row) = known[node] {
                rows[place] = row;
                continue;
            }
            let tests = Tests::of(split, float).0;
            mirrored |= tests.iter().any(|test| test.mirrored);
            let first = rows.len();
            let row = |index: usize| {
                let Test { mirrored, threshold, .. } = tests[index];
                let feature = split.feature + if mirrored { features } else { 0 };
                [feature, float.bits(threshold), (first + 2 * index) as u64, 0]
            };
            rows.resize(first + 2 * tests.len(), [0; 4]);
            known[node] = Some(row(0));
            rows[place] = row(0);
            for (index, arm) in tests.iter().flat_map(|test| test.arms).enumerate() {
                match arm {
                    Arm::Test(next) => rows[first + index] = row(next),
                    Arm::Node(node) => left.push((first + index, Some(node))),
                }
            }
        }
        rows.resize(rows.len().next_power_of_two(), [0; 4]);
        Table { rows, depth, mirrored, leaves }
    }
}

/// A question: is the feature, or its negative, less than or equal to the threshold?
#[derive(Clone, Copy)]
struct Test {
    mirrored: bool,
    threshold: f64,
    /// Where to go if it is larger or a NaN, and if not.
    arms: [Arm; 2],
}

#[derive(Clone, Copy)]
enum Arm {
    /// Another question of the same node.
    Test(usize),
    Node(usize),
}

/// The questions that a node asks, beginning with the first.
struct Tests(Vec<Test>);

impl Tests {
    fn of(split: &Split, float: Float) -> Self {
        let mut tests = Self(Vec::new());
        let ([no, yes], t) = (split.children.map(Arm::Node), split.threshold);
        // A NaN goes where the question is answered by no, so who wants it elsewhere asks for the opposite.
        match (&split.rule, split.missing) {
            (Rule::LessOrEqual, false) => tests.at_most(t, yes, no),
            (Rule::LessOrEqual, true) => tests.at_least(float.after(t), no, yes),
            (Rule::Less, false) => tests.at_most(float.before(t), yes, no),
            (Rule::Less, true) => tests.at_least(t, no, yes),
            (Rule::GreaterOrEqual, false) => tests.at_least(t, yes, no),
            (Rule::GreaterOrEqual, true) => tests.at_most(float.before(t), no, yes),
            (Rule::Greater, false) => tests.at_least(float.after(t), yes, no),
            (Rule::Greater, true) => tests.at_most(t, no, yes),
            (Rule::Equal, missing) => tests.member(&[t], float, (yes, no), missing),
            // Whatever is said about missing values, a NaN is not equal.
            (Rule::NotEqual, _) => tests.member(&[t], float, (no, yes), false),
            (Rule::Member(values), missing) => tests.member(values, float, (yes, no), missing),
        }
        tests
    }

    fn at_most(&mut self, threshold: f64, yes: Arm, no: Arm) {
        self.0.push(Test { mirrored: false, threshold, arms: [no, yes] });
    }

    fn at_least(&mut self, threshold: f64, yes: Arm, no: Arm) {
        self.0.push(Test { mirrored: true, threshold: -threshold, arms: [no, yes] });
    }

    /// Whether x is one of the values, which are in order. A NaN is as `missing` says.
    fn member(&mut self, values: &[f64], float: Float, (yes, no): (Arm, Arm), missing: bool) {
        let next = Arm::Test(self.0.len() + 1);
        if let &[value] = values {
            if missing {
                self.at_least(float.after(value), no, next);
            } else {
                self.at_most(value, next, no);
            }
            self.at_most(float.before(value), no, yes);
            return;
        }
        let (lower, upper) = values.split_at(values.len() / 2);
        let place = self.0.len();
        self.at_most(lower.last().copied().unwrap_or(f64::NAN), next, no);
        self.member(lower, float, (yes, no), missing);
        // A NaN goes on here.
        self.0[place].arms[0] = Arm::Test(self.0.len());
        self.member(upper, float, (yes, no), missing);
    }
}

/// The type of thresholds.
#[derive(Clone, Copy)]
struct Float(DType);

impl Float {
    /// The float before a number. Nothing is less than minus infinity, and nothing is less than or equal to a
    /// NaN.
    fn before(self, t: f64) -> f64 {
        match (t == f64::NEG_INFINITY, self.0) {
            (true, _) => f64::NAN,
            (false, DType::F64) => t.next_down(),
            (false, _) => (t as f32).next_down().into(),
        }
    }

    fn after(self, t: f64) -> f64 {
        -self.before(-t)
    }

    fn bits(self, t: f64) -> u64 {
        match self.0 {
            DType::F64 => t.to_bits(),
            _ => (t as f32).to_bits().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use dnn_lib::tensor::DType;
    use proptest::prelude::*;

    use super::{Forest, Node, Rule, Split, Table};

    /// Numbers among which many are equal, and some are special.
    fn few() -> impl Strategy<Value = f64> {
        let number = (-3..4).prop_map(|x| f64::from(x) / 2.0);
        let special = prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-0.0), Just(1e-45)];
        prop_oneof![8 => number, 1 => special]
    }

    fn rule() -> impl Strategy<Value = Rule> {
        let set = proptest::collection::vec(few(), 1..6).prop_map(|mut values| {
            values.sort_unstable_by(f64::total_cmp);
            values.dedup();
            Rule::Member(values)
        });
        let plain = (0..6).prop_map(|number| match number {
            0 => Rule::LessOrEqual,
            1 => Rule::Less,
            2 => Rule::GreaterOrEqual,
            3 => Rule::Greater,
            4 => Rule::Equal,
            _ => Rule::NotEqual,
        });
        prop_oneof![3 => plain, 1 => set]
    }

    const FEATURES: u64 = 3;

    /// Two trees. Each new node takes the place of a leaf.
    fn forest() -> impl Strategy<Value = Forest> {
        let split = (0..FEATURES, rule(), few(), any::<bool>(), any::<proptest::sample::Index>());
        proptest::collection::vec(split, 0..12).prop_map(|splits| {
            let mut nodes = vec![Node::Leaf(vec![(0, 0.0)]), Node::Leaf(vec![(0, 1.0)])];
            for (feature, rule, threshold, missing, at) in splits {
                let leaves: Vec<usize> =
                    (0..nodes.len()).filter(|&node| matches!(nodes[node], Node::Leaf(_))).collect();
                let at = leaves[at.index(leaves.len())];
                let children = [nodes.len(), nodes.len() + 1];
                for child in children {
                    nodes.push(Node::Leaf(vec![(0, child as f64)]));
                }
                nodes[at] = Node::Split(Split { feature, rule, threshold, missing, children });
            }
            Forest { nodes, roots: vec![0, 1], names: Vec::new() }
        })
    }

    /// The leaf of an example, as the specification says it.
    fn right(forest: &Forest, root: usize, x: &[f64]) -> usize {
        let mut at = root;
        while let Node::Split(split) = &forest.nodes[at] {
            let (x, t) = (x[split.feature as usize], split.threshold);
            let holds = match &split.rule {
                Rule::LessOrEqual => x <= t,
                Rule::Less => x < t,
                Rule::GreaterOrEqual => x >= t,
                Rule::Greater => x > t,
                Rule::Equal => x == t,
                Rule::NotEqual => x != t,
                Rule::Member(values) => values.contains(&x),
            };
            at = split.children[usize::from(holds || (split.missing && x.is_nan()))];
        }
        at
    }

    /// The leaf of an example, by the table.
    fn found(table: &Table, wide: bool, root: usize, x: &[f64]) -> Option<usize> {
        let x: Vec<f64> = x.iter().copied().chain(x.iter().map(|x| -x)).collect();
        let mut row = table.rows[root];
        for _ in 0..table.depth {
            let bits = row[1];
            let t = if wide { f64::from_bits(bits) } else { f32::from_bits(bits as u32).into() };
            row = table.rows[row[2] as usize + usize::from(x[row[0] as usize] <= t)];
        }
        table.leaves[row[3] as usize]
    }

    proptest! {
        #[test]
        fn a_table_leads_to_the_same_leaves(
            forest in forest(),
            x in proptest::collection::vec(prop_oneof![9 => few(), 1 => Just(f64::NAN)], FEATURES as usize),
            wide in any::<bool>(),
        ) {
            let dtype = if wide { DType::F64 } else { DType::F32 };
            let depth = forest.check(FEATURES).expect("trees");
            let slots = [Some(0), None, Some(1)];
            let table = forest.table(&slots, FEATURES, depth, dtype);
            prop_assert!(table.rows.len().is_power_of_two());
            // Types agree on all numbers but the smallest, which are as they are stored.
            let x: Vec<f64> = x.iter().map(|&x| if wide { x } else { (x as f32).into() }).collect();
            let mut forest = forest;
            if !wide {
                narrow(&mut forest);
            }
            for (slot, root) in slots.iter().enumerate() {
                let right = root.map(|root| right(&forest, root, &x));
                prop_assert_eq!(found(&table, wide, slot, &x), right, "slot {}", slot);
            }
        }
    }

    /// Thresholds as floats of 32 bits.
    fn narrow(forest: &mut Forest) {
        for node in &mut forest.nodes {
            let Node::Split(split) = node else { continue };
            split.threshold = (split.threshold as f32).into();
            if let Rule::Member(values) = &mut split.rule {
                values.iter_mut().for_each(|value| *value = (*value as f32).into());
            }
        }
    }

    fn split(children: [usize; 2]) -> Node {
        Node::Split(Split { feature: 0, rule: Rule::Less, threshold: 0.0, missing: false, children })
    }

    fn error(nodes: Vec<Node>, roots: Vec<usize>) -> String {
        let names = (0..nodes.len() as i64).map(|node| (Some(7), node)).collect();
        Forest { nodes, roots, names }.check(1).expect_err("no trees").to_string()
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let leaf = || Node::Leaf(vec![(0, 1.0)]);
        let cycle = error(vec![split([0, 1]), leaf()], vec![0]);
        assert!(cycle.contains("node 0 of tree 7 can be reached on two ways"), "{cycle}");
        let two_parents = error(vec![split([1, 1]), split([2, 2]), leaf()], vec![0]);
        assert!(two_parents.contains("node 1 of tree 7"), "{two_parents}");
        let bare = error(vec![split([1, 1]), Node::Leaf(Vec::new())], vec![0]);
        assert!(bare.contains("without one for node 1"), "{bare}");
        let mut other = split([1, 1]);
        if let Node::Split(split) = &mut other {
            split.feature = 1;
        }
        assert!(error(vec![other, leaf()], vec![0]).contains("nodes_featureids"));
    }
}
