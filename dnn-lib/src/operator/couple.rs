//! Probabilities of classes, of those of pairs.

use crate::definition::{Affine, Builder, Over, Source};
use crate::operator::error::{check_attribute, check_dtype, check_shape};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Value};
use crate::tensor::{DType, TensorType};

/// The probabilities of classes `[examples, classes]` that fit best those of the first one of each pair,
/// `[examples, pairs]` (Wu, Lin, Weng: Probability estimates for multi-class classification by pairwise coupling).
///
/// They begin as equal and are improved one after the other, until none is off by `0.005 / classes`, or 100 times.
/// Sums have one accumulator in the order of the classes, and every operation rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CouplePairs {
    /// The number of classes.
    pub classes: u64,
}

/// The most classes: what is carried grows with them, and the code with their square.
const MOST: u64 = 32;

const REPETITIONS: u64 = 100;

impl Semantics for CouplePairs {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        check_dtype(inputs, 0, &[DType::F32])?;
        check_attribute("classes", self.classes, (2..=MOST).contains(&self.classes), || {
            format!("2 to {MOST} are supported")
        })?;
        let pairs = self.classes * (self.classes - 1) / 2;
        let fits = matches!(inputs[0].shape[..], [_, found] if found == pairs);
        check_shape(inputs, 0, fits, || format!("must be [examples, {pairs}]"))?;
        Ok(TensorType::new(DType::F32, [inputs[0].shape[0], self.classes]))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let classes = self.classes as usize;
        let mut b = Builder::new("couplepairs", inputs, output);
        let (example, one) = (b.at(0), b.f32(1.0));
        // r[i][j] is the probability of i if it is i or j.
        let mut r = vec![vec![one; classes]; classes];
        let pairs = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
        for (pair, (i, j)) in (0..).zip(pairs) {
            let first = b.load(Source::Input(0), [example.clone(), Affine::from(pair)]);
            r[i][j] = first;
            r[j][i] = b.sub(one, first);
        }
        let q = quadratic(&mut b, &r);
        let (start, limit) = (b.f32(1.0 / self.classes as f32), b.f32(0.005 / self.classes as f32));
        let going = b.i32(1);
        let init = [vec![start; classes], vec![going]].concat();
        let done = b.fold([Over::all(REPETITIONS)], &init, |b, _, carried| {
            let (p, going) = carried.split_at(classes);
            improved(b, &q, p, going[0], limit)
        });
        let own = b.index(b.at(1));
        let mut result = done[0];
        for (class, &p) in done[..classes].iter().enumerate().skip(1) {
            let class = b.i64(class as i64);
            let here = b.eq(own, class);
            result = b.select(here, p, result);
        }
        Ok(b.finish(result)?.into())
    }
}

/// The matrix whose quadratic form is least at the probabilities.
fn quadratic(b: &mut Builder, r: &[Vec<Value>]) -> Vec<Vec<Value>> {
    let classes = r.len();
    let zero = b.f32(0.0);
    let mut q = vec![vec![zero; classes]; classes];
    for i in 0..classes {
        for j in (0..classes).filter(|&j| j != i) {
            let square = b.mul(r[j][i], r[j][i]);
            q[i][i] = b.add(q[i][i], square);
            if j > i {
                let product = b.mul(r[j][i], r[i][j]);
                q[i][j] = b.neg(product);
                q[j][i] = q[i][j];
            }
        }
    }
    q
}

fn sum_of_products(b: &mut Builder, pairs: impl Iterator<Item = (Value, Value)>) -> Value {
    let zero = b.f32(0.0);
    pairs.fold(zero, |sum, (x, y)| {
        let product = b.mul(x, y);
        b.add(sum, product)
    })
}

/// The next probabilities, and whether there may be others.
fn improved(b: &mut Builder, q: &[Vec<Value>], p: &[Value], going: Value, limit: Value) -> Vec<Value> {
    let (one, two, zero) = (b.f32(1.0), b.f32(2.0), b.f32(0.0));
    let mut qp: Vec<Value> =
        q.iter().map(|row| sum_of_products(b, row.iter().copied().zip(p.iter().copied()))).collect();
    let mut pqp = sum_of_products(b, p.iter().copied().zip(qp.clone()));
    let mut worst = zero;
    for &qp in &qp {
        let off = b.sub(qp, pqp);
        let off = b.abs(off);
        worst = b.max(worst, off);
    }
    let close = b.lt(worst, limit);
    let stop = b.i32(0);
    let going = b.select(close, stop, going);
    let mut next = p.to_vec();
    for i in 0..q.len() {
        let off = b.sub(pqp, qp[i]);
        let diff = b.div(off, q[i][i]);
        next[i] = b.add(next[i], diff);
        let scale = b.add(one, diff);
        let (linear, square) = (b.mul(two, qp[i]), b.mul(diff, q[i][i]));
        let change = b.add(square, linear);
        let change = b.mul(diff, change);
        let total = b.add(pqp, change);
        let total = b.div(total, scale);
        pqp = b.div(total, scale);
        for j in 0..q.len() {
            let change = b.mul(diff, q[i][j]);
            let total = b.add(qp[j], change);
            qp[j] = b.div(total, scale);
            next[j] = b.div(next[j], scale);
        }
    }
    let on = b.ne(going, stop);
    let mut yields: Vec<Value> = p.iter().zip(&next).map(|(&p, &next)| b.select(on, next, p)).collect();
    yields.push(going);
    yields
}
