//! Sums of two floats as numbers.

use crate::math::Arithmetic;

/// The sum of two floats, of which the first is that sum rounded.
pub(super) struct Pair<A: Arithmetic> {
    /// The nearest float.
    pub high: A::F64,
    /// What it lacks.
    pub low: A::F64,
}

impl<A: Arithmetic> Clone for Pair<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Arithmetic> Copy for Pair<A> {}

/// The reciprocal of a whole number, as the two floats of a pair.
const fn reciprocal(number: f64) -> [f64; 2] {
    let high = 1.0 / number;
    // The product of halves of the factors is exact (Dekker).
    let [a, b] = [halves(number), halves(high)];
    let product = number * high;
    let lost = ((a[0] * b[0] - product) + a[0] * b[1] + a[1] * b[0]) + a[1] * b[1];
    [high, ((1.0 - product) - lost) / number]
}

/// A float as a sum of two with half as many bits.
const fn halves(x: f64) -> [f64; 2] {
    let large = x * ((1 << 27) + 1) as f64;
    let high = large - (large - x);
    [high, x - high]
}

/// 1 / first!, 1 / (first + step)! and so on, with signs in turn if `alternating`, from minus on.
pub(super) const fn factorials<const N: usize>(first: u32, step: u32, alternating: bool) -> [[f64; 2]; N] {
    let mut series = [[0.0; 2]; N];
    let (mut of, mut factorial, mut i) = (1, 1.0, 0);
    while i < N {
        while of < first + step * i as u32 {
            of += 1;
            factorial *= of as f64;
        }
        series[i] = signed(reciprocal(factorial), alternating && i.is_multiple_of(2));
        i += 1;
    }
    series
}

/// 1/3, 1/5, 1/7 and so on, with signs in turn if `alternating`, from minus on.
pub(super) const fn odd_reciprocals<const N: usize>(alternating: bool) -> [[f64; 2]; N] {
    let mut series = [[0.0; 2]; N];
    let mut i = 0;
    while i < N {
        series[i] = signed(reciprocal((2 * i + 3) as f64), alternating && i.is_multiple_of(2));
        i += 1;
    }
    series
}

/// Minus 1 / (1! 3), 1 / (2! 5), minus 1 / (3! 7) and so on.
pub(super) const fn areas<const N: usize>() -> [[f64; 2]; N] {
    let mut series = [[0.0; 2]; N];
    let (mut factorial, mut i) = (1.0, 0);
    while i < N {
        factorial *= (i + 1) as f64;
        series[i] = signed(reciprocal(factorial * (2 * i + 3) as f64), i.is_multiple_of(2));
        i += 1;
    }
    series
}

const fn signed(x: [f64; 2], negative: bool) -> [f64; 2] {
    if negative { [-x[0], -x[1]] } else { x }
}

/// Arithmetic of pairs. Results are off by about 2^-100 of themselves.
pub(super) trait Pairs: Arithmetic + Sized {
    /// A constant.
    fn pair(&mut self, [high, low]: [f64; 2]) -> Pair<Self> {
        Pair { high: self.f64(high), low: self.f64(low) }
    }

    /// A float.
    fn single(&mut self, high: Self::F64) -> Pair<Self> {
        Pair { high, low: self.f64(0.0) }
    }

    /// `a + b`, exactly.
    fn exact_sum(&mut self, a: Self::F64, b: Self::F64) -> Pair<Self> {
        let high = self.add(a, b);
        let of_a = self.sub(high, b);
        let of_b = self.sub(high, of_a);
        let (lost_of_a, lost_of_b) = (self.sub(a, of_a), self.sub(b, of_b));
        Pair { high, low: self.add(lost_of_a, lost_of_b) }
    }

    /// `a + b`, exactly, where |a| is not less than |b|.
    fn ordered_sum(&mut self, a: Self::F64, b: Self::F64) -> Pair<Self> {
        let high = self.add(a, b);
        let added = self.sub(high, a);
        Pair { high, low: self.sub(b, added) }
    }

