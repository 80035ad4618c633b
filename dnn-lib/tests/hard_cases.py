"""Makes hard_cases.txt: the inputs that f64 arithmetic leaves open, with answers from MPFR.

    cargo run --release -p opml-host --example exhaustive -- hard > inputs.txt
    pip install gmpy2==2.3.2
    python dnn-lib/tests/hard_cases.py inputs.txt > dnn-lib/tests/hard_cases.txt
"""

import struct
import sys

import gmpy2
from gmpy2 import mpfr

def gelu_tanh(x):
    u = gmpy2.sqrt(2 / gmpy2.const_pi()) * (x + mpfr("0.044715") * x**3)
    return x / (1 + gmpy2.exp(-2 * u))


FUNCTIONS = {
    "acos": gmpy2.acos,
    "acosh": gmpy2.acosh,
    "asin": gmpy2.asin,
    "asinh": gmpy2.asinh,
    "atan": gmpy2.atan,
    "atanh": gmpy2.atanh,
    "cos": gmpy2.cos,
    "cosh": gmpy2.cosh,
    "erf": gmpy2.erf,
    "exp": gmpy2.exp,
    "expm1": gmpy2.expm1,
    "gelu": lambda x: x * gmpy2.erfc(-x / gmpy2.sqrt(mpfr(2))) / 2,
    "gelu_tanh": gelu_tanh,
    "log": gmpy2.log,
    "mish": lambda x: x * gmpy2.tanh(gmpy2.log1p(gmpy2.exp(x))),
    "sigmoid": lambda x: 1 / (1 + gmpy2.exp(-x)),
    "sin": gmpy2.sin,
    "sinh": gmpy2.sinh,
    "softplus": lambda x: gmpy2.log1p(gmpy2.exp(x)),
    "tan": gmpy2.tan,
    "tanh": gmpy2.tanh,
}


def nearest_f32(y):
    """The bits of the f32 nearest to y, ties to even (there are none: the values are transcendental, but for tanh(0))."""
    sign = 0x80000000 if gmpy2.is_signed(y) else 0
    y = abs(y)
    if y == 0:
        return sign
    exponent = max(gmpy2.get_exp(y) - 24, -149)  # of the last place
    mantissa = int(gmpy2.rint(y / mpfr(2) ** exponent))
    return sign | struct.unpack("<I", struct.pack("<f", mantissa * 2.0**exponent))[0]


def main():
    gmpy2.get_context().precision = 300
    print("# Made by hard_cases.py: function, input, correctly rounded output (bits of f32).")
    lines = sorted(set(open(sys.argv[1]).read().splitlines()))
    for line in lines:
        name, bits = line.split()
        x = mpfr(struct.unpack("<f", struct.pack("<I", int(bits, 16)))[0])
        print(f"{name} {bits} {nearest_f32(FUNCTIONS[name](x)):08x}")


if __name__ == "__main__":
    main()
