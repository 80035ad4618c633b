//! The machine's floating point against Berkeley SoftFloat, as an independent oracle.
//!
//! All combinations of special values come first, then random cases: 100,000 per operation and format, or the
//! number in `OPML_CASES`. The long run is
//!
//!     OPML_CASES=10000000 cargo test --release -p opml-tests --test softfloat

use isa::{FloatUnit, Format, Native, SoftFloat, U64, U128, Word, float};
use opml_tests::random::{Random, special_floats};
use opml_tests::tools::number;
use softfloat_wrapper::{F32, F64, Float, RoundingMode};
use std::fmt::{self, Display, Formatter};

/// RISC-V's rounding modes in the order of the `rm` field.
const MODES: [RoundingMode; 5] = [
    RoundingMode::TiesToEven,
    RoundingMode::TowardZero,
    RoundingMode::TowardNegative,
    RoundingMode::TowardPositive,
    RoundingMode::TiesToAway,
];

/// One of Berkeley's formats that the machine has.
trait Berkeley: Float + Sized + 'static {
    const FORMAT: Format;
    fn of(bits: u64) -> Self;
    fn raw(&self) -> u64;
    /// To the other format.
    fn converted(&self, mode: RoundingMode) -> u64;
}

impl Berkeley for F32 {
    const FORMAT: Format = Format::F32;
    fn of(bits: u64) -> Self {
        Self::from_bits(bits as u32)
    }
    fn raw(&self) -> u64 {
        self.to_bits().into()
    }
    fn converted(&self, mode: RoundingMode) -> u64 {
        self.to_f64(mode).to_bits()
    }
}

impl Berkeley for F64 {
    const FORMAT: Format = Format::F64;
    fn of(bits: u64) -> Self {
        Self::from_bits(bits)
    }
    fn raw(&self) -> u64 {
        self.to_bits()
    }
    fn converted(&self, mode: RoundingMode) -> u64 {
        self.to_f32(mode).to_bits().into()
    }
}

/// The operands of an operation.
#[derive(Debug, Clone, Copy)]
struct Case {
    operands: [u64; 3],
    rm: u8,
}

impl Case {
    fn mode(&self) -> RoundingMode {
        MODES[usize::from(self.rm)]
    }
    fn berkeley<T: Berkeley>(&self) -> [T; 3] {
        self.operands.map(T::of)
    }
    fn nats(&self) -> [U128; 3] {
        self.operands.map(|x| U128(x.into()))
    }
    fn rounding(&self) -> U128 {
        U128(self.rm.into())
    }
}

/// Where an operation's operands come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operands {
    Floats(usize),
    Integer,
}

/// A way to compute an operation's result.
type Compute = Box<dyn Fn(&Case) -> u64 + Sync>;

/// An operation, in opml and in SoftFloat.
struct Operation {
    name: &'static str,
    operands: Operands,
    ours: Compute,
    oracle: Compute,
}

impl Operation {
    fn new(
        name: &'static str,
        operands: Operands,
        ours: impl Fn(&Case) -> u64 + Sync + 'static,
        oracle: impl Fn(&Case) -> u64 + Sync + 'static,
    ) -> Self {
        Self { name, operands, ours: Box::new(ours), oracle: Box::new(oracle) }
    }

    /// A rounded function of one number.
    fn unary<T: Berkeley>(
        name: &'static str,
        ours: fn(Format, U128, U128) -> U128,
        oracle: fn(T, RoundingMode) -> u64,
    ) -> Self {
        let ours = move |case: &Case| bits(ours(T::FORMAT, case.nats()[0], case.rounding()));
        Self::new(name, Operands::Floats(1), ours, move |case| oracle(T::of(case.operands[0]), case.mode()))
    }

    /// A rounded function of two numbers.
    fn binary<T: Berkeley>(
        name: &'static str,
        ours: fn(Format, U128, U128, U128) -> U128,
        oracle: fn(&T, T, RoundingMode) -> T,
    ) -> Self {
        let ours = move |case: &Case| {
            let [a, b, _] = case.nats();
            bits(ours(T::FORMAT, a, b, case.rounding()))
        };
        let oracle = move |case: &Case| {
            let [a, b, _] = case.berkeley();
            oracle(&a, b, case.mode()).raw()
        };
        Self::new(name, Operands::Floats(2), ours, oracle)
    }

