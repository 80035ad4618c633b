"""Proves what the verifiers do with an instruction (README.md). Run by `tests/prove`."""

import sys
import time

import floats
import instructions

if sys.argv[1:] not in ([], ["quick"]):
    sys.exit("usage: tests/prove [quick]")
start = time.monotonic()
wrong = instructions.prove() + floats.prove(quick="quick" in sys.argv)
for claim in wrong:
    print(f"WRONG: {claim}")
print(f"{'Failed' if wrong else 'All as it should be'} after {time.monotonic() - start:.0f} s")
sys.exit(bool(wrong))
