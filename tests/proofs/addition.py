"""Claims about the soft-float's addition, by cases: at once it is too hard for a solver.

The cases are ranges of the distance between the two exponent fields. They cover all pairs of operands (that
is a claim, too), infinities and NaNs among them. A claim is about one case, and all five rounding modes
together.
"""

import os
from concurrent.futures import ThreadPoolExecutor

from floats import MODES, SORT, TEXT, WIDTH, number, verdict

FIELD = {"f32": 8, "f64": 11}


def field(form, name, bits):
    """The exponent field of a number, zero-extended to so many bits."""
    extract = f"(_ extract {WIDTH[form] - 2} {WIDTH[form] - 1 - FIELD[form]})"
    return f"((_ zero_extend {bits - FIELD[form]}) ({extract} {name}))"


def cases(form):
    """The cases by name, as conditions on `a` and `b`."""
    bits = FIELD[form] + 1
    a, b = (field(form, name, bits) for name in "ab")
    plus = lambda x, distance: f"(bvadd {x} (_ bv{distance} {bits}))"
    zero = f"(_ bv0 {bits})"
    subnormal = f"(= {a} {b} {zero})"  # Zeros, too.
    return {
        "far above": f"(bvuge {a} {plus(b, 2)})",
        "above": f"(= {a} {plus(b, 1)})",
        "level": f"(and (= {a} {b}) (not (= {a} {zero})))",
        "below": f"(= {b} {plus(a, 1)})",
        "far below": f"(bvuge {b} {plus(a, 2)})",
    } | ({"subnormal": subnormal} if form == "f32" else lengths(form, subnormal))


def lengths(form, condition):
    """A condition on subnormal numbers, as a case for each length of the first one in bits."""
    bits = WIDTH[form] - 1
    magnitude = f"((_ extract {bits - 1} 0) a)"
    power = lambda exponent: f"(_ bv{1 << exponent} {bits})"
    least = lambda length: power(length - 1) if length else f"(_ bv0 {bits})"
    return {
        f"subnormal, {length} bits": f"(and {condition} (bvuge {magnitude} {least(length)}) "
        f"(bvult {magnitude} {power(length)}))"
        for length in range(bits - FIELD[form] + 1)
    }


def numbers(form):
    return "\n".join(f"(declare-const {name} (_ BitVec {WIDTH[form]}))" for name in "ab")


def wrong_sum(form, condition):
    """What no numbers may satisfy: their sum is wrong, or something overflows, and this holds of them."""
    x, y = (f"((_ to_fp {SORT[form]}) {name})" for name in "ab")
    code = f"(_ bv{len(MODES) - 1} 128)"
    for at, mode in reversed(list(enumerate(MODES[:-1]))):
        code = f"(ite (= mode {mode}) (_ bv{at} 128) {code})"
    extend = f"(_ zero_extend {128 - WIDTH[form]})"
    call = f"({extend} a) ({extend} b) rm"
    return f"""{numbers(form)}
(declare-const mode RoundingMode)
(define-fun rm () Nat {code})
(define-fun result () Nat ({form}.add {call}))
(assert {condition})
(assert (not (and ({form}.add.safe {call}) {number(form, f"(fp.add mode {x} {y})")})))"""


# Mistakes, each of which has to be found: format, case, and what is replaced by what in the soft-float.
BUGS = [
    # The sticky bit dropped.
    ("f32", "far above", "(bvor kept.1 (ite lost.2 (_ bv1 128) (_ bv0 128)))", "kept.1"),
    # Ties rounded up.
    ("f32", "above", "(= (bvand floor.1 (_ bv1 128)) (_ bv1 128))", "true"),
    # The sign of an exact zero difference.
    ("f32", "level", "(ite (= rm (_ bv2 128)) (_ bv1 128) (_ bv0 128))", "(_ bv0 128)"),
    ("f64", "level", "(ite (= rm (_ bv2 128)) (_ bv1 128) (_ bv0 128))", "(_ bv0 128)"),
    # The sign of the difference is that of the larger one.
    ("f64", "below", "(ite taken.2 sign_b sign_a)", "sign_a"),
    # Infinity minus infinity, and overflow to the largest number instead of infinity.
    ("f64", "level", "(and product_infinite.5 (= mag.3 pattern.0))", "false"),
    ("f64", "level", "(ite stay.10 (_ bv1 128) (_ bv0 128))", "(_ bv1 128)"),
    # The right sums, but too large a number on the way.
    ("f64", "far below", "(ite (bvult gap.1 (_ bv72 128)) gap.1 (_ bv72 128))", "gap.1"),
]


def prove():
    """Prints how many; returns what is not as it should be."""
    text = TEXT.read_text()
    jobs = []
    for form in FIELD:
        every = cases(form)
        left = f"(assert (not (or {' '.join(every.values())})))"
        jobs.append((f"{form}, no other case", "proved", numbers(form) + left))
        for name, condition in every.items():
            jobs.append((f"{form}, {name}", "proved", text + wrong_sum(form, condition)))
    for form, name, old, new in BUGS:
        assert old in text, old
        mutant = text.replace(old, new)
        jobs.append((f"{form}, {name}: {new}", "refuted", mutant + wrong_sum(form, cases(form)[name])))
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        verdicts = list(pool.map(verdict, [claim for _, _, claim in jobs]))
    found = [(name, want, verdict) for (name, want, _), verdict in zip(jobs, verdicts)]
    for wanted in "proved", "refuted":
        of = [verdict for _, want, verdict in found if want == wanted]
        print(f"Addition: {of.count(wanted)} of {len(of)} {wanted}", flush=True)
    return [f"{name}: {got}, but {want} is right" for name, want, got in found if got != want]