    /// A function of two numbers without rounding.
    fn exact<T: Berkeley>(
        name: &'static str,
        ours: fn(Format, U128, U128) -> U128,
        oracle: fn(T, T) -> u64,
    ) -> Self {
        let ours = move |case: &Case| {
            let [a, b, _] = case.nats();
            bits(ours(T::FORMAT, a, b))
        };
        let oracle = move |case: &Case| {
            let [a, b, _] = case.berkeley();
            oracle(a, b)
        };
        Self::new(name, Operands::Floats(2), ours, oracle)
    }

    /// A conversion to an integer.
    fn to_int<T: Berkeley>(
        name: &'static str,
        width: u32,
        signed: bool,
        oracle: fn(T, RoundingMode) -> u64,
    ) -> Self {
        let ours = move |case: &Case| {
            float::to_int::<Native>(T::FORMAT, case.nats()[0], case.rounding(), width, signed).0
        };
        Self::new(name, Operands::Floats(1), ours, move |case| oracle(T::of(case.operands[0]), case.mode()))
    }

    /// A conversion from an integer. `extend` extends it from its width.
    fn from_int<T: Berkeley>(
        name: &'static str,
        extend: fn(U64) -> U64,
        signed: bool,
        oracle: fn(u64, RoundingMode) -> T,
    ) -> Self {
        let ours = move |case: &Case| {
            bits(float::from_int::<Native>(T::FORMAT, extend(U64(case.operands[0])), case.rounding(), signed))
        };
        Self::new(name, Operands::Integer, ours, move |case| oracle(case.operands[0], case.mode()).raw())
    }
}

/// Two results that should be equal.
#[derive(Debug)]
struct Mismatch {
    operation: &'static str,
    width: u8,
    case: Case,
    ours: u64,
    oracle: u64,
}

impl Display for Mismatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { operation, width, case, ours, oracle } = self;
        write!(
            f,
            "f{width} {operation} {:#x?} rm {}: {ours:#x}, Berkeley {oracle:#x}",
            case.operands, case.rm
        )
    }
}

/// Every operation of a format, with a float unit for its rounding arithmetic.
fn operations<T: Berkeley, U: FloatUnit<Native>>() -> Vec<Operation> {
    let other = if T::FORMAT == Format::F32 { Format::F64 } else { Format::F32 };
    let fma = |case: &Case| {
        let [a, b, c] = case.nats();
        bits(U::fma(T::FORMAT, a, b, c, case.rounding()))
    };
    let oracle_fma = |case: &Case| {
        let [a, b, c] = case.berkeley::<T>();
        a.fused_mul_add(b, c, case.mode()).raw()
    };
    let convert = move |case: &Case| {
        bits(float::change_format::<Native>(T::FORMAT, other, case.nats()[0], case.rounding()))
    };
    let oracle_convert = |case: &Case| T::of(case.operands[0]).converted(case.mode());
    // RV64 sign-extends every 32-bit result, including unsigned ones.
    fn extend(x: i32) -> u64 {
        i64::from(x).cast_unsigned()
    }
    vec![
        Operation::binary::<T>("add", U::add, T::add),
        Operation::binary::<T>("sub", |f, a, b, rm| U::add(f, a, float::negate::<Native>(f, b), rm), T::sub),
        Operation::binary::<T>("mul", U::mul, T::mul),
        Operation::new("fma", Operands::Floats(3), fma, oracle_fma),
        Operation::binary::<T>("div", U::div, T::div),
        Operation::unary::<T>("sqrt", U::sqrt, |a, mode| a.sqrt(mode).raw()),
        Operation::exact::<T>("equal", float::equal::<Native>, |a, b| a.eq(b).into()),
        Operation::exact::<T>("less", float::less::<Native>, |a, b| a.lt(b).into()),
        Operation::exact::<T>("less or equal", float::less_equal::<Native>, |a, b| a.le(b).into()),
        Operation::exact::<T>("min", float::min::<Native>, |a, b| smaller(&a, &b, false)),
        Operation::exact::<T>("max", float::max::<Native>, |a, b| smaller(&a, &b, true)),
        Operation::unary::<T>("class", |f, a, _| float::class::<Native>(f, a), |a, _| class(&a)),
        Operation::new("to the other format", Operands::Floats(1), convert, oracle_convert),
        Operation::to_int::<T>("to i32", 32, true, |a, mode| extend(a.to_i32(mode, true))),
        Operation::to_int::<T>("to u32", 32, false, |a, mode| extend(a.to_u32(mode, true).cast_signed())),
        Operation::to_int::<T>("to i64", 64, true, |a, mode| a.to_i64(mode, true).cast_unsigned()),
        Operation::to_int::<T>("to u64", 64, false, |a, mode| a.to_u64(mode, true)),
        Operation::from_int::<T>("from i32", |x| x.sext(32), true, |x, mode| T::from_i32(x as i32, mode)),
        Operation::from_int::<T>("from u32", |x| x.zext(32), false, |x, mode| T::from_u32(x as u32, mode)),
        Operation::from_int::<T>("from i64", |x| x, true, |x, mode| T::from_i64(x.cast_signed(), mode)),
        Operation::from_int::<T>("from u64", |x| x, false, T::from_u64),
    ]
}

