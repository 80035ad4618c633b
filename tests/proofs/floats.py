"""Claims about the soft-float: what it computes is what SMT-LIB's theory of floating point says.

`softfloat.smt2` is the code that the interpreter runs and that the verifier is printed from, written down for
a solver. Each claim is about one operation, one format and one rounding mode, and about all numbers: the
result is the theory's, with RISC-V's rules where IEEE 754 leaves a choice, and nothing in it overflows.
Bitwuzla decides.
"""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TEXT = Path(__file__).with_name("softfloat.smt2")
SOLVER = Path(__file__).with_name("solver.py")
# The rounding modes, by number, in SMT-LIB's names.
MODES = ["RNE", "RTZ", "RTN", "RTP", "RNA"]
NAN = {"f32": "#x7fc00000", "f64": "#x7ff8000000000000"}
SORT = {"f32": "8 24", "f64": "11 53"}
WIDTH = {"f32": 32, "f64": 64}


class Claim:
    """An operation, its parameters' widths in bits, and what has to hold of its `result`, 128 bits."""

    def __init__(self, operation, params, holds, mode=None):
        self.operation, self.params, self.holds, self.mode = operation, params, holds, mode
        self.name = operation + (f" {MODES[mode]}" if mode is not None else "")

    def text(self):
        """The claim's opposite, which no numbers may satisfy."""
        lines = [f"(declare-const {name} (_ BitVec {width}))" for name, width in self.params.items()]
        args = [f"((_ zero_extend {128 - width}) {name})" for name, width in self.params.items()]
        args += [f"(_ bv{self.mode} 128)"] if self.mode is not None else []
        call = " ".join(args)
        lines.append(f"(define-fun result () Nat ({self.operation} {call}))")
        lines.append(f"(assert (not (and ({self.operation}.safe {call}) {self.holds})))")
        return "\n".join(lines)


def low(width):
    """The result, if it has no more bits than these."""
    return f"(= result ((_ zero_extend {128 - width}) ((_ extract {width - 1} 0) result)))"


def number(form, value):
    """The result is this number, or the canonical NaN."""
    width = WIDTH[form]
    bits = f"((_ extract {width - 1} 0) result)"
    same = f"(= ((_ to_fp {SORT[form]}) {bits}) {value})"
    return f"(and {low(width)} (ite (fp.isNaN {value}) (= {bits} {NAN[form]}) {same}))"


def flag(condition):
    return f"(= result (ite {condition} (_ bv1 128) (_ bv0 128)))"


def integer(form, mode, bits, signed):
    """The result is the number rounded to an integer: the nearest one there is if it doesn't fit, the largest
    one for a NaN. Integers of 32 bits are sign-extended, signed or not."""
    x = f"((_ to_fp {SORT[form]}) a)"
    rounded = f"(fp.roundToIntegral {MODES[mode]} {x})"
    # A power of two is exact in both formats.
    real = lambda value: f"((_ to_fp {SORT[form]}) RNE {value}.0)"
    top = 2 ** (bits - 1) if signed else 2**bits
    largest, least = f"(_ bv{top - 1} {bits})", f"(_ bv{top if signed else 0} {bits})"
    bottom = f"(fp.neg {real(top)})" if signed else real(0)
    value = f"((_ fp.to_{'s' if signed else 'u'}bv {bits}) {MODES[mode]} {x})"
    value = f"(ite (fp.lt {rounded} {bottom}) {least} {value})"
    value = f"(ite (or (fp.isNaN {x}) (fp.geq {rounded} {real(top)})) {largest} {value})"
    return f"(= result ((_ zero_extend 64) ((_ sign_extend {64 - bits}) {value})))"


def smaller(form, larger):
    """The smaller or the larger of two; a NaN loses against a number, and -0 is below +0."""
    a, b = (f"((_ to_fp {SORT[form]}) {name})" for name in "ab")
    pick = "fp.gt" if larger else "fp.lt"
    sign = "fp.isPositive" if larger else "fp.isNegative"
    value = f"(ite (or ({pick} {a} {b}) (and (fp.eq {a} {b}) ({sign} {a}))) {a} {b})"
    value = f"(ite (fp.isNaN {a}) {b} (ite (fp.isNaN {b}) {a} {value}))"
    return number(form, value)


