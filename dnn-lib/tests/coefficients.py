"""Makes the coefficients of the functions in src/math: minimax approximations, rounded to f64.

    pip install mpmath
    python dnn-lib/tests/coefficients.py
"""

import struct
from math import nextafter

from mpmath import (
    asin, atan, atanh, binomial, cos, coth, erf, erfc, exp, expm1, floor, log, lu_solve, matrix, mp, mpf, nstr, pi,
    polyval, sin, sqrt,
)

mp.prec = 200


def nodes(low, high, count):
    """Chebyshev nodes of an interval."""
    return [(low + high) / 2 - (high - low) / 2 * cos(pi * (k + mpf(1) / 2) / count) for k in range(count)]


def polynomial(f, powers, weight, low, high):
    """Remez: the c for which weight(x) |f(x) - sum of c[i] x^powers[i]| is smallest, and its maximum."""
    low, high = mpf(low), mpf(high)
    points = nodes(low, high, len(powers) + 1)
    grid = [(low + high) / 2 - (high - low) / 2 * cos(pi * mpf(k) / 800) for k in range(801)]
    for _ in range(12):
        rows = [[x**p for p in powers] + [(-1) ** i / weight(x)] for i, x in enumerate(points)]
        c = lu_solve(matrix(rows), matrix([f(x) for x in points]))
        error = [weight(x) * (f(x) - sum(a * x**p for a, p in zip(c, powers))) for x in grid]
        # The largest error of each sign, in turn.
        peaks = [0]
        for k in range(1, len(grid)):
            if (error[k] > 0) != (error[peaks[-1]] > 0):
                peaks.append(k)
            elif abs(error[k]) > abs(error[peaks[-1]]):
                peaks[-1] = k
        while len(peaks) > len(points):
            peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
        if len(peaks) < len(points):
            break
        points = [grid[k] for k in peaks]
    return [c[i] for i in range(len(powers))], max(abs(e) for e in error)


def quotient(f, first, m, n, high):
    """The polynomials of degrees m and n, beginning with `first` and 1, whose quotient has the smallest
    relative error, and its maximum. Least squares, with more weight where the error is larger."""
    points = nodes(mpf(0), mpf(high), 110)
    values = [f(t) for t in points]
    below = [mpf(1)] * len(points)
    emphasis = [mpf(1)] * len(points)
    best = None
    for turn in range(16):
        rows, right = [], []
        for t, y, q, e in zip(points, values, below, emphasis):
            w = sqrt(e) / (y * q)
            rows.append([w * t**j for j in range(1, m + 1)] + [-w * y * t**j for j in range(1, n + 1)])
            right.append(w * (y - first))
        rows, right = matrix(rows), matrix(right)
        c = lu_solve(rows.T * rows, rows.T * right)
        above = [first] + [c[j] for j in range(m)]
        bottom = [mpf(1)] + [c[m + j] for j in range(n)]
        below = [polyval(bottom[::-1], t) for t in points]
        error = [polyval(above[::-1], t) / q / y - 1 for t, y, q in zip(points, values, below)]
        worst = max(abs(e) for e in error)
        if best is None or worst < best[0]:
            best = worst, above, bottom
        if turn >= 2:
            mean = sum(w * abs(e) for w, e in zip(emphasis, error)) / len(points)
            emphasis = [w * abs(e) / mean + mpf("1e-12") for w, e in zip(emphasis, error)]
    return best[1], best[2], best[0]


def show(name, coefficients):
    print(f"{name}:")
    for c in coefficients:
        bits = f"{struct.unpack('<Q', struct.pack('<d', float(c)))[0]:016x}"
        print("    0x" + "_".join(bits[i : i + 4] for i in range(0, 16, 4)))


def c_of_square(t):
    """r coth(r ln(2) / 2), where t = r^2."""
    half = log(mpf(2)) / 2
    return sqrt(t) * coth(half * sqrt(t))


def rest(f, first, series):
    """(f(s) - first s) / s^3, where t = s^2, for an odd function that begins with `first` s; near 0, a series in t."""

    def of(t):
        s = sqrt(t)
        return sum(series(k) * t ** (k - 1) for k in range(1, 12)) if t < mpf("1e-8") else (f(s) - first * s) / (s * t)

    return of