/// A result's bits. No result has more than 64.
fn bits(x: U128) -> u64 {
    u64::try_from(x.0).expect("a result of at most 64 bits")
}

/// `fmin` and `fmax` of the unprivileged specification in Berkeley's comparisons (SoftFloat has neither).
fn smaller<T: Berkeley>(a: &T, b: &T, larger: bool) -> u64 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => T::quiet_nan().raw(),
        (true, false) => b.raw(),
        (false, true) => a.raw(),
        (false, false) => {
            let a_first = a.lt_quiet(b) || (a.eq(b) && a.is_negative());
            if a_first == larger { b.raw() } else { a.raw() }
        }
    }
}

/// `fclass` of the unprivileged specification in Berkeley's predicates.
fn class<T: Berkeley>(x: &T) -> u64 {
    let classes = [
        x.is_negative_infinity(),
        x.is_negative_normal(),
        x.is_negative_subnormal(),
        x.is_negative_zero(),
        x.is_positive_zero(),
        x.is_positive_subnormal(),
        x.is_positive_normal(),
        x.is_positive_infinity(),
        x.is_signaling_nan(),
        x.is_nan() && !x.is_signaling_nan(),
    ];
    classes.iter().enumerate().map(|(bit, &is)| u64::from(is) << bit).sum()
}

/// Compares one case.
fn compare<T: Berkeley>(operation: &Operation, case: Case) -> Result<(), Mismatch> {
    let (ours, oracle) = ((operation.ours)(&case), (operation.oracle)(&case));
    if ours == oracle {
        return Ok(());
    }
    Err(Mismatch { operation: operation.name, width: T::FORMAT.width, case, ours, oracle })
}

/// Every combination of special values and rounding modes.
fn special_cases(operands: Operands, format: Format) -> Vec<Case> {
    let floats = special_floats(format);
    let integers: Vec<u64> = (0..64)
        .flat_map(|bit| [1u64 << bit, (1 << bit) - 1, (1u64 << bit).wrapping_neg(), (3 << bit) + 1])
        .collect();
    let (a, b, c): (&[u64], &[u64], &[u64]) = match operands {
        Operands::Integer => (&integers, &[0], &[0]),
        Operands::Floats(1) => (&floats, &[0], &[0]),
        Operands::Floats(2) => (&floats, &floats, &[0]),
        Operands::Floats(_) => (&floats, &floats, &floats),
    };
    let mut cases = Vec::with_capacity(5 * a.len() * b.len() * c.len());
    for &a in a {
        for &b in b {
            for &c in c {
                cases.extend((0..5).map(|rm| Case { operands: [a, b, c], rm }));
            }
        }
    }
    cases
}

/// A random case. The third operand is sometimes next to the number that cancels the product of the others,
/// and the second sometimes next to the first, since sums of unrelated numbers hardly ever cancel.
fn random_case<T: Berkeley>(operands: Operands, random: &mut Random) -> Case {
    let rm = random.below(5) as u8;
    if operands == Operands::Integer {
        return Case { operands: [random.word(), 0, 0], rm };
    }
    let mask = u64::MAX >> (64 - T::FORMAT.width);
    let near = |x: u64, random: &mut Random| {
        let sign = random.below(2) << (T::FORMAT.width - 1);
        (x ^ sign).wrapping_add(random.below(5)).wrapping_sub(2) & mask
    };
    let a = random.float(T::FORMAT);
    let b = if random.one_in(4) { near(a, random) } else { random.float(T::FORMAT) };
    let product = T::of(a).mul(T::of(b), RoundingMode::TiesToEven).neg().raw();
    let c = if random.one_in(4) { near(product, random) } else { random.float(T::FORMAT) };
    Case { operands: [a, b, c], rm }
}