def classes(form):
    """The bit of the number's class."""
    x = f"((_ to_fp {SORT[form]}) a)"
    quiet = f"(= #b1 ((_ extract {22 if form == 'f32' else 51} {22 if form == 'f32' else 51}) a))"
    tests = [
        f"(and (fp.isNegative {x}) (fp.isInfinite {x}))",
        f"(and (fp.isNegative {x}) (fp.isNormal {x}))",
        f"(and (fp.isNegative {x}) (fp.isSubnormal {x}))",
        f"(and (fp.isNegative {x}) (fp.isZero {x}))",
        f"(and (fp.isPositive {x}) (fp.isZero {x}))",
        f"(and (fp.isPositive {x}) (fp.isSubnormal {x}))",
        f"(and (fp.isPositive {x}) (fp.isNormal {x}))",
        f"(and (fp.isPositive {x}) (fp.isInfinite {x}))",
        f"(and (fp.isNaN {x}) (not {quiet}))",
        f"(and (fp.isNaN {x}) {quiet})",
    ]
    ones = [f"(=> {test} (= result (_ bv{2**bit} 128)))" for bit, test in enumerate(tests)]
    return f"(and {' '.join(ones)})"


def claims():
    for form, other in ("f32", "f64"), ("f64", "f32"):
        one, two = {"a": WIDTH[form]}, {"a": WIDTH[form], "b": WIDTH[form]}
        a, b = (f"((_ to_fp {SORT[form]}) {name})" for name in "ab")
        for operation, test in ("equal", "eq"), ("less", "lt"), ("less_equal", "leq"):
            yield Claim(f"{form}.{operation}", two, flag(f"(fp.{test} {a} {b})"))
        yield Claim(f"{form}.min", two, smaller(form, False))
        yield Claim(f"{form}.max", two, smaller(form, True))
        yield Claim(f"{form}.class", one, classes(form))
        for mode, name in enumerate(MODES):
            value = f"((_ to_fp {SORT[other]}) {name} {a})"
            yield Claim(f"{form}.to_{other}", one, number(other, value), mode)
            for bits in 32, 64:
                for signed in True, False:
                    sort = f"{'i' if signed else 'u'}{bits}"
                    yield Claim(f"{form}.to_{sort}", one, integer(form, mode, bits, signed), mode)
            for sort, conversion in ("i64", "to_fp"), ("u64", "to_fp_unsigned"):
                value = f"((_ {conversion} {SORT[form]}) {name} a)"
                yield Claim(f"{form}.from_{sort}", {"a": 64}, number(form, value), mode)


# Mistakes, each of which has to be found: the claim that finds it, and what is replaced by what in the
# soft-float.
BUGS = [
    ("f32.to_u64 RNE", "(= (bvand floor.1 (_ bv1 128)) (_ bv1 128))", "true"),
    ("f32.from_i64 RTP", "(not (= sign (_ bv1 128)))) (not (= rest.2", "true) (not (= rest.2"),
    ("f64.to_f32 RTZ", "(or (or (= rm (_ bv1 128)) (and", "(or (or false (and"),
    ("f64.to_i32 RNE", "(bvand sign.1 (bvsub (_ bv1 128) nan.0))", "sign.1"),
    ("f32.to_u32 RNE", "(bvsub range.0 (_ bv1 128))", "range.0"),
    ("f64.min", "(bvsub (bvadd sign_bit.0 sign_bit.0) (_ bv1 128))", "(bvadd sign_bit.0 sign_bit.0)"),
    ("f32.max", "(ite taken.2 pattern.3", "(ite taken.2 a"),
    ("f32.equal", "(= mag.1 (_ bv0 128))", "false"),
    ("f64.less_equal", "(bvor nan.0 nan.1)", "nan.0"),
    ("f64.class", "(bvsub (_ bv3 128) distance", "(bvsub (_ bv4 128) distance"),
    # The right results, but too large a number on the way.
    ("f64.to_i64 RTZ", "(_ bv66 128)", "(_ bv90 128)"),
]


def verdict(text):
    """What Bitwuzla finds in ten minutes."""
    with tempfile.NamedTemporaryFile("w", suffix=".smt2") as file:
        file.write(f"(set-logic ALL)\n{text}\n(check-sat)\n")
        file.flush()
        command = [sys.executable, SOLVER, file.name]
        try:
            answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=600).stdout
        except subprocess.TimeoutExpired:
            answer = ""
    return {"unsat": "proved", "sat": "refuted"}.get(answer.split("\n")[0], "undecided")


def prove(quick):
    """Prints how many; returns what is not as it should be. The quick ones round to nearest only."""
    text = TEXT.read_text()
    everything = {claim.name: claim for claim in claims()}
    jobs = [(name, "proved", text) for name, claim in everything.items() if not quick or not claim.mode]
    for name, old, new in BUGS:
        assert old in text, name
        jobs.append((name, "refuted", text.replace(old, new)))
    wrong = []
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        verdicts = list(pool.map(verdict, [text + everything[name].text() for name, _, text in jobs]))
    for wanted in "proved", "refuted":
        found = [(name, verdict) for (name, want, _), verdict in zip(jobs, verdicts) if want == wanted]
        wrong += [f"{name}: {verdict}, but {wanted} is right" for name, verdict in found if verdict != wanted]
        right = [verdict for _, verdict in found].count(wanted)
        print(f"Floats: {right} of {len(found)} {wanted}", flush=True)
    return wrong
