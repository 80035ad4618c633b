//! Sums of products: the inner loops of matrix products and convolutions.
//!
//! Every output has one accumulator, which takes its products in ascending order of k, each with one fused
//! multiply-add. For speed, several outputs are computed side by side: a tile of rows and columns loads `rows
//! + columns` elements for `rows * columns` products. This changes no output.

use crate::kernel::{Builder, Ops, Type, Value};
use crate::layout::{Dim, coordinates, position};
use crate::tensor::DType;

/// One factor of the products: `count` vectors of the same length (the rows of one factor or the columns of
/// the other).
#[derive(Clone, Copy, Debug)]
pub(super) struct Factor {
    /// The address of element 0 of vector 0.
    pub(super) base: Value,
    /// The number of vectors.
    pub(super) count: u64,
    /// The distance between vectors, in bytes.
    pub(super) stride: i64,
    /// The distance between elements of a vector, in bytes.
    pub(super) step: i64,
}

/// The largest displacement in a load instruction (on RISC-V, 12 bits, signed). Beyond it, more addresses are
/// carried.
const REACH: i64 = 2047;

/// A factor's loads: the addresses to be carried through the loop, and for each vector the address that it
/// uses and its displacement.
struct Loads {
    bases: Vec<Value>,
    vectors: Vec<(usize, i64)>,
    step: i64,
}

impl Loads {
    /// Lets as many vectors as possible share an address, if `unroll` elements must be reachable from it.
    fn new(b: &mut Builder, factor: &Factor, unroll: u64) -> Self {
        let room = REACH - (unroll as i64 - 1) * factor.step;
        let shared = if factor.stride == 0 { factor.count } else { (room / factor.stride + 1).max(1) as u64 };
        let bases = (0..factor.count).step_by(shared as usize);
        let bases = bases.map(|first| b.add_const(factor.base, first as i64 * factor.stride)).collect();
        let vectors =
            (0..factor.count).map(|i| ((i / shared) as usize, (i % shared) as i64 * factor.stride)).collect();
        Self { bases, vectors, step: factor.step }
    }

    /// Loads element `k` of each vector, counted from the addresses given.
    fn load(&self, b: &mut Builder, dtype: DType, bases: &[Value], k: u64) -> Vec<Value> {
        let element = |&(base, displacement): &(usize, i64)| {
            let displacement = displacement + k as i64 * self.step;
            match i32::try_from(displacement) {
                Ok(displacement) => b.load(dtype, bases[base], displacement),
                Err(_) => {
                    let address = b.add_const(bases[base], displacement);
                    b.load(dtype, address, 0)
                }
            }
        };
        self.vectors.iter().map(element).collect()
    }
}

/// Adds the products of `depth` elements to `rows * columns` accumulators, in row-major order.
pub(super) fn accumulate(
    b: &mut Builder,
    dtype: DType,
    depth: u64,
    factors: [Factor; 2],
    accumulators: &[Value],
) -> Vec<Value> {
    let unroll = unroll(depth, &factors);
    let loads = factors.map(|factor| Loads::new(b, &factor, unroll));
    let counts = loads.each_ref().map(|loads| loads.bases.len());
    let products = |b: &mut Builder, carried: &[Value], steps: u64| {
        let (bases, accumulators) = carried.split_at(counts[0] + counts[1]);
        let (rows, columns) = bases.split_at(counts[0]);
        let mut sums = accumulators.to_vec();
        for k in 0..steps {
            let rows = loads[0].load(b, dtype, rows, k);
            let columns = loads[1].load(b, dtype, columns, k);
            let pairs = rows.iter().flat_map(|&row| columns.iter().map(move |&column| (row, column)));
            for (sum, (row, column)) in sums.iter_mut().zip(pairs) {
                *sum = b.fma(row, column, *sum);
            }
        }
        sums
    };
    let mut carried = [&loads[0].bases[..], &loads[1].bases, accumulators].concat();
    let (rounds, rest) = (depth / unroll, depth % unroll);
    if rounds > 1 {
        // The loop counts in the first address.
        let step = loads[0].step * unroll as i64;
        let (start, init) = (carried[0], carried[1..].to_vec());
        let end = b.add_const(start, rounds as i64 * step);
        let results = b.for_bounded(start, end, step, rounds, &init, |b, index, carried| {
            let carried = [&[index], carried].concat();
            let sums = products(b, &carried, unroll);
            let steps = loads.iter().flat_map(|loads| std::iter::repeat_n(loads.step, loads.bases.len()));
            let next = carried
                .iter()
                .zip(steps)
                .skip(1)
                .map(|(&base, step)| b.add_const(base, step * unroll as i64));
            next.chain(sums).collect()
        });
        carried = [&[end], &results[..]].concat();
    }
    products(b, &carried, if rounds > 1 { rest } else { depth })
}

/// How many elements of each vector to take in one iteration: few if the tile is large, and only as many as
/// can be reached from one address.
fn unroll(depth: u64, factors: &[Factor; 2]) -> u64 {
    let tile = factors[0].count * factors[1].count;
    let reachable = |unroll: u64| factors.iter().all(|factor| (unroll as i64 - 1) * factor.step <= REACH);
    let wanted = (16 / tile).clamp(1, 8);
    (1..=wanted.min(depth.max(1))).rev().find(|&unroll| reachable(unroll)).unwrap_or(1)
}

/// The size of a tile along a dimension of this size.
pub(super) fn tile(size: u64, most: u64) -> u64 {
    size.clamp(1, most)
}