def elementary():
    """Those of logarithms, angles and Gelu."""
    one = lambda t: mpf(1)
    first = mpf(float(2 / log(mpf(2))))
    c, error = polynomial(lambda t: c_of_square(t) - first, range(6), one, "1e-12", "0.2501")
    show(f"C_FINE (error 2^{nstr(log(error, 2), 4)})", [first + c[0]] + c[1:])

    twice_atanh = rest(lambda s: 2 * atanh(s), 2, lambda k: mpf(2) / (2 * k + 1))
    c, error = polynomial(twice_atanh, range(7), one, 0, "0.02944")
    show(f"NEAR (error 2^{nstr(log(error, 2), 4)})", c)
    c, error = polynomial(twice_atanh, range(10), one, 0, mpf(1) / 9)
    show(f"WIDE (error 2^{nstr(log(error, 2), 4)})", c)
    arc = rest(asin, 1, lambda k: binomial(2 * k, k) / (mpf(4) ** k * (2 * k + 1)))
    c, error = polynomial(arc, range(12), one, 0, "0.25")
    show(f"ARC (error 2^{nstr(log(error, 2), 4)})", c)

    quarter = pi / 2
    first = mpf(float(quarter))
    sine = lambda u: sin(quarter * sqrt(u)) / sqrt(u) - first if u else quarter - first
    c, error = polynomial(sine, range(7), one, 0, "0.2501")
    show(f"SINE (error 2^{nstr(log(error, 2), 4)})", c)
    cosine = lambda u: (cos(quarter * sqrt(u)) - 1) / u
    c, error = polynomial(cosine, range(7), lambda u: u, "1e-9", "0.2501")
    show(f"COSINE (error 2^{nstr(log(error, 2), 4)})", c)
    mp.prec = 400
    left, pieces = 2 / pi, []
    for i in range(1, 9):
        pieces.append(floor(left * 2 ** (27 * i)) / 2 ** (27 * i))
        left -= pieces[-1]
    mp.prec = 200
    show("QUARTERS", pieces)

    above, below, error = quotient(lambda t: atan(sqrt(t)) / sqrt(t), mpf(1), 6, 6, 1)
    show(f"atan ABOVE (error 2^{nstr(log(error, 2), 4)})", above)
    show("BELOW", below)
    tail = lambda t: erfc(t / sqrt(mpf(2))) / 2 * exp(t * t / 2)
    above, below, error = quotient(tail, mpf("0.5"), 9, 10, mpf("14.6"))
    show(f"gelu ABOVE (error 2^{nstr(log(error, 2), 4)})", above)
    show("BELOW", below)


def main():
    # The first coefficient is the value at 0, exactly: it is what small arguments see.
    first = mpf(float(2 / log(mpf(2))))
    rest, error = polynomial(lambda t: c_of_square(t) - first, range(1, 5), lambda t: mpf(1), "1e-9", "0.2501")
    show(f"C (error 2^{nstr(log(error, 2), 4)})", [first] + rest)

    eighth = log(mpf(2)) / 8
    root = lambda r: expm1(eighth * r) / r if r else eighth
    c, error = polynomial(root, range(6), lambda r: abs(r) + mpf("0.3"), "-0.5001", "0.5001")
    # The lower four were moved at random after this, by what changes bit 47, until no hard case was wrong.
    show(f"ROOT (error 2^{nstr(log(error, 2), 4)})", c)
    show("ROOTS", [mpf(2) ** (mpf(j) / 8) for j in range(8)])

    ratio = lambda t: erf(sqrt(t)) / sqrt(t)
    above, below, error = quotient(ratio, mpf(float(2 / sqrt(pi))), 9, 9, mpf("3.92") ** 2)
    # The first one rounds up here, for the sake of a hard case.
    above[0] = nextafter(float(above[0]), 2)
    show(f"ABOVE (error 2^{nstr(log(error, 2), 4)})", above)
    show("BELOW", below)

    elementary()


main()