/// Tries an operation on special values and on `count` random cases.
fn check<T: Berkeley>(operation: &Operation, count: u64, seed: u64) -> Result<(), Mismatch> {
    for case in special_cases(operation.operands, T::FORMAT) {
        compare::<T>(operation, case)?;
    }
    let mut random = Random::new(seed);
    (0..count).try_for_each(|_| compare::<T>(operation, random_case::<T>(operation.operands, &mut random)))
}

/// Tries every operation of a format and reports all that fail.
fn check_all<T: Berkeley, U: FloatUnit<Native>>() {
    let count = number("OPML_CASES", 100_000);
    let operations = operations::<T, U>();
    let seed = u64::from(T::FORMAT.width) << 32;
    let failures: Vec<String> = std::thread::scope(|scope| {
        // Two halves on two threads. Cheap and expensive operations alternate in the table.
        let work = |first: usize| {
            let operations = &operations;
            scope.spawn(move || {
                let mine = operations.iter().enumerate().skip(first).step_by(2);
                mine.filter_map(|(i, operation)| check::<T>(operation, count, seed + i as u64).err())
                    .collect()
            })
        };
        let halves: [_; 2] = [work(0), work(1)];
        halves
            .into_iter()
            .flat_map(|half| -> Vec<Mismatch> { half.join().expect("no panic") })
            .map(|m| m.to_string())
            .collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn binary32_agrees_with_berkeley() {
    check_all::<F32, SoftFloat>();
}

#[test]
fn binary64_agrees_with_berkeley() {
    check_all::<F64, SoftFloat>();
}

/// A float unit with known bugs of software floats. Each must be noticed.
struct Mistaken;

impl FloatUnit<Native> for Mistaken {
    /// Swaps rounding down and up.
    fn add(format: Format, a: U128, b: U128, rm: U128) -> U128 {
        let swapped = [0, 1, 3, 2, 4][rm.0 as usize];
        float::add::<Native>(format, a, b, U128(swapped))
    }
    /// Flushes subnormal results to zero.
    fn mul(format: Format, a: U128, b: U128, rm: U128) -> U128 {
        let product = float::mul::<Native>(format, a, b, rm).0;
        let sign = 1u128 << (format.width - 1);
        U128(if product & (sign - 1) < 1 << format.man { product & sign } else { product })
    }
    /// Rounds twice.
    fn fma(format: Format, a: U128, b: U128, c: U128, rm: U128) -> U128 {
        float::add::<Native>(format, float::mul::<Native>(format, a, b, rm), c, rm)
    }
    /// Propagates a NaN operand's payload.
    fn div(format: Format, a: U128, b: U128, rm: U128) -> U128 {
        if float::is_nan::<Native>(a, U128(format.man.into()), U128(format.width.into())).0 == 1 {
            return a;
        }
        float::div::<Native>(format, a, b, rm)
    }
    /// Treats ties away from zero as ties to even, which no square root can reveal: see the test.
    fn sqrt(format: Format, a: U128, rm: U128) -> U128 {
        float::sqrt::<Native>(format, a, if rm.0 == 4 { U128(0) } else { rm })
    }
}

#[test]
fn planted_mistakes_are_noticed() {
    fn noticed<T: Berkeley>() -> Vec<&'static str> {
        let operations = operations::<T, Mistaken>();
        let rounding = operations.iter().take(6);
        rounding
            .filter(|operation| check::<T>(operation, 20_000, 1).is_err())
            .map(|operation| operation.name)
            .collect()
    }
    // A root is never exactly halfway between two numbers, so the last bug has no effect.
    assert_eq!(noticed::<F32>(), ["add", "sub", "mul", "fma", "div"]);
    assert_eq!(noticed::<F64>(), ["add", "sub", "mul", "fma", "div"]);
}
