"""Measures the functions of an f64 against MPFR, and makes doubles.txt.

    pip install gmpy2==2.3.2 numpy
    cargo build --release -p opml-dnn-lib --example doubles
    python dnn-lib/tests/doubles.py target/release/examples/doubles 100000
    python dnn-lib/tests/doubles.py fixture > dnn-lib/tests/doubles.txt

The first run prints the largest error of each function in units in the last place, and where it is. A line of the
fixture is a function, its arguments, the nearest f64, and by how much of a unit in the last place the real value is
larger.
"""

import math
import subprocess
import sys

import gmpy2
import numpy as np
from gmpy2 import mpfr

from hard_cases import FUNCTIONS

FUNCTIONS = FUNCTIONS | {"pow": lambda x, y: x**y}

# Where the arguments of a function are: the largest and the smallest that give neither 0, 1 nor infinity.
RANGES = {
    "exp": (-746, 710), "expm1": (-40, 710), "sigmoid": (-746, 38), "softplus": (-746, 40), "mish": (-750, 40),
    "tanh": (-20, 20), "sinh": (-711, 711), "cosh": (-711, 711), "erf": (-6, 6), "gelu": (-39, 9), "gelu_tanh": (-22, 9),
    "asin": (-1, 1), "acos": (-1, 1), "atanh": (-1, 1), "acosh": (1, 100), "asinh": (-100, 100), "atan": (-100, 100),
    "log": (0, 100), "sin": (-1e4, 1e4), "cos": (-1e4, 1e4), "tan": (-1e4, 1e4),
}
# The floats nearest to multiples of a quarter of a turn, and to them among the large ones.
QUARTERS = [6381956970095103 * 2.0**797, 5.319372648326541416707296656673541083813475031793921822105998164685e255]


def bits(x):
    return f"{np.float64(x).view(np.uint64):016x}"


def arguments(name, count, rng):
    """Numbers all over the range, of all sizes, and near where formulas change."""
    def sizes(count):
        with np.errstate(all="ignore"):
            x = rng.integers(0, 1 << 64, count, dtype=np.uint64).view(np.float64)
        return x[np.isfinite(x)]

    if name == "pow":
        near_one = 1 + rng.uniform(-1, 1, count) * 2.0 ** rng.uniform(-52, 0, count)
        x = np.abs(np.concatenate([sizes(count), rng.uniform(0, 100, count), near_one]))
        with np.errstate(all="ignore"):
            y = rng.uniform(-750, 750, len(x)) / np.log(x)
            y[::2] = np.round(y[::2])
        some = np.isfinite(y) & (x != 0)
        return np.stack([x[some], y[some]], 1)
    low, high = RANGES[name]
    x = rng.uniform(low, high, count)
    small = rng.uniform(max(low, -1), min(high, 1) if high > 1 else high, count) * 2.0 ** -rng.integers(0, 60, count)
    if name == "acosh":
        small = 1 + np.abs(small)
    edges = np.concatenate([
        np.array([1e-300, 5e-324, 2.0**-1022, 1e-160, 0.5, 0.25, 1, 2, 20, 22, 40, low, high, 2.0**30, *QUARTERS]),
        np.arange(1, 200) * math.pi / 2, np.arange(1, 200) * math.log(2) / 2, np.arange(1, 200) / 16,
    ])
    edges = np.concatenate([edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)])
    edges = np.concatenate([edges, -edges])
    rng.shuffle(edges)
    return np.concatenate([x, small, sizes(count), edges[: 2 * count]])[:, None]


def correct(name, x):
    """The nearest f64, and the rest in units in the last place. None where there is no finite number."""
    y = FUNCTIONS[name](*map(mpfr, map(float, x)))
    if not gmpy2.is_finite(y):
        return None
    nearest = float(y)
    if math.isinf(nearest):
        return None
    return nearest, float((y - mpfr(nearest)) / mpfr(math.ulp(nearest)))


def measure(program, count):
    rng = np.random.default_rng(64)
    for name in sorted(FUNCTIONS):
        x = arguments(name, count, rng).astype("<f8")
        found = subprocess.run([program, name], input=x.tobytes(), stdout=subprocess.PIPE, check=True).stdout
        worst, at, cases = 0, None, 0
        for x, y in zip(x, np.frombuffer(found, "<f8")):
            right = correct(name, x)
            if right is None:
                continue
            cases += 1
            nearest, rest = right
            error = abs((float(y) - nearest) / math.ulp(nearest) - rest)
            if not error <= worst:
                worst, at = error, x
        print(f"{name:10} {worst:.4f} of {cases}, at {at}", flush=True)


def fixture():
    rng = np.random.default_rng(65)
    print("# Made by doubles.py: function, arguments, nearest f64 (bits), rest in units in the last place.")
    for name in sorted(FUNCTIONS):
        for x in arguments(name, 25, rng):
            if (right := correct(name, x)) is not None:
                print(name, *map(bits, x), bits(right[0]), f"{right[1]:.3f}")


if __name__ == "__main__":
    # Sines of large numbers lose a thousand bits.
    gmpy2.get_context().precision = 200
    gmpy2.get_context().emin, gmpy2.get_context().emax = gmpy2.get_emin_min(), gmpy2.get_emax_max()
    fixture() if sys.argv[1] == "fixture" else measure(sys.argv[1], int(sys.argv[2]))
