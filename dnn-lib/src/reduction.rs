//! Reductions: sums whose order is fixed by 16 lanes.
//!
//! Element i goes to lane i mod 16, in ascending order, and each lane starts at +0. Then lane j adds lanes
//! j + 8, j + 4, j + 2 and j + 1 in turn, and lane 0 is the sum. A vector machine of any width up to 16 can
//! keep this order.

use crate::kernel::{Builder, Ops, Type, Value};

/// The number of lanes.
const LANES: u64 = 16;

/// Sums `count` values. The index of a value is given as a base and a constant to add.
pub(crate) fn sum(
    b: &mut Builder,
    ty: Type,
    count: u64,
    value: &mut dyn FnMut(&mut Builder, Value, u64) -> Value,
) -> Value {
    let zero = b.number(ty, 0);
    let mut lanes = vec![zero; LANES as usize];
    let whole = count / LANES * LANES;
    let mut add = |b: &mut Builder, lanes: &mut [Value], base: Value| {
        for (i, lane) in (0..).zip(lanes) {
            let value = value(b, base, i);
            *lane = b.add(*lane, value);
        }
    };
    let end = b.i64(whole as i64);
    if whole > 0 {
        let start = b.i64(0);
        lanes = b.for_(start, end, LANES as i64, &lanes, |b, base, lanes| {
            let mut lanes = lanes.to_vec();
            add(b, &mut lanes, base);
            lanes
        });
    }
    add(b, &mut lanes[..(count - whole) as usize], end);
    halve(b, lanes)
}

fn halve(b: &mut Builder, mut lanes: Vec<Value>) -> Value {
    while lanes.len() > 1 {
        let (low, high) = lanes.split_at(lanes.len() / 2);
        lanes = low.iter().zip(high).map(|(&low, &high)| b.add(low, high)).collect();
    }
    lanes[0]
}
