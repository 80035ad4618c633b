"""Makes the coefficients of the functions in src/math: minimax approximations, rounded to f64.

    pip install mpmath
    python dnn-lib/tests/coefficients.py
"""

import struct
from math import nextafter

from mpmath import coth, cos, erf, expm1, log, lu_solve, matrix, mp, mpf, nstr, pi, polyval, sqrt

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


main()