    /// `a * b`, exactly.
    fn exact_product(&mut self, a: Self::F64, b: Self::F64) -> Pair<Self> {
        let high = self.mul(a, b);
        Pair { high, low: self.fms(a, b, high) }
    }

    /// `a + b`.
    fn plus(&mut self, a: Pair<Self>, b: Pair<Self>) -> Pair<Self> {
        let (high, low) = (self.exact_sum(a.high, b.high), self.exact_sum(a.low, b.low));
        let middle = self.add(high.low, low.high);
        let sum = self.ordered_sum(high.high, middle);
        let rest = self.add(sum.low, low.low);
        self.ordered_sum(sum.high, rest)
    }

    /// `a + b`.
    fn plus_float(&mut self, a: Pair<Self>, b: Self::F64) -> Pair<Self> {
        let sum = self.exact_sum(a.high, b);
        let rest = self.add(sum.low, a.low);
        self.ordered_sum(sum.high, rest)
    }

    /// `a * b`.
    fn times(&mut self, a: Pair<Self>, b: Pair<Self>) -> Pair<Self> {
        let product = self.exact_product(a.high, b.high);
        let rest = self.fma(a.high, b.low, product.low);
        let rest = self.fma(a.low, b.high, rest);
        self.ordered_sum(product.high, rest)
    }

    /// `a * b`.
    fn times_float(&mut self, a: Pair<Self>, b: Self::F64) -> Pair<Self> {
        let product = self.exact_product(a.high, b);
        let rest = self.fma(a.low, b, product.low);
        self.ordered_sum(product.high, rest)
    }

    /// `a` times a power of two, or its opposite.
    fn doubled(&mut self, a: Pair<Self>, power: Self::F64) -> Pair<Self> {
        Pair { high: self.mul(a.high, power), low: self.mul(a.low, power) }
    }

    /// `a / b`.
    fn over(&mut self, a: Pair<Self>, b: Pair<Self>) -> Pair<Self> {
        let quotient = self.div(a.high, b.high);
        let beyond = self.fms(quotient, b.high, a.high);
        let beyond = self.fma(quotient, b.low, beyond);
        let lacks = self.sub(a.low, beyond);
        let rest = self.div(lacks, b.high);
        self.ordered_sum(quotient, rest)
    }

    /// The square root.
    fn root(&mut self, a: Pair<Self>) -> Pair<Self> {
        let root = self.sqrt(a.high);
        let beyond = self.fms(root, root, a.high);
        let lacks = self.sub(a.low, beyond);
        let twice = self.add(root, root);
        let rest = self.div(lacks, twice);
        let zero = self.f64(0.0);
        let positive = self.less(zero, root);
        let rest = self.select(positive, rest, zero);
        self.ordered_sum(root, rest)
    }

    /// `then` where the condition holds, else `otherwise`.
    fn choose(&mut self, condition: Self::Bool, then: Pair<Self>, otherwise: Pair<Self>) -> Pair<Self> {
        Pair {
            high: self.select(condition, then.high, otherwise.high),
            low: self.select(condition, then.low, otherwise.low),
        }
    }

    /// A polynomial with the coefficients of x^0, x^1 and so on. Only the first ones are pairs that count: what
    /// follows is small enough for floats.
    fn series(&mut self, x: Pair<Self>, coefficients: &[[f64; 2]], exact: usize) -> Pair<Self> {
        let (first, small) = coefficients.split_at(exact);
        let small: Vec<f64> = small.iter().map(|coefficient| coefficient[0]).collect();
        let sum = self.polynomial(x.high, &small);
        let mut sum = self.single(sum);
        for &coefficient in first.iter().rev() {
            let (product, coefficient) = (self.times(sum, x), self.pair(coefficient));
            sum = self.plus(coefficient, product);
        }
        sum
    }
}

impl<A: Arithmetic> Pairs for A {}