/// Builds code for the part of `0..size` that begins at `start`, a multiple of `tile`: once for a whole tile
/// and, if the last one is smaller, once for that.
pub(super) fn by_extent(
    b: &mut Builder,
    start: Value,
    size: u64,
    tile: u64,
    body: &mut dyn FnMut(&mut Builder, u64),
) {
    let rest = size % tile;
    if rest == 0 {
        return body(b, tile);
    }
    if size < tile {
        return body(b, rest);
    }
    let last = b.i64((size - rest) as i64);
    let whole = b.lt(start, last);
    let body = std::cell::RefCell::new(body);
    let build = |extent: u64| {
        let body = &body;
        move |b: &mut Builder| {
            (body.borrow_mut())(b, extent);
            vec![]
        }
    };
    b.if_(whole, build(tile), build(rest));
}

/// A stack of matrix products and their layout in memory. All strides are in elements.
#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) dtype: DType,
    /// The stack: the layout of both factors in it.
    pub(super) stack: [Vec<Dim>; 2],
    /// The rows of the output; `None` if the output has no such dimension.
    pub(super) rows: Option<Dim>,
    /// The columns of the output; `None` if the output has no such dimension.
    pub(super) columns: Option<Dim>,
    /// The length of the sums.
    pub(super) depth: u64,
    /// The distances between elements in a row of the first factor and in a column of the second.
    pub(super) steps: [u64; 2],
}

/// Converts a sum, with its row and column, to the value that is stored.
pub(super) type Finish<'a> = &'a mut dyn FnMut(&mut Builder, Value, [Value; 2]) -> Value;

impl Product {
    /// The size of a tile of the output. A square tile needs the fewest loads per product.
    fn tile_sizes(&self) -> [u64; 2] {
        let size = |dim: Option<Dim>| dim.map_or(1, |dim| dim.size);
        match [size(self.rows), size(self.columns)] {
            [1, columns] => [1, tile(columns, 8)],
            [rows, 1] => [tile(rows, 8), 1],
            [rows, columns] => [tile(rows, 4), tile(columns, 4)],
        }
    }

    /// The shape of a unit of the output.
    pub(super) fn tile(&self) -> Vec<u64> {
        let sizes = self.tile_sizes();
        let mut tile = vec![1; self.stack[0].len()];
        tile.extend(self.rows.map(|_| sizes[0]));
        tile.extend(self.columns.map(|_| sizes[1]));
        tile
    }

    /// Builds the kernel's body.
    pub(super) fn lower(&self, b: &mut Builder, finish: Finish<'_>) {
        let (lo, hi) = (b.lo(), b.hi());
        b.for_(lo, hi, 1, &[], |b, unit, _| {
            self.unit(b, unit, finish);
            vec![]
        });
    }

    fn unit(&self, b: &mut Builder, unit: Value, finish: Finish<'_>) {
        let [rows, columns] = [self.rows, self.columns].map(|dim| dim.unwrap_or(Dim { size: 1, stride: 0 }));
        let tile = self.tile_sizes();
        let stack: u64 = self.stack[0].iter().map(|dim| dim.size).product();
        let grid = [stack, rows.size.div_ceil(tile[0]), columns.size.div_ceil(tile[1])];
        let at = coordinates(b, unit, &grid);
        let row = b.mul_const(at[1], tile[0] as i64);
        let column = b.mul_const(at[2], tile[1] as i64);
        let a = self.vectors(b, 0, at[0], row, rows.stride);
        let c = self.vectors(b, 1, at[0], column, columns.stride);
        let matrix = b.mul_const(at[0], (rows.size * columns.size) as i64);
        let first_row = b.mul_const(row, columns.size as i64);
        let first = b.add(matrix, first_row);
        let first = b.add(first, column);
        let output = b.output();
        let output = b.element(self.dtype, output, first);
        by_extent(b, row, rows.size, tile[0], &mut |b, row_count| {
            by_extent(b, column, columns.size, tile[1], &mut |b, column_count| {
                let zero = b.number(Type::of(self.dtype), 0);
                let zeros = vec![zero; (row_count * column_count) as usize];
                let factors = [Factor { count: row_count, ..a }, Factor { count: column_count, ..c }];
                let sums = accumulate(b, self.dtype, self.depth, factors, &zeros);
                for (i, sum) in (0..).zip(sums) {
                    let (i, j) = (i / column_count, i % column_count);
                    let at = [b.add_const(row, i as i64), b.add_const(column, j as i64)];
                    let sum = finish(b, sum, at);
                    store_at(b, self.dtype, output, i * columns.size + j, sum);
                }
            });
        });
    }

    /// The rows of the first factor, or the columns of the second, from `first` on.
    fn vectors(&self, b: &mut Builder, factor: usize, stack: Value, first: Value, stride: u64) -> Factor {
        let size = self.dtype.size();
        let matrix = position(b, stack, &self.stack[factor]);
        let offset = b.mul_const(first, stride as i64);
        let offset = b.add(matrix, offset);
        let base = b.input(factor);
        let base = b.element(self.dtype, base, offset);
        Factor { base, count: 1, stride: (stride * size) as i64, step: (self.steps[factor] * size) as i64 }
    }
}

/// Stores element `index` of an array at `base`.
pub(super) fn store_at(b: &mut Builder, dtype: DType, base: Value, index: u64, value: Value) {
    let offset = (index * dtype.size()) as i64;
    match i32::try_from(offset) {
        Ok(offset) => b.store(dtype, base, offset, value),
        Err(_) => {
            let address = b.add_const(base, offset);
            b.store(dtype, address, 0, value);
        }
    }
}
